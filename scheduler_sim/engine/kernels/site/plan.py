"""The plan of one pass: slots of time one after another, each with the nodes that are not yet promised to a task."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.bounds import forget_promises, list_promise
from scheduler_sim.engine.kernels.site.state import SLOTS, WORDS, State


@inner_kernel
def begin_plan(s: State, begin: float) -> None:
    """Let a plan have one slot with all nodes that are there; those away are not thought to come back."""
    s.counts[SLOTS] = 1
    s.slot_times[0] = begin
    for w in range(s.settings[WORDS]):
        s.slot_masks[w] = s.up_words[w]
    forget_promises(s)


@inner_kernel
def slot_end(s: State, slot: int, horizon: float) -> float:
    """Return when a slot ends; the last one ends with the plan."""
    return float(s.slot_times[slot + 1]) if slot + 1 < s.counts[SLOTS] else horizon


@inner_kernel
def slot_of(s: State, time: float) -> int:
    """Return the slot that holds an instant."""
    first, last = 0, s.counts[SLOTS]
    while last - first > 1:
        middle = (first + last) // 2
        if s.slot_times[middle] <= time:
            first = middle
        else:
            last = middle
    return first


@inner_kernel
def _split(s: State, time: float) -> int:
    """Return the slot that begins at `time`, which is cut out of the one that holds it where there is none."""
    slot = slot_of(s, time)
    if s.slot_times[slot] >= time:
        return slot
    words = s.settings[WORDS]
    for i in range(s.counts[SLOTS], slot + 1, -1):
        s.slot_times[i] = s.slot_times[i - 1]
    for i in range((s.counts[SLOTS] + 1) * words - 1, (slot + 1) * words - 1, -1):
        s.slot_masks[i] = s.slot_masks[i - words]
    s.slot_times[slot + 1] = time
    s.counts[SLOTS] += 1
    return slot + 1


@inner_kernel
def _is_like(s: State, one: int, other: int) -> bool:
    words = s.settings[WORDS]
    differ = 0
    for w in range(words):
        differ |= s.slot_masks[one * words + w] ^ s.slot_masks[other * words + w]
    return differ == 0


@inner_kernel
def _drop(s: State, slot: int) -> None:
    """Let the slot before one reach to its end."""
    words = s.settings[WORDS]
    s.counts[SLOTS] -= 1
    for i in range(slot, s.counts[SLOTS]):
        s.slot_times[i] = s.slot_times[i + 1]
    for i in range(slot * words, s.counts[SLOTS] * words):
        s.slot_masks[i] = s.slot_masks[i + words]


@inner_kernel
def promise(s: State, begin: float, end: float, horizon: float) -> None:
    """Take the nodes of `chosen_words` out of the plan from `begin` to `end`.

    Then one pair of like neighbours at most becomes one slot, the first from the one before the promise to the one
    behind it, as Slurm does.
    """
    words = s.settings[WORDS]
    if begin >= horizon:
        return
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
    for slot in range(first, last):
        for w in range(words):
            s.slot_masks[slot * words + w] &= ~s.chosen_words[w]
    for slot in range(before, min(last, s.counts[SLOTS] - 1)):
        if _is_like(s, slot, slot + 1):
            _drop(s, slot + 1)
            return


@inner_kernel
def collides(s: State, begin: float, end: float, horizon: float) -> bool:
    """Tell whether a node of `chosen_words` is promised to another task between `begin` and `end`."""
    words = s.settings[WORDS]
    for slot in range(slot_of(s, begin), s.counts[SLOTS]):
        if s.slot_times[slot] >= end:
            break
        if slot_end(s, slot, horizon) > begin:
            for w in range(words):
                if s.chosen_words[w] & ~s.slot_masks[slot * words + w]:
                    return True
    return False


@inner_kernel
def keep_promises(s: State, begin: float, end: float, later: float, horizon: float) -> float:
    """Leave in `avail_words` only nodes promised to nobody from `begin` to `end`.

    Returns `later`, or where that is not yet said the next instant at which the plan has more of the usable nodes,
    infinity for none: nothing before is worth another look.
    """
    words = s.settings[WORDS]
    for slot in range(slot_of(s, begin), s.counts[SLOTS]):
        at = slot * words
        ends = slot_end(s, slot, horizon)
        if ends > begin and slot + 1 < s.counts[SLOTS] and later == np.inf:
            for w in range(words):
                gained = s.slot_masks[at + words + w] & s.usable_words[w]
                if gained & ~(s.slot_masks[at + w] & s.avail_words[w]):
                    later = ends
                    break
        if ends <= begin:
            continue
        if s.slot_times[slot] > end:
            break
        for w in range(words):
            s.avail_words[w] &= s.slot_masks[at + w]
    return later
