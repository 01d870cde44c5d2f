"""Means and percentiles of values that belong to groups, such as windows of time or users, all groups at once."""

import numpy as np

from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


def divide(numerator: FloatArray | IntArray | float, denominator: FloatArray | IntArray) -> FloatArray:
    """Return the quotients, NaN where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: FloatArray = np.where(denominator > 0, np.true_divide(numerator, denominator), np.nan)
    return quotient


def group_percentile(ordered: FloatArray, count: IntArray, percent: float) -> FloatArray:
    """Return a percentile of each group's values, linear between order statistics; NaN of an empty group.

    Args:
        ordered: the values, those of the first group first, ascending within each.
        count: shape (groups,), how many values each has.
    """
    first = np.cumsum(count) - count
    holds = count > 0
    position = np.maximum(count - 1, 0) * (percent / 100)
    below = np.floor(position).astype(np.int64)
    part = (position - below)[holds]
    low = ordered[(first + below)[holds]]
    high = ordered[(first + np.minimum(below + 1, count - 1))[holds]]
    result = np.full(len(count), np.nan)
    # The form that gives `low` and `high` exactly at both ends.
    result[holds] = np.where(part < 0.5, low + (high - low) * part, high - (high - low) * (1 - part))
    return result
