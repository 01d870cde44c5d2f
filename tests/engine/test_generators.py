"""Synthetic workloads: repeatable, with the moments of their models."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.generators import GENERATORS, generate_workload
from scheduler_sim.engine.generators.lublin import LublinParameters, arrival_times, daily_weights
from scheduler_sim.engine.generators.mixed import MixedParameters
from scheduler_sim.engine.traces import offered_load, read_trace
from scheduler_sim.engine.workloads.workload import IntArray, Workload


def tasks_of(model: str, tasks: int = 2000, seed: int = 1, **parameters: object) -> Workload:
    return generate_workload(model, tasks=tasks, seed=seed, parameters=parameters).workload


@pytest.mark.parametrize("model", GENERATORS)
def test_the_same_seed_gives_the_same_tasks(model: str) -> None:
    left, right, other = tasks_of(model), tasks_of(model), tasks_of(model, seed=2)
    for name in ("arrival_time", "runtime", "cpus", "memory_mb", "compute_intensity"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    assert left.dependencies() == right.dependencies()
    assert not np.array_equal(left.arrival_time, other.arrival_time)


def global_state() -> IntArray:
    state: IntArray = np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002  (the very one to watch)
    return state


@pytest.mark.parametrize("model", GENERATORS)
def test_tasks_are_numbered_by_arrival_and_global_randomness_is_untouched(model: str) -> None:
    state = global_state()
    tasks = tasks_of(model)
    np.testing.assert_array_equal(global_state(), state)
    assert tasks.task_id.tolist() == list(range(1, 2001))
    assert (np.diff(tasks.arrival_time) >= 0).all()


@pytest.mark.parametrize("model", GENERATORS)
@pytest.mark.parametrize("load", [0.3, 0.95, 1.2])
def test_a_load_is_reached(model: str, load: float) -> None:
    tasks = tasks_of(model, load=load, **({"on_gpus": False} if model == "elastic" else {}))
    processors = {"lublin": 256, "mixed": 16, "site": 108 * 64, "elastic": 64}[model]
    assert offered_load(tasks, processors) == pytest.approx(load, rel=1e-3)


@pytest.mark.parametrize("model", GENERATORS)
def test_one_task_is_enough(model: str) -> None:
    assert len(tasks_of(model, tasks=1)) == 1
    with pytest.raises(InvalidParameter, match="at least two"):
        tasks_of(model, tasks=1, load=0.5)


@pytest.mark.parametrize("model", GENERATORS)
def test_every_parameter_explains_itself(model: str) -> None:
    for field in GENERATORS[model].fields():
        assert field.metadata["help"]


@pytest.mark.parametrize(
    ("model", "arguments", "reason"),
    [
        ("lubin", {}, "Did you mean lublin"),
        ("lublin", {"parameters": {"laod": 1}}, "Did you mean load"),
        ("lublin", {"parameters": {"load": "much"}}, "must be a number"),
        ("lublin", {"parameters": {"load": float("nan")}}, "must be"),
        ("lublin", {"parameters": {"load": -1}}, "at least"),
        ("lublin", {"parameters": {"processors": 0}}, "at least 1"),
        ("lublin", {"parameters": {"processors": 2.5}}, "whole number"),
        ("lublin", {"parameters": {"processors": "1e3"}}, "whole number"),
        ("lublin", {"parameters": {"serial_probability": 0.6}}, "not sum to more than 1"),
        ("lublin", {"parameters": {"log_arrival_limit": 1}}, "hardly ever"),
        ("lublin", {"parameters": {"log_runtime_limit": 1, "a1": 500}}, "hardly ever"),
        ("mixed", {"parameters": {"hybrid": "perhaps"}}, "yes or no"),
        ("mixed", {"parameters": {"size_low": 10, "size_high": 5}}, "must not be larger"),
        ("site", {"parameters": {"gpu_nodes": -1}}, "at least 0"),
        ("site", {"parameters": {"array_mean": 1}}, "at least 2"),
        ("mixed", {"tasks": 0}, "between 1 and"),
        ("mixed", {"seed": -1}, "between 0 and"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_sentence(model: str, arguments: dict, reason: str) -> None:
    with pytest.raises(InvalidParameter, match=reason):
        generate_workload(model, **({"tasks": 10, "seed": 1} | arguments))


def test_parameters_may_be_texts_and_are_reported() -> None:
    generated = generate_workload("mixed", tasks=5, seed=1, parameters={"rate": "2", "hybrid": "no", "users": "3"})
    assert generated.parameters["rate"] == 2.0
    assert generated.parameters["users"] == 3
    assert not generated.workload.hybrid.any()
    assert generated.workload.gpus.tolist() == [0] * 5


def test_lublin_sizes_follow_the_two_stage_uniform() -> None:
    tasks = tasks_of("lublin", tasks=200_000)
    model = LublinParameters()
    assert (tasks.cpus == 1).mean() == pytest.approx(model.serial_probability, abs=0.005)
    parallel = tasks.cpus[tasks.cpus > 1]
    powers = np.log2(parallel) % 1 == 0
    # Powers of two come from their own share and, seldom, from rounding in the other.
    assert powers.mean() >= model.power_of_two_probability / (1 - model.serial_probability) - 0.005
    assert tasks.cpus.max() == 256
    logarithms = np.log2(parallel)
    medium, high = 8 - 2.5, 8.0
    mean = model.size_probability * (0.8 + medium) / 2 + (1 - model.size_probability) * (medium + high) / 2
    assert logarithms.mean() == pytest.approx(mean, abs=0.03)


def test_lublin_run_times_follow_the_hyper_gamma() -> None:
    tasks = tasks_of("lublin", tasks=200_000)
    model = LublinParameters()
    logarithms = np.log(tasks.runtime + 0.5)
    for size in (1.0, 32.0):
        share = model.pa * size + model.pb
        mean = share * model.a1 * model.b1 + (1 - share) * model.a2 * model.b2
        # Cutting at e^12 s takes a little off the long tail.
        assert logarithms[tasks.cpus == size].mean() == pytest.approx(mean, abs=0.08)
    assert np.log(tasks.runtime.max()) <= 12
    assert (tasks.runtime == np.floor(tasks.runtime)).all()
    big, small = tasks.runtime[tasks.cpus >= 64], tasks.runtime[tasks.cpus == 1]
    assert big.mean() > small.mean()


def test_lublin_arrivals_follow_the_daily_cycle() -> None:
    model = LublinParameters()
    weights = daily_weights(model)
    assert weights.mean() == pytest.approx(1)
    assert 24 <= weights.argmax() <= 32
    arrivals = tasks_of("lublin", tasks=300_000).arrival_time
    share = np.bincount((arrivals % 86_400 // 1800).astype(int), minlength=48) / len(arrivals) * 48
    assert np.abs(share - weights).max() < 0.1


def test_a_day_of_points_is_a_day_of_seconds() -> None:
    model = LublinParameters()
    np.testing.assert_allclose(arrival_times(np.array([0.0, 86_400.0, 864_000.0]), model), [0, 86_400, 864_000])
    assert (np.diff(arrival_times(np.linspace(0, 200_000, 5000), model)) > 0).all()


@pytest.mark.parametrize("processors", [1, 2, 3, 8, 100, 1000])
def test_lublin_jobs_fit_the_machine(processors: int) -> None:
    sizes = tasks_of("lublin", processors=processors).cpus
    assert sizes.min() == 1
    assert sizes.max() <= processors
    assert (sizes == np.floor(sizes)).all()


def test_lublin_resembles_the_published_sample(trace_path: Callable[[str], Path]) -> None:
    sample = read_trace(trace_path("lublin_256.swf")).workload
    tasks = tasks_of("lublin", tasks=50_000)
    assert (tasks.cpus == 1).mean() == pytest.approx((sample.cpus == 1).mean(), abs=0.02)
    assert tasks.cpus.mean() == pytest.approx(sample.cpus.mean(), rel=0.05)
    assert tasks.runtime.mean() == pytest.approx(sample.runtime.mean(), rel=0.05)
    assert np.median(tasks.runtime) == pytest.approx(np.median(sample.runtime), rel=0.2)
    gaps, expected = (np.quantile(np.diff(each.arrival_time), [0.1, 0.5, 0.9]) for each in (tasks, sample))
    np.testing.assert_allclose(gaps, expected, rtol=0.1)


def test_mixed_tasks_have_the_prototypes_mix() -> None:
    tasks = tasks_of("mixed", tasks=200_000)
    model = MixedParameters()
    assert np.diff(tasks.arrival_time).mean() == pytest.approx(1 / model.rate, rel=0.02)
    assert tasks.size.min() >= model.size_low
    assert tasks.size.max() == model.size_high
    # P(size > x) = (low / x)^shape
    assert (tasks.size >= 400).mean() == pytest.approx(0.25**model.pareto_shape, abs=0.005)
    assert (tasks.compute_intensity < 0.5).mean() == pytest.approx(model.memory_bound_share, abs=0.01)
    assert tasks.memory_mb.min() == model.memory_low
    assert tasks.memory_mb.max() == model.memory_high
    assert np.corrcoef(tasks.size, tasks.memory_mb)[0, 1] > 0.7
    expected = (tasks.size / 1000) ** 1.5 / (tasks.compute_intensity + 0.5)
    np.testing.assert_allclose(tasks.runtime, expected, atol=1e-6)
    assert tasks.hybrid.all()
    assert len(set(tasks.user.texts())) == model.users


def test_mixed_tasks_depend_on_one_to_three_different_earlier_ones() -> None:
    tasks = tasks_of("mixed", tasks=50_000)
    counts = np.diff(tasks.parents.offsets)
    assert (counts > 0).mean() == pytest.approx(0.2, abs=0.01)
    assert set(np.unique(counts)) == {0, 1, 2, 3}
    distances = np.repeat(np.arange(50_000), counts) - tasks.parents.rows
    assert distances.min() == 1
    assert distances.max() == 50
    assert all(len(set(parents)) == len(parents) for parents in tasks.dependencies())
    # Each of the fifty before is as likely as any other.
    shares = np.bincount(distances[np.repeat(np.arange(50_000), counts) >= 50])[1:] / len(distances) * 50
    assert np.abs(shares - 1).max() < 0.15


def test_mixed_dependencies_work_at_the_very_start() -> None:
    tasks = tasks_of("mixed", tasks=6, dependency_share=1)
    assert [len(parents) > 0 for parents in tasks.dependencies()] == [False, True, True, True, True, True]
    assert all(len(parents) <= place for place, parents in enumerate(tasks.dependencies()))
