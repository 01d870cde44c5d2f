"""The node kernel against the slow reference, on small random clusters and workloads full of ties."""

import numpy as np
import pytest
from reference_nodes import ReferenceNodes

from scheduler_sim.engine import Cluster, NodeGroup, Options, Outage, Simulation, Workload, parse_policy
from scheduler_sim.engine.fitting import fit_workload
from scheduler_sim.engine.kernels.nodes import NodeKernel
from scheduler_sim.engine.kernels.pool import PoolKernel

POLICIES = (
    "fcfs",
    "sjf+list",
    "fcfs+list@best_fit",
    "fcfs@worst_fit",
    "fcfs+list@fgd",
    "round_robin",
    "random",
    "fcfs+easy",
    "wfp3+easy",
    "drf+list",
    "fcfs+list@min_energy",
    "recorded",
    "edf+list",
    "qssf+list",
    "multifactor+list",
    "fcfs@eft",
    "fcfs+list@eft",
    "fcfs+easy@eft",
    "oracle",
    "heft+list@eft",
    "min_min+list@eft",
    "max_min+list",
    "sufferage+list@oracle",
    "fcfs+conservative",
    "sjf+conservative@best_fit",
    "wfp3+conservative@worst_fit",
    "multifactor+conservative",
    "drf+conservative",
    "round_robin",
    "fcfs+conservative@random",
    "fcfs+conservative@fgd",
    "linear+list",
    "linear",
    "mlp+easy",
)


def random_cluster(generator):
    groups = []
    for number in range(generator.integers(1, 4)):
        gpus = int(generator.integers(0, 5))
        outage = Outage(float(generator.integers(0, 10)), float(generator.integers(10, 30)), 1)
        group = NodeGroup(
            name=f"g{number}",
            count=int(generator.integers(1, 4)),
            cores=int(generator.integers(1, 9)),
            gpus=gpus,
            gpu_type=["", "A", "B"][generator.integers(0, 3)] if gpus else "",
            memory_mb=None if generator.random() < 0.5 else float(generator.integers(4, 20)),
            cpu_speed=float(generator.choice([1, 2])),
            gpu_speed=float(generator.choice([1, 2])),
            bandwidth_mb_per_second=4.0,
            cpu_busy_watts=3.0,
            gpu_busy_watts=float(generator.integers(0, 40)),
            outages=(outage,) if generator.random() < 0.3 else (),
        )
        groups.append(group)
    return Cluster("small", tuple(groups))


def random_workload(generator, cluster):
    n = int(generator.integers(1, 16))
    hybrid = generator.random(n) < 0.4
    gpus = np.where(generator.random(n) < 0.5, 0, generator.choice([0.25, 0.5, 1, 1, 2, 3, 6], n))
    gpus = np.where(hybrid, generator.choice([0, 1, 1, 2], n), gpus)
    cpus = np.where(hybrid | (gpus == 0), generator.choice([0.5, 1, 1, 2, 4, 10], n), generator.choice([0, 1, 2], n))
    workload = Workload.from_columns(
        arrival_time=np.sort(generator.integers(0, 12, n)),
        runtime=generator.integers(0, 8, n),
        duration_estimate=generator.integers(0, 10, n),
        compute_intensity=generator.integers(0, 5, n) / 4,
        memory_mb=generator.integers(0, 8, n),
        cpus=cpus,
        gpus=gpus,
        gpu_type=[["", "", "A", "B", "A|B"][choice] for choice in generator.integers(0, 5, n)],
        user=[str(user) for user in generator.integers(0, 3, n)],
        dependencies=[[j + 1 for j in range(i) if generator.random() < 0.1] for i in range(n)],
        hybrid=hybrid,
        deadline_time=np.where(generator.random(n) < 0.3, np.nan, generator.integers(0, 30, n)),
        queue=[["debug", "low", "other"][choice] for choice in generator.integers(0, 3, n)],
        predicted_duration=np.where(generator.random(n) < 0.3, np.nan, generator.integers(1, 9, n)),
        recorded_start_time=generator.integers(0, 15, n),
    )
    return fit_workload(workload, cluster, on_oversize="drop")[0]


def kernels_for(simulation):
    """Return the kernel that the simulation chose and, where that is the one of a single node, the general one."""
    if isinstance(simulation.kernel, PoolKernel):
        return []
    if isinstance(simulation.kernel, NodeKernel):
        return [simulation.kernel]
    many = NodeKernel(
        workload=simulation.workload,
        cluster=simulation.cluster,
        policy=simulation.policy,
        scores=simulation.scores(),
        choices=simulation.choices(),
        options=simulation.options,
    )
    return [simulation.kernel, many]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_kernels_agree_exactly_with_the_reference(policy):
    for seed in range(40):
        generator = np.random.default_rng(seed)
        cluster = random_cluster(generator)
        workload = random_workload(generator, cluster)
        options = Options(
            split_model=("concurrent", "sequential")[seed % 2],
            kill_at_estimate=seed % 3 == 0,
            conservative_depth=2 if seed % 5 == 4 else None,
        )
        if not len(workload):
            continue
        simulation = Simulation(workload, cluster, parse_policy(policy), seed=seed, options=options)
        kernels = kernels_for(simulation)
        if not kernels:
            continue
        expected = ReferenceNodes(simulation).play()
        for kernel in kernels:
            kernel.advance(until_time=np.inf, max_events=2**62)
            outcome = kernel.outcome()
            for name in ("start", "finish", "ready"):
                assert getattr(outcome, f"{name}_time").tolist() == getattr(expected, name), (seed, name)
            assert outcome.node.tolist() == expected.node, seed
            assert outcome.device.tolist() == expected.device, seed
            assert outcome.gpu_fraction.tolist() == expected.fraction, seed
