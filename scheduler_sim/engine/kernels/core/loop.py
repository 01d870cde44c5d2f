"""The event loop of the core: apply what an instant brings, then build the schedule anew where it may change."""

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, CONSERVATIVE, FINISHED, NONE, QUEUED, RUNNING
from scheduler_sim.engine.jit import counting_kernel, inner_kernel
from scheduler_sim.engine.kernels.core.attempts import begin, book, end, next_expected, stop, tell_pieces, timed_out
from scheduler_sim.engine.kernels.core.nodes import build_anywhere, build_on_nodes, give_out, has_moved, is_on
from scheduler_sim.engine.kernels.core.plan import build_by_plan
from scheduler_sim.engine.kernels.core.pool import build_by_class, build_by_list
from scheduler_sim.engine.kernels.core.queue import before, push, sort_rows
from scheduler_sim.engine.kernels.core.state import (
    AGING,
    AT_END,
    BACK,
    BACKFILL,
    BEGUN,
    BY_ARRIVAL,
    CAPACITY,
    CHANGED,
    COMPLETED,
    COST,
    DEMOTED,
    DISCIPLINE,
    DONE,
    ENDING,
    EVENTS,
    FAILED,
    FREE,
    FRONT,
    HEAPS,
    KEEP,
    KINDS,
    LAS,
    MOST_FAILURES,
    MOST_REQUEUES,
    MOVED,
    NEWCOMERS,
    NODES,
    ON_LIMIT,
    ON_REQUEUE,
    OUTAGES,
    PENDING,
    POOL,
    PROMOTE,
    PROMOTED,
    REBUILT,
    REQUEUED,
    ROOM,
    RR,
    RUNS,
    SCORE,
    SPREAD,
    SRSF,
    SRTF,
    STOPPED,
    SUSPENDED,
    TIMED_OUT,
    TO_END,
    WAITING,
    WHERE,
    WRITTEN,
    Core,
)
from scheduler_sim.engine.kernels.core.turns import demote, give_key, number_after, promote, turn
from scheduler_sim.engine.kernels.structures.attempt_buffer import write_attempt
from scheduler_sim.engine.kernels.structures.gang_buffer import has_room
from scheduler_sim.engine.kernels.structures.heap import heap_pop
from scheduler_sim.engine.kernels.structures.instants import go_to
from scheduler_sim.engine.kernels.structures.lists import append
from scheduler_sim.engine.kernels.structures.outages import next_outage, take_outage
from scheduler_sim.engine.kernels.structures.sorting import sort_numbers
from scheduler_sim.engine.kernels.structures.timeline import progress

LOWEST = -(2**62)
"""The tie of who runs under las, before all who wait in its queue."""


@inner_kernel
def next_instant(s: Core) -> float:
    """Return the time of the next event, infinity for none."""
    now = next_expected(s)
    if s.counts[ARRIVED] < len(s.arrivals):
        now = min(now, s.jobs[s.arrivals[s.counts[ARRIVED]]].offered)
    if s.counts[FINISHED] < len(s.jobs):
        now = min(now, next_outage(s, OUTAGES))
    return max(now, s.clock[0]) if now < np.inf else now


@inner_kernel
def _take_events(s: Core, now: float) -> None:
    """Sort the entries of the heap that are due into lists of rows: ended, promoted."""
    while s.counts[PENDING] > 0 and s.heap_times[0] <= now:
        code, time = s.heap_codes[0], s.heap_times[0]
        heap_pop(s.heap_times, s.heap_codes, s.counts[PENDING])
        s.counts[PENDING] -= 1
        row, kind = code // KINDS, code % KINDS
        t = s.jobs[row]
        if kind == AT_END and t.state == RUNS and t.finish == time:
            # An entry left behind may name the same time; the task is listed once.
            t.finish = np.nan
            append(s.ended, s.counts, ENDING, row)
        elif kind == PROMOTE and t.state == WAITING and t.promote_at == time:
            t.promote_at = np.nan
            append(s.promoted, s.counts, PROMOTED, row)
        elif kind != AT_END and t.state == RUNS:
            s.counts[CHANGED] = 1


