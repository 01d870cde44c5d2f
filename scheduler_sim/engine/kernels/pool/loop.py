"""What every pool kernel does: find the next instant, release what has finished, start a task."""

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.kernels.pool.state import FREE, UNSORTED, Run, Tasks
from scheduler_sim.engine.kernels.structures.heap import heap_pop, heap_push
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


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
def append_finished(row: int, now: float, finished: int, finish: FloatArray, order: IntArray) -> int:
    """Append a row to those that finished; return 1 where it belongs before the last one, of the same instant, or 0."""
    order[finished] = row
    return int(finished > 0 and order[finished - 1] > row and finish[order[finished - 1]] == now)


@bare_kernel
def ends_by(now: float, counts: IntArray, end_times: FloatArray) -> bool:
    """Tell whether some running task finishes at `now` or before."""
    return bool(counts[RUNNING] > 0 and end_times[0] <= now)


@bare_kernel
def arrives_by(now: float, arrival: FloatArray, counts: IntArray) -> bool:
    """Tell whether some task yet to come arrives at `now` or before."""
    return bool(counts[ARRIVED] < len(arrival) and arrival[counts[ARRIVED]] <= now)


@bare_kernel
def arrive(counts: IntArray) -> int:
    """Queue the task that arrives next and return its row."""
    row = counts[ARRIVED]
    counts[ARRIVED] += 1
    counts[QUEUED] += 1
    return int(row)


@bare_kernel
def release(now: float, tasks: Tasks, run: Run) -> int:
    """Finish the running task that ends first, at `now`, and return its row."""
    counts, row = run.counts, run.end_rows[0]
    heap_pop(run.end_times, run.end_rows, counts[RUNNING])
    counts[RUNNING] -= 1
    counts[FREE] += tasks.cpus[row]
    counts[UNSORTED] |= append_finished(row, now, counts[FINISHED], run.finish, run.order)
    counts[FINISHED] += 1
    return int(row)


@bare_kernel
def begin(now: float, row: int, tasks: Tasks, run: Run) -> None:
    """Start a queued task that fits."""
    counts, end = run.counts, now + tasks.duration[row]
    run.start[row] = now
    run.finish[row] = end
    heap_push(run.end_times, run.end_rows, counts[RUNNING], end, row)
    counts[RUNNING] += 1
    counts[QUEUED] -= 1
    counts[FREE] -= tasks.cpus[row]
