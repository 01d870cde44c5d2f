"""Queues whose order changes with time: a kinetic tournament of scores that are linear in the wait.

Entries lie in blocks. The lowest level holds the queued tasks; an entry above stands for a block below: a copy of its
best task, the time until which that one surely stays the best (Basch, Guibas & Hershberger, Data structures for mobile
data, SODA 1997), and the least processors and duration of all tasks below. A look at the queue renews only the entries
whose time has run out. The certificates allow for the rounding of the scores, so that the order is that of the
computed scores, ties included. Copies keep a block together in memory, which is what a long queue waits for.

An entry is never taken for surer than what lies below it: whoever changes one climbs until nothing changes any more.
"""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.workload import FloatArray, IntArray

BLOCK = 16
"""Entries in a block. They are searched one after the other, which beats the four levels of a tree they replace."""

SLOTS, SPARES, LEVELS, OFFSETS = range(4)
"""Places in `KineticTree.shape`: entries of the lowest level, how many of them are empty, levels, and from here on
where each level begins; the lowest begins at 0."""

FEWEST = 4 * BLOCK
_NO_TASK = 2**62
_ROUNDING = 8 * 2.0**-52
_HALF = 8 * BLOCK
"""Half of the stack: entries lie in the first half, their levels in the second."""


class KineticTree(NamedTuple):
    """The queue.

    Attributes:
        shape: see above.
        rows, base, slope, arrival: of each entry's best task; row -1 for an empty entry.
        cpus, expected: of each entry, the least of its tasks.
        slots: of each entry, where its best task lies in the lowest level.
        expiry: of each entry, the last instant at which its best task is sure; infinite in the lowest level.
        spare: the empty slots, a stack.
        stack: entries still to visit.
        shadow: shape (1,), the blocked head's shadow time.
        plan_times, plan_rows: the running tasks by expected end, see `planned_ends`; used by EASY.
    """

    shape: IntArray
    rows: IntArray
    base: FloatArray
    slope: FloatArray
    arrival: FloatArray
    cpus: IntArray
    expected: FloatArray
    slots: IntArray
    expiry: FloatArray
    spare: IntArray
    stack: IntArray
    shadow: FloatArray
    plan_times: FloatArray
    plan_rows: IntArray


def make_kinetic_tree(length: int, most_running: int) -> KineticTree:
    """Return the empty queue of `length` tasks."""
    slots = FEWEST
    while slots < length:
        slots *= 2
    entries = slots + slots // (BLOCK - 1) + _HALF
    tree = KineticTree(
        shape=np.zeros(24, np.int64),
        rows=np.empty(entries, np.int64),
        base=np.empty(entries),
        slope=np.empty(entries),
        arrival=np.empty(entries),
        cpus=np.empty(entries, np.int64),
        expected=np.empty(entries),
        slots=np.empty(entries, np.int64),
        expiry=np.empty(entries),
        spare=np.empty(slots, np.int64),
        stack=np.empty(2 * _HALF, np.int64),
        shadow=np.zeros(1),
        plan_times=np.empty(most_running),
        plan_rows=np.empty(most_running, np.int64),
    )
    resize(0.0, FEWEST, *tree[:10])
    return tree


@kernel
def sure_until(
    now: float,
    ahead: float,
    behind: float,
    base: float,
    other_base: float,
    slope: float,
    other_slope: float,
    earlier: bool,
) -> float:
    """Return the last instant at which a task surely beats another; their scores are `ahead` and `behind`.

    A winner that leads by g stays ahead for x seconds while g - (A2 - A1) x >= r (V + (A1 + A2) x), where A1 and A2
    are the slopes of winner and loser, V bounds the values and r the relative error of a computed score. A task that
    is not later, not flatter and not above the other stays ahead for ever, because rounding is monotone.
    """
    if earlier and slope >= other_slope and base <= other_base:
        return np.inf
    size = abs(ahead) + abs(behind) + abs(base) + abs(other_base)
    room = (behind - ahead) - _ROUNDING * size
    if room <= 0.0:
        return now
    rate = (other_slope - slope) + _ROUNDING * (other_slope + slope)
    if rate <= 0.0:
        return np.inf
    end = now + 0.999999999 * (room / rate)
    return max(now, end - 4.5e-16 * abs(end))


