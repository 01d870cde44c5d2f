"""The running tasks by expected end, from which EASY reads the head's shadow time."""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.loop import Tasks
from scheduler_sim.engine.workload import FloatArray, IntArray


class PlannedEnds(NamedTuple):
    """An array in ascending order: few tasks run at a time, so that moving its tail beats any tree.

    Attributes:
        size: shape (1,), how many are running.
        times, rows: their expected ends and rows.
    """

    size: IntArray
    times: FloatArray
    rows: IntArray


def make_planned_ends(most_running: int) -> PlannedEnds:
    """Return the ends of an idle pool."""
    return PlannedEnds(size=np.zeros(1, np.int64), times=np.empty(most_running), rows=np.empty(most_running, np.int64))


@kernel
def add_end(time: float, row: int, ends: PlannedEnds) -> None:
    """Add a task that starts."""
    i = ends.size[0]
    while i > 0 and ends.times[i - 1] > time:
        ends.times[i] = ends.times[i - 1]
        ends.rows[i] = ends.rows[i - 1]
        i -= 1
    ends.times[i] = time
    ends.rows[i] = row
    ends.size[0] += 1


@kernel
def drop_end(time: float, row: int, ends: PlannedEnds) -> None:
    """Remove a task that finishes and was expected to end at `time`."""
    first = 0
    last = ends.size[0]
    while last - first > 8:
        middle = (first + last) >> 1
        if ends.times[middle] < time:
            first = middle + 1
        else:
            last = middle
    while ends.rows[first] != row:
        first += 1
    ends.size[0] -= 1
    for i in range(first, ends.size[0]):
        ends.times[i] = ends.times[i + 1]
        ends.rows[i] = ends.rows[i + 1]


@kernel
def shadow(now: float, free: int, need: int, tasks: Tasks, ends: PlannedEnds) -> tuple[float, int]:
    """Return when `need` processors are expected free, and how many are left over then.

    A task that runs past its estimate is expected to end now.
    """
    i = 0
    while free < need:
        free += tasks.cpus[ends.rows[i]]
        i += 1
    shadow_time = max(now, ends.times[i - 1])
    while i < ends.size[0] and ends.times[i] <= shadow_time:
        free += tasks.cpus[ends.rows[i]]
        i += 1
    return shadow_time, free - need
