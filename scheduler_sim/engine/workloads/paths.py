"""Longest paths along the dependency graph."""

import numpy as np

from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


@counting_kernel
def in_order(before: IntArray, offsets: IntArray, after: IntArray) -> IntArray:
    """Return the rows with each behind those that lead to it, shape (n,), by Kahn (1962); arguments as below."""
    count = len(before)
    left = before.copy()
    found, stack = np.empty(count, np.int64), np.empty(count, np.int64)
    size = done = 0
    for row in range(count):
        if left[row] == 0:
            stack[size] = row
            size += 1
    while size > 0:
        size -= 1
        row = stack[size]
        found[done] = row
        done += 1
        for place in range(offsets[row], offsets[row + 1]):
            other = after[place]
            left[other] -= 1
            if left[other] == 0:
                stack[size] = other
                size += 1
    return found[:done]


@counting_kernel
def longest_paths(
    start: FloatArray,
    length: FloatArray,
    before: IntArray,
    offsets: IntArray,
    after: IntArray,
    between: FloatArray,
) -> FloatArray:
    """Return the length of the longest path that ends with each row, shape (n,).

    Args:
        start: shape (n,), the least with which a path to a row begins.
        length: shape (n,), what a row adds to a path.
        before: shape (n,), how many edges lead to each row.
        offsets, after: shapes (n + 1,) and (edges,); edges lead from row i to `after[offsets[i]:offsets[i + 1]]`.
        between: shape (edges,), what an edge adds to a path.
    """
    reached = start.copy()
    path = np.empty(len(start))
    for row in in_order(before, offsets, after):
        path[row] = reached[row] + length[row]
        for place in range(offsets[row], offsets[row + 1]):
            other = after[place]
            reached[other] = max(reached[other], path[row] + between[place])
    return path


@counting_kernel
def longest_paths_over(
    start: FloatArray,
    length: FloatArray,
    before: IntArray,
    offsets: IntArray,
    after: IntArray,
    mb: FloatArray,
    latency: FloatArray,
    per_mb: FloatArray,
) -> FloatArray:
    """Return, for each row and place, the longest of the paths that lead to it, each over the best places before.

    reached(i, g) = max(start(i), max over edges j -> i of min over places h of
    reached(j, h) + length(j, h) + transfer from h to g), where a transfer takes nothing from a place to itself, and
    latency + MB x per_mb else, if there are any MB.

    Args:
        length: shape (n, places), inf where a row cannot be.
        mb: shape (edges,), carried along each edge.
        latency, per_mb: shape (places, places), the same both ways.
        start, before, offsets, after: as of `longest_paths`.

    Returns:
        Shape (n, places).
    """
    count, places = length.shape
    reached = np.empty((count, places))
    for row in range(count):
        reached[row] = start[row]
    for row in in_order(before, offsets, after):
        for edge in range(offsets[row], offsets[row + 1]):
            other = after[edge]
            for here in range(places):
                best = np.inf
                for there in range(places):
                    come = reached[row, there] + length[row, there]
                    if here != there and mb[edge] > 0:
                        come += latency[there, here] + mb[edge] * per_mb[there, here]
                    best = min(best, come)
                reached[other, here] = max(reached[other, here], best)
    return reached
