"""Failures, repairs and checkpoints: schedules made elsewhere, Daly's expected efficiency, what is refused."""

import json
from contextlib import nullcontext
from math import sqrt

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, EngineError, InvalidCluster, NodeGroup, Options, Outage, Simulation, Workload
from scheduler_sim.engine import parse_policy as policy_of
from scheduler_sim.engine.clusters.failures import Failure, FailureModel, read_failures
from scheduler_sim.engine.clusters.overheads import Checkpoints, daly_efficiency, daly_interval, young_interval
from scheduler_sim.engine.contract import ENDINGS, REASONS
from scheduler_sim.engine.errors import InvalidParameter
from tests.engine.pool_cases import pool

STUDENT_99 = 2.756
"""Two-sided 99% quantile of Student's t with 29 degrees of freedom."""


def play(workload, cluster, policy="fcfs", seed=0, **options):
    simulation = Simulation(workload, cluster, policy_of(policy), seed=seed, options=Options(**options))
    simulation.advance()
    return simulation


def failures_of(case):
    times = case["failures"] * (20 if case["repeat_failures"] else 1)
    listed, now = [], 0.0
    for one in times:
        now += one["seconds_after_previous_end"]
        listed.append(Failure(now, one["outage_seconds"], node=0))
        now += one["outage_seconds"]
    return tuple(listed)


def joules(case, attempts, end):
    """Return what the host draws: idle watts throughout, and the task's share of the rest while it holds the host."""
    host, fragments, points = case["host"], case["task"]["fragments"], case["checkpoint"]
    span = host["max_w"] - host["idle_w"]
    highest = max(fragment["cpu_mhz"] for fragment in fragments)

    def of_work(begin, seconds):
        total, at = 0.0, 0.0
        for fragment in fragments:
            overlap = min(begin + seconds, at + fragment["seconds"]) - max(begin, at)
            total += max(overlap, 0.0) * fragment["cpu_mhz"]
            at += fragment["seconds"]
        return total / host["mhz"] * span

    work = sum(fragment["seconds"] for fragment in fragments)
    total, saved = host["idle_w"] * end, 0.0
    for begin, until in attempts:
        left, done = until - begin, saved
        interval = points["interval_s"] if points else np.inf
        while left > 1e-9:
            part = min(interval, left, work - done)
            total += of_work(done, part)
            done, left = done + part, left - part
            if left > 1e-9:
                part = min(points["duration_s"], left)
                total += part * highest / host["mhz"] * span
                left -= part
                saved = done if part == points["duration_s"] else saved
                interval = np.floor(interval * points["interval_scaling"] * 1000) / 1000
    return total


def test_every_tabled_case_of_failures_and_checkpoints_is_exact(oracle_path):
    cases = json.loads(oracle_path("failures/failure_checkpoint_cases.json").read_text())
    assert cases
    for case in cases:
        points = case["checkpoint"]
        checkpoints = points and Checkpoints(
            interval=points["interval_s"], write=points["duration_s"], growth=points["interval_scaling"]
        )
        work = sum(fragment["seconds"] for fragment in case["task"]["fragments"])
        workload = Workload.from_columns(arrival_time=[0.0], runtime=[work])
        simulation = play(
            workload, pool(1), failures=failures_of(case), checkpoints=checkpoints, max_failures=case["max_failures"]
        )
        end = simulation.outcome().finish_time[0]
        assert end == pytest.approx(case["expected"]["end_s"], abs=0.001), case["case"]
        state = {"completed": "completed", "terminated": "failed"}[case["expected"]["state"]]
        assert ENDINGS[simulation.history().ending[0]] == state, case["case"]
        spans = simulation.spans()
        order = np.argsort(spans.start_time)
        held = list(zip(spans.start_time[order].tolist(), spans.end_time[order].tolist(), strict=True))
        assert joules(case, held, end) == pytest.approx(case["expected"]["energy_j"], abs=0.01), case["case"]


