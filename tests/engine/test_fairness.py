"""What tasks and users got of an equal share of the cluster, by hand, by a slow model, and for every policy."""

from typing import Any

import numpy as np
import pytest

from scheduler_sim import engine
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.measuring import metrics
from scheduler_sim.engine.measuring.fairness import FairShares, contention, jain
from scheduler_sim.engine.policies import ORDERS
from scheduler_sim.engine.workloads.throughputs import Throughputs

POOL = engine.Cluster("pool", (engine.NodeGroup("cores", 1, 4),))
GPUS = engine.Cluster(
    "kinds",
    (
        engine.NodeGroup("new", 1, 8, gpus=2, gpu_type="new", gpu_speed=3.0),
        engine.NodeGroup("old", 1, 8, gpus=2, gpu_type="old", gpu_speed=1.0),
    ),
)


def played(policy: str, cluster: engine.Cluster = POOL, **columns: Any) -> engine.Simulation:
    simulation = engine.Simulation(engine.Workload.from_columns(**columns), cluster, engine.parse_policy(policy))
    simulation.advance()
    return simulation


def figures(simulation: engine.Simulation) -> dict[str, Any]:
    edges = np.array(metrics.whole_run(simulation.workload, [simulation.outcome()]))
    return metrics.summarise(simulation, edges=edges).row()


def test_a_task_alone_on_the_cluster_gets_its_share_however_large_it_is() -> None:
    for cpus in (1, 4):
        shares = FairShares.of(played("fcfs", arrival_time=[5.0], runtime=[10.0], cpus=[cpus]))
        assert shares.rho.tolist() == [1.0]


def test_two_tasks_that_each_ask_for_all_by_hand() -> None:
    """One runs 0-10, the other 10-20: N is 2 for 10 s of the first, and (2 x 10 + 10) / 20 = 1.5 for the second."""
    simulation = played("fcfs", arrival_time=[0.0, 0.0], runtime=[10.0, 10.0], cpus=[4, 4], user=["ann", "bob"])
    shares = FairShares.of(simulation)
    assert shares.rho.tolist() == [10 / 20, 20 / 15]
    assert shares.got.tolist() == [10.0, 10.0]
    assert shares.due == pytest.approx([10 / 2, 20 / 1.5])
    row = figures(simulation)
    assert row["mean_rho"] == pytest.approx((0.5 + 4 / 3) / 2)
    assert row["max_rho"] == pytest.approx(4 / 3)
    assert row["p95_rho"] == pytest.approx(np.percentile([0.5, 4 / 3], 95))
    assert row["unfair_share"] == 0.5
    assert row["least_share"] == pytest.approx(0.75)
    assert row["share_fairness"] == pytest.approx((2 + 0.75) ** 2 / (2 * (2**2 + 0.75**2)))
    told = shares.as_json(simulation)
    assert (told["worst_user"], told["users"], told["share"]) == ("bob", 2, pytest.approx(0.75))


def test_a_task_that_asks_for_less_than_its_share_is_due_no_more_than_that() -> None:
    """Of five tasks on four cores four are due 4/5 of a core; the last, three there on average, all of its core."""
    simulation = played("fcfs", arrival_time=[0.0] * 5, runtime=[10.0] * 5)
    assert FairShares.of(simulation).rho == pytest.approx([10 / (10 * 5 / 4)] * 4 + [20 / 10])


def test_the_share_of_a_user_is_that_of_all_the_tasks() -> None:
    simulation = played(
        "fcfs", arrival_time=[0.0, 0.0, 0.0], runtime=[10.0, 10.0, 10.0], cpus=[4, 4, 4], user=["a", "b", "a"]
    )
    shares = FairShares.of(simulation)
    of_a = shares.got[[0, 2]].sum() / shares.due[[0, 2]].sum()
    of_b = shares.got[1] / shares.due[1]
    row = figures(simulation)
    assert row["least_share"] == pytest.approx(min(of_a, of_b))
    assert row["share_fairness"] == pytest.approx((of_a + of_b) ** 2 / (2 * (of_a**2 + of_b**2)))


def test_tasks_stand_for_themselves_where_no_users_are_named() -> None:
    simulation = played("fcfs", arrival_time=[0.0, 0.0], runtime=[10.0, 10.0], cpus=[4, 4])
    assert figures(simulation)["least_share"] == pytest.approx(0.75)
    assert FairShares.of(simulation).as_json(simulation)["worst_user"] is None


