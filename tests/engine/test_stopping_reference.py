"""Nodes where tasks stop and go on equal the slow simulator attempt by attempt, and the fast kernels where none stops.

Every registered order, backfill and placement is played. More cases, and the combinations whose kernels take long to
compile: REFERENCE_CASES=1000 python -m pytest tests/engine/test_stopping_reference.py
"""

import os
from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Options, Outage, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.failures import Failure, FailureModel
from scheduler_sim.engine.clusters.overheads import Checkpoints
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.kernels.core.kernel import CoreKernel
from scheduler_sim.engine.kernels.core.rules import Rules
from scheduler_sim.engine.kernels.stopping.kernel import StoppingKernel
from scheduler_sim.engine.measuring.metrics import summarise, whole_run
from scheduler_sim.engine.measuring.usage import energy_and_cost
from scheduler_sim.engine.policies import BACKFILLS, ORDERS
from scheduler_sim.engine.policies.preemption import PREEMPTIONS
from tests import depth
from tests.engine.core_cases import assert_steps_change_nothing, played, spans
from tests.engine.pool_cases import lognormal_workload, pool
from tests.engine.stopping_cases import compare, draw, kernel, simulation_of
from tests.engine.test_nodes_reference import WORLDS, random_case, registered_policies

CASES = depth.cases(12, "REFERENCE_CASES")

COLUMNS = ("ready_time", "start_time", "finish_time", "node", "device", "gpu_fraction", "completion_order")

GIVING_WAY = {"suspended", "requeued"}
"""Why attempts end that neither fail nor use up their estimate."""

FIRST = ("fcfs", "fcfs+list", "fcfs+easy", "fcfs+conservative")
"""What `registered_policies` leaves to other tests."""


OWN_KERNELS = ("wfp3+easy(order=saf)@best_fit", "drf+easy(order=wfp3)")
"""Backfilling in another order behind a queue that is sorted, or chosen from, at each instant.

Each would be a kernel of its own. Left are the same behind a queue that is settled, these queues with easy and with
list, and in test_nodes_reference.py, where nothing stops, the very walk of the queue that they would play.
"""


def everything():
    """Return every order and placement with every backfill that is registered and runs each task once elsewhere."""
    policies = (*registered_policies(), *FIRST)
    return [name for name in dict.fromkeys(policies) if "rl_agent" not in name]


def stopping():
    """Return policies with every way of stopping tasks, and every order and placement that may."""
    ways = [way for way in PREEMPTIONS.names() if way != "none"]
    backfilled = [f"sjf+{backfill}~{way}" for backfill in BACKFILLS.names() for way in ways]
    return [*backfilled, "wfp3+easy@worst_fit~requeue", "multifactor+list@random~suspend", "ljf+list@fgd~checkpoint",
            "unicep@weighted_fit~suspend", "saf+list@cpu_only~requeue", "fcfs+list@round_robin~suspend",
            "wfp3+conservative@best_fit~requeue"]  # fmt: skip


def some():
    """Return every order, backfill and placement once or more; all of their combinations only when cases are asked for.

    Each combination is a kernel of its own, which takes five to ten seconds to compile.
    """
    if "REFERENCE_CASES" in os.environ:
        return everything()
    chosen: list[str] = []
    seen: set[Any] = set()
    for name in everything():
        if name in OWN_KERNELS:
            continue
        policy = parse_policy(name)
        parts = {(type(part), part.name, part.values) for part in (policy.order, policy.backfill, policy.placement)}
        if not parts <= seen:
            seen |= parts
            chosen.append(name)
    return chosen


@pytest.mark.parametrize("policy", some())
def test_tasks_that_fail_time_out_and_go_on_are_played_as_the_reference_says(policy):
    found = [compare(parse_policy(policy), seed) for seed in depth.in_turn(policy, CASES, WORLDS)]
    assert sum(reasons is not None for reasons in found) > 0.8 * CASES
    assert sum(bool(reasons) for reasons in found) > 0.25 * CASES, "hardly any task had several attempts"


