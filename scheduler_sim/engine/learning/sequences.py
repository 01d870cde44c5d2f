"""Short sequences of tasks that a search plays in one compiled call."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.clusters.demand import check_pool
from scheduler_sim.engine.errors import InvalidWorkload
from scheduler_sim.engine.kernels.pool.state import FIELDS, FREE, Run
from scheduler_sim.engine.policies.past_scoring import numbered
from scheduler_sim.engine.policies.scoring import task_features
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload


class Columns(NamedTuple):
    """What compiled code takes of the tasks of sequences, see `Sequences`."""

    arrival: FloatArray
    duration: FloatArray
    expected: FloatArray
    cpus: IntArray
    features: FloatArray


@dataclass(frozen=True, eq=False)
class Sequences:
    """S sequences of n tasks, shape (S, n) each, rows in canonical order; every one begins on an idle pool.

    Attributes:
        arrival, duration, expected: seconds.
        cpus: processors held.
        features: shape (S, n, 2), see `scoring.task_features`.
        user, kind: numbers, see `past_scoring.numbered`.
        urgency: bounded slowdown that a task costs for each second that it waits, where that is smoothed (see
            `sampling.People`); None for what each task's own run time makes of it.
        processors: of the pool.
    """

    arrival: FloatArray
    duration: FloatArray
    expected: FloatArray
    cpus: IntArray
    features: FloatArray
    user: IntArray
    kind: IntArray
    processors: int
    urgency: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.arrival)

    @property
    def columns(self) -> Columns:
        """What every play takes of the tasks."""
        return Columns(self.arrival, self.duration, self.expected, self.cpus, self.features)

    @classmethod
    def of(
        cls,
        *,
        arrival: FloatArray,
        duration: FloatArray,
        expected: FloatArray,
        cpus: IntArray,
        user: IntArray,
        kind: IntArray,
        processors: int,
        urgency: FloatArray | None = None,
    ) -> "Sequences":
        """Add the features to columns."""
        return cls(
            arrival=np.ascontiguousarray(arrival),
            duration=np.ascontiguousarray(duration),
            expected=np.ascontiguousarray(expected),
            cpus=np.ascontiguousarray(cpus),
            features=task_features(expected, cpus.astype(np.float64), np.full(cpus.shape, float(processors))),
            user=np.ascontiguousarray(user),
            kind=np.ascontiguousarray(kind),
            processors=processors,
            urgency=urgency,
        )

    @classmethod
    def windows(cls, workload: Workload, offsets: IntArray, length: int, processors: int) -> "Sequences":
        """Cut a window of `length` tasks at each offset; times stay on the workload's clock.

        Raises:
            InvalidWorkload: a window that goes beyond the workload, or tasks that a pool cannot play.
        """
        if len(offsets) and (offsets.min() < 0 or offsets.max() + length > len(workload)):
            raise InvalidWorkload(f"A window of {length} tasks does not fit into {len(workload)} tasks.")
        check_pool(workload, processors)
        rows = offsets[:, None] + np.arange(length)
        user, kind = numbered(workload)
        return cls.of(
            arrival=workload.arrival_time[rows],
            duration=workload.runtime[rows],
            expected=workload.duration_estimate[rows],
            cpus=workload.cpus[rows].astype(np.int64),
            user=user[rows],
            kind=kind[rows],
            processors=processors,
        )


def idle_run(length: int, processors: int) -> Run:
    """Return the state of a pool before anything has happened."""
    run = Run(
        counts=np.zeros(FIELDS, np.int64),
        clock=np.full(2, -np.inf),
        start=np.full(length, np.nan),
        finish=np.full(length, np.nan),
        order=np.empty(length, np.int64),
        end_times=np.empty(length),
        end_rows=np.empty(length, np.int64),
    )
    run.counts[FREE] = processors
    return run
