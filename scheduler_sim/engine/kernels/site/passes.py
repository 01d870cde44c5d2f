"""One look at the queue: Slurm's main loop, its backfill loop, and what other policies do at every event."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.match import choose, enough_words, mark_chosen
from scheduler_sim.engine.kernels.site.plan import begin_plan, collides, keep_promises, promise
from scheduler_sim.engine.kernels.site.queue import tidy
from scheduler_sim.engine.kernels.site.reasons import ARRAY_LIMIT, MAINTENANCE, NO_REASON, PRIORITY, RESERVED, RESOURCES
from scheduler_sim.engine.kernels.site.state import (
    CHANGED,
    CHOSEN,
    EPOCH,
    MOST_STARTS,
    PASS,
    PER_PARTITION,
    PER_USER,
    PLAN_DEPTH,
    QUEUE,
    RESOLUTION,
    WAITING,
    WHOLE_SECONDS,
    WINDOW,
    WORDS,
    State,
)
from scheduler_sim.engine.kernels.site.verbs import start
from scheduler_sim.engine.kernels.site.will_run import will_run

ALL, FIRST, UNSHARED = range(3)
"""Whose place a pass keeps that cannot start: of all, or of the first of those that compete for the same nodes."""


@inner_kernel
def limited(s: State, entry: int) -> int:
    """Return why a task must wait whatever is free, 0 for no reason."""
    t = s.site_tasks[s.entry_task[entry]]
    if t.array > 0 and t.array_limit > 0 and s.array_running[t.array] >= t.array_limit:
        return ARRAY_LIMIT
    return NO_REASON


@inner_kernel
def keep_out(s: State, entry: int, begin: float, end: float) -> int:
    """Take reserved nodes out of `mask_words` where an entry would run into a reservation; return the first to end.

    -1 where none is in the way. A task inside a reservation must lie within its span; else all nodes are taken out.
    """
    words = s.settings[WORDS]
    own = s.site_tasks[s.entry_task[entry]].reservation
    first = -1
    for r in range(len(s.shut_from)):
        if r == own:
            if begin < s.shut_from[r] or end > s.shut_until[r]:
                for w in range(words):
                    s.mask_words[w] = 0
            continue
        if s.shut_from[r] >= end or s.shut_until[r] <= begin:
            continue
        met = False
        for w in range(words):
            met = met or (s.mask_words[w] & s.shut_masks[r * words + w]) != 0
            s.mask_words[w] &= ~s.shut_masks[r * words + w]
        if met and (first < 0 or s.shut_until[r] < s.shut_until[first]):
            first = r
    return first


@inner_kernel
def _whole(s: State, now: float) -> float:
    return float(np.floor(now)) if s.settings[WHOLE_SECONDS] else now


@inner_kernel
def main_pass(s: State, now: float, depth: int, blocking: int) -> None:
    """Start what fits in the order of the queue.

    With `blocking` ALL a task that does not fit blocks its partition, and its nodes for others (Slurm); with UNSHARED
    every task of partitions that share nodes with its own; else it is passed.
    """
    words = s.settings[WORDS]
    s.counts[PASS] += 1
    for w in range(words):
        s.open_words[w] = -1
    seen = s.counts[PASS]
    looked = 0
    instant = _whole(s, now)
    for i in range(s.counts[QUEUE]):
        entry = s.queue_entries[i]
        row = s.entry_task[entry]
        t = s.site_tasks[row]
        if t.state != WAITING:
            continue
        if looked >= depth:
            break
        looked += 1
        kind = s.entry_kind[entry]
        part = s.kinds[kind].part
        if blocking != FIRST:
            blocked = s.part_seen[part] == seen
            if blocking == UNSHARED and not blocked:
                for w in range(words):
                    blocked = blocked or (s.part_masks[part * words + w] & ~s.open_words[w]) != 0
            if blocked:
                t.reason = PRIORITY
                s.counts[CHANGED] = 1
                continue
        reason = limited(s, entry)
        if reason != NO_REASON:
            t.reason = reason
            continue
        for w in range(words):
            s.mask_words[w] = s.kind_masks[kind * words + w] & s.open_words[w]
        before = enough_words(s, s.kinds[kind].least)
        met = keep_out(s, entry, instant, instant + s.entry_limit[entry])
        if enough_words(s, s.kinds[kind].least) and choose(s, kind, -np.inf, -1, True):
            start(s, entry, now)
            continue
        t.reason = RESOURCES
        if met >= 0:
            t.reason = MAINTENANCE if s.shut_maint[met] else RESERVED
            if before and not enough_words(s, s.kinds[kind].least):
                continue
        if blocking != FIRST:
            s.part_seen[part] = seen
            for w in range(words):
                s.open_words[w] &= ~s.part_masks[part * words + w]
    tidy(s)


@inner_kernel
def plan_pass(s: State, now: float, keeping: int) -> None:
    """Plan every task in the order of the queue on named nodes, and start those whose time is now.

    With `keeping` ALL each keeps its place before those behind it; with FIRST only the first of those whose partitions
    share nodes.
    """
    words = s.settings[WORDS]
    instant = _whole(s, now)
    resolution, epoch = s.reals[RESOLUTION], s.reals[EPOCH]
    horizon = instant + s.reals[WINDOW]
    begin_at = instant
    if resolution > 0.0:
        horizon = np.floor((horizon + epoch) / resolution) * resolution - epoch
        begin_at = np.floor((instant + epoch) / resolution) * resolution - epoch
    begin_plan(s, begin_at)
    s.counts[PASS] += 1
    for w in range(words):
        s.kept_words[w] = 0
    tried = starts = 0
    for i in range(s.counts[QUEUE]):
        entry = s.queue_entries[i]
        row = s.entry_task[entry]
        t = s.site_tasks[row]
        if t.state != WAITING:
            continue
        if tried >= s.settings[PLAN_DEPTH] or starts >= s.settings[MOST_STARTS]:
            break
        if limited(s, entry) != NO_REASON or _has_enough(s, entry):
            continue
        tried += 1
        kind = s.entry_kind[entry]
        part = s.kinds[kind].part
        keeps = True
        if keeping == FIRST:
            for w in range(words):
                keeps = keeps and (s.kept_words[w] & s.part_masks[part * words + w]) == 0
        at = _find_time(s, entry, instant, horizon, keeps)
        if at <= instant:
            start(s, entry, now)
            starts += 1
            continue
        if not keeps or at > instant + s.reals[WINDOW] or at == np.inf:
            continue
        t.planned = s.counts[PASS]
        begin, end = at, at + s.entry_limit[entry]
        if resolution > 0.0:
            begin = np.floor((begin + epoch) / resolution) * resolution - epoch
            end = max(np.floor((end + epoch) / resolution) * resolution - epoch, begin + resolution)
        promise(s, begin, end, horizon)
        _note_free_cores(s)
        if keeping == FIRST:
            for w in range(words):
                s.kept_words[w] |= s.part_masks[part * words + w]
    tidy(s)


@inner_kernel
def _note_free_cores(s: State) -> None:
    """Give the backfill loop cause to look again where a planned task waits for nodes that are not full."""
    for i in range(s.counts[CHOSEN]):
        if s.free_cpu[s.chosen_nodes[i]] > 0:
            s.counts[CHANGED] = 1
            return


@inner_kernel
def _has_enough(s: State, entry: int) -> bool:
    """Count a task towards what one pass tries of its user and partition, and tell whether that is too many."""
    user = s.site_tasks[s.entry_task[entry]].user
    part = s.kinds[s.entry_kind[entry]].part
    base = s.counts[PASS] << 32
    if s.user_seen[user] < base:
        s.user_seen[user] = base
    if s.part_tried[part] < base:
        s.part_tried[part] = base
    if s.user_seen[user] - base >= s.settings[PER_USER] or s.part_tried[part] - base >= s.settings[PER_PARTITION]:
        return True
    s.user_seen[user] += 1
    s.part_tried[part] += 1
    return False


@inner_kernel
def _find_time(s: State, entry: int, instant: float, horizon: float, keeps: bool) -> float:
    """Return when an entry can start beside what is promised, on the nodes that are then chosen; infinity for never."""
    words = s.settings[WORDS]
    kind, limit = s.entry_kind[entry], s.entry_limit[entry]
    least = s.kinds[kind].least
    resolution, epoch = s.reals[RESOLUTION], s.reals[EPOCH]
    later = instant
    while True:
        at, later = later, np.inf
        for w in range(words):
            s.open_words[w] = s.mask_words[w] = s.kind_masks[kind * words + w]
        met = keep_out(s, entry, at, at + limit)
        own = s.site_tasks[s.entry_task[entry]].reservation
        if own >= 0 and at < s.shut_from[own]:
            later = s.shut_from[own]
        later = keep_promises(s, at, max(at, instant) + limit, later, horizon)
        if met >= 0:
            after = s.shut_until[met]
            if resolution > 0.0:
                after = np.ceil((after + epoch) / resolution) * resolution - epoch + 1.0
            if after + 1.0 < horizon and after < later:
                later = after
        if not enough_words(s, least):
            if later == np.inf:
                return np.inf
            continue
        begin, _, _ = will_run(s, kind, instant)
        if begin == np.inf:
            if later == np.inf:
                return np.inf
            continue
        begin = max(begin, at)
        if begin <= instant:
            if choose(s, kind, -np.inf, -1, True):
                return begin
            return np.inf
        if begin > later:
            continue
        if begin > instant + s.reals[WINDOW] or not keeps:
            return np.inf
        mark_chosen(s)
        first, last = begin, begin + limit
        if resolution > 0.0:
            first = np.floor((first + epoch) / resolution) * resolution - epoch
            last = np.floor((last + epoch) / resolution) * resolution - epoch
        if collides(s, first, last, horizon):
            later = begin if begin > at else later
            if later == np.inf:
                return np.inf
            continue
        return begin
