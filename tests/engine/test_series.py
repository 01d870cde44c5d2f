"""Step series of carbon, price, PUE and power cap, and the figures that are made of them."""

import csv
import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim import engine
from scheduler_sim.engine.clusters.frequency import Frequency
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.measuring import metrics
from scheduler_sim.engine.measuring.electricity import Electricity, task_electricity
from scheduler_sim.engine.measuring.usage import Usage
from scheduler_sim.engine.series import BEYOND, Signals, StepSeries, by_window, cut
from tests import depth
from tests.engine.pool_cases import pool

thorough = settings(max_examples=depth.cases(25, "SERIES_EXAMPLES"), deadline=None, derandomize=True)


def played(signals: Signals | None, watts: tuple[float, float] = (100.0, 150.0), **columns: Any) -> engine.Simulation:
    policy = columns.pop("policy", "fcfs")
    cores = columns.pop("cores", 1)
    steps, number = columns.pop("frequencies", ((), 1))
    group = engine.NodeGroup(
        "host", 1, cores, cpu_idle_watts=watts[0], cpu_busy_watts=watts[1], frequencies=steps, frequency=number
    )
    simulation = engine.Simulation(
        workload=engine.Workload.from_columns(**columns),
        cluster=engine.Cluster("host", (group,)),
        policy=engine.parse_policy(policy),
        signals=signals,
    )
    simulation.advance()
    return simulation


def totals(simulation: engine.Simulation) -> dict[str, Any]:
    return metrics.summarise(simulation, edges=whole(simulation)).row()


def whole(simulation: engine.Simulation) -> np.ndarray:
    return np.array(metrics.whole_run(simulation.workload, [simulation.outcome()]))


def steps(values: Any, length: float, beyond: str = "refuse", begin: float = 0.0) -> StepSeries:
    values = np.array(values, float)
    times = begin + np.arange(len(values), dtype=np.float64) * length
    return StepSeries(times, values, begin + len(values) * length, beyond)


def hours_of_2022(oracle_path: Any) -> StepSeries:
    with gzip.open(oracle_path("carbon/carbon_NL_2022_hourly.csv.gz"), "rt") as file:
        rows = list(csv.DictReader(file))
    assert datetime.fromisoformat(rows[0]["time_utc"]).timestamp() == 1640995200.0
    return steps([float(row["g_per_kwh"]) for row in rows], 3600.0)


def test_an_hour_at_150_watts_emits_what_another_simulator_says_of_each_sample(oracle_path: Any) -> None:
    case = json.loads(Path(oracle_path("carbon/carbon_cases.json")).read_text())["opendc_test_3"]
    quarters = [value for place, (_, value) in enumerate(case["intensity_at_sample"]) if place in (0, 2, 4, 6)]
    simulation = played(
        Signals({"carbon": steps(quarters, 900.0, "hold")}), arrival_time=[0.0], runtime=[3600.0], cpus=[1]
    )
    minutes = np.arange(0.0, 3660.0, 60.0)
    found = Electricity.of(Usage.of(simulation), simulation.signals, minutes).carbon_kg * 1000
    for sample, grams in case["emission_g_of_sample"][:-1]:
        assert found[sample] == pytest.approx(grams, abs=case["tolerance"])
    assert found.sum() == pytest.approx(case["emission_g_own"], abs=1e-5)
    assert Usage.of(simulation).energy_joules(minutes).sum() == pytest.approx(case["energy_j"], rel=1e-12)


def test_two_hours_of_a_real_series_emit_what_the_oracle_says(oracle_path: Any) -> None:
    case = json.loads(Path(oracle_path("carbon/carbon_cases.json")).read_text())["totals"][0]
    signals = Signals({"carbon": hours_of_2022(oracle_path)})
    simulation = played(signals, arrival_time=[0.0], runtime=[7200.0], cpus=[1])
    row = totals(simulation)
    assert row["energy_joules"] == case["energy_j"]
    assert row["carbon_kg"] * 1000 == pytest.approx(case["emission_g_own"], abs=1e-9)
    assert f"{row['carbon_kg'] * 1000:.4f}" == str(case["emission_g_in_opendc_test_comment"])
    assert task_electricity(simulation, "carbon", np.array([0]))[0] == pytest.approx(row["carbon_kg"], rel=1e-12)


