"""The state of a schedule at random instants, and what was decided there, beside the engine and a slow simulator.

A few instants of each policy by default, nine of each random run; INSTANT_CASES=1000 looks at that many of each.
"""

from dataclasses import replace

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.failures import FailureModel
from scheduler_sim.engine.contract import Attempts
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.gangs import GangLog, Gangs
from scheduler_sim.engine.instant import Decisions, NotExplained, Schedule, decisions, scores_at, standing, stretches
from scheduler_sim.engine.instant.scores import not_before
from scheduler_sim.engine.instant.standing import Standing
from scheduler_sim.engine.kernels.cluster.kernel import ClusterKernel
from scheduler_sim.engine.policies import ORDERS
from scheduler_sim.engine.series import Signals, StepSeries
from tests.engine.instants_seen import CASES, OF_EACH_RUN, THOROUGH, Seen
from tests.engine.pool_cases import BACKFILL_NAMES, PREDICTING, lognormal_workload, pool, pool_orders
from tests.engine.reference_nodes import ReferenceNodes
from tests.engine.reference_pool import ReferencePool, reference_for
from tests.engine.reference_tasks import Node
from tests.engine.test_nodes_reference import random_case, registered_policies

NOT_KNOWN = "the shared one"
"""What is refused because placements do not tell it."""

POOL_POLICIES = [f"{order}+{backfill}" for order in pool_orders() for backfill in BACKFILL_NAMES]
POOL_POLICIES += [f"{order}+easy(order={other})" for order in ("fcfs", "wfp3") for other in ("sjf", "unicep")]
POOL_POLICIES += ["fcfs+conservative(depth=2)", "wfp3+conservative(depth=3)"]
POOL_POLICIES += [f"fcfs+{backfill}" for backfill in PREDICTING]

NODE_POLICIES = ["round_robin", "greedy", "oracle", "fcfs+list@best_fit", "sjf+conservative@best_fit", "wfp3+easy@eft"]


NOT_ALONE = ("random_order", "heft", "peft")
"""Orders whose score of a task depends on others that are not looked at."""


def random_pool_case(seed: int) -> tuple[Workload, Cluster, Options]:
    """Return a small pool and tasks full of ties, of no length, too long or too short for their estimates."""
    generator = np.random.default_rng(seed)
    n, processors = int(generator.integers(2, 25)), int(generator.integers(1, 9))
    runtime = generator.choice([0.0, 0.1, 1 / 3, 1.0, 1.0, 2.0, 2.7, 10.0], n)
    told = np.where(generator.random(n) < 0.5, runtime, generator.choice([0.0, 0.1, 1.0, 2.0, 5.0, 10.0], n))
    workload = Workload.from_columns(
        arrival_time=np.sort(generator.choice([0.0, 0.1, 1 / 3, 1.0, 2.0, 3.0, 7.0, 20.0, 60.0], n)),
        runtime=runtime,
        duration_estimate=told,
        cpus=generator.integers(1, processors + 1, n),
        task_id=generator.permutation(n) + 1,
        user=[str(user) for user in generator.integers(0, 3, n)],
        deadline_time=generator.integers(0, 30, n),
    )
    options = Options(kill_at_estimate=bool(seed % 3 == 0), conservative_depth=(None, None, None, 2)[seed % 4])
    return workload, pool(processors, float(generator.choice([1.0, 1.3]))), options


def schedule_of(simulation: Simulation, gangs: Gangs | None = None, *, whole: bool = False) -> Schedule:
    return replace(Schedule.of(simulation), whole=whole, gangs=gangs)


def decisions_where_known(schedule: Schedule, time: float, seen: Seen) -> Decisions | None:
    """Return what was decided then and count the instant, or None where placements do not tell it."""
    try:
        found = decisions(schedule, time)
    except NotExplained as refusal:
        if NOT_KNOWN not in str(refusal):
            raise
        seen.refused[str(refusal)] += 1
        return None
    seen.count += 1
    return found


