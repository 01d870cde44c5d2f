"""The schedule of a pool under conservative backfilling that may stop tasks: a plan made anew, in order, at each event.

The plan is a step function of free processors. Who is ahead is planned first, so that nobody behind can delay it.
"""

import numpy as np

from scheduler_sim.engine.codes import QUEUED
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.core.pool import capacity, expected_end, let_begin, let_stop, run_on, set_aside
from scheduler_sim.engine.kernels.core.queue import before
from scheduler_sim.engine.kernels.core.state import DEPTH, STEPS, Core


@inner_kernel
def _split(s: Core, time: float) -> int:
    """Let a step of the plan begin at a time, which is not before its first, and return its number."""
    i = int(s.counts[STEPS])
    while s.plan_times[i - 1] > time:
        s.plan_times[i] = s.plan_times[i - 1]
        s.plan_free[i] = s.plan_free[i - 1]
        i -= 1
    if s.plan_times[i - 1] == time:
        for k in range(i, s.counts[STEPS]):
            s.plan_times[k] = s.plan_times[k + 1]
            s.plan_free[k] = s.plan_free[k + 1]
        return i - 1
    s.plan_times[i] = time
    s.plan_free[i] = s.plan_free[i - 1]
    s.counts[STEPS] += 1
    return i


@inner_kernel
def hold(s: Core, begin: float, end: float, cpus: int) -> None:
    """Take processors out of the plan for a span."""
    if end <= begin:
        return
    first = _split(s, begin)
    last = _split(s, end)
    for i in range(first, last):
        s.plan_free[i] -= cpus


@inner_kernel
def until_short(s: Core, end: float, cpus: int) -> float:
    """Return when the plan first lacks so many processors, `end` if it does not before."""
    for i in range(s.counts[STEPS]):
        if s.plan_times[i] >= end:
            break
        if s.plan_free[i] < cpus:
            return float(s.plan_times[i])
    return end


@inner_kernel
def earliest(s: Core, length: float, cpus: int) -> float:
    """Return the first time from which so many processors are free for so long, infinity for never."""
    steps = s.counts[STEPS]
    i = 0
    while i < steps:
        if s.plan_free[i] < cpus:
            i += 1
            continue
        begin = s.plan_times[i]
        j = i + 1
        while j < steps and s.plan_times[j] < begin + length and s.plan_free[j] >= cpus:
            j += 1
        if j == steps or s.plan_times[j] >= begin + length:
            return float(begin)
        i = j + 1
    return np.inf


@inner_kernel
def build_by_plan(s: Core, now: float) -> None:
    """Walk running and waiting tasks in one order; the first `depth` that go on waiting get places."""
    free = capacity(s)
    size, queued = set_aside(s), s.counts[QUEUED]
    s.counts[STEPS] = 1
    s.plan_times[0] = now
    s.plan_free[0] = free
    i, j, left, planned = 0, 0, 0, 0
    while i < size or j < queued:
        if i < size and (j >= queued or before(s, s.was_running[i], s.waiting[j])):
            row = s.was_running[i]
            i += 1
            cpus = s.jobs[row].cpus
            if cpus <= free:
                free -= cpus
                run_on(s, row)
                hold(s, now, until_short(s, expected_end(s, row, now), cpus), cpus)
            else:
                let_stop(s, row)
            continue
        row = s.waiting[j]
        j += 1
        if planned < s.settings[DEPTH]:
            cpus = s.jobs[row].cpus
            length = expected_end(s, row, now) - now
            begin = earliest(s, length, cpus)
            if begin < np.inf:
                hold(s, begin, begin + length, cpus)
            if begin == now and cpus <= free:
                free -= cpus
                let_begin(s, row)
                continue
            planned += 1
        s.waiting[left] = row
        left += 1
    s.counts[QUEUED] = left
