"""The running tasks by expected end, from which EASY reads the head's shadow time.

An array in ascending order: few tasks run at a time, so that moving its tail beats any tree.
"""

from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.workload import FloatArray, IntArray


@kernel
def add_end(time: float, row: int, size: int, times: FloatArray, rows: IntArray) -> None:
    """Add a task that starts to `size` others."""
    i = size
    while i > 0 and times[i - 1] > time:
        times[i] = times[i - 1]
        rows[i] = rows[i - 1]
        i -= 1
    times[i] = time
    rows[i] = row


@kernel
def drop_end(time: float, row: int, size: int, times: FloatArray, rows: IntArray) -> None:
    """Remove one of `size` tasks, which was expected to end at `time`."""
    first = 0
    last = size
    while last - first > 8:
        middle = (first + last) >> 1
        if times[middle] < time:
            first = middle + 1
        else:
            last = middle
    while rows[first] != row:
        first += 1
    for i in range(first, size - 1):
        times[i] = times[i + 1]
        rows[i] = rows[i + 1]


@kernel
def shadow(
    now: float, free: int, need: int, cpus: IntArray, size: int, times: FloatArray, rows: IntArray
) -> tuple[float, int]:
    """Return when `need` processors are expected free, and how many are left over then.

    A task that runs past its estimate is expected to end now.
    """
    i = 0
    while free < need:
        free += cpus[rows[i]]
        i += 1
    shadow_time = max(now, times[i - 1])
    while i < size and times[i] <= shadow_time:
        free += cpus[rows[i]]
        i += 1
    return shadow_time, free - need
