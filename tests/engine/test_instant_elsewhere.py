"""The state at random instants under policies that stop, widen and pair tasks or share GPUs in rounds, and on a site.

A few instants of each policy by default; INSTANT_CASES=1000 looks at that many of each.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.overheads import Checkpoints
from scheduler_sim.engine.instant import Decisions, Schedule, decisions, site_decisions, standing
from scheduler_sim.engine.instant.standing import Standing
from scheduler_sim.engine.policies import BACKFILLS, ORDERS, PREEMPTIONS
from scheduler_sim.engine.sites import read_site
from scheduler_sim.engine.workloads.workload import IntArray
from tests.engine import test_elastic, test_packed, test_rounds_reference
from tests.engine.instants_seen import THOROUGH, Seen
from tests.engine.ruled_site import RULED, playable, ruled_jobs, words_of
from tests.engine.test_instant import random_pool_case, schedule_of, some_instants

ROUNDS = [order.name for order in ORDERS if order.shares_gpus and not order.resizes]
PAIRS = [order.name for order in ORDERS if order.shares_gpus and order.resizes]
GIVING_WAY = [f"sjf+{backfill}~{way}" for backfill in BACKFILLS.names() for way in PREEMPTIONS.names() if way != "none"]
ON_SITES = ["slurm", "fcfs"]
STOPPING = [order.name for order in ORDERS if order.preempts and not (order.shares_gpus or order.resizes)]


def in_rounds(policy: str, seed: int) -> Simulation:
    return test_rounds_reference.simulation(policy, seed)


def in_pairs(policy: str, seed: int) -> Simulation:
    return Simulation(test_packed.workload(seed, 1.8), test_packed.BOTH, parse_policy(policy), seed=seed)


def of_many_widths(policy: str, seed: int) -> Simulation:
    workload, cluster = test_elastic.random_case(seed)
    return Simulation(workload, cluster, parse_policy(policy), seed=seed)


def on_a_pool(policy: str, seed: int) -> Simulation:
    workload, cluster, options = random_pool_case(seed)
    if policy.endswith("~checkpoint"):
        options = replace(options, checkpoints=Checkpoints(1.0, write=0.25, read=0.5))
    return Simulation(workload, cluster, parse_policy(policy), seed=seed, options=options)


Case = Callable[[str, int], Simulation]


def place_of(case: Case) -> str:
    """Return the name of that on which the case plays a policy."""
    return case.__name__.removeprefix("on_a_").replace("_", " ")


EVERY: list[tuple[str, Case]] = [
    *((name, in_rounds) for name in ROUNDS),
    *((name, in_pairs) for name in PAIRS),
    *((name, of_many_widths) for name in test_elastic.POLICIES),
    *((name, on_a_pool) for name in [*STOPPING, *(GIVING_WAY if THOROUGH else ())]),
]


def through_with_their_round(whole: Simulation, time: float) -> IntArray:
    """Return the rows whose last whole step of a round is over, and the round is not: the kernel takes them to run."""
    if not whole.policy.order.shares_gpus:
        return np.empty(0, np.int64)
    spans = whole.spans()
    row, end = spans.row, spans.end_time
    rows = np.arange(len(whole.workload))
    round_began = spans.start_time[spans.start_time <= time].max(initial=-np.inf)
    left_off = np.isin(rows, row[(end > round_began) & (end <= time)])
    under_way = np.isin(rows, row[(spans.start_time <= time) & (end > time)])
    return np.flatnonzero(left_off & ~under_way & (whole.outcome().finish_time > time))


def held_back(whole: Simulation, rows: IntArray, time: float) -> int:
    """Return how many tasks an order that stops them does not offer then."""
    openings = whole.scores().openings if whole.policy.order.stops else None
    return 0 if openings is None else int((openings.open_from(time)[rows] > time).sum())


def assert_holds_what_the_engine_holds(whole: Simulation, stopped: Simulation, time: float) -> Standing:
    """Compare with a simulation that is stopped at the instant, and was at earlier ones; return what stands."""
    found = standing(schedule_of(whole), time)
    stopped.advance(until_time=time)
    outcome, kernel = stopped.outcome(), stopped.kernel
    through = through_with_their_round(whole, time)
    assert len(found.running) + len(through) == kernel.running, time
    assert np.isin(through, found.waiting).all(), time
    if time >= whole.workload.arrival_time[0]:
        # The clock of rounds begins with the first arrival.
        offered = len(found.waiting) - held_back(whole, found.waiting, time)
        assert offered + len(found.awaited) == kernel.queued + len(through), time
    begun = ~np.isnan(outcome.start_time)
    assert begun[found.running].all()
    assert found.free_by_node is None or found.free_by_node.min() >= 0
    ended = np.zeros(len(begun), bool)
    ended[outcome.completion_order] = True
    there = np.concatenate((found.running, found.waiting, found.awaited))
    assert sorted(there.tolist()) == np.flatnonzero((whole.workload.arrival_time <= time) & ~ended).tolist(), time
    if whole.policy.order.resizes:
        told = stopped.under_way()
        assert told is not None
        runs = (told.part > 0) & ~np.isin(told.rows, through)
        place = np.argsort(found.running)
        assert found.running[place].tolist() == told.rows[runs].tolist(), time
        np.testing.assert_allclose(found.held_part[place], told.part[runs])
        held = whole.workload.gpus[found.running] * found.held_part
        assert found.free_gpus == whole.cluster.gpus - held.sum() >= 0
    # Whoever runs began that where its last attempt that has ended left off.
    over = stopped.attempts()
    for row, since in zip(found.running.tolist(), found.since.tolist(), strict=True):
        assert (over.end_time[over.row == row] <= since).all()
    return found


def check_widths(schedule: Schedule, told: Decisions) -> None:
    """Look at who is resized, and who waits though there is something free."""
    attempts, outcome = schedule.attempts, schedule.outcome
    before = set(attempts.row[attempts.end_time == told.time].tolist())
    free = standing(schedule, told.time)
    for one in told.decisions:
        if one.verdict == "resized":
            assert one.row in before
            assert outcome.start_time[one.row] < told.time
        elif one.verdict in ("widths", "round"):
            on_gpus = schedule.workload.gpus.any()
            assert (free.free_gpus if on_gpus else free.free_cores) >= 1
            assert one.row not in before


@pytest.mark.parametrize(("policy", "case"), EVERY, ids=[name for name, _ in EVERY])
def test_state_and_decisions_are_those_of_the_engine(policy: str, case: Case) -> None:
    seen = Seen(policy, "both", place_of(case))
    for seed in seen.seeds():
        whole = case(policy, seed)
        whole.advance()
        spans = whole.spans()
        stopped = case(policy, seed)
        for time in some_instants(whole, np.random.default_rng(seed)):
            stands = assert_holds_what_the_engine_holds(whole, stopped, time)
            seen.count += 1
            schedule = schedule_of(whole)
            told = decisions(schedule, time)
            assert told.note
            began = np.unique(spans.row[spans.start_time == told.time])
            # What is stopped where it began, because others came in at the same instant, waits again.
            assert told.started.tolist() == np.setdiff1d(began, standing(schedule, told.time).waiting).tolist()
            kept = sorted(one.row for one in told.decisions if not one.starts)
            assert kept == stands.waiting.tolist()
            if whole.policy.order.resizes:
                check_widths(schedule, told)


def test_on_nodes_with_idle_gpus_tasks_of_cores_wait_for_cores() -> None:
    nodes = Cluster("a", (NodeGroup("a", count=1, cores=8, gpus=4),))
    workload = Workload.from_columns(arrival_time=[0.0, 0.0, 1.0], runtime=[9.0] * 3, cpus=[4.0] * 3)
    whole = Simulation(workload, nodes, parse_policy("equal_share"))
    whole.advance()
    assert [(one.row, one.verdict) for one in decisions(schedule_of(whole), 1.0).decisions] == [(2, "resources")]


@pytest.mark.parametrize(("policy", "seed", "time"), [("srtf", 76, 2.0), ("rr", 92, 60.0)])
def test_a_task_that_is_stopped_at_the_instant_at_which_it_began_waits_again(
    policy: str, seed: int, time: float
) -> None:
    whole = on_a_pool(policy, seed)
    whole.advance()
    spans, schedule = whole.spans(), schedule_of(whole)
    at_once = spans.row[(spans.start_time == time) & (spans.end_time == time)]
    (stopped,) = at_once[whole.outcome().finish_time[at_once] > time].tolist()
    told = {one.row: one.verdict for one in decisions(schedule, time).decisions}
    assert told[stopped] == "preempted"
    assert stopped in standing(schedule, time).waiting


@pytest.mark.slow
@pytest.mark.parametrize("policy", ON_SITES)
def test_on_a_site_the_state_and_the_reasons_are_those_of_the_engine(policy: str) -> None:
    site, seen = read_site(RULED), Seen(policy, "both", "site")
    for seed in seen.seeds():
        jobs = ruled_jobs(seed, 60)
        whole = playable(policy, jobs, site, seed=seed)

        def again(whole: Simulation = whole, seed: int = seed) -> Simulation:
            return Simulation(whole.workload, site.cluster, whole.policy, site=site, seed=seed)

        onward, generator = again(), np.random.default_rng(seed)
        instants = sorted(time for _ in range(4) for time in some_instants(whole, generator))
        for time in instants:
            fresh, schedule = again(), schedule_of(whole)
            fresh.advance(until_time=time)
            told = site_decisions(schedule, onward, time)
            stands = standing(schedule, time, on_site=True)
            # What had to give way is queued again after a while; until then it waits for its time to begin.
            comes_back = stands.waits_since + site.scheduling.requeue_delay_time
            offered = int((~stands.stopped | (comes_back <= time)).sum())
            assert (len(stands.running), offered) == (fresh.kernel.running, fresh.kernel.queued), time
            words = words_of(fresh)
            reasons = {one.row: one.reason for one in told.decisions if not one.starts}
            assert reasons == {row: words[row] for row in stands.waiting.tolist()}, time
            seen.count += 1
