"""What tasks do: become ready, start, stop, end, leave."""

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.events import expect, tell_pieces
from scheduler_sim.engine.kernels.site.hold import bill, give, take
from scheduler_sim.engine.kernels.site.limits import count_in, count_submitted, over_submitted
from scheduler_sim.engine.kernels.site.pausing import settle
from scheduler_sim.engine.kernels.site.preempt import mode_of
from scheduler_sim.engine.kernels.site.priority import charge, rate
from scheduler_sim.engine.kernels.site.queue import add, tidy
from scheduler_sim.engine.kernels.site.reasons import BEGIN_TIME, DEPENDENCY, NEVER_SATISFIED, NO_REASON
from scheduler_sim.engine.kernels.site.state import (
    BEGUN,
    CHANGED,
    CHANGED_ORDER,
    CHARGES,
    CHOSEN,
    COMES_BACK,
    COMING,
    DONE,
    ENDS,
    EVENTS,
    HELD,
    IN_VAIN,
    KILLS,
    KILLS_INVALID,
    LOOK,
    MODE,
    OWN_LOOPS,
    PAUSED,
    PAUSES,
    REFUSES,
    REQUEUE_DELAY,
    REQUEUES,
    RUNS,
    STOPPED,
    SUSPENDING,
    WAITING,
    WHOLE_SECONDS,
    WRITTEN,
    State,
)
from scheduler_sim.engine.kernels.structures.attempt_buffer import write_attempt

COMPLETED, TIMED_OUT, CANCELLED, FAILED = range(4)
"""What became of a task; `contract.ENDINGS` has the names in this order."""

OF_ATTEMPT = (0, 5, 6, 3)
REQUEUED = 2
"""Why the attempt ended that was its last; `contract.REASONS` has the names."""


@inner_kernel
def make_ready(s: State, row: int, now: float) -> None:
    """Let a task that has come and whose parents have ended wait in the queue."""
    t = s.site_tasks[row]
    t.ready = now
    t.eligible = now
    rate(s, row, now, now)
    add(s, row)
    s.counts[LOOK] = 1
    s.counts[CHANGED] = 1


@inner_kernel
def _never_starts(s: State, row: int, now: float) -> None:
    """Say that a task whose needed parent failed has nothing to wait for."""
    t = s.site_tasks[row]
    t.reason, t.ready = NEVER_SATISFIED, now
    if s.settings[KILLS_INVALID]:
        s.counts[LOOK] = 1
        s.counts[CHANGED] = 1


@inner_kernel
def come(s: State, row: int, now: float) -> None:
    """Let a task come in."""
    s.counts[ARRIVED] += 1
    s.counts[EVENTS] += 1
    t = s.site_tasks[row]
    if t.state != COMING:
        return
    t.state = HELD
    if s.settings[REFUSES]:
        reason = over_submitted(s, row)
        if reason != NO_REASON:
            t.reason, t.ready = reason, now
            leave(s, row, now, CANCELLED)
            return
        count_submitted(s, row, 1)
    if t.parents > 0:
        t.reason = DEPENDENCY
    elif t.spoilt:
        _never_starts(s, row, now)
        leave(s, row, now, CANCELLED)
    else:
        make_ready(s, row, now)


@inner_kernel
def come_back(s: State, row: int, now: float) -> None:
    """Let a task wait again that was told to give way."""
    s.counts[EVENTS] += 1
    first = s.site_tasks[row].ready
    make_ready(s, row, now)
    s.site_tasks[row].eligible = now
    s.site_tasks[row].ready = first


@inner_kernel
def start(s: State, entry: int, now: float) -> None:
    """Start a task by one of its entries on the chosen nodes."""
    row = s.entry_task[entry]
    t = s.site_tasks[row]
    limit = s.entry_limit[entry]
    second = np.floor(now) if s.settings[WHOLE_SECONDS] else now
    t.entry = entry
    t.begun = now
    t.charged_to = np.floor(now)
    t.preempted_at = -np.inf
    t.graced, t.ran, t.sequence = 0, 0.0, s.counts[BEGUN]
    t.attempts += 1
    if t.attempts == 1:
        t.start = now
    t.expected = second + limit
    t.state = RUNS
    t.reason = 0
    take(s, row, s.entry_kind[entry])
    count_in(s, row, 1)
    length = t.undone / t.pace
    # Slurm's own loop looks for those over their limits; for other policies the limit is an event.
    t.cut = s.settings[KILLS] and s.settings[MODE] != OWN_LOOPS and length > t.killed_after
    t.finish = now + (t.killed_after if t.cut else length)
    expect(s, t.finish, row, ENDS)
    s.counts[QUEUED] -= 1
    s.counts[RUNNING] += 1
    s.counts[BEGUN] += 1
    s.counts[IN_VAIN] = 0
    s.counts[CHANGED] = 1
    if s.settings[SUSPENDING]:
        for i in range(s.counts[CHOSEN]):
            if s.free_cpu[s.chosen_nodes[i]] < 0:
                settle(s, now)
                break