def some_instants(simulation: Simulation, generator: np.random.Generator) -> list[float]:
    """Return ascending instants at which something happens and others, one before the first arrival and one behind
    the end.
    """
    outcome = simulation.outcome()
    events = np.unique(np.concatenate((outcome.start_time, outcome.finish_time, simulation.workload.arrival_time)))
    between = (events[1:] + events[:-1]) / 2
    every, count = np.concatenate((events, between)), OF_EACH_RUN - 3
    drawn = generator.choice(every, count, replace=len(every) < count)
    return sorted([*drawn.tolist(), float(events[0]) - 1.0, float(events[-1]), float(events[-1]) + 1.0])


def assert_stands_as_in_the_engine(played: Simulation, again: Simulation, time: float) -> Standing:
    """Compare with a simulation that is stopped at the instant, and was at earlier ones; return what stands."""
    found = standing(schedule_of(played), time)
    again.advance(until_time=time)
    outcome = again.outcome()
    begun = ~np.isnan(outcome.start_time)
    ended = np.zeros(len(begun), bool)
    ended[outcome.completion_order] = True
    assert sorted(found.running.tolist()) == np.flatnonzero(begun & ~ended).tolist(), time
    kernel = again.kernel
    assert len(found.running) == kernel.running
    # What is not offered yet is held, and no kernel counts it among those that it tries.
    offered = not_before(schedule_of(played), found.waiting) <= time
    assert int(offered.sum()) == kernel.queued
    assert (found.since == outcome.start_time[found.running]).all()
    ends = outcome.finish_time[found.running]
    # Kernels of nodes tell of an end when it comes.
    assert (np.isnan(ends) | (found.until == ends)).all()
    assert (found.node == outcome.node[found.running]).all()
    there = again.workload.arrival_time <= time
    assert sorted([*found.waiting.tolist(), *found.awaited.tolist()]) == np.flatnonzero(there & ~begun).tolist()
    return found


@pytest.mark.parametrize("policy", POOL_POLICIES)
def test_state_and_decisions_on_a_pool_are_those_of_the_engine(policy: str) -> None:
    seen = Seen(policy, "both", "pool")
    for seed in seen.seeds():
        generator = np.random.default_rng(seed)
        workload, cluster, options = random_pool_case(seed)
        simulation = Simulation(workload, cluster, parse_policy(policy), seed=seed, options=options)
        simulation.advance()
        schedule = schedule_of(simulation)
        again = Simulation(workload, cluster, simulation.policy, seed=seed, options=options)
        for time in some_instants(simulation, generator):
            stands = assert_stands_as_in_the_engine(simulation, again, time)
            assert stands.free_cores == cluster.cores - int(workload.cpus[stands.running].sum())
            found = decisions(schedule, time)
            seen.count += 1
            assert bool(found.note) == (policy.startswith(NOT_ALONE) or "predict" in policy)
            assert found.time <= time
            assert found.started.tolist() == np.flatnonzero(simulation.outcome().start_time == found.time).tolist()
            left = sorted(one.row for one in found.decisions if not one.starts)
            assert left == stands.waiting.tolist()
            if "conservative" in policy and not found.note:
                kept = [one for one in found.decisions if not one.starts]
                plan = again.kernel.reservations()  # type: ignore[attr-defined]
                np.testing.assert_array_equal([one.planned_time for one in kept], plan[[one.row for one in kept]])


def test_what_was_reserved_may_start_when_nothing_else_happens() -> None:
    workload, cluster, options = random_pool_case(26)
    simulation = Simulation(workload, cluster, parse_policy("heft+conservative"), seed=26, options=options)
    simulation.advance()
    time = 7.125641025641025
    found = decisions(schedule_of(simulation), time)
    left = sorted(one.row for one in found.decisions if not one.starts)
    assert left == standing(schedule_of(simulation), time).waiting.tolist() == [4, 9, 10, 11, 13, 14]


