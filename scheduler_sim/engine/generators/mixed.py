"""The task mix of the older prototype: hybrid tasks for a workstation with a few GPUs.

Arrivals are a Poisson process. Sizes are Pareto. The compute intensity has two peaks, one of tasks bound by
memory and one of tasks bound by arithmetic. The memory grows with the size, with noise. The run time grows
with the size to the power 1.5 and falls with the intensity. A share of the tasks depends on one to three
of the fifty tasks before it.

The generator draws, in this order, each for all tasks before the next: interarrival times, sizes, which
peak, the intensity around it, the memory's noise, whether a task has parents, how many, the parents, and
the user. Times are rounded to the microsecond and the rest to whole numbers or three digits, so that the
last bits of a mathematical library cannot show.
"""

from dataclasses import dataclass, replace

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.generators.draws import numbered, scale_to_load, zipf
from scheduler_sim.engine.generators.registry import Generator, Parameters, parameter, part, register
from scheduler_sim.engine.workloads.workload import Labels, Parents, Workload

MOST_PARENTS = 3
TIME_DIGITS = 6
INTENSITY_DIGITS = 3

_UNIT_SIZE = 1000.0
"""A task of this size and of intensity 0.5 runs for one second."""

_GROWTH = 1.5
_LEAST_INTENSITY = 0.05
_SPREAD = 0.1


@dataclass(frozen=True)
class MixedParameters(Parameters):
    """Parameters with the older prototype's values."""

    rate: float = parameter(100.0, "mean arrivals a second; replaced by `load` where that is given", low=1e-9, high=1e9)
    load: float | None = parameter(
        None, "offered load (core-seconds) on `processors` to reach by scaling the arrivals", low=1e-6, high=1000
    )
    processors: int = parameter(16, "cores that `load` refers to", kind=int, low=1, high=2**24)
    pareto_shape: float = parameter(1.5, "tail of the sizes; smaller is heavier", low=0.1, high=100)
    size_low: float = parameter(100.0, "smallest size", low=1, high=1e9)
    size_high: float = parameter(5000.0, "largest size", low=1, high=1e9)
    memory_bound_share: float = part(0.3, "share of tasks around the lower peak")
    low_peak: float = part(0.2, "compute intensity of memory-bound tasks")
    high_peak: float = part(0.8, "compute intensity of compute-bound tasks")
    memory_low: float = parameter(10.0, "least memory, MB", low=0, high=1e9)
    memory_high: float = parameter(500.0, "most memory, MB", low=0, high=1e9)
    dependency_share: float = part(0.2, "share of tasks that depend on earlier ones")
    window: int = parameter(50, "how far back the parents may lie, tasks", kind=int, low=1, high=10**6)
    users: int = parameter(8, "number of users; the k-th submits in proportion to 1/k", kind=int, low=1, high=10**5)
    hybrid: bool = parameter(True, "tasks may be split between CPU and GPU; else they hold one core", kind=bool)


def generate(tasks: int, parameters: MixedParameters, generator: np.random.Generator) -> Workload:
    """Draw tasks that may be split between one core and one GPU.

    Raises:
        InvalidParameter: a lower bound above its upper bound, or a load that cannot be reached because all
            tasks arrive at once.
    """
    for low, high in (("size_low", "size_high"), ("memory_low", "memory_high")):
        if getattr(parameters, low) > getattr(parameters, high):
            raise InvalidParameter(f"Parameter {low} must not be larger than {high}.")
    arrivals = np.cumsum(generator.standard_exponential(tasks)) / parameters.rate
    sizes = (generator.pareto(parameters.pareto_shape, tasks) + 1.0) * parameters.size_low
    sizes = np.floor(np.minimum(sizes, parameters.size_high))
    memory_bound = generator.random(tasks) < parameters.memory_bound_share
    peaks = np.where(memory_bound, parameters.low_peak, parameters.high_peak)
    intensity = np.clip(peaks + _SPREAD * generator.standard_normal(tasks), _LEAST_INTENSITY, 1.0)
    intensity = np.round(intensity, INTENSITY_DIGITS)
    memory = sizes / parameters.size_high + _SPREAD * generator.standard_normal(tasks)
    memory = np.floor(np.clip(memory * parameters.memory_high, parameters.memory_low, parameters.memory_high))
    runtimes = np.round((sizes / _UNIT_SIZE) ** _GROWTH / (intensity + 0.5), TIME_DIGITS)
    parents = _parents(tasks, parameters, generator)
    users = Labels(codes=zipf(tasks, parameters.users, generator), names=numbered("user", parameters.users))
    if parameters.load is not None:
        arrivals *= scale_to_load(arrivals, runtimes, parameters.load * parameters.processors)
    workload = Workload.from_columns(
        arrival_time=np.round(arrivals, TIME_DIGITS),
        runtime=runtimes,
        size=sizes,
        compute_intensity=intensity,
        memory_mb=memory,
        hybrid=np.full(tasks, parameters.hybrid),
        user=users,
    )
    # Parents lie above their children, so the rows are in canonical order and cannot be circular.
    return replace(workload, parents=parents)


def _parents(tasks: int, parameters: MixedParameters, generator: np.random.Generator) -> Parents:
    """Choose for a share of the tasks one to three different ones of the `window` before it."""
    behind = np.minimum(np.arange(tasks), parameters.window)
    depends = generator.random(tasks) < parameters.dependency_share
    counts = generator.integers(1, np.maximum(np.minimum(behind, MOST_PARENTS), 1), endpoint=True)
    counts = np.where(depends & (behind > 0), counts, 0)
    draws = generator.random((MOST_PARENTS, tasks))
    chosen: list[np.ndarray] = []
    for place in range(MOST_PARENTS):
        # The k-th choice is among what is left: its number skips those already taken, smallest first.
        steps = np.floor(draws[place] * np.maximum(behind - place, 1)).astype(np.int64)
        for taken in np.sort(np.array(chosen).reshape(place, tasks), axis=0):
            steps += steps >= taken
        chosen.append(steps)
    rows = np.arange(tasks)[:, None] - 1 - np.array(chosen).T
    rows = np.sort(np.where(np.arange(MOST_PARENTS) < counts[:, None], rows, tasks), axis=1)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    return Parents(offsets=offsets, rows=rows[rows < tasks])


MIXED = register(
    Generator(
        name="mixed",
        description="hybrid CPU/GPU tasks with dependencies, the task mix of the older prototype",
        parameters=MixedParameters,
        generate=generate,
    )
)
