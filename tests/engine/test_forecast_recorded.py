"""Forecasts beside what recorded Slurm clusters really did; docs/forecast.md has the figures of many instants."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.forecast_accuracy import score_folder
from scheduler_sim.engine.forecasting import Accuracy

PathOf = Callable[[str], Path]


@pytest.mark.slow
def test_forecasts_hold_real_starts_and_are_nearer_to_them_than_slurms_own(slurm_path: PathOf) -> None:
    found = Accuracy.of(score_folder(slurm_path("S2"), replicas=20, seed=0, every=9))
    assert found.instants == 3
    assert found.compared > 60
    assert found.covered > 0.5
    assert found.median_error_compared < found.slurm_median_error / 2
