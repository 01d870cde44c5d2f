"""Spans of time seen through windows: how much of a quantity was held in each, and how high it stood."""

import numpy as np

from scheduler_sim.engine.jit import bare_kernel, kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

CELLS = 4
"""A window is found in a table of so many equal cells a window, which tells between which edges a time can lie."""


def window_of(times: FloatArray, edges: FloatArray) -> IntArray:
    """Return the number of the window that holds each time, -1 for none.

    Args:
        times: shape (n,), seconds; NaN lies in no window.
        edges: shape (k + 1,), ascending; window i is [edges[i], edges[i + 1]), the last one closed.
    """
    found = np.empty(len(times), np.int64)
    _find(np.ascontiguousarray(times, np.float64), edges, *_cells(edges), found)
    return found


def held_by_window(start: FloatArray, end: FloatArray, amount: FloatArray, edges: FloatArray) -> FloatArray:
    """Return, for each window, the integral over time of the amounts held.

    Args:
        start, end: shape (n,), spans with start <= end, all known.
        amount: shape (n,), what is held throughout the span.
        edges: shape (k + 1,), as for `window_of`.

    Each span adds its parts to its first and last window and its whole amount to those between, so that no large
    numbers cancel.
    """
    count = len(edges) - 1
    if not amount.any():
        # GPUs where there are none, prices of what costs nothing.
        return np.zeros(count)
    if count == 1:
        start = np.clip(start, edges[0], edges[-1])
        end = np.clip(end, edges[0], edges[-1])
        return np.array([np.sum((end - start) * amount)])
    sums = np.zeros((5, count + 1))
    start, end, amount = (np.ascontiguousarray(values, np.float64) for values in (start, end, amount))
    _hold(start, end, amount, edges, *_cells(edges), sums)
    within, first, last, begun, ended = sums
    held = (within + first + last)[:count]
    between: FloatArray = held + np.cumsum(begun - ended)[:count] * np.diff(edges)
    return between


def highest_by_window(start: FloatArray, end: FloatArray, edges: FloatArray) -> IntArray:
    """Return, for each window, the largest number of spans open at once.

    Spans that open and close at one instant do not count: the level is taken after all events of the instant.

    Args:
        start, end: shape (n,), seconds, each in ascending order: which start belongs to which end does not matter.
            NaN, which sorts last, is what never comes.
        edges: shape (k + 1,), as for `window_of`.
    """
    highest = np.zeros(len(edges) - 1, np.int64)
    start, end = (np.ascontiguousarray(times[: np.searchsorted(times, np.nan)]) for times in (start, end))
    _raise(start, end, edges, highest)
    return highest


def _cells(edges: FloatArray) -> tuple[float, IntArray]:
    """Return how many cells a second has, and how many edges lie before each of them, one number more than cells."""
    count = CELLS * len(edges)
    width = float(edges[-1] - edges[0])
    with np.errstate(over="ignore"):
        scale = count / width if width > 0 else 0.0
    if not np.isfinite(scale):
        scale = 0.0
    # As `_window` finds it for a time. It never falls as times grow, so that edges of earlier cells are earlier.
    cell = np.minimum(((edges - edges[0]) * scale).astype(np.int64), count - 1)
    return scale, np.searchsorted(cell, np.arange(count + 1)).astype(np.int64)


@bare_kernel
def _window(time: float, edges: FloatArray, scale: float, before: IntArray) -> int:
    last = len(edges) - 1
    if not edges[0] <= time <= edges[last]:
        return -1
    if time == edges[last]:
        return last - 1
    cell = min(int((time - edges[0]) * scale), len(before) - 2)
    low, high = int(before[cell]), int(before[cell + 1])
    while low < high:
        middle = (low + high) // 2
        if edges[middle] <= time:
            low = middle + 1
        else:
            high = middle
    return low - 1


@kernel
def _find(times: FloatArray, edges: FloatArray, scale: float, before: IntArray, found: IntArray) -> None:
    for place in range(len(times)):
        found[place] = _window(times[place], edges, scale, before)


@kernel
def _hold(
    start: FloatArray,
    end: FloatArray,
    amount: FloatArray,
    edges: FloatArray,
    scale: float,
    before: IntArray,
    sums: FloatArray,
) -> None:
    """Add up what spans hold: of those within one window there, of the others in their first and in their last one.

    Behind these, in the fourth and fifth row of `sums`, amounts at the window behind the first and at the last one:
    between them the whole amount is held.
    """
    lowest, highest = edges[0], edges[len(edges) - 1]
    for place in range(len(start)):
        held = amount[place]
        begin = min(max(start[place], lowest), highest)
        finish = min(max(end[place], lowest), highest)
        first = _window(begin, edges, scale, before)
        last = _window(finish, edges, scale, before)
        if first == last:
            sums[0, first] += (finish - begin) * held
        else:
            sums[1, first] += (edges[first + 1] - begin) * held
            sums[2, last] += (finish - edges[last]) * held
            sums[3, first + 1] += held
            sums[4, last] += held


@kernel
def _raise(start: FloatArray, end: FloatArray, edges: FloatArray, highest: IntArray) -> None:
    begun = ended = level = window = 0
    windows = len(highest)
    while begun < len(start) or ended < len(end):
        time = min(
            start[begun] if begun < len(start) else np.inf,
            end[ended] if ended < len(end) else np.inf,
        )
        # Windows that have begun since the last event do so at its level.
        while window < windows and edges[window] < time:
            highest[window] = level
            window += 1
        while begun < len(start) and start[begun] == time:
            level += 1
            begun += 1
        while ended < len(end) and end[ended] == time:
            level -= 1
            ended += 1
        if window > 0 and (window == windows or time < edges[window]) and time <= edges[windows]:
            highest[window - 1] = max(highest[window - 1], level)
    while window < windows:
        highest[window] = level
        window += 1