def test_alone_a_task_runs_at_the_mean_speed_of_what_it_may_use() -> None:
    """Two GPUs of speed 3 and two of speed 1: 2 on average; who may use only the new ones has half the cluster."""
    simulation = played(
        "fcfs",
        GPUS,
        arrival_time=[0.0, 100.0],
        runtime=[60.0, 60.0],
        gpus=[1, 1],
        gpu_type=["", "new"],
    )
    assert FairShares.of(simulation).rho == pytest.approx([20 / 30, 20 / 20])


def test_rounds_are_measured_by_the_rates_that_they_play_by() -> None:
    throughputs = Throughputs(("new", "old"), {("a", 1): (10.0, 2.0)})
    workload = engine.Workload.from_columns(
        arrival_time=[0.0], runtime=[360.0], gpus=[1], size=[3600.0], group=["a"], throughputs=throughputs
    )
    simulation = engine.Simulation(workload, GPUS, engine.parse_policy("fifo_perf"))
    simulation.advance()
    assert FairShares.of(simulation).rho == pytest.approx([360 / (3600 / 6)])


def test_tasks_that_need_no_time_have_no_rho() -> None:
    simulation = played("fcfs", arrival_time=[0.0, 0.0], runtime=[0.0, 10.0])
    assert np.isnan(FairShares.of(simulation).rho).tolist() == [True, False]
    assert figures(simulation)["mean_rho"] == pytest.approx(1.0)


def test_before_anything_has_finished_nothing_is_known() -> None:
    workload = engine.Workload.from_columns(arrival_time=[0.0], runtime=[10.0])
    simulation = engine.Simulation(workload, POOL, engine.parse_policy("fcfs"))
    simulation.advance(until_time=5.0)
    row = metrics.summarise(simulation, edges=np.array([0.0, 5.0])).row()
    assert (row["mean_rho"], row["share_fairness"], row["least_share"]) == (None, None, None)


def test_contention_is_the_mean_number_of_tasks_that_are_there() -> None:
    generator = np.random.default_rng(3)
    for _ in range(20):
        n = int(generator.integers(1, 30))
        ready = generator.integers(0, 40, n).astype(float)
        finish = np.where(generator.random(n) < 0.2, np.nan, ready + generator.integers(0, 30, n))
        present = generator.random(n) < 0.9
        found = contention(ready, finish, present)
        for row in np.flatnonzero(present & (finish > ready)):
            # Everything happens at whole seconds, so that each second has one number.
            seconds = np.arange(ready[row], finish[row])
            there = [(present & (ready <= one) & ~(finish <= one)).sum() for one in seconds]
            assert found[row] == pytest.approx(np.mean(there), rel=1e-12)


def test_jains_index_by_hand() -> None:
    found = jain(np.array([1.0, 1.0, 4.0, 0.0, 0.0]), np.array([0, 0, 1, 1, 1]), 3)
    assert found[:2].tolist() == [1.0, pytest.approx(1 / 3)]
    assert np.isnan(found[2])


@pytest.mark.parametrize("name", [order.name for order in ORDERS])
def test_whatever_the_policy_what_was_got_is_the_work(name: str) -> None:
    """The work of a task does not depend on the policy, nor can anybody be done before it is."""
    order = next(one for one in ORDERS if one.name == name)
    if order.shares_gpus:
        generator = np.random.default_rng(5)
        columns: dict[str, Any] = {"gpus": generator.integers(1, 3, 30), "cpus": np.ones(30)}
        cluster = engine.Cluster("gpus", (engine.NodeGroup("all", 2, 8, gpus=4),))
    else:
        generator = np.random.default_rng(5)
        columns, cluster = {"cpus": generator.integers(1, 5, 30)}, POOL
    workload = engine.Workload.from_columns(
        arrival_time=np.sort(generator.random(30) * 300),
        runtime=1 + generator.exponential(50, 30),
        user=["a", "b", "c"] * 10,
        recorded_start_time=np.arange(30) * 1000.0,
        **columns,
    )
    try:
        simulation = engine.Simulation(workload, cluster, engine.parse_policy(name))
    except EngineError as error:
        pytest.skip(str(error))
    simulation.advance()
    shares = FairShares.of(simulation)
    part = columns.get("gpus", columns["cpus"]) / (cluster.gpus or cluster.cores)
    part = np.maximum(part, columns["cpus"] / cluster.cores)
    assert shares.got == pytest.approx(workload.runtime * part, rel=1e-9)
    assert (shares.due > 0).all()
    row = figures(simulation)
    assert row["mean_rho"] == pytest.approx(shares.rho.mean())
    assert 1 / 3 - 1e-9 <= row["share_fairness"] <= 1 + 1e-9
    assert row["least_share"] * shares.rho.max() >= 1 - 1e-9
