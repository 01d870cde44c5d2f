"""Where in its lane each task is drawn, so that what runs at once never overlaps."""

import math
from bisect import bisect_left
from heapq import heappop, heappush

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

Strip = tuple[float, float]
"""Processors from the first number up to the second one."""

_LEAST = 1e-9
"""Of a processor; what is narrower is rounding."""


def rows_needed(start: Floats, finish: Floats) -> Integers:
    """Give each task, in order of start, the lowest row that is free when it starts."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    rows = np.zeros(len(start), np.int64)
    used = 0
    for at, (begin, end) in enumerate(zip(start.tolist(), finish.tolist(), strict=True)):
        while busy and _is_over(busy[0][0], begin):
            heappush(free, heappop(busy)[1])
        if free:
            row = heappop(free)
        else:
            row, used = used, used + 1
        heappush(busy, (end, row))
        rows[at] = row
    return rows


def processors_taken(
    start: Floats, finish: Floats, width: Floats, processors: float
) -> tuple[Integers, Floats, Floats]:
    """Give each task, in order of start, processors of a pool that are free when it starts.

    A pool does not number its processors: any that are free would do. The lowest gap that is wide enough is taken, so
    that a task is one rectangle where it can be; else the lowest free ones, in several pieces. What does not fit, as a
    log may have recorded, goes above the pool.

    Returns:
        For each piece the row of its task, ascending, and the processors from and up to which it reaches.
    """
    pool: list[Strip] = [(0.0, float(processors))]
    above: list[Strip] = [(float(processors), math.inf)]
    busy: list[tuple[float, int, list[Strip]]] = []
    rows: list[int] = []
    pieces: list[Strip] = []
    for row, (begin, end, wide) in enumerate(zip(start.tolist(), finish.tolist(), width.tolist(), strict=True)):
        while busy and _is_over(busy[0][0], begin):
            for strip in heappop(busy)[2]:
                _give(pool if strip[0] < processors else above, strip)
        taken = _take(pool, wide)
        if (more := wide - sum(high - low for low, high in taken)) > _LEAST:
            taken += _take(above, more)
        heappush(busy, (end, row, taken))
        rows += [row] * len(taken)
        pieces += taken
    low, high = np.array(pieces, np.float64).reshape(-1, 2).T
    return np.array(rows, np.int64), low, high


def _is_over(end: float, now: float) -> bool:
    # The sides of a split task that end together may do so a rounding apart.
    return end <= now or math.isclose(end, now, rel_tol=1e-12)


def _take(free: list[Strip], wide: float) -> list[Strip]:
    """Take `wide` processors, or what there is, out of the free strips, which are sorted and apart."""
    for at, (low, high) in enumerate(free):
        if high - low >= wide - _LEAST:
            _cut(free, at, low + wide)
            return [(low, low + wide)]
    taken: list[Strip] = []
    while wide > _LEAST and free:
        low, high = free[0]
        upto = min(high, low + wide)
        taken.append((low, upto))
        wide -= upto - low
        _cut(free, 0, upto)
    return taken


def _cut(free: list[Strip], at: int, upto: float) -> None:
    if free[at][1] - upto > _LEAST:
        free[at] = (upto, free[at][1])
    else:
        del free[at]


def _give(free: list[Strip], strip: Strip) -> None:
    """Put a strip back and join it with its neighbours."""
    low, high = strip
    at = bisect_left(free, strip)
    if at < len(free) and free[at][0] - high <= _LEAST:
        high = free.pop(at)[1]
    if at and low - free[at - 1][1] <= _LEAST:
        low = free.pop(at - 1)[0]
        at -= 1
    free.insert(at, (low, high))
