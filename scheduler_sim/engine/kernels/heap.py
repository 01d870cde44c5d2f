"""A binary heap of (time, row) pairs in two parallel arrays; equal times leave in row order."""

from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.workload import FloatArray, IntArray


@kernel
def heap_push(times: FloatArray, rows: IntArray, size: int, time: float, row: int) -> None:
    """Add (time, row) to a heap that holds `size` pairs."""
    i = size
    while i > 0:
        above = (i - 1) >> 1
        if times[above] < time or (times[above] == time and rows[above] < row):
            break
        times[i] = times[above]
        rows[i] = rows[above]
        i = above
    times[i] = time
    rows[i] = row


@kernel
def heap_pop(times: FloatArray, rows: IntArray, size: int) -> None:
    """Remove the first pair of a heap that holds `size` pairs; read it at index 0 before."""
    last = size - 1
    time = times[last]
    row = rows[last]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= last:
            break
        right = child + 1
        if right < last and (
            times[right] < times[child] or (times[right] == times[child] and rows[right] < rows[child])
        ):
            child = right
        if time < times[child] or (time == times[child] and row < rows[child]):
            break
        times[i] = times[child]
        rows[i] = rows[child]
        i = child
    times[i] = time
    rows[i] = row
