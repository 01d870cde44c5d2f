"""The event core equals the slow simulator attempt by attempt, and the fast kernels where nothing is interrupted."""

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Options, OversizedTasks, Simulation, Workload, parse_policy
from scheduler_sim.engine.kernels.core.kernel import CoreKernel
from scheduler_sim.engine.kernels.core.rules import Rules
from tests import depth
from tests.engine.core_cases import (
    assert_equal,
    assert_steps_change_nothing,
    draw,
    draw_on_nodes,
    kernel,
    played,
    reference,
    reference_on_nodes,
)
from tests.engine.gang_cases import spans_of
from tests.engine.pool_cases import lognormal_workload, pool, pool_orders

CASES = depth.cases(40, "REFERENCE_CASES")


def core_of(simulation):
    """Return the core's kernel of a simulation that interrupts nothing."""
    problem = simulation.problem()
    return CoreKernel.of(problem, Rules.of(problem))


PLAYED = [(discipline, "none", "none") for discipline in ("srtf", "srsf", "las", "rr")]
PLAYED += [
    ("score", backfill, preemption)
    for backfill in ("none", "list", "easy", "conservative")
    for preemption in ("none", "suspend", "checkpoint", "requeue")
    if (backfill, preemption) != ("conservative", "none")
]


@pytest.mark.parametrize(("discipline", "backfill", "preemption"), PLAYED)
def test_the_core_equals_the_reference_attempt_by_attempt(discipline, backfill, preemption):
    several = 0
    for seed in range(CASES):
        columns, parents, processors, rules = draw(seed, discipline, backfill, preemption)
        expected = reference(columns, parents, [(processors, 0)], rules)
        outcome, attempts = played(kernel(columns, parents, processors, rules))
        assert_equal(expected, outcome, attempts)
        several += len(attempts) > 0
    assert several > CASES / 10, "hardly any task had several attempts"


@pytest.mark.parametrize("discipline", ["srtf", "srsf", "las", "rr"])
def test_steps_and_a_buffer_that_fills_change_nothing(discipline):
    for seed in range(CASES // 3):
        columns, parents, processors, rules = draw(seed, discipline, "none", "none")
        whole = played(kernel(columns, parents, processors, rules))
        assert_steps_change_nothing(kernel(columns, parents, processors, rules), len(parents), 3.0, whole)


@pytest.mark.parametrize("backfill", ["none", "list", "easy"])
@pytest.mark.parametrize("order", pool_orders())
def test_the_core_plays_what_the_fast_kernels_play(order, backfill):
    workload = lognormal_workload(1_500, 64, 1.1, seed=4, estimate_factor=3.0)
    policy = parse_policy(f"{order}+{backfill}")
    for options in (Options(), Options(kill_at_estimate=True)):
        fast = Simulation(workload, pool(64, 1.3), policy, options=options)
        core = core_of(fast)
        fast.advance()
        outcome, attempts = played(core)
        assert len(attempts) == 0
        np.testing.assert_array_equal(outcome.start_time, fast.outcome().start_time)
        np.testing.assert_array_equal(outcome.finish_time, fast.outcome().finish_time)
        np.testing.assert_array_equal(outcome.completion_order, fast.outcome().completion_order)
        assert outcome.history is not None
        np.testing.assert_array_equal(outcome.history.ending, fast.history().ending)


ON_NODES = [(discipline, "none", "none", in_place) for discipline in ("srtf", "srsf") for in_place in (False, True)]
ON_NODES += [("las", "none", "none", True), ("rr", "none", "none", True)]
ON_NODES += [
    ("score", backfill, preemption, True)
    for backfill in ("none", "list")
    for preemption in ("none", "suspend", "checkpoint", "requeue")
]


@pytest.mark.parametrize(("discipline", "backfill", "preemption", "in_place"), ON_NODES)
def test_the_core_equals_the_reference_on_nodes(discipline, backfill, preemption, in_place):
    several = 0
    for seed in range(CASES):
        columns, parents, nodes, rules = draw_on_nodes(seed, discipline, backfill, preemption, in_place)
        try:
            core = kernel(columns, parents, nodes, rules)
        except OversizedTasks:
            continue
        outcome, attempts = played(core)
        expected = reference_on_nodes(columns, parents, nodes, rules)
        assert_equal(expected, outcome, attempts)
        assert spans_of(core.drain_pieces()) == sorted(expected.gangs), seed
        several += len(attempts) > 0
    assert several > CASES / 20, "hardly any task had several attempts"


@pytest.mark.parametrize("policy", ["fcfs", "sjf", "sjf+list", "saf+list", "wfp3", "unicep+list"])
@pytest.mark.parametrize("memory", [None, 3000.0])
def test_the_core_plays_what_the_kernel_of_nodes_plays(policy, memory):
    generator = np.random.default_rng(7)
    n = 600
    on_gpus = generator.random(n) < 0.7
    workload = Workload.from_columns(
        arrival_time=np.cumsum(generator.exponential(4.0, n)).round(1),
        runtime=generator.lognormal(3.0, 1.0, n).round(1),
        gpus=np.where(on_gpus, 2 ** generator.integers(0, 5, n), 0),
        cpus=np.where(on_gpus, generator.integers(0, 4, n), generator.integers(1, 40, n)),
        memory_mb=generator.integers(0, 1500, n),
        dependencies=[[row] if row and generator.random() < 0.1 else [] for row in range(n)],
    )
    cluster = Cluster("nodes", (NodeGroup("node", count=6, cores=16, gpus=8, memory_mb=memory, gpu_speed=2.0),))
    fast = Simulation(workload, cluster, parse_policy(policy))
    core = core_of(fast)
    fast.advance()
    outcome, attempts = played(core)
    assert len(attempts) == 0
    for name in ("ready_time", "start_time", "finish_time", "node", "device", "completion_order"):
        np.testing.assert_array_equal(getattr(outcome, name), getattr(fast.outcome(), name), err_msg=name)
