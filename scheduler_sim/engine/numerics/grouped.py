"""Means and percentiles of values that belong to groups, such as windows of time or users, all groups at once."""

import numpy as np

from scheduler_sim.engine.jit import kernel
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
        pairs = np.flatnonzero(group_count(key, most))
        sums = [group_sum(key, values, most)[pairs] for values in weights]
    else:
        pairs, pair = np.unique(key, return_inverse=True)
        sums = [group_sum(pair, values, len(pairs)) for values in weights]
    return pairs // size, pairs % size, sums


def group_sum(group: IntArray, values: FloatArray | IntArray, groups: int) -> FloatArray:
    """Return the sum of each group's values, shape (groups,), added up in their order.

    As `np.bincount` does it, but other threads go on meanwhile.

    Args:
        group, values: shape (n,), numbers from 0 and below `groups`, short ones as int16, and the value of each.

    Raises:
        IndexError: a number of a group that there is not.
    """
    sums = np.zeros(groups)
    if not _add_up(_numbers(group), np.ascontiguousarray(values, np.float64), sums):
        raise IndexError(f"There are {groups} groups, and a value of another one.")
    return sums


def group_count(group: IntArray, groups: int) -> IntArray:
    """Return how many values each group has, shape (groups,); arguments and errors as of `group_sum`."""
    counts = np.zeros(groups, np.int64)
    if not _count(_numbers(group), counts):
        raise IndexError(f"There are {groups} groups, and a value of another one.")
    return counts


def _numbers(group: IntArray) -> IntArray:
    """Return numbers of groups as one of the two types that are added up by."""
    return np.ascontiguousarray(group, np.int16 if group.dtype == np.int16 else np.int64)


@kernel
def _add_up(group: IntArray, values: FloatArray, sums: FloatArray) -> bool:
    """Add each value to the sum of its group; tell whether there is such a group for all."""
    for place in range(len(group)):
        if not 0 <= group[place] < len(sums):
            return False
        sums[group[place]] += values[place]
    return True


@kernel
def _count(group: IntArray, counts: IntArray) -> bool:
    for place in range(len(group)):
        if not 0 <= group[place] < len(counts):
            return False
        counts[group[place]] += 1
    return True