@inner_kernel
def _end_attempts(s: Core, now: float) -> None:
    """End the tasks whose work is done, and those that have used up their estimate."""
    sort_numbers(s.ended, s.counts[ENDING])
    for i in range(s.counts[ENDING]):
        row = s.ended[i]
        t = s.jobs[row]
        s.counts[EVENTS] += 1
        if t.attempt_work >= t.work_left:
            end(s, row, now, COMPLETED)
        elif s.settings[ON_LIMIT] == ON_REQUEUE and t.requeues < s.settings[MOST_REQUEUES]:
            t.requeues += 1
            timed_out(s, row, now)
            s.counts[BACK] += 1
        else:
            end(s, row, now, TIMED_OUT)
    if s.counts[ENDING] > 0:
        s.counts[CHANGED] = 1
    s.counts[ENDING] = 0


@inner_kernel
def _apply_outages(s: Core, now: float) -> None:
    """Let nodes fail and come back; what runs on a node that fails ends its attempt."""
    while next_outage(s, OUTAGES) <= now:
        node, sign = take_outage(s, OUTAGES)
        s.counts[EVENTS] += 1
        s.counts[CHANGED] = 1
        s.node_away[node] += sign
        if sign < 0:
            if s.settings[WHERE] == POOL and s.node_away[node] == 0:
                s.counts[FREE] += s.settings[CAPACITY]
            continue
        for k in range(s.counts[RUNNING]):
            row = s.running[k]
            if s.jobs[row].state == RUNS and is_on(s, row, node):
                _fail(s, row, now)
        if s.settings[WHERE] == POOL and s.node_away[node] == 1:
            s.counts[FREE] -= s.settings[CAPACITY]


@inner_kernel
def _fail(s: Core, row: int, now: float) -> None:
    t = s.jobs[row]
    t.failures += 1
    gone = t.failures >= s.settings[MOST_FAILURES]
    stop(s, row, now, FAILED, not gone or t.attempts > 1)
    if gone:
        end(s, row, now, FAILED)
    else:
        s.counts[BACK] += 1


@inner_kernel
def _refresh(s: Core, now: float) -> None:
    """Bring the keys of the active up to now where progress or time changes them, and keep what runs in order.

    Equals stay as they were: a key that falls comes behind all that had it before, one that rises before them.
    """
    discipline = s.settings[DISCIPLINE]
    if discipline in (SRTF, SRSF):
        for i in range(s.counts[RUNNING]):
            row = s.running[i]
            t = s.jobs[row]
            if t.state == DONE:
                continue
            key = t.estimate_left
            if t.state == RUNS:
                key = max(key - progress(s.checkpoints, now - t.progress_from, t.work_left)[0], 0.0)
            if discipline == SRSF:
                key = key * t.size
            if key < t.key:
                t.key = key
                t.tie = number_after(s)
        for i in range(s.counts[RUNNING] - 1, -1, -1):
            t = s.jobs[s.running[i]]
            if t.state == WAITING:
                key = t.estimate_left * (t.size if discipline == SRSF else 1.0)
                if key > t.key:
                    t.key = key
                    s.counts[FRONT] -= 1
                    t.tie = s.counts[FRONT]
    elif s.settings[AGING]:
        for i in range(s.counts[RUNNING]):
            t = s.jobs[s.running[i]]
            t.key = t.base - t.slope * (now - t.since)


@inner_kernel
def _put_back(s: Core, now: float) -> None:
    """Compact the list of what runs, and let those wait that failed or are to run again."""
    kept, back = 0, 0
    for i in range(s.counts[RUNNING]):
        row = s.running[i]
        if s.jobs[row].state == RUNS:
            s.running[kept] = row
            kept += 1
        elif s.jobs[row].state == WAITING:
            s.back[back] = row
            back += 1
    s.counts[RUNNING] = kept
    s.counts[BACK] = 0
    if back == 0:
        return
    if s.settings[TO_END]:
        sort_numbers(s.back, back)
    for i in range(back):
        row = s.back[i] if s.settings[TO_END] else s.back[back - 1 - i]
        t = s.jobs[row]
        if s.settings[TO_END]:
            t.tie = number_after(s)
            t.since = now
            if s.settings[BY_ARRIVAL]:
                t.base = now
        elif s.settings[DISCIPLINE] == LAS:
            s.counts[FRONT] -= 1
            t.tie = s.counts[FRONT]
        if s.settings[DISCIPLINE] == SCORE:
            t.key = t.base - t.slope * (now - t.since)
        push(s, row)


