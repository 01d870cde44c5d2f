"""The running tasks by expected end, from which EASY reads the head's shadow time.

An array in descending order, so that a task that ends as expected leaves at the end: few tasks run at a time, and
moving the tail beats any tree.
"""

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


@bare_kernel
def add_end(time: float, row: int, size: int, times: FloatArray, rows: IntArray) -> None:
    """Add a task that starts to `size` others."""
    i = size
    while i > 0 and times[i - 1] < time:
        times[i] = times[i - 1]
        rows[i] = rows[i - 1]
        i -= 1
    times[i] = time
    rows[i] = row


@bare_kernel
def drop_end(time: float, row: int, size: int, times: FloatArray, rows: IntArray) -> None:
    """Remove one of `size` tasks, which was expected to end at `time`."""
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
def shadow(
    now: float, free: int, need: int, cpus: IntArray, size: int, times: FloatArray, rows: IntArray
) -> tuple[float, int]:
    """Return when `need` processors are expected free, and how many are left over then.

    A task that runs past its estimate is expected to end now.
    """
    i = size
    while free < need:
        i -= 1
        free += cpus[rows[i]]
    shadow_time = max(now, times[i])
    while i > 0 and times[i - 1] <= shadow_time:
        i -= 1
        free += cpus[rows[i]]
    return shadow_time, free - need
