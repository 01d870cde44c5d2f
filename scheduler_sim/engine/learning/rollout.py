"""Plays many short sequences with one learned score in one compiled call: what policy search evaluates.

The event loop is the very one that serves the policy afterwards (`kernels/pool/learned.py`), so that a score found here
behaves in a run as it did in the search.
"""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.demand import check_pool
from scheduler_sim.engine.errors import InvalidWorkload
from scheduler_sim.engine.formulas import bounded_slowdown_compiled
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.calling import Call, make_call
from scheduler_sim.engine.kernels.pool.learned import Queue, advance_learned, make_queue
from scheduler_sim.engine.kernels.pool.state import FIELDS, FREE, Run, Tasks
from scheduler_sim.engine.policies.scoring import task_features
from scheduler_sim.engine.workload import FloatArray, IntArray, Workload

OBJECTIVES = ("bsld", "jct", "wait")
"""Mean bounded slowdown, mean completion time and mean wait of a sequence: columns of what `play` returns."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """S sequences of n tasks, shape (S, n) each, rows in canonical order; every one begins on an idle pool.

    Attributes:
        arrival, duration, expected: seconds.
        cpus: processors held.
        features: shape (S, n, 2), see `scoring.task_features`.
        processors: of the pool.
    """

    arrival: FloatArray
    duration: FloatArray
    expected: FloatArray
    cpus: IntArray
    features: FloatArray
    processors: int

    def __len__(self) -> int:
        return len(self.arrival)

    @classmethod
    def of(
        cls, *, arrival: FloatArray, duration: FloatArray, expected: FloatArray, cpus: IntArray, processors: int
    ) -> "Sequences":
        """Add the features to columns."""
        return cls(
            arrival=np.ascontiguousarray(arrival),
            duration=np.ascontiguousarray(duration),
            expected=np.ascontiguousarray(expected),
            cpus=np.ascontiguousarray(cpus),
            features=task_features(expected, cpus.astype(np.float64), np.full(cpus.shape, float(processors))),
            processors=processors,
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
        return cls.of(
            arrival=workload.arrival_time[rows],
            duration=workload.runtime[rows],
            expected=workload.duration_estimate[rows],
            cpus=workload.cpus[rows].astype(np.int64),
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


def play(sequences: Sequences, parameters: FloatArray, backfill: int) -> FloatArray:
    """Return the figures of each sequence under one learned score, shape (S, 3), columns as in `OBJECTIVES`."""
    figures = np.empty((len(sequences), len(OBJECTIVES)))
    length = sequences.arrival.shape[1]
    _play_all(
        backfill,
        sequences.processors,
        sequences.arrival,
        sequences.duration,
        sequences.expected,
        sequences.cpus,
        sequences.features,
        parameters,
        idle_run(length, sequences.processors),
        make_queue(length, min(length, sequences.processors), len(parameters)),
        np.empty(0),
        make_call(None, cores=sequences.processors, gpus=0),
        figures,
    )
    return figures


@kernel
def _play_all(
    backfill: int,
    processors: int,
    arrival: FloatArray,
    duration: FloatArray,
    expected: FloatArray,
    cpus: IntArray,
    features: FloatArray,
    parameters: FloatArray,
    run: Run,
    queue: Queue,
    unused: FloatArray,
    call: Call,
    figures: FloatArray,
) -> None:
    count, length = arrival.shape
    counts, clock, start, finish = run.counts, run.clock, run.start, run.finish
    for s in range(count):
        tasks = Tasks(arrival[s], duration[s], expected[s], cpus[s], unused, unused)
        counts[:] = 0
        counts[FREE] = processors
        clock[:] = arrival[s, 0]
        start[:] = np.nan
        advance_learned(
            backfill, processors, tasks, run, queue, features[s], parameters, call, np.inf, np.iinfo(np.int64).max
        )
        slowdown, completion, wait = 0.0, 0.0, 0.0
        for i in range(length):
            time = finish[i] - arrival[s, i]
            slowdown += bounded_slowdown_compiled(time, duration[s, i])
            completion += time
            wait += start[i] - arrival[s, i]
        figures[s, 0] = slowdown / length
        figures[s, 1] = completion / length
        figures[s, 2] = wait / length
