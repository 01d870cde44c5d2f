"""Lists of what one node is expected to get back, of cores or of GPUs: (time, amount), the latest first.

What has come back is taken off the end. Amounts are thousandths of cores, or GPUs.
"""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

LONGEST_LIST = 4096
"""Expected releases that a plan remembers for each node and kind of device."""


def longest_list(on_one_node: int) -> int:
    """Return how many entries the lists of a node have room for, of which at most `on_one_node` are of what runs."""
    return min(2 * on_one_node + 64, LONGEST_LIST)


@inner_kernel
def add_release(times: FloatArray, amounts: IntArray, size: int, time: float, amount: int) -> int:
    """Add a release, to come after others of the same time, and return the new size; a full list forgets it."""
    if amount == 0 or size == len(times):
        return size
    i = size
    while i > 0 and times[i - 1] <= time:
        times[i] = times[i - 1]
        amounts[i] = amounts[i - 1]
        i -= 1
    times[i] = time
    amounts[i] = amount
    return size + 1


@inner_kernel
def free_at(times: FloatArray, amounts: IntArray, size: int, here: int, need: int) -> float:
    """Return when `need` is expected to be free, where `here` is less and free now; infinity for never."""
    total = here
    for i in range(size - 1, -1, -1):
        total += amounts[i]
        if total >= need:
            return float(times[i])
    return np.inf


@inner_kernel
def book(
    times: FloatArray, amounts: IntArray, size: int, here: int, need: int, begin: float, finish: float
) -> tuple[int, int]:
    """Take `need` from the latest releases not later than `begin`, and expect it back at `finish`.

    Returns the new size, and what is left of `here`, which is free now.
    """
    if need == 0:
        return size, here
    first = size
    while first > 0 and times[first - 1] <= begin:
        first -= 1
    left = need
    i = first
    while i < size and amounts[i] <= left:
        left -= amounts[i]
        i += 1
    if i < size:
        amounts[i] -= left
        left = 0
    for j in range(i, size):
        times[first + j - i] = times[j]
        amounts[first + j - i] = amounts[j]
    return add_release(times, amounts, size - (i - first), finish, need), max(here - left, 0)


@inner_kernel
def expect(times: FloatArray, amounts: IntArray, rows: IntArray, size: int, time: float, amount: int, row: int) -> int:
    """Add what a starting task holds to the list of what runs, to come before others of the same time."""
    if amount == 0:
        return size
    i = size
    while i > 0 and times[i - 1] < time:
        times[i] = times[i - 1]
        amounts[i] = amounts[i - 1]
        rows[i] = rows[i - 1]
        i -= 1
    times[i] = time
    amounts[i] = amount
    rows[i] = row
    return size + 1


@inner_kernel
def forget(times: FloatArray, amounts: IntArray, rows: IntArray, size: int, row: int) -> float:
    """Take a task out of the list of what runs, where it is, and return when it was expected to end."""
    i = size - 1
    while rows[i] != row:
        i -= 1
    time = times[i]
    for j in range(i, size - 1):
        times[j] = times[j + 1]
        amounts[j] = amounts[j + 1]
        rows[j] = rows[j + 1]
    return float(time)


@inner_kernel
def begin_plan(
    now: float,
    began: IntArray,
    run_times: FloatArray,
    run_amounts: IntArray,
    run_rows: IntArray,
    running: int,
    times: FloatArray,
    amounts: IntArray,
) -> None:
    """Fill a list of the plan from what runs.

    Overdue tasks end now; those that end at the same time stand with the last to start to come first.
    """
    current = running
    while current > 0 and run_times[current - 1] <= now:
        current -= 1
    for i in range(current):
        times[i] = run_times[i]
        amounts[i] = run_amounts[i]
    for i in range(current, running):
        # The overdue are few: their places are counted rather than sorted.
        place = running - 1
        for k in range(current, running):
            if began[run_rows[k]] > began[run_rows[i]]:
                place -= 1
        times[place] = now
        amounts[place] = run_amounts[i]
