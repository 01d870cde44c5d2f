"""Binary heaps: of (time, row) pairs in two parallel arrays, equal times leaving in row order, and of integers.

Removing lets the hole sink to a leaf along the lesser children and lifts the last entry from there. The last entry
nearly always belongs near the leaves, so that this saves a comparison a level, and the choice of a child needs no jump.
"""

from scheduler_sim.engine.indexes import never_negative
from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

never_negative(__name__)


@bare_kernel
def _lift(times: FloatArray, rows: IntArray, i: int, time: float, row: int) -> None:
    """Put (time, row) where it belongs on the way from place `i`, which is free, to the root."""
    while i > 0:
        above = (i - 1) >> 1
        if times[above] < time or (times[above] == time and rows[above] < row):
            break
        times[i] = times[above]
        rows[i] = rows[above]
        i = above
    times[i] = time
    rows[i] = row


@bare_kernel
def _lift_number(numbers: IntArray, i: int, number: int) -> None:
    """Put a number where it belongs on the way from place `i`, which is free, to the root."""
    while i > 0 and numbers[(i - 1) >> 1] > number:
        numbers[i] = numbers[(i - 1) >> 1]
        i = (i - 1) >> 1
    numbers[i] = number


@bare_kernel
def heap_push(times: FloatArray, rows: IntArray, size: int, time: float, row: int) -> None:
    """Add (time, row) to a heap that holds `size` pairs."""
    _lift(times, rows, size, time, row)


@bare_kernel
def heap_pop(times: FloatArray, rows: IntArray, size: int) -> None:
    """Remove the first pair of a heap that holds `size` pairs; read it at index 0 before."""
    last = size - 1
    time = times[last]
    row = rows[last]
    i = 0
    child = 2
    while child < last:
        left, right = times[child - 1], times[child]
        child -= int((left < right) | ((left == right) & (rows[child - 1] < rows[child])))
        times[i] = times[child]
        rows[i] = rows[child]
        i = child
        child = 2 * i + 2
    if child == last:
        times[i] = times[child - 1]
        rows[i] = rows[child - 1]
        i = child - 1
    _lift(times, rows, i, time, row)


@bare_kernel
def heap_remove(times: FloatArray, rows: IntArray, size: int, place: int) -> None:
    """Remove the pair at `place` of a heap that holds `size` pairs."""
    last = size - 1
    if place == last:
        return
    time, row = times[last], rows[last]
    i = place
    while i > 0:
        above = (i - 1) >> 1
        if times[above] < time or (times[above] == time and rows[above] < row):
            break
        times[i], rows[i] = times[above], rows[above]
        i = above
    while True:
        child = 2 * i + 1
        if child >= last:
            break
        if child + 1 < last and (
            times[child + 1] < times[child] or (times[child + 1] == times[child] and rows[child + 1] < rows[child])
        ):
            child += 1
        if time < times[child] or (time == times[child] and row < rows[child]):
            break
        times[i], rows[i] = times[child], rows[child]
        i = child
    times[i], rows[i] = time, row


@bare_kernel
def number_push(numbers: IntArray, size: int, number: int) -> None:
    """Add a number to a heap that holds `size` different numbers."""
    _lift_number(numbers, size, number)


@bare_kernel
def number_pop(numbers: IntArray, size: int) -> None:
    """Remove the least number of a heap that holds `size` numbers; read it at index 0 before."""
    last = size - 1
    number = numbers[last]
    i = 0
    child = 2
    while child < last:
        child -= int(numbers[child - 1] < numbers[child])
        numbers[i] = numbers[child]
        i = child
        child = 2 * i + 2
    if child == last:
        numbers[i] = numbers[child - 1]
        i = child - 1
    _lift_number(numbers, i, number)