def plans_of(reference: ReferencePool, backfill: str) -> dict[float, dict[int, float]]:
    """Play, and return the reservations after each instant."""
    plans: dict[float, dict[int, float]] = {}
    act = getattr(reference, f"act_{backfill}")

    def noted(now: float) -> None:
        act(now)
        plans[now] = dict(reference.reservation)

    setattr(reference, f"act_{backfill}", noted)
    reference.play()
    return plans


@pytest.mark.parametrize("backfill", ["easy", "conservative"])
def test_what_is_reserved_is_what_the_slow_simulator_reserves(backfill: str) -> None:
    for seed in range(CASES):
        workload, cluster, options = random_pool_case(seed)
        simulation = Simulation(workload, cluster, parse_policy(f"sjf+{backfill}"), options=options)
        simulation.advance()
        reference = reference_for(simulation)
        plans = plans_of(reference, backfill)
        for time in set(plans) & set(simulation.workload.arrival_time.tolist()):
            found = decisions(schedule_of(simulation), time)
            waits = {one.row: one.planned_time for one in found.decisions if not one.starts}
            if backfill == "conservative":
                assert {row: at for row, at in waits.items() if not np.isnan(at)} == plans[time], (seed, time)
            else:
                assert all(np.isnan(list(waits.values())))


def test_reasons_on_a_pool_say_what_would_have_happened() -> None:
    workload = Workload.from_columns(
        arrival_time=[0, 1, 2, 3, 4], runtime=[10, 10, 20, 3, 2], cpus=[3, 4, 1, 1, 2], task_id=[1, 2, 3, 4, 5]
    )

    def reasons(policy: str, time: float) -> dict[int, tuple[str, float]]:
        simulation = Simulation(workload, pool(4), parse_policy(policy))
        simulation.advance()
        found = decisions(schedule_of(simulation), time)
        delays = {one.row: -1.0 if np.isnan(one.delay) else one.delay for one in found.decisions}
        return {int(workload.task_id[one.row]): (one.verdict, delays[one.row]) for one in found.decisions}

    none = -1.0
    assert reasons("fcfs", 2.0) == {2: ("resources", none), 3: ("blocked", none)}
    assert reasons("fcfs+easy", 2.0) == {2: ("resources", none), 3: ("delays", 12.0)}
    assert reasons("fcfs+easy", 3.0) == {2: ("resources", none), 3: ("delays", 13.0), 4: ("backfilled", none)}
    assert reasons("fcfs+list", 2.0) == {2: ("resources", none), 3: ("backfilled", none)}
    assert reasons("fcfs+conservative", 2.0) == {2: ("resources", none), 3: ("planned", none)}


def test_a_plan_of_many_tasks_is_made_again_from_the_last_empty_queue() -> None:
    workload = lognormal_workload(3_000, 64, 0.6, seed=5, estimate_factor=3.0)
    simulation = Simulation(workload, pool(64), parse_policy("sjf+conservative"))
    simulation.advance()
    whole = schedule_of(simulation)
    generator = np.random.default_rng(1)
    for time in np.sort(generator.choice(workload.arrival_time, 10)).tolist():
        again = Simulation(workload, pool(64), simulation.policy)
        again.advance(until_time=time)
        found = [one for one in decisions(whole, time).decisions if not one.starts]
        plan = again.kernel.reservations()  # type: ignore[attr-defined]
        assert [one.planned_time for one in found] == plan[[one.row for one in found]].tolist()