@kernel
def settle(
    now: float,
    first: int,
    entry: int,
    rows: IntArray,
    base: FloatArray,
    slope: FloatArray,
    arrival: FloatArray,
    cpus: IntArray,
    expected: FloatArray,
    slots: IntArray,
    expiry: FloatArray,
) -> None:
    """Decide an entry from its block, which begins at `first`."""
    winner = -1
    ahead = np.inf
    need = _NO_TASK
    length = np.inf
    until = np.inf
    for i in range(first, first + BLOCK):
        if rows[i] < 0:
            continue
        need = min(need, cpus[i])
        length = min(length, expected[i])
        until = min(until, expiry[i])
        value = base[i] - slope[i] * (now - arrival[i])
        if winner < 0 or value < ahead or (value == ahead and rows[i] < rows[winner]):
            winner = i
            ahead = value
    cpus[entry] = need
    expected[entry] = length
    if winner < 0:
        rows[entry] = -1
        expiry[entry] = np.inf
        return
    for i in range(first, first + BLOCK):
        if rows[i] >= 0 and i != winner:
            behind = base[i] - slope[i] * (now - arrival[i])
            earlier = rows[winner] < rows[i]
            end = sure_until(now, ahead, behind, base[winner], base[i], slope[winner], slope[i], earlier)
            until = min(until, end)
    rows[entry] = rows[winner]
    base[entry] = base[winner]
    slope[entry] = slope[winner]
    arrival[entry] = arrival[winner]
    slots[entry] = slots[winner]
    expiry[entry] = until


@kernel
def renew(
    now: float,
    shape: IntArray,
    rows: IntArray,
    base: FloatArray,
    slope: FloatArray,
    arrival: FloatArray,
    cpus: IntArray,
    expected: FloatArray,
    slots: IntArray,
    expiry: FloatArray,
    stack: IntArray,
) -> None:
    """Decide anew the entries that are no longer sure, from below."""
    level = shape[LEVELS] - 1
    stack[0] = shape[OFFSETS + level]
    stack[_HALF] = level
    top = 0
    while top >= 0:
        entry = abs(stack[top])
        level = stack[_HALF + top]
        first = shape[OFFSETS + level - 1] + (entry - shape[OFFSETS + level]) * BLOCK
        if stack[top] < 0 or level == 1:
            settle(now, first, entry, rows, base, slope, arrival, cpus, expected, slots, expiry)
            top -= 1
            continue
        # A negative entry comes up again once the expired ones below it are decided.
        stack[top] = -entry
        for i in range(first, first + BLOCK):
            if expiry[i] < now:
                top += 1
                stack[top] = i
                stack[_HALF + top] = level - 1


@kernel
def change(
    now: float,
    slot: int,
    entering: bool,
    shape: IntArray,
    rows: IntArray,
    base: FloatArray,
    slope: FloatArray,
    arrival: FloatArray,
    cpus: IntArray,
    expected: FloatArray,
    slots: IntArray,
    expiry: FloatArray,
) -> None:
    """Put the entries above right after a slot was filled (`entering`) or emptied."""
    child = slot
    place = slot
    child_is_new = True
    for level in range(1, shape[LEVELS]):
        place //= BLOCK
        entry = shape[OFFSETS + level] + place
        first = shape[OFFSETS + level - 1] + place * BLOCK
        row = rows[entry]
        until = min(expiry[entry], expiry[child])
        need = cpus[entry]
        length = expected[entry]
        decided = False
        if entering:
            need = min(need, cpus[slot])
            length = min(length, expected[slot])
            if row >= 0 and expiry[entry] >= now:
                ahead = base[entry] - slope[entry] * (now - arrival[entry])
                behind = base[slot] - slope[slot] * (now - arrival[slot])
                if ahead < behind or (ahead == behind and row < rows[slot]):
                    decided = True
                    earlier = row < rows[slot]
                    end = sure_until(now, ahead, behind, base[entry], base[slot], slope[entry], slope[slot], earlier)
                    until = min(until, end)
        elif not child_is_new:
            decided = True
            need = _NO_TASK
            length = np.inf
            for i in range(first, first + BLOCK):
                need = min(need, cpus[i])
                length = min(length, expected[i])
        if decided:
            if until == expiry[entry] and need == cpus[entry] and length == expected[entry]:
                return
            expiry[entry] = until
            cpus[entry] = need
            expected[entry] = length
        else:
            settle(now, first, entry, rows, base, slope, arrival, cpus, expected, slots, expiry)
        child = entry
        child_is_new = rows[entry] != row


