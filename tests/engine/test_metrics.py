"""Every figure against a computation by hand, and the laws that hold for all of them."""

from typing import Any

import numpy as np
import pytest

from scheduler_sim import engine
from scheduler_sim.engine.measuring import metrics
from scheduler_sim.engine.measuring.contest import Contest
from scheduler_sim.engine.measuring.usage import energy_and_cost, holdings
from scheduler_sim.engine.numerics.histogram import BINS, LARGEST, LogHistogram

CLUSTER = engine.Cluster(
    "two cores",
    (engine.NodeGroup("pool", 1, 2, cpu_idle_watts=1.0, cpu_busy_watts=3.0, usd_per_core_hour=3600.0),),
)


def played(policy: str = "fcfs", cluster: engine.Cluster = CLUSTER, **columns: Any) -> engine.Simulation:
    simulation = engine.Simulation(
        workload=engine.Workload.from_columns(**columns), cluster=cluster, policy=engine.parse_policy(policy)
    )
    simulation.advance()
    return simulation


def by_hand() -> engine.Simulation:
    """Task 1 runs 0-10 on both cores, 2 waits 9 s and runs 10-30 on one, 3 waits 8 s and runs 10-14 on the other."""
    return played(arrival_time=[0.0, 1.0, 2.0], runtime=[10.0, 20.0, 4.0], cpus=[2, 1, 1], user=["ann", "bob", "ann"])


def total(simulation: engine.Simulation, **options: Any) -> dict[str, Any]:
    outcome = simulation.outcome()
    edges = np.array(metrics.whole_run(simulation.workload, [outcome], options.get("scored")))
    return metrics.summarise(simulation, edges=edges, **options).row()


def test_the_figures_of_a_run_by_hand() -> None:
    row = total(by_hand(), won=np.array([True, False, True]))
    completion = [10.0, 29.0, 12.0]
    assert row["arrived_count"] == row["started_count"] == row["finished_count"] == 3
    assert row["mean_job_completion_time"] == pytest.approx(51 / 3)
    assert (row["min_job_completion_time"], row["max_job_completion_time"]) == (10.0, 29.0)
    for percent in (50, 95, 99):
        assert row[f"p{percent}_job_completion_time"] == pytest.approx(np.percentile(completion, percent), rel=1e-15)
    assert row["mean_wait_time"] == pytest.approx(17 / 3)
    assert (row["min_wait_time"], row["max_wait_time"]) == (0.0, 9.0)
    assert row["mean_bounded_slowdown"] == pytest.approx((1 + 29 / 20 + 12 / 10) / 3)
    assert row["makespan"] == 30.0
    assert row["throughput"] == pytest.approx(0.1)
    assert row["cpu_utilisation"] == pytest.approx((20 + 20 + 4) / 60)
    assert row["gpu_utilisation"] is None
    assert row["mean_queue_length"] == pytest.approx(17 / 30)
    assert row["max_queue_length"] == 2
    assert row["energy_joules"] == pytest.approx(44 * 3.0)
    assert row["idle_energy_joules"] == pytest.approx(16 * 1.0)
    assert row["cost_usd"] == pytest.approx(44.0)
    assert (row["wins"], row["losses"]) == (2, 1)
    ann, bob = (1 + 1.2) / 2, 29 / 20
    assert row["fairness"] == pytest.approx((ann + bob) ** 2 / (2 * (ann**2 + bob**2)))


