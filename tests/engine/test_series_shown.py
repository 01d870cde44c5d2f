"""What a drawing shows of a series: few steps, and every peak."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scheduler_sim.engine.series import StepSeries
from scheduler_sim.engine.series.shown import shown

VALUES = st.lists(st.integers(-5, 5), min_size=2, max_size=60)


@given(
    VALUES,
    st.lists(st.integers(1, 9), min_size=60, max_size=60),
    st.sampled_from(("refuse", "hold", "repeat")),
    st.integers(-30, 200),
    st.integers(1, 300),
    st.sampled_from((2, 6, 10, 400)),
)
def test_few_steps_hold_the_extremes_of_every_part(values, lengths, beyond, begin, length, most):
    limits = np.cumsum([0, *lengths[: len(values)]]).astype(np.float64)
    steps = StepSeries(limits[:-1], np.array(values, np.float64), float(limits[-1]), beyond)
    edges, found = shown(steps, begin, begin + length, most)
    assert len(edges) == len(found) + 1 <= most + 1
    assert (edges[0], edges[-1]) == (begin, begin + length)
    assert (np.diff(edges) > 0).all()
    # All times and lengths are whole numbers: what lies between two of them is one value.
    moments = np.arange(begin, begin + length) + 0.5
    true = steps.at(moments)
    if length <= most:
        place = np.searchsorted(edges, moments, side="right") - 1
        np.testing.assert_array_equal(found[place], true)
    parts = most // 2
    for part in range(parts if len(found) == most and len(found) < length else 0):
        low, high = edges[2 * part], edges[2 * part + 2]
        fine = steps.at(low + (high - low) * (np.arange(200) + 0.5) / 200)
        pair = found[2 * part : 2 * part + 2]
        assert np.isnan(fine).all() == np.isnan(pair).all()
        if not np.isnan(fine).all():
            assert np.nanmin(pair) <= np.nanmin(fine)
            assert np.nanmax(pair) >= np.nanmax(fine)
            assert set(pair[~np.isnan(pair)].tolist()) <= set(values)
