"""Sequences to search on: windows of a training part, varied so that a score cannot learn them by heart."""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.demand import check_pool
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.learning.rollout import Sequences
from scheduler_sim.engine.units import SECONDS_PER_DAY
from scheduler_sim.engine.workload import FloatArray, IntArray, Workload


@dataclass(frozen=True)
class Variation:
    """How sampled sequences differ from the trace.

    Attributes:
        slowest, fastest: the arrivals' gaps are scaled by a factor drawn uniformly between these two, which changes
            the load.
        resampled: the share of sequences that are put together anew from the whole part: days of arrivals in a random
            order, and on them tasks drawn with replacement (a bootstrap of days, and one of run times and sizes).
    """

    slowest: float = 1.2
    fastest: float = 0.85
    resampled: float = 1.0


FEWEST_DAYS = 7
"""A part with fewer days of arrivals has too few to choose from; its windows keep the arrivals they have."""

AS_RECORDED = Variation(slowest=1.0, fastest=1.0, resampled=0.0)


@dataclass(frozen=True, eq=False)
class Parts:
    """A workload cut in time: what is searched on, what chooses among candidates, what nobody has seen.

    Attributes:
        training, validation, test: consecutive parts, in this order.
        both: the first two.
    """

    training: Workload
    validation: Workload
    test: Workload
    both: Workload

    @classmethod
    def of(cls, workload: Workload, *, length: int, training: float = 0.35, validation: float = 0.15) -> "Parts":
        """Cut by share of the tasks; the rest is the test part.

        Raises:
            InvalidParameter: a part that does not hold one sequence of `length` tasks.
        """
        first = round(len(workload) * training)
        second = round(len(workload) * (training + validation))
        parts = cls(
            training=workload.take(np.arange(first)),
            validation=workload.take(np.arange(first, second)),
            test=workload.take(np.arange(second, len(workload))),
            both=workload.take(np.arange(second)),
        )
        shortest = min(len(parts.training), len(parts.validation), len(parts.test))
        if shortest < length:
            raise InvalidParameter(
                f"The smallest part of {len(workload)} tasks holds {shortest}, fewer than one sequence of {length}; "
                "choose shorter sequences or a longer workload."
            )
        return parts


def evenly_spaced(workload: Workload, count: int, length: int, processors: int) -> Sequences:
    """Cut `count` windows as recorded, the first at the beginning and the last at the end; they may overlap."""
    offsets = np.linspace(0, len(workload) - length, count).astype(np.int64)
    return Sequences.windows(workload, offsets, length, processors)


def sample(
    workload: Workload,
    count: int,
    length: int,
    processors: int,
    generator: np.random.Generator,
    variation: Variation | None = None,
) -> Sequences:
    """Draw `count` varied windows at random places of `workload`."""
    check_pool(workload, processors)
    rows, arrival = draw(workload, count, length, generator, variation or Variation())
    return Sequences.of(
        arrival=arrival,
        duration=workload.runtime[rows],
        expected=workload.duration_estimate[rows],
        cpus=workload.cpus[rows].astype(np.int64),
        processors=processors,
    )


def draw(
    workload: Workload, count: int, length: int, generator: np.random.Generator, variation: Variation
) -> tuple[IntArray, FloatArray]:
    """Draw which tasks `count` varied windows hold, and when these arrive, seconds; shape (count, length) each."""
    offsets = generator.integers(0, len(workload) - length, count, endpoint=True)
    rows: IntArray = offsets[:, None] + np.arange(length)
    arrival = workload.arrival_time[rows]
    anew = np.flatnonzero(generator.random(count) < variation.resampled)
    rows[anew] = generator.integers(0, len(workload), (len(anew), length))
    days = days_of(workload.arrival_time)
    if len(days) >= FEWEST_DAYS:
        for sequence in anew:
            arrival[sequence] = _joined(days, length, generator)
    first = arrival[:, :1]
    return rows, first + (arrival - first) * generator.uniform(variation.fastest, variation.slowest, (count, 1))


def days_of(arrival: FloatArray) -> list[FloatArray]:
    """Return the arrivals of each day that has some, in seconds since its midnight; not the first and the last day."""
    day = np.floor(arrival / SECONDS_PER_DAY)
    cuts = np.flatnonzero(np.diff(day)) + 1
    return [part - SECONDS_PER_DAY * np.floor(part[0] / SECONDS_PER_DAY) for part in np.split(arrival, cuts)[1:-1]]


def _joined(days: list[FloatArray], length: int, generator: np.random.Generator) -> FloatArray:
    """Return the arrival times of `length` tasks on days in a random order, from a random task of the first one on."""
    parts = [days[generator.integers(len(days))]]
    parts[0] = parts[0][generator.integers(len(parts[0])) :]
    found = len(parts[0])
    while found < length:
        parts.append(days[generator.integers(len(days))] + SECONDS_PER_DAY * len(parts))
        found += len(parts[-1])
    return np.concatenate(parts)[:length]
