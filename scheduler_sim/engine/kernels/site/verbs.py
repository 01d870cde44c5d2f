"""What tasks do: become ready, start, stop, end, leave."""

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.hold import give, take
from scheduler_sim.engine.kernels.site.priority import rate
from scheduler_sim.engine.kernels.site.queue import add, tidy
from scheduler_sim.engine.kernels.site.reasons import NEVER_SATISFIED
from scheduler_sim.engine.kernels.site.state import (
    BEGUN,
    CHANGED,
    COMING,
    DONE,
    ENDS,
    EVENT_KINDS,
    EVENTS,
    HELD,
    KILLS,
    LOOK,
    PENDING,
    RUNS,
    WAITING,
    WHOLE_SECONDS,
    WRITTEN,
    State,
)
from scheduler_sim.engine.kernels.structures.attempt_buffer import write_attempt
from scheduler_sim.engine.kernels.structures.heap import heap_push

COMPLETED, TIMED_OUT, CANCELLED, FAILED = range(4)
"""What became of a task; `contract.ENDINGS` has the names in this order."""

OF_ATTEMPT = (0, 5, 6, 3)
"""Why the attempt ended that was its last; `contract.REASONS` has the names."""


@inner_kernel
def expect(s: State, time: float, row: int, kind: int) -> None:
    """Note an event of a task."""
    heap_push(s.heap_times, s.heap_codes, s.counts[PENDING], time, row * EVENT_KINDS + kind)
    s.counts[PENDING] += 1


@inner_kernel
def make_ready(s: State, row: int, now: float) -> None:
    """Let a task that has come and whose parents have ended wait in the queue."""
    t = s.site_tasks[row]
    t.ready = now
    rate(s, row, now, now)
    add(s, row)
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
    if t.spoilt:
        t.reason, t.ready = NEVER_SATISFIED, now
        leave(s, row, now, CANCELLED)
    elif t.parents == 0:
        make_ready(s, row, now)


@inner_kernel
def start(s: State, entry: int, now: float) -> None:
    """Start a task by one of its entries on the chosen nodes."""
    row = s.entry_task[entry]
    t = s.site_tasks[row]
    limit = s.entry_limit[entry]
    t.entry = entry
    t.begun = now
    t.attempts += 1
    if t.attempts == 1:
        t.start = now
    t.expected = (np.floor(now) if s.settings[WHOLE_SECONDS] else now) + limit
    t.state = RUNS
    t.reason = 0
    take(s, row, s.entry_kind[entry])
    length = t.undone / t.pace
    t.cut = s.settings[KILLS] and length > t.killed_after
    t.finish = now + (t.killed_after if t.cut else length)
    expect(s, t.finish, row, ENDS)
    s.counts[QUEUED] -= 1
    s.counts[RUNNING] += 1
    s.counts[BEGUN] += 1
    s.counts[CHANGED] = 1
    if t.array > 0:
        s.array_running[t.array] += 1


@inner_kernel
def end(s: State, row: int, now: float) -> None:
    """End a running task whose time has come."""
    t = s.site_tasks[row]
    length = now - t.begun
    ending = TIMED_OUT if t.cut else FAILED if t.fails else COMPLETED
    if t.attempts > 1:
        write(s, row, now, OF_ATTEMPT[ending])
    t.held += length
    t.service += length
    give(s, row, now)
    s.counts[RUNNING] -= 1
    if t.array > 0:
        s.array_running[t.array] -= 1
    s.counts[LOOK] = 1
    s.counts[CHANGED] = 1
    leave(s, row, now, ending)


@inner_kernel
def write(s: State, row: int, now: float, reason: int) -> None:
    """Write the attempt that ends now into the buffer."""
    write_attempt(s, s.counts[WRITTEN], row, s.site_tasks[row], now, reason)
    s.counts[WRITTEN] += 1


@inner_kernel
def cancel(s: State, row: int, now: float) -> None:
    """Let a task that has not started leave."""
    t = s.site_tasks[row]
    waits = t.state == WAITING
    if waits or t.state == HELD or t.state == COMING:
        if waits:
            s.counts[QUEUED] -= 1
        if np.isnan(t.ready):
            t.ready = now
        leave(s, row, now, CANCELLED)
        if waits:
            tidy(s)
        s.counts[CHANGED] = 1


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
        for edge in range(s.child_first[row], s.child_first[row + 1]):
            child = s.child_rows[edge]
            c = s.site_tasks[child]
            c.parents -= 1
            if c.needs_success and ending != COMPLETED:
                c.spoilt = 1
            if c.state != HELD:
                continue
            if c.spoilt:
                c.reason, c.ready = NEVER_SATISFIED, now
                c.state = COMING
                s.leaving_rows[size] = child
                size += 1
            elif c.parents == 0:
                make_ready(s, child, now)
        ending = CANCELLED
