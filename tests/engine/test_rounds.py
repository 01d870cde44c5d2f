"""Shares of kinds of GPU and the rounds that bring them about, against Gavel's simulator and independent optima."""

import csv
import gzip
import json
from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Simulation, Workload, parse_policy
from scheduler_sim.engine.errors import InvalidPolicy, InvalidWorkload
from scheduler_sim.engine.kernels.rounds.allocations import NEAR, PROGRAMMES, Instant, equal_shares, shortest_time
from scheduler_sim.engine.kernels.rounds.mechanism import Mechanism
from scheduler_sim.engine.kernels.rounds.state import ROUNDS, Jobs, Rules
from scheduler_sim.engine.workloads.throughputs import Throughputs

KINDS = ("v100", "p100", "k80")
CLUSTER = Cluster("gavel", tuple(NodeGroup(name, count=4, cores=4, gpus=1, gpu_type=name) for name in KINDS))
TRACES = ("static1", "multi", "poisson")


def read(path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def column(rows, name) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])


def trace(oracle_path, name: str) -> Workload:
    rows = read(oracle_path(f"gavel/{name}_input.csv"))
    gpus, steps = column(rows, "scale_factor"), column(rows, "total_steps")
    rates = np.column_stack([column(rows, f"steps_per_s_{kind}") for kind in KINDS])
    types = [repr(row) for row in rates.tolist()]
    table = {(kind, int(count)): tuple(row) for kind, count, row in zip(types, gpus, rates.tolist(), strict=True)}
    return Workload.from_columns(
        task_id=column(rows, "task_id") + 1,
        arrival_time=column(rows, "arrival_time"),
        runtime=steps / rates[:, 0],
        size=steps,
        gpus=gpus,
        group=types,
        throughputs=Throughputs(KINDS, table),
    )


def completion_times(workload: Workload, policy: str, **more) -> np.ndarray:
    simulation = Simulation(workload, CLUSTER, parse_policy(policy), **more)
    simulation.advance()
    assert simulation.done
    return simulation.outcome().finish_time - workload.arrival_time


class Replay:
    """The rounds that follow from shares which somebody else settled."""

    def __init__(self, workload: Workload, policy: str, settled: list[dict[str, Any]]) -> None:
        self.settled, self.workload = list(settled), workload
        assert workload.throughputs is not None
        jobs = Jobs(
            arrival_time=workload.arrival_time,
            work=workload.size,
            gpus=workload.gpus,
            weight=np.ones(len(workload)),
            rate=workload.throughputs.of(workload.group, workload.gpus),
            known_work=workload.size,
            overhead=np.zeros(len(workload)),
            workers=np.full(3, 4.0),
            names=KINDS,
            nodes=np.arange(12),
            devices=np.zeros(12, np.int64),
        )
        self.mechanism = Mechanism(jobs, self.settle, Rules("perf" in policy, in_turn=policy.startswith("fifo")))

    def settle(self, now: Instant) -> np.ndarray:
        entry = self.settled.pop(0)
        assert entry["time"] == pytest.approx(self.mechanism.now, abs=1e-6)
        return np.array([entry["allocation"][str(row)] for row in self.mechanism.active])

    def play(self) -> tuple[np.ndarray, int]:
        self.mechanism.advance(np.inf, 10**9)
        return self.mechanism.state.tasks["finish"], int(self.mechanism.state.counts[ROUNDS])


@pytest.mark.parametrize("name", TRACES)
def test_given_gavels_shares_every_completion_time_is_gavels(name, oracle_path):
    workload = trace(oracle_path, name)
    with gzip.open(oracle_path(f"gavel/{name}_allocations_and_rounds.json.gz"), "rt") as file:
        recorded = json.load(file)
    given = read(oracle_path(f"gavel/{name}_completion_times.csv"))
    for policy, record in recorded.items():
        replay = Replay(workload, policy, record["recomputations"])
        finish, rounds = replay.play()
        np.testing.assert_allclose(finish - workload.arrival_time, column(given, policy), atol=1e-6, rtol=0)
        assert rounds == len(record["rounds"])
        assert not replay.settled


