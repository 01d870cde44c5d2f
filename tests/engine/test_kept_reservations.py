"""Reservations on nodes that stay from instant to instant, against the slow reference, which makes them anew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim.engine import Cluster, NodeGroup, Outage, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.oversize import fit_workload
from scheduler_sim.engine.kernels.cluster import layout
from scheduler_sim.engine.kernels.cluster.kernel import ClusterKernel
from scheduler_sim.engine.kernels.cluster.state import KEPT
from tests.engine.nodes_cases import assert_nodes_as_in_the_reference


def crowded(seed: int, told: str, n: int | None = None) -> tuple[Workload, Cluster]:
    """Return tasks that come to few nodes at once, parts of GPUs and gangs of whole nodes among them.

    Args:
        seed: of what is drawn.
        told: "exact" estimates, "long" ones, or "any", so that some overrun.
        n: how many there are, else some.
    """
    generator = np.random.default_rng(seed)
    count, cores, gpus = int(generator.integers(2, 7)), int(generator.choice([4, 8])), int(generator.choice([0, 2, 4]))
    groups = (
        NodeGroup("a", count, cores, gpus=gpus, memory_mb=None if seed % 2 else 16.0),
        NodeGroup("b", int(generator.integers(1, 4)), 8, gpus=gpus, gpu_speed=2.0),
    )
    n = n or int(generator.integers(1, 30))
    asked = generator.choice([0, 0.1, 0.2, 0.25, 0.4, 0.5, 0.7, 1, 1, 2, 4, 8], n) * (gpus > 0)
    runtime = generator.integers(0, 9, n)
    estimate = {
        "exact": runtime,
        "long": runtime + generator.integers(0, 3, n) * generator.integers(1, 6, n),
        "any": np.maximum(runtime + generator.integers(-3, 5, n), 0),
    }[told]
    workload = Workload.from_columns(
        arrival_time=np.sort(generator.integers(0, 10, n)),
        runtime=runtime,
        duration_estimate=estimate,
        cpus=np.where(asked > 0, generator.choice([0, 1, 2], n), generator.choice([0.5, 1, 2, 4, 8, 16], n)),
        gpus=asked,
        memory_mb=generator.choice([0, 0, 3, 8], n),
        dependencies=[[row] if row and generator.random() < 0.1 else [] for row in range(n)],
    )
    cluster = Cluster("few", groups)
    return fit_workload(workload, cluster, on_oversize="drop")[0], cluster


def keeps(kernel: ClusterKernel) -> bool:
    """Tell whether reservations stay from instant to instant."""
    return bool(kernel._sim.settings[KEPT])


@pytest.mark.parametrize("told", ["exact", "long", "any"])
@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), order=st.sampled_from(["fcfs", "sjf", "saf"]))
def test_kept_reservations_are_those_of_a_plan_made_anew(told: str, seed: int, order: str) -> None:
    workload, cluster = crowded(seed, told)
    if len(workload):
        assert_nodes_as_in_the_reference(f"{order}+conservative", workload, cluster)


@pytest.mark.parametrize("seed", range(3))
def test_of_many_that_wait_those_move_that_would_if_each_were_placed_again(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload, cluster = crowded(seed, "long", 120)
    played = []
    for keep in (True, False):
        if not keep:
            monkeypatch.setattr(layout, "keeps_reservations", lambda *_: False)
        simulation = Simulation(workload, cluster, parse_policy("saf+conservative"))
        assert isinstance(simulation.kernel, ClusterKernel)
        assert keeps(simulation.kernel) == keep
        simulation.advance()
        played.append(simulation.outcome())
    for name in ("start_time", "node", "device"):
        np.testing.assert_array_equal(getattr(played[0], name), getattr(played[1], name))


def test_most_such_cases_keep_their_reservations() -> None:
    """Not those with gangs whose last node is shared."""
    cases = [crowded(seed, "long") for seed in range(20)]
    kernels = [assert_nodes_as_in_the_reference("fcfs+conservative", *case) for case in cases if len(case[0])]
    assert sum(keeps(kernel) for kernel in kernels) > 15


@pytest.mark.parametrize("policy", ["fcfs+conservative@best_fit", "wfp3+conservative", "fcfs+conservative@round_robin"])
def test_where_a_lifted_reservation_may_come_back_elsewhere_none_is_kept(policy: str) -> None:
    workload, cluster = crowded(3, "long")
    kernel = Simulation(workload, cluster, parse_policy(policy)).kernel
    assert isinstance(kernel, ClusterKernel)
    assert not keeps(kernel)


def test_outages_are_planned_around_anew() -> None:
    group = NodeGroup("n", 2, 2, outages=(Outage(1.0, 5.0, 1),))
    workload = Workload.from_columns(arrival_time=[0.0, 2.0, 2.0], runtime=[4.0, 1.0, 1.0], cpus=[2, 2, 4])
    assert not keeps(assert_nodes_as_in_the_reference("fcfs+conservative", workload, Cluster("away", (group,))))
