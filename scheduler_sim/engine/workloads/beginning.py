"""Where a replay begins: what ran already holds its nodes, what waited is there, what had ended is gone."""

from dataclasses import dataclass, replace

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.workloads.workload import IntArray, Parents, Workload


@dataclass(frozen=True, eq=False)
class Beginning:
    """A workload from the instant on at which its replay begins.

    Attributes:
        workload: its tasks.
        rows: shape (n,), their row numbers in the workload that it was made of.
        time: the instant, seconds on the workload's clock.
        running: how many tasks ran already; they arrive at their recorded start, which lies before `time`.
        waiting: how many waited already; they arrive at `time`.
        ended: how many had ended and are left out.
    """

    workload: Workload
    rows: IntArray
    time: float
    running: int
    waiting: int
    ended: int


def begin_at(
    workload: Workload, begin_time: float | None = None, *, hold: bool = True, ever_started: bool = True
) -> Beginning:
    """Return the workload as it stands when its replay begins, by what the trace recorded.

    Tasks that ran at that instant arrive at their recorded start, where they find nothing but each other: whatever the
    policy, they hold their nodes before anything else begins, and their whole run time is played. They wait for no
    parents.

    Args:
        begin_time: seconds on the workload's clock; None for the first submission, before which nobody waits.
        hold: false lets tasks that ran already arrive as any other.
        ever_started: false takes a workload none of whose tasks has started for one of which all wait.

    Raises:
        InvalidParameter: a `begin_time` where the trace recorded no start, or after which nothing is left.
    """
    everything = np.arange(len(workload), dtype=np.int64)
    if not len(workload):
        return Beginning(workload, everything, 0.0, 0, 0, 0)
    start, end = workload.recorded_start_time, workload.recorded_start_time + workload.runtime
    time = float(workload.arrival_time[0]) if begin_time is None else begin_time
    running = (start < time) & (end > time) & hold
    ended = np.zeros(len(workload), bool) if begin_time is None else end <= time
    waiting = (workload.arrival_time < time) & ~running & ~ended
    if begin_time is not None and ever_started and np.isnan(start).all():
        raise InvalidParameter("begin_time needs a workload that tells when its tasks started; this one does not.")
    if ended.all():
        raise InvalidParameter(f"All tasks had ended at begin_time {time:g}; nothing is left to play.")
    if not (running.any() or ended.any() or waiting.any()):
        return Beginning(workload, everything, time, 0, 0, 0)
    arrival = np.where(running, start, np.where(waiting, time, workload.arrival_time))
    kept = np.flatnonzero(~ended)
    rows = kept[np.lexsort((workload.task_id[kept], arrival[kept]))]
    changed = replace(workload, arrival_time=arrival, parents=_without(workload.parents, running))
    return Beginning(changed.take(rows), rows, time, int(running.sum()), int(waiting.sum()), int(ended.sum()))


def _without(parents: Parents, orphaned: np.ndarray) -> Parents:
    """Return the dependencies without those of some tasks."""
    if not parents.count:
        return parents
    counts = np.diff(parents.offsets)
    kept = np.repeat(~orphaned, counts)
    offsets = np.concatenate(([0], np.cumsum(np.where(orphaned, 0, counts)))).astype(np.int64)
    return Parents(offsets=offsets, rows=parents.rows[kept], mb=None if parents.mb is None else parents.mb[kept])
