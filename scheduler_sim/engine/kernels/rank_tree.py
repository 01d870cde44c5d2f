"""Queues whose order never changes: a set of ranks that finds the next task which may start.

Ranks are the places of the tasks in the whole workload's order, sorted once. A tree of 32-bit words says which ranks
are queued; each word also bounds from below the processors and the expected duration of the tasks under it, so that
a search enters only where a candidate can be. Adding lowers the bounds; removing leaves them, and a search that was
led astray by a stale bound puts it right.
"""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.loop import Run, Tasks, arrives_by, begin, ends_by, next_instant, pause, release
from scheduler_sim.engine.kernels.planned_ends import PlannedEnds, add_end, drop_end, shadow
from scheduler_sim.engine.kernels.state import ARRIVED, EASY, EXTRA, FREE, HEAD, NONE, QUEUED
from scheduler_sim.engine.workload import FloatArray, IntArray

EVERYTHING = 2**62

_TRAILING = np.zeros(32, np.int64)
for _bit in range(32):
    _TRAILING[(((1 << _bit) * 0x077CB531) & 0xFFFFFFFF) >> 27] = _bit
"""Number of trailing zeros by a de Bruijn sequence: the product stays within 63 bits, in Python as compiled."""


class RankTree(NamedTuple):
    """The queue.

    Attributes:
        rank_of, row_at: shape (n,), from row to rank and back.
        cpus, expected: shape (n,), by rank, so that neighbours in the queue are neighbours in memory.
        offsets: where each level's words begin, from the leaves up, and their end.
        words, low_cpus, low_expected: one value a word.
        shadow: shape (1,), the blocked head's shadow time.
    """

    rank_of: IntArray
    row_at: IntArray
    cpus: IntArray
    expected: FloatArray
    offsets: IntArray
    words: IntArray
    low_cpus: IntArray
    low_expected: FloatArray
    shadow: FloatArray


def make_rank_tree(tasks: Tasks) -> RankTree:
    """Return the empty queue of tasks whose scores do not change."""
    n = len(tasks.base)
    row_at = np.argsort(tasks.base, kind="stable")
    rank_of = np.empty(n, np.int64)
    rank_of[row_at] = np.arange(n)
    offsets = [0]
    width = n
    while width > 1 or len(offsets) == 1:
        width = (width + 31) >> 5
        offsets.append(offsets[-1] + width)
    return RankTree(
        rank_of=rank_of,
        row_at=row_at,
        cpus=tasks.cpus[row_at],
        expected=tasks.expected[row_at],
        offsets=np.array(offsets),
        words=np.zeros(offsets[-1], np.int64),
        low_cpus=np.zeros(offsets[-1], np.int64),
        low_expected=np.zeros(offsets[-1]),
        shadow=np.zeros(1),
    )


@kernel
def trailing_zeros(word: int) -> int:
    """Return the place of the lowest 1 in a word of 32 bits that is not 0."""
    return _TRAILING[(((word & -word) * 0x077CB531) & 0xFFFFFFFF) >> 27]


@kernel
def add_rank(rank: int, tree: RankTree) -> None:
    """Queue a rank."""
    cpus = tree.cpus[rank]
    expected = tree.expected[rank]
    slot = rank
    for level in range(len(tree.offsets) - 1):
        word = tree.offsets[level] + (slot >> 5)
        before = tree.words[word]
        tree.words[word] = before | (1 << (slot & 31))
        if before == 0:
            tree.low_cpus[word] = cpus
            tree.low_expected[word] = expected
        else:
            lower = False
            if cpus < tree.low_cpus[word]:
                tree.low_cpus[word] = cpus
                lower = True
            if expected < tree.low_expected[word]:
                tree.low_expected[word] = expected
                lower = True
            if not lower and tree.words[word] == before:
                return
        slot >>= 5


@kernel
def remove_rank(rank: int, tree: RankTree) -> None:
    """Take a rank out of the queue."""
    slot = rank
    for level in range(len(tree.offsets) - 1):
        word = tree.offsets[level] + (slot >> 5)
        tree.words[word] &= ~(1 << (slot & 31))
        if tree.words[word] != 0:
            return
        slot >>= 5


@kernel
def first_rank(tree: RankTree) -> int:
    """Return the lowest queued rank; there must be one."""
    slot = 0
    for level in range(len(tree.offsets) - 2, -1, -1):
        slot = (slot << 5) + trailing_zeros(tree.words[tree.offsets[level] + slot])
    return slot


@kernel
def _tighten(slot: int, tree: RankTree) -> None:
    """Set the exact bounds of the leaf word `slot`, then of the words above as far as they depend on it."""
    for level in range(len(tree.offsets) - 1):
        word = tree.offsets[level] + slot
        cpus = EVERYTHING
        expected = np.inf
        left = tree.words[word]
        while left != 0:
            below = (slot << 5) + trailing_zeros(left)
            left &= left - 1
            if level == 0:
                cpus = min(cpus, tree.cpus[below])
                expected = min(expected, tree.expected[below])
            else:
                cpus = min(cpus, tree.low_cpus[tree.offsets[level - 1] + below])
                expected = min(expected, tree.low_expected[tree.offsets[level - 1] + below])
        if cpus == tree.low_cpus[word] and expected == tree.low_expected[word]:
            return
        tree.low_cpus[word] = cpus
        tree.low_expected[word] = expected
        slot >>= 5