@pytest.mark.parametrize("mean_time", [2_000.0, 10_000.0, 50_000.0])
def test_the_efficiency_is_the_one_that_daly_expects(mean_time):
    write, read, work = 60.0, 30.0, 150 * mean_time
    interval = daly_interval(mean_time, write)
    points = Checkpoints(interval=interval, write=write, read=read)
    # Every interval but the last ends with a checkpoint, so that the work is whole intervals and one.
    work = interval * round(work / interval)
    model = FailureModel(mean_hours=mean_time / 3600, repair_hours=0.0)
    cluster = Cluster("one", (NodeGroup("node", count=1, cores=1, failures=model),))
    workload = Workload.from_columns(arrival_time=[0.0], runtime=[work])
    efficiencies = np.array(
        [work / play(workload, cluster, seed=seed, checkpoints=points).outcome().finish_time[0] for seed in range(30)]
    )
    expected = daly_efficiency(mean_time, interval, write, read)
    half_width = STUDENT_99 * efficiencies.std(ddof=1) / sqrt(30)
    assert half_width < 0.02
    assert abs(efficiencies.mean() - expected) <= half_width


def test_the_intervals_of_young_and_daly():
    assert young_interval(10_000, 50) == pytest.approx(1000)
    assert daly_interval(10_000, 50) == pytest.approx(1000 * (1 + sqrt(0.0025) / 3 + 0.0025 / 9) - 50)
    assert daly_interval(10, 30) == 10
    assert Checkpoints.by_rule("young", mean_time=10_000, write=50).interval == pytest.approx(1000)
    with pytest.raises(InvalidParameter):
        Checkpoints.by_rule("best", mean_time=1, write=1)
    with pytest.raises(InvalidParameter):
        Checkpoints.by_rule("daly", mean_time=0, write=1)


@pytest.mark.parametrize(("distribution", "shape"), [("exponential", 1.0), ("weibull", 0.7), ("weibull", 2.0)])
def test_nodes_fail_as_often_as_their_model_says(distribution, shape):
    model = FailureModel(mean_hours=2.0, distribution=distribution, shape=shape, repair_hours=0.5, repair="exponential")
    spans = model.spans(np.random.default_rng(1))
    up, away = np.array([next(spans) for _ in range(40_000)]).T
    assert up.mean() == pytest.approx(2 * 3600, rel=0.03)
    assert away.mean() == pytest.approx(1800, rel=0.03)


def test_the_same_seed_gives_the_same_failures_and_another_one_others():
    model = FailureModel(mean_hours=0.05)
    cluster = Cluster("four", (NodeGroup("node", count=4, cores=2, failures=model),))
    workload = Workload.from_columns(arrival_time=np.arange(40.0), runtime=np.full(40, 100.0), cpus=[1] * 40)
    ends = [play(workload, cluster, seed=seed).outcome().finish_time.tolist() for seed in (1, 1, 2)]
    assert ends[0] == ends[1]
    assert ends[0] != ends[2]
    steps = Simulation(workload, cluster, policy_of("fcfs"), seed=1)
    while not steps.done:
        steps.advance(until_time=steps.clock + 40.0)
    assert steps.outcome().finish_time.tolist() == ends[0]


def test_only_what_runs_on_the_node_ends_and_the_others_run_on():
    cluster = Cluster("two", (NodeGroup("node", count=2, cores=1),))
    workload = Workload.from_columns(arrival_time=[0, 0], runtime=[10, 10])
    simulation = play(workload, cluster, failures=(Failure(4.0, 3.0, node=0),))
    assert simulation.outcome().finish_time.tolist() == [17, 10]
    attempts = simulation.attempts()
    assert [REASONS[code] for code in attempts.reason] == ["failed", "finished"]
    assert simulation.history().lost_time.tolist() == [4, 0]


def test_an_outage_that_kills_is_a_failure_and_a_share_takes_so_many_nodes():
    outage = Outage(4.0, 7.0, 1, kill=True)
    cluster = Cluster("two", (NodeGroup("node", count=2, cores=1, outages=(outage,)),))
    workload = Workload.from_columns(arrival_time=[0, 0], runtime=[10, 10])
    assert play(workload, cluster).outcome().finish_time.tolist() == [10, 17]
    assert Cluster.from_json(cluster.as_json()) == cluster
    two = Cluster("two", (NodeGroup("node", count=2, cores=1),))
    shared = play(workload, two, failures=(Failure(4.0, 3.0, share=1.0),))
    assert shared.outcome().finish_time.tolist() == [17, 17]