@pytest.mark.parametrize("events", [2, 4, None])
def test_what_runs_once_is_told_as_its_history_tells_it(events: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = engine.Simulation(by_hand().workload, CLUSTER, engine.parse_policy("fcfs"))
    simulation.advance(**({} if events is None else {"max_events": events}))
    edges, served = np.array([0.0, 11.0, 12.0, 40.0]), {2: 0.0, 4: 10.0, None: 34.0}
    row, windows = total(simulation), vars(metrics.summarise(simulation, edges=edges))
    assert row["service_time"] == served[events]
    monkeypatch.setattr(engine.Simulation, "runs_plainly", False)
    assert total(simulation) == row
    for name, values in vars(metrics.summarise(simulation, edges=edges)).items():
        np.testing.assert_array_equal(values, windows[name], name)


def test_windows_share_out_the_whole_run() -> None:
    generator = np.random.default_rng(1)
    simulation = played(
        "sjf", arrival_time=generator.random(400) * 1000, runtime=generator.exponential(3, 400), user=["a", "b"] * 200
    )
    whole = total(simulation)
    edges = np.linspace(whole["window_start_time"], whole["window_end_time"], 38)
    windows = metrics.summarise(simulation, edges=edges, won=np.ones(400, bool))
    for name in ("arrived_count", "started_count", "finished_count", "energy_joules", "idle_energy_joules", "cost_usd"):
        assert getattr(windows, name).sum() == pytest.approx(whole[name]), name
    assert windows.wins.sum() == 400
    assert windows.max_queue_length.max() == whole["max_queue_length"]
    weight = windows.makespan / windows.makespan.sum()
    assert (windows.cpu_utilisation * weight).sum() == pytest.approx(whole["cpu_utilisation"])
    assert (windows.mean_queue_length * weight).sum() == pytest.approx(whole["mean_queue_length"])
    finish = simulation.outcome().finish_time
    wait = metrics.TaskFigures.of(simulation.workload, simulation.outcome()).wait_time
    for number in range(37):
        inside = (finish >= edges[number]) & ((finish < edges[number + 1]) | (number == 36))
        if inside.any():
            assert windows.p95_wait_time[number] == pytest.approx(np.percentile(wait[inside], 95), rel=1e-12)
            assert windows.mean_wait_time[number] == pytest.approx(wait[inside].mean())
        else:
            assert np.isnan(windows.p95_wait_time[number])


def test_energy_and_cost_are_those_of_the_tasks() -> None:
    simulation = by_hand()
    energy, cost = energy_and_cost(simulation, np.arange(3))
    row = total(simulation)
    assert row["energy_joules"] == pytest.approx(energy.sum())
    assert row["cost_usd"] == pytest.approx(cost.sum())
    held = holdings(simulation, np.arange(3))
    idle = row["makespan"] * CLUSTER.cores - (held.cores * held.cpu_busy).sum()
    assert row["idle_energy_joules"] == pytest.approx(idle * CLUSTER.groups[0].cpu_idle_watts)


def test_tasks_that_have_not_finished_count_nowhere_but_in_the_queue() -> None:
    simulation = engine.Simulation(workload=by_hand().workload, cluster=CLUSTER, policy=engine.parse_policy("fcfs"))
    simulation.advance(until_time=9.0)
    row = metrics.summarise(simulation, edges=np.array([0.0, 9.0])).row()
    assert row["arrived_count"] == 3
    assert (row["finished_count"], row["mean_wait_time"], row["mean_bounded_slowdown"]) == (0, None, None)
    assert row["max_queue_length"] == 2
    assert row["mean_queue_length"] == pytest.approx((8 + 7) / 9)


def test_a_task_that_starts_as_it_arrives_never_queued() -> None:
    row = total(played(arrival_time=[0.0, 5.0], runtime=[1.0, 1.0]))
    assert (row["max_queue_length"], row["mean_queue_length"]) == (0, 0.0)


def test_a_run_of_no_length_has_no_rates() -> None:
    row = total(played(arrival_time=[3.0], runtime=[0.0]))
    assert (row["makespan"], row["throughput"], row["cpu_utilisation"]) == (0.0, None, None)
    assert row["mean_job_completion_time"] == 0.0


def test_only_the_measured_tasks_are_scored() -> None:
    simulation = played(arrival_time=np.arange(10.0), runtime=np.ones(10))
    scored = metrics.measured(simulation.workload, warmup=0.2, cooldown=0.1)
    assert scored.tolist() == [False] * 2 + [True] * 7 + [False]
    row = total(simulation, scored=scored)
    assert row["finished_count"] == 7
    assert (row["window_start_time"], row["window_end_time"]) == (2.0, 9.0)
    with pytest.raises(ValueError, match="together below 1"):
        metrics.measured(simulation.workload, warmup=0.6, cooldown=0.4)


def test_ties_share_the_win_and_unfinished_tasks_win_nothing() -> None:
    nan = np.nan
    finish = {"a": np.array([1.0, 2.0, nan, nan]), "b": np.array([1.0, 3.0, 4.0, nan])}
    contest = Contest.of(finish)
    assert contest.won["a"].tolist() == [True, True, False, False]
    assert contest.won["b"].tolist() == [True, False, True, False]
    assert contest.beats == {"a": {"a": 0, "b": 1}, "b": {"a": 0, "b": 0}}
    second = Contest.of(finish, np.array([True, False, True, True]))
    assert second.beats["a"]["b"] == 0


def test_fairness_goes_from_one_towards_one_over_n() -> None:
    alike = played(arrival_time=[0.0] * 2, runtime=[20.0] * 2, user=["ann", "bob"])
    assert total(alike)["fairness"] == 1.0
    # The third of three waits a thousand run times, so that the index nears 1/3.
    apart = played(arrival_time=[0.0] * 3, runtime=[20_000.0, 20_000.0, 20.0], user=["ann", "bob", "cy"])
    assert total(apart)["fairness"] == pytest.approx(1 / 3, abs=2e-3)


def test_fairness_needs_users() -> None:
    assert total(played(arrival_time=[0.0], runtime=[1.0]))["fairness"] is None


def test_regret_compares_with_the_oracle() -> None:
    assert metrics.regret(3.0, 2.0) == 0.5
    assert np.isnan(metrics.regret(3.0, 0.0))


@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_percentiles_of_merged_histograms_are_near_the_true_ones(spread: float) -> None:
    values = np.random.default_rng(2).lognormal(5, spread, 20_000)
    merged = LogHistogram.of(values[:3_000]) + LogHistogram.of(values[3_000:])
    assert merged.total == 20_000
    for percent in (1, 50, 95, 99):
        assert merged.percentile(percent) == pytest.approx(np.percentile(values, percent), rel=0.03)
    again = LogHistogram.from_json(merged.as_json())
    assert (again.counts == merged.counts).all()


def test_a_histogram_holds_zero_huge_and_unknown_values() -> None:
    histogram = LogHistogram.of(np.array([0.0, 0.0, 0.0, 1e12, np.nan]))
    assert histogram.total == 4
    assert histogram.counts[0] == 3
    assert histogram.counts[BINS - 1] == 1
    assert (histogram.percentile(50), histogram.percentile(100)) == (0.0, LARGEST)
    assert np.isnan(LogHistogram.of(np.zeros(0)).percentile(50))
