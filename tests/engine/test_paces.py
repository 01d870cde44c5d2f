"""Rates on kinds of GPU under policies that know nothing of them: run time on a kind = work / rate, by hand."""

from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Options, Simulation, parse_policy
from scheduler_sim.engine.clusters.failures import Failure
from scheduler_sim.engine.clusters.overheads import Checkpoints
from scheduler_sim.engine.clusters.oversize import fit_workload
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.errors import OversizedTasks
from scheduler_sim.engine.measuring.bounds import lower_bounds
from scheduler_sim.engine.measuring.fairness import alone_times
from scheduler_sim.engine.workloads.throughputs import Throughputs
from scheduler_sim.engine.workloads.workload import Workload

TABLE = Throughputs(("new", "old"), {("gains", 1): (10.0, 1.0), ("alike", 1): (2.0, 2.0), ("new only", 1): (5.0, 0.0)})
NEW = NodeGroup("new", 1, 4, gpus=1, gpu_type="new", gpu_speed=3.0)
OLD = NodeGroup("old", 1, 4, gpus=1, gpu_type="old")


def tasks(*types: str, **columns: Any) -> Workload:
    """Return tasks of one GPU and 100 units of work, whose run times are those on the old kind where they have some."""
    n = len(types)
    usual: dict[str, Any] = {"arrival_time": np.zeros(n), "size": np.full(n, 100.0), "gpus": np.ones(n)}
    usual |= {"runtime": [100.0 if one == "gains" else 50.0 for one in types], "group": list(types)}
    return Workload.from_columns(**{**usual, **columns}, throughputs=TABLE)


def finish(workload: Workload, policy: str, *groups: NodeGroup, **options: Any) -> list[float]:
    simulation = Simulation(workload, Cluster("kinds", groups), parse_policy(policy), options=Options(**options))
    simulation.advance()
    found: list[float] = simulation.outcome().finish_time.tolist()
    return found


def test_a_task_takes_its_work_over_its_rate_wherever_it_runs():
    assert finish(tasks("gains", "gains"), "fcfs+list@first_fit", NEW, OLD) == [10.0, 100.0]
    assert finish(tasks("gains", "gains"), "fcfs+list@first_fit", OLD, NEW) == [100.0, 10.0]
    assert finish(tasks("alike", "alike"), "fcfs+list@first_fit", NEW, OLD) == [50.0, 50.0]


def test_a_kind_without_a_rate_takes_no_task():
    assert finish(tasks("new only", "new only"), "fcfs+list@first_fit", OLD, NEW) == [20.0, 40.0]
    assert Paces.of(tasks("new only"), Cluster("old", (OLD,))).rated.all()
    with pytest.raises(OversizedTasks, match="1 of 2 tasks are larger"):
        fit_workload(tasks("gains", "new only"), Cluster("old", (OLD,)), on_oversize="fail")


def test_a_type_without_rates_and_a_cluster_of_other_kinds_go_by_the_speed():
    assert finish(tasks("unknown", "unknown"), "fcfs+list@first_fit", NEW, OLD) == [50.0 / 3.0, 50.0]
    other = NodeGroup("other", 1, 4, gpus=1, gpu_type="h100", gpu_speed=4.0)
    assert finish(tasks("gains"), "fcfs+list@first_fit", other) == [25.0]


@pytest.mark.parametrize("policy", ["fcfs", "fcfs+list@eft", "srtf"])
def test_clusters_of_one_kind_play_by_the_rates_too(policy):
    assert finish(tasks("gains", arrival_time=[7.0]), policy, NEW) == [17.0]


def test_a_placement_that_looks_ahead_waits_for_the_kind_that_a_task_gains_from():
    # The second of them is done at 20 s on the new GPU, and would be at 100 s on the old one.
    assert finish(tasks("gains", "gains", "alike"), "fcfs+list@eft", OLD, NEW) == [10.0, 20.0, 50.0]


def test_work_that_goes_on_on_another_kind_goes_on_at_its_rate():
    # The new node fails after 5 s; checkpoints keep 40 units of 4 s, and the old node needs 60 s for the others.
    kept: dict[str, Any] = {"failures": (Failure(5.0, 1000.0, node=0),), "checkpoints": Checkpoints(2.0)}
    assert finish(tasks("gains"), "fcfs+list", NEW, OLD, **kept) == [65.0]


def test_bounds_and_equal_shares_go_by_the_rates():
    cluster = Cluster("kinds", (NEW, OLD))
    assert lower_bounds(tasks("gains", "new only"), cluster).critical_path == 20.0
    simulation = Simulation(tasks("gains", "new only"), cluster, parse_policy("fcfs+list"))
    alone, part = alone_times(simulation, np.arange(2))
    # One gains 10 and 1 units a second, 5.5 on average, of both GPUs; the other has the new one only.
    np.testing.assert_allclose(alone, [100.0 / 5.5, 20.0])
    np.testing.assert_allclose(part, [0.5, 1.0])
