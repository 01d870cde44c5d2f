"""The plan of one pass: slots of time one after another, each with the nodes that are not yet promised to a task.

The set of slot i lies at `slot_place[i]`, so that slots come and go without moving sets; behind the last slot stand the
places that are free. Loops take arrays out of the state first: code that writes would else read their addresses anew.
"""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.bounds import forget_promises, list_promise
from scheduler_sim.engine.kernels.site.state import PROMISED, SLOTS, WORDS, State
from scheduler_sim.engine.kernels.structures.bits import WORD, bits_in, bits_up_to


@inner_kernel
def begin_plan(s: State, begin: float) -> None:
    """Let a plan have one slot with all nodes that are there; those away are not thought to come back."""
    words = s.settings[WORDS]
    s.counts[SLOTS] = 1
    s.counts[PROMISED] += 1
    s.slot_times[0] = begin
    at = s.slot_place[0] * words
    for w in range(words):
        s.slot_masks[at + w] = s.up_words[w]
    forget_promises(s)


@inner_kernel
def slot_end(s: State, slot: int, horizon: float) -> float:
    """Return when a slot ends; the last one ends with the plan."""
    return float(s.slot_times[slot + 1]) if slot + 1 < s.counts[SLOTS] else horizon


@inner_kernel
def slot_of(s: State, time: float) -> int:
    """Return the slot that holds an instant, the first where none does."""
    slots, times, begun, first = s.counts[SLOTS], s.slot_times, 0, 0
    while first < slots:
        bits = bits_up_to(times, first, time)
        if slots - first < WORD:
            bits &= (1 << (slots - first)) - 1
        begun += bits_in(bits)
        first += WORD
    return max(begun - 1, 0)


@inner_kernel
def _split(s: State, time: float) -> int:
    """Return the slot that begins at `time`, which is cut out of the one that holds it where there is none."""
    slot = slot_of(s, time)
    times, place, masks = s.slot_times, s.slot_place, s.slot_masks
    if times[slot] >= time:
        return slot
    words, slots = s.settings[WORDS], s.counts[SLOTS]
    fresh = place[slots]
    for i in range(slots, slot + 1, -1):
        times[i], place[i] = times[i - 1], place[i - 1]
    times[slot + 1], place[slot + 1] = time, fresh
    one, other = place[slot] * words, fresh * words
    for w in range(words):
        masks[other + w] = masks[one + w]
    s.counts[SLOTS] = slots + 1
    return slot + 1


@inner_kernel
def _is_like(s: State, slot: int) -> bool:
    """Tell whether a slot and the one behind it have the same nodes."""
    words, masks = s.settings[WORDS], s.slot_masks
    one, other = s.slot_place[slot] * words, s.slot_place[slot + 1] * words
    differing = 0
    for w in range(words):
        differing |= masks[one + w] ^ masks[other + w]
    return bool(differing == 0)


@inner_kernel
def _drop(s: State, slot: int) -> None:
    """Let the slot before one reach to its end."""
    times, place, last = s.slot_times, s.slot_place, s.counts[SLOTS] - 1
    gone = place[slot]
    for i in range(slot, last):
        times[i], place[i] = times[i + 1], place[i + 1]
    place[last] = gone
    s.counts[SLOTS] = last


@inner_kernel
def promise(s: State, begin: float, end: float, horizon: float) -> None:
    """Take the nodes of `chosen_words` out of the plan from `begin` to `end`.

    Then one pair of like neighbours at most becomes one slot, the first from the one before the promise to the one
    behind it, as Slurm does.
    """
    words = s.settings[WORDS]
    if begin >= horizon:
        return
    s.counts[PROMISED] += 1
    list_promise(s, begin, min(end, horizon))
    within = slot_of(s, begin)
    before = max(within - 1, 0)
    if s.slot_times[within] < begin:
        before = max(within - 1, 0)
    elif within > 0:
        before = max(within - 2, 0)
    first = _split(s, begin)
    last = s.counts[SLOTS]
    if end < horizon:
        last = _split(s, end)
    masks, place, chosen = s.slot_masks, s.slot_place, s.chosen_words
    for w in range(words):
        if chosen[w] != 0:
            kept = ~chosen[w]
            for slot in range(first, last):
                masks[place[slot] * words + w] &= kept
    for slot in range(before, min(last, s.counts[SLOTS] - 1)):
        if _is_like(s, slot):
            _drop(s, slot + 1)
            return


@inner_kernel
def collides(s: State, begin: float, end: float, horizon: float) -> bool:
    """Tell whether a node of `chosen_words` is promised to another task between `begin` and `end`."""
    words, masks, chosen = s.settings[WORDS], s.slot_masks, s.chosen_words
    for slot in range(slot_of(s, begin), s.counts[SLOTS]):
        if s.slot_times[slot] >= end:
            break
        if slot_end(s, slot, horizon) > begin:
            at, taken = s.slot_place[slot] * words, 0
            for w in range(words):
                taken |= chosen[w] & ~masks[at + w]
            if taken != 0:
                return True
    return False


@inner_kernel
def keep_promises(s: State, begin: float, end: float, later: float, horizon: float) -> float:
    """Leave in `avail_words` only nodes promised to nobody from `begin` to `end`.

    Returns `later`, or where that is not yet said the next instant at which the plan has more of the usable nodes,
    infinity for none: nothing before is worth another look.
    """
    words = s.settings[WORDS]
    masks, place, times = s.slot_masks, s.slot_place, s.slot_times
    avail, usable, slots = s.avail_words, s.usable_words, s.counts[SLOTS]
    for slot in range(slot_of(s, begin), slots):
        at = place[slot] * words
        ends = times[slot + 1] if slot + 1 < slots else horizon
        if ends > begin and slot + 1 < slots and later == np.inf:
            behind, gained = place[slot + 1] * words, 0
            for w in range(words):
                gained |= masks[behind + w] & usable[w] & ~(masks[at + w] & avail[w])
            if gained != 0:
                later = ends
        if ends <= begin:
            continue
        if times[slot] > end:
            break
        for w in range(words):
            avail[w] &= masks[at + w]
    return later
