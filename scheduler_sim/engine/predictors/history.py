"""What a scheduler knows of its users' past when a task arrives: the run times of what had finished before it.

The features of Tsafrir et al. (Backfilling using system-generated predictions, IEEE TPDS 2007) and of QSSF (Hu et al.,
SC 2021), as logarithms. A task that finishes at the very instant of an arrival is not known at it.
"""

from typing import NamedTuple, Self

import numpy as np

from scheduler_sim.engine.jit import bare_kernel, kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload

HISTORY = ("last", "last_two", "user_mean", "user_count", "same_size_mean")
"""Last run time of the user, mean of the last two, mean, logarithm of their number, mean of those of this size."""

UNKNOWN = -1.0


class Past(NamedTuple):
    """What has finished so far, by user and by user and size.

    Attributes:
        user, kind: shape (n,), a number for each task's user, and for its user and size.
        recent: shape (users, 2), logarithms of the last run time and of the one before it, NaN for none.
        user_count, user_total: shape (users,). kind_count, kind_total: shape (kinds,).
    """

    user: IntArray
    kind: IntArray
    recent: FloatArray
    user_count: FloatArray
    user_total: FloatArray
    kind_count: FloatArray
    kind_total: FloatArray

    @classmethod
    def nothing(cls, workload: Workload) -> Self:
        """Return the past before anything has finished."""
        processors = np.where(workload.gpus > 0, workload.gpus, workload.cpus)
        sizes, size = np.unique(processors, return_inverse=True)
        kinds, kind = np.unique(workload.user.codes * len(sizes) + size.reshape(-1), return_inverse=True)
        users = len(workload.user.names)
        return cls(
            user=np.ascontiguousarray(workload.user.codes),
            kind=kind.reshape(-1).astype(np.int64),
            recent=np.full((users, 2), np.nan),
            user_count=np.zeros(users),
            user_total=np.zeros(users),
            kind_count=np.zeros(len(kinds)),
            kind_total=np.zeros(len(kinds)),
        )

    def finish(self, rows: IntArray, runtime: FloatArray) -> None:
        """Learn that `rows` have finished, in this order, after run times of that many seconds, shape (len(rows),)."""
        _finish(rows, np.log1p(runtime), self)

    def of(self, rows: IntArray) -> FloatArray:
        """Return the history features of `rows` as known now, shape (len(rows), 5), columns as in `HISTORY`."""
        columns = np.empty((len(rows), len(HISTORY)))
        _look(rows, columns, self)
        return columns


def history_given_ends(workload: Workload, finish_time: FloatArray, runtime: FloatArray) -> FloatArray:
    """Return the history features of all tasks at their arrival when tasks finish at given instants, shape (n, 5).

    Args:
        workload: tasks in canonical order.
        finish_time: shape (n,), seconds on the workload's clock.
        runtime: shape (n,), what is learned from a task that has finished.
    """
    columns = np.empty((len(workload), len(HISTORY)))
    order = np.lexsort((np.arange(len(workload)), finish_time)).astype(np.int64)
    past = Past.nothing(workload)
    _replay(workload.arrival_time, finish_time, order, np.log1p(runtime), columns, past)
    return columns


def recorded_ends(workload: Workload) -> FloatArray:
    """Return when tasks ended in the log, shape (n,); one whose start it does not hold is taken not to have waited."""
    unknown = np.isnan(workload.recorded_start_time)
    return np.where(unknown, workload.arrival_time, workload.recorded_start_time) + workload.runtime


@bare_kernel
def _note(row: int, log: float, past: Past) -> None:
    who, what = past.user[row], past.kind[row]
    past.recent[who, 1] = past.recent[who, 0]
    past.recent[who, 0] = log
    past.user_count[who] += 1.0
    past.user_total[who] += log
    past.kind_count[what] += 1.0
    past.kind_total[what] += log


@bare_kernel
def _tell(row: int, place: int, columns: FloatArray, past: Past) -> None:
    who, what = past.user[row], past.kind[row]
    last, before = past.recent[who, 0], past.recent[who, 1]
    count = past.user_count[who]
    columns[place, :] = UNKNOWN
    if count > 0.0:
        columns[place, 0] = last
        columns[place, 1] = (last + before) / 2.0 if count > 1.0 else last
        columns[place, 2] = past.user_total[who] / count
        columns[place, 3] = np.log1p(count)
    if past.kind_count[what] > 0.0:
        columns[place, 4] = past.kind_total[what] / past.kind_count[what]


@kernel
def _finish(rows: IntArray, logs: FloatArray, past: Past) -> None:
    for i in range(len(rows)):
        _note(rows[i], logs[i], past)


@kernel
def _look(rows: IntArray, columns: FloatArray, past: Past) -> None:
    for i in range(len(rows)):
        _tell(rows[i], i, columns, past)


@kernel
def _replay(
    arrival: FloatArray, finish: FloatArray, order: IntArray, logs: FloatArray, columns: FloatArray, past: Past
) -> None:
    done = 0
    for row in range(len(arrival)):
        while done < len(order) and finish[order[done]] < arrival[row]:
            _note(order[done], logs[order[done]], past)
            done += 1
        _tell(row, row, columns, past)
