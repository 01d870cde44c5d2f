"""The event loop of a pool on which someone outside chooses what is stopped for a task that waits.

At each instant the queue is walked in its order. A task that fits starts; for one that does not the loop stops and
asks: which running task is stopped, or none. Stopped tasks keep what they have done and wait at their place.
"""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, COMMON, QUEUED, RUNNING
from scheduler_sim.engine.jit import bare_kernel, kernel
from scheduler_sim.engine.kernels.choices.figures import tell_figures
from scheduler_sim.engine.kernels.choices.instants import begin_instant, end_first
from scheduler_sim.engine.kernels.choices.scales import keep_within, wait_seen, width_seen
from scheduler_sim.engine.kernels.pool.loop import arrives_by, ends_by
from scheduler_sim.engine.kernels.structures.heap import heap_push, heap_remove
from scheduler_sim.engine.policies.past_scoring import scaled
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray

FREE, AT, ASKED, PASSED, SHOWN, ROUND, COUNTS = range(COMMON, COMMON + 7)
"""Places in the counts beside the common ones: free processors; the place in the queue that the walk has reached; for
how many tasks was asked in this round; 1 where one was stopped that stands before that place; how many are shown; and
how many rounds there were. What takes no time ends in a further round of its instant."""

SHORTEST_FIRST, SKIPS, OFFERED, SETTINGS = range(4)
"""Places in the settings: 1 where the queue stands by the estimated time left, 0 by arrival; 1 where a task that does
not fit is skipped, 0 where it blocks those behind it; for so many tasks is asked in a round."""

OF_WAITING = 6
"""Observed of the pool and the task that waits: the free part, log(1 + queued) / 5, r, n, wait, and what it lacks."""

OF_RUNNING = 6
"""Observed of each running task: that it may be stopped, r of what is left, n, for how long it runs, log(1 + stops),
and whether stopping it alone makes room."""


class Stopping(NamedTuple):
    """The tasks of one episode and their pool; with one axis more, before all others, of many.

    Attributes:
        arrival, duration: shape (n,), seconds. cpus: shape (n,), processors.
        work, told: shape (n,), seconds left at the beginning of this attempt, true and as estimated.
        begun, progress_from: shape (n,), when this attempt began and when its overhead was over; NaN where none runs.
        began_in: shape (n,), the round in which this attempt began. stops: shape (n,), how often each was stopped.
        counts: the places above. clock: shape (1,), seconds.
        start, finish: shape (n,), the first start, NaN before it, and the expected or past end.
        queue: shape (n,), rows that wait, in order. shown: shape (visible,), rows that may be stopped.
        end_times, end_rows: shape (n,), heap of what runs by finish.
    """

    arrival: FloatArray
    duration: FloatArray
    cpus: IntArray
    work: FloatArray
    told: FloatArray
    begun: FloatArray
    progress_from: FloatArray
    began_in: IntArray
    stops: IntArray
    counts: IntArray
    clock: FloatArray
    start: FloatArray
    finish: FloatArray
    queue: IntArray
    shown: IntArray
    end_times: FloatArray
    end_rows: IntArray


@bare_kernel
def _enqueue(p: Stopping, row: int, shortest_first: bool) -> int:
    """Put a task at its place of the queue, behind equals of lower rows, and return that place."""
    counts, queue = p.counts, p.queue
    place = counts[QUEUED]
    while place > 0:
        other = queue[place - 1]
        mine, others = (p.told[row], p.told[other]) if shortest_first else (0.0, 0.0)
        if others < mine or (others == mine and other < row):
            break
        queue[place] = other
        place -= 1
    queue[place] = row
    counts[QUEUED] += 1
    return int(place)


@bare_kernel
def _begin(p: Stopping, place: int, overhead: float) -> None:
    """Start the task at a place of the queue, or let it go on."""
    counts, now, row = p.counts, p.clock[0], p.queue[place]
    for i in range(place, counts[QUEUED] - 1):
        p.queue[i] = p.queue[i + 1]
    counts[QUEUED] -= 1
    if np.isnan(p.start[row]):
        p.start[row] = now
    p.begun[row], p.began_in[row] = now, counts[ROUND]
    p.progress_from[row] = now + (overhead if p.stops[row] > 0 else 0.0)
    p.finish[row] = p.progress_from[row] + p.work[row]
    heap_push(p.end_times, p.end_rows, counts[RUNNING], p.finish[row], row)
    counts[RUNNING] += 1
    counts[FREE] -= p.cpus[row]


@bare_kernel
def _stop(p: Stopping, row: int, shortest_first: bool) -> None:
    """Stop a running task, which keeps its progress and waits at its place."""
    counts, now = p.counts, p.clock[0]
    for i in range(counts[RUNNING]):
        if p.end_rows[i] == row:
            heap_remove(p.end_times, p.end_rows, counts[RUNNING], i)
            break
    counts[RUNNING] -= 1
    counts[FREE] += p.cpus[row]
    done = max(now - p.progress_from[row], 0.0)
    p.work[row] -= done
    p.told[row] = max(p.told[row] - done, 0.0)
    p.begun[row] = p.progress_from[row] = p.finish[row] = np.nan
    p.stops[row] += 1
    if _enqueue(p, row, shortest_first) <= counts[AT]:
        counts[AT] += 1
        counts[PASSED] = 1