@kernel
def resize(
    now: float,
    wanted: int,
    shape: IntArray,
    rows: IntArray,
    base: FloatArray,
    slope: FloatArray,
    arrival: FloatArray,
    cpus: IntArray,
    expected: FloatArray,
    slots: IntArray,
    expiry: FloatArray,
    spare: IntArray,
) -> None:
    """Close the gaps between the slots and build a tree of `wanted` slots, a multiple of a block."""
    used = 0
    for slot in range(shape[SLOTS]):
        if rows[slot] >= 0:
            rows[used] = rows[slot]
            base[used] = base[slot]
            slope[used] = slope[slot]
            arrival[used] = arrival[slot]
            cpus[used] = cpus[slot]
            expected[used] = expected[slot]
            used += 1
    for slot in range(wanted):
        slots[slot] = slot
        expiry[slot] = np.inf
    for slot in range(used, wanted):
        spare[wanted - 1 - slot] = slot
    shape[SLOTS] = wanted
    shape[SPARES] = wanted - used
    filled = used
    width = wanted
    begin = 0
    level = 0
    while True:
        # Each level is filled up with empty entries to a whole number of blocks.
        for i in range(begin + filled, begin + width):
            rows[i] = -1
            expiry[i] = np.inf
            cpus[i] = _NO_TASK
            expected[i] = np.inf
        shape[OFFSETS + level] = begin
        level += 1
        if width == 1:
            break
        filled = width // BLOCK
        above = begin + width
        for i in range(filled):
            settle(now, begin + i * BLOCK, above + i, rows, base, slope, arrival, cpus, expected, slots, expiry)
        begin = above
        width = filled if filled == 1 else (filled + BLOCK - 1) // BLOCK * BLOCK
    shape[LEVELS] = level


@kernel
def find(
    now: float,
    free: int,
    shadow_time: float,
    extra: int,
    shape: IntArray,
    rows: IntArray,
    base: FloatArray,
    slope: FloatArray,
    arrival: FloatArray,
    cpus: IntArray,
    expected: FloatArray,
    slots: IntArray,
    stack: IntArray,
) -> int:
    """Return the slot of the best task that fits and ends by the shadow time or needs only extra processors, or -1.

    All entries must be sure at `now`. An entry's score bounds what lies below it.
    """
    level = shape[LEVELS] - 1
    stack[0] = shape[OFFSETS + level]
    stack[_HALF] = level
    top = 0
    found = -1
    lowest = np.inf
    while top >= 0:
        entry = stack[top]
        level = stack[_HALF + top]
        top -= 1
        value = base[entry] - slope[entry] * (now - arrival[entry])
        if found >= 0 and (value > lowest or (value == lowest and rows[entry] > rows[found])):
            continue
        slot = slots[entry]
        if cpus[slot] <= free and (cpus[slot] <= extra or now + expected[slot] <= shadow_time):
            found = slot
            lowest = value
            continue
        if level == 0:
            continue
        first = shape[OFFSETS + level - 1] + (entry - shape[OFFSETS + level]) * BLOCK
        for i in range(first, first + BLOCK):
            if cpus[i] > free or (cpus[i] > extra and now + expected[i] > shadow_time):
                continue
            value = base[i] - slope[i] * (now - arrival[i])
            if found >= 0 and (value > lowest or (value == lowest and rows[i] > rows[found])):
                continue
            if level == 1:
                found = i
                lowest = value
                continue
            top += 1
            stack[top] = i
            stack[_HALF + top] = level - 1
    return found
