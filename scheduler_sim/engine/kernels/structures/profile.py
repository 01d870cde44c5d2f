"""The plan of conservative backfilling: free processors as a step function of future time.

The steps (time, change of the free processors) lie in time order in blocks; a block knows the sum of its steps and
the lowest and highest partial sum, so that a search passes over whole blocks in which nothing can begin or break
off. Neighbours that together fill less than half a block are merged, which bounds the number of blocks.
"""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

BLOCK = 32
"""Steps in a full block."""

LEVEL, BLOCKS, SPARE = 0, 1, 2
"""Places in `Profile.counts`: free processors at the present, blocks in use, block numbers never used or returned."""


class Profile(NamedTuple):
    """Free processors over time.

    Attributes:
        counts: see above.
        sequence: numbers of the blocks in use, in time order.
        spare: numbers of the blocks not in use, a stack.
        before: shape (blocks,), in time order: the sum of all steps that lie in earlier blocks.
        size, total, low, high: of each block: its steps, their sum, the lowest and highest partial sum.
        times, steps: shape (blocks, BLOCK).
    """

    counts: IntArray
    sequence: IntArray
    spare: IntArray
    before: IntArray
    size: IntArray
    total: IntArray
    low: IntArray
    high: IntArray
    times: FloatArray
    steps: IntArray


def make_profile(intervals: int, level: int) -> Profile:
    """Return a constant profile with room for that many overlapping intervals."""
    blocks = 8 * intervals // BLOCK + 4
    return Profile(
        counts=np.array([level, 0, blocks]),
        sequence=np.empty(blocks, np.int64),
        spare=np.arange(blocks),
        before=np.zeros(blocks, np.int64),
        size=np.empty(blocks, np.int64),
        total=np.empty(blocks, np.int64),
        low=np.empty(blocks, np.int64),
        high=np.empty(blocks, np.int64),
        times=np.empty((blocks, BLOCK)),
        steps=np.empty((blocks, BLOCK), np.int64),
    )


@bare_kernel
def clear(profile: Profile, level: int) -> None:
    """Make the profile constant."""
    counts = profile.counts
    for place in range(counts[BLOCKS]):
        profile.spare[counts[SPARE]] = profile.sequence[place]
        counts[SPARE] += 1
    counts[BLOCKS] = 0
    counts[LEVEL] = level


@bare_kernel
def _summarise(profile: Profile, block: int) -> None:
    total = 0
    low = 2**62
    high = -(2**62)
    for i in range(profile.size[block]):
        total += profile.steps[block, i]
        low = min(low, total)
        high = max(high, total)
    profile.total[block] = total
    profile.low[block] = low
    profile.high[block] = high


@bare_kernel
def _insert_block(profile: Profile, place: int) -> int:
    counts = profile.counts
    counts[SPARE] -= 1
    block = profile.spare[counts[SPARE]]
    for i in range(counts[BLOCKS], place, -1):
        profile.sequence[i] = profile.sequence[i - 1]
        profile.before[i] = profile.before[i - 1]
    profile.sequence[place] = block
    counts[BLOCKS] += 1
    profile.size[block] = 0
    return int(block)


@bare_kernel
def _remove_block(profile: Profile, place: int) -> None:
    counts = profile.counts
    profile.spare[counts[SPARE]] = profile.sequence[place]
    counts[SPARE] += 1
    counts[BLOCKS] -= 1
    for i in range(place, counts[BLOCKS]):
        profile.sequence[i] = profile.sequence[i + 1]
        profile.before[i] = profile.before[i + 1]


@bare_kernel
def _merge_small(profile: Profile, place: int) -> None:
    """Merge the block at `place` with the next one where both together are less than half a block."""
    if place < 0 or place + 1 >= profile.counts[BLOCKS]:
        return
    block = profile.sequence[place]
    following = profile.sequence[place + 1]
    size = profile.size[block]
    if 2 * (size + profile.size[following]) > BLOCK:
        return
    for i in range(profile.size[following]):
        profile.times[block, size + i] = profile.times[following, i]
        profile.steps[block, size + i] = profile.steps[following, i]
    profile.size[block] = size + profile.size[following]
    _remove_block(profile, place + 1)
    _summarise(profile, block)


@bare_kernel
def _place_of(profile: Profile, time: float) -> int:
    """Return the place of the last block that begins at `time` or before, or 0."""
    first = 0
    last = profile.counts[BLOCKS]
    while last - first > 1:
        middle = (first + last) >> 1
        if profile.times[profile.sequence[middle], 0] <= time:
            first = middle
        else:
            last = middle
    return first


