"""Choices by classes of nodes and by sets of them, against the slow reference on clusters of many nodes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim.engine import Cluster, NodeGroup, Outage, Workload
from scheduler_sim.engine.clusters.oversize import fit_workload
from scheduler_sim.engine.clusters.sleep import Sleep
from scheduler_sim.engine.kernels.cluster import layout
from tests.engine.nodes_cases import assert_nodes_as_in_the_reference

POLICIES = (
    "fcfs+list@fgd",
    "fcfs+list@weighted_fit",
    "fcfs+none@best_fit",
    "fcfs+list@first_fit",
    "fcfs+list@worst_fit",
)
"""Of all rules that look at classes or sets, with kernels that other tests compile too."""

SEEDS = st.integers(0, 2**32)


def many_nodes(seed: int, *, sleeping: bool) -> tuple[Workload, Cluster]:
    """Return 10 to 80 nodes, and tasks of parts of GPUs, of several, and of several nodes."""
    generator = np.random.default_rng(seed)
    groups = tuple(
        NodeGroup(
            name=f"g{number}",
            count=int(generator.integers(5, 41)),
            cores=int(generator.choice([4, 8])),
            gpus=int(generator.choice([0, 2, 4])),
            memory_mb=None if generator.random() < 0.5 else 16.0,
            sleep=Sleep(2.0, 1.0, 1.0) if sleeping and generator.random() < 0.6 else None,
        )
        for number in range(2)
    )
    n = int(generator.integers(1, 60))
    gpus = generator.choice([0, 0, 0.25, 0.5, 0.75, 1, 1, 2, 5, 8], n)
    workload = Workload.from_columns(
        arrival_time=np.sort(generator.integers(0, 6, n)),
        runtime=generator.integers(0, 8, n),
        cpus=np.where(gpus > 0, generator.choice([0, 1, 2], n), generator.choice([0.5, 1, 3, 12], n)),
        gpus=gpus,
        memory_mb=generator.choice([0, 0, 3, 8], n),
    )
    cluster = Cluster("many", groups)
    return fit_workload(workload, cluster, on_oversize="drop")[0], cluster


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=25)
@given(seed=SEEDS, sleeping=st.booleans())
def test_many_nodes_are_chosen_as_in_the_reference(policy: str, seed: int, *, sleeping: bool) -> None:
    workload, cluster = many_nodes(seed, sleeping=sleeping)
    if len(workload):
        assert_nodes_as_in_the_reference(policy, workload, cluster)


@pytest.mark.parametrize("policy", POLICIES[:2])
@settings(max_examples=15)
@given(seed=SEEDS, slots=st.integers(1, 4), sleeping=st.booleans())
def test_a_table_that_is_too_small_for_all_classes_changes_nothing(
    policy: str, seed: int, slots: int, *, sleeping: bool
) -> None:
    """Classes are forgotten and made again, and nodes whose class has no place are looked at one by one."""
    workload, cluster = many_nodes(seed, sleeping=sleeping)
    if not len(workload):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "MOST_CLASSED", slots * cluster.nodes)
        kernel = assert_nodes_as_in_the_reference(policy, workload, cluster)
    assert len(kernel._sim.class_list) == slots


def test_nodes_that_went_away_are_in_no_class() -> None:
    """All nodes are away from 1 to 5, so that the task of time 2 waits; then all of them are of one class."""
    group = NodeGroup("n", 9, 2, gpus=1, outages=(Outage(1.0, 5.0, 9),))
    workload = Workload.from_columns(arrival_time=[0.0, 2.0], runtime=[9.0, 1.0], cpus=[1, 1], gpus=[0.5, 0.5])
    for policy in POLICIES[:2]:
        kernel = assert_nodes_as_in_the_reference(policy, workload, Cluster("away", (group,)))
        assert kernel.outcome().start_time.tolist() == [0.0, 5.0]
        assert len(set(kernel._sim.class_of.tolist())) == 1
