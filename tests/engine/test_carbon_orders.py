"""Orders that hold tasks back for cleaner electricity: no start within the delay is better, and all rules hold."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim import engine
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.policies.orders.carbon import knows_carbon_to_come
from scheduler_sim.engine.series import Signals, StepSeries
from scheduler_sim.engine.workloads.workload import FloatArray, Workload
from tests import depth
from tests.engine.pool_cases import pool
from tests.engine.reference_nodes import ReferenceNodes

thorough = settings(max_examples=depth.cases(25, "SERIES_EXAMPLES"), deadline=None, derandomize=True)
HOUR = 3600.0
HELD = ("lowest_slot", "lowest_window", "carbon_time", "carbon_threshold", "carbon_threshold(forecast=none)")
STOPPING = ("wait_awhile", "carbon_threshold(stops=suspend)", "carbon_threshold(forecast=none,stops=suspend)")


def hourly(values: Any, beyond: str = "repeat") -> StepSeries:
    values = np.array(values, np.float64)
    return StepSeries(np.arange(len(values), dtype=np.float64) * HOUR, values, len(values) * HOUR, beyond)


def made(policy: str, workload: Workload, series: StepSeries | None, cores: int = 64, seed: int = 0) -> Any:
    signals = None if series is None else Signals({"carbon": series})
    return engine.Simulation(workload, pool(cores), engine.parse_policy(policy), seed=seed, signals=signals)


def let_go(policy: str, workload: Workload, series: StepSeries) -> FloatArray:
    """Return when each task may start at the earliest."""
    found: FloatArray = np.maximum(made(policy, workload, series).scores().not_before, workload.arrival_time)
    return found


def tasks(generator: np.random.Generator, count: int, **more: Any) -> Workload:
    """Return tasks whose times are whole minutes."""
    return Workload.from_columns(
        arrival_time=np.sort(generator.integers(0, 3000, count)) * 60.0,
        runtime=generator.integers(1, 600, count) * 60.0,
        duration_estimate=generator.integers(0, 600, count) * 60.0,
        cpus=generator.integers(1, 5, count),
        **more,
    )


worlds = given(st.integers(0, 2**32 - 1), st.sampled_from((0.5, 3.0, 24.0)), st.sampled_from(("repeat", "refuse")))


def drawn(seed: int, beyond: str) -> tuple[StepSeries, Workload]:
    """Return carbon and tasks, which all arrive within 50 hours.

    What is to be found ends with the series, where that says nothing beyond.
    """
    generator = np.random.default_rng(seed)
    series = hourly(generator.integers(1, 30, generator.integers(2 if beyond == "repeat" else 50, 60)), beyond)
    return series, tasks(generator, 12)


@thorough
@worlds
def test_no_start_on_a_fine_grid_is_better_than_the_one_that_is_chosen(seed: int, delay: float, beyond: str) -> None:
    series, workload = drawn(seed, beyond)
    window, saved, slot = (
        let_go(f"{name}(delay={delay})", workload, series) for name in ("lowest_window", "carbon_time", "lowest_slot")
    )
    for row, (arrival, length) in enumerate(
        zip(workload.arrival_time.tolist(), workload.duration_estimate.tolist(), strict=True)
    ):
        whole = arrival + np.arange(0, delay * HOUR + 1, 60.0)
        assert series.at(slot[row]) == np.nanmin(series.at(whole))
        assert slot[row] == arrival or slot[row] % HOUR == 0
        grid = whole if beyond == "repeat" else whole[whole + length <= series.end]
        if not len(grid):
            assert window[row] == saved[row] == arrival
            continue
        carbon = series.integral(grid, grid + length)
        chosen = series.integral(window[row], window[row] + length)
        assert chosen <= carbon.min() * (1 + 1e-8) + 1e-6
        assert arrival <= window[row] <= arrival + delay * HOUR

        def worth(start: Any, length: float = length, arrival: float = arrival, first: float = carbon[0]) -> Any:
            return (first - series.integral(start, start + length)) / np.maximum(start - arrival + length, 1e-9)

        assert worth(saved[row]) >= worth(grid).max() * (1 - 1e-8) - 1e-9


@thorough
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_a_threshold_lets_go_at_the_first_step_below_the_quantile_of_a_day(seed: int, ahead: bool) -> None:
    generator = np.random.default_rng(seed)
    series = hourly(generator.integers(1, 30, generator.integers(2, 60)))
    workload = tasks(generator, 12)
    forecast = "ahead" if ahead else "none"
    found = let_go(f"carbon_threshold(delay=12,forecast={forecast})", workload, series)
    for row, (arrival, length) in enumerate(
        zip(workload.arrival_time.tolist(), workload.duration_estimate.tolist(), strict=True)
    ):
        now, quantile = arrival, 0.2 if length < 2 * HOUR else 0.35
        while now < arrival + 12 * HOUR:
            step = now - now % HOUR
            hours = step + (HOUR if ahead else -HOUR) * np.arange(24)
            if series.at(np.array(now)) <= np.quantile(series.at(hours), quantile):
                break
            now = min(step + HOUR, arrival + 12 * HOUR)
        assert found[row] == now


@pytest.mark.parametrize(
    ("hours", "arrival", "start"),
    [
        # Three steps have begun, of 30, 10 and 20, and their middle is 20.
        ([0, 1, 2, 3], 2.5, 2.5),
        # Two have, of 10 and 20, as the first began long before; what follows is higher, so that the delay passes.
        ([0, 30, 31, 32], 31.5, 55.5),
        # Three have in the day before the step begins, of 30, 10 and 20, though one is left in that before the arrival.
        ([1, 2, 20, 30], 29.0, 29.0),
    ],
)
def test_the_quantile_of_the_past_is_of_the_steps_that_began_in_it(
    hours: list[float], arrival: float, start: float
) -> None:
    times = np.array(hours) * HOUR
    series = StepSeries(times, np.array([30.0, 10.0, 20.0, 25.0]), float(times[-1]) + HOUR, "hold")
    workload = Workload.from_columns(
        arrival_time=[arrival * HOUR], runtime=[3 * HOUR], duration_estimate=[3 * HOUR], cpus=[1]
    )
    found = let_go("carbon_threshold(forecast=none,long=0.5)", workload, series)
    assert found.tolist() == [start * HOUR]


@thorough
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(HELD),
    st.sampled_from(("", "+list", "+easy", "+conservative")),
)
def test_schedules_equal_those_of_the_slow_simulator(seed: int, order: str, backfill: str) -> None:
    generator = np.random.default_rng(seed)
    series = hourly(generator.integers(1, 30, 30))
    simulation = made(f"{order}{backfill}", tasks(generator, 20), series, cores=4)
    expected = ReferenceNodes(simulation).play()
    simulation.advance()
    assert simulation.outcome().start_time.tolist() == expected.start
    assert simulation.outcome().finish_time.tolist() == expected.finish
    assert (simulation.outcome().start_time >= simulation.scores().not_before).all()


@pytest.mark.parametrize("order", [*HELD, *STOPPING])
def test_without_a_series_or_where_it_never_changes_tasks_come_first_served(order: str) -> None:
    workload = tasks(np.random.default_rng(1), 30)
    schedules = []
    for policy, series in (("fcfs", None), (order, None), (order, hourly([7.0, 7.0]))):
        simulation = made(policy, workload, series, cores=4)
        simulation.advance()
        assert not len(simulation.attempts())
        schedules.append(simulation.outcome().start_time.tolist())
    assert schedules[0] == schedules[1] == schedules[2]


def test_an_hour_is_found_where_the_least_is_emitted() -> None:
    workload = Workload.from_columns(
        arrival_time=[1800.0, 1800.0], runtime=[5400.0, 600.0], queue=["long", "short"], cpus=[1, 1]
    )
    series = hourly([9.0, 8.0, 3.0, 2.0, 7.0, 1.0], "hold")
    assert let_go("lowest_slot(delay=4)", workload, series).tolist() == [3 * HOUR] * 2
    assert let_go("lowest_window(delay=4)", workload, series).tolist() == [9000.0, 3 * HOUR]
    assert let_go("lowest_window(delays=short:0/long:4)", workload, series).tolist() == [9000.0, 1800.0]
    assert let_go("lowest_slot(delay=9)", workload, series).tolist() == [5 * HOUR] * 2
    due = Workload.from_columns(arrival_time=[0.0, 0.0], runtime=[3600.0] * 2, deadline_time=[3 * HOUR, 1800.0])
    assert let_go("lowest_slot", due, series).tolist() == [2 * HOUR, 0.0]


@pytest.mark.parametrize("order", ["lowest_window", "carbon_time"])
def test_a_span_may_end_just_where_the_series_does(order: str) -> None:
    series = hourly([500.0, 500.0, 500.0, 10.0], "refuse")
    workload = Workload.from_columns(arrival_time=[60.0], runtime=[5400.0])
    assert let_go(order, workload, series).tolist() == [9000.0]


def test_on_slow_nodes_spans_and_deadlines_are_those_of_the_slowest_that_may_run_the_task() -> None:
    quick = engine.NodeGroup("quick", 1, 4, gpus=1, gpu_speed=4.0)
    slow = engine.NodeGroup("slow", 1, 4, cpu_speed=0.5)
    signals = Signals({"carbon": hourly([9.0, 2.0, 9.0, 3.0, 3.0, 9.0, 1.0, 9.0, 9.0, 9.0, 9.0, 9.0])})

    def held(order: str, **columns: Any) -> list[float]:
        workload = Workload.from_columns(arrival_time=[0.0, 0.0], cpus=[1, 1], gpus=[0, 1], **columns)
        policy = engine.parse_policy(f"{order}(delay=8)")
        scores = engine.Simulation(workload, engine.Cluster("mixed", (quick, slow)), policy, signals=signals).scores()
        found: list[float] = np.asarray(scores.not_before).tolist()
        return found

    # Two hours on the slow node; on the GPU a quarter of one.
    assert held("lowest_window", runtime=[HOUR, HOUR]) == [3 * HOUR, 6 * HOUR]
    assert held("lowest_slot", runtime=[2 * HOUR] * 2, deadline_time=[6 * HOUR] * 2) == [HOUR, HOUR]
    assert held("lowest_slot", runtime=[2 * HOUR] * 2, deadline_time=[7 * HOUR] * 2) == [HOUR, 6 * HOUR]


def test_a_noisy_forecast_is_drawn_by_the_seed_and_never_saves_more_than_a_perfect_one() -> None:
    generator = np.random.default_rng(3)
    workload, series = tasks(generator, 200), hourly(generator.integers(1, 300, 48))

    def planned(policy: str, seed: int) -> FloatArray:
        found: FloatArray = made(policy, workload, series, seed=seed).scores().not_before
        return found

    def emitted(start: FloatArray) -> float:
        return float(series.integral(start, start + workload.duration_estimate).sum())

    noisy = "lowest_window(noise=0.3)"
    assert planned(noisy, 1).tolist() == planned(noisy, 1).tolist() != planned(noisy, 2).tolist()
    perfect, at_once = emitted(planned("lowest_window", 1)), emitted(workload.arrival_time)
    for seed in range(10):
        assert perfect < emitted(planned(noisy, seed)) < at_once


def test_orders_that_know_what_is_to_come_without_an_error_are_told_from_those_that_do_not() -> None:
    knowing = [*HELD[:4], "lowest_slot(delay=3)", "carbon_threshold(noise=0)"]
    others = ["fcfs", "carbon_threshold(forecast=none)", *(f"{name}(noise=0.1)" for name in HELD[:4])]
    for text in (*knowing, *others):
        assert knows_carbon_to_come(engine.parse_policy(text).order) is (text in knowing), text


def test_what_has_no_meaning_is_refused() -> None:
    workload = Workload.from_columns(arrival_time=[0.0], runtime=[1.0], queue=["a"])
    with pytest.raises(InvalidPolicy, match="queues that no task is in: b"):
        let_go("lowest_slot(delays=b:3)", workload, hourly([1.0]))
    with pytest.raises(InvalidPolicy, match="short is 2"):
        let_go("carbon_threshold(short=2)", workload, hourly([1.0]))
    with pytest.raises(InvalidPolicy, match="no value"):
        let_go("lowest_slot", workload, hourly([1.0], "refuse").moved(5.0))
    for text in ("lowest_slot(delays=a)", "lowest_slot(delays=a:-1)", "lowest_slot(delay=-1)"):
        with pytest.raises(InvalidPolicy):
            engine.parse_policy(text)