HALF = (Frequency(cpu_speed=2.0, cpu_busy_watts=40.0), Frequency(cpu_speed=0.5, cpu_busy_watts=11.0))
"""At the second step tasks of whole seconds take whole seconds too."""

POLICIES = (
    *("fcfs", "sjf+easy", "las", "fcfs~suspend"),
    *("wait_awhile(delay=0.02)+easy", "carbon_threshold(delay=0.02,stops=suspend)+list"),
)


@st.composite
def cases(draw: Any) -> tuple[engine.Simulation, np.ndarray]:
    """Draw tasks, series with gaps of any lengths and ways to go beyond, and windows."""
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    count = draw(st.integers(1, 30))
    beyond = draw(st.sampled_from(("hold", "repeat")))

    def series(low: float, high: float) -> StepSeries:
        lengths = generator.integers(1, 40, generator.integers(1, 12)).astype(float)
        times = np.concatenate(([0.0], np.cumsum(lengths)))
        return StepSeries(times[:-1] - 20, generator.uniform(low, high, len(lengths)), times[-1] - 20, beyond)

    kinds = {"carbon": series(0, 500), "price": series(-1, 1), "power_cap": series(30, 200)}
    if draw(st.booleans()):
        kinds["pue"] = series(1, 2)
    simulation = played(
        Signals(kinds),
        (2.0, 11.0),
        policy=draw(st.sampled_from(POLICIES)),
        frequencies=draw(st.sampled_from((((), 1), (HALF, 2)))),
        cores=16,
        arrival_time=np.sort(generator.integers(0, 200, count)).astype(float),
        runtime=generator.integers(1, 60, count).astype(float),
        cpus=generator.integers(1, 17, count),
    )
    first, last = whole(simulation)
    edges = np.unique(np.concatenate(([first, last], generator.integers(first, last + 1, 5))))
    return simulation, edges


@thorough
@given(cases())
def test_figures_equal_a_fine_numerical_integration(case: tuple[engine.Simulation, np.ndarray]) -> None:
    """All events lie at whole seconds, so that the middle of each second stands for it."""
    simulation, edges = case
    signals, spans = simulation.signals, simulation.spans()
    assert signals is not None
    seconds = np.arange(edges[0], edges[-1]) + 0.5
    busy = np.zeros(len(seconds))
    for begin, end, cores in zip(spans.start_time, spans.end_time, spans.cpus, strict=True):
        busy += cores * ((seconds >= begin) & (seconds < end))
    pue = signals.by_kind["pue"].at(seconds) if "pue" in signals.by_kind else 1.0
    window = np.searchsorted(edges, seconds, side="right") - 1
    found = Electricity.of(Usage.of(simulation), signals, edges)
    for kind, unit, names in (
        ("carbon", 1 / 3.6e9, ("carbon_kg", "idle_carbon_kg")),
        ("price", 1 / 3.6e6, ("electricity_usd", "idle_electricity_usd")),
    ):
        rate = signals.by_kind[kind].at(seconds) * pue * unit
        for name, watts in zip(names, (busy * 11.0, (16 - busy) * 2.0), strict=True):
            expected = np.bincount(window, watts * rate, len(edges) - 1)
            assert getattr(found, name) == pytest.approx(expected, rel=1e-9, abs=1e-15), name
        tasks = task_electricity(simulation, kind, np.arange(len(simulation.workload)))
        assert tasks.sum() == pytest.approx(getattr(found, names[0]).sum(), rel=1e-9, abs=1e-15)
        cluster = ((16 - busy) * 2.0 + busy * 11.0) * rate
        both = getattr(found, names[0]).sum() + getattr(found, names[1]).sum()
        assert both == pytest.approx(cluster.sum(), rel=1e-9, abs=1e-15)
    over = (busy * 11.0 + (16 - busy) * 2.0) > signals.by_kind["power_cap"].at(seconds)
    assert found.over_cap_time == pytest.approx(np.bincount(window, over, len(edges) - 1))