@pytest.mark.parametrize("policy", stopping())
def test_waiting_tasks_stop_running_ones_as_the_reference_says(policy):
    found = [compare(parse_policy(policy), seed) for seed in depth.in_turn(policy, 2 * CASES, 2 * WORLDS)]
    assert sum(bool(reasons) for reasons in found) > 0.4 * len(found), "hardly any task had several attempts"
    given_way = sum(bool(GIVING_WAY.intersection(reasons or ())) for reasons in found)
    assert given_way > 0.05 * len(found), "hardly any task gave way to one that waited"


PAUSED = ("fcfs", "fcfs+list", "fcfs+easy", "fcfs+conservative", "fcfs+list@best_fit")
"""Orders that stop tasks at times of their own come first-come first-served, with any backfilling and placement."""


@pytest.mark.parametrize("policy", PAUSED)
def test_tasks_that_stop_at_times_of_their_own_are_played_as_the_reference_says(policy):
    found = [compare(parse_policy(policy), seed, pauses=True) for seed in range(2 * CASES)]
    given_way = sum(bool(GIVING_WAY.intersection(reasons or ())) for reasons in found)
    assert given_way > 0.5 * len(found), "hardly any task stopped at a time of its own"


@pytest.mark.parametrize("policy", some())
def test_where_nothing_stops_the_schedules_are_those_of_the_fast_kernels(policy):
    played_cases = 0
    for seed in depth.in_turn(policy, CASES, WORLDS):
        workload, cluster, options = random_case(seed)
        if not len(workload):
            continue
        fast = Simulation(workload, cluster, parse_policy(policy), seed=seed, options=options)
        outcome, attempts = played(kernel(fast, {}, quiet=True))
        fast.advance()
        assert len(attempts) == 0
        for name in COLUMNS:
            mine, theirs = getattr(outcome, name), getattr(fast.outcome(), name)
            np.testing.assert_array_equal(mine, theirs, err_msg=f"{seed} {name}")
        assert outcome.history is not None
        np.testing.assert_array_equal(outcome.history.ending, fast.history().ending)
        played_cases += 1
    assert played_cases > 0.8 * CASES


@pytest.mark.parametrize("backfill", ["none", "list", "easy", "conservative"])
@pytest.mark.parametrize("order", ["fcfs", "sjf", "wfp3"])
def test_under_load_too(order, backfill):
    workload = lognormal_workload(600, 64, 1.1, seed=4, estimate_factor=3.0)
    fast = Simulation(workload, pool(64, 1.3), parse_policy(f"{order}+{backfill}"))
    outcome, _ = played(kernel(fast, {}, quiet=True))
    fast.advance()
    np.testing.assert_array_equal(outcome.start_time, fast.outcome().start_time)
    np.testing.assert_array_equal(outcome.finish_time, fast.outcome().finish_time)


def test_steps_and_a_buffer_that_fills_change_nothing():
    several = 0
    for seed in range(2 * CASES):
        policy = parse_policy("sjf+list~requeue")
        workload, cluster, options, rules = draw(seed, policy)
        if not len(workload):
            continue
        simulation = simulation_of(policy, workload, cluster, options, seed)
        whole = played(kernel(simulation, rules))
        assert_steps_change_nothing(kernel(simulation, rules), len(workload), 1.5, whole)
        several += len(whole[1]) > 1
    assert several > CASES / 2