@bare_kernel
def step(profile: Profile, time: float, change: int) -> None:
    """Change the free processors by `change` from `time` on; a step that becomes 0 vanishes."""
    counts = profile.counts
    if counts[BLOCKS] == 0:
        _insert_block(profile, 0)
        profile.before[0] = 0
    place = _place_of(profile, time)
    for i in range(place + 1, counts[BLOCKS]):
        profile.before[i] += change
    block = profile.sequence[place]
    size = profile.size[block]
    at = 0
    while at < size and profile.times[block, at] < time:
        at += 1
    if at < size and profile.times[block, at] == time:
        profile.steps[block, at] += change
        if profile.steps[block, at] == 0:
            size -= 1
            profile.size[block] = size
            for i in range(at, size):
                profile.times[block, i] = profile.times[block, i + 1]
                profile.steps[block, i] = profile.steps[block, i + 1]
            if size == 0:
                _remove_block(profile, place)
                _merge_small(profile, place - 1)
                return
            _summarise(profile, block)
            _merge_small(profile, place)
            _merge_small(profile, place - 1)
            return
        _summarise(profile, block)
        return
    split = size == BLOCK
    if split:
        half = BLOCK // 2
        upper = _insert_block(profile, place + 1)
        for i in range(half):
            profile.times[upper, i] = profile.times[block, half + i]
            profile.steps[upper, i] = profile.steps[block, half + i]
        profile.size[upper] = half
        profile.size[block] = half
        if at > half:
            _summarise(profile, block)
            block = upper
            at -= half
        else:
            _summarise(profile, upper)
        size = half
    for i in range(size, at, -1):
        profile.times[block, i] = profile.times[block, i - 1]
        profile.steps[block, i] = profile.steps[block, i - 1]
    profile.times[block, at] = time
    profile.steps[block, at] = change
    profile.size[block] = size + 1
    _summarise(profile, block)
    if split:
        profile.before[place + 1] = profile.before[place] + profile.total[profile.sequence[place]]


@bare_kernel
def move_on(profile: Profile, now: float) -> None:
    """Fold the steps up to and including `now` into the present level."""
    counts = profile.counts
    level = counts[LEVEL]
    while counts[BLOCKS] > 0:
        block = profile.sequence[0]
        size = profile.size[block]
        past = 0
        while past < size and profile.times[block, past] <= now:
            counts[LEVEL] += profile.steps[block, past]
            past += 1
        if past == size:
            _remove_block(profile, 0)
            continue
        if past > 0:
            for i in range(past, size):
                profile.times[block, i - past] = profile.times[block, i]
                profile.steps[block, i - past] = profile.steps[block, i]
            profile.size[block] = size - past
            _summarise(profile, block)
        break
    if counts[LEVEL] != level:
        for place in range(1, counts[BLOCKS]):
            profile.before[place] -= counts[LEVEL] - level
    if counts[BLOCKS] > 0:
        profile.before[0] = 0
        _merge_small(profile, 0)


@bare_kernel
def hold(profile: Profile, now: float, begin: float, end: float, cpus: int) -> None:
    """Take `cpus` processors (give them back where negative) from `begin` to `end`; `begin` is not before `now`."""
    if end <= begin:
        return
    if begin <= now:
        profile.counts[LEVEL] -= cpus
    else:
        step(profile, begin, -cpus)
    step(profile, end, cpus)


@bare_kernel
def earliest(profile: Profile, now: float, first: float, latest: float, length: float, cpus: int) -> float:
    """Return the earliest time from `first` on and before `latest` at which a task could begin, or `latest`.

    Its processors must be free at that time even where the length is 0. The caller holds a place at `latest`: what is
    planned from there on for `length` seconds is not looked at.

    Args:
        profile: of free processors.
        now: the present.
        first: not after `latest`; the present where it is before that.
        latest: seconds.
        length: seconds.
        cpus: processors.
    """
    level = profile.counts[LEVEL]
    begin, from_place, at = now, 0, 0
    if first > now and profile.counts[BLOCKS] > 0:
        begin, from_place = first, _place_of(profile, first)
        level += profile.before[from_place]
        block = profile.sequence[from_place]
        while at < profile.size[block] and profile.times[block, at] <= first:
            level += profile.steps[block, at]
            at += 1
    found = level >= cpus
    for place in range(from_place, profile.counts[BLOCKS]):
        block = profile.sequence[place]
        if at == 0:
            time = profile.times[block, 0]
            if found and time >= min(begin + length, latest):
                return begin
            if time >= latest:
                return latest
            if level + profile.low[block] >= cpus if found else level + profile.high[block] < cpus:
                level += profile.total[block]
                continue
        size = profile.size[block]
        end = profile.times[block, size - 1]
        if at == 0 and end < latest and end < (begin if found else profile.times[block, 0]) + length:
            # Nothing that begins here or before can be told to last before the block ends: only the last break counts.
            level += profile.total[block]
            i, above = size - 1, level
            while i >= 0 and above >= cpus:
                above -= profile.steps[block, i]
                i -= 1
            if i == size - 1:
                found = False
            elif i >= 0 or not found:
                found = True
                begin = profile.times[block, i + 1]
            continue
        for i in range(at, size):
            time = profile.times[block, i]
            if found and time >= min(begin + length, latest):
                return begin
            if time >= latest:
                return latest
            level += profile.steps[block, i]
            if level < cpus:
                found = False
            elif not found:
                found = True
                begin = time
        at = 0
    return begin if found else latest
