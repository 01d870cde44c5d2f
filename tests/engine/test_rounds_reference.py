"""Compiled rounds against plain ones: every start, end, GPU and attempt, however the simulation is cut into calls."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim.engine import Cluster, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.overheads import Overhead
from scheduler_sim.engine.contract import Pieces
from scheduler_sim.engine.kernels.rounds.fifo import _in_turn
from scheduler_sim.engine.kernels.rounds.kernel import RoundsKernel
from scheduler_sim.engine.kernels.rounds.packed import Packing
from scheduler_sim.engine.workloads.throughputs import Throughputs
from tests.engine.gang_cases import listening, spans_of
from tests.engine.reference_rounds import Mechanism, SlowRounds

KINDS = ("new", "old", "older")
POLICIES = (
    "fifo",
    "fifo_perf",
    "gandiva_fair",
    "gandiva_fair(round=50,reset=0)",
    "max_min_fairness",
    "max_min_fairness_perf(round=120)",
    "finish_time_fairness_perf",
    "max_sum_throughput_perf(reset=0)",
)


def simulation(policy: str, seed: int) -> Simulation:
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 40))
    gpus = random.choice([1, 1, 1, 2, 3, 5], n)
    rates = {("a", count): tuple(random.uniform(0.5, 9, 3)) for count in (1, 2, 3, 5)}
    rates |= {("b", count): (*random.uniform(0.5, 9, 2), 0.0) for count in (1, 2, 3, 5)}
    by_rates = seed % 3 > 0
    # Whole hundreds of seconds, so that arrivals, ends and rounds often fall on one instant.
    arrival = np.sort(random.integers(0, 60, n)) * 100.0
    runtime = random.integers(1, 40, n) * 100.0
    workload = Workload.from_columns(
        arrival_time=arrival,
        runtime=runtime,
        size=runtime,
        gpus=gpus,
        group=random.choice(["a", "b"], n).tolist(),
        throughputs=Throughputs(KINDS, rates) if by_rates else None,
    )
    groups = [
        NodeGroup(name, count, 4 * devices, gpus=devices, gpu_type=name, gpu_speed=speed)
        for name, count, devices, speed in (("new", 3, 2, 3.0), ("old", 1, 5, 1.0), ("older", 2, 3, 0.5))
    ]
    overhead = Overhead.read("20") if seed % 2 else Overhead()
    return Simulation(
        workload,
        Cluster("kinds", tuple(groups)),
        parse_policy(policy),
        seed=seed,
        options=Options(restart_overhead=overhead),
    )


def slow(played: Simulation) -> SlowRounds:
    assert isinstance(played.kernel, RoundsKernel)
    fast = played.kernel._mechanism
    assert not isinstance(fast, Packing)
    return SlowRounds(Mechanism(fast.jobs, fast.sharing, fast.rules))


def assert_alike(played: Simulation, plain: SlowRounds) -> None:
    outcome = played.outcome()
    history = outcome.history
    assert history is not None
    np.testing.assert_array_equal(outcome.start_time, plain.start)
    np.testing.assert_array_equal(outcome.finish_time, plain.finish)
    begun = ~np.isnan(plain.start)
    np.testing.assert_array_equal(outcome.node[begun], plain.node[begun])
    np.testing.assert_array_equal(outcome.device[begun], plain.device[begun])
    np.testing.assert_array_equal(history.attempts, plain.attempts)
    np.testing.assert_array_equal(history.ending, plain.ending)
    np.testing.assert_array_equal(history.service_time, plain.service)
    np.testing.assert_array_equal(history.held_time, plain.held)
    np.testing.assert_array_equal(history.begun_time, plain.begun)
    assert outcome.completion_order.tolist() == plain.order
    found = played.attempts()
    columns = (found.row, found.number, found.start_time, found.end_time, found.node, found.device, found.reason)
    assert sorted(zip(*(column.tolist() for column in columns), strict=True)) == sorted(plain.written)


@pytest.mark.parametrize("policy", POLICIES)
def test_whole_simulations_are_alike(policy: str) -> None:
    for seed in range(12):
        played = simulation(policy, seed)
        plain = slow(played)
        told = listening(played)
        played.advance()
        plain.advance()
        assert_alike(played, plain)
        assert spans_of(Pieces.joined(told)) == sorted(plain.gangs)


@pytest.mark.parametrize("policy", POLICIES[:5])
def test_so_are_they_wherever_they_are_interrupted(policy: str) -> None:
    random = np.random.default_rng(4)
    for seed in range(6):
        played = simulation(policy, seed)
        plain = slow(played)
        while not played.done:
            if random.random() < 0.5:
                until = played.clock + float(random.integers(0, 20)) * 100.0
                played.advance(until_time=until)
                plain.advance(until_time=until)
            else:
                events = int(random.integers(1, 9))
                played.advance(max_events=events)
                plain.advance(max_events=events)
            assert played.kernel.running == len(plain._leases)
            assert_alike(played, plain)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.booleans())
def test_kinds_are_given_in_turn_as_a_plain_walk_gives_them(seed: int, fastest: bool) -> None:
    random = np.random.default_rng(seed)
    jobs, kinds = int(random.integers(0, 12)), int(random.integers(1, 4))
    gpus, workers = random.choice([1.0, 2.0, 5.0], jobs), random.integers(0, 9, kinds).astype(float)
    rate = random.choice([0.0, 1.0, 1.0, 2.5], (jobs, kinds))
    order = random.permutation(kinds) if fastest else np.arange(kinds)
    shares = np.zeros((jobs, kinds))
    shares[random.random(jobs) < 0.2, 0] = 1.0
    expected, free = shares.copy(), workers.copy()
    for job in range(jobs):
        if expected[job].any():
            continue
        fits = [kind for kind in order.tolist() if free[kind] >= gpus[job] and rate[job, kind] > 0]
        if not fits:
            break
        kind = max(fits, key=lambda kind: rate[job, kind]) if fastest else fits[0]
        expected[job, kind] = 1.0
        free[kind] -= gpus[job]
    _in_turn(shares, workers, gpus, rate, order, fastest)
    np.testing.assert_array_equal(shares, expected)
    np.testing.assert_array_equal(workers, free)