@pytest.mark.parametrize("policy", registered_policies() if THOROUGH else NODE_POLICIES)
def test_state_on_nodes_is_that_of_the_engine_and_of_the_slow_simulator(policy: str) -> None:
    seen = Seen(policy, "state", "nodes")
    for seed, workload, cluster, options in seen.cases(random_case):
        parsed = parse_policy(policy)
        log = GangLog()
        simulation = Simulation(workload, cluster, parsed, seed=seed, options=options, on_pieces=log.add)
        simulation.advance()
        expected = ReferenceNodes(Simulation(workload, cluster, parsed, seed=seed, options=options)).play()
        outcome = simulation.outcome()
        assert outcome.start_time.tolist() == expected.start
        assert outcome.finish_time.tolist() == expected.finish
        generator, schedule = np.random.default_rng(seed), schedule_of(simulation)
        again = Simulation(workload, cluster, parsed, seed=seed, options=options)
        for time in some_instants(simulation, generator):
            found = assert_stands_as_in_the_engine(simulation, again, time)
            seen.count += 1
            free = free_in(again)
            if free is not None and found.free_by_node is not None:
                np.testing.assert_allclose(found.free_by_node, free, atol=1e-9, err_msg=f"{seed} {time}")
            if free is not None:
                assert [found.free_cores, found.free_gpus] == pytest.approx(free.sum(axis=0).tolist())
            if free is not None and found.free_by_node is None:
                told = standing(replace(schedule, gangs=log.gangs()), time)
                assert told.free_by_node is not None
                np.testing.assert_allclose(told.free_by_node, free, atol=1e-9, err_msg=f"{seed} {time}")
                assert len(told.gangs)
                assert (told.gangs.node_counts > 1).all()


def test_what_a_gang_leaves_free_is_known_node_by_node() -> None:
    workload = Workload.from_columns(arrival_time=[0.0, 0.0], runtime=[5.0, 9.0], gpus=[1, 11], cpus=[1, 22])
    cluster, log = Cluster("c", (NodeGroup("n", 4, 16, gpus=4),)), GangLog()
    simulation = Simulation(workload, cluster, parse_policy("fcfs"), on_pieces=log.add)
    simulation.advance()
    unknown = standing(schedule_of(simulation), 1.0)
    assert (unknown.free_by_node, unknown.free_cores, unknown.free_gpus) == (None, 41.0, 4.0)
    found = standing(schedule_of(simulation, log.gangs()), 1.0)
    assert found.free_by_node is not None
    # The rest of the gang, three GPUs and six cores, is beside the first task.
    assert found.free_by_node.tolist() == [[9.0, 0.0], [8.0, 0.0], [8.0, 0.0], [16.0, 4.0]]
    assert [found.gangs.nodes(place).tolist() for place in range(len(found.gangs))] == [[0, 1, 2]]
    # The first task ends while the gang runs: what that leaves is known where its nodes are.
    with pytest.raises(NotExplained, match="Of a task on several nodes the lowest is stored"):
        decisions(schedule_of(simulation), 5.0)
    assert decisions(schedule_of(simulation, log.gangs()), 5.0) == Decisions(5.0, ())


NODE_STEPS = ["fcfs+none", "fcfs+easy", "sjf+list@best_fit", "wfp3+easy@worst_fit", "drf+list", "fcfs+easy@random"]
NODE_STEPS += [
    "random_order+list",
    "multifactor+none",
    "mlp+easy",
    "recorded+easy",
    "min_min+list",
    "fcfs+conservative",
]
NODE_STEPS += ["fcfs+easy(order=sjf)", "fcfs+list@oracle", "fcfs+easy@weighted_fit", "heft+easy"]
NODE_STEPS += ["fcfs+none@fgd"]


def crowded_case(seed: int) -> tuple[Workload, Cluster, Options]:
    """Return a case of nodes whose tasks arrive within a moment, so that many wait; nodes fail in none."""
    workload, cluster, options = random_case(seed)
    return replace(workload, arrival_time=np.floor(workload.arrival_time / 6.0)), cluster, options


