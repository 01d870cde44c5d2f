"""What holds for every policy on nodes: nothing starts early, nothing is lost, no node holds more than it has."""

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.measuring.usage import holdings
from scheduler_sim.engine.policies import BACKFILLS, ORDERS
from scheduler_sim.engine.policies.placement import PLACEMENTS
from tests.engine.pool_cases import play_in_steps

CLUSTER = Cluster(
    "two kinds",
    (
        NodeGroup(name="fast", count=2, cores=8, gpus=2, memory_mb=64.0, gpu_speed=2.0, cpu_busy_watts=3.0),
        NodeGroup(name="plain", count=2, cores=4, gpus=1, memory_mb=32.0, gpu_busy_watts=9.0),
    ),
)


def mixed_workload(n=150, seed=11):
    generator = np.random.default_rng(seed)
    hybrid = generator.random(n) < 0.5
    gpus = np.where(hybrid, 1, generator.choice([0, 0, 0.5, 1, 2], n))
    return Workload.from_columns(
        arrival_time=np.sort(generator.integers(0, 200, n)),
        runtime=generator.integers(0, 12, n),
        duration_estimate=generator.integers(0, 15, n),
        compute_intensity=generator.integers(0, 5, n) / 4,
        memory_mb=generator.integers(0, 20, n),
        cpus=generator.integers(1, 5, n),
        gpus=gpus,
        user=[str(user) for user in generator.integers(0, 4, n)],
        dependencies=[[j + 1 for j in range(max(i - 4, 0), i) if generator.random() < 0.1] for i in range(n)],
        hybrid=hybrid,
        recorded_start_time=generator.integers(0, 250, n),
    )


WORKLOAD = mixed_workload()


def assert_sound(simulation):
    """Check a finished run whose tasks take one node each."""
    workload, outcome = simulation.workload, simulation.outcome()
    rows = np.arange(len(workload))
    assert simulation.done
    assert sorted(outcome.completion_order.tolist()) == rows.tolist()
    assert (outcome.start_time >= outcome.ready_time).all()
    assert (outcome.finish_time >= outcome.start_time).all()
    owners = np.repeat(rows, np.diff(workload.parents.offsets))
    assert (outcome.finish_time[workload.parents.rows] <= outcome.start_time[owners]).all()
    assert ((outcome.gpu_fraction >= 0) & (outcome.gpu_fraction <= 1)).all()
    cores, gpus, _, _, cpu_held, gpu_held = holdings(simulation, rows)
    memory_held = outcome.finish_time - outcome.start_time
    node = 0
    for group in simulation.cluster.groups:
        for _ in range(group.count):
            here = outcome.node == node
            for amount, held, most in (
                (cores, cpu_held, group.cores),
                (gpus, gpu_held, group.gpus),
                (workload.memory_mb, memory_held, group.memory_mb),
            ):
                assert most_at_once(outcome.start_time[here], held[here], amount[here]) <= most + 1e-6
            node += 1


def most_at_once(start, held, amount):
    """Return the largest sum of amounts held together; what ends comes before what starts at the same time."""
    times = np.concatenate([np.round(start + held, 6), np.round(start, 6)])
    changes = np.concatenate([-amount, amount])[np.lexsort((np.repeat([0, 1], len(start)), times))]
    lasting = np.concatenate([held, held]) > 0
    return changes[lasting[np.lexsort((np.repeat([0, 1], len(start)), times))]].cumsum().max(initial=0.0)


@pytest.mark.parametrize(
    "policy",
    [
        *(f"{order.name}+list" for order in ORDERS if not (order.preempts or order.needs_site)),
        *(f"fcfs+list@{placement}" for placement in PLACEMENTS.names()),
        *(f"fcfs+{backfill}" for backfill in BACKFILLS.names()),
    ],
)
@pytest.mark.parametrize("split_model", ["concurrent", "sequential"])
def test_every_registered_policy_keeps_the_rules(policy, split_model):
    simulation = Simulation(WORKLOAD, CLUSTER, parse_policy(policy), options=Options(split_model=split_model))
    simulation.advance()
    assert_sound(simulation)


@pytest.mark.parametrize("policy", ["fcfs", "sjf+easy", "fcfs+list@eft", "fcfs+conservative"])
def test_playing_in_many_steps_gives_the_same_schedule(policy):
    whole, steps = (Simulation(WORKLOAD, CLUSTER, parse_policy(policy)) for _ in range(2))
    whole.advance()
    play_in_steps(steps, 7.0)
    assert steps.outcome().start_time.tolist() == whole.outcome().start_time.tolist()