@thorough
@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=6),
    st.sampled_from(("hold", "repeat")),
    st.integers(-50, 50),
    st.integers(1, 80),
)
def test_a_span_cut_out_of_a_series_is_what_the_series_is(
    values: list[float], beyond: str, begin: int, length: int
) -> None:
    series = steps(values, 7.0, beyond)
    part, middles = series.over(begin, begin + length), begin + np.arange(length, dtype=np.float64) + 0.5
    assert part.at(middles).tolist() == series.at(middles).tolist()
    expected = series.at(middles).sum()
    assert series.integral(np.array(begin), np.array(begin + length)) == pytest.approx(expected, abs=1e-9)
    assert np.isnan(part.at(np.array([begin - 1.0, begin + length + 0.0]))).all()


@thorough
@given(st.floats(-1e6, 1e6), st.sampled_from((0.1, 0.7, 300.0, 900.0, 3600.0)), st.integers(1, 24), st.integers(0, 40))
def test_a_series_that_repeats_from_a_fraction_of_a_second_has_each_step_whole(
    begin: float, length: float, count: int, rounds: int
) -> None:
    """The value of a step is its number, so that a step which is taken for the one before it shows."""
    series = steps(np.arange(count) + 1.0, length, "repeat").moved(begin)
    end = begin + (rounds + 1) * count * length
    part = series.over(begin, end)
    middles = (part.times + np.append(part.times[1:], part.end)) / 2
    whole = np.diff(np.append(part.times, part.end)) > length / 2
    expected = np.mod(np.floor((middles - begin) / length), count) + 1
    assert part.values[whole].tolist() == expected[whole].tolist()
    joined = series.times_of(series, begin, end)
    assert joined.values[whole].tolist() == (expected**2)[whole].tolist()
    asked = np.array([begin, end])
    weighed = by_window(np.diff(cut(asked, (series,))), cut(asked, (series,)), (series,), asked)
    assert weighed == pytest.approx(series.integral(asked[:1], asked[1:]), rel=1e-7)
    assert weighed == pytest.approx((rounds + 1) * length * count * (count + 1) / 2, rel=1e-7)