@pytest.mark.parametrize("policy", registered_policies() if THOROUGH else NODE_STEPS)
def test_decisions_on_nodes_start_what_was_started_and_say_why_the_rest_waits(policy: str) -> None:
    seen = Seen(policy, "decisions", "nodes")
    for seed, workload, cluster, options in seen.cases(crowded_case):
        log = GangLog()
        simulation = Simulation(workload, cluster, parse_policy(policy), seed=seed, options=options, on_pieces=log.add)
        simulation.advance()
        schedule = schedule_of(simulation, log.gangs(), whole=True)
        is_easy = policy.partition("+")[2].startswith("easy")
        again = Simulation(workload, cluster, simulation.policy, seed=seed, options=options)
        shadows = shadows_of(again) if is_easy else {}
        for time in some_instants(simulation, np.random.default_rng(seed)):
            found = decisions_where_known(schedule, time, seen)
            if found is None:
                continue
            assert_is_what_was_played(simulation, again, found, time)
            if not found.note and is_easy:
                head, shadow = shadows.get(found.time, (-1, np.nan))
                assert found.head == head, (seed, time)
                assert found.shadow_time == pytest.approx(shadow, nan_ok=True), (seed, time)


def test_queues_of_which_no_task_is_looked_at_hold_none_of_the_others() -> None:
    workload = Workload.from_columns(arrival_time=[0.0, 9.0], runtime=[5.0, 5.0], queue=["long", "short"], cpus=[1, 1])
    signals = Signals({"carbon": StepSeries(np.array([0.0, 50.0]), np.array([9.0, 1.0]), 99.0, "repeat")})
    policy = parse_policy("lowest_slot(delays=long:0/short:1)")
    part = Simulation(workload.take(np.array([1])), pool(2), parse_policy("lowest_slot"), signals=signals)
    found = part.scores_of_part(policy.order, 0.0).not_before
    assert found is not None
    assert found.tolist() == [50.0]


def shadows_of(simulation: Simulation) -> dict[float, tuple[int, float]]:
    """Play slowly, and return the head and its reservation of each instant at which EASY made one last."""
    reference = ReferenceNodes(simulation)
    found: dict[float, tuple[int, float]] = {}
    act, find = reference.act_unplanned, reference.find_shadow

    def acted(now: float) -> None:
        found.pop(now, None)
        act(now)

    def noted(head: int, now: float) -> tuple[float, list[Node]]:
        shadow, nodes = find(head, now)
        found[now] = (head, shadow)
        return shadow, nodes

    vars(reference).update(act_unplanned=acted, find_shadow=noted)
    reference.play()
    return found


def assert_is_what_was_played(simulation: Simulation, again: Simulation, found: Decisions, time: float) -> None:
    """Check that what is explained starts what was played, that all others wait, and that they wait for a reason.

    Args:
        again: the same, stopped at earlier instants.
    """
    again.advance(until_time=time)
    started = again.outcome().start_time
    assert found.time <= time
    assert set(found.started.tolist()) >= set(np.flatnonzero(started == found.time).tolist())
    left = {one.row: one for one in found.decisions if not one.starts}
    there = standing(schedule_of(simulation), time)
    assert sorted(left) == there.waiting.tolist()
    assert np.isnan(started[list(left)]).all()
    for one in left.values():
        assert bool(one.lacks) == (one.verdict == "resources")
        assert (one.verdict == "delays") or np.isnan(one.delay)
        assert one.verdict != "delays" or not one.delay <= 0.0


def free_in(simulation: Simulation) -> np.ndarray | None:
    """Return the free cores and GPUs of every node of a kernel that knows them."""
    kernel = simulation.kernel
    if not isinstance(kernel, ClusterKernel):
        return None
    live = kernel._sim.live
    return np.stack([live.cores, live.devices], axis=1) / 1000.0


def test_a_stretch_holds_every_task_of_its_instants_and_all_name_each_task_about_twice() -> None:
    workload = lognormal_workload(5_000, 64, 1.1, seed=2)
    simulation = Simulation(workload, pool(64), parse_policy("sjf"))
    simulation.advance()
    outcome = simulation.outcome()
    cut = list(stretches(workload.arrival_time, outcome.finish_time, least=50))
    times = np.array([one.from_time for one in cut])
    assert times[0] == workload.arrival_time[0]
    assert (np.diff(times) > 0).all()
    for time in [*np.random.default_rng(3).choice(outcome.finish_time, 200).tolist(), *times[1:].tolist(), 1e12]:
        stretch = cut[int(np.searchsorted(times, time, side="right")) - 1]
        there = np.flatnonzero((workload.arrival_time <= time) & (outcome.finish_time >= time))
        assert np.isin(there, stretch.rows).all()
    assert sum(len(one.rows) for one in cut) < 3 * len(workload)


