"""What every pool kernel does: find the next instant, release what has finished, start a task."""

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.kernels.pool.state import FREE, UNSORTED
from scheduler_sim.engine.kernels.structures.heap import heap_pop, heap_push
from scheduler_sim.engine.workload import FloatArray, IntArray


@bare_kernel
def instant_after(arrived: int, arrival: FloatArray, running: int, end_times: FloatArray) -> float:
    """Return the time of the next arrival or completion, infinity for none."""
    now = np.inf
    if arrived < len(arrival):
        now = arrival[arrived]
    if running > 0:
        now = min(now, end_times[0])
    return now


@bare_kernel
def next_instant(arrival: FloatArray, counts: IntArray, end_times: FloatArray) -> float:
    """Return the time of the next arrival or completion, infinity for none."""
    return instant_after(counts[ARRIVED], arrival, counts[RUNNING], end_times)


@bare_kernel
def last_finished(finished: int, order: IntArray, finish: FloatArray) -> tuple[int, float]:
    """Return the row that finished last and when; -1 and minus infinity for none."""
    if finished == 0:
        return -1, -np.inf
    return order[finished - 1], finish[order[finished - 1]]


@bare_kernel
def pause(now: float, until: float, clock: FloatArray) -> None:
    """Note that nothing happens up to `until`, the next instant being `now`, later."""
    if now < np.inf:
        clock[1] = until


@bare_kernel
def ends_by(now: float, counts: IntArray, end_times: FloatArray) -> bool:
    """Tell whether some running task finishes at `now` or before."""
    return bool(counts[RUNNING] > 0 and end_times[0] <= now)


@bare_kernel
def arrives_by(now: float, arrival: FloatArray, counts: IntArray) -> bool:
    """Tell whether some task yet to come arrives at `now` or before."""
    return bool(counts[ARRIVED] < len(arrival) and arrival[counts[ARRIVED]] <= now)


@bare_kernel
def release(
    now: float,
    cpus: IntArray,
    counts: IntArray,
    finish: FloatArray,
    order: IntArray,
    end_times: FloatArray,
    end_rows: IntArray,
) -> int:
    """Finish the running task that ends first, at `now`, and return its row."""
    row = end_rows[0]
    heap_pop(end_times, end_rows, counts[RUNNING])
    counts[RUNNING] -= 1
    counts[FREE] += cpus[row]
    finished = counts[FINISHED]
    if finished > 0 and order[finished - 1] > row and finish[order[finished - 1]] == now:
        counts[UNSORTED] = 1
    order[finished] = row
    counts[FINISHED] = finished + 1
    return int(row)


@bare_kernel
def begin(
    now: float,
    row: int,
    duration: FloatArray,
    cpus: IntArray,
    counts: IntArray,
    start: FloatArray,
    finish: FloatArray,
    end_times: FloatArray,
    end_rows: IntArray,
) -> None:
    """Start a queued task that fits."""
    end = now + duration[row]
    start[row] = now
    finish[row] = end
    heap_push(end_times, end_rows, counts[RUNNING], end, row)
    counts[RUNNING] += 1
    counts[QUEUED] -= 1
    counts[FREE] -= cpus[row]
