"""A second simple event loop: an unordered list that is searched at each event, compiled so that it can play many jobs.

It serves the backfills none, list and easy. Small cases never fill the kernels' trees; this one goes where the slow
reference cannot.
"""

import numpy as np

from scheduler_sim.engine import Simulation
from scheduler_sim.engine.codes import EASY, LIST, NONE, QUEUED, RUNNING
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.pool.kernel import PoolKernel
from scheduler_sim.engine.kernels.pool.loop import arrive, arrives_by, begin, ends_by, next_instant, release
from scheduler_sim.engine.kernels.pool.state import FREE, Run, Tasks
from scheduler_sim.engine.kernels.structures.instants import go_to
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


@kernel
def shadow(now: float, need: int, tasks: Tasks, run: Run) -> tuple[float, int]:
    """Return when `need` processors are expected free, and how many are left over then."""
    rows, running, free = run.end_rows, run.counts[RUNNING], run.counts[FREE]
    shadow_time = -np.inf
    available = free
    while available < need:
        following = np.inf
        for i in range(running):
            end = max(run.start[rows[i]] + tasks.expected[rows[i]], now)
            if end > shadow_time:
                following = min(following, end)
        shadow_time = following
        available = free
        for i in range(running):
            if max(run.start[rows[i]] + tasks.expected[rows[i]], now) <= shadow_time:
                available += tasks.cpus[rows[i]]
    return shadow_time, available - need


@kernel
def best(now: float, queue: IntArray, tasks: Tasks, run: Run, limit: int, shadow_time: float, extra: int) -> int:
    """Return the index in `queue` of the lowest score among those that may start, -1 for none."""
    chosen = -1
    lowest = 0.0
    for i in range(run.counts[QUEUED]):
        row = queue[i]
        cpus = tasks.cpus[row]
        if cpus > limit or (now + tasks.expected[row] > shadow_time and cpus > extra):
            continue
        score = tasks.base[row] - tasks.slope[row] * (now - tasks.arrival[row])
        if chosen < 0 or score < lowest or (score == lowest and row < queue[chosen]):
            chosen = i
            lowest = score
    return chosen


@kernel
def advance_plain(backfill: int, tasks: Tasks, run: Run, queue: IntArray, until: float, max_events: int) -> None:
    """Play whole instants up to `until` or until `max_events` events were applied."""
    counts, cpus, expected = run.counts, tasks.cpus, tasks.expected
    everything = 2**62
    events = 0
    while events < max_events:
        now = go_to(next_instant(tasks.arrival, run.counts, run.end_times), until, False, run.clock)
        if now == np.inf:
            break
        while True:
            while ends_by(now, run.counts, run.end_times):
                release(now, tasks, run)
                events += 1
            while arrives_by(now, tasks.arrival, run.counts):
                at = counts[QUEUED]
                queue[at] = arrive(counts)
                events += 1
            shadow_time = np.inf
            extra = everything
            reserved = backfill == LIST
            while counts[QUEUED] > 0:
                limit = counts[FREE] if reserved else everything
                i = best(now, queue, tasks, run, limit, shadow_time, extra)
                if i < 0:
                    break
                row = queue[i]
                if cpus[row] > counts[FREE]:
                    if backfill == NONE:
                        break
                    shadow_time, extra = shadow(now, cpus[row], tasks, run)
                    reserved = True
                    continue
                if backfill == EASY and reserved and now + expected[row] > shadow_time:
                    extra -= cpus[row]
                begin(now, row, tasks, run)
                queue[i] = queue[counts[QUEUED]]
            if not ends_by(now, run.counts, run.end_times):
                break


def play_plainly(simulation: Simulation) -> FloatArray:
    """Play a simulation on a pool from its beginning and return the start times."""
    kernel = simulation.kernel
    assert isinstance(kernel, PoolKernel)
    tasks, run = kernel._tasks, kernel._run
    advance_plain(simulation.policy.backfill.code, tasks, run, np.zeros(len(tasks.arrival), np.int64), np.inf, 2**62)
    return run.start