@bare_kernel
def _pass_instant(p: Stopping, shortest_first: bool) -> None:
    """Apply all events of the next instant, releases first, and begin to walk the queue."""
    counts, now = p.counts, begin_instant(p)
    while ends_by(now, counts, p.end_times):
        row = end_first(p)
        counts[FREE] += p.cpus[row]
        p.begun[row] = np.nan
    while arrives_by(now, p.arrival, counts):
        _enqueue(p, counts[ARRIVED], shortest_first)
        counts[ARRIVED] += 1
    counts[AT] = counts[ASKED] = counts[PASSED] = 0
    counts[ROUND] += 1


@bare_kernel
def _left(p: Stopping, row: int) -> float:
    """Return the estimated seconds that a running task has left."""
    return float(max(p.told[row] - max(p.clock[0] - p.progress_from[row], 0.0), 0.0))


@bare_kernel
def _show(p: Stopping) -> None:
    """List what may be stopped: what runs since an earlier round, the most estimated time left first."""
    counts, shown, count = p.counts, p.shown, 0
    for i in range(counts[RUNNING]):
        row = p.end_rows[i]
        if p.began_in[row] == counts[ROUND]:
            continue
        left, place = _left(p, row), count
        while place > 0:
            other = shown[place - 1]
            others = _left(p, other)
            if others > left or (others == left and other > row):
                break
            if place < len(shown):
                shown[place] = other
            place -= 1
        if place < len(shown):
            shown[place] = row
            count = min(count + 1, len(shown))
    counts[SHOWN] = count


@bare_kernel
def _walk(p: Stopping, settings: IntArray, overhead: float) -> bool:
    """Start what fits from the place on that the walk has reached; tell whether there is something to ask."""
    counts = p.counts
    while counts[AT] < counts[QUEUED]:
        if p.cpus[p.queue[counts[AT]]] <= counts[FREE]:
            _begin(p, counts[AT], overhead)
            if counts[PASSED] and not settings[SKIPS]:
                break
            continue
        if counts[ASKED] < settings[OFFERED]:
            _show(p)
            if counts[SHOWN] > 0:
                return True
        if not settings[SKIPS]:
            break
        counts[AT] += 1
    counts[AT] = counts[QUEUED]
    return False


@bare_kernel
def _observe(p: Stopping, processors: int, seen: FloatArray) -> None:
    """Write what is seen of the pool, of the task for which is asked, and of those that may be stopped."""
    counts, now = p.counts, p.clock[0]
    seen[:] = 0.0
    seen[0] = counts[FREE] / processors
    seen[1] = np.log1p(float(counts[QUEUED])) / 5.0
    if counts[AT] >= counts[QUEUED]:
        return
    row = p.queue[counts[AT]]
    lacks = p.cpus[row] - counts[FREE]
    seen[2] = scaled(p.told[row])
    seen[3] = width_seen(p.cpus[row], processors)
    seen[4] = wait_seen(now - p.arrival[row])
    seen[5] = lacks / processors
    for i in range(counts[SHOWN]):
        at, other = OF_WAITING + i * OF_RUNNING, p.shown[i]
        seen[at] = 1.0
        seen[at + 1] = scaled(_left(p, other))
        seen[at + 2] = width_seen(p.cpus[other], processors)
        seen[at + 3] = wait_seen(now - p.begun[other])
        seen[at + 4] = np.log1p(float(p.stops[other]))
        seen[at + 5] = 1.0 if p.cpus[other] >= lacks else 0.0
    keep_within(seen)


@kernel
def begin_or_stop(
    actions: IntArray,
    begins: BoolArray,
    processors: int,
    settings: IntArray,
    overhead: float,
    stopping: Stopping,
    seen: FloatArray,
    figures: FloatArray,
) -> None:
    """Take one step in each of S pools.

    Args:
        actions: shape (S,), 0 to stop nothing for the task for which is asked, i to stop the i-th task that is shown;
            one that points at no task stands for 0.
        begins: shape (S,), episodes that begin: nothing is chosen there.
        settings: shape (SETTINGS,).
        overhead: seconds that a task which goes on makes no progress at first.
        stopping: of all S.
        seen: shape (S, OF_WAITING + visible * OF_RUNNING), overwritten.
        figures: shape (S, 3), overwritten: `figures.FIGURES` where none waits or will come, NaN elsewhere.
    """
    shortest_first = settings[SHORTEST_FIRST] == 1
    all_of = stopping
    for s in range(len(actions)):
        p = Stopping(
            all_of.arrival[s],
            all_of.duration[s],
            all_of.cpus[s],
            all_of.work[s],
            all_of.told[s],
            all_of.begun[s],
            all_of.progress_from[s],
            all_of.began_in[s],
            all_of.stops[s],
            all_of.counts[s],
            all_of.clock[s],
            all_of.start[s],
            all_of.finish[s],
            all_of.queue[s],
            all_of.shown[s],
            all_of.end_times[s],
            all_of.end_rows[s],
        )
        counts = p.counts
        figures[s] = np.nan
        if not begins[s]:
            if 0 < actions[s] <= counts[SHOWN]:
                _stop(p, p.shown[actions[s] - 1], shortest_first)
            else:
                counts[ASKED] += 1
                counts[AT] = counts[AT] + 1 if settings[SKIPS] else counts[QUEUED]
        counts[SHOWN] = 0
        while not _walk(p, settings, overhead):
            if counts[QUEUED] == 0 and counts[ARRIVED] == len(p.arrival):
                tell_figures(p.arrival, p.start, p.finish, p.duration, figures[s])
                break
            _pass_instant(p, shortest_first)
        _observe(p, processors, seen[s])
