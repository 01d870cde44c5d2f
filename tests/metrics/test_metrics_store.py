"""The figures of a run are stored once, replaced when stored again, and ranked."""

from collections.abc import Callable
from statistics import mean

import numpy as np
import pytest

from apps.metrics.models import GroupMetric, Metric
from apps.metrics.services import WINDOWS, metrics_compute, metrics_store
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.measuring.fairness import FairShares
from scheduler_sim.engine.numerics.histogram import LogHistogram
from tests.results.rows import make_queued_run, make_workload

pytestmark = pytest.mark.django_db

POLICIES = ("fcfs", "sjf", "sjf+easy")


def simulations(tasks: int = 60) -> dict[str, engine.Simulation]:
    generator = np.random.default_rng(2)
    workload = engine.Workload.from_columns(
        arrival_time=generator.random(tasks) * 100,
        runtime=generator.exponential(9, tasks),
        user=["a", "b"] * (tasks // 2),
    )
    played = {}
    for name in POLICIES:
        played[name] = engine.Simulation(
            workload=workload, cluster=load_cluster("hpc-4"), policy=engine.parse_policy(name)
        )
        played[name].advance()
    return played


def test_a_total_and_windows_are_stored_for_every_policy() -> None:
    run = make_queued_run(make_workload(0))
    played = simulations()
    metrics_store(run=run, figures=metrics_compute(simulations=played))
    assert Metric.objects.totals().count() == 3
    assert Metric.objects.windows().count() == 3 * WINDOWS
    total = Metric.objects.totals().get(scheduler="sjf")
    finish = played["sjf"].outcome().finish_time
    completion = finish - played["sjf"].workload.arrival_time
    assert total.mean_job_completion_time == pytest.approx(completion.mean())
    assert total.p99_job_completion_time == pytest.approx(np.percentile(completion, 99))
    assert total.wins + total.losses == total.finished_count == 60
    windows = Metric.objects.windows().filter(scheduler="sjf")
    assert sum(window.finished_count for window in windows) == 60
    assert sum(window.wins for window in windows) == total.wins
    edges = {
        tuple(Metric.objects.windows().filter(scheduler=name).values_list("window_start_time")) for name in POLICIES
    }
    assert len(edges) == 1


def test_fairness_over_time_is_stored_of_the_run_and_of_each_window() -> None:
    run = make_queued_run(make_workload(0))
    played = simulations()
    metrics_store(run=run, figures=metrics_compute(simulations=played))
    total = Metric.objects.totals().get(scheduler="sjf")
    shares = FairShares.of(played["sjf"])
    assert total.mean_rho == pytest.approx(shares.rho.mean())
    assert total.max_rho == shares.rho.max()
    assert 0.5 <= total.share_fairness <= 1
    told = total.details["fair_shares"]
    assert LogHistogram.from_json(told["rho"]).total == 60
    assert (told["users"], told["share"]) == (2, pytest.approx(total.least_share))
    assert told["worst_user"] in ("a", "b")
    windows = Metric.objects.windows().filter(scheduler="sjf", finished_count__gt=0)
    assert max(window.max_rho for window in windows) == total.max_rho


def test_details_hold_histograms_and_who_beat_whom() -> None:
    run = make_queued_run(make_workload(0))
    played = simulations()
    metrics_store(run=run, figures=metrics_compute(simulations=played))
    details = {row.scheduler: row.details for row in Metric.objects.totals()}
    histogram = LogHistogram.from_json(details["fcfs"]["histograms"]["job_completion_time"])
    assert histogram.total == 60
    fcfs, sjf = (played[name].outcome().finish_time for name in ("fcfs", "sjf"))
    assert details["sjf"]["beats"] == {
        "fcfs": int((sjf < fcfs).sum()),
        "sjf": 0,
        "sjf+easy": int((sjf < played["sjf+easy"].outcome().finish_time).sum()),
    }


def test_storing_again_changes_nothing() -> None:
    run = make_queued_run(make_workload(0))
    played = simulations()
    for model in (Metric, GroupMetric):
        names = [field.name for field in model._meta.concrete_fields if field.name != "id"]
        stored = []
        for _ in range(2):
            metrics_store(run=run, figures=metrics_compute(simulations=played))
            stored.append(list(model.objects.values(*names)))
        assert stored[0] == stored[1] != []


def test_the_leaderboard_ranks_by_slowdown_in_one_query(django_assert_num_queries: Callable) -> None:
    run = make_queued_run(make_workload(0))
    metrics_store(run=run, figures=metrics_compute(simulations=simulations()))
    with django_assert_num_queries(1):
        board = list(Metric.objects.leaderboard(run))
    assert [row.mean_bounded_slowdown for row in board] == sorted(row.mean_bounded_slowdown for row in board)
    assert [row.is_total for row in board] == [True] * 3


def test_only_the_measured_part_is_scored() -> None:
    run = make_queued_run(make_workload(0))
    metrics_store(run=run, figures=metrics_compute(simulations=simulations(), warmup=0.25, cooldown=0.25))
    totals = list(Metric.objects.totals())
    assert {row.finished_count for row in totals} == {30}
    played = {name: simulation.outcome().finish_time[15:45] for name, simulation in simulations().items()}
    for row in totals:
        assert row.details["beats"] == {
            name: int((played[row.scheduler] < times).sum()) for name, times in played.items()
        }


def test_groups_are_stored_of_every_policy_against_the_first_and_go_with_the_run() -> None:
    run = make_queued_run(make_workload(0))
    metrics_store(run=run, figures=metrics_compute(simulations=simulations(), cooldown=0.5))
    groups = GroupMetric.objects.filter(run=run)
    assert set(groups.values_list("scheduler", flat=True)) == set(POLICIES)
    assert set(groups.values_list("grouped_by", flat=True)) == {"user", "size", "length", "hour"}
    assert [group.name for group in GroupMetric.objects.of_run(run, "user", "sjf")] == ["a", "b"]
    assert sum(group.task_count for group in GroupMetric.objects.of_run(run, "user", "sjf")) == 30
    assert set(groups.filter(scheduler="fcfs").values_list("difference", flat=True)) == {0.0}
    losers = list(GroupMetric.objects.of_run(run, "length", "sjf").order_by("-difference", "id"))
    assert losers == sorted(losers, key=lambda group: -group.difference)
    run.delete()
    assert not GroupMetric.objects.exists()


def test_a_run_of_which_nothing_finished_has_no_groups() -> None:
    run = make_queued_run(make_workload(0))
    workload = engine.Workload.from_columns(arrival_time=[7.0], runtime=[1.0])
    simulation = engine.Simulation(workload=workload, cluster=load_cluster("hpc-4"), policy=engine.parse_policy("fcfs"))
    metrics_store(run=run, figures=metrics_compute(simulations={"fcfs": simulation}))
    assert not GroupMetric.objects.exists()


@pytest.mark.parametrize(
    ("difference", "p_value", "verdict"),
    [(5.0, 0.01, "worse"), (-5.0, 0.01, "better"), (5.0, 0.2, ""), (5.0, None, ""), (0.0, 0.0, "")],
)
def test_a_group_is_called_worse_or_better_off_only_where_that_is_clear(
    difference: float, p_value: float | None, verdict: str
) -> None:
    assert GroupMetric(difference=difference, difference_p_value=p_value).verdict == verdict


def test_a_run_in_one_instant_has_a_total_and_no_windows() -> None:
    run = make_queued_run(make_workload(0))
    workload = engine.Workload.from_columns(arrival_time=[7.0], runtime=[0.0])
    simulation = engine.Simulation(workload=workload, cluster=load_cluster("hpc-4"), policy=engine.parse_policy("fcfs"))
    simulation.advance()
    metrics_store(run=run, figures=metrics_compute(simulations={"fcfs": simulation}))
    assert Metric.objects.windows().count() == 0
    assert Metric.objects.totals().get().makespan == 0.0


def fragmentation_of(gpus: float) -> tuple[list[float | None], float | None]:
    """Return the windows' and the whole run's, of two tasks with `gpus` each on two nodes of two GPUs."""
    cluster = engine.Cluster("two", (engine.NodeGroup("n", 2, 8, gpus=2),))
    workload = engine.Workload.from_columns(arrival_time=[0.0, 10.0], runtime=[60.0, 110.0], gpus=[gpus, gpus])
    simulation = engine.Simulation(workload=workload, cluster=cluster, policy=engine.parse_policy("fcfs"))
    simulation.advance()
    run = make_queued_run(make_workload(0))
    metrics_store(run=run, figures=metrics_compute(simulations={"fcfs": simulation}))
    windows = Metric.objects.windows().order_by("window_start_time").values_list("gpu_fragmentation", flat=True)
    return list(windows), Metric.objects.totals().get().gpu_fragmentation


def test_fragmentation_is_stored_at_windows_ends_and_as_their_mean() -> None:
    windows, whole = fragmentation_of(0.6)
    # One of four GPUs has a rest of 0.4, or two have: too small for the other task. At the end nothing runs.
    assert [windows[0], windows[50], windows[WINDOWS - 1]] == pytest.approx([0.1, 0.2, 0.0])
    assert None not in windows
    assert whole == pytest.approx(mean(window for window in windows if window is not None))


def test_fragmentation_of_gangs_is_no_data() -> None:
    windows, whole = fragmentation_of(3.0)
    assert set(windows) == {whole} == {None}
