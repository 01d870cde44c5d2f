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
from scheduler_sim.engine.kernels.planned_ends import add_end, drop_end, shadow
from scheduler_sim.engine.kernels.state import ARRIVED, EASY, EXTRA, FREE, HEAD, NONE, QUEUED, RUNNING
from scheduler_sim.engine.workload import FloatArray, IntArray

EVERYTHING = 2**62
"""More than any count of processors or any rank."""

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
        plan_times, plan_rows: the running tasks by expected end, see `planned_ends`; used by EASY.
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
    plan_times: FloatArray
    plan_rows: IntArray


def ranks(base: FloatArray) -> tuple[IntArray, IntArray]:
    """Return each row's place in the order of scores that do not change, and the row at each place."""
    row_at = np.argsort(base, kind="stable")
    rank_of = np.empty(len(base), np.int64)
    rank_of[row_at] = np.arange(len(base))
    return rank_of, row_at


def make_rank_tree(tasks: Tasks, most_running: int) -> RankTree:
    """Return the empty queue of tasks whose scores do not change."""
    n = len(tasks.base)
    rank_of, row_at = ranks(tasks.base)
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
        plan_times=np.empty(most_running),
        plan_rows=np.empty(most_running, np.int64),
    )


@kernel
def trailing_zeros(word: int) -> int:
    """Return the place of the lowest 1 in a word of 32 bits that is not 0."""
    return int(_TRAILING[(((word & -word) * 0x077CB531) & 0xFFFFFFFF) >> 27])


@kernel
def add_rank(
    rank: int,
    cpus: IntArray,
    expected: FloatArray,
    offsets: IntArray,
    words: IntArray,
    low_cpus: IntArray,
    low_expected: FloatArray,
) -> None:
    """Queue a rank."""
    need = cpus[rank]
    length = expected[rank]
    slot = rank
    for level in range(len(offsets) - 1):
        word = offsets[level] + (slot >> 5)
        before = words[word]
        words[word] = before | (1 << (slot & 31))
        if before == 0:
            low_cpus[word] = need
            low_expected[word] = length
        else:
            lower = False
            if need < low_cpus[word]:
                low_cpus[word] = need
                lower = True
            if length < low_expected[word]:
                low_expected[word] = length
                lower = True
            if not lower and words[word] == before:
                return
        slot >>= 5


@kernel
def remove_rank(rank: int, offsets: IntArray, words: IntArray) -> None:
    """Take a rank out of the queue."""
    slot = rank
    for level in range(len(offsets) - 1):
        word = offsets[level] + (slot >> 5)
        words[word] &= ~(1 << (slot & 31))
        if words[word] != 0:
            return
        slot >>= 5


@kernel
def first_rank(offsets: IntArray, words: IntArray) -> int:
    """Return the lowest queued rank; there must be one."""
    slot = 0
    for level in range(len(offsets) - 2, -1, -1):
        slot = (slot << 5) + trailing_zeros(words[offsets[level] + slot])
    return slot


@kernel
def _tighten(
    slot: int,
    cpus: IntArray,
    expected: FloatArray,
    offsets: IntArray,
    words: IntArray,
    low_cpus: IntArray,
    low_expected: FloatArray,
) -> None:
    """Set the exact bounds of the leaf word `slot`, then of the words above as far as they depend on it."""
    for level in range(len(offsets) - 1):
        word = offsets[level] + slot
        need = EVERYTHING
        length = np.inf
        left = words[word]
        while left != 0:
            below = (slot << 5) + trailing_zeros(left)
            left &= left - 1
            if level == 0:
                need = min(need, cpus[below])
                length = min(length, expected[below])
            else:
                need = min(need, low_cpus[offsets[level - 1] + below])
                length = min(length, low_expected[offsets[level - 1] + below])
        if need == low_cpus[word] and length == low_expected[word]:
            return
        low_cpus[word] = need
        low_expected[word] = length
        slot >>= 5


