"""Quantities over windows of time and over groups, each against a plain reading of what it is to be, bit for bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim.engine.measuring.fairness import FairShares, contention
from scheduler_sim.engine.numerics.grouped import (
    group_count,
    group_sum,
    order_of_groups,
    sort_in_groups,
    sums_of_pairs,
)
from scheduler_sim.engine.numerics.histogram import BINS, EDGES, LogHistogram
from scheduler_sim.engine.numerics.spans import held_by_window, highest_by_window, window_of

FloatArray = Any


def window_plainly(time: float, edges: FloatArray) -> int:
    for window in range(len(edges) - 1):
        if edges[window] <= time < edges[window + 1] or (time == edges[-1] and window == len(edges) - 2):
            return window
    return -1


def held_plainly(start: FloatArray, end: FloatArray, amount: FloatArray, edges: FloatArray) -> FloatArray:
    """Add up span after span, in the order in which sums are to be made."""
    windows = len(edges) - 1
    within, first, last, begun, ended = ([0.0] * (windows + 1) for _ in range(5))
    for span in range(len(start)):
        begin, finish = (min(max(time[span], edges[0]), edges[-1]) for time in (start, end))
        one, other = window_plainly(begin, edges), window_plainly(finish, edges)
        if one == other:
            within[one] += (finish - begin) * amount[span]
        else:
            first[one] += (edges[one + 1] - begin) * amount[span]
            last[other] += (finish - edges[other]) * amount[span]
            begun[one + 1] += amount[span]
            ended[other] += amount[span]
    level, found = 0.0, []
    for window in range(windows):
        level += begun[window] - ended[window]
        held = within[window] + first[window] + last[window]
        found.append(held + level * (edges[window + 1] - edges[window]))
    return np.array(found)


def highest_plainly(start: FloatArray, end: FloatArray, edges: FloatArray) -> list[int]:
    """Look at each instant at which anything happens, and at the beginning of each window."""
    highest = [0] * (len(edges) - 1)
    for time in {*start.tolist(), *end.tolist(), *edges[:-1].tolist()}:
        window = window_plainly(time, edges)
        if window >= 0:
            highest[window] = max(highest[window], int((start <= time).sum() - (end <= time).sum()))
    return highest


@st.composite
def spans(draw: st.DrawFn) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return starts, ends, amounts and edges: evenly spaced or not, times on them and beyond."""
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    count, windows = draw(st.integers(0, 40)), draw(st.integers(2, 30))
    if draw(st.booleans()):
        edges = np.unique(np.linspace(generator.random(), 20 + generator.random(), windows + 1))
    else:
        edges = np.unique(
            [0.5, 1e8, *generator.choice([0.0, 1e-9, 1.0, 1.0 + 1e-12, 5.0, 7.5, 8.0, 1e6, 1e9], windows)]
        )
    near = np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf), generator.random(8) * 25])
    start = generator.choice(near, count)
    end = np.maximum(start, generator.choice([*near, np.inf], count))
    return start, end, generator.random(count), edges


@given(spans())
@settings(max_examples=200, deadline=None)
def test_windows_hold_what_a_plain_sum_says(given: tuple[FloatArray, ...]) -> None:
    start, end, amount, edges = given
    times = np.concatenate([start, end, [np.nan, -np.inf, np.inf]])
    assert window_of(times, edges).tolist() == [window_plainly(time, edges) for time in times]
    if len(edges) > 2:
        assert held_by_window(start, end, amount, edges).tolist() == held_plainly(start, end, amount, edges).tolist()
    found = highest_by_window(np.sort(start), np.sort(end), edges)
    assert found.tolist() == highest_plainly(start, end, edges)
    unknown = np.append(np.sort(start), np.nan), np.append(np.sort(end), [np.nan, np.nan])
    assert highest_by_window(*unknown, edges).tolist() == found.tolist()


def test_the_whole_run_may_have_no_length() -> None:
    edges = np.array([3.0, 3.0])
    assert window_of(np.array([2.0, 3.0, 4.0]), edges).tolist() == [-1, 0, -1]
    assert held_by_window(np.zeros(1), np.full(1, 9.0), np.ones(1), edges).tolist() == [0.0]
    assert highest_by_window(np.zeros(1), np.full(1, 9.0), edges).tolist() == [1]


