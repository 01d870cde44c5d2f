"""Longest paths along the dependency graph."""

import numpy as np

from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.workload import FloatArray, IntArray


@counting_kernel
def longest_paths(
    start: FloatArray, length: FloatArray, before: IntArray, offsets: IntArray, after: IntArray
) -> FloatArray:
    """Return the length of the longest path that ends with each row, shape (n,), in the order of Kahn (1962).

    Args:
        start: shape (n,), the least with which a path to a row begins.
        length: shape (n,), what a row adds to a path.
        before: shape (n,), how many edges lead to each row.
        offsets, after: shapes (n + 1,) and (edges,); edges lead from row i to `after[offsets[i]:offsets[i + 1]]`.
    """
    count = len(start)
    reached = start.copy()
    left = before.copy()
    stack = np.empty(count, np.int64)
    size = 0
    for row in range(count):
        if left[row] == 0:
            stack[size] = row
            size += 1
    path = np.empty(count)
    while size > 0:
        size -= 1
        row = stack[size]
        path[row] = reached[row] + length[row]
        for place in range(offsets[row], offsets[row + 1]):
            other = after[place]
            reached[other] = max(reached[other], path[row])
            left[other] -= 1
            if left[other] == 0:
                stack[size] = other
                size += 1
    return path
