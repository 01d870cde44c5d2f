"""Intervals hold what they promise: checked on queues whose mean wait is known in closed form."""

import math

import numpy as np
import pytest
from scipy import stats

from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import pool
from scheduler_sim.engine.measuring.figures import FIGURES
from scheduler_sim.engine.numerics import statistics

UTILISATION = 0.5
KNOWN_MEAN_WAIT = UTILISATION / (1 - UTILISATION)
"""Of the queue M/M/1 in service times: rho / (1 - rho) (any text on queues; here mean service is 1 s)."""


def mean_wait(generator: np.random.Generator, *, tasks: int, measured_from: int) -> float:
    """Simulate an M/M/1 queue with the engine and return the mean wait of the later tasks."""
    runtime = generator.exponential(1.0, tasks)
    workload = engine.Workload.from_columns(
        task_id=np.arange(tasks),
        arrival_time=np.cumsum(generator.exponential(1 / UTILISATION, tasks)),
        runtime=runtime,
        duration_estimate=runtime,
        cpus=np.ones(tasks),
    )
    simulation = engine.Simulation(workload=workload, cluster=pool(1), policy=engine.parse_policy("fcfs"))
    simulation.advance()
    outcome = simulation.outcome()
    return float(np.mean((outcome.start_time - workload.arrival_time)[measured_from:]))


@pytest.fixture(scope="module")
def replications() -> np.ndarray:
    """400 experiments of 10 replications, 3,000 tasks each, the first 500 not measured."""
    generator = np.random.default_rng(20261123)
    values = [mean_wait(generator, tasks=3_000, measured_from=500) for _ in range(4_000)]
    return np.array(values).reshape(400, 10)


def test_about_95_percent_of_the_t_intervals_hold_the_known_mean(replications: np.ndarray) -> None:
    intervals = [statistics.mean_interval(row) for row in replications]
    held = np.mean([one.low <= KNOWN_MEAN_WAIT <= one.high for one in intervals])
    assert 0.92 <= held <= 0.98
    assert abs(replications.mean() - KNOWN_MEAN_WAIT) < 0.01


def test_bootstrap_intervals_hold_it_nearly_as_often(replications: np.ndarray) -> None:
    pooled = replications[:300].reshape(100, 30)
    held = np.mean([(one := statistics.bootstrap_interval(row)).low <= KNOWN_MEAN_WAIT <= one.high for row in pooled])
    assert held >= 0.88


def test_pairing_narrows_the_interval_of_a_difference() -> None:
    generator = np.random.default_rng(1)
    base = generator.normal(100, 30, 20)
    value = base - 1 + generator.normal(0, 0.5, 20)
    paired = statistics.paired_difference(value, base)
    unpaired = stats.ttest_ind(value, base).confidence_interval()
    assert paired.interval.half_width < (unpaired.high - unpaired.low) / 20
    assert paired.interval.low < -1 < paired.interval.high
    assert paired.p_value == pytest.approx(stats.ttest_rel(value, base).pvalue)


def test_the_t_interval_is_that_of_a_worked_example() -> None:
    found = statistics.mean_interval([4.0, 6.0, 8.0])
    reach = 4.302652729911275 * 2 / math.sqrt(3)
    assert (found.mean, found.count) == (6.0, 3)
    assert found.low == pytest.approx(6 - reach)
    assert found.high == pytest.approx(6 + reach)


@pytest.mark.parametrize("values", [[], [1.0], [math.nan, 2.0], [2.0, 2.0, 2.0]])
def test_one_replication_has_no_interval(values: list[float]) -> None:
    found = statistics.mean_interval(values)
    assert math.isnan(found.low)
    assert not found.is_narrow(0.5)


def test_holm_gives_the_values_of_a_worked_example_and_leaves_unknown_ones_out() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    adjusted = statistics.holm([0.02, math.nan, 0.5])
    assert adjusted[0] == pytest.approx(0.04)
    assert math.isnan(adjusted[1])


def test_holm_keeps_false_findings_below_five_percent() -> None:
    generator = np.random.default_rng(3)
    false = 0
    for _ in range(400):
        rows = {str(policy): generator.normal(10, 1, 12) for policy in range(6)}
        found = statistics.compare_with_base(rows, "0")
        false += any(difference.is_clear for difference in found.values())
    assert false / 400 < 0.08


def test_equal_policies_differ_by_nothing() -> None:
    found = statistics.compare_with_base({"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [2.0, 3.0]}, "a")
    assert found["b"].p_value == 1
    assert not found["b"].is_clear
    assert found["c"].interval.mean == 1


def test_the_same_replication_many_times_makes_no_difference_clear_and_is_enough() -> None:
    rows = {"a": [1.0] * 5, "b": [2.0] * 5, "c": [3.0] * 5}
    found = statistics.compare_with_base(rows, "a")["b"]
    assert (found.interval.mean, found.interval.count) == (1, 5)
    assert math.isnan(found.interval.low)
    assert math.isnan(found.p_value)
    assert not found.is_clear
    assert math.isnan(statistics.friedman_p_value(rows))
    assert statistics.enough(rows["a"], figure="mean_wait_time", relative_width=0.05, minimum=5)
    assert not statistics.enough(rows["a"][:4], figure="mean_wait_time", relative_width=0.05, minimum=5)


def test_ranks_share_ties_and_turn_with_the_direction() -> None:
    values = {"a": [1.0, 1.0], "b": [2.0, 1.0], "c": [3.0, 3.0]}
    assert statistics.mean_ranks(values) == {"a": 1.25, "b": 1.75, "c": 3.0}
    assert statistics.mean_ranks(values, lower_is_better=False)["c"] == 1.0
    assert math.isnan(statistics.mean_ranks({"a": [math.nan]})["a"])


def test_friedman_sees_a_policy_that_always_wins() -> None:
    generator = np.random.default_rng(4)
    noise = generator.normal(0, 0.1, (3, 15))
    assert statistics.friedman_p_value({"a": noise[0], "b": noise[1] + 1, "c": noise[2] + 2}) < 0.001
    assert math.isnan(statistics.friedman_p_value({"a": [1.0, 2.0], "b": [1.0, 2.0]}))


def test_a_sequential_study_stops_when_the_interval_is_narrow() -> None:
    generator = np.random.default_rng(5)
    values: list[float] = []
    while not statistics.enough(values, figure="mean_wait_time", relative_width=0.05, minimum=5):
        values.append(float(generator.normal(10, 2)))
        assert len(values) < 1_000
    assert statistics.mean_interval(values).is_narrow(0.05)
    assert len(values) >= 5


def test_the_same_seed_gives_the_same_bootstrap_interval() -> None:
    values = np.random.default_rng(6).lognormal(0, 1, 25)
    assert statistics.bootstrap_interval(values) == statistics.bootstrap_interval(values)
    assert statistics.figure_interval("p95_wait_time", values) == statistics.bootstrap_interval(values)
    assert statistics.figure_interval("mean_wait_time", values) == statistics.mean_interval(values)


def test_an_interval_keeps_to_what_the_figure_can_be() -> None:
    found = statistics.mean_interval([1.0, 1.1, 90.0])
    assert found.low < 1
    kept = found.within(*FIGURES["mean_bounded_slowdown"].possible)
    assert (kept.low, kept.mean, kept.high) == (1.0, found.mean, found.high)
    assert FIGURES["cpu_utilisation"].possible == (0.0, 1.0)
