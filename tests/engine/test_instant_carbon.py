"""Why tasks wait under orders that go by carbon: told from what is stored, and equal to what was played."""

from dataclasses import replace

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Simulation, Workload, parse_policy
from scheduler_sim.engine.gangs import GangLog
from scheduler_sim.engine.instant import NotExplained, decisions, standing
from scheduler_sim.engine.instant.scores import not_before
from scheduler_sim.engine.policies import ORDERS, Scores
from scheduler_sim.engine.series import Signals, StepSeries
from tests.engine.instants_seen import CASES, OF_EACH_RUN, THOROUGH, Seen
from tests.engine.pool_cases import BACKFILL_NAMES
from tests.engine.test_instant import (
    assert_is_what_was_played,
    assert_stands_as_in_the_engine,
    crowded_case,
    decisions_where_known,
    random_pool_case,
    schedule_of,
    some_instants,
)
from tests.engine.test_instant_elsewhere import assert_holds_what_the_engine_holds


def carbon_policies(*, thorough: bool = THOROUGH) -> list[str]:
    """Return orders by a series that stop nothing, with one backfilling each, with all where looked at thoroughly."""
    orders = [order.name for order in ORDERS if order.goes_by and not order.stops]
    if thorough:
        return [f"{order}(delay=0.003)+{backfill}" for order in orders for backfill in BACKFILL_NAMES]
    return [
        f"{order}(delay=0.003)+{backfill}" for order, backfill in zip(orders, sorted(BACKFILL_NAMES), strict=False)
    ] + ["lowest_slot(delay=0.003,noise=0.5)+easy"]


PERIOD = 4.9
"""Seconds after which the series of every fourth run begins anew, and did twice when its tasks come."""


def carbon(seed: int, values: tuple[float, ...], generator: np.random.Generator) -> Signals:
    """Return a series: of two short steps in one run of four, and else one of 40 that begins anew in their midst.

    Between the last and the first of the 40 are long ones: an order reads all steps of two days at each instant, so
    that only few runs have a series of short ones alone.
    """
    if seed % 4 == 0:
        # Dear first, when most of the tasks come.
        two = StepSeries(np.array([0.0, 2.7]), np.array([values[2], values[0]]), PERIOD, "repeat")
        return Signals({"carbon": two})
    step = 1.7
    end, begin = 20 * step, 20 * step - 6_000.0
    first = begin + step * np.arange(20)
    times = np.concatenate((first, np.linspace(begin + end, 0.0, 20, endpoint=False), step * np.arange(20)))
    return Signals({"carbon": StepSeries(times, generator.choice(values, len(times)), end, "repeat")})


def coming_late(workload: Workload, seed: int) -> Workload:
    """Return tasks that come only when a series of two steps has begun anew twice."""
    return replace(workload, arrival_time=workload.arrival_time + 2 * PERIOD) if seed % 4 == 0 else workload


@pytest.mark.parametrize("on_pool", [True, False])
@pytest.mark.parametrize("policy", carbon_policies())
def test_what_waits_for_cleaner_electricity_does_so_until_it_is_let_go(policy: str, on_pool: bool) -> None:
    waited, late, seen = 0, 0, Seen(policy.replace("(delay=0.003)", ""), "both", "pool" if on_pool else "nodes")
    for seed in seen.seeds():
        workload, cluster, options = random_pool_case(seed) if on_pool else crowded_case(seed)
        if not len(workload):
            continue
        workload = coming_late(workload, seed)
        generator = np.random.default_rng(seed)
        signals, parsed = carbon(seed, (50.0, 100.0, 300.0, 310.0), generator), parse_policy(policy)
        log = GangLog()
        simulation = Simulation(
            workload, cluster, parsed, seed=seed, options=options, signals=signals, on_pieces=log.add
        )
        simulation.advance()
        not_offered = simulation.scores().not_before
        assert not_offered is not None
        let_go = np.maximum(not_offered, workload.arrival_time)
        # The forecast's errors of a part of the tasks are those of all.
        schedule = replace(schedule_of(simulation, log.gangs()), first_arrival=float(workload.arrival_time.min()))
        again = Simulation(workload, cluster, parsed, seed=seed, options=options, signals=signals)
        ends = let_go[np.isfinite(let_go)].tolist()
        for time in sorted({*some_instants(simulation, generator), *ends[:3]}):
            assert_stands_as_in_the_engine(simulation, again, time)
            found = decisions_where_known(schedule, time, seen)
            if found is None:
                continue
            assert_is_what_was_played(simulation, again, found, time)
            held = {one.row: one.planned_time for one in found.decisions if one.verdict == "cleaner"}
            there = standing(schedule, time).waiting
            assert held == {int(row): let_go[row] for row in there if let_go[row] > found.time}
            waited += len(held)
            late += len(held) * (seed % 4 == 0)
    assert waited >= late > 0


def stopping_policies(*, thorough: bool = THOROUGH) -> list[str]:
    """Return orders by a series that stop tasks, with one backfilling, with all where looked at thoroughly."""
    orders = ("wait_awhile(delay=0.003)", "carbon_threshold(delay=0.003,stops=suspend)")
    return [f"{order}+{backfill}" for order in orders for backfill in (BACKFILL_NAMES if thorough else ("easy",))]


