"""Where tasks stand in the order: newcomers, those whose quantum is over, and those between the queues of las."""

from scheduler_sim.engine.codes import RUNNING
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.core.attempts import expect, expect_demotion
from scheduler_sim.engine.kernels.core.queue import push, sort_rows, take_out
from scheduler_sim.engine.kernels.core.state import (
    CHANGED,
    DEMOTED,
    DISCIPLINE,
    NEXT,
    PROMOTED,
    QUANTUM,
    SCORE,
    SRSF,
    SRTF,
    TURN,
    WAITING,
    Core,
)
from scheduler_sim.engine.kernels.structures.lists import append


@inner_kernel
def number_after(s: Core) -> int:
    """Return the next number behind all in a queue."""
    s.counts[NEXT] += 1
    return int(s.counts[NEXT]) - 1


@inner_kernel
def give_key(s: Core, row: int, now: float) -> None:
    """Settle where a newcomer stands."""
    t = s.jobs[row]
    t.state = WAITING
    if not t.ready >= t.arrival:
        t.ready = t.arrival
    t.since = t.ready
    t.waiting_since = now
    discipline = s.settings[DISCIPLINE]
    if discipline == SCORE:
        t.tie = row
        t.key = t.base - t.slope * (now - t.since)
    else:
        t.tie = number_after(s)
        if discipline == SRTF:
            t.key = t.estimate_left
        elif discipline == SRSF:
            t.key = t.estimate_left * t.size
        else:
            t.key = 0.0


@inner_kernel
def promote(s: Core) -> None:
    """Let tasks that waited too long start again in the first queue."""
    sort_rows(s, s.promoted, s.counts[PROMOTED])
    for i in range(s.counts[PROMOTED]):
        row = s.promoted[i]
        t = s.jobs[row]
        take_out(s, row)
        t.level = 0
        t.key = 0.0
        t.attained = 0.0
        t.executed = 0.0
        t.tie = number_after(s)
        push(s, row)
        s.counts[CHANGED] = 1
    s.counts[PROMOTED] = 0


@inner_kernel
def demote(s: Core, now: float) -> None:
    """Move running tasks that attained the limit of their queue to the end of the next."""
    kept = 0
    for i in range(s.counts[RUNNING]):
        row = s.running[i]
        t = s.jobs[row]
        if t.level < len(s.limits):
            attained = (t.attained + (now - t.begun)) * t.size
            if attained >= s.limits[t.level] or t.demote_at <= now:
                t.level += 1
                t.key = float(t.level)
                t.tie = number_after(s)
                append(s.demoted, s.counts, DEMOTED, row)
                expect_demotion(s, row)
                continue
        s.running[kept] = row
        kept += 1
    s.counts[RUNNING] = kept
    for i in range(s.counts[DEMOTED]):
        push(s, s.demoted[i])
        s.counts[CHANGED] = 1


@inner_kernel
def turn(s: Core, now: float) -> None:
    """Send those whose quantum is over behind all others."""
    kept, over = 0, 0
    for i in range(s.counts[RUNNING]):
        row = s.running[i]
        t = s.jobs[row]
        if t.turn_end <= now:
            t.tie = number_after(s)
            t.turn_end = now + s.reals[QUANTUM]
            expect(s, t.turn_end, row, TURN)
            s.was_running[over] = row
            over += 1
            s.counts[CHANGED] = 1
        else:
            s.running[kept] = row
            kept += 1
    for i in range(over):
        s.running[kept + i] = s.was_running[i]