@given(st.integers(0, 10_000), st.integers(0, 60), st.sampled_from((3, 70_000)))
@settings(max_examples=60, deadline=None)
def test_groups_are_sorted_and_added_up_in_the_order_of_their_values(seed: int, size: int, groups: int) -> None:
    generator = np.random.default_rng(seed)
    group, other = generator.integers(0, groups, size), generator.integers(0, 4, size)
    values = generator.choice([0.0, 1.0, 2.5, 1e300, np.nan], size) + generator.random(size)
    ordered = sort_in_groups(values[order_of_groups(group)], np.bincount(group, minlength=groups))
    assert ordered.tobytes() == values[np.lexsort((values, group))].tobytes()
    major, minor, (sums, counts) = sums_of_pairs(group, other, values, np.ones(size))
    plain: dict[tuple[int, int], list[float]] = {}
    for pair, value in zip(zip(group.tolist(), other.tolist(), strict=True), values, strict=True):
        held = plain.setdefault(pair, [0.0, 0.0])
        held[:] = held[0] + value, held[1] + 1.0
    assert list(zip(major.tolist(), minor.tolist(), strict=True)) == sorted(plain)
    expected = np.array([plain[pair] for pair in sorted(plain)]).reshape(-1, 2)
    assert np.column_stack([sums, counts]).tobytes() == expected.tobytes()
    given: list[Any] = [group, group.astype(np.int32), *([group.astype(np.int16)] if groups == 3 else [])]
    for numbers in given:
        assert group_sum(numbers, values, groups).tobytes() == np.bincount(group, values, groups).tobytes()
        assert group_count(numbers, groups).tolist() == np.bincount(group, minlength=groups).tolist()


@pytest.mark.parametrize("number", [-1, 2])
def test_a_value_of_a_group_that_there_is_not_is_an_error(number: int) -> None:
    for add_up in (lambda: group_sum(np.array([0, number]), np.ones(2), 2), lambda: group_count(np.array([number]), 2)):
        with pytest.raises(IndexError, match=r"^There are 2 groups, and a value of another one\.$"):
            add_up()


def test_the_least_share_of_a_window_is_unknown_where_one_of_its_is() -> None:
    due, got = np.array([2.0, 0.0, 4.0, 1.0]), np.array([1.0, 1.0, 1.0, 3.0])
    shares = FairShares(rho=np.ones(4), due=due, got=got)
    least = shares.by_window(None, slice(None), np.array([1, 0, 1, 0]), 3)["least_share"]
    assert np.isnan(least).tolist() == [True, False, True]
    assert least[1] == 0.25


def test_a_histogram_of_sorted_values_counts_each_in_its_bin() -> None:
    generator = np.random.default_rng(6)
    edges = generator.choice(EDGES, 500)
    values = np.concatenate([edges, np.nextafter(edges, 0), generator.lognormal(2, 9, 500), [0.0, np.nan, np.inf]])
    bins = np.searchsorted(EDGES, values[~np.isnan(values)], side="right")
    assert LogHistogram.of(values).counts.tolist() == np.bincount(bins, minlength=BINS).tolist()


@given(st.integers(0, 10_000), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_contention_is_the_same_whichever_way_the_order_is_known(seed: int, size: int) -> None:
    """Against one pass over all events in the order of their times."""
    generator = np.random.default_rng(seed)
    ready: Any = generator.choice([0.0, 0.1, 1.5, 3.0, 7.7], size) + generator.integers(0, 3, size)
    finish = ready + generator.choice([0.0, 0.3, 2.9, np.nan], size)
    known: Any = ~np.isnan(finish)
    level, integral, before = 0, 0.0, 0.0
    at: dict[tuple[int, bool], float] = {}
    events = sorted(
        [(ready[row], False, row) for row in range(size)]
        + [(finish[row], True, row) for row in range(size) if known[row]]
    )
    for time, is_end, row in events:
        integral, before = integral + level * (time - before) if level else integral, time
        at[row, is_end] = integral
        level += -1 if is_end else 1
    expected = np.ones(size)
    for row in map(int, np.flatnonzero(finish > ready)):
        expected[row] = max((at[row, True] - at[row, False]) / (finish[row] - ready[row]), 1.0)
    by_finish = np.argsort(np.where(known, finish, np.inf), kind="stable")
    orders: list[Any] = [None, by_finish[: known.sum()], np.arange(known.sum())]
    for order in orders:
        assert contention(ready, finish, np.ones(size, bool), completion_order=order).tolist() == expected.tolist()


def test_windows_are_half_open_but_the_last() -> None:
    edges = np.array([0.0, 1.0, 2.0])
    times = np.array([-0.1, 0.0, 1.0, 2.0, 2.1, np.nan, np.inf])
    assert window_of(times, edges).tolist() == [-1, 0, 1, 1, -1, -1, -1]


def test_held_amounts_agree_with_fine_slices() -> None:
    generator = np.random.default_rng(4)
    start = generator.uniform(-5, 25, 60)
    end = start + generator.exponential(6, 60)
    amount = generator.random(60)
    edges = np.array([0.0, 1.0, 4.0, 4.5, 20.0])
    overlap = np.minimum(end[:, None], edges[1:]) - np.maximum(start[:, None], edges[:-1])
    expected = (np.maximum(overlap, 0) * amount[:, None]).sum(axis=0)
    assert held_by_window(start, end, amount, edges) == pytest.approx(expected)


def test_the_highest_level_is_carried_into_windows_without_events() -> None:
    start, end = np.array([0.0, 1.0, 5.0]), np.array([3.0, 5.0, 9.0])
    edges = np.array([0.0, 2.0, 2.5, 4.0, 8.0, 12.0, 13.0])
    assert highest_by_window(start, end, edges).tolist() == [2, 2, 2, 1, 1, 0]
