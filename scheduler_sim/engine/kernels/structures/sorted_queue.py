"""Queues whose order never changes: tasks sorted by rank, in which the next one that may start is found.

Ranks are the places of the tasks in the whole workload's order, sorted once. The queued tasks lie in rank order in
blocks, and with them what the search asks for. The blocks, and groups of blocks, bound from below the processors and
the expected duration of their tasks, so that a search enters only where a candidate can be. Adding lowers the bounds;
removing leaves them, and a search that was led astray by a stale bound puts it right.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.kernels.structures.planned_ends import PlannedEnds, make_planned_ends
from scheduler_sim.engine.workloads.workload import IntArray

BLOCK = 32
"""Tasks in a full block."""

GROUP = 32
"""Blocks in a full group."""

USED, SPARE = range(2)
"""Places in `SortedQueue.shape`: blocks in use, and numbers in the stack of others."""

EVERYTHING = 2**62
"""More than any count of processors."""

ENTRY = np.dtype([("rank", "i8"), ("row", "i8"), ("cpus", "i8"), ("expected", "f8")])
PLACE = np.dtype([("block", "i8"), ("size", "i8"), ("fence", "i8"), ("cpus", "i8"), ("expected", "f8")])
BOUND = np.dtype([("cpus", "i8"), ("expected", "f8")])

Records = npt.NDArray[Any]


class SortedQueue(NamedTuple):
    """The queue.

    Attributes:
        rank_of: shape (n,), from row to rank.
        shape: see above.
        entries: shape (blocks * BLOCK,), the queued tasks of each block, sorted.
        places: shape (blocks,), in rank order: a block, its size, a rank that parts it from the place before, and the
            least that its tasks need.
        groups: of GROUP places each, the least that their tasks need.
        spare: numbers of the blocks not in use, a stack.
        plan: used by EASY.
    """

    rank_of: IntArray
    shape: IntArray
    entries: Records
    places: Records
    groups: Records
    spare: IntArray
    plan: PlannedEnds


def make_sorted_queue(rank_of: IntArray, most_running: int) -> SortedQueue:
    """Return the empty queue of tasks of the ranks `rank_of`, shape (n,)."""
    # A block is split when it is full, which takes half a block of additions after the last split.
    blocks = len(rank_of) // (BLOCK // 2) + 2
    return SortedQueue(
        rank_of=rank_of,
        shape=np.array([0, blocks]),
        entries=np.empty(blocks * BLOCK, ENTRY),
        places=np.empty(blocks, PLACE),
        groups=np.empty(blocks // GROUP + 1, BOUND),
        spare=np.arange(blocks)[::-1].copy(),
        plan=make_planned_ends(most_running),
    )


@bare_kernel
def add(
    rank: int,
    row: int,
    need: int,
    length: float,
    shape: IntArray,
    entries: Records,
    places: Records,
    groups: Records,
    spare: IntArray,
) -> None:
    """Queue a task."""
    used = shape[USED]
    at = used - 1
    if used > 0 and rank < places[at]["fence"]:
        at = _place_of(rank, used, places)
    if used == 0 or places[at]["size"] == BLOCK:
        at = _make_room(rank, at, shape, entries, places, groups, spare)
    place = places[at]
    first = place["block"] * BLOCK
    i = first + place["size"]
    while i > first and entries[i - 1]["rank"] > rank:
        entries[i] = entries[i - 1]
        i -= 1
    entries[i]["rank"] = rank
    entries[i]["row"] = row
    entries[i]["cpus"] = need
    entries[i]["expected"] = length
    place["size"] += 1
    if rank < place["fence"]:
        place["fence"] = rank
    _lower(place, need, length)
    _lower(groups[at // GROUP], need, length)


@bare_kernel
def remove(
    at: int, i: int, shape: IntArray, entries: Records, places: Records, groups: Records, spare: IntArray
) -> None:
    """Take the task number `i` of the block at place `at` out of the queue."""
    place = places[at]
    place["size"] -= 1
    size = place["size"]
    first = place["block"] * BLOCK
    for j in range(first + i, first + size):
        entries[j] = entries[j + 1]
    if size == 0:
        _remove_block(at, shape, places, spare)
        _bound_groups(at, shape[USED], places, groups)
    elif 4 * size <= BLOCK:
        _merge(at, shape, entries, places, groups, spare)
        _merge(at - 1, shape, entries, places, groups, spare)


@bare_kernel
def next_that_may_start(
    after: int,
    now: float,
    free: int,
    shadow_time: float,
    extra: int,
    shape: IntArray,
    entries: Records,
    places: Records,
    groups: Records,
) -> int:
    """Return where the first task with a rank above `after` lies that may start now, as place * BLOCK + number; or -1.

    It must fit the free processors, and end by the shadow time or need no more than the extra processors.
    """
    used = shape[USED]
    at = _place_of(after, used, places)
    while at < used:
        if at % GROUP == 0:
            group = at // GROUP
            if not _may_start(groups[group], now, free, shadow_time, extra):
                at += GROUP
                continue
        place = places[at]
        if _may_start(place, now, free, shadow_time, extra):
            first = place["block"] * BLOCK
            for i in range(place["size"]):
                entry = entries[first + i]
                if entry["rank"] > after and _may_start(entry, now, free, shadow_time, extra):
                    return int(at * BLOCK + i)
            _bound(place, entries)
        at += 1
        if at % GROUP == 0 or at == used:
            _bound_groups(at - 1, min(at, used), places, groups)
    return -1


@bare_kernel
def _may_start(least: Any, now: float, free: int, shadow_time: float, extra: int) -> bool:
    need = least["cpus"]
    return bool(need <= free and (need <= extra or now + least["expected"] <= shadow_time))


@bare_kernel
def _lower(bound: Any, need: int, length: float) -> None:
    if need < bound["cpus"]:
        bound["cpus"] = need
    if length < bound["expected"]:
        bound["expected"] = length


@bare_kernel
def _clear(bound: Any) -> None:
    bound["cpus"] = EVERYTHING
    bound["expected"] = np.inf


@bare_kernel
def _bound(place: Any, entries: Records) -> None:
    """Set the exact bounds of a place."""
    _clear(place)
    first = place["block"] * BLOCK
    for i in range(first, first + place["size"]):
        _lower(place, entries[i]["cpus"], entries[i]["expected"])


@bare_kernel
def _bound_groups(at: int, end: int, places: Records, groups: Records) -> None:
    """Set the bounds of the groups from that of place `at` up to that of the place before `end`, the last in use."""
    for group in range(at // GROUP, (end + GROUP - 1) // GROUP):
        _clear(groups[group])
        for i in range(group * GROUP, min((group + 1) * GROUP, end)):
            _lower(groups[group], places[i]["cpus"], places[i]["expected"])


@bare_kernel
def _place_of(rank: int, used: int, places: Records) -> int:
    """Return the place that a rank belongs to; there must be one."""
    first, last = 0, used
    while last - first > 1:
        middle = (first + last) >> 1
        if places[middle]["fence"] <= rank:
            first = middle
        else:
            last = middle
    return first


@bare_kernel
def _insert_block(at: int, fence: int, shape: IntArray, places: Records, spare: IntArray) -> None:
    """Put an empty block at place `at`."""
    for i in range(shape[USED], at, -1):
        places[i] = places[i - 1]
    shape[SPARE] -= 1
    shape[USED] += 1
    places[at]["block"] = spare[shape[SPARE]]
    places[at]["size"] = 0
    places[at]["fence"] = fence
    _clear(places[at])


@bare_kernel
def _remove_block(at: int, shape: IntArray, places: Records, spare: IntArray) -> None:
    """Take the block at place `at` out of use."""
    spare[shape[SPARE]] = places[at]["block"]
    shape[SPARE] += 1
    shape[USED] -= 1
    for i in range(at, shape[USED]):
        places[i] = places[i + 1]


@bare_kernel
def _make_room(
    rank: int, at: int, shape: IntArray, entries: Records, places: Records, groups: Records, spare: IntArray
) -> int:
    """Return a place with room for a rank, where the block that it belongs to is full or there is none."""
    used = shape[USED]
    if used == 0 or (at == used - 1 and rank > entries[places[at]["block"] * BLOCK + BLOCK - 1]["rank"]):
        # Behind the last task, as in arrival order: an empty block leaves the others full.
        _insert_block(used, rank, shape, places, spare)
        _bound_groups(used, used + 1, places, groups)
        return int(used)
    half = BLOCK // 2
    lower = places[at]["block"] * BLOCK
    _insert_block(at + 1, entries[lower + half]["rank"], shape, places, spare)
    upper = places[at + 1]["block"] * BLOCK
    for i in range(half):
        entries[upper + i] = entries[lower + half + i]
    places[at]["size"] = half
    places[at + 1]["size"] = half
    _bound(places[at], entries)
    _bound(places[at + 1], entries)
    _bound_groups(at, shape[USED], places, groups)
    return int(at + (rank > places[at + 1]["fence"]))


@bare_kernel
def _merge(at: int, shape: IntArray, entries: Records, places: Records, groups: Records, spare: IntArray) -> None:
    """Merge the block at place `at` with the next one where both together fill less than half a block."""
    if at < 0 or at + 1 >= shape[USED]:
        return
    place, following = places[at], places[at + 1]
    size = place["size"]
    if 2 * (size + following["size"]) > BLOCK:
        return
    to, source = place["block"] * BLOCK + size, following["block"] * BLOCK
    for i in range(following["size"]):
        entries[to + i] = entries[source + i]
    place["size"] = size + following["size"]
    _lower(place, following["cpus"], following["expected"])
    _remove_block(at + 1, shape, places, spare)
    _bound_groups(at, shape[USED], places, groups)
