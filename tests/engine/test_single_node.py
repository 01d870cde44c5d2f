"""The quick kernel of one node against the kernel of many: the same schedules, start by start."""

from functools import cache

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.oversize import fit_workload
from scheduler_sim.engine.generators.mixed import MixedParameters, generate
from scheduler_sim.engine.kernels.cluster.kernel import ClusterKernel
from scheduler_sim.engine.kernels.node.kernel import SingleNodeKernel
from tests import depth
from tests.engine.pool_cases import on_nodes, play_in_steps

FIXED = ("fcfs", "sjf+list", "round_robin", "random", "greedy", "fcfs@gpu_only", "edf+list@min_cost", "recorded")
PLANNED = ("fcfs@eft", "fcfs+list@eft", "sjf+easy@eft", "heft+conservative@eft", "oracle", "sjf@oracle")
SMALL = depth.cases(60)


def node(cores, gpus, *, cpu_speed=1.0, gpu_speed=1.0):
    group = NodeGroup("node", count=1, cores=cores, gpus=gpus, cpu_speed=cpu_speed, gpu_speed=gpu_speed)
    return Cluster("one", (group,))


def assert_same_schedule(workload, cluster, policy, options=None, seed=0):
    options = options or Options()
    simulation = Simulation(workload, cluster, parse_policy(policy), seed=seed, options=options)
    assert isinstance(simulation.kernel, SingleNodeKernel)
    many = on_nodes(simulation, options)
    simulation.advance()
    many.advance(until_time=np.inf, max_events=2**62)
    outcome, expected = simulation.outcome(), many.outcome()
    assert simulation.done
    for name in ("start_time", "ready_time", "finish_time", "node", "device", "gpu_fraction", "completion_order"):
        assert getattr(outcome, name).tolist() == getattr(expected, name).tolist(), (name, seed)


@cache
def small_case(seed):
    generator = np.random.default_rng(seed)
    n = int(generator.integers(1, 20))
    cluster = node(
        int(generator.integers(1, 9)),
        int(generator.integers(1, 5)),
        cpu_speed=float(generator.choice([1, 2])),
        gpu_speed=float(generator.choice([1, 2])),
    )
    hybrid = generator.random(n) < 0.6
    runtime = generator.integers(0, 8, n)
    gpus = generator.choice([0, 0, 1, 1, 2], n)
    cpus = generator.choice([0, 0.5, 1, 1, 2, 4], n)
    workload = Workload.from_columns(
        arrival_time=np.sort(generator.integers(0, 12, n)),
        runtime=runtime,
        duration_estimate=runtime if seed % 2 else generator.integers(0, 10, n),
        compute_intensity=generator.integers(0, 5, n) / 4,
        memory_mb=generator.integers(0, 8, n) * 4000,
        cpus=np.where((gpus == 0) & (cpus == 0), 1, cpus),
        gpus=gpus,
        dependencies=[[j + 1 for j in range(i) if generator.random() < 0.15] for i in range(n)],
        hybrid=hybrid,
        deadline_time=generator.integers(0, 30, n),
        recorded_start_time=generator.integers(0, 15, n),
    )
    return fit_workload(workload, cluster, on_oversize="drop")[0], cluster


@pytest.mark.parametrize("policy", [*FIXED, *PLANNED])
def test_both_kernels_agree_on_small_cases_full_of_ties(policy):
    played = 0
    for seed in range(SMALL):
        workload, cluster = small_case(seed)
        if len(workload):
            options = Options(
                split_model=("concurrent", "sequential")[seed // 2 % 2], kill_at_estimate=bool(seed // 4 % 2)
            )
            assert_same_schedule(workload, cluster, policy, options, seed)
            played += 1
    assert played > 3 * SMALL // 4


@pytest.mark.parametrize("load", [0.7, 1.3, 2.5])
@pytest.mark.parametrize("policy", ["round_robin", "random", "sjf", "fcfs+list@eft", "sjf+easy@eft", "oracle"])
def test_both_kernels_agree_under_load(policy, load):
    workload = generate(4000, MixedParameters(load=load), np.random.default_rng(3))
    assert_same_schedule(workload, node(16, 4), policy)


@pytest.mark.parametrize("policy", ["fcfs+list@eft", "fcfs+easy@eft", "oracle", "greedy"])
def test_both_kernels_agree_when_estimates_are_wrong_and_tasks_are_wide(policy):
    generator = np.random.default_rng(8)
    n = 3000
    runtime = generator.lognormal(1.0, 1.0, n)
    workload = Workload.from_columns(
        arrival_time=np.cumsum(generator.exponential(1.2, n)),
        runtime=runtime,
        duration_estimate=np.round(runtime * generator.uniform(0.3, 3.0, n)),
        compute_intensity=generator.random(n),
        memory_mb=generator.integers(0, 50_000, n),
        cpus=generator.integers(1, 7, n),
        gpus=generator.integers(1, 4, n),
        hybrid=generator.random(n) < 0.7,
    )
    assert_same_schedule(workload, node(16, 4), policy)


@pytest.mark.parametrize("policy", ["greedy", "round_robin", "fcfs+list@eft", "oracle"])
def test_many_steps_give_the_schedule_of_one(policy):
    workload = generate(500, MixedParameters(load=1.1), np.random.default_rng(4))
    whole, steps = (Simulation(workload, node(16, 4), parse_policy(policy)) for _ in range(2))
    whole.advance()
    play_in_steps(steps, 0.05)
    assert steps.outcome().start_time.tolist() == whole.outcome().start_time.tolist()


def test_what_one_node_cannot_play_quickly_is_left_to_the_kernel_of_many():
    workload = Workload.from_columns(arrival_time=[0, 0], runtime=[1, 1], cpus=[1, 1], gpus=[0.5, 1])
    assert isinstance(Simulation(workload, node(4, 2), parse_policy("fcfs")).kernel, ClusterKernel)


@pytest.mark.parametrize("seed", [5, 6])
@pytest.mark.parametrize("policy", ["fcfs+list@eft", "fcfs+easy@oracle", "sjf+easy@eft", "fcfs+easy@hybrid_ml"])
def test_both_kernels_agree_when_estimates_are_right_and_plans_are_kept(policy, seed):
    generator = np.random.default_rng(seed)
    n = 2500
    runtime = generator.lognormal(1.0, 1.0, n)
    workload = Workload.from_columns(
        arrival_time=np.cumsum(generator.exponential(1.7, n)),
        runtime=runtime,
        duration_estimate=runtime,
        compute_intensity=generator.random(n),
        memory_mb=generator.integers(0, 50_000, n),
        cpus=generator.integers(1, 7, n),
        gpus=generator.integers(1, 4, n),
        hybrid=np.full(n, True),
    )
    assert_same_schedule(workload, node(16, 4), policy, seed=seed)
