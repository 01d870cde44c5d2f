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


def order_of_groups(group: IntArray) -> IntArray:
    """Return the places of n values, those of the first group first, in their order within each.

    Args:
        group: shape (n,), numbers of groups from 0.
    """
    # Numbers so short are sorted by their digits, in O(n).
    few = len(group) == 0 or int(group.max()) <= np.iinfo(np.uint16).max
    order: IntArray = np.argsort(group.astype(np.uint16) if few else group, kind="stable")
    return order


def sort_in_groups(values: FloatArray, count: IntArray) -> FloatArray:
    """Sort each group's values in place, those of the first `count[0]`, and so on; return them."""
    last = 0
    for held in count.tolist():
        first, last = last, last + held
        values[first:last].sort()
    return values


def sums_of_pairs(
    major: IntArray, minor: IntArray, *weights: FloatArray
) -> tuple[IntArray, IntArray, list[FloatArray]]:
    """Return the pairs of numbers that there are, ascending, and the sum of each of the weights over each pair.

    Args:
        major, minor: shape (n,), from 0. weights: shape (n,) each.

    Returns:
        both numbers of each pair, and as many sums as weights, each added up in the order of the values.
    """
    size = int(minor.max(initial=0)) + 1
    key = major * size + minor
    most = (int(major.max(initial=0)) + 1) * size
    if most <= 4 * len(key):
        pairs = np.flatnonzero(np.bincount(key, minlength=most))
        sums = [group_sum(key, values, most)[pairs] for values in weights]
    else:
        pairs, pair = np.unique(key, return_inverse=True)
        sums = [group_sum(pair, values, len(pairs)) for values in weights]
    return pairs // size, pairs % size, sums


def group_sum(group: IntArray, values: FloatArray, groups: int) -> FloatArray:
    """Return the sum of each group's values, shape (groups,), added up in their order."""
    return np.bincount(group, values, groups).astype(np.float64)