@pytest.mark.parametrize("policy", ["sjf~suspend", "sjf+list~requeue", "fcfs", "saf+list", "wfp3~requeue"])
def test_both_kernels_that_stop_tasks_play_alike_on_nodes_of_one_group(policy):
    generator = np.random.default_rng(7)
    n = 300
    on_gpus = generator.random(n) < 0.7
    workload = Workload.from_columns(
        arrival_time=np.cumsum(generator.integers(0, 64, n)) / 16,
        runtime=generator.integers(0, 1600, n) / 16,
        gpus=np.where(on_gpus, 2 ** generator.integers(0, 5, n), 0),
        cpus=np.where(on_gpus, generator.integers(0, 4, n), generator.integers(1, 40, n)),
    )
    cluster = Cluster("nodes", (NodeGroup("node", count=6, cores=16, gpus=8, gpu_speed=2.0),))
    options = Options(failures=tuple(Failure(50.0 * k, 30.0, node=k % 6) for k in range(1, 9)))
    one, two = by_both(workload, cluster, policy, options)
    assert spans(one.attempts()) == spans(two.attempts())
    assert len(one.attempts()) > 10
    np.testing.assert_array_equal(one.outcome().finish_time, two.outcome().finish_time)
    np.testing.assert_array_equal(one.history().service_time, two.history().service_time)


def by_both(workload, cluster, policy, options=None):
    """Return what the kernel of nodes of one group and that of any nodes have played."""
    one, two = (Simulation(workload, cluster, parse_policy(policy), options=options or Options()) for _ in range(2))
    assert isinstance(one.kernel, CoreKernel)
    two.kernel = StoppingKernel.of(two.problem(), Rules.of(two.problem()))
    one.advance()
    two.advance()
    return one, two


def test_a_task_that_had_no_room_runs_on_where_a_later_one_stops_another_and_makes_room():
    workload = Workload.from_columns(arrival_time=[0, 0, 1, 1], runtime=[100, 200, 10, 20], cpus=[5, 4, 3, 3])
    for played_by in by_both(workload, Cluster("one", (NodeGroup("n", 1, 10),)), "sjf+list~suspend"):
        # The third would stop the second, until the fourth stops the first: 3 + 3 + 4 of 10 cores.
        assert played_by.outcome().finish_time.tolist() == [110.0, 210.0, 11.0, 21.0]


MIXED_CLUSTER = Cluster(
    "mixed",
    (
        NodeGroup("old", 3, 8, 2, "A", cpu_busy_watts=4.0, gpu_busy_watts=100.0, usd_per_gpu_hour=1.0),
        NodeGroup("new", 2, 16, 4, "B", cpu_busy_watts=2.0, gpu_busy_watts=300.0, usd_per_gpu_hour=3.0, gpu_speed=2.0,
                  failures=FailureModel(mean_hours=0.2, repair_hours=0.05)),
    ),
)  # fmt: skip


def mixed_workload(n=400):
    """Return tasks with whole GPUs, parts of one, and none."""
    generator = np.random.default_rng(3)
    gpus = generator.choice([0.0, 0.5, 1.0, 2.0, 4.0], n)
    return Workload.from_columns(
        arrival_time=np.cumsum(generator.exponential(20.0, n)).round(2),
        runtime=generator.lognormal(4.5, 1.0, n).round(2),
        gpus=gpus,
        cpus=np.where(gpus > 0, 1.0, generator.integers(1, 9, n)),
    )


@pytest.mark.parametrize("policy", ["fcfs+easy@best_fit", "sjf+list@fgd~requeue", "drf+list", "fcfs+list@eft"])
def test_figures_count_each_attempt_by_the_node_that_it_ran_on(policy):
    workload = mixed_workload()
    simulation = Simulation(
        workload, MIXED_CLUSTER, parse_policy(policy), seed=1, options=Options(checkpoints=Checkpoints(60.0, write=2.0))
    )
    simulation.advance()
    spans, rows = simulation.spans(), np.arange(len(workload))
    group = MIXED_CLUSTER.group_of_nodes()[spans.node]
    watts = spans.cpus * MIXED_CLUSTER.of_groups("cpu_busy_watts")[group]
    watts += spans.gpus * MIXED_CLUSTER.of_groups("gpu_busy_watts")[group]
    price = spans.gpus * MIXED_CLUSTER.of_groups("usd_per_gpu_hour")[group] / 3600
    length = spans.end_time - spans.start_time
    energy, cost = energy_and_cost(simulation, rows)
    np.testing.assert_allclose(energy, np.bincount(spans.row, length * watts, len(workload)))
    np.testing.assert_allclose(cost, np.bincount(spans.row, length * price, len(workload)))
    elsewhere = [set(group[spans.row == row]) for row in rows[simulation.history().attempts > 1]]
    assert any(len(groups) > 1 for groups in elsewhere), "no task ran on two kinds of nodes"
    summary = summarise(simulation, edges=np.array(whole_run(workload, [simulation.outcome()])))
    assert summary.energy_joules[0] == pytest.approx(energy.sum())
    assert summary.cost_usd[0] == pytest.approx(cost.sum())


