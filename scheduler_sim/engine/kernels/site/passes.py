"""One look at the queue: Slurm's main loop, and what other policies without plans do at every event."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.limits import over_amount, over_array, over_count
from scheduler_sim.engine.kernels.site.match import choose, enough
from scheduler_sim.engine.kernels.site.offers import offering_now
from scheduler_sim.engine.kernels.site.preempt import choose_by_preemption, choose_over, displace
from scheduler_sim.engine.kernels.site.queue import tidy
from scheduler_sim.engine.kernels.site.reasons import (
    MAINTENANCE,
    NO_REASON,
    PRIORITY,
    RESERVATION,
    RESERVED,
    RESOURCES,
)
from scheduler_sim.engine.kernels.site.state import (
    BEGUN,
    CHANGED,
    LOGGED,
    PASS,
    QUEUE,
    SUSPENDING,
    VICTIMS,
    WAITING,
    WHOLE_SECONDS,
    WORDS,
    State,
)
from scheduler_sim.engine.kernels.site.verbs import start

ALL, FIRST, UNSHARED = range(3)
"""What a task blocks that does not fit: its partition and its nodes, nothing, or all that share nodes with it."""

STARTED, LIMITED, NEVER, BUSY = range(4)
"""What came of a task that was tried."""


@inner_kernel
def whole(s: State, now: float) -> float:
    """Return an instant as plans know it."""
    return float(np.floor(now)) if s.settings[WHOLE_SECONDS] else now


@inner_kernel
def shut(s: State, entry: int, begin: float, end: float) -> int:
    """Take nodes out of `avail_words` that others have reserved in a span; return a reservation that meets it, or -1.

    A task inside a reservation lies within its span and on its nodes, or has none.
    """
    words = s.settings[WORDS]
    own = s.site_tasks[s.entry_task[entry]].reservation
    part = s.kinds[s.entry_kind[entry]].part
    met = -1
    for r in range(len(s.shut_from)):
        if r == own:
            within = begin >= s.shut_from[r] and end <= s.shut_until[r]
            for w in range(words):
                s.avail_words[w] &= s.shut_masks[r * words + w] if within else 0
            continue
        if s.shut_from[r] >= end or s.shut_until[r] <= begin:
            continue
        for w in range(words):
            s.avail_words[w] &= ~s.shut_masks[r * words + w]
            if s.part_masks[part * words + w] & s.shut_masks[r * words + w]:
                met = r
    return met


@inner_kernel
def covered_until(s: State, entry: int, begin: float, limit: float) -> float:
    """Return when an entry can begin at the earliest that would else meet maintenance of all of its partition."""
    words = s.settings[WORDS]
    part = s.kinds[s.entry_kind[entry]].part
    own = s.site_tasks[s.entry_task[entry]].reservation
    r = 0
    while r < len(s.shut_from):
        covers = r != own and s.shut_maint[r] and s.shut_from[r] < begin + limit and s.shut_until[r] > begin
        for w in range(words):
            covers = covers and (s.part_masks[part * words + w] & ~s.shut_masks[r * words + w]) == 0
        r += 1
        if covers:
            begin = s.shut_until[r - 1]
            r = 0
    return begin


@inner_kernel
def fits_now(s: State, kind: int) -> bool:
    """Tell whether a kind fits on its nodes now, whatever is promised; what did not does not until a release.
    What did does until a node changes.

    The chosen nodes are written over.
    """
    k = s.kinds[kind]
    version = s.part_version[k.part]
    if s.kind_failed[kind] == version:
        return False
    if s.kind_fitted[kind] == s.counts[LOGGED]:
        return True
    fits = offering_now(s, kind) >= k.least
    if fits and not k.counts_nodes:
        words = s.settings[WORDS]
        for w in range(words):
            s.mask_words[w] = s.kind_masks[kind * words + w]
        fits = choose(s, kind, -np.inf, -1, False)
    if fits:
        s.kind_fitted[kind] = s.counts[LOGGED]
    else:
        s.kind_failed[kind] = version
    return bool(fits)


@inner_kernel
def try_start(s: State, entry: int, now: float) -> int:
    """Start an entry on `avail_words` if it can, which reservations are taken out of."""
    words = s.settings[WORDS]
    row, kind = s.entry_task[entry], s.entry_kind[entry]
    t = s.site_tasks[row]
    s.entry_settled[entry] = 0
    begin, limit = whole(s, now), s.entry_limit[entry]
    if covered_until(s, entry, begin, limit) > begin:
        t.reason = MAINTENANCE
        return NEVER
    own = t.reservation
    if own >= 0 and (begin < s.shut_from[own] or begin + limit > s.shut_until[own]):
        t.reason = RESERVATION
        return NEVER
    met = shut(s, entry, begin, begin + limit)
    fits = fits_now(s, kind)
    limits = False
    for w in range(words):
        s.mask_words[w] = s.avail_words[w] & s.kind_masks[kind * words + w]
        limits = limits or s.mask_words[w] != s.kind_masks[kind * words + w]
    fits = fits and choose(s, kind, -np.inf, -1, True)
    if not fits and s.settings[SUSPENDING]:
        fits = choose_over(s, kind, row)
    displaces = not fits and choose_by_preemption(s, kind, row, now)
    reason = over_amount(s, entry, fits or displaces)
    if reason != NO_REASON:
        t.reason = reason
        s.counts[VICTIMS] = 0
        return LIMITED
    if fits:
        start(s, entry, now)
        return STARTED
    if displaces:
        displace(s, row, now)
        s.counts[VICTIMS] = 0
    if not displaces and limits and not choose(s, kind, np.inf, -1, False):
        t.reason = RESERVED
        if met >= 0 and s.shut_maint[met]:
            t.reason = MAINTENANCE
        return NEVER
    t.reason = RESOURCES
    return BUSY


@inner_kernel
def _is_blocked(s: State, part: int, blocking: int) -> bool:
    if blocking == FIRST:
        return False
    if s.part_seen[part] == s.counts[PASS]:
        return True
    if blocking == UNSHARED:
        words = s.settings[WORDS]
        for w in range(words):
            if s.part_masks[part * words + w] & s.up_words[w] & ~s.open_words[w]:
                return True
    return False


@inner_kernel
def main_pass(s: State, now: float, depth: int, blocking: int) -> None:
    """Start what fits in the order of the queue, of so many entries; `blocking` says what one blocks that does not.

    `entry_settled` is 1 + the partition of an entry for which nothing has to be done while that is blocked, since its
    reason is said, and 0 of others.
    """
    words = s.settings[WORDS]
    s.counts[PASS] += 1
    begun = s.counts[BEGUN]
    for w in range(words):
        s.open_words[w] = s.up_words[w]
    looked = 0
    for i in range(s.counts[QUEUE]):
        entry = s.queue_entries[i]
        settled = s.entry_settled[entry]
        if settled > 0 and blocking == ALL and s.part_seen[settled - 1] == s.counts[PASS]:
            if looked >= depth:
                break
            looked += 1
            s.counts[CHANGED] = 1
            continue
        row = s.entry_task[entry]
        t = s.site_tasks[row]
        if t.state != WAITING or t.preempting == s.counts[PASS]:
            continue
        part = s.kinds[s.entry_kind[entry]].part
        if t.array > 0:
            place = t.array * len(s.part_seen) + part
            if s.array_rejected[place] == s.counts[PASS]:
                continue
            s.array_rejected[place] = s.counts[PASS]
            reason = over_array(s, row)
            if reason != NO_REASON:
                t.reason = reason
                continue
        if looked >= depth:
            break
        looked += 1
        if _is_blocked(s, part, blocking):
            if t.reason == NO_REASON or t.reason == RESOURCES:
                t.reason = PRIORITY
            s.counts[CHANGED] = 1
            if t.array == 0 and s.first_entry[row + 1] - s.first_entry[row] == 1:
                s.entry_settled[entry] = part + 1
            continue
        reason = over_count(s, entry)
        if reason != NO_REASON:
            t.reason = reason
            continue
        for w in range(words):
            s.avail_words[w] = s.open_words[w] & s.part_masks[part * words + w]
        outcome = BUSY
        if enough(s.avail_words, words, s.kinds[s.entry_kind[entry]].least):
            outcome = try_start(s, entry, now)
        else:
            t.reason = RESOURCES
            s.entry_settled[entry] = 0
        if outcome == STARTED and t.array > 0:
            s.array_rejected[t.array * len(s.part_seen) + part] = 0
        if outcome == BUSY and blocking != FIRST:
            s.part_seen[part] = s.counts[PASS]
            for w in range(words):
                s.open_words[w] &= ~s.part_masks[part * words + w]
    if s.counts[BEGUN] != begun:
        tidy(s)