@inner_kernel
def _let_go(s: State, row: int, now: float) -> None:
    """Take back what a running task holds."""
    t = s.site_tasks[row]
    if t.state == PAUSED:
        s.counts[PAUSES] -= 1
    else:
        if s.settings[CHARGES]:
            charge(s, row, now)
        t.held += now - t.begun
        bill(s, row, now)
        tell_pieces(s, row, now)
    count_in(s, row, -1)
    give(s, row)
    s.counts[RUNNING] -= 1
    s.counts[CHANGED] = 1


@inner_kernel
def go_on(s: State, now: float) -> None:
    """Let those go on that were suspended for what has ended."""
    if s.counts[PAUSES] > 0:
        settle(s, now)


@inner_kernel
def end(s: State, row: int, now: float) -> None:
    """End a running task whose time has come."""
    t = s.site_tasks[row]
    ending = TIMED_OUT if t.cut else FAILED if t.fails else COMPLETED
    if t.attempts > 1:
        write_attempt(s, WRITTEN, row, t, now, OF_ATTEMPT[ending])
    t.service += now - t.begun
    _let_go(s, row, now)
    go_on(s, now)
    s.counts[LOOK] = 1
    leave(s, row, now, ending)


@inner_kernel
def stop(s: State, row: int, now: float) -> None:
    """Stop a running task that was told to: for its limit, or to give way, after which it may come back."""
    t = s.site_tasks[row]
    t.give_way = np.inf
    comes_back = not t.overran and t.requeueable and mode_of(s, row) == REQUEUES
    if comes_back or t.attempts > 1:
        reason = REQUEUED if comes_back else OF_ATTEMPT[TIMED_OUT if t.overran else CANCELLED]
        write_attempt(s, WRITTEN, row, t, now, reason)
    if t.overran:
        t.service += now - t.begun
    _let_go(s, row, now)
    go_on(s, now)
    if not comes_back:
        s.counts[LOOK] = 1
        leave(s, row, now, TIMED_OUT if t.overran else CANCELLED)
        return
    _wait_again(s, row, now)


@inner_kernel
def fail(s: State, row: int, now: float) -> None:
    """Stop a running task whose node failed; it runs again from its beginning, if it may.

    Who was suspended for it goes on only once all have stopped that were on the node: it may be one of them.
    """
    t = s.site_tasks[row]
    t.give_way = np.inf
    if t.state == RUNS and (t.requeueable or t.attempts > 1):
        write_attempt(s, WRITTEN, row, t, now, OF_ATTEMPT[FAILED])
    _let_go(s, row, now)
    if t.requeueable:
        _wait_again(s, row, now)
    else:
        leave(s, row, now, FAILED)


@inner_kernel
def _wait_again(s: State, row: int, now: float) -> None:
    """Let a task that was stopped come back after a while, as if submitted anew."""
    t = s.site_tasks[row]
    t.state = STOPPED
    t.finish = np.nan
    t.service, t.undone = 0.0, t.work
    t.reason = BEGIN_TIME
    for entry in range(s.first_entry[row], s.first_entry[row + 1]):
        s.entry_submit[entry] = np.floor(now)
    s.counts[CHANGED_ORDER] = 1
    s.counts[EVENTS] += 1
    expect(s, now + s.reals[REQUEUE_DELAY], row, COMES_BACK)


@inner_kernel
def cancel(s: State, row: int, now: float) -> None:
    """Let a task that has not started leave."""
    t = s.site_tasks[row]
    waits = t.state == WAITING
    if not (waits or t.state == HELD or t.state == COMING or t.state == STOPPED):
        return
    if waits:
        s.counts[QUEUED] -= 1
    if np.isnan(t.ready):
        t.ready = now
    s.counts[LOOK] = 1
    s.counts[CHANGED] = 1
    leave(s, row, now, CANCELLED)
    if waits:
        tidy(s)


@inner_kernel
def leave(s: State, first: int, now: float, ending: int) -> None:
    """Let a task leave for good, and with it those that can no longer start because of it.

    Children whose last parent this was become ready.
    """
    s.leaving_rows[0] = first
    size = 1
    while size > 0:
        size -= 1
        row = s.leaving_rows[size]
        t = s.site_tasks[row]
        t.state, t.finish, t.ending = DONE, now, ending
        s.completed_rows[s.counts[FINISHED]] = row
        s.counts[FINISHED] += 1
        s.counts[EVENTS] += 1
        if t.submitted:
            count_submitted(s, row, -1)
        for edge in range(s.child_first[row], s.child_first[row + 1]):
            child = s.child_rows[edge]
            c = s.site_tasks[child]
            c.parents -= 1
            if c.needs_success and ending != COMPLETED:
                c.spoilt = 1
            if c.state != HELD or c.parents > 0:
                continue
            if c.spoilt:
                _never_starts(s, child, now)
                c.state = DONE
                s.leaving_rows[size] = child
                size += 1
            else:
                make_ready(s, child, now)
        ending = CANCELLED
