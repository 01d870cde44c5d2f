"""Hand-computed schedules, invariants and failure paths of a pool of processors."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scheduler_sim.engine import (
    Cluster,
    InvalidWorkload,
    NodeGroup,
    Options,
    Simulation,
    Workload,
    parse_policy,
)
from scheduler_sim.engine.kernels.pool.kernel import PoolKernel
from tests.engine.pool_cases import BACKFILL_NAMES, lognormal_workload, pool, pool_orders


def starts(policy, processors, rows, **options):
    """Play (arrival, runtime, estimate, cpus) rows and return the start times."""
    arrival, runtime, estimate, cpus = zip(*rows, strict=True)
    workload = Workload.from_columns(arrival_time=arrival, runtime=runtime, duration_estimate=estimate, cpus=cpus)
    simulation = Simulation(workload, pool(processors), parse_policy(policy), options=Options(**options))
    simulation.advance()
    return simulation.outcome().start_time.tolist()


BLOCKED = [(0, 10, 10, 3), (1, 5, 5, 4), (2, 8, 8, 1), (3, 20, 20, 1)]
"""One task leaves a processor free, the next needs all four, two small ones follow."""


def test_without_backfilling_a_blocked_head_blocks_all():
    assert starts("fcfs", 4, BLOCKED) == [0, 10, 15, 15]


def test_list_starts_whatever_fits():
    assert starts("fcfs+list", 4, [(0, 10, 10, 3), (1, 5, 5, 4), (2, 20, 20, 1), (3, 20, 20, 1)]) == [0, 30, 2, 10]


def test_easy_starts_only_what_ends_by_the_shadow_time():
    assert starts("fcfs+easy", 4, BLOCKED) == [0, 10, 2, 15]


def test_easy_uses_up_the_extra_processors():
    assert starts("fcfs+easy", 5, [(0, 10, 10, 3), (1, 5, 5, 4), (2, 99, 99, 1), (3, 99, 99, 1)]) == [0, 10, 2, 15]


def test_easy_takes_an_overdue_task_to_end_now():
    assert starts("fcfs+easy", 4, [(0, 10, 2, 3), (1, 5, 5, 4), (5, 1, 1, 1), (6, 0, 0, 1)]) == [0, 10, 15, 6]


def test_conservative_delays_no_reservation():
    rows = [(0, 10, 10, 3), (1, 5, 5, 4), (2, 8, 8, 1), (3, 5, 5, 3), (4, 20, 20, 1)]
    assert starts("fcfs+conservative", 4, rows) == [0, 10, 2, 15, 15]


def test_conservative_moves_reservations_up_after_an_early_end():
    assert starts("fcfs+conservative", 4, [(0, 4, 10, 3), (1, 5, 5, 4), (2, 5, 5, 2)]) == [0, 4, 9]


def test_conservative_with_a_depth_reserves_for_the_first_tasks_only():
    rows = [(0, 10, 10, 3), (1, 5, 5, 4), (2, 8, 8, 1)]
    assert starts("fcfs+conservative", 4, rows, conservative_depth=1) == [0, 10, 15]


def test_sjf_asks_only_after_all_arrivals_of_an_instant():
    assert starts("sjf", 1, [(0, 3, 3, 1), (0, 2, 2, 1), (0, 1, 1, 1)]) == [3, 1, 0]


def test_wfp3_prefers_the_longer_relative_wait():
    assert starts("wfp3", 1, [(0, 10, 10, 1), (1, 8, 8, 1), (5, 1, 1, 1)]) == [0, 11, 10]


def test_a_task_of_no_length_is_released_in_the_same_instant():
    assert starts("fcfs", 2, [(0, 0, 0, 2), (0, 0, 0, 2), (0, 1, 1, 2)]) == [0, 0, 0]


def test_kill_at_estimate_ends_a_task_at_its_estimate():
    assert starts("fcfs", 1, [(0, 10, 4, 1), (0, 1, 1, 1)], kill_at_estimate=True) == [0, 4]


def test_a_faster_pool_shortens_runtimes():
    workload = Workload.from_columns(arrival_time=[0, 0], runtime=[10, 1])
    simulation = Simulation(workload, pool(1, cpu_speed=2.0), parse_policy("fcfs"))
    simulation.advance()
    assert simulation.outcome().finish_time.tolist() == [5.0, 5.5]


def test_an_empty_workload_is_done_at_once():
    simulation = Simulation(Workload.from_columns(arrival_time=[], runtime=[]), pool(1), parse_policy("fcfs+easy"))
    simulation.advance()
    assert simulation.done


EVERY_POLICY = [f"{order}+{backfill}" for order in pool_orders() for backfill in BACKFILL_NAMES]


@pytest.mark.parametrize("policy", EVERY_POLICY)
def test_every_policy_plays_each_task_once_within_capacity_and_never_before_its_arrival(policy):
    workload = lognormal_workload(600, 32, 1.0, seed=1, estimate_factor=3.0)
    simulation = Simulation(workload, pool(32), parse_policy(policy))
    simulation.advance()
    outcome = simulation.outcome()
    assert simulation.done
    assert sorted(outcome.completion_order.tolist()) == list(range(600))
    assert (outcome.start_time >= workload.arrival_time).all()
    np.testing.assert_array_equal(outcome.finish_time, outcome.start_time + workload.runtime)
    times = np.concatenate([outcome.finish_time, outcome.start_time])
    steps = np.concatenate([-workload.cpus, workload.cpus])
    assert np.cumsum(steps[np.lexsort((steps, times))]).max() <= 32


@pytest.mark.parametrize("policy", ["fcfs", "sjf+list", "f1+easy", "unicep+easy", "wfp3", "fcfs+conservative"])
def test_chopping_a_simulation_changes_nothing(policy):
    workload = lognormal_workload(400, 32, 1.0, seed=2, estimate_factor=2.0)
    whole, by_events, by_time = (Simulation(workload, pool(32), parse_policy(policy)) for _ in range(3))
    whole.advance()
    while not by_events.done:
        by_events.advance(max_events=3)
    while not by_time.done:
        by_time.advance(until_time=by_time.clock + 500.0)
    for chopped in (by_events, by_time):
        np.testing.assert_array_equal(chopped.outcome().start_time, whole.outcome().start_time)
        np.testing.assert_array_equal(chopped.outcome().completion_order, whole.outcome().completion_order)


def test_a_stopped_simulation_tells_what_waits_and_runs():
    workload = Workload.from_columns(arrival_time=[0, 0, 5], runtime=[10, 10, 1])
    simulation = Simulation(workload, pool(1), parse_policy("fcfs"))
    simulation.advance(until_time=4.0)
    kernel, outcome = simulation.kernel, simulation.outcome()
    assert (simulation.clock, kernel.queued, kernel.running, simulation.finished) == (4.0, 1, 1, 0)
    assert np.isnan(outcome.start_time).tolist() == [False, True, True]


def test_looking_while_the_kernel_plays_changes_no_placement():
    simulation = Simulation(lognormal_workload(60_000, 256, 0.9, seed=1), pool(256), parse_policy("sjf"))
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            simulation.outcome()

    watcher = threading.Thread(target=look)
    watcher.start()
    until, read = float(simulation.workload.arrival_time[0]), 0
    step = float(np.ptp(simulation.workload.arrival_time)) / 500
    torn = 0
    while not simulation.done:
        simulation.advance(until_time=until)
        outcome = simulation.outcome()
        rows = outcome.completion_order[read : simulation.finished]
        torn += int(np.isnan(outcome.gpu_fraction[rows]).sum() + (outcome.node[rows] != 0).sum())
        read, until = simulation.finished, until + step
    over.set()
    watcher.join()
    assert torn == 0


@pytest.mark.parametrize("policy", ["fcfs+easy", "sjf", "wfp3+easy", "f3+conservative"])
def test_the_order_of_the_input_does_not_matter(policy):
    workload = lognormal_workload(300, 32, 1.1, seed=6)
    shuffled = np.random.default_rng(7).permutation(300)
    permuted = Workload.from_columns(
        task_id=workload.task_id[shuffled],
        arrival_time=workload.arrival_time[shuffled],
        runtime=workload.runtime[shuffled],
        cpus=workload.cpus[shuffled],
    )
    schedules = []
    for columns in (workload, permuted):
        simulation = Simulation(columns, pool(32), parse_policy(policy))
        simulation.advance()
        schedules.append(simulation.outcome().start_time)
    np.testing.assert_array_equal(schedules[0], schedules[1])


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"cpus": [3]}, "needs 3 processors and the pool has 2"),
        ({"cpus": [0.5]}, "whole processors"),
        ({"gpus": [1]}, "without GPUs"),
    ],
)
def test_a_pool_refuses_what_it_cannot_play(columns, sentence):
    workload = Workload.from_columns(arrival_time=[0], runtime=[1], **columns)
    policy = parse_policy("fcfs")
    problem = Simulation(Workload.from_columns(arrival_time=[0], runtime=[1]), pool(1), policy).problem()
    cluster = Cluster("pool", (NodeGroup("pool", count=1, cores=2),))
    with pytest.raises(InvalidWorkload, match=sentence):
        PoolKernel(replace(problem, workload=workload, cluster=cluster))


WITHOUT_COMPILER = """
import numpy as np
from tests.engine.pool_cases import assert_equals_reference, lognormal_workload, pool
from scheduler_sim.engine import Simulation, parse_policy
for policy in ("fcfs", "sjf+easy", "f1+list", "wfp3", "unicep+easy", "sjf+conservative"):
    workload = lognormal_workload(60, 8, 1.2, seed=8, estimate_factor=2.0)
    assert_equals_reference(Simulation(workload, pool(8), parse_policy(policy)))
"""


def test_the_kernels_are_right_without_the_compiler_too():
    project = str(Path(__file__).parents[2])
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join([project, *sys.path])}
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_COMPILER],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
