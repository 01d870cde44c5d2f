"""The k-th least of (time, row) pairs in two parallel arrays."""

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workload import FloatArray, IntArray


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