@pytest.mark.parametrize("name", TRACES)
def test_of_many_shares_that_let_all_end_in_time_gavels_solver_and_ours_stop_at_the_same(name, oracle_path):
    with gzip.open(oracle_path(f"gavel/{name}_allocations_and_rounds.json.gz"), "rt") as file:
        record = json.load(file)["min_total_duration_perf"]
    replay = Replay(trace(oracle_path, name), "min_total_duration_perf", record["recomputations"])
    differences = []

    def settle(now: Instant) -> np.ndarray:
        given = replay.settle(now)
        differences.append(np.abs(PROGRAMMES["min_total_duration"].shares(now) - given).max())
        return given

    replay.mechanism.sharing = settle
    replay.play()
    assert len(differences) == len(record["recomputations"])
    assert np.median(differences) < 1e-4
    assert max(differences) < 5e-3


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("policy", ["fifo", "fifo_perf", "gandiva_fair"])
def test_policies_without_a_programme_equal_gavels_to_the_microsecond(name, policy, oracle_path):
    workload = trace(oracle_path, name)
    if policy == "fifo":
        expected = column(read(oracle_path(f"gavel/{name}_own_plain_fifo.csv")), "completion_time_s")
    else:
        named = "isolated" if policy == "gandiva_fair" else policy
        expected = column(read(oracle_path(f"gavel/{name}_completion_times.csv")), named)
    np.testing.assert_allclose(completion_times(workload, policy), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("policy", "tolerance"),
    [
        ("max_min_fairness", 0.05),
        ("max_min_fairness_perf", 0.05),
        ("finish_time_fairness_perf", 0.05),
        ("min_total_duration_perf", 0.01),
    ],
)
@pytest.mark.parametrize("name", TRACES)
def test_policies_with_a_programme_come_as_near_as_ties_allow(name, policy, tolerance, oracle_path):
    workload = trace(oracle_path, name)
    summary = json.loads(oracle_path(f"gavel/{name}_summary.json").read_text())[policy]
    found = completion_times(workload, policy)
    assert found.mean() == pytest.approx(summary["mean_jct"], rel=tolerance)
    assert (found + workload.arrival_time).max() == pytest.approx(summary["makespan"], rel=0.05)


def test_every_optimum_is_that_of_an_independent_solution(oracle_path):
    given = json.loads(oracle_path("gavel/lp_instants.json").read_text())
    workers = np.array([float(given["cluster"][kind]) for kind in given["order_of_types"]])
    for entry in given["instants"]:
        jobs = entry["jobs"]

        of = {name: np.array([job[name] for job in jobs], np.float64) for name in jobs[0]}
        now = Instant(
            gpus=of["scale_factor"],
            weight=of["priority_weight"],
            rate=of["steps_per_s"],
            left=of["steps_remaining"],
            age_time=of["seconds_since_arrival"],
            alone_time=of["isolated_seconds_so_far"],
            had_share=np.zeros((len(jobs), 3)),
            workers=workers,
            names=tuple(given["order_of_types"]),
        )
        best = entry["optimum"]
        found = {name: PROGRAMMES[name].shares(now) for name in PROGRAMMES.names() if not name.startswith("fifo")}
        for shares in found.values():
            assert (shares >= 0).all()
            assert (shares.sum(1) <= 1 + 1e-9).all()
            assert ((now.gpus[:, None] * shares).sum(0) <= workers * (1 + 1e-9)).all()
        rate = {name: (now.rate * shares).sum(1) for name, shares in found.items()}
        usual = now.rate @ workers / workers.sum()
        least = (now.gpus / now.weight * rate["max_min_fairness"] / usual).min()
        assert least == pytest.approx(best["max_min_fairness_perf"], rel=1e-6)
        alone = now.alone_time + now.left / (now.rate * equal_shares(now)).sum(1)
        worst = ((now.age_time + now.left / rate["finish_time_fairness"]) / alone).max()
        assert worst == pytest.approx(best["finish_time_fairness_perf"], rel=1e-6)
        assert shortest_time(now) == pytest.approx(best["min_total_duration_perf_seconds"], rel=1e-6)
        longest = (now.left / rate["min_total_duration"]).max()
        assert 1 <= longest / best["min_total_duration_perf_seconds"] < NEAR
        blind = now.agnostic()
        shares = PROGRAMMES["max_min_fairness"].shares(blind)
        assert (now.gpus * shares.sum(1)).min() == pytest.approx(best["max_min_fairness"], rel=1e-6)
        assert rate["max_sum_throughput"].sum() >= max(one.sum() for one in rate.values()) * (1 - 1e-9)


@pytest.fixture
def mixed() -> Workload:
    generator = np.random.default_rng(5)
    n = 24
    return Workload.from_columns(
        arrival_time=np.sort(np.round(generator.exponential(400, n).cumsum())),
        runtime=np.round(generator.lognormal(7, 1, n)) + 60,
        gpus=generator.choice([1, 1, 2, 4], n),
    )


SHARING = ["fifo", "gandiva_fair", "max_min_fairness_perf", "finish_time_fairness", "max_sum_throughput_perf"]


