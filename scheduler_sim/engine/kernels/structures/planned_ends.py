"""The running tasks by expected end, from which EASY reads the head's shadow time.

An array in descending order, so that a task that ends as expected leaves at the end: few tasks run at a time, and
moving the tail beats any tree.
"""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


class PlannedEnds(NamedTuple):
    """What EASY knows beside its queue.

    Attributes:
        shadow: shape (1,), the blocked head's shadow time.
        times, rows: shape (most running,), the running tasks by expected end.
    """

    shadow: FloatArray
    times: FloatArray
    rows: IntArray


def make_planned_ends(most_running: int) -> PlannedEnds:
    """Return that nothing runs yet, of which `most_running` may at a time."""
    return PlannedEnds(np.zeros(1), np.empty(most_running), np.empty(most_running, np.int64))


@bare_kernel
def add_end(time: float, row: int, size: int, plan: PlannedEnds) -> None:
    """Add a task that starts to `size` others."""
    times, rows = plan.times, plan.rows
    i = size
    while i > 0 and times[i - 1] < time:
        times[i] = times[i - 1]
        rows[i] = rows[i - 1]
        i -= 1
    times[i] = time
    rows[i] = row


@bare_kernel
def drop_end(time: float, row: int, size: int, plan: PlannedEnds) -> None:
    """Remove one of `size` tasks, which was expected to end at `time`."""
    times, rows = plan.times, plan.rows
    at = size - 1
    if rows[at] != row:
        first = 0
        while at - first > 8:
            middle = (first + at) >> 1
            if times[middle] < time:
                at = middle
            else:
                first = middle
        while rows[at] != row:
            at -= 1
    for i in range(at, size - 1):
        times[i] = times[i + 1]
        rows[i] = rows[i + 1]


@bare_kernel
def shadow(now: float, free: int, need: int, cpus: IntArray, size: int, plan: PlannedEnds) -> tuple[float, int]:
    """Return when `need` processors are expected free, and how many are left over then.

    A task that runs past its estimate is expected to end now.
    """
    times, rows = plan.times, plan.rows
    i = size
    while free < need:
        i -= 1
        free += cpus[rows[i]]
    shadow_time = max(now, times[i])
    while i > 0 and times[i - 1] <= shadow_time:
        i -= 1
        free += cpus[rows[i]]
    return shadow_time, free - need
