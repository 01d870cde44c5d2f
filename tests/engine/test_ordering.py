"""Putting numbers in order, held against NumPy's stable sort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scheduler_sim.engine.numerics.ordering import order_of, places_of


@given(arrays(np.float64, st.integers(0, 60), elements=st.floats(allow_nan=True, width=64)))
@settings(max_examples=200, deadline=None)
def test_doubles_come_in_the_order_of_a_stable_sort(values: np.ndarray) -> None:
    found = order_of(values)
    assert np.array_equal(found, np.argsort(values, kind="stable"))
    assert np.array_equal(places_of(found)[found], np.arange(len(values)))


@given(arrays(np.int64, st.integers(0, 60), elements=st.integers(-(2**63), 2**63 - 1)))
@settings(max_examples=100, deadline=None)
def test_whole_numbers_do_too(values: np.ndarray) -> None:
    assert np.array_equal(order_of(values), np.argsort(values, kind="stable"))


@pytest.mark.parametrize("apart", [1e-12, 1e-15])
def test_doubles_that_share_the_higher_half_of_their_digits_do_too(apart: float) -> None:
    generator = np.random.default_rng(1)
    values = 3.0 + apart * generator.integers(0, 500, 2000).astype(np.float64)
    assert np.array_equal(order_of(values), np.argsort(values, kind="stable"))
    mixed = np.concatenate([-values, generator.normal(size=2000), values])
    rows = generator.permutation(len(mixed))
    assert np.array_equal(order_of(mixed, rows), rows[np.argsort(mixed[rows], kind="stable")])
