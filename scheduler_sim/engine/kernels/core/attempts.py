"""The verbs of a task: begin, stop, end; and the writing down of attempts."""

import numpy as np

from scheduler_sim.engine.codes import FINISHED, MILLI
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.core.state import (
    AT_END,
    CHARGE_FIRST,
    COST,
    DEMOTE,
    DISCIPLINE,
    DONE,
    FREE,
    FROM_START,
    KINDS,
    LAS,
    NEWCOMERS,
    ON_LIMIT,
    ON_RUN,
    PENDING,
    POOL,
    PROMOTE,
    PROMOTION,
    QUANTUM,
    READ,
    REBUILT,
    REQUEUED,
    RR,
    RUNS,
    SUSPENDED,
    TIMED_OUT,
    TURN,
    UNORDERED,
    WAITING,
    WHERE,
    WRITTEN,
    Core,
    ending_of,
)
from scheduler_sim.engine.kernels.structures.attempt_buffer import write_attempt
from scheduler_sim.engine.kernels.structures.bits import bits_in
from scheduler_sim.engine.kernels.structures.gang_buffer import begin_span, write_piece
from scheduler_sim.engine.kernels.structures.heap import heap_pop, heap_push
from scheduler_sim.engine.kernels.structures.lists import append
from scheduler_sim.engine.kernels.structures.timeline import progress, span


