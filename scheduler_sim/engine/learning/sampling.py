"""Sequences to search on: windows of a training part, varied so that a score cannot learn them by heart."""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.clusters.demand import check_pool
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.formulas import SHORTEST_RUN
from scheduler_sim.engine.learning.sequences import Sequences
from scheduler_sim.engine.policies.past_scoring import numbered
from scheduler_sim.engine.units import SECONDS_PER_DAY
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload


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

NEIGHBOURS = 4
"""Tasks of a user before and behind one over which its urgency is smoothed."""

AS_RECORDED = Variation(slowest=1.0, fastest=1.0, resampled=0.0)


TRAINING = 0.35
"""The share of the tasks, the earliest ones, that candidates play in a search."""


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
    def of(cls, workload: Workload, *, length: int, training: float = TRAINING, validation: float = 0.15) -> "Parts":
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
    *,
    people: "People | None" = None,
) -> Sequences:
    """Draw `count` varied windows at random places of `workload`.

    Args:
        people: those behind its tasks: sequences are put together anew from users, and name theirs; None: from days and
            tasks, and name nobody, since a task drawn alone has no past.
    """
    check_pool(workload, processors)
    variation = variation or Variation()
    if people is None:
        rows, arrival = draw(workload, count, length, generator, variation)
        user, kind = np.full((2, count, length), -1)
    else:
        rows, arrival, user, kind = people.draw(workload, count, length, generator, variation)
    return Sequences.of(
        arrival=arrival,
        duration=workload.runtime[rows],
        expected=workload.duration_estimate[rows],
        cpus=workload.cpus[rows].astype(np.int64),
        user=user,
        kind=kind,
        processors=processors,
        urgency=None if people is None else people.urgency[rows],
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
    return rows, _paced(arrival, generator, variation)


def _paced(arrival: FloatArray, generator: np.random.Generator, variation: Variation) -> FloatArray:
    """Scale the gaps between the arrivals of each sequence, shape (count, length)."""
    first = arrival[:, :1]
    pace = generator.uniform(variation.fastest, variation.slowest, (len(arrival), 1))
    paced: FloatArray = first + (arrival - first) * pace
    return paced


@dataclass(frozen=True, eq=False)
class People:
    """Who is behind the tasks of a workload, for sequences that are put together anew from users.

    As many users as there are are drawn with replacement, each with all tasks, moved by a random number of whole days:
    they come in their order around the workload, what is moved beyond its end at its begin (Zakay & Feitelson, Workload
    resampling for performance evaluation of parallel job schedulers, Concurrency Computat.: Pract. Exper. 2014). So
    what one task of a user says of the next is kept.

    Attributes:
        user, kind: shape (n,), see `past_scoring.numbered`.
        time: shape (n,), arrivals since the midnight before the first.
        urgency: shape (n,), the mean of 1 / max(run time, 10 s) over nine neighbouring tasks of the user. A task costs
            that much bounded slowdown for each second that it waits. Judged by single run times, a search follows the
            few tasks that broke off at once: on the first half of KTH-SP2 one in a hundred makes more than half of it.
    """

    user: IntArray
    kind: IntArray
    time: FloatArray
    urgency: FloatArray

    @classmethod
    def of(cls, workload: Workload) -> "People":
        """Number them."""
        user, kind = numbered(workload)
        first = workload.arrival_time[:1].sum()
        time = workload.arrival_time - SECONDS_PER_DAY * np.floor(first / SECONDS_PER_DAY)
        return cls(user, kind, time, _smoothed(1.0 / np.maximum(workload.runtime, SHORTEST_RUN), user))

    def draw(
        self, workload: Workload, count: int, length: int, generator: np.random.Generator, variation: Variation
    ) -> tuple[IntArray, FloatArray, IntArray, IntArray]:
        """Draw which tasks `count` windows hold, when these arrive, and their users and kinds; (count, length) each."""
        offsets = generator.integers(0, len(workload) - length, count, endpoint=True)
        rows: IntArray = offsets[:, None] + np.arange(length)
        arrival = workload.arrival_time[rows]
        user, kind = self.user[rows], self.kind[rows]
        for sequence in np.flatnonzero(generator.random(count) < variation.resampled):
            rows[sequence], arrival[sequence], copy = self.gather(length, generator)
            user[sequence] = self.copied(self.user, rows[sequence], copy)
            kind[sequence] = self.copied(self.kind, rows[sequence], copy)
        return rows, _paced(arrival, generator, variation), user, kind

    def gather(self, length: int, generator: np.random.Generator) -> tuple[IntArray, FloatArray, IntArray]:
        """Return the rows of a sequence, when they arrive, and which copy of its user each belongs to."""
        users = int(self.user.max(initial=-1)) + 2
        # Tasks that name nobody are those of one more user.
        owner = np.where(self.user < 0, users - 1, self.user)
        span = SECONDS_PER_DAY * (np.floor(self.time.max() / SECONDS_PER_DAY) + 1.0)
        rows: list[IntArray] = []
        times: list[FloatArray] = []
        copies: list[IntArray] = []
        found = 0
        while found < length:
            drawn = np.bincount(generator.choice(np.unique(owner), len(np.unique(owner))), minlength=users)
            for copy in range(drawn.max()):
                chosen = np.flatnonzero(drawn[owner] > copy)
                moved = SECONDS_PER_DAY * generator.integers(0, round(span / SECONDS_PER_DAY), users)
                rows.append(chosen)
                times.append((self.time[chosen] + moved[owner[chosen]]) % span)
                copies.append(np.full(len(chosen), len(copies)))
                found += len(chosen)
        joined = np.concatenate(times)
        sequence = np.argsort(joined, kind="stable")
        begin = generator.integers(0, len(joined) - length, endpoint=True)
        sequence = sequence[begin : begin + length]
        return np.concatenate(rows)[sequence], joined[sequence], np.concatenate(copies)[sequence]

    @staticmethod
    def copied(numbers: IntArray, rows: IntArray, copy: IntArray) -> IntArray:
        """Return numbers of which each copy has its own, -1 where there was none; consecutive from 0."""
        known = numbers[rows] >= 0
        apart = np.where(known, numbers[rows] + copy * (numbers.max(initial=-1) + 1), -1)
        return np.where(known, np.unique(apart, return_inverse=True)[1].reshape(-1) - int((~known).any()), -1)


def _smoothed(values: FloatArray, user: IntArray) -> FloatArray:
    """Return the mean of each value with up to `NEIGHBOURS` before and behind it of the same user, shape (n,)."""
    smooth = values.copy()
    for one in np.unique(user[user >= 0]):
        rows = np.flatnonzero(user == one)
        place = np.arange(len(rows))
        first, end = np.maximum(place - NEIGHBOURS, 0), np.minimum(place + NEIGHBOURS + 1, len(rows))
        sums = np.concatenate(([0.0], np.cumsum(values[rows])))
        smooth[rows] = (sums[end] - sums[first]) / (end - first)
    return smooth


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
