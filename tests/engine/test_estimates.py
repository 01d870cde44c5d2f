"""Replacing the estimates that policies see."""

import numpy as np
import pytest

from scheduler_sim import engine
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.estimates import Estimates, replace_estimates


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
    [
        ("perfect", "Valid forms: exact, trace, factor:F, uniform:F"),
        ("exact:2", "Valid forms"),
        ("", "Valid forms"),
        ("factor", "need a factor, as in factor:2"),
        ("factor:", "must be a number"),
        ("factor:two", "must be a number, not 'two'"),
        ("factor:0", "above 0"),
        ("factor:-1", "above 0"),
        ("factor:inf", "finite"),
        ("factor:nan", "finite"),
        ("uniform:0.5", "at least 1"),
        ("factor:1e300", "beyond"),
    ],
)
def test_other_texts_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidParameter, match=reason):
        replaced(text)
