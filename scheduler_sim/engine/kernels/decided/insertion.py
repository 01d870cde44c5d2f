"""Plans by insertion: each task in turn is put where it ends first, into gaps too (Topcuoglu et al. 2002)."""

import numpy as np

from scheduler_sim.engine.jit import counting_kernel, inner_kernel
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray

RESOURCES = 3
"""Cores, GPUs and memory, in the whole units in which they are counted."""

CLEARLY = 1e-12
"""Part by which an end must be earlier to count: sums of the same lengths in another order are not."""


@counting_kernel
def plan_tasks(
    rows: IntArray,
    bound: BoolArray,
    running: IntArray,
    now: float,
    duration: FloatArray,
    ahead: FloatArray,
    need: IntArray,
    capacity: IntArray,
    group_of: IntArray,
    admitted: BoolArray,
    offsets: IntArray,
    parents: IntArray,
    mb: FloatArray,
    latency: FloatArray,
    per_mb: FloatArray,
    asked_at: FloatArray,
    node: IntArray,
    start: FloatArray,
    finish: FloatArray,
) -> None:
    """Plan tasks one after the other, from an instant on; parents come before their children.

    A task begins when its data is there: it moves from a parent's end on, and from when the task was planned first. It
    goes to the node where `ahead` and its end come to least, the lowest of equals, at the earliest instant from which
    that node holds it to its end. One that is bound stays on its node, and begins there not before the one before it.

    Args:
        rows: shape (k,), in their order. bound: shape (k,), these are planned anew on the node they have.
        running: rows that hold their nodes now, until their `finish`.
        now: nothing is planned before it.
        duration, ahead: shape (n, groups), expected seconds on a node of a group, and what is added to the end there.
        need: shape (3, n). capacity: shape (3, nodes). group_of: shape (nodes,).
        admitted: shape (n, groups), where each may run.
        offsets, parents: of all tasks, as in `Parents`; mb, latency, per_mb: what edges carry, and links by groups.
        asked_at: shape (n,), when each was planned first.
        node, start, finish: shape (n,); those of tasks that have begun are read, those of `rows` are written.
    """
    nodes = len(group_of)
    most = nodes + 2 * (len(rows) + len(running)) + 1
    time, free, after = np.empty(most), np.empty((most, RESOURCES), np.int64), np.empty(most, np.int64)
    # The first `nodes` spans are those from `now` on; what comes behind them is linked by `after`.
    used = nodes
    for one in range(nodes):
        time[one], after[one] = now, -1
        for kind in range(RESOURCES):
            free[one, kind] = capacity[kind, one]
    touched = np.zeros(nodes, np.bool_)
    for row in running:
        touched[node[row]] = True
        if finish[row] > now:
            used = book(time, free, after, used, node[row], now, finish[row], need[:, row])
    latest = np.full(nodes, now)
    fresh, near = np.full(ahead.shape[1], -1), np.full(nodes, -1)
    for place in range(len(rows)):
        row = rows[place]
        for edge in range(offsets[row], offsets[row + 1]):
            near[node[parents[edge]]] = place
        best, best_node, best_start = np.inf, np.int64(-1), 0.0
        first, last = (node[row], node[row] + 1) if bound[place] else (np.int64(0), np.int64(nodes))
        for one in range(first, last):
            group = group_of[one]
            if not bound[place]:
                if not admitted[row, group] or capacity_lacks(capacity, one, need[:, row]):
                    continue
                if not touched[one] and near[one] != place:
                    # Of nodes that nothing tells apart, the first will do.
                    if fresh[group] == place:
                        continue
                    fresh[group] = place
            begin = latest[one] if bound[place] else now
            for edge in range(offsets[row], offsets[row + 1]):
                parent = parents[edge]
                come = finish[parent]
                if node[parent] != one and mb[edge] > 0:
                    there = group_of[node[parent]]
                    come = max(come, asked_at[row]) + (latency[there, group] + mb[edge] * per_mb[there, group])
                begin = max(begin, come)
            begin = earliest(time, free, after, one, begin, duration[row, group], need[:, row])
            end = begin + duration[row, group] + ahead[row, group]
            if end < best - CLEARLY * abs(best) or best_node < 0:
                best, best_node, best_start = end, np.int64(one), begin
        node[row], start[row] = best_node, best_start
        finish[row] = best_start + duration[row, group_of[best_node]]
        touched[best_node] = True
        latest[best_node] = max(latest[best_node], best_start) if bound[place] else latest[best_node]
        used = book(time, free, after, used, node[row], best_start, finish[row], need[:, row])


@inner_kernel
def capacity_lacks(capacity: IntArray, node: int, need: IntArray) -> bool:
    """Tell whether an empty node would not hold a task."""
    lacks = False
    for kind in range(RESOURCES):
        lacks |= capacity[kind, node] < need[kind]
    return lacks


@inner_kernel
def earliest(
    time: FloatArray, free: IntArray, after: IntArray, node: int, begin: float, length: float, need: IntArray
) -> float:
    """Return the first instant from `begin` on at which a node holds `need` for `length`."""
    span = node
    while after[span] >= 0 and time[after[span]] <= begin:
        span = after[span]
    while True:
        lacks = False
        for kind in range(RESOURCES):
            lacks |= free[span, kind] < need[kind]
        following = after[span]
        if lacks:
            span = following
            begin = time[span]
        elif following < 0 or time[following] >= begin + length:
            return begin
        else:
            span = following


@inner_kernel
def book(
    time: FloatArray,
    free: IntArray,
    after: IntArray,
    used: int,
    node: int,
    begin: float,
    end: float,
    need: IntArray,
) -> int:
    """Take `need` of a node from `begin` to `end`, and return how many spans there are then."""
    if end <= begin:
        return used
    span = node
    for edge in (begin, end):
        while after[span] >= 0 and time[after[span]] <= edge:
            span = after[span]
        if time[span] < edge:
            time[used], after[used] = edge, after[span]
            for kind in range(RESOURCES):
                free[used, kind] = free[span, kind]
            after[span] = used
            span = used
            used += 1
    span = node
    while span >= 0 and time[span] < end:
        if time[span] >= begin:
            for kind in range(RESOURCES):
                free[span, kind] -= need[kind]
        span = after[span]
    return used
