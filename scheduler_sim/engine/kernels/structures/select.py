"""The k-th least of (time, row) pairs in two parallel arrays, of pairs that come one by one or are there at once."""

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

FEW = 32
"""Up to so many least pairs are sorted as they come; more are selected when all are there."""


@bare_kernel
def keep_least(times: FloatArray, rows: IntArray, size: int, most: int, time: float, row: int) -> int:
    """Add a pair to `size` others; return how many there are.

    With `most` up to `FEW` they stay sorted, and only the `most` least ones are kept.
    """
    if most > FEW:
        times[size], rows[size] = time, row
        return size + 1
    i = size
    if size == most:
        i = size - 1
        if time > times[i] or (time == times[i] and row >= rows[i]):
            return size
        size = i
    while i > 0 and (times[i - 1] > time or (times[i - 1] == time and rows[i - 1] > row)):
        times[i], rows[i] = times[i - 1], rows[i - 1]
        i -= 1
    times[i], rows[i] = time, row
    return size + 1


@bare_kernel
def select(times: FloatArray, rows: IntArray, size: int, k: int) -> None:
    """Put the pair with `k` lesser ones at place `k`, lesser ones before it and larger ones behind (Hoare, 1961)."""
    first, last = 0, size - 1
    if k == 0:
        for i in range(1, size):
            if times[i] < times[0] or (times[i] == times[0] and rows[i] < rows[0]):
                times[0], times[i] = times[i], times[0]
                rows[0], rows[i] = rows[i], rows[0]
        return
    while first < last:
        middle = (first + last) >> 1
        time, row = times[middle], rows[middle]
        i, j = first, last
        while i <= j:
            while times[i] < time or (times[i] == time and rows[i] < row):
                i += 1
            while time < times[j] or (time == times[j] and row < rows[j]):
                j -= 1
            if i <= j:
                times[i], times[j] = times[j], times[i]
                rows[i], rows[j] = rows[j], rows[i]
                i += 1
                j -= 1
        if k <= j:
            last = j
        elif k >= i:
            first = i
        else:
            return