@pytest.mark.parametrize(("begin", "length"), [(12345.678, 3600.0), (123456.789, 900.0)])
def test_the_carbon_of_a_task_is_that_of_the_run_whatever_fraction_its_clock_begins_at(
    begin: float, length: float
) -> None:
    series = steps([100.0, 500.0] * 12, length, "repeat").moved(begin)
    day = 24 * length
    simulation = played(Signals({"carbon": series}), arrival_time=[begin + day], runtime=[5 * day], cpus=[1])
    expected = 5 * day * 150 * 300 / 3.6e9
    assert totals(simulation)["carbon_kg"] == pytest.approx(expected, rel=1e-9)
    assert task_electricity(simulation, "carbon", np.array([0]))[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("pue", [False, True])
def test_tasks_of_no_length_emit_nothing_and_those_outside_of_the_series_are_not_known(pue: bool) -> None:
    def emitted(beyond: str, **columns: Any) -> list[float]:
        kinds = {"carbon": steps([100.0], 20.0, beyond)}
        if pue:
            kinds["pue"] = steps([1.5], 20.0, beyond)
        simulation = played(Signals(kinds), cpus=[1] * len(columns["runtime"]), **columns)
        found: list[float] = task_electricity(simulation, "carbon", np.arange(len(columns["runtime"]))).tolist()
        return found

    assert emitted("hold", arrival_time=[0.0, 0.0], runtime=[0.0, 0.0]) == [0.0, 0.0]
    assert np.isnan(emitted("refuse", arrival_time=[20.0], runtime=[5.0])).all()
    assert emitted("refuse", arrival_time=[20.0], runtime=[0.0]) == [0.0]


def test_figures_by_series_that_have_no_time_in_common_are_not_known() -> None:
    kinds = {"carbon": steps([100.0], 5.0), "pue": steps([1.5], 5.0, begin=5.0)}
    simulation = played(Signals(kinds), arrival_time=[0.0], runtime=[10.0], cpus=[1])
    assert np.isnan(task_electricity(simulation, "carbon", np.array([0]))).all()
    assert totals(simulation)["carbon_kg"] is None


def test_what_a_series_does_not_cover_is_no_data() -> None:
    short = Signals({"carbon": steps([100.0], 10.0)})
    simulation = played(short, arrival_time=[0.0, 0.0], runtime=[8.0, 8.0], cpus=[1, 1])
    found = Electricity.of(Usage.of(simulation), short, np.array([0.0, 8.0, 16.0]))
    assert found.carbon_kg[0] == pytest.approx(8 * 150 * 100 / 3.6e9)
    assert np.isnan(found.carbon_kg[1])
    assert np.isnan(found.electricity_usd).all()
    each = task_electricity(simulation, "carbon", np.array([0, 1]))
    assert each[0] == pytest.approx(found.carbon_kg[0])
    assert np.isnan(each[1])


def test_without_series_nothing_is_known_and_energy_stays_what_it_was() -> None:
    columns: dict[str, Any] = {"arrival_time": [0.0, 3.0], "runtime": [5.0, 9.0], "cpus": [1, 1]}
    bare = played(None, **columns)
    rich = played(Signals({"carbon": steps([100.0], 3600.0, "hold"), "pue": steps([1.5], 9.0, "hold")}), **columns)
    rows = [totals(one) for one in (bare, rich)]
    for name, value in rows[0].items():
        if name in ("carbon_kg", "idle_carbon_kg", "electricity_usd", "idle_electricity_usd", "over_cap_time"):
            assert value is None
        else:
            assert rows[1][name] == value
    assert rows[1]["carbon_kg"] == pytest.approx(14 * 150 * 100 * 1.5 / 3.6e9)


def test_a_cluster_without_watts_has_no_carbon() -> None:
    signals = Signals({"carbon": steps([100.0], 3600.0, "hold")})
    simulation = engine.Simulation(
        workload=engine.Workload.from_columns(arrival_time=[0.0], runtime=[5.0]),
        cluster=pool(4),
        policy=engine.parse_policy("fcfs"),
        signals=signals,
    )
    simulation.advance()
    assert totals(simulation)["carbon_kg"] is None


@pytest.mark.parametrize(
    ("times", "values", "end", "beyond"),
    [
        ([], [], 1.0, "hold"),
        ([0.0, 0.0], [1.0, 2.0], 1.0, "hold"),
        ([0.0], [float("nan")], 1.0, "hold"),
        ([0.0], [1.0], 0.0, "hold"),
        ([0.0], [1.0], 1.0, "guess"),
    ],
)
def test_series_without_meaning_are_refused(times: list[float], values: list[float], end: float, beyond: str) -> None:
    with pytest.raises(InvalidParameter):
        StepSeries(np.array(times), np.array(values), end, beyond)


def test_signals_outside_of_their_kind_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="pue falls below 1"):
        Signals({"pue": steps([0.9], 1.0)})
    with pytest.raises(InvalidParameter, match="no kind of series called 'carbn'"):
        Signals({"carbn": steps([1.0], 1.0)})
    assert Signals({"price": steps([-5.0], 1.0)}).get("price") is not None
    assert set(BEYOND) == {"refuse", "hold", "repeat"}


def test_a_series_that_would_repeat_without_end_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="take a longer one"):
        steps([1.0], 1.0, "repeat").cuts(0.0, 1e9)