@kernel
def next_rank(rank: int, now: float, free: int, shadow_time: float, extra: int, tree: RankTree) -> int:
    """Return the lowest queued rank, `rank` or above, of a task that may start now; -1 for none.

    It must fit the free processors, and end by the shadow time or need no more than the extra processors.
    """
    top = len(tree.offsets) - 2
    slot = rank
    level = 0
    while True:
        while slot & 31 == 0:
            if level == top:
                return -1
            slot >>= 5
            level += 1
        while True:
            word = tree.offsets[level] + (slot >> 5)
            first = (slot >> 5) << 5
            left = (tree.words[word] >> (slot - first)) << (slot - first)
            if level == 0:
                while left != 0:
                    at = first + trailing_zeros(left)
                    left &= left - 1
                    cpus = tree.cpus[at]
                    if cpus <= free and (cpus <= extra or now + tree.expected[at] <= shadow_time):
                        return at
                if slot == first:
                    _tighten(first >> 5, tree)
                break
            below = tree.offsets[level - 1]
            found = -1
            while left != 0 and found < 0:
                at = first + trailing_zeros(left)
                left &= left - 1
                cpus = tree.low_cpus[below + at]
                if cpus <= free and (cpus <= extra or now + tree.low_expected[below + at] <= shadow_time):
                    found = at
            if found < 0:
                break
            slot = found << 5
            level -= 1
        if level == top:
            return -1
        slot = (slot >> 5) + 1
        level += 1


@kernel
def _start(now: float, rank: int, backfill: int, tasks: Tasks, run: Run, tree: RankTree, ends: PlannedEnds) -> None:
    row = tree.row_at[rank]
    remove_rank(rank, tree)
    begin(now, row, tasks, run)
    if backfill == EASY:
        add_end(now + tasks.expected[row], row, ends)


@kernel
def _pass_head(
    now: float, first: int, last: int, backfill: int, tasks: Tasks, run: Run, tree: RankTree, ends: PlannedEnds
) -> None:
    """Start what may pass the blocked head among the ranks from `first` to `last`."""
    counts = run.counts
    shadow_time = tree.shadow[0]
    rank = first
    while counts[FREE] > 0:
        rank = next_rank(rank, now, counts[FREE], shadow_time, counts[EXTRA], tree)
        if rank < 0 or rank > last:
            return
        if backfill == EASY and now + tree.expected[rank] > shadow_time:
            counts[EXTRA] -= tree.cpus[rank]
        _start(now, rank, backfill, tasks, run, tree, ends)
        rank += 1


@kernel
def _act(now: float, backfill: int, tasks: Tasks, run: Run, tree: RankTree, ends: PlannedEnds) -> None:
    counts = run.counts
    counts[HEAD] = -1
    while True:
        if counts[QUEUED] == 0 or counts[FREE] == 0:
            return
        head = first_rank(tree)
        if tree.cpus[head] > counts[FREE]:
            break
        _start(now, head, backfill, tasks, run, tree, ends)
    if backfill == NONE:
        return
    if backfill == EASY:
        tree.shadow[0], counts[EXTRA] = shadow(now, counts[FREE], tree.cpus[head], tasks, ends)
    else:
        tree.shadow[0], counts[EXTRA] = np.inf, EVERYTHING
    counts[HEAD] = head
    if counts[QUEUED] > 1:
        _pass_head(now, head + 1, EVERYTHING, backfill, tasks, run, tree, ends)


@kernel
def advance_ranked(
    backfill: int, tasks: Tasks, run: Run, tree: RankTree, ends: PlannedEnds, until: float, max_events: int
) -> None:
    """Play whole instants up to `until` or until `max_events` events were applied: none, list and easy."""
    counts = run.counts
    events = 0
    while events < max_events:
        now = next_instant(tasks, run)
        if now > until or now == np.inf:
            pause(now, until, run)
            break
        run.clock[0] = now
        while True:
            # What did not pass the head before does not pass it now when nothing has finished and the reservation
            # is still ahead: the shadow time and the extra processors are the same, and the clock is later.
            same = counts[HEAD] >= 0 and (backfill != EASY or tree.shadow[0] >= now)
            while ends_by(now, run):
                row = release(now, tasks, run)
                if backfill == EASY:
                    drop_end(run.start[row] + tasks.expected[row], row, ends)
                events += 1
                same = False
            arrivals = 0
            rank = -1
            while arrives_by(now, tasks, run):
                rank = tree.rank_of[counts[ARRIVED]]
                add_rank(rank, tree)
                counts[ARRIVED] += 1
                counts[QUEUED] += 1
                arrivals += 1
            events += arrivals
            if not same or arrivals > 1 or rank < counts[HEAD]:
                _act(now, backfill, tasks, run, tree, ends)
            elif tree.cpus[rank] <= counts[FREE]:
                _pass_head(now, rank, rank, backfill, tasks, run, tree, ends)
            if not ends_by(now, run):
                break


@kernel
def advance_in_arrival_order(tasks: Tasks, run: Run, until: float, max_events: int) -> None:
    """Play tasks that start strictly in the order of their rows; the queue is a range of rows."""
    counts = run.counts
    events = 0
    while events < max_events:
        now = next_instant(tasks, run)
        if now > until or now == np.inf:
            pause(now, until, run)
            break
        run.clock[0] = now
        while True:
            while ends_by(now, run):
                release(now, tasks, run)
                events += 1
            while arrives_by(now, tasks, run):
                counts[ARRIVED] += 1
                counts[QUEUED] += 1
                events += 1
            while counts[QUEUED] > 0:
                row = counts[ARRIVED] - counts[QUEUED]
                if tasks.cpus[row] > counts[FREE]:
                    break
                begin(now, row, tasks, run)
            if not ends_by(now, run):
                break
