"""Loads are scaled and nodes added without touching anything else."""

import numpy as np
import pytest

from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import dgx, pool
from scheduler_sim.engine.generators import generate_workload
from scheduler_sim.engine.traces import offered_load
from scheduler_sim.engine.whatif import add_nodes, drop_nodes, scale_load
from scheduler_sim.engine.workloads.feedback import predecessors
from scheduler_sim.engine.workloads.requests import Requests


@pytest.mark.parametrize("factor", [0.25, 0.7, 1.5, 3.0])
def test_the_offered_load_is_multiplied_by_the_factor(factor: float) -> None:
    workload = generate_workload("lublin", tasks=500, seed=1).workload
    scaled = scale_load(workload, factor)
    before, after = offered_load(workload, 256), offered_load(scaled, 256)
    assert before is not None
    assert after == pytest.approx(before * factor)
    assert scaled.arrival_time[0] == workload.arrival_time[0]
    assert (scaled.runtime == workload.runtime).all()
    assert (scaled.task_id == workload.task_id).all()


def test_deadlines_move_with_their_tasks_and_recorded_starts_are_forgotten() -> None:
    workload = engine.Workload.from_columns(
        task_id=[1, 2],
        arrival_time=[100.0, 200.0],
        runtime=[5.0, 5.0],
        deadline_time=[110.0, 250.0],
        recorded_start_time=[100.0, 201.0],
    )
    scaled = scale_load(workload, 2)
    assert scaled.arrival_time.tolist() == [100.0, 150.0]
    assert scaled.deadline_time.tolist() == [110.0, 200.0]
    assert np.isnan(scaled.recorded_start_time).all()
    assert scale_load(workload, 1) is workload


def test_think_times_that_the_log_shows_stay_under_another_load() -> None:
    asked = Requests.blank(
        4, follows=np.array([0, 1, 2, 1]), think_time=np.array([np.nan, np.nan, 7.0, np.nan], np.float64)
    )
    workload = engine.Workload.from_columns(
        task_id=[1, 2, 3, 4],
        arrival_time=[0.0, 100.0, 200.0, 300.0],
        runtime=[50.0, 5.0, 5.0, 5.0],
        recorded_start_time=[10.0, np.nan, 201.0, 301.0],
        requests=asked,
    )
    for moved in (workload, scale_load(workload, 2)):
        rows, thinks = predecessors(moved)
        assert rows.tolist() == [-1, 0, 1, 0]
        assert thinks.tolist() == [0.0, 40.0, 7.0, 240.0]


def test_arrivals_that_rounding_would_merge_keep_their_order() -> None:
    first = 1e9
    workload = engine.Workload.from_columns(
        task_id=[9, 8, 7], arrival_time=[0.0, first, np.nextafter(first, np.inf)], runtime=[1.0, 1.0, 1.0]
    )
    scaled = scale_load(workload, 1e-3 * 1e3 * 1.0000001)
    order = np.lexsort((scaled.task_id, scaled.arrival_time))
    assert order.tolist() == [0, 1, 2]


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_a_factor_without_meaning_is_refused(factor: float) -> None:
    workload = generate_workload("lublin", tasks=5, seed=1).workload
    with pytest.raises(engine.EngineError, match="load factor"):
        scale_load(workload, factor)


def test_nodes_are_added_and_dropped_and_a_pool_grows_in_processors() -> None:
    assert add_nodes(dgx(4), "dgx=2").gpus == 48
    assert drop_nodes(dgx(4), "dgx=1").cores == 3 * 128
    larger = add_nodes(pool(256), "processors=64")
    assert larger.cores == 320
    assert larger.is_pool


@pytest.mark.parametrize(
    ("changes", "fault"),
    [("dgx", "GROUP=N"), ("dgx=0", "GROUP=N"), ("dgx=-1", "GROUP=N"), ("other=1", "no node group"), ("", "GROUP=N")],
)
def test_changes_without_meaning_are_refused(changes: str, fault: str) -> None:
    with pytest.raises(engine.InvalidCluster, match=fault):
        add_nodes(dgx(2), changes)


def test_more_nodes_than_there_are_cannot_be_dropped() -> None:
    with pytest.raises(engine.InvalidCluster, match="cannot be dropped"):
        drop_nodes(dgx(2), "dgx=3")
    with pytest.raises(engine.InvalidCluster, match="no node left"):
        drop_nodes(dgx(2), "dgx=2")


def test_a_group_whose_name_another_bears_is_not_changed() -> None:
    twice = engine.Cluster("twice", (*dgx(2).groups, *dgx(3).groups))
    with pytest.raises(engine.InvalidCluster, match="more than one node group 'dgx'"):
        add_nodes(twice, "dgx=1")