def test_no_task_is_ever_cut_from_those_that_arrive_with_it() -> None:
    arrival = np.array([0.0, 1.0, 1.0, 1.0, 1.0, 2.0])
    cut = list(stretches(arrival, arrival + 1.0, least=2))
    assert [one.from_time for one in cut] == [0.0, 2.0]
    assert [one.rows.tolist() for one in cut] == [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]


def test_nothing_at_all_has_no_stretch() -> None:
    assert list(stretches(np.zeros(0), np.zeros(0))) == []


@pytest.mark.parametrize("policy", ["srtf", "sjf~requeue", "las"])
def test_a_task_that_stops_waits_between_its_attempts(policy: str) -> None:
    for seed in range(CASES):
        workload, cluster, _ = random_pool_case(seed)
        simulation = Simulation(workload, cluster, parse_policy(policy))
        simulation.advance()
        spans = simulation.spans()
        for time in some_instants(simulation, np.random.default_rng(seed)):
            found = standing(schedule_of(simulation), time)
            holding = (spans.start_time <= time) & (spans.end_time > time)
            assert sorted(found.running.tolist()) == sorted(spans.row[holding].tolist())
            there = (workload.arrival_time <= time) & (simulation.outcome().finish_time > time)
            waiting = np.setdiff1d(np.flatnonzero(there), found.running)
            assert found.waiting.tolist() == waiting.tolist()
            decided = decisions(schedule_of(simulation), time)
            assert decided.note.startswith("Where tasks may stop and go on")
            stops = {one.row for one in decided.decisions if one.verdict == "preempted"}
            assert stops == set(spans.row[(spans.end_time == decided.time)].tolist()) & set(waiting.tolist())
            assert sorted(one.row for one in decided.decisions if not one.starts) == waiting.tolist()


def test_scores_of_some_tasks_are_those_that_they_have_among_all() -> None:
    workload, cluster, _ = random_pool_case(3)
    scored = 0
    for order in ORDERS:
        policy = parse_policy(order.name)
        if order.preempts or order.needs_site or order.shares_gpus:
            continue
        try:
            simulation = Simulation(workload, cluster, policy)
            scores = simulation.scores()
        except EngineError:
            continue
        schedule = replace(schedule_of(simulation), attempts=Attempts.none())
        rows = np.array([5, 2, 7])[: len(workload)]
        time = float(workload.arrival_time.max()) + 9.0
        try:
            found = scores_at(schedule, rows, time)
        except NotExplained:
            continue
        waited = time - workload.arrival_time
        expected = scores.base if scores.slope is None else scores.base - scores.slope * waited
        assert found.tolist() == expected[rows].tolist(), order.name
        scored += 1
    assert scored >= 12


def test_what_is_not_explained_says_why_in_one_sentence() -> None:
    workload, cluster, _ = random_pool_case(1)

    def refusal(policy: str, on: Cluster = cluster, **more: bool) -> str:
        simulation = Simulation(workload, on, parse_policy(policy))
        simulation.advance()
        with pytest.raises(NotExplained) as caught:
            decisions(schedule_of(simulation), float(workload.arrival_time[-1]), **more)
        return str(caught.value)

    assert refusal("fcfs", on_site=True).startswith("What a task holds on a site")
    failing = Cluster(
        "failing", (NodeGroup("n", count=3, cores=cluster.cores, failures=FailureModel(mean_hours=50.0)),)
    )
    assert refusal("fcfs", failing).startswith("Which nodes are down because they failed is not stored")