@inner_kernel
def _arrive(s: Core, now: float) -> None:
    """List those that are offered now and wait for no parent; those that a parent released are listed already."""
    released = s.counts[NEWCOMERS]
    while s.counts[ARRIVED] < len(s.arrivals):
        row = s.arrivals[s.counts[ARRIVED]]
        t = s.jobs[row]
        if t.offered > now:
            break
        s.counts[ARRIVED] += 1
        s.counts[EVENTS] += 1
        t.arrived = 1
        if t.parents == 0:
            append(s.newcomers, s.counts, NEWCOMERS, row)
    if released > 0:
        sort_numbers(s.newcomers, s.counts[NEWCOMERS])


@inner_kernel
def _add_to_running(s: Core, row: int) -> None:
    """Put a task that starts beside all that run where the walk would have put it."""
    las = s.settings[DISCIPLINE] == LAS
    j = s.counts[RUNNING]
    while j > 0:
        other = s.running[j - 1]
        if las and s.jobs[other].level <= s.jobs[row].level:
            break
        if not las and before(s, other, row):
            break
        s.running[j] = other
        j -= 1
    s.running[j] = row
    s.counts[RUNNING] += 1


@inner_kernel
def _start(s: Core, row: int, now: float) -> None:
    s.counts[FREE] -= s.jobs[row].cpus
    if s.settings[DISCIPLINE] == LAS:
        s.jobs[row].tie = LOWEST
    begin(s, row, now)


@inner_kernel
def _settled(s: Core, row: int, now: float) -> bool:
    """Start or queue the only newcomer where that is all that changes; tell whether it was.

    What the last schedule left waiting still does not fit at its turn: who runs only moves ahead in the order.
    """
    if s.settings[WHERE] != POOL or not s.settings[HEAPS] or s.counts[CHANGED]:
        return False
    skips = s.settings[DISCIPLINE] != SCORE or s.settings[BACKFILL] != NONE
    fits = s.jobs[row].cpus <= s.counts[FREE]
    if fits and (skips or s.counts[QUEUED] == 0):
        _add_to_running(s, row)
        _start(s, row, now)
        return True
    if not skips or fits:
        return False
    if s.settings[COST] != 0 and s.counts[RUNNING] > 0:
        last = s.running[s.counts[RUNNING] - 1]
        if before(s, row, last):
            return False
    push(s, row)
    return True


@inner_kernel
def _move(s: Core, now: float) -> None:
    """Let those that run have their new pieces; whose place changes begins a new attempt, which costs nothing."""
    for i in range(s.counts[RUNNING]):
        row = s.running[i]
        t = s.jobs[row]
        if t.state == RUNS and has_moved(s, row):
            tell_pieces(s, row, now)
            t.there_since = now
        if t.state == RUNS and (t.node != t.new_node or t.device != t.new_device):
            write_attempt(s, WRITTEN, row, t, now, MOVED)
            book(s, row, now)
            t.begun = now
            t.attempts += 1
        t.node, t.device = t.new_node, t.new_device
        t.first_piece, t.pieces = t.new_piece, t.new_pieces


