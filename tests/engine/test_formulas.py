"""Time, energy and cost of split tasks, checked against the formulas by hand."""

from dataclasses import replace

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.measuring.usage import Usage, Used, energy_and_cost
from scheduler_sim.engine.policies.placement import ChoiceContext
from scheduler_sim.engine.policies.thrift import thriftiest


def apart(split_model, policy, n=200):
    """Play hybrid tasks so far apart in time that they never meet."""
    generator = np.random.default_rng(5)
    workload = Workload.from_columns(
        arrival_time=np.arange(n) * 1e6,
        runtime=generator.uniform(1, 1000, n),
        compute_intensity=generator.random(n),
        memory_mb=generator.uniform(0, 64000, n),
        hybrid=np.ones(n, bool),
    )
    options = Options(split_model=split_model)
    simulation = Simulation(workload, load_cluster("workstation"), parse_policy(policy), seed=3, options=options)
    simulation.advance()
    return workload, simulation


@pytest.mark.parametrize("policy", ["random", "greedy", "round_robin"])
def test_sequential_sides_without_contention_follow_the_published_formula(policy):
    workload, simulation = apart("sequential", policy)
    outcome = simulation.outcome()
    f, intensity = outcome.gpu_fraction, workload.compute_intensity
    # f = 0 moves nothing to the GPU; the formula's transfer term is multiplied by f as well.
    expected = (workload.runtime / (1 + 3 * intensity) + workload.memory_mb / 16000) * f + workload.runtime * (1 - f)
    # Differences of instants carry the rounding of the clock, which stands at 2e8 s in the end.
    np.testing.assert_allclose(outcome.finish_time - outcome.start_time, expected, rtol=0, atol=1e-7)
    first = outcome.finish_time[0] - outcome.start_time[0]
    assert first == pytest.approx(expected[0], abs=1e-9)


def test_concurrent_sides_take_as_long_as_the_longer_one():
    workload, simulation = apart("concurrent", "random")
    outcome = simulation.outcome()
    f = outcome.gpu_fraction
    on_gpu = f * (workload.runtime / (1 + 3 * workload.compute_intensity) + workload.memory_mb / 16000)
    expected = np.maximum((1 - f) * workload.runtime, on_gpu)
    np.testing.assert_allclose(outcome.finish_time - outcome.start_time, expected, rtol=0, atol=1e-7)


def test_energy_and_cost_count_each_side_by_itself():
    workload, simulation = apart("concurrent", "random")
    f = simulation.outcome().gpu_fraction
    cpu = (1 - f) * workload.runtime
    gpu = f * (workload.runtime / (1 + 3 * workload.compute_intensity) + workload.memory_mb / 16000)
    energy, cost = energy_and_cost(simulation, np.arange(len(workload)))
    (group,) = simulation.cluster.groups
    np.testing.assert_allclose(energy, group.cpu_busy_watts * cpu + group.gpu_busy_watts * gpu, rtol=1e-12)
    prices = group.usd_per_core_hour * cpu + group.usd_per_gpu_hour * gpu
    np.testing.assert_allclose(cost, prices / 3600, rtol=1e-12)
    run = np.array([workload.arrival_time[0], simulation.outcome().finish_time.max()])
    whole = (run[1] - run[0]) * (16 * group.cpu_idle_watts + 4 * group.gpu_idle_watts)
    busy = (group.cpu_idle_watts * cpu + group.gpu_idle_watts * gpu).sum()
    assert Usage.of(simulation).idle_energy_joules(run)[0] == pytest.approx(whole - busy)


def test_a_sequential_task_pays_for_what_it_holds_and_burns_for_what_it_uses():
    workload, simulation = apart("sequential", "random", n=20)
    outcome = simulation.outcome()
    energy, cost = energy_and_cost(simulation, np.arange(len(workload)))
    together = Used.of(simulation, slice(None))
    assert together[2:] == pytest.approx((energy.sum(), cost.sum()), rel=1e-12)
    held = outcome.finish_time - outcome.start_time
    (group,) = simulation.cluster.groups
    prices = group.usd_per_core_hour + group.usd_per_gpu_hour
    np.testing.assert_allclose(cost, prices * held / 3600, rtol=1e-6)
    assert (energy < (group.cpu_busy_watts + group.gpu_busy_watts) * held).all()


def thrifty(aim, groups, *, hybrid, split_model="concurrent"):
    """Return the group and the fraction that are best for one task of 4 s, which a GPU does no faster."""
    workload = Workload.from_columns(
        arrival_time=[0.0], runtime=[4.0], cpus=[1], gpus=[int(hybrid)], hybrid=[hybrid], compute_intensity=[0.0]
    )
    generator = np.random.default_rng(0)
    cluster = Cluster("tied", groups)
    chosen = thriftiest(ChoiceContext(workload, cluster, workload.runtime, split_model, generator), aim)
    assert chosen.group is not None
    return chosen.group.tolist(), chosen.fraction.tolist()


@pytest.mark.parametrize("aim", ["cost", "energy"])
def test_of_choices_that_cost_alike_the_faster_is_taken_then_the_lower_group_then_the_lower_fraction(aim):
    slow, fast = (
        NodeGroup(f"of {speed}", 1, 1, cpu_speed=speed, usd_per_core_hour=speed, cpu_busy_watts=speed)
        for speed in (1.0, 2.0)
    )
    # Half as long at twice the price.
    assert thrifty(aim, (slow, fast), hybrid=False) == ([1], [0.0])
    assert thrifty(aim, (fast, slow), hybrid=False) == ([0], [0.0])
    assert thrifty(aim, (slow, fast, replace(fast, name="another")), hybrid=False) == ([1], [0.0])
    # On devices for nothing: at once half on each, and one after the other however it is split.
    free = NodeGroup("free", 1, 1, gpus=1)
    assert thrifty(aim, (free, replace(free, name="another")), hybrid=True) == ([0], [0.5])
    assert thrifty(aim, (free, replace(free, name="another")), hybrid=True, split_model="sequential") == ([0], [0.0])
