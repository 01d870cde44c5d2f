"""Figures by user, account, partition, size and hour: equal to those of each group taken by itself."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.measuring.groups import (
    LARGEST,
    Grouped,
    GroupFigures,
    Grouping,
    group_changes,
    groupings,
)
from scheduler_sim.engine.measuring.metrics import Observed, TaskFigures
from scheduler_sim.engine.numerics.paired import BATCHES, task_difference
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.whatif import scale_load
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Labels

POLICIES = ("fcfs", "sjf", "sjf+easy")


def make_workload(tasks: int, *, users: int = 7, seed: int = 1, **columns: Any) -> engine.Workload:
    generator = np.random.default_rng(seed)
    drawn = {
        "arrival_time": np.sort(generator.random(tasks)) * tasks * 40,
        "runtime": generator.exponential(300, tasks),
        "cpus": 2.0 ** generator.integers(0, 3, tasks),
        "user": [f"user {number}" for number in generator.integers(0, users, tasks)],
        "queue": [("short", "long")[number] for number in generator.integers(0, 2, tasks)],
    }
    return engine.Workload.from_columns(**{**drawn, **columns})


def play(workload: engine.Workload, cluster: str = "hpc-16") -> dict[str, Simulation]:
    played = {}
    for name in POLICIES:
        played[name] = Simulation(workload, load_cluster(cluster), engine.parse_policy(name))
        played[name].advance()
    return played


def group_figures(simulations: dict[str, Simulation], **scored: Any) -> dict[str, GroupFigures]:
    grouped = Grouped(simulations, **scored)
    return {name: grouped.figures(Observed(simulation)) for name, simulation in simulations.items()}


def rows_of(figures: GroupFigures, by: str) -> dict[str, dict[str, Any]]:
    chosen = np.flatnonzero(figures.grouped_by == by)
    return {figures.name[row]: {name: column[row] for name, column in vars(figures).items()} for row in chosen}


@settings(max_examples=20, deadline=None)
@given(tasks=st.integers(1, 700), users=st.integers(1, 9), seed=st.integers(0, 99), part=st.sampled_from((0.0, 0.2)))
def test_each_group_has_the_figures_of_its_tasks_alone(tasks: int, users: int, seed: int, part: float) -> None:
    workload = make_workload(tasks, users=users, seed=seed)
    played = play(workload)
    scored = np.arange(tasks) >= part * tasks
    found = group_figures(played, scored=scored)
    assert list(found) == list(POLICIES)
    base = played["fcfs"].outcome().finish_time
    for policy, simulation in played.items():
        outcome = simulation.outcome()
        figures = TaskFigures.of(workload, outcome)
        for name, row in rows_of(found[policy], "user").items():
            its = (workload.user.texts() == name) & scored
            wait = figures.wait_time[its]
            assert row["task_count"] == its.sum()
            assert row["mean_wait_time"] == pytest.approx(wait.mean(), rel=1e-12, abs=1e-12)
            assert row["p50_wait_time"] == pytest.approx(np.percentile(wait, 50), rel=1e-12, abs=1e-12)
            assert row["p95_wait_time"] == pytest.approx(np.percentile(wait, 95), rel=1e-12, abs=1e-12)
            assert row["mean_job_completion_time"] == pytest.approx(figures.job_completion_time[its].mean(), rel=1e-12)
            assert row["mean_bounded_slowdown"] == pytest.approx(figures.bounded_slowdown[its].mean(), rel=1e-12)
            hours = (workload.cpus * workload.runtime)[its].sum() / 3600
            assert row["core_hours"] == pytest.approx(hours, rel=1e-9)
            assert row["gpu_hours"] == 0
            paired = task_difference(base[its], outcome.finish_time[its])
            assert (row["sooner_count"], row["later_count"]) == (paired.sooner, paired.later)
            assert row["difference"] == pytest.approx(paired.mean, rel=1e-9, abs=1e-9)
            if paired.low is None:
                assert np.isnan([row["difference_low"], row["difference_high"], row["difference_p_value"]]).all()
            else:
                assert row["difference_low"] == pytest.approx(paired.low, rel=1e-9, abs=1e-9)
                assert row["difference_high"] == pytest.approx(paired.high, rel=1e-9, abs=1e-9)


def test_the_groups_of_a_grouping_hold_every_task_once() -> None:
    workload = make_workload(500)
    for figures in group_figures(play(workload)).values():
        for by in ("user", "queue", "size", "length", "hour"):
            assert figures.task_count[figures.grouped_by == by].sum() == 500


def test_beyond_the_largest_groups_all_others_are_one() -> None:
    counts = [3] * LARGEST + [2, 1, 1]
    names = [f"u{number:03}" for number, count in enumerate(counts) for _ in range(count)]
    grouping = Grouping.of_labels("user", Labels.from_texts(names), largest=LARGEST)
    assert grouping.merged == 3
    assert grouping.names == (*(f"u{number:03}" for number in range(LARGEST)), "")
    assert np.bincount(grouping.codes).tolist() == [3] * LARGEST + [4]


def test_a_text_that_is_not_stated_is_a_group_without_a_name() -> None:
    workload = make_workload(6, user=["a", "", "a", "", "", "b"])
    figures = group_figures(play(workload))["sjf"]
    assert {name: row["task_count"] for name, row in rows_of(figures, "user").items()} == {"": 3, "a": 2, "b": 1}
    assert set(figures.merged_count.tolist()) == {0}


def test_what_a_workload_does_not_state_is_no_grouping() -> None:
    workload = engine.Workload.from_columns(arrival_time=[0.0, 1.0], runtime=[1.0, 2.0])
    assert [one.by for one in groupings(workload, np.arange(2))] == ["size", "length", "hour"]


def test_a_workload_with_requests_is_grouped_by_qos() -> None:
    asked = Requests.blank(4, qos=Labels.from_texts(["high", "low", "low", "high"]))
    workload = make_workload(4, requests=asked)
    figures = group_figures(play(workload))["sjf"]
    assert {name: row["task_count"] for name, row in rows_of(figures, "qos").items()} == {"high": 2, "low": 2}


def test_sizes_lengths_kinds_and_hours_are_told_apart_at_their_bounds() -> None:
    workload = engine.Workload.from_columns(
        arrival_time=[0.0, 3599.9, 3600.0, 86_400.0, 90_000.0, 100_000.0],
        runtime=[60.0, 60.1, 600.0, 3600.0, 21_600.0, 86_401.0],
        cpus=[0.5, 1.0, 1.5, 8.0, 4.0, 0.0],
        gpus=[0.0, 0.0, 0.0, 0.0, 0.5, 2.0],
        hybrid=[False, False, False, False, True, False],
    )
    found = {one.by: [one.names[code] for code in one.codes] for one in groupings(workload, np.arange(6))}
    sizes = ["up to 1 core", "up to 1 core", "2 to 8 cores", "2 to 8 cores", "part of a GPU", "2 to 4 GPUs"]
    assert found["size"] == sizes
    lengths = ["up to 1 min", "1 to 10 min", "1 to 10 min", "10 min to 1 h", "1 h to 6 h", "over 1 d"]
    assert found["length"] == lengths
    assert found["kind"] == ["rigid"] * 4 + ["hybrid", "rigid"]
    assert found["hour"] == ["00", "00", "01", "00", "01", "03"]


def test_the_base_differs_from_itself_by_nothing() -> None:
    figures = group_figures(play(make_workload(500)))["fcfs"]
    assert not figures.difference.any()
    assert not figures.later_count.any()
    spanned = figures.task_count >= 2 * BATCHES
    assert set(figures.difference_p_value[spanned]) == {1.0}


def test_the_p_value_is_that_of_students_t_over_the_spans_corrected_for_all_groups() -> None:
    from scipy import stats

    from scheduler_sim.engine.numerics.statistics import holm

    workload = make_workload(700, users=4)
    played = play(workload)
    rows = rows_of(group_figures(played)["sjf"], "user")
    finish = {name: simulation.outcome().finish_time for name, simulation in played.items()}
    expected = []
    for name in rows:
        its = workload.user.texts() == name
        spans = np.array_split((finish["sjf"] - finish["fcfs"])[its], BATCHES)
        means = np.array([span.mean() for span in spans])
        statistic = (finish["sjf"] - finish["fcfs"])[its].mean() / (means.std(ddof=1) / np.sqrt(BATCHES))
        expected.append(2 * stats.t.sf(abs(statistic), BATCHES - 1))
    assert [row["difference_p_value"] for row in rows.values()] == pytest.approx(holm(expected), rel=1e-9)


def test_tasks_that_some_policy_has_not_finished_count_for_none() -> None:
    workload = make_workload(50)
    played = play(workload)
    half = Simulation(workload, load_cluster("hpc-16"), engine.parse_policy("sjf"))
    half.advance(until_time=float(np.median(workload.arrival_time)))
    finished = int((~np.isnan(half.outcome().finish_time)).sum())
    assert 0 < finished < 50
    for figures in group_figures({**played, "sjf": half}).values():
        assert figures.task_count[figures.grouped_by == "user"].sum() == finished


def test_a_run_in_which_nothing_finished_has_no_groups() -> None:
    workload = make_workload(5)
    simulation = Simulation(workload, load_cluster("hpc-16"), engine.parse_policy("fcfs"))
    assert len(group_figures({"fcfs": simulation})["fcfs"].name) == 0


@settings(max_examples=15, deadline=None)
@given(tasks=st.integers(1, 500), seed=st.integers(0, 99), factor=st.sampled_from((0.5, 1.0, 3.0)))
def test_a_change_is_told_group_by_group_on_the_tasks_that_both_finished(tasks: int, seed: int, factor: float) -> None:
    workload = make_workload(tasks, seed=seed)
    kept = np.random.default_rng(seed).random(tasks) < 0.9
    kept[0] = True
    before = Simulation(workload, load_cluster("hpc-16"), engine.parse_policy("fcfs"))
    after = Simulation(scale_load(workload, factor).take(np.flatnonzero(kept)), load_cluster("hpc-24"), before.policy)
    for one in (before, after):
        one.advance()
    scored = np.arange(tasks) >= tasks // 5
    found = group_changes(before, after, scored_before=scored)
    times = [TaskFigures.of(one.workload, one.outcome()).job_completion_time for one in (before, after)]
    both, of_after = scored & kept, scored[kept]
    assert list(found[0].name) == list(found[1].name)
    for name, row in rows_of(found[1], "user").items():
        its, theirs = both & (workload.user.texts() == name), of_after & (after.workload.user.texts() == name)
        difference = times[1][theirs] - times[0][its]
        assert row["task_count"] == its.sum() == rows_of(found[0], "user")[name]["task_count"]
        assert row["difference"] == pytest.approx(difference.mean(), rel=1e-9, abs=1e-9)
        assert row["later_count"] == (difference > 0).sum()
        assert row["mean_job_completion_time"] == pytest.approx(times[1][theirs].mean(), rel=1e-12)
        assert rows_of(found[0], "user")[name]["mean_job_completion_time"] == pytest.approx(
            times[0][its].mean(), rel=1e-12
        )
    assert not found[0].difference.any()


def test_without_a_change_the_groups_are_those_of_the_policy_against_itself() -> None:
    played = play(make_workload(300))
    before, after = group_changes(played["fcfs"], played["fcfs"])
    for name, values in vars(group_figures({"fcfs": played["fcfs"]})["fcfs"]).items():
        np.testing.assert_array_equal(vars(before)[name], values)
        np.testing.assert_array_equal(vars(after)[name], values)


def test_a_change_after_which_no_task_is_the_same_has_no_groups() -> None:
    workload = make_workload(20)
    played = [
        Simulation(workload.take(rows), load_cluster("hpc-16"), engine.parse_policy("fcfs"))
        for rows in (np.arange(10), np.arange(10, 20))
    ]
    for one in played:
        one.advance()
    assert [len(figures.name) for figures in group_changes(*played)] == [0, 0]