@kernel
def next_rank(
    rank: int,
    now: float,
    free: int,
    shadow_time: float,
    extra: int,
    cpus: IntArray,
    expected: FloatArray,
    offsets: IntArray,
    words: IntArray,
    low_cpus: IntArray,
    low_expected: FloatArray,
) -> int:
    """Return the lowest queued rank, `rank` or above, of a task that may start now; -1 for none.

    It must fit the free processors, and end by the shadow time or need no more than the extra processors.
    """
    top = len(offsets) - 2
    slot = rank
    level = 0
    while True:
        while slot & 31 == 0:
            if level == top:
                return -1
            slot >>= 5
            level += 1
        while True:
            word = offsets[level] + (slot >> 5)
            first = (slot >> 5) << 5
            left = (words[word] >> (slot - first)) << (slot - first)
            if level == 0:
                while left != 0:
                    at = first + trailing_zeros(left)
                    left &= left - 1
                    need = cpus[at]
                    if need <= free and (need <= extra or now + expected[at] <= shadow_time):
                        return at
                if slot == first:
                    _tighten(first >> 5, cpus, expected, offsets, words, low_cpus, low_expected)
                break
            below = offsets[level - 1]
            found = -1
            while left != 0 and found < 0:
                at = first + trailing_zeros(left)
                left &= left - 1
                need = low_cpus[below + at]
                if need <= free and (need <= extra or now + low_expected[below + at] <= shadow_time):
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
def advance_ranked(backfill: int, tasks: Tasks, run: Run, tree: RankTree, until: float, max_events: int) -> None:
    """Play whole instants up to `until` or until `max_events` events were applied: none, list and easy."""
    arrival, duration, task_expected, task_cpus, _, _ = tasks
    counts, clock, start, finish, order, end_times, end_rows = run
    rank_of, row_at, cpus, expected, offsets, words, low_cpus, low_expected, shadow_times, plan_times, plan_rows = tree
    easy = backfill == EASY
    events = 0
    while events < max_events:
        now = next_instant(arrival, counts, end_times)
        if now > until or now == np.inf:
            pause(now, until, clock)
            break
        clock[0] = now
        while True:
            # What did not pass the head before does not pass it now when nothing has finished and the reservation
            # is still ahead: the shadow time and the extra processors are the same, and the clock is later.
            same = counts[HEAD] >= 0 and (not easy or shadow_times[0] >= now)
            while ends_by(now, counts, end_times):
                row = release(now, task_cpus, counts, finish, order, end_times, end_rows)
                if easy:
                    drop_end(start[row] + task_expected[row], row, counts[RUNNING] + 1, plan_times, plan_rows)
                events += 1
                same = False
            first, last = counts[HEAD] + 1, EVERYTHING
            arrivals = 0
            while arrives_by(now, arrival, counts):
                rank = rank_of[counts[ARRIVED]]
                add_rank(rank, cpus, expected, offsets, words, low_cpus, low_expected)
                counts[ARRIVED] += 1
                counts[QUEUED] += 1
                arrivals += 1
                if rank < counts[HEAD]:
                    same = False
                first, last = rank, rank
            events += arrivals
            if same and arrivals == 1:
                search = cpus[first] <= counts[FREE]
            else:
                search = False
                counts[HEAD] = -1
                while counts[QUEUED] > 0 and counts[FREE] > 0:
                    head = first_rank(offsets, words)
                    if cpus[head] > counts[FREE]:
                        if backfill == NONE:
                            break
                        shadow_times[0], counts[EXTRA] = np.inf, EVERYTHING
                        if easy:
                            shadow_times[0], counts[EXTRA] = shadow(
                                now, counts[FREE], cpus[head], task_cpus, counts[RUNNING], plan_times, plan_rows
                            )
                        counts[HEAD] = head
                        first, last = head + 1, EVERYTHING
                        search = counts[QUEUED] > 1
                        break
                    remove_rank(head, offsets, words)
                    row = row_at[head]
                    if easy:
                        add_end(now + task_expected[row], row, counts[RUNNING], plan_times, plan_rows)
                    begin(now, row, duration, task_cpus, counts, start, finish, end_times, end_rows)
            shadow_time = shadow_times[0]
            while search and counts[FREE] > 0:
                rank = next_rank(
                    first,
                    now,
                    counts[FREE],
                    shadow_time,
                    counts[EXTRA],
                    cpus,
                    expected,
                    offsets,
                    words,
                    low_cpus,
                    low_expected,
                )
                if rank < 0 or rank > last:
                    break
                row = row_at[rank]
                if easy:
                    if now + expected[rank] > shadow_time:
                        counts[EXTRA] -= cpus[rank]
                    add_end(now + expected[rank], row, counts[RUNNING], plan_times, plan_rows)
                remove_rank(rank, offsets, words)
                begin(now, row, duration, task_cpus, counts, start, finish, end_times, end_rows)
                first = rank + 1
            if not ends_by(now, counts, end_times):
                break
