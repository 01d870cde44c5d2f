"""The schedule of a pool, built anew from nothing: who runs on, who stops, who starts."""

import numpy as np

from scheduler_sim.engine.codes import EASY, NONE, QUEUED, RUNNING
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.core.attempts import overhead_of
from scheduler_sim.engine.kernels.core.queue import before, first_of, take_out
from scheduler_sim.engine.kernels.core.state import (
    BACKFILL,
    BEGUN,
    CAPACITY,
    COST,
    DISCIPLINE,
    RUN_ON,
    RUNS,
    SCORE,
    STOPPED,
    Core,
)
from scheduler_sim.engine.kernels.structures.lists import append
from scheduler_sim.engine.kernels.structures.timeline import span


@inner_kernel
def capacity(s: Core) -> int:
    """Return the processors that are there."""
    return 0 if s.node_away[0] > 0 else int(s.settings[CAPACITY])


@inner_kernel
def run_on(s: Core, row: int) -> None:
    """Put a task into the new list of those that run."""
    append(s.running, s.counts, RUNNING, row)


@inner_kernel
def let_begin(s: Core, row: int) -> None:
    """Put a task that waited into the new list of those that run."""
    append(s.beginning, s.counts, BEGUN, row)
    run_on(s, row)


@inner_kernel
def let_stop(s: Core, row: int) -> None:
    """Note that a running task is not chosen."""
    append(s.stopping, s.counts, STOPPED, row)


@inner_kernel
def set_aside(s: Core) -> int:
    """Move those that run into `was_running`, in order, and return how many they are."""
    size = int(s.counts[RUNNING])
    for i in range(size):
        s.was_running[i] = s.running[i]
    s.counts[RUNNING] = 0
    return size


@inner_kernel
def build_by_class(s: Core) -> None:
    """Walk running and waiting tasks in one order; what does not fit is skipped or, strictly, blocks the waiting."""
    strict = s.settings[DISCIPLINE] == SCORE and s.settings[BACKFILL] == NONE
    stops = s.settings[COST] != RUN_ON
    free = capacity(s)
    size = set_aside(s)
    i = 0
    if not stops:
        while i < size:
            free -= s.jobs[s.was_running[i]].cpus
            run_on(s, s.was_running[i])
            i += 1
    blocked, known, next_row = False, False, -1
    while True:
        if not known:
            next_row = -1
            if not blocked and s.counts[QUEUED] > 0:
                next_row = first_of(s, len(s.class_count) if strict else s.upto[max(free, 0)])
            known = True
        if i < size and (next_row < 0 or before(s, s.was_running[i], next_row)):
            row = s.was_running[i]
            i += 1
            if s.jobs[row].cpus <= free:
                free -= s.jobs[row].cpus
                run_on(s, row)
                known = strict or next_row < 0 or s.jobs[next_row].cpus <= free
            else:
                let_stop(s, row)
            continue
        if next_row < 0:
            return
        if s.jobs[next_row].cpus > free:
            blocked, known = True, False
            continue
        take_out(s, next_row)
        free -= s.jobs[next_row].cpus
        if s.jobs[next_row].state == RUNS:
            run_on(s, next_row)
        else:
            let_begin(s, next_row)
        known = False


@inner_kernel
def expected_end(s: Core, row: int, now: float) -> float:
    """Return when a task that is chosen is expected to end; one that is overdue ends now."""
    t = s.jobs[row]
    if t.state == RUNS:
        return float(max(t.expected_end, now))
    return float(now + overhead_of(s, row) + span(s.checkpoints, t.estimate_left))


@inner_kernel
def shadow(s: Core, head: int, free: int, now: float) -> tuple[float, int]:
    """Return when the head is expected to fit beside those chosen so far, and how many processors are left then."""
    size = s.counts[RUNNING]
    for i in range(size):
        row = s.running[i]
        ends, cpus = expected_end(s, row, now), s.jobs[row].cpus
        j = i
        while j > 0 and s.shadow_ends[j - 1] > ends:
            s.shadow_ends[j] = s.shadow_ends[j - 1]
            s.shadow_cpus[j] = s.shadow_cpus[j - 1]
            j -= 1
        s.shadow_ends[j] = ends
        s.shadow_cpus[j] = cpus
    need = s.jobs[head].cpus
    at = np.inf
    i = 0
    while i < size and (free < need or s.shadow_ends[i] == at):
        at = s.shadow_ends[i]
        free += s.shadow_cpus[i]
        i += 1
    return at, free - need


@inner_kernel
def build_by_list(s: Core, now: float) -> None:
    """Walk running and waiting tasks in one order with a reservation for the first that does not fit."""
    easy, strict = s.settings[BACKFILL] == EASY, s.settings[BACKFILL] == NONE
    stops = s.settings[COST] != RUN_ON
    free = capacity(s)
    size, queued = set_aside(s), s.counts[QUEUED]
    i, j, left = 0, 0, 0
    blocked, headed, shadow_time, extra = False, False, np.inf, 0
    while i < size or j < queued:
        if i < size and (not stops or j >= queued or before(s, s.was_running[i], s.waiting[j])):
            row = s.was_running[i]
            i += 1
            if not stops or s.jobs[row].cpus <= free:
                free -= s.jobs[row].cpus
                run_on(s, row)
                if headed and s.jobs[row].expected_end > shadow_time:
                    extra -= s.jobs[row].cpus
            else:
                let_stop(s, row)
            continue
        row = s.waiting[j]
        j += 1
        fits = s.jobs[row].cpus <= free
        starts = fits and not blocked
        if starts and headed and expected_end(s, row, now) > shadow_time:
            if s.jobs[row].cpus > extra:
                starts = False
            else:
                extra -= s.jobs[row].cpus
        if starts:
            free -= s.jobs[row].cpus
            let_begin(s, row)
            continue
        s.waiting[left] = row
        left += 1
        if not fits and easy and not headed:
            headed = True
            shadow_time, extra = shadow(s, row, free, now)
        elif not fits and strict:
            blocked = True
    s.counts[QUEUED] = left