@pytest.mark.parametrize("policy", stopping_policies())
def test_what_stops_while_electricity_is_dear_waits_for_its_next_span(policy: str) -> None:
    stopped, late, seen = 0, 0, Seen(policy.replace("(delay=0.003)", ""), "both", "pool", 2 * CASES * OF_EACH_RUN)
    for seed in seen.seeds():
        workload, cluster, options = random_pool_case(seed)
        workload = coming_late(workload, seed)
        generator = np.random.default_rng(seed)
        signals, parsed = carbon(seed, (50.0, 100.0, 300.0), generator), parse_policy(policy)
        simulation = Simulation(workload, cluster, parsed, seed=seed, options=options, signals=signals)
        again = Simulation(workload, cluster, parsed, seed=seed, options=options, signals=signals)
        simulation.advance()
        openings = simulation.scores().openings
        assert openings is not None
        for time in some_instants(simulation, generator):
            found = decisions(schedule_of(simulation), time)
            seen.count += 1
            assert_holds_what_the_engine_holds(simulation, again, time)
            waiting = standing(schedule_of(simulation), found.time).waiting
            opens = openings.open_from(found.time)
            held = {one.row: one.planned_time for one in found.decisions if one.verdict == "cleaner"}
            assert held == {int(row): opens[row] for row in waiting if opens[row] > found.time}
            assert not any(one.verdict == "preempted" for one in found.decisions)
            stopped += sum(simulation.outcome().start_time[row] < found.time for row in held)
            late += len(held) * (seed % 4 == 0)
    assert stopped
    assert late


def test_without_its_series_an_order_by_carbon_is_not_explained() -> None:
    workload, cluster, _ = random_pool_case(1)
    simulation = Simulation(workload, cluster, parse_policy("lowest_slot"))
    simulation.advance()
    lost = replace(schedule_of(simulation), signals_lost="There is no series 'maps'.")
    with pytest.raises(NotExplained, match=r"goes by a series of carbon\. There is no series 'maps'"):
        decisions(lost, 1.0)
    told = replace(lost, signals_lost="", estimates_known=np.zeros(len(workload), bool))
    with pytest.raises(NotExplained, match="goes by estimates that are not known"):
        decisions(told, 1.0)
    steps = Signals({"carbon": StepSeries(np.array([0.0, 9e5]), np.array([9.0, 1.0]), 1e6, "repeat")})
    free = replace(workload, deadline_time=np.full(len(workload), np.nan))
    held = replace(schedule_of(simulation), workload=free, signals=steps, policy=parse_policy("lowest_slot(delay=999)"))
    with pytest.raises(NotExplained, match="held tasks back for longer than they waited"):
        decisions(held, 1.0)
    endless = replace(free, duration_estimate=np.full(len(workload), 4e7))
    with pytest.raises(NotExplained, match="depends on all tasks of the run"):
        decisions(replace(held, workload=endless), 1.0)


@pytest.mark.parametrize("order", [order.name for order in ORDERS if order.goes_by])
def test_some_tasks_of_a_run_are_held_as_long_as_they_were_among_all(order: str) -> None:
    for seed in range(CASES):
        workload, cluster, _ = random_pool_case(seed)
        generator = np.random.default_rng(seed)
        times = np.append(0.0, np.cumsum(generator.choice([0.3, 1.7, 5.0], 39)))
        steps = StepSeries(times[:-1], generator.choice([50.0, 100.0, 300.0], 39), times[-1], "repeat")
        policy = parse_policy(f"{order}(delay=0.01,noise=0.5)")
        signals = Signals({"carbon": steps})
        among_all = Simulation(workload, cluster, policy, seed=seed, signals=signals).scores()
        whole = among_all.not_before
        rows = np.sort(generator.choice(len(workload), len(workload) // 2, replace=False))
        if not len(rows):
            continue
        part = Simulation(workload.take(rows), cluster, policy, seed=seed, signals=signals)
        alone = part.scores_of_part(policy.order, float(workload.arrival_time.min()))
        found = alone.not_before
        assert found is not None
        assert whole is not None
        assert found.tolist() == whole[rows].tolist()
        assert [spans_of(alone, row) for row in range(len(rows))] == [spans_of(among_all, row) for row in rows.tolist()]


def spans_of(scores: Scores, row: int) -> list[tuple[float, float]]:
    """Return when a task may run under an order that stops tasks."""
    if scores.openings is None:
        return []
    here = slice(*scores.openings.offsets[row : row + 2])
    return list(zip(scores.openings.begins[here].tolist(), scores.openings.ends[here].tolist(), strict=True))


def test_how_far_an_order_looked_ahead_goes_by_the_slowest_nodes() -> None:
    day = 86_400.0
    workload = Workload.from_columns(arrival_time=[0.0, 300 * day], runtime=[200 * day, 200 * day], cpus=[1, 1])
    steps = StepSeries(np.array([0.0, 3 * day]), np.array([9.0, 1.0]), 400 * day, "repeat")
    slow = Cluster("slow", (NodeGroup("n", 1, 4, cpu_speed=0.5),))
    policy, signals = parse_policy("wait_awhile(delay=240)"), Signals({"carbon": steps})
    simulation = Simulation(workload, slow, policy, signals=signals)
    simulation.advance()
    among_all = replace(schedule_of(simulation), whole=True)
    assert not_before(among_all, np.array([0])).tolist() == [3 * day]
    with pytest.raises(NotExplained, match="tasks of more than a year"):
        not_before(replace(among_all, whole=False, first_arrival=0.0), np.array([0]))
