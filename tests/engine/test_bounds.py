"""No schedule beats the lower bounds, and simple ones reach them."""

import numpy as np
import pytest

from scheduler_sim import engine
from scheduler_sim.engine.measuring import metrics
from scheduler_sim.engine.measuring.bounds import lower_bounds, shortest_times
from scheduler_sim.engine.workloads.requests import Requests

CLUSTER = engine.Cluster("four cores", (engine.NodeGroup("pool", 1, 4),))


def test_a_chain_is_as_long_as_its_tasks() -> None:
    workload = engine.Workload.from_columns(
        arrival_time=[5.0, 0.0, 0.0], runtime=[1.0, 7.0, 2.0], task_id=[1, 2, 3], dependencies=[[2], [3], []]
    )
    bounds = lower_bounds(workload, CLUSTER)
    assert bounds.critical_path == 10.0
    assert bounds.core_work == pytest.approx(10 / 4)
    assert (bounds.gpu_work, bounds.makespan) == (0.0, 10.0)


def test_work_over_capacity_binds_when_the_cluster_is_small() -> None:
    workload = engine.Workload.from_columns(arrival_time=np.zeros(40), runtime=np.ones(40))
    assert lower_bounds(workload, CLUSTER).makespan == 10.0


def test_a_split_task_takes_its_best_fraction() -> None:
    cluster = engine.Cluster("one", (engine.NodeGroup("node", 1, 1, gpus=1, bandwidth_mb_per_second=100.0),))
    workload = engine.Workload.from_columns(
        arrival_time=[0.0], runtime=[8.0], compute_intensity=[1.0], memory_mb=[200.0], hybrid=[True]
    )
    alone_on_cpu, alone_on_gpu = 8.0, 8.0 / 4 + 2.0
    best = alone_on_cpu * alone_on_gpu / (alone_on_cpu + alone_on_gpu)
    assert shortest_times(workload, cluster, engine.Options())[0] == pytest.approx(best)
    assert shortest_times(workload, cluster, engine.Options(split_model="sequential"))[0] == pytest.approx(4.0)


def test_no_tasks_need_no_time() -> None:
    workload = engine.Workload.from_columns(arrival_time=[], runtime=[])
    assert lower_bounds(workload, CLUSTER).makespan == 0.0


@pytest.mark.parametrize("policy", ["fcfs", "sjf", "fcfs+easy", "saf+easy"])
@pytest.mark.parametrize("seed", range(5))
def test_no_policy_beats_the_bound(policy: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    workload = engine.Workload.from_columns(
        arrival_time=generator.random(50) * 30, runtime=generator.exponential(4, 50), cpus=generator.integers(1, 5, 50)
    )
    simulation = engine.Simulation(workload=workload, cluster=CLUSTER, policy=engine.parse_policy(policy))
    simulation.advance()
    first, last = metrics.whole_run(workload, [simulation.outcome()])
    assert last - first >= lower_bounds(workload, CLUSTER).makespan - 1e-9


def test_in_a_closed_loop_a_task_comes_after_the_earliest_end_of_the_one_before_it() -> None:
    asked = Requests.blank(3, follows=np.array([0, 1, 2]), think_time=np.array([np.nan, 4.0, 1.0]))
    workload = engine.Workload.from_columns(
        arrival_time=[0.0, 90.0, 95.0], runtime=[2.0, 3.0, 5.0], task_id=[1, 2, 3], requests=asked
    )
    closed = engine.Options(closed_loop=True)
    assert lower_bounds(workload, CLUSTER).makespan == 100.0
    assert lower_bounds(workload, CLUSTER, closed).makespan == 2 + 4 + 3 + 1 + 5
