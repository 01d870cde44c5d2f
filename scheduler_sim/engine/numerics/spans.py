"""Spans of time seen through windows: how much of a quantity was held in each, and how high it stood."""

import numpy as np

from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


def window_of(times: FloatArray, edges: FloatArray) -> IntArray:
    """Return the number of the window that holds each time, -1 for none.

    Args:
        times: shape (n,), seconds; NaN lies in no window.
        edges: shape (k + 1,), ascending; window i is [edges[i], edges[i + 1]), the last one closed.
    """
    last = len(edges) - 2
    found = np.searchsorted(edges, times, side="right") - 1
    found[times == edges[-1]] = last
    found[(found > last) | np.isnan(times)] = -1
    return found.astype(np.int64)


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
    start = np.clip(start, edges[0], edges[-1])
    end = np.clip(end, edges[0], edges[-1])
    if count == 1:
        return np.array([np.sum((end - start) * amount)])
    first, last = window_of(start, edges), window_of(end, edges)
    within = first == last
    width = np.diff(edges)
    # Without a row to count, bincount forgets that the weights are floats.
    held = np.bincount(first[within], weights=((end - start) * amount)[within], minlength=count).astype(np.float64)
    across = ~within
    first, last, amount = first[across], last[across], amount[across]
    held += np.bincount(first, weights=(edges[first + 1] - start[across]) * amount, minlength=count)
    held += np.bincount(last, weights=(end[across] - edges[last]) * amount, minlength=count)
    change = np.bincount(first + 1, weights=amount, minlength=count + 1)
    change -= np.bincount(last, weights=amount, minlength=count + 1)
    between: FloatArray = held + np.cumsum(change)[:count] * width
    return between


def highest_by_window(start: FloatArray, end: FloatArray, edges: FloatArray) -> IntArray:
    """Return, for each window, the largest number of spans open at once.

    Spans that open and close at one instant do not count: the level is taken after all events of the instant.
    """
    times = np.concatenate((start, end))
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    level = np.cumsum(np.where(order < len(start), 1, -1))
    settled = np.append(ordered[1:] != ordered[:-1], True) if len(ordered) else np.zeros(0, bool)
    ordered, level = ordered[settled], level[settled]
    entered = np.searchsorted(ordered, edges[:-1], side="right") - 1
    highest = np.where(entered >= 0, level[np.maximum(entered, 0)], 0) if len(level) else np.zeros(len(edges) - 1, int)
    window = window_of(ordered, edges)
    np.maximum.at(highest, window[window >= 0], level[window >= 0])
    return highest.astype(np.int64)
