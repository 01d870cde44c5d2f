"""What ran when a replay begins holds its nodes before anything else, whatever the policy."""

from typing import Any

import numpy as np
import pytest

from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import pool
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.whatif import scale_load
from scheduler_sim.engine.workloads.beginning import begin_at

NODES = engine.Cluster("nodes", (engine.NodeGroup("n", 3, 4),))


def trace(**columns: Any) -> engine.Workload:
    """Return six tasks: 1 and 2 run at 100 s, 3 and 6 wait then, 4 has ended, 5 comes later."""
    return engine.Workload.from_columns(
        **{
            "task_id": [1, 2, 3, 4, 5, 6],
            "arrival_time": [0.0, 20.0, 30.0, 5.0, 150.0, 10.0],
            "runtime": [500.0, 100.0, 40.0, 60.0, 10.0, 5.0],
            "recorded_start_time": [10.0, 60.0, 200.0, 30.0, 160.0, 210.0],
            "cpus": [4, 4, 4, 4, 4, 4],
            "dependencies": [[], [4], [1], [], [], []],
            **columns,
        }
    )


def test_tasks_are_what_they_were_when_the_replay_begins() -> None:
    begun = begin_at(trace(), 100.0)
    assert (begun.time, begun.running, begun.waiting, begun.ended) == (100.0, 2, 2, 1)
    assert begun.workload.task_id.tolist() == [1, 2, 3, 6, 5]
    assert begun.workload.arrival_time.tolist() == [10.0, 60.0, 100.0, 100.0, 150.0]
    assert trace().task_id[begun.rows].tolist() == [1, 2, 3, 6, 5]
    assert begun.workload.dependencies() == [[], [], [1], [], []], "what runs waits for nobody; who waits for it does"
    assert begun.workload.runtime.tolist() == [500.0, 100.0, 40.0, 5.0, 10.0]


@pytest.mark.parametrize("policy", ["fcfs", "ljf+easy", "random_order+conservative", "wfp3+easy", "recorded"])
@pytest.mark.parametrize("cluster", [NODES, pool(12)], ids=["nodes", "pool"])
def test_what_ran_starts_at_its_recorded_start_under_every_policy(policy: str, cluster: engine.Cluster) -> None:
    begun = begin_at(trace(dependencies=[[]] * 6), 100.0)
    simulation = engine.Simulation(workload=begun.workload, cluster=cluster, policy=engine.parse_policy(policy))
    simulation.advance()
    start = simulation.outcome().start_time
    assert start[:2].tolist() == [10.0, 60.0]
    assert (start[2:] >= 100.0).all()


def test_a_trace_that_starts_before_its_first_submission_tells_what_ran() -> None:
    workload = trace(recorded_start_time=[-50.0, 60.0, 200.0, 30.0, 160.0, -600.0])
    begun = begin_at(workload)
    assert (begun.running, begun.waiting, begun.ended) == (1, 0, 0), "task 6 started before and had ended"
    assert begun.workload.arrival_time[0] == -50.0
    assert begin_at(workload, hold=False).workload is workload


def test_nothing_changes_where_the_trace_tells_of_nothing() -> None:
    workload = trace()
    assert begin_at(workload).workload is workload
    unknown = trace(recorded_start_time=np.full(6, np.nan))
    assert begin_at(unknown).workload is unknown
    with pytest.raises(InvalidParameter, match="needs a workload that tells when its tasks started"):
        begin_at(unknown, 100.0)
    with pytest.raises(InvalidParameter, match="All tasks had ended at begin_time 1000; nothing is left"):
        begin_at(workload, 1000.0)


def test_tasks_that_ran_may_wait_as_any_other() -> None:
    begun = begin_at(trace(), 100.0, hold=False)
    assert (begun.running, begun.waiting, begun.ended) == (0, 4, 1)
    assert begun.workload.arrival_time.tolist() == [100.0] * 4 + [150.0]
    assert begun.workload.task_id.tolist() == [1, 2, 3, 6, 5]


def test_a_denser_load_leaves_alone_what_ran_already() -> None:
    begun = begin_at(trace(), 100.0)
    denser = scale_load(begun.workload, 2.0, since=begun.time)
    assert denser.arrival_time.tolist() == [10.0, 60.0, 100.0, 100.0, 125.0]
