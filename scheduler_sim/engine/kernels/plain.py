"""The event loop with the simplest queue: an unordered list that is searched at each event.

The cost of an event grows with the queue. It serves every order and the backfills none, list and easy.
"""

import numpy as np

from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.heap import heap_pop, heap_push
from scheduler_sim.engine.kernels.state import (
    ARRIVED,
    EASY,
    FINISHED,
    FREE,
    LIST,
    NONE,
    QUEUED,
    RUNNING,
    UNSORTED,
)
from scheduler_sim.engine.workload import FloatArray, IntArray


@kernel
def shadow(
    now: float,
    free: int,
    need: int,
    rows: IntArray,
    running: int,
    start: FloatArray,
    expected: FloatArray,
    cpus: IntArray,
) -> tuple[float, int]:
    """Return when `need` processors are expected free, and how many are left over then."""
    shadow_time = -np.inf
    available = free
    while available < need:
        following = np.inf
        for i in range(running):
            end = max(start[rows[i]] + expected[rows[i]], now)
            if end > shadow_time:
                following = min(following, end)
        shadow_time = following
        available = free
        for i in range(running):
            if max(start[rows[i]] + expected[rows[i]], now) <= shadow_time:
                available += cpus[rows[i]]
    return shadow_time, available - need


@kernel
def best(
    now: float,
    queue: IntArray,
    queued: int,
    arrival: FloatArray,
    base: FloatArray,
    slope: FloatArray,
    expected: FloatArray,
    cpus: IntArray,
    free: int,
    shadow_time: float,
    extra: int,
) -> int:
    """Return the index in `queue` of the lowest score among those that may start, -1 for none."""
    chosen = -1
    lowest = 0.0
    for i in range(queued):
        row = queue[i]
        if cpus[row] > free or (now + expected[row] > shadow_time and cpus[row] > extra):
            continue
        score = base[row] - slope[row] * (now - arrival[row])
        if chosen < 0 or score < lowest or (score == lowest and row < queue[chosen]):
            chosen = i
            lowest = score
    return chosen


@kernel
def advance_plain(
    backfill: int,
    counts: IntArray,
    clock: FloatArray,
    arrival: FloatArray,
    duration: FloatArray,
    expected: FloatArray,
    cpus: IntArray,
    base: FloatArray,
    slope: FloatArray,
    start: FloatArray,
    finish: FloatArray,
    order: IntArray,
    end_times: FloatArray,
    end_rows: IntArray,
    queue: IntArray,
    until: float,
    max_events: int,
) -> None:
    """Play whole instants up to `until` or until `max_events` events were applied."""
    n = len(arrival)
    arrived, free, finished = counts[ARRIVED], counts[FREE], counts[FINISHED]
    queued, running = counts[QUEUED], counts[RUNNING]
    everything = 2**62
    events = 0
    while events < max_events:
        now = np.inf
        if arrived < n:
            now = arrival[arrived]
        if running > 0:
            now = min(now, end_times[0])
        if now == np.inf or now > until:
            break
        clock[0] = now
        while True:
            while running > 0 and end_times[0] <= now:
                row = end_rows[0]
                heap_pop(end_times, end_rows, running)
                running -= 1
                free += cpus[row]
                if finished > 0 and order[finished - 1] > row and finish[order[finished - 1]] == now:
                    counts[UNSORTED] = 1
                order[finished] = row
                finished += 1
                events += 1
            while arrived < n and arrival[arrived] <= now:
                queue[queued] = arrived
                queued += 1
                arrived += 1
                events += 1
            shadow_time = np.inf
            extra = everything
            reserved = backfill == LIST
            while queued > 0:
                limit = free if reserved else everything
                i = best(now, queue, queued, arrival, base, slope, expected, cpus, limit, shadow_time, extra)
                if i < 0:
                    break
                row = queue[i]
                if cpus[row] > free:
                    if backfill == NONE:
                        break
                    shadow_time, extra = shadow(now, free, cpus[row], end_rows, running, start, expected, cpus)
                    reserved = True
                    continue
                if backfill == EASY and reserved and now + expected[row] > shadow_time:
                    extra -= cpus[row]
                queued -= 1
                queue[i] = queue[queued]
                start[row] = now
                finish[row] = now + duration[row]
                free -= cpus[row]
                heap_push(end_times, end_rows, running, finish[row], row)
                running += 1
            if running == 0 or end_times[0] > now:
                break
    counts[ARRIVED], counts[FREE], counts[FINISHED] = arrived, free, finished
    counts[QUEUED], counts[RUNNING] = queued, running