@inner_kernel
def _build(s: Core, now: float) -> None:
    """Build the schedule, then stop and start what it says."""
    s.counts[STOPPED] = 0
    s.counts[BEGUN] = 0
    where = s.settings[WHERE]
    if where == SPREAD:
        build_anywhere(s)
        give_out(s, s.counts[RUNNING])
    elif where == NODES:
        build_on_nodes(s)
    elif s.settings[HEAPS]:
        build_by_class(s)
    elif s.settings[BACKFILL] == CONSERVATIVE:
        build_by_plan(s, now)
    else:
        build_by_list(s, now)
    s.counts[REBUILT] = 1
    reason = SUSPENDED if s.settings[COST] == KEEP else REQUEUED
    las = s.settings[DISCIPLINE] == LAS
    for i in range(s.counts[DEMOTED]):
        s.jobs[s.demoted[i]].chosen = 0
    if s.counts[DEMOTED] > 0:
        for i in range(s.counts[RUNNING]):
            s.jobs[s.running[i]].chosen = 1
        for i in range(s.counts[DEMOTED]):
            row = s.demoted[i]
            if not s.jobs[row].chosen:
                stop(s, row, now, reason, True)
            s.jobs[row].chosen = 0
        for i in range(s.counts[RUNNING]):
            s.jobs[s.running[i]].chosen = 0
            s.jobs[s.running[i]].tie = LOWEST
        s.counts[DEMOTED] = 0
    for i in range(s.counts[STOPPED]):
        row = s.stopping[s.counts[STOPPED] - 1 - i]
        stop(s, row, now, reason, True)
        t = s.jobs[row]
        if las:
            s.counts[FRONT] -= 1
            t.tie = s.counts[FRONT]
        elif s.settings[DISCIPLINE] == SRTF:
            t.key = t.estimate_left
        elif s.settings[DISCIPLINE] == SRSF:
            t.key = t.estimate_left * t.size
        push(s, row)
    if where != POOL:
        _move(s, now)
    s.counts[REBUILT] = 0
    for i in range(s.counts[BEGUN]):
        _start(s, s.beginning[i], now)


@inner_kernel
def _order(s: Core, now: float) -> None:
    """Sort who runs, and the list of who waits where time changes it."""
    if s.settings[DISCIPLINE] in (SRTF, SRSF) or s.settings[AGING]:
        sort_rows(s, s.running, s.counts[RUNNING])
    if s.settings[AGING] and not s.settings[HEAPS]:
        for i in range(s.counts[QUEUED]):
            t = s.jobs[s.waiting[i]]
            t.key = t.base - t.slope * (now - t.since)
        sort_rows(s, s.waiting, s.counts[QUEUED])


@inner_kernel
def play_round(s: Core, now: float) -> None:
    """Apply what has come at `now`, and act once."""
    s.counts[CHANGED] = 0
    _take_events(s, now)
    _end_attempts(s, now)
    _apply_outages(s, now)
    _refresh(s, now)
    if s.counts[CHANGED]:
        _put_back(s, now)
    _arrive(s, now)
    count = s.counts[NEWCOMERS]
    for i in range(count):
        give_key(s, s.newcomers[i], now)
    _order(s, now)
    s.counts[NEWCOMERS] = 0
    if s.settings[DISCIPLINE] == LAS:
        promote(s)
        demote(s, now)
    elif s.settings[DISCIPLINE] == RR:
        turn(s, now)
    if count == 1 and _settled(s, s.newcomers[0], now):
        return
    for i in range(count):
        push(s, s.newcomers[i])
    # Where time changes the order, any event may change who runs: one that brings a task which waits for a parent too.
    # On a pool less time left moves only those ahead that run beside each other anyway; on nodes it changes places.
    # A plan is made for the time that is left from now on.
    timed = s.settings[AGING] or s.settings[BACKFILL] == CONSERVATIVE
    timed = timed or (s.settings[WHERE] == NODES and s.settings[DISCIPLINE] in (SRTF, SRSF))
    if count > 0 or s.counts[CHANGED] or timed:
        _build(s, now)


@counting_kernel
def advance_core(s: Core, until: float, max_events: int) -> None:
    """Play whole instants up to `until`, until `max_events` events were applied, or until a buffer is full."""
    s.counts[EVENTS] = 0
    while s.counts[WRITTEN] <= s.settings[ROOM] and has_room(s):
        now = go_to(next_instant(s), until, s.counts[EVENTS] >= max_events, s.clock)
        if now == np.inf:
            return
        play_round(s, now)