def test_a_task_that_goes_on_elsewhere_does_what_is_left_at_the_speed_of_that_node():
    nodes = (NodeGroup("slow", 1, 1, cpu_speed=1.0), NodeGroup("fast", 1, 1, cpu_speed=4.0))
    workload = Workload.from_columns(arrival_time=[0, 0], runtime=[100, 8], duration_estimate=[100, 8])
    options = Options(failures=(Failure(40.0, 100.0, node=0),), checkpoints=Checkpoints(16))
    simulation = Simulation(workload, Cluster("two", nodes), parse_policy("fcfs+list"), options=options)
    simulation.advance()
    # 40 s on the slow node, 32 of them in checkpoints; the other 68 take 17 s on the fast one.
    assert simulation.outcome().finish_time.tolist() == [40.0 + 17.0, 2.0]
    assert simulation.history().service_time.tolist() == [32.0 + 17.0, 2.0]
    assert simulation.history().lost_time.tolist() == [8.0, 0.0]


def test_announced_outages_let_tasks_finish_where_failures_end_them():
    outages = (Outage(5.0, 50.0, 1), Outage(12.0, 30.0, 2, kill=True))
    workload = Workload.from_columns(arrival_time=[0, 0, 6], runtime=[10, 10, 10])
    cluster = Cluster("two", (NodeGroup("node", 2, 1, outages=outages),))
    simulation = Simulation(workload, cluster, parse_policy("fcfs"))
    simulation.advance()
    # The second ends on the node that goes away; the third waits for the first, fails at 12 and starts again at 30.
    assert simulation.outcome().finish_time.tolist() == [10.0, 10.0, 40.0]
    assert simulation.outcome().start_time.tolist() == [0.0, 0.0, 10.0]


@pytest.mark.parametrize(
    ("policy", "split", "sentence"),
    [
        ("srtf", False, "srtf is played on a pool, and on nodes of one group"),
        ("las", False, "las is played on a pool, and on nodes of one group"),
        ("fcfs+list@rl_agent", False, "rl_agent learns from tasks that run once"),
        ("mlp+conservative", False, "Learned orders change with the state"),
        ("drf~suspend", False, "drf chooses among waiting tasks only"),
        ("fcfs+list@eft~requeue", False, "eft chooses among waiting tasks only"),
        ("fcfs+easy(order=sjf)~requeue", False, "easy without parameters"),
        ("fcfs+easy(predict=last_two)", False, "EASY reserves by the estimates"),
        ("fcfs+list@oracle", True, "splits between CPU and GPU"),
        ("fcfs", True, "splits between CPU and GPU"),
    ],
)
def test_what_is_not_played_where_tasks_stop_is_refused_with_the_reason(policy, split, sentence):
    workload = Workload.from_columns(
        arrival_time=[0, 1],
        runtime=[10, 2],
        cpus=[2, 2],
        gpus=[1, 1],
        hybrid=[split, False],
        compute_intensity=[0.5, 0],
    )
    with pytest.raises(EngineError) as refused:
        Simulation(workload, MIXED_CLUSTER, parse_policy(policy))
    assert sentence in str(refused.value)


def test_every_order_is_played_or_refused_by_name():
    played_orders = {parse_policy(name).order.name for name in everything()}
    assert played_orders == {order.name for order in ORDERS if not (order.preempts or order.needs_site)}
