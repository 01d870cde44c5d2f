"""Who is suspended while others use the cores, and goes on once they are free (PreemptMode=SUSPEND)."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.events import expect, tell_pieces
from scheduler_sim.engine.kernels.site.hold import bill, move_end
from scheduler_sim.engine.kernels.site.preempt import mode_of
from scheduler_sim.engine.kernels.site.priority import charge
from scheduler_sim.engine.kernels.site.state import (
    BY_QOS,
    CHANGED,
    CHARGES,
    ENDS,
    NODES,
    PAUSED,
    PAUSES,
    PREEMPTION,
    RUN,
    RUNS,
    SUSPENDS,
    WRITTEN,
    State,
)
from scheduler_sim.engine.kernels.structures.attempt_buffer import write_attempt

SUSPENDED = 1
"""Why the attempt ended that was its last; `contract.REASONS` has the names."""

STEP, FIRST = 2**40, 2**60
"""More than there are starts, and more than any rank."""


@inner_kernel
def _pause(s: State, row: int, now: float) -> None:
    """Suspend a running task; it keeps what it holds."""
    t = s.site_tasks[row]
    if s.settings[CHARGES]:
        charge(s, row, now)
    write_attempt(s, WRITTEN, row, t, now, SUSPENDED)
    bill(s, row, now)
    tell_pieces(s, row, now)
    t.state, t.finish = PAUSED, np.nan
    t.held += now - t.begun
    t.service += now - t.begun
    t.ran += np.floor(now) - np.floor(t.begun)
    t.undone -= (now - t.begun) * t.pace
    s.counts[PAUSES] += 1


@inner_kernel
def _resume(s: State, row: int, now: float) -> None:
    """Let a suspended task go on where it was; its limit counts the time that it ran."""
    t = s.site_tasks[row]
    t.state, t.begun, t.charged_to = RUNS, now, np.floor(now)
    t.attempts += 1
    t.finish = now + t.undone / t.pace
    expect(s, t.finish, row, ENDS)
    move_end(s, row, np.floor(now) + s.entry_limit[t.entry] - t.ran)
    s.counts[PAUSES] -= 1
    s.counts[CHANGED] = 1


@inner_kernel
def _rank(s: State, row: int) -> int:
    """Return where a task stands among those that want cores: who is not suspended, then higher tiers.

    Of one tier those that run come before those that are suspended, and each in the order of their starts.
    """
    t = s.site_tasks[row]
    if mode_of(s, row) != SUSPENDS or t.give_way < np.inf:
        return int(t.sequence - FIRST)
    level = s.part_tier[s.kinds[s.entry_kind[t.entry]].part]
    if s.settings[PREEMPTION] == BY_QOS:
        level = s.qos_level[t.qos if t.qos >= 0 else len(s.qos_level) - 1]
    return int((2 * -level + (t.state == PAUSED)) * STEP + t.sequence)


@inner_kernel
def settle(s: State, now: float) -> None:
    """Suspend those for whom there are no cores, and let those go on for whom there are."""
    rows = s.run_tasks[: s.counts[RUN]].copy()
    ranks = np.empty(len(rows), np.int64)
    for i in range(len(rows)):
        ranks[i] = _rank(s, rows[i])
    order = np.argsort(ranks, kind="mergesort")
    for node in range(s.settings[NODES]):
        s.active_cpu[node] = 0
    for i in range(len(rows)):
        row = rows[order[i]]
        t = s.site_tasks[row]
        fits = True
        piece = t.first_piece
        while piece >= 0:
            p = s.held_pieces[piece]
            if s.active_cpu[p.node] + p.cpu > s.all_cpu[p.node]:
                fits = False
            piece = p.next_of_task
        if fits:
            piece = t.first_piece
            while piece >= 0:
                p = s.held_pieces[piece]
                s.active_cpu[p.node] += p.cpu
                piece = p.next_of_task
        if fits and t.state == PAUSED:
            _resume(s, row, now)
        elif not fits and t.state == RUNS:
            _pause(s, row, now)