@inner_kernel
def expected(s: Core, time: float, code: int) -> bool:
    """Tell whether an entry of the heap is still to come; others are left behind by a stop or a change and skipped."""
    t = s.jobs[code // KINDS]
    kind = code % KINDS
    if kind == AT_END:
        return bool(t.state == RUNS and t.finish == time)
    if kind == DEMOTE:
        return bool(t.state == RUNS and t.demote_at == time)
    if kind == TURN:
        return bool(t.state == RUNS and t.turn_end == time)
    return bool(t.state == WAITING and t.promote_at == time)


@inner_kernel
def _sweep(s: Core) -> None:
    """Leave out of the heap what is not expected."""
    kept = 0
    for i in range(s.counts[PENDING]):
        time, code = s.heap_times[i], s.heap_codes[i]
        if expected(s, time, code):
            heap_push(s.heap_times, s.heap_codes, kept, time, code)
            kept += 1
    s.counts[PENDING] = kept


@inner_kernel
def expect(s: Core, time: float, row: int, kind: int) -> None:
    """Note an event of a task."""
    if s.counts[PENDING] == len(s.heap_times):
        _sweep(s)
    heap_push(s.heap_times, s.heap_codes, s.counts[PENDING], time, row * KINDS + kind)
    s.counts[PENDING] += 1


@inner_kernel
def next_expected(s: Core) -> float:
    """Return the time of the first event of a task, infinity for none."""
    while s.counts[PENDING] > 0:
        if expected(s, s.heap_times[0], s.heap_codes[0]):
            return float(s.heap_times[0])
        heap_pop(s.heap_times, s.heap_codes, s.counts[PENDING])
        s.counts[PENDING] -= 1
    return np.inf


@inner_kernel
def overhead_of(s: Core, row: int) -> float:
    """Return the seconds that the next start of a task makes no progress."""
    t = s.jobs[row]
    seconds = t.overhead if t.attempts > 0 or s.settings[CHARGE_FIRST] else 0.0
    if t.saved:
        seconds += s.reals[READ]
    return float(seconds)


@inner_kernel
def expect_demotion(s: Core, row: int) -> None:
    """Note when a running task reaches the limit of its queue, in whole seconds held."""
    t = s.jobs[row]
    if t.level >= len(s.limits):
        t.demote_at = np.inf
        return
    t.demote_at = t.begun + (np.ceil(s.limits[t.level] / t.size) - t.attained)
    expect(s, t.demote_at, row, DEMOTE)


@inner_kernel
def begin(s: Core, row: int, now: float) -> None:
    """Start a task, or let it go on, on what was taken for it."""
    t = s.jobs[row]
    seconds = overhead_of(s, row)
    t.state = RUNS
    t.begun = t.there_since = now
    t.progress_from = now + seconds
    t.attempts += 1
    work = t.work_left
    if s.settings[ON_LIMIT] != ON_RUN:
        work = min(work, t.limit - t.since_begin)
    t.attempt_work = work
    t.finish = t.progress_from + span(s.checkpoints, work)
    t.expected_end = t.progress_from + span(s.checkpoints, t.estimate_left)
    if t.attempts == 1:
        t.start = now
    expect(s, t.finish, row, AT_END)
    if s.settings[DISCIPLINE] == LAS:
        expect_demotion(s, row)
    elif s.settings[DISCIPLINE] == RR:
        t.turn_end = now + s.reals[QUANTUM]
        expect(s, t.turn_end, row, TURN)


@inner_kernel
def book(s: Core, row: int, now: float) -> None:
    """Count the seconds held since the attempt began."""
    t = s.jobs[row]
    held = now - t.begun
    t.held += held
    t.attained += held
    t.executed += held


@inner_kernel
def tell_pieces(s: Core, row: int, now: float) -> None:
    """Write what a running task on several nodes has held of each since it got its pieces."""
    t = s.jobs[row]
    if t.pieces < 2:
        return
    begin_span(s)
    nodes, cpus, masks = s.piece_node, s.piece_cpus, s.piece_mask
    if s.counts[REBUILT]:
        nodes, cpus, masks = s.old_node, s.old_cpus, s.old_mask
    for i in range(t.first_piece, t.first_piece + t.pieces):
        write_piece(s, row, t.there_since, now, nodes[i], cpus[i], MILLI * bits_in(masks[i]), masks[i])


@inner_kernel
def close(s: Core, row: int, now: float) -> tuple[float, float]:
    """End the attempt of a running task; return its progress and what of it is in checkpoints."""
    t = s.jobs[row]
    tell_pieces(s, row, now)
    book(s, row, now)
    t.finish = np.nan
    t.state = WAITING
    t.waiting_since = now
    if s.settings[WHERE] == POOL:
        s.counts[FREE] += t.cpus
    return progress(s.checkpoints, now - t.progress_from, t.work_left)


@inner_kernel
def stop(s: Core, row: int, now: float, reason: int, told: bool) -> None:
    """Stop a running task; it keeps what the reason leaves it. Its place in the queue is the caller's.

    The attempt is written if it is `told`: the only attempt of a task that ends with it is not.
    """
    t = s.jobs[row]
    if told:
        write_attempt(s, WRITTEN, row, t, now, reason)
    done, kept = close(s, row, now)
    if reason == SUSPENDED:
        kept = done
        t.since_begin += done
    else:
        t.since_begin = 0.0
        if kept > 0.0:
            t.saved = 1
    if reason == REQUEUED and s.settings[COST] == FROM_START:
        t.work_left = t.work
        t.estimate_left = t.estimate
        t.service = 0.0
        t.saved = 0
    else:
        t.work_left -= kept
        t.estimate_left = max(t.estimate_left - kept, 0.0)
        t.service += kept
    if s.settings[DISCIPLINE] == LAS and t.level > 0 and t.executed > 0.0 and s.reals[PROMOTION] < np.inf:
        t.promote_at = now + s.reals[PROMOTION] * t.executed
        expect(s, t.promote_at, row, PROMOTE)


@inner_kernel
def end(s: Core, row: int, now: float, reason: int) -> None:
    """Let a task leave for good, out of an attempt or, failed, after one."""
    t = s.jobs[row]
    if t.state == RUNS:
        if t.attempts > 1:
            write_attempt(s, WRITTEN, row, t, now, reason)
        done, _ = close(s, row, now)
        t.service += done
    t.state = DONE
    t.finish = now
    t.ending = ending_of(reason)
    ended = s.counts[FINISHED]
    if ended > 0 and s.order[ended - 1] > row and s.jobs[s.order[ended - 1]].finish == now:
        s.counts[UNORDERED] = 1
    s.order[ended] = row
    s.counts[FINISHED] = ended + 1
    if len(s.children) == 0:
        return
    for edge in range(s.child_offsets[row], s.child_offsets[row + 1]):
        child = s.children[edge]
        s.jobs[child].parents -= 1
        s.jobs[child].ready = now
        if s.jobs[child].parents == 0 and s.jobs[child].arrived:
            append(s.newcomers, s.counts, NEWCOMERS, child)


@inner_kernel
def timed_out(s: Core, row: int, now: float) -> None:
    """Stop a task that has used up its estimate and is to run again, from its last checkpoint or the start."""
    t = s.jobs[row]
    stop(s, row, now, TIMED_OUT, True)
    if not t.saved:
        t.work_left = t.work
        t.estimate_left = t.estimate
        t.service = 0.0
