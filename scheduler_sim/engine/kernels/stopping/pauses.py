"""Tasks that stop and go on at times of their own: the turns of `policies.openings`."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.cluster.queue import dequeue, enqueue
from scheduler_sim.engine.kernels.cluster.reserve import drop_reservation
from scheduler_sim.engine.kernels.cluster.state import NEWCOMERS, RELEASED, RESERVED, Sim
from scheduler_sim.engine.kernels.core.state import KEEP, REQUEUED, SUSPENDED
from scheduler_sim.engine.kernels.stopping.state import BACK, EVENTS, PAUSING, TURNED, WOKEN, Life
from scheduler_sim.engine.kernels.stopping.verbs import await_nodes, put_back, stop


@inner_kernel
def next_turn(h: Life) -> float:
    """Return when a task that has not ended may next run again, or no longer; infinity for never."""
    while h.counts[TURNED] < len(h.turn_times):
        if h.lives[h.turn_rows[h.counts[TURNED]]].ending < 0:
            return float(h.turn_times[h.counts[TURNED]])
        h.counts[TURNED] += 1
    return np.inf


@inner_kernel
def take_turns(s: Sim, h: Life, now: float, reserving: bool | None) -> None:
    """Let those go on that may run again, and stop or withhold those that may not; what ends now has ended before.

    Who may not while its nodes still wake stops when they are awake, if it may not then.
    """
    first = h.counts[TURNED]
    while h.counts[TURNED] < len(h.turn_times) and h.turn_times[h.counts[TURNED]] <= now:
        place = h.counts[TURNED]
        h.lives[h.turn_rows[place]].shut = 1 - h.turn_opens[place]
        h.counts[TURNED] += 1
    if len(h.turn_times) > 0:
        _withhold_newcomers(s, h)
    for place in range(first, h.counts[TURNED]):
        row = h.turn_rows[place]
        t, life = s.tasks[row], h.lives[row]
        if life.ending >= 0:
            continue
        h.counts[EVENTS] += 1
        if h.turn_opens[place]:
            if life.withheld:
                life.withheld = 0
                enqueue(s, row)
                s.newcomers[s.counts[NEWCOMERS]] = row
                s.counts[NEWCOMERS] += 1
        elif life.runs and t.start > now:
            await_nodes(s, h, row)
        elif life.runs:
            _pause(s, h, row, now)
        elif t.arrived and t.parents == 0 and not life.withheld:
            dequeue(s, row)
            life.withheld = 1
            s.counts[RELEASED] = 1
            if reserving is not None:
                _give_up_reservation(s, row)
    for i in range(h.counts[WOKEN]):
        row = h.woken[i]
        if h.lives[row].runs and h.lives[row].shut:
            _pause(s, h, row, now)
    if h.counts[BACK] > 0:
        put_back(s, h, now, False)


@inner_kernel
def _pause(s: Sim, h: Life, row: int, now: float) -> None:
    """Stop a running task because it may not run now."""
    stop(s, h, row, now, SUSPENDED if h.settings[PAUSING] == KEEP else REQUEUED, True)


@inner_kernel
def _withhold_newcomers(s: Sim, h: Life) -> None:
    """Take those out of the queue again that became ready while they may not run."""
    kept = 0
    for i in range(s.counts[NEWCOMERS]):
        row = s.newcomers[i]
        if h.lives[row].shut:
            dequeue(s, row)
            h.lives[row].withheld = 1
        else:
            s.newcomers[kept] = row
            kept += 1
    s.counts[NEWCOMERS] = kept


@inner_kernel
def _give_up_reservation(s: Sim, row: int) -> None:
    for place in range(s.counts[RESERVED]):
        if s.reserved_rows[place] == row:
            drop_reservation(s, place)
            return
