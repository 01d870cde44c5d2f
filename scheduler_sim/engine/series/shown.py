"""As much of a step series as a drawing shows, with every peak."""

import numpy as np

from scheduler_sim.engine.series.steps import StepSeries
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray


def shown(steps: StepSeries, begin: float, end: float, most: int) -> tuple[FloatArray, FloatArray]:
    """Return at most `most` steps of a span: their limits, shape (n + 1,), and values, shape (n,); NaN where unknown.

    Where it has more, the span is cut into equal parts, and of each its lowest and highest value stay, each for a half
    of the part, in the order in which they come first.

    Raises:
        InvalidParameter: it would repeat more often than steps are told at all, see `StepSeries.cuts`.
    """
    edges = np.unique(np.concatenate(([begin], steps.cuts(begin, end), [end])))
    values = steps.at(edges[:-1])
    if len(values) <= most:
        return edges, values
    parts = most // 2
    halves = np.linspace(begin, end, 2 * parts + 1)
    limits = halves[::2]
    first = np.searchsorted(edges, limits[:-1], side="right") - 1
    behind = np.searchsorted(edges, limits[1:], side="left")
    kept = [_extremes(values, low, high) for low, high in zip(first.tolist(), behind.tolist(), strict=True)]
    return halves, values[np.concatenate(kept)]


def _extremes(values: FloatArray, first: int, behind: int) -> IntArray:
    """Return the places of the lowest and highest value of a part, in their order; the first where none is known."""
    part = values[first:behind]
    if np.isnan(part).all():
        return np.array([first, first], np.int64)
    return first + np.sort(np.array([np.nanargmin(part), np.nanargmax(part)], np.int64))