@pytest.mark.parametrize("policy", SHARING)
def test_no_instant_holds_more_gpus_of_a_kind_than_there_are(policy, mixed):
    simulation = Simulation(mixed, CLUSTER, parse_policy(policy))
    simulation.advance()
    spans = simulation.spans()
    for instant in np.unique(spans.start_time):
        holds = (spans.start_time <= instant) & (spans.end_time > instant)
        held = np.bincount(spans.node[holds] // 4, weights=spans.gpus[holds], minlength=3)
        assert (held <= 4).all()


@pytest.mark.parametrize("policy", SHARING)
def test_attempts_sum_up_to_what_was_held_and_all_work_is_done(policy, mixed):
    simulation = Simulation(mixed, CLUSTER, parse_policy(policy))
    simulation.advance()
    spans, history = simulation.spans(), simulation.history()
    held = np.bincount(spans.row, weights=spans.end_time - spans.start_time, minlength=len(mixed))
    np.testing.assert_allclose(held, history.held_time, rtol=1e-9)
    np.testing.assert_allclose(history.service_time, mixed.runtime, rtol=1e-9)
    np.testing.assert_array_equal(np.bincount(spans.row, minlength=len(mixed)), history.attempts)
    assert (history.lost_time >= 0).all()


@pytest.mark.parametrize("policy", SHARING)
def test_a_simulation_in_pieces_is_the_same_as_in_one(policy, mixed):
    whole, pieces = (Simulation(mixed, CLUSTER, parse_policy(policy), seed=3) for _ in range(2))
    whole.advance()
    until = 0.0
    while not pieces.done:
        until += 137.0
        pieces.advance(until_time=until)
        assert pieces.clock <= max(until, mixed.arrival_time[0])
        assert pieces.kernel.queued >= 0
    assert np.array_equal(whole.outcome().finish_time, pieces.outcome().finish_time)
    assert np.array_equal(whole.attempts().end_time, pieces.attempts().end_time)


def test_many_who_arrive_before_shares_are_settled_again_are_waited_for():
    # That nobody is left is settled at 10 s; nobody behind the first has a share before 1,930 s, and the clock goes
    # from one arrival to the next.
    arrivals = np.concatenate([[0.0], np.arange(100.0, 3100.0)])
    workload = Workload.from_columns(
        arrival_time=arrivals, runtime=np.full(len(arrivals), 10.0), gpus=np.ones(len(arrivals))
    )
    simulation = Simulation(workload, CLUSTER, parse_policy("gandiva_fair"))
    simulation.advance()
    assert simulation.done
    assert simulation.outcome().start_time[0] == 0.0
    assert simulation.outcome().start_time[1:].min() == 1930.0


def test_a_start_that_costs_time_makes_less_progress(mixed):
    from scheduler_sim.engine import Options
    from scheduler_sim.engine.clusters.overheads import Overhead

    free = completion_times(mixed, "gandiva_fair")
    costly = completion_times(mixed, "gandiva_fair", options=Options(restart_overhead=Overhead.read("30")))
    assert costly.mean() > free.mean()


def test_a_faster_kind_is_used_for_those_who_gain_most():
    table = Throughputs(("fast", "slow"), {("gains", 1): (10.0, 1.0), ("alike", 1): (1.0, 1.0)})
    cluster = Cluster("two", tuple(NodeGroup(name, count=1, cores=1, gpus=1, gpu_type=name) for name in table.kinds))
    workload = Workload.from_columns(
        arrival_time=[0, 0],
        runtime=[100, 100],
        size=[1000, 100],
        gpus=[1, 1],
        group=["gains", "alike"],
        throughputs=table,
    )
    simulation = Simulation(workload, cluster, parse_policy("max_sum_throughput_perf"))
    simulation.advance()
    assert simulation.outcome().node.tolist() == [0, 1]
    assert simulation.outcome().finish_time.tolist() == [100.0, 100.0]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"gpus": [0, 1]}, "whole GPUs"),
        ({"gpus": [1, 1], "dependencies": [[], [1]]}, "dependencies"),
        ({"gpus": [1, 5]}, "1 tasks can run on no kind of GPU of cluster gavel, the first of them 2"),
        ({"gpus": [1, 1], "cpus": [1, 9]}, "can run on no kind"),
        ({"gpus": [1, 1], "gpu_type": ["", "h100"]}, "can run on no kind"),
    ],
)
def test_what_rounds_do_not_know_is_refused_in_a_sentence(columns, sentence):
    workload = Workload.from_columns(arrival_time=[0, 0], runtime=[5, 5], **columns)
    with pytest.raises(InvalidPolicy, match=sentence):
        Simulation(workload, CLUSTER, parse_policy("max_min_fairness"))


def test_throughputs_of_other_kinds_than_the_clusters_are_refused():
    table = Throughputs(("h100",), {("", 1): (2.0,)})
    workload = Workload.from_columns(arrival_time=[0], runtime=[5], size=[10], gpus=[1], throughputs=table)
    with pytest.raises(InvalidPolicy, match="throughputs are of h100; cluster gavel has v100, p100, k80"):
        Simulation(workload, CLUSTER, parse_policy("max_min_fairness_perf"))


def test_throughputs_read_back_as_they_were_written():
    table = Throughputs(KINDS, {("ResNet-18 (batch size 16)", 1): (1.0, 0.5, 0.0), ("A3C", 2): (3.0, 2.0, 1.0)})
    assert Throughputs.from_json(json.loads(json.dumps(table.as_json()))) == table
    with pytest.raises(InvalidWorkload, match="2 rates, not one a kind"):
        Throughputs(KINDS, {("A3C", 1): (1.0, 2.0)})
    with pytest.raises(InvalidWorkload, match="all 0"):
        Throughputs(KINDS, {("A3C", 1): (0.0, 0.0, 0.0)})
    with pytest.raises(InvalidWorkload, match="not described"):
        Throughputs.from_json({"kinds": ["a"], "rates": [["only a name"]]})