def test_a_cluster_says_how_its_nodes_fail():
    group = {"name": "n", "count": 2, "cores": 4}
    cluster = Cluster.from_json({"name": "c", "groups": [{**group, "failures": {"mean_hours": 500}}]})
    assert cluster.groups[0].failures == FailureModel(mean_hours=500)
    assert Cluster.from_json(cluster.as_json()) == cluster
    assert "failures" not in pool(4).as_json()["groups"][0]
    with pytest.raises(InvalidCluster, match="mean_hours"):
        Cluster.from_json({"name": "c", "groups": [{**group, "failures": {"hours": 3}}]})


@pytest.mark.parametrize(
    "values",
    [
        {"mean_hours": 0.0},
        {"mean_hours": -1.0},
        {"mean_hours": np.inf},
        {"mean_hours": 1.0, "repair_hours": np.nan},
        {"mean_hours": 1.0, "distribution": "normal"},
        {"mean_hours": 1.0, "distribution": "weibull", "shape": 0.0},
        {"mean_hours": 1.0, "repair": "never"},
    ],
)
def test_a_model_of_failures_that_means_nothing_is_refused(values):
    with pytest.raises(InvalidParameter):
        FailureModel(**values)


def test_a_file_of_failures(tmp_path):
    path = tmp_path / "failures.csv"
    path.write_text("time,duration,node,share\n10,5,3,\n20,1.5,,0.25\n")
    assert read_failures(path) == (Failure(10.0, 5.0, node=3), Failure(20.0, 1.5, share=0.25))
    for text, sentence in (
        ("time,duration,node\n1,2,\n", "a node or a share"),
        ("time,duration,node\n1,-2,0\n", "lasts less than nothing"),
        ("time,duration,node\nsoon,2,0\n", "are numbers"),
        ("time,duration,share\n1,2,1.5\n", "a part of the nodes"),
    ):
        path.write_text(text)
        with pytest.raises(InvalidParameter, match=sentence):
            read_failures(path)
    with pytest.raises(InvalidParameter, match="cannot be read"):
        read_failures(tmp_path / "none.csv")


def test_what_can_never_go_well_is_refused_before_anything_runs():
    workload = Workload.from_columns(arrival_time=[0.0], runtime=[1e6])
    with pytest.raises(EngineError, match="names node 4; the cluster has nodes 0 to 0"):
        play(workload, pool(1), failures=(Failure(1.0, 1.0, node=4),))
    often = Cluster("often", (NodeGroup("node", count=1, cores=1, failures=FailureModel(mean_hours=1.0)),))
    with pytest.raises(EngineError, match="would practically never end"):
        play(workload, often)
    drained = Cluster("drained", (NodeGroup("node", count=2, cores=1, outages=(Outage(1.0, 2.0, 1),)),))
    with pytest.raises(EngineError, match="outages that kill"):
        play(workload, drained, "srtf")


@pytest.mark.parametrize(("write", "read", "is_refused"), [(600.0, 300.0, False), (600.0, 600.0, True)])
def test_what_is_done_anew_after_a_failure_is_work_up_to_a_checkpoint_writing_and_reading_it(write, read, is_refused):
    """Of failures every 100 s on average twenty pass in 2,000 s; 1,000 s of work lie between two checkpoints."""
    group = NodeGroup("node", count=1, cores=1, failures=FailureModel(mean_hours=100 / 3600))
    workload = Workload.from_columns(arrival_time=[0.0], runtime=[1e6])
    options = Options(checkpoints=Checkpoints(1000.0, write=write, read=read))
    with pytest.raises(EngineError, match="needs up to 2200 s without") if is_refused else nullcontext():
        Simulation(workload, Cluster("often", (group,)), policy_of("fcfs"), options=options)
