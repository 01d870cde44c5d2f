"""A pool is one node without GPUs: both kernels give the same schedule of rigid tasks."""

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.kernels.pool.kernel import PoolKernel
from tests.engine.pool_cases import lognormal_workload, on_nodes, pool

BACKFILLS = ("none", "list", "easy", "conservative", "easy(order=sjf)", "easy(order=wfp3)")


def assert_same_schedule(workload, cluster, policy, options):
    simulation = Simulation(workload, cluster, parse_policy(policy), options=options)
    assert isinstance(simulation.kernel, PoolKernel)
    simulation.advance()
    nodes = on_nodes(simulation, options)
    nodes.advance(until_time=np.inf, max_events=2**62)
    expected, outcome = simulation.outcome(), nodes.outcome()
    assert outcome.start_time.tolist() == expected.start_time.tolist()
    assert outcome.finish_time.tolist() == expected.finish_time.tolist()
    assert outcome.completion_order.tolist() == expected.completion_order.tolist()


@pytest.mark.parametrize("backfill", BACKFILLS)
@pytest.mark.parametrize("order", ["fcfs", "sjf", "wfp3"])
def test_nodes_and_pool_agree_on_small_cases_full_of_ties(order, backfill):
    for seed in range(60):
        generator = np.random.default_rng(seed)
        n, processors = int(generator.integers(1, 14)), int(generator.integers(1, 8))
        workload = Workload.from_columns(
            arrival_time=np.sort(generator.integers(0, 10, n)),
            runtime=generator.integers(0, 8, n),
            duration_estimate=generator.integers(0, 10, n),
            cpus=generator.integers(1, processors + 1, n),
        )
        options = Options(kill_at_estimate=seed % 3 == 0)
        assert_same_schedule(workload, pool(processors), f"{order}+{backfill}", options)


@pytest.mark.parametrize("backfill", BACKFILLS)
@pytest.mark.parametrize("order", ["fcfs", "sjf", "wfp3"])
def test_nodes_and_pool_agree_under_load(order, backfill):
    workload = lognormal_workload(400, 32, 1.1, seed=5, estimate_factor=3.0)
    assert_same_schedule(workload, pool(32), f"{order}+{backfill}", Options())


@pytest.mark.parametrize(
    "runtimes",
    [
        pytest.param(lambda generator: 2.0 ** generator.integers(-30, 40, 600), id="ever longer"),
        pytest.param(lambda generator: 2.0**40 - 2.0 ** generator.integers(0, 40, 600), id="all about the longest"),
        pytest.param(lambda _: np.full(600, 1e7), id="all alike"),
        pytest.param(lambda generator: generator.integers(0, 5, 600) * 1e5, id="many at once"),
        pytest.param(lambda generator: generator.lognormal(0.0, 4.0, 600), id="most of them short"),
    ],
)
def test_ends_are_taken_in_order_however_far_ahead_they_lie(runtimes):
    for seed in range(4):
        generator = np.random.default_rng(seed)
        runtime = runtimes(generator)
        workload = Workload.from_columns(
            arrival_time=np.cumsum(generator.integers(0, 3, 600) * runtime.mean() / 200),
            runtime=runtime,
            cpus=generator.integers(1, 4, 600),
        )
        assert_same_schedule(workload, pool(300), "fcfs+list", Options())


def test_the_clock_of_every_kernel_moves_on_while_nothing_happens():
    workload = Workload.from_columns(arrival_time=[1, 50], runtime=[10, 1], cpus=[1, 1])
    two = Cluster("two", (NodeGroup("node", count=2, cores=2),))
    clusters = (pool(2), Cluster("one", (NodeGroup("node", count=1, cores=2, gpus=1),)), two)
    for cluster, policy in [(cluster, policy) for cluster in clusters for policy in ("fcfs", "fcfs@eft")]:
        simulation = Simulation(workload, cluster, parse_policy(policy))
        clocks = []
        for time in (0.0, 5.0, 30.0, 40.0, 90.0):
            simulation.advance(until_time=time)
            clocks.append(simulation.clock)
        assert clocks == [1.0, 5.0, 30.0, 40.0, 51.0], (cluster.name, policy)
        assert simulation.done
