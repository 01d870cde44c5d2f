"""The event loop of nodes on which someone outside chooses where the first waiting task runs.

Tasks start in the order of their arrival, each on one node, and the first that no node holds blocks the queue. The loop
stops where the first one fits some node and goes on when one is chosen.
"""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, QUEUED, RUNNING
from scheduler_sim.engine.jit import bare_kernel, kernel
from scheduler_sim.engine.kernels.choices.figures import tell_figures
from scheduler_sim.engine.kernels.choices.instants import begin_instant, end_first
from scheduler_sim.engine.kernels.choices.scales import keep_within, wait_seen
from scheduler_sim.engine.kernels.pool.loop import arrive, arrives_by, ends_by
from scheduler_sim.engine.kernels.structures.heap import heap_push
from scheduler_sim.engine.policies.past_scoring import scaled
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray

OF_TASK = 6
"""Observed of the cluster and the task: log(1 + queued) / 5; of the task r, cores, GPUs, memory, wait."""

OF_NODE = 6
"""Observed of each node: whether it holds the task now; free cores, GPUs, memory; the task's r there; how long it is
expected to be busy."""

RESOURCES = 3
"""Thousandths of cores, GPUs, KiB of memory."""


class Placing(NamedTuple):
    """Tasks and nodes of one episode; with one axis more, before all others, of many.

    Attributes:
        arrival, estimate: shape (n,), seconds.
        duration, expected: shape (n, groups), seconds on each node group, true and as estimated.
        need: shape (n, RESOURCES), what a task asks for.
        admitted: shape (n, groups), whether the empty nodes of a group hold it.
        free: shape (nodes, RESOURCES), what no task holds. busy_until: shape (nodes,), when what runs there is expected
            to have ended.
        counts: the common places of `codes`. clock: shape (1,), seconds.
        start, finish, node: shape (n,), NaN and -1 before the start. took: shape (n,), seconds.
        end_times, end_rows: shape (n,), heap of what runs by finish.
    """

    arrival: FloatArray
    estimate: FloatArray
    duration: FloatArray
    expected: FloatArray
    need: IntArray
    admitted: BoolArray
    free: IntArray
    busy_until: FloatArray
    counts: IntArray
    clock: FloatArray
    start: FloatArray
    finish: FloatArray
    node: IntArray
    took: FloatArray
    end_times: FloatArray
    end_rows: IntArray


@bare_kernel
def _holds(p: Placing, group: IntArray, row: int, node: int) -> bool:
    """Tell whether a node could start a task now."""
    free, need = p.free[node], p.need[row]
    return bool(p.admitted[row, group[node]] and need[0] <= free[0] and need[1] <= free[1] and need[2] <= free[2])


@bare_kernel
def _first_holder(p: Placing, group: IntArray, row: int) -> int:
    for node in range(len(group)):
        if _holds(p, group, row, node):
            return node
    return -1


@bare_kernel
def _move(p: Placing, row: int, node: int, sign: int) -> None:
    """Give back what a task held of a node, or with sign -1 take it."""
    for i in range(RESOURCES):
        p.free[node, i] += sign * p.need[row, i]


@bare_kernel
def _start(p: Placing, group: IntArray, row: int, node: int) -> None:
    now, counts, of = p.clock[0], p.counts, group[node]
    _move(p, row, node, -1)
    p.node[row] = node
    p.start[row] = now
    p.took[row] = p.duration[row, of]
    p.finish[row] = now + p.took[row]
    p.busy_until[node] = max(p.busy_until[node], now + p.expected[row, of])
    heap_push(p.end_times, p.end_rows, counts[RUNNING], p.finish[row], row)
    counts[RUNNING] += 1
    counts[QUEUED] -= 1


@bare_kernel
def _pass_instant(p: Placing) -> None:
    """Apply all events of the next instant, releases first."""
    counts, now = p.counts, begin_instant(p)
    while ends_by(now, counts, p.end_times):
        row = end_first(p)
        _move(p, row, p.node[row], 1)
    while arrives_by(now, p.arrival, counts):
        arrive(counts)


@bare_kernel
def _go_to_choice(p: Placing, group: IntArray) -> None:
    """Play whole instants until some node holds the first task that waits, or all have started."""
    counts = p.counts
    while True:
        if counts[QUEUED] > 0 and _first_holder(p, group, counts[ARRIVED] - counts[QUEUED]) >= 0:
            return
        if counts[QUEUED] == 0 and counts[ARRIVED] == len(p.arrival):
            return
        _pass_instant(p)


@bare_kernel
def _observe(p: Placing, group: IntArray, largest: FloatArray, seen: FloatArray) -> None:
    """Write what is seen of the first task that waits and of the nodes; all 0 where none waits."""
    counts, now = p.counts, p.clock[0]
    seen[:] = 0.0
    if counts[QUEUED] == 0:
        return
    row = counts[ARRIVED] - counts[QUEUED]
    seen[0] = np.log1p(float(counts[QUEUED])) / 5.0
    seen[1] = scaled(p.estimate[row])
    for i in range(RESOURCES):
        seen[2 + i] = p.need[row, i] / largest[i]
    seen[5] = wait_seen(now - p.arrival[row])
    for node in range(len(group)):
        at = OF_TASK + node * OF_NODE
        seen[at] = 1.0 if _holds(p, group, row, node) else 0.0
        for i in range(RESOURCES):
            seen[at + 1 + i] = min(p.free[node, i] / largest[i], 1.0)
        if p.admitted[row, group[node]]:
            seen[at + 4] = scaled(p.expected[row, group[node]])
        seen[at + 5] = np.log1p(max(p.busy_until[node] - now, 0.0)) / 10.0
    keep_within(seen)


@kernel
def begin_or_place(
    actions: IntArray,
    begins: BoolArray,
    group: IntArray,
    largest: FloatArray,
    placing: Placing,
    seen: FloatArray,
    figures: FloatArray,
) -> None:
    """Take one step in each of S clusters.

    Args:
        actions: shape (S,), node numbers; one that does not hold the task stands for the first that does.
        begins: shape (S,), episodes that begin: nothing is chosen there.
        group: shape (nodes,), the group of each node.
        largest: shape (RESOURCES,), what the largest nodes have, above 0.
        placing: of all S.
        seen: shape (S, OF_TASK + nodes * OF_NODE), overwritten.
        figures: shape (S, 3), overwritten: `figures.FIGURES` where all tasks have started, NaN elsewhere.
    """
    all_of = placing
    for s in range(len(actions)):
        p = Placing(
            all_of.arrival[s],
            all_of.estimate[s],
            all_of.duration[s],
            all_of.expected[s],
            all_of.need[s],
            all_of.admitted[s],
            all_of.free[s],
            all_of.busy_until[s],
            all_of.counts[s],
            all_of.clock[s],
            all_of.start[s],
            all_of.finish[s],
            all_of.node[s],
            all_of.took[s],
            all_of.end_times[s],
            all_of.end_rows[s],
        )
        figures[s] = np.nan
        if not begins[s]:
            row, node = p.counts[ARRIVED] - p.counts[QUEUED], actions[s]
            if node < 0 or node >= len(group) or not _holds(p, group, row, node):
                node = _first_holder(p, group, row)
            _start(p, group, row, node)
        _go_to_choice(p, group)
        if p.counts[QUEUED] == 0:
            tell_figures(p.arrival, p.start, p.finish, p.took, figures[s])
        _observe(p, group, largest, seen[s])
