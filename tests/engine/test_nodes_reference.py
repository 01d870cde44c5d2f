"""The node kernels against the slow reference, on small random clusters and workloads full of ties.

Every registered order, backfill and placement is played, CASES times each. More cases, and the combinations whose
kernels take long to compile: REFERENCE_CASES=1000 python -m pytest tests/engine/test_nodes_reference.py
"""

import os
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Options, Outage, Policy, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.network import Link, Network
from scheduler_sim.engine.clusters.oversize import fit_workload
from scheduler_sim.engine.clusters.topology import Switch, Topology
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.kernels.cluster.kernel import ClusterKernel
from scheduler_sim.engine.kernels.pool.kernel import PoolKernel
from scheduler_sim.engine.policies import BACKFILLS, ORDERS
from scheduler_sim.engine.policies.agent import AgentSettings, RewardWeights
from scheduler_sim.engine.policies.placement import PLACEMENTS
from scheduler_sim.engine.policies.placements.rl_agent import agent_placement
from scheduler_sim.engine.workloads.throughputs import Throughputs
from scheduler_sim.engine.workloads.workload import Labels
from tests import depth
from tests.engine.gang_cases import spans_of
from tests.engine.reference_nodes import ReferenceNodes

CASES = depth.cases(12, "REFERENCE_CASES")
WORLDS = 20
"""As many cases are met by some policies; a policy meets CASES of them."""

REFUSED = ("linear+conservative", "mlp+conservative", "fcfs+conservative@rl_agent")
"""What changes while it waits cannot be reserved for."""

MIXED: tuple[str, ...] = ("sjf+conservative@best_fit", "wfp3+conservative@worst_fit", "heft+list@eft", "wfp3+easy@eft")
MIXED += ("min_min+list@eft", "max_min+easy@hybrid_ml", "sufferage+list@oracle", "sjf+none@rl_agent", "mlp+list@fgd")

MIXED += ("fcfs+easy(order=sjf)", "wfp3+easy(order=saf)@best_fit", "drf+easy(order=wfp3)", "sjf+easy(order=ljf)@random")
MIXED += ("fcfs+easy(order=unicep)@weighted_fit", "heft+easy(order=sjf)@worst_fit", "fcfs+easy(order=heft)@rl_agent")

MIXED += ("sjf+none@fgd(gain=percent)", "fcfs+list@fgd(gain=percent)", "fcfs+conservative@fgd(gain=percent)")

SLOW_TO_COMPILE = (
    "drf+easy",
    "max_min+easy",
    "min_min+easy",
    "sufferage+easy",
    "fcfs+easy@fgd",
    "fcfs+easy@rl_agent",
    "mlp+list@fgd",
)


def registered_policies() -> list[str]:
    """Return every order and every placement with every backfill, and some of both."""
    orders = [order.name for order in ORDERS if not (order.preempts or order.needs_site)]
    every = [f"{order}+{backfill}" for order in orders for backfill in BACKFILLS.names()]
    every += [f"fcfs+{backfill}@{placement}" for placement in PLACEMENTS.names() for backfill in BACKFILLS.names()]
    left_out = [*REFUSED, *(f"fcfs+{backfill}@first_fit" for backfill in ("none", "list", "easy", "conservative"))]
    left_out += () if "REFERENCE_CASES" in os.environ else SLOW_TO_COMPILE
    return [policy for policy in (*every, *MIXED) if policy not in left_out]


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
            gpu_type=["", "A", "B", "A_1g.5gb"][generator.integers(0, 4)] if gpus else "",
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


def with_racks(cluster, seed):
    """Return the cluster with racks on every second seed, in some with switches above them or nodes that stand alone.

    A gang runs some power of two longer over them, so that times add up without rounding.
    """
    if seed % 2:
        return cluster
    generator = np.random.default_rng([seed, 7])
    crossing = ((1.0,), (2.0,), (2.0, 4.0))[generator.integers(0, 3)]
    if generator.random() < 0.3:
        sizes = ((1, 2), (2, 4), (3, 6))[generator.integers(0, 3)]
        return replace(cluster, topology=Topology(nodes_per_switch=sizes, crossing=crossing))
    racks = generator.integers(0, 4, cluster.nodes)
    names = np.array(cluster.node_names)
    switches = [Switch(f"r{rack}", nodes=tuple(names[racks == rack].tolist())) for rack in range(4)]
    if generator.random() < 0.3:
        del switches[0]
    switches += [Switch("low", switches=("r1", "r2")), Switch("top", switches=("low", "r3"))]
    return replace(cluster, topology=Topology(tuple(switches), crossing=crossing))


def with_data(workload, cluster, seed):
    """Return tasks that send data on every third seed, and the cluster with links, some of them between two groups.

    Bandwidths are powers of two, so that times add up without rounding.
    """
    if seed % 3 < 2:
        return workload, cluster
    generator = np.random.default_rng([seed, 11])
    names = [group.name for group in cluster.groups]
    ends = tuple(generator.choice(names, 2).tolist())
    links = (Link(ends, float(generator.choice([0.5, 2.0])), 3.0),) if generator.random() < 0.6 else ()
    sent = generator.integers(0, 6, workload.parents.count).astype(float)
    parents = replace(workload.parents, mb=sent if sent.any() else None)
    return replace(workload, parents=parents), replace(cluster, network=Network(2.0, float(seed % 2), links))


