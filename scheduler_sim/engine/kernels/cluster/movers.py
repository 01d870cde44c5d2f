"""Who of those that hold a reservation could do better on a node that gained room, for `kept.py`.

Tasks of one sort ask for the same; gangs of the same whole nodes are a sort, too. The node's steps (`search.py`) say
from when on tasks of a sort could begin there, by their length. Each sort's tasks are in groups of like length, and
each group is a tree over its tasks in the order of the queue, whose nodes know the latest reservation below them and
the least length. The next task that a step may let begin earlier is found by going down where those two allow it: in
the logarithm of the queue, not by looking at all of it.
"""

from typing import Any

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.cluster.queue import NOTHING
from scheduler_sim.engine.kernels.cluster.search import (
    ANYTHING,
    ASKS,
    LENGTHS,
    MOST_STEPS,
    ONE_NODE,
    ROW,
    UNKNOWN,
    WHOLE_NODES,
    first_step,
    list_steps,
    steps_hold,
)
from scheduler_sim.engine.kernels.cluster.state import Sim, pieces_of
from scheduler_sim.engine.kernels.structures.rank_set import make_rank_set

BASE, LEAVES, COUNT, SORT = range(4)
"""Columns of `late_groups`: where its tree begins, before the root; leaves of the tree, a power of two; tasks; sort."""

MOST_GANGS = 16
"""Sorts of gangs that are told apart."""


