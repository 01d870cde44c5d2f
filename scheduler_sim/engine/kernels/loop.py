"""What every pool kernel does: find the next instant, release what has finished, start a task."""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.heap import heap_pop, heap_push
from scheduler_sim.engine.kernels.state import ARRIVED, FINISHED, FREE, QUEUED, RUNNING, UNSORTED
from scheduler_sim.engine.workload import FloatArray, IntArray


class Tasks(NamedTuple):
    """The tasks of a pool simulation, shape (n,) each, in canonical order.

    Attributes:
        arrival: seconds.
        duration: true seconds on this pool.
        expected: seconds that the policy is told.
        cpus: processors held.
        base, slope: the score is `base - slope * (now - arrival)`.
    """

    arrival: FloatArray
    duration: FloatArray
    expected: FloatArray
    cpus: IntArray
    base: FloatArray
    slope: FloatArray


class Run(NamedTuple):
    """The state that every pool kernel has.

    Attributes:
        counts: see `state`.
        clock: the last instant that was applied, and the time up to which nothing more happens; seconds.
        start, finish: shape (n,), NaN until the task has started.
        order: shape (n,), rows by finish.
        end_times, end_rows: heap of what runs by finish.
    """

    counts: IntArray
    clock: FloatArray
    start: FloatArray
    finish: FloatArray
    order: IntArray
    end_times: FloatArray
    end_rows: IntArray


@kernel
def next_instant(tasks: Tasks, run: Run) -> float:
    """Return the time of the next arrival or completion, infinity for none."""
    counts = run.counts
    now = np.inf
    if counts[ARRIVED] < len(tasks.arrival):
        now = tasks.arrival[counts[ARRIVED]]
    if counts[RUNNING] > 0:
        now = min(now, run.end_times[0])
    return now


@kernel
def pause(now: float, until: float, run: Run) -> None:
    """Note that nothing happens up to `until`, the next instant being `now`, later."""
    if now < np.inf:
        run.clock[1] = until


@kernel
def ends_by(now: float, run: Run) -> bool:
    """Tell whether some running task finishes at `now` or before."""
    return run.counts[RUNNING] > 0 and run.end_times[0] <= now


@kernel
def arrives_by(now: float, tasks: Tasks, run: Run) -> bool:
    """Tell whether some task yet to come arrives at `now` or before."""
    return run.counts[ARRIVED] < len(tasks.arrival) and tasks.arrival[run.counts[ARRIVED]] <= now


@kernel
def release(now: float, tasks: Tasks, run: Run) -> int:
    """Finish the running task that ends first, at `now`, and return its row."""
    counts = run.counts
    row = run.end_rows[0]
    heap_pop(run.end_times, run.end_rows, counts[RUNNING])
    counts[RUNNING] -= 1
    counts[FREE] += tasks.cpus[row]
    finished = counts[FINISHED]
    if finished > 0 and run.order[finished - 1] > row and run.finish[run.order[finished - 1]] == now:
        counts[UNSORTED] = 1
    run.order[finished] = row
    counts[FINISHED] = finished + 1
    return row


@kernel
def begin(now: float, row: int, tasks: Tasks, run: Run) -> None:
    """Start a queued task that fits."""
    counts = run.counts
    end = now + tasks.duration[row]
    run.start[row] = now
    run.finish[row] = end
    heap_push(run.end_times, run.end_rows, counts[RUNNING], end, row)
    counts[RUNNING] += 1
    counts[QUEUED] -= 1
    counts[FREE] -= tasks.cpus[row]