def random_workload(generator, cluster, hybrid_share=0.4):
    n = int(generator.integers(1, 16))
    hybrid = generator.random(n) < hybrid_share
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
        gpu_type=[["", "", "A", "B", "A|B", "1g.5gb|B"][choice] for choice in generator.integers(0, 6, n)],
        user=[str(user) for user in generator.integers(0, 3, n)],
        dependencies=[[j + 1 for j in range(i) if generator.random() < 0.1] for i in range(n)],
        hybrid=hybrid,
        deadline_time=np.where(generator.random(n) < 0.3, np.nan, generator.integers(0, 30, n)),
        queue=[["debug", "low", "other"][choice] for choice in generator.integers(0, 3, n)],
        predicted_duration=np.where(generator.random(n) < 0.3, np.nan, generator.integers(1, 9, n)),
        recorded_start_time=generator.integers(0, 15, n),
    )
    if generator.random() < 1 / 3:
        workload = with_rates(workload, generator)
    return fit_workload(workload, cluster, on_oversize="drop")[0]


def with_rates(workload, generator):
    """Return the workload with types of tasks and rates of most of them on some kinds, in powers of two."""
    n = len(workload)
    rates = {
        (name, count): tuple(generator.choice([0.0, 0.5, 1.0, 2.0, 4.0], 3)) for name in "ab" for count in (1, 2, 6)
    }
    table = Throughputs(("A", "B", "g1"), {key: row for key, row in rates.items() if any(row)})
    return replace(
        workload,
        group=Labels.from_texts([str(name) for name in generator.choice(["a", "b", "unknown"], n)]),
        size=np.where(generator.random(n) < 0.1, np.nan, workload.runtime * generator.choice([1.0, 2.0, 4.0], n)),
        throughputs=table,
    )


def kernels_for(simulation):
    """Return the kernel that the simulation chose and, where that is the one of a single node, the general one."""
    if isinstance(simulation.kernel, PoolKernel):
        return []
    if isinstance(simulation.kernel, ClusterKernel):
        return [simulation.kernel]
    return [simulation.kernel, ClusterKernel(simulation.problem())]


@cache
def random_case(seed):
    """Return tasks that all fit, possibly none, their cluster and the options of one case."""
    generator = np.random.default_rng(seed)
    cluster = with_racks(random_cluster(generator), seed)
    workload, cluster = with_data(random_workload(generator, cluster), cluster, seed)
    options = Options(
        split_model=("concurrent", "sequential")[seed % 2],
        kill_at_estimate=seed % 3 == 0,
        conservative_depth=(None, 1, 1, None, 2)[seed % 5],
    )
    return workload, cluster, options


def assert_kernels_agree(policy, seed):
    workload, cluster, options = random_case(seed)
    if not len(workload):
        return 0
    simulation = Simulation(workload, cluster, policy, seed=seed, options=options)
    kernels = kernels_for(simulation)
    if not kernels:
        return 0
    expected = ReferenceNodes(simulation).play()
    for kernel in kernels:
        kernel.advance(until_time=np.inf, max_events=2**62)
        outcome = kernel.outcome()
        for name in ("start", "finish", "ready"):
            assert getattr(outcome, f"{name}_time").tolist() == getattr(expected, name), (seed, name)
        assert outcome.node.tolist() == expected.node, seed
        assert outcome.device.tolist() == expected.device, seed
        assert outcome.gpu_fraction.tolist() == expected.fraction, seed
        assert spans_of(kernel.drain_pieces()) == sorted(expected.gangs), seed
        if expected.agent:
            assert kernel.agent["values"].tolist() == list(expected.agent.values.values()), seed
    return 1


@pytest.mark.parametrize("policy", registered_policies())
def test_the_kernels_agree_exactly_with_the_reference(policy):
    played = sum(assert_kernels_agree(parse_policy(policy), seed) for seed in depth.in_turn(policy, CASES, WORLDS))
    assert played > 0.8 * CASES


def test_an_agent_that_weighs_energy_and_cost_learns_as_the_reference_does():
    settings = AgentSettings(first_epsilon=0.8, explored_tasks=12, slowest_step=0.3, reward=RewardWeights(1, 0.5, 0.2))
    policy = Policy(ORDERS["fcfs"], BACKFILLS["list"], agent_placement(settings=settings))
    assert sum(assert_kernels_agree(policy, seed) for seed in range(8 * CASES)) > 6 * CASES


@pytest.mark.parametrize("policy", REFUSED)
def test_what_changes_while_it_waits_cannot_be_reserved_for(policy):
    workload, cluster, options = random_case(0)
    with pytest.raises(InvalidPolicy):
        Simulation(workload, cluster, parse_policy(policy), options=options)


@pytest.mark.parametrize(("depth_of_plan", "last"), [(None, 2.0), (1, 15.0)])
def test_conservative_with_a_depth_reserves_on_nodes_for_the_first_tasks_only(depth_of_plan, last):
    """The first fills a node; on the other the last fits in before the third, unless it must wait for its turn."""
    workload = Workload.from_columns(arrival_time=[0, 0, 1, 2], runtime=[100, 10, 5, 8], cpus=[4, 3, 4, 1])
    options, cluster = Options(conservative_depth=depth_of_plan), Cluster("two", (NodeGroup("node", 2, 4),))
    simulation = Simulation(workload, cluster, parse_policy("fcfs+conservative"), options=options)
    assert isinstance(simulation.kernel, ClusterKernel)
    simulation.advance()
    assert simulation.outcome().start_time.tolist() == [0.0, 0.0, 10.0, last]