def room_to_move(n: int, nodes: int, tasks: Any) -> dict[str, Any]:
    """Return the trees of `n` tasks, none of which holds a reservation, and room for steps and gains."""
    sort, sorts = _sorts_of(tasks[:n])
    power = np.clip(np.frexp(tasks["estimate"][:n])[1], 0, LENGTHS - 1)
    by_group = np.lexsort((tasks["rank"][:n], power, sort))
    key = (sort * LENGTHS + power)[by_group]
    begins = np.flatnonzero(np.diff(key, prepend=-1)) if n else np.zeros(0, np.int64)
    counts = np.diff(begins, append=n) if n else begins
    leaves = np.array([1 << int(count - 1).bit_length() for count in counts], np.int64)
    bases = np.concatenate(([0], np.cumsum(2 * leaves)))
    group = np.repeat(np.arange(len(begins)), counts)
    leaf = leaves[group] + np.arange(n) - begins[group]
    late_group, late_leaf = np.zeros(n, np.int64), np.zeros(n, np.int64)
    late_group[by_group], late_leaf[by_group] = group, leaf
    late_rank = np.full(bases[-1], NOTHING)
    late_rank[bases[group] + leaf] = tasks["rank"][:n][by_group]
    words, starts = make_rank_set(n)
    nodes = nodes if n else 0
    return {
        "late_time": np.full(bases[-1], -np.inf),
        "late_length": np.full(bases[-1], np.inf),
        "late_rank": late_rank,
        "late_group": late_group,
        "late_leaf": late_leaf,
        "late_groups": np.stack([bases[:-1], leaves, counts, key[begins] // LENGTHS], axis=1).astype(np.int64),
        "late_sorts": sorts,
        "step_begin": np.zeros((nodes, len(sorts), MOST_STEPS)),
        "step_end": np.zeros((nodes, len(sorts), MOST_STEPS)),
        "step_count": np.zeros((nodes, len(sorts)), np.int64),
        "step_state": np.full(nodes, UNKNOWN),
        "step_time": np.zeros(nodes),
        "step_open": np.zeros(len(sorts)),
        "length_range": np.tile(np.array([LENGTHS, -1]), (len(sorts), 1)),
        "disturbed_words": words,
        "disturbed_starts": starts,
        "gains": np.zeros(nodes, np.int64),
        "gained": np.zeros(nodes, np.int64),
        "gain_from": np.zeros(nodes),
        **{f"gain_{what}": np.zeros(nodes, np.int64) for what in ("until", "again", "next", "free")},
        "looked": np.zeros(nodes, np.int64),
    }


def _sorts_of(tasks: Any) -> tuple[Any, Any]:
    """Return the number of each task's sort, of one on one node its `fgd_kind`, and what is known of the sorts."""
    sort = tasks["fgd_kind"].astype(np.int64)
    kinds = int(sort.max(initial=-1)) + 1
    gang = np.flatnonzero(tasks["full_nodes"] > 0)
    names = ("full_cpu", "full_gpus", "full_memory", "gpu_nodes", "any_nodes")
    if len(gang):
        asked = np.stack([tasks[name][gang].astype(np.int64) for name in names], axis=1)
        _, number, count = np.unique(asked, axis=0, return_inverse=True, return_counts=True)
        place = np.argsort(np.argsort(-count, kind="stable"), kind="stable")[number.reshape(-1)]
        sort[gang] = np.where(place < MOST_GANGS, kinds + place, -1)
    last = int(sort.max(initial=kinds - 1)) + 1
    sort[sort < 0] = last
    sorts = np.zeros((int(sort.max(initial=-1)) + 1, 2), np.int64)
    numbers, sorts_rows = np.unique(sort, return_index=True)
    sorts[numbers, ROW] = sorts_rows
    sorts[:, ASKS] = WHOLE_NODES
    sorts[:kinds, ASKS], sorts[last:, ASKS] = ONE_NODE, ANYTHING
    return sort, sorts


@inner_kernel
def note_place(s: Sim, row: int, time: float, length: float) -> None:
    """Note when a task's reservation begins and how long it must hold; minus infinity and infinity for none."""
    base = s.late_groups[s.late_group[row], BASE]
    i = s.late_leaf[row]
    s.late_time[base + i] = time
    s.late_length[base + i] = length
    while i > 1:
        i >>= 1
        below = base + 2 * i
        time = max(s.late_time[below], s.late_time[below + 1])
        length = min(s.late_length[below], s.late_length[below + 1])
        if s.late_time[base + i] == time and s.late_length[base + i] == length:
            return
        s.late_time[base + i] = time
        s.late_length[base + i] = length


@inner_kernel
def _first_of(s: Sim, group: int, node: int, now: float, low: int, best: int) -> int:
    """Return the least rank from `low` on of a task of a group that a step may let begin earlier, or on a lower node.

    `best` where there is none below it.
    """
    base, leaves, count = s.late_groups[group, BASE], s.late_groups[group, LEAVES], s.late_groups[group, COUNT]
    sort = s.late_groups[group, SORT]
    i = np.int64(1)
    begin = first_step(s, node, sort, s.late_length[base + 1], now)
    if begin == np.inf or begin > s.late_time[base + 1]:
        return best
    if low > 0:
        first, last = 0, count
        while first < last:
            middle = (first + last) >> 1
            if s.late_rank[base + leaves + middle] < low:
                first = middle + 1
            else:
                last = middle
        if first == count:
            return best
        i = leaves + first
    while i > 0:
        time = s.late_time[base + i]
        begin = first_step(s, node, sort, s.late_length[base + i], now)
        if begin < np.inf and begin <= time:
            if i < leaves:
                i *= 2
                continue
            rank = s.late_rank[base + i]
            if rank >= best:
                return best
            if begin < time:
                return int(rank)
            row = s.row_of_rank[rank]
            for piece in range(pieces_of(s.tasks[row])):
                if node < s.reserved_node[s.reserved_first[row] + piece]:
                    return int(rank)
        while i & 1:
            i >>= 1
        if i > 0:
            i += 1
    return best


@inner_kernel
def next_to_move(s: Sim, node: int, now: float, low: int) -> int:
    """Return the next rank from `low` on of a task that may do better on a node that gained room, NOTHING for none.

    Looked for up to `gain_until`. What holds a reservation there is one, unless that is over before the room is gained.
    """
    until = s.gain_until[node]
    held = steps_hold(s, node, now)
    if not held or s.gain_free[node] < low:
        if not held:
            list_steps(s, node, now)
        s.gain_free[node] = until
        for group in range(len(s.late_groups)):
            s.gain_free[node] = _first_of(s, group, node, now, low, s.gain_free[node])
    best = s.gain_free[node]
    at = s.plan_first[node]
    while at >= 0:
        row = s.plan_row[at]
        rank = s.tasks[row].rank
        if low <= rank < best and s.reserved_time[row] + s.reserved_from[2 * row + 1] >= s.gain_from[node]:
            best = rank
        at = s.plan_after[at]
    return int(best) if best < until else NOTHING
