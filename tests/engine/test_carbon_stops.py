"""Orders that stop tasks while electricity is dear: in the cleanest spans there are, and by all rules of attempts."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim import engine
from scheduler_sim.engine.clusters.overheads import Checkpoints, Overhead
from scheduler_sim.engine.clusters.sleep import Sleep
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.measuring.metrics import summarise, whole_run
from scheduler_sim.engine.policies.openings import Openings
from scheduler_sim.engine.policies.orders.carbon import knows_carbon_to_come
from scheduler_sim.engine.series import Signals, StepSeries
from scheduler_sim.engine.workloads.workload import Workload
from tests import depth
from tests.engine.core_cases import spans
from tests.engine.pool_cases import pool
from tests.engine.reference_attempts import ReferenceRules
from tests.engine.reference_stopping import ReferenceStopping
from tests.engine.test_carbon_orders import HOUR, STOPPING, drawn, hourly, made, tasks, worlds

thorough = settings(max_examples=depth.cases(25, "SERIES_EXAMPLES"), deadline=None, derandomize=True)
MINUTE = 60.0


def openings(policy: str, workload: Workload, series: StepSeries) -> Openings:
    found = made(policy, workload, series).scores().openings
    assert isinstance(found, Openings)
    return found


def of_task(found: Openings, row: int) -> list[tuple[float, float]]:
    here = slice(found.offsets[row], found.offsets[row + 1])
    return list(zip(found.begins[here].tolist(), found.ends[here].tolist(), strict=True))


def assert_apart(found: Openings, workload: Workload) -> None:
    """Spans ascend and do not touch, none begins before the arrival, and the last one has no end."""
    for row, arrival in enumerate(workload.arrival_time.tolist()):
        times = [time for span in of_task(found, row) for time in span]
        assert times[0] >= arrival
        assert times[-1] == np.inf
        assert all(one < other for one, other in pairwise(times))


@thorough
@worlds
def test_no_minutes_are_cleaner_than_those_that_are_chosen(seed: int, delay: float, beyond: str) -> None:
    series, workload = drawn(seed, beyond)
    found = openings(f"wait_awhile(delay={delay})", workload, series)
    assert_apart(found, workload)
    for row, (arrival, length) in enumerate(
        zip(workload.arrival_time.tolist(), workload.duration_estimate.tolist(), strict=True)
    ):
        last = arrival + length + delay * HOUR
        if beyond == "refuse":
            last = min(last, series.end)
        if length == 0 or arrival + length > last:
            assert of_task(found, row) == [(arrival, np.inf)]
            continue
        minutes = np.arange(arrival, last, MINUTE)
        cleanest = np.sort(series.at(minutes))[: int(length / MINUTE)].sum() * MINUTE
        left, carbon, end = length, 0.0, arrival
        for begin, over in of_task(found, row):
            end = min(over, begin + left)
            left -= end - begin
            carbon += float(series.integral(np.array([begin]), np.array([end]))[0])
        assert left == 0
        assert end <= arrival + length + delay * HOUR
        assert carbon == pytest.approx(cleanest, rel=1e-12)


@thorough
@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from((0.0, 2.5, 12.0)))
def test_a_threshold_stops_in_steps_above_the_quantile_until_it_has_held_for_the_delay(
    seed: int, ahead: bool, delay: float
) -> None:
    generator = np.random.default_rng(seed)
    series = hourly(generator.integers(1, 30, generator.integers(2, 60)))
    workload = tasks(generator, 12)
    policy = f"carbon_threshold(delay={delay},forecast={'ahead' if ahead else 'none'}"
    found = openings(f"{policy},stops=suspend)", workload, series)
    assert_apart(found, workload)
    np.testing.assert_array_equal(found.first, made(f"{policy})", workload, series).scores().not_before)
    for row, (arrival, length) in enumerate(
        zip(workload.arrival_time.tolist(), workload.duration_estimate.tolist(), strict=True)
    ):
        # Minute by minute: what is held, what has run, and whether nothing stops it any more.
        now, held, ran, runs, times = arrival, 0.0, 0.0, False, []
        quantile, limits = 0.2 if length < 2 * HOUR else 0.35, dict[float, float]()
        while held < delay * HOUR and (not runs or ran < length):
            step = now - now % HOUR
            if step not in limits:
                hours = step + (HOUR if ahead else -HOUR) * np.arange(24)
                limits[step] = float(np.quantile(series.at(hours), quantile))
            is_open = bool(series.at(np.array(now)) <= limits[step])
            if is_open != runs:
                times.append(now)
                runs = is_open
            held, ran, now = held + (0.0 if runs else MINUTE), ran + (MINUTE if runs else 0.0), now + MINUTE
        if not runs:
            times.append(now)
        assert [time for span in of_task(found, row) for time in span if time < np.inf] == times


@thorough
@given(st.integers(0, 2**32 - 1), st.sampled_from(STOPPING))
def test_with_room_and_exact_estimates_tasks_run_in_their_spans_within_the_delay(seed: int, order: str) -> None:
    generator = np.random.default_rng(seed)
    workload = tasks(generator, 12)
    workload = replace(workload, duration_estimate=workload.runtime)
    series = hourly(generator.integers(1, 30, 40))
    group = engine.NodeGroup("cores", 1, 64, cpu_idle_watts=1.0, cpu_busy_watts=3.5)
    simulation = engine.Simulation(
        workload, engine.Cluster("pool", (group,)), engine.parse_policy(order), signals=Signals({"carbon": series})
    )
    simulation.advance()
    found = simulation.scores().openings
    assert found is not None
    carbon = 0.0
    played = simulation.spans()
    for row in range(len(workload)):
        left, expected = float(workload.runtime[row]), []
        for begin, over in of_task(found, row):
            end = min(over, begin + left)
            expected.append((begin, end))
            left -= end - begin
            carbon += float(series.integral(np.array([begin]), np.array([end]))[0]) * workload.cpus[row]
        mine = played.row == row
        assert sorted(zip(played.start_time[mine], played.end_time[mine], strict=True)) == expected
    latest = workload.arrival_time + workload.runtime + 24 * HOUR
    assert (simulation.outcome().finish_time <= latest).all()
    edges = np.array(whole_run(workload, [simulation.outcome()]))
    totals = summarise(simulation, edges=edges).row()
    assert totals["carbon_kg"] == pytest.approx(carbon * group.cpu_busy_watts / 3.6e9, rel=1e-12)


@thorough
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(STOPPING),
    st.sampled_from(("", "+list", "+easy", "+conservative")),
    st.sampled_from((0.0, 600.0)),
)
def test_schedules_equal_those_of_the_slow_simulator(seed: int, order: str, backfill: str, overhead: float) -> None:
    generator = np.random.default_rng(seed)
    series = hourly(generator.integers(1, 30, 30))
    options = engine.Options(restart_overhead=Overhead.read(str(overhead)))
    policy = engine.parse_policy(f"{order}{backfill}")
    simulation = engine.Simulation(
        tasks(generator, 20), pool(4), policy, options=options, signals=Signals({"carbon": series})
    )
    rules = ReferenceRules("score", policy.backfill.name, "none", overhead=overhead)
    expected = ReferenceStopping(simulation, rules).play()
    simulation.advance()
    outcome, history = simulation.outcome(), simulation.history()
    assert outcome.start_time.tolist() == expected.first_start
    assert outcome.finish_time.tolist() == expected.finish
    assert history.held_time.tolist() == expected.held_seconds
    several = [one for one in expected.spans if expected.attempts[one[0]] > 1]
    assert spans(simulation.attempts()) == sorted(several)
    found = simulation.scores().openings
    assert found is not None
    assert (outcome.start_time >= found.first).all()
    np.testing.assert_array_equal(history.service_time, simulation.workload.runtime)


WAVE = hourly([9.0, 2.0, 8.0, 1.0, 7.0, 6.0], "hold")


def tasks_of(**columns: Any) -> Workload:
    return Workload.from_columns(**{"arrival_time": [0.0], "cpus": [1], **columns})


def played(policy: str, cores: int = 4, options: engine.Options | None = None, **columns: Any) -> dict[int, list[Any]]:
    """Play tasks under six hours of carbon; return the hours in which each ran."""
    simulation = engine.Simulation(
        tasks_of(**columns),
        pool(cores),
        engine.parse_policy(policy),
        options=options or engine.Options(),
        signals=Signals({"carbon": WAVE}),
    )
    simulation.advance()
    found: dict[int, list[Any]] = {}
    ran = simulation.spans()
    for row, begin, end in sorted(zip(ran.row.tolist(), ran.start_time / HOUR, ran.end_time / HOUR, strict=True)):
        found.setdefault(row, []).append((begin, end))
    return found


def test_a_task_stops_in_the_dear_hour_between_two_clean_ones() -> None:
    assert played("wait_awhile(delay=3)", runtime=[2 * HOUR]) == {0: [(1, 2), (3, 4)]}
    # Half an hour more, of the cleanest hour that is left; beside what is taken anyway, before it or behind it.
    half: dict[str, Any] = {"runtime": [2.5 * HOUR]}
    assert played("wait_awhile(delay=3)", **half) == {0: [(1, 2), (3, 4), (5, 5.5)]}
    assert played("wait_awhile(delay=2)", **half) == {0: [(1, 2), (3, 4.5)]}
    assert played("wait_awhile(delay=1.5)", **half) == {0: [(1, 2.5), (3, 4)]}
    found = openings("wait_awhile(delay=1.5)", tasks_of(runtime=[1.5 * HOUR]), hourly([9.0, 8.0, 1.0], "hold"))
    assert of_task(found, 0) == [(1.5 * HOUR, np.inf)]
    assert played("wait_awhile(delay=0)", runtime=[2 * HOUR]) == {0: [(0, 2)]}


def test_a_task_that_takes_longer_than_estimated_goes_on_until_it_is_done() -> None:
    assert played("wait_awhile(delay=3)", runtime=[5 * HOUR], duration_estimate=[2 * HOUR]) == {0: [(1, 2), (3, 7)]}
    assert played("wait_awhile(delay=3)", runtime=[0.5 * HOUR], duration_estimate=[2 * HOUR]) == {0: [(1, 1.5)]}


def test_where_no_room_is_left_a_task_waits_on_in_its_spans_and_from_the_last_one_on() -> None:
    both: dict[str, Any] = {"arrival_time": [0.0, 60.0], "cpus": [1, 1], "runtime": [2 * HOUR] * 2}
    assert played("wait_awhile(delay=3)", cores=1, **both) == {0: [(1, 2), (3, 4)], 1: [(4, 6)]}
    # Whoever stops makes room for others.
    mixed: dict[str, Any] = {
        "arrival_time": [0.0, 0.0],
        "cpus": [1, 1],
        "runtime": [2 * HOUR, HOUR],
        "queue": ["a", "b"],
    }
    assert played("wait_awhile(delays=a:3/b:0)+list", cores=1, **mixed) == {0: [(1, 2), (3, 4)], 1: [(0, 1)]}


def test_a_stop_costs_what_a_restart_does_and_what_no_checkpoint_holds() -> None:
    slow = engine.Options(restart_overhead=Overhead.read("900"))
    assert played("wait_awhile(delay=3)", options=slow, runtime=[2 * HOUR]) == {0: [(1, 2), (3, 4.25)]}
    written = engine.Options(checkpoints=Checkpoints(interval=0.75 * HOUR))
    again = played("wait_awhile(delay=3,stops=checkpoint)", options=written, runtime=[2 * HOUR])
    assert again == {0: [(1, 2), (3, 4.25)]}
    with pytest.raises(InvalidPolicy, match="stops=checkpoint goes on from the last checkpoint"):
        played("wait_awhile(stops=checkpoint)", runtime=[HOUR])


def test_a_child_whose_parent_ends_between_its_spans_waits_for_the_next() -> None:
    found = played(
        "wait_awhile(delay=3)",
        arrival_time=[0.0, 0.0],
        cpus=[1, 1],
        runtime=[2.5 * HOUR, 2 * HOUR],
        deadline_time=[2.5 * HOUR, np.nan],
        dependencies=[[], [1]],
    )
    assert found == {0: [(0, 2.5)], 1: [(3, 5)]}


def test_what_it_is_not_played_with_is_said() -> None:
    for order in ("wait_awhile", "carbon_threshold(stops=suspend)"):
        with pytest.raises(InvalidPolicy, match="takes no ~preemption"):
            engine.parse_policy(f"{order}~suspend")
    assert engine.parse_policy("carbon_threshold(stops=none)").name == "carbon_threshold"
    one = Workload.from_columns(arrival_time=[0.0], runtime=[HOUR], cpus=[1], memory_mb=[10.0])
    limited = engine.Cluster("limited", (engine.NodeGroup("n", 1, 4, memory_mb=100.0),))
    with pytest.raises(InvalidPolicy, match=r"keeps its memory.*stops=checkpoint"):
        engine.Simulation(one, limited, engine.parse_policy("wait_awhile"), signals=Signals({"carbon": WAVE}))


@pytest.mark.parametrize("order", ["wait_awhile", "carbon_threshold(stops=suspend)"])
def test_more_stops_or_steps_than_there_is_room_for_are_refused(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    workload = tasks_of(arrival_time=[0.0, 0.0], runtime=[2 * HOUR, 2 * HOUR], cpus=[1, 1])
    stops = len(openings(order, workload, WAVE).begins) - 2
    assert stops
    monkeypatch.setattr("scheduler_sim.engine.policies.openings.MOST_STOPS", stops)
    assert len(openings(order, workload, WAVE).begins) == stops + 2
    monkeypatch.setattr("scheduler_sim.engine.policies.openings.MOST_STOPS", stops - 1)
    with pytest.raises(InvalidPolicy, match=f"would stop more than {stops - 1} times in all; take a shorter delay"):
        openings(order, workload, WAVE)
    monkeypatch.setattr("scheduler_sim.engine.policies.openings.MOST_STEPS", 7)
    with pytest.raises(InvalidPolicy, match=r"reach over \d+ steps of the series in all, more than 7;"):
        openings(order, workload, WAVE)


def test_without_a_series_nothing_that_refuses_stops_refuses_it() -> None:
    one = tasks_of(runtime=[HOUR])
    asleep = engine.Cluster("asleep", (engine.NodeGroup("n", 1, 4, sleep=Sleep(600.0, 60.0)),))
    for policy in ("wait_awhile", "fcfs"):
        simulation = engine.Simulation(one, asleep, engine.parse_policy(policy))
        simulation.advance()
        assert simulation.outcome().finish_time.tolist() == [HOUR]


def test_a_parameter_called_stops_is_not_taken_for_stopping() -> None:
    carbon = {one: engine.parse_policy(one).order for one in STOPPING}
    assert all(order.stops for order in carbon.values())
    assert not any(replace(order, pauses=False).stops for order in carbon.values())


def test_it_knows_what_is_to_come_where_its_forecast_has_no_error() -> None:
    assert knows_carbon_to_come(engine.parse_policy("wait_awhile").order)
    assert not knows_carbon_to_come(engine.parse_policy("wait_awhile(noise=0.1)").order)
