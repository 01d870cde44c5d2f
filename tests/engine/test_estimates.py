"""Replacing the estimates that policies see."""

import numpy as np
import pytest

from scheduler_sim import engine
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.formulas import played_runtime
from scheduler_sim.engine.workloads.estimates import Estimates, replace_estimates


def tasks(count: int = 1000) -> engine.Workload:
    runtimes = np.linspace(0, 5000, count)
    return engine.Workload.from_columns(
        arrival_time=np.arange(count), runtime=runtimes, duration_estimate=runtimes * 3 + 7
    )


def replaced(text: str, seed: int = 0) -> engine.Workload:
    return replace_estimates(tasks(), text, np.random.default_rng(seed))


def test_exact_estimates_are_the_run_times() -> None:
    np.testing.assert_array_equal(replaced("exact").duration_estimate, tasks().runtime)


def test_the_traces_own_estimates_stay() -> None:
    np.testing.assert_array_equal(replaced("trace").duration_estimate, tasks().duration_estimate)


@pytest.mark.parametrize("factor", [0.5, 1, 3])
def test_a_factor_multiplies_the_run_times(factor: float) -> None:
    np.testing.assert_allclose(replaced(f"factor:{factor}").duration_estimate, tasks().runtime * factor, atol=1e-6)


def test_uniform_estimates_lie_between_the_run_time_and_its_multiple() -> None:
    estimates, runtimes = replaced("uniform:5").duration_estimate, tasks().runtime
    assert (estimates >= runtimes).all()
    assert (estimates <= runtimes * 5 + 1e-6).all()
    assert (estimates[1:] / runtimes[1:]).mean() == pytest.approx(3, abs=0.15)


def test_uniform_estimates_repeat_with_the_seed() -> None:
    np.testing.assert_array_equal(replaced("uniform:5").duration_estimate, replaced("uniform:5").duration_estimate)
    assert (replaced("uniform:5", seed=1).duration_estimate != replaced("uniform:5").duration_estimate).any()


def test_a_factor_of_one_is_exact() -> None:
    for text in ("factor:1", "uniform:1"):
        np.testing.assert_array_equal(replaced(text).duration_estimate, tasks().runtime)


def test_nothing_else_changes() -> None:
    original = tasks()
    changed = replace_estimates(original, "factor:2", np.random.default_rng(0))
    assert changed.runtime is original.runtime
    assert changed.parents is original.parents


@pytest.mark.parametrize("text", ["exact", "trace", "factor:2", "uniform:2.5"])
def test_a_parsed_text_prints_as_it_was(text: str) -> None:
    assert str(Estimates.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    {
        "perfect": "Valid forms: exact, trace, factor:F, uniform:F",
        "exact:2": "Valid forms",
        "": "Valid forms",
        "factor": "need a factor, as in factor:2",
        "factor:": "must be a number",
        "factor:two": "must be a number, not 'two'",
        "factor:0": "above 0",
        "factor:-1": "above 0",
        "factor:inf": "finite",
        "factor:nan": "finite",
        "uniform:0.5": "at least 1",
        "factor:1e300": "beyond",
    }.items(),
)
def test_other_texts_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidParameter, match=reason):
        replaced(text)


def test_a_log_without_estimates_is_played_with_perfect_ones_and_says_so():
    tasks = engine.Workload.from_columns(arrival_time=[0, 1], runtime=[5, 7])
    assert tasks.perfect_estimates
    assert tasks.duration_estimate.tolist() == [5, 7]
    assert not tasks.estimate_known.any()
    assert np.isnan(tasks.size).all()
    assert tasks.expected_size.tolist() == [0, 0]


def test_a_hole_is_filled_with_the_largest_estimate_of_the_queue_and_never_with_the_run_time():
    arrival, queue = [0, 1, 2, 3, 4], ["day", "day", "day", "night", "night"]
    stated = [10, 60, np.nan, np.nan, np.nan]
    for runtimes in ([1, 2, 3, 4, 5], [9, 9, 900, 900, 900]):
        tasks = engine.Workload.from_columns(
            arrival_time=arrival, runtime=runtimes, duration_estimate=stated, queue=queue
        )
        assert tasks.duration_estimate.tolist() == [10, 60, 60, 60, 60]
        assert not tasks.perfect_estimates
    stated[3] = 500
    tasks = engine.Workload.from_columns(
        arrival_time=arrival, runtime=[1, 2, 3, 4, 5], duration_estimate=stated, queue=queue
    )
    assert tasks.duration_estimate.tolist() == [10, 60, 60, 500, 500]
    assert tasks.take(np.array([2, 4])).duration_estimate.tolist() == [60, 500]


def test_only_a_stated_estimate_ends_a_task():
    tasks = engine.Workload.from_columns(arrival_time=[0, 1], runtime=[50, 50], duration_estimate=[10, np.nan])
    assert played_runtime(tasks, kill_at_estimate=True).tolist() == [10, 50]


@pytest.mark.parametrize("kind", ["exact", "factor:2", "uniform:3"])
def test_estimates_that_a_run_asks_for_are_known_of_every_task(kind):
    tasks = engine.Workload.from_columns(arrival_time=[0, 1], runtime=[5, 7], duration_estimate=[9, np.nan])
    told = replace_estimates(tasks, kind, np.random.default_rng(0))
    assert told.estimate_known.all()
    assert replace_estimates(tasks, "trace", np.random.default_rng(0)).estimate_known.tolist() == [True, False]


def test_a_size_that_is_not_known_is_the_stated_estimate():
    tasks = engine.Workload.from_columns(
        arrival_time=[0, 1, 2], runtime=[5, 7, 8], duration_estimate=[9, 9, np.nan], size=[3, np.nan, np.nan]
    )
    assert tasks.expected_size.tolist() == [3, 9, 0]
