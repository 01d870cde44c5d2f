"""Plays many short sequences with one learned score in one compiled call: what policy search evaluates.

The event loop is the very one that serves the policy afterwards (`kernels/pool/learned.py`), so that a score found here
behaves in a run as it did in the search.
"""

import numpy as np

from scheduler_sim.engine.jit import bare_kernel, kernel
from scheduler_sim.engine.kernels.calling import Call, make_call
from scheduler_sim.engine.kernels.choices.figures import tell_figures
from scheduler_sim.engine.kernels.pool.learned import Queue, advance_learned, make_queue
from scheduler_sim.engine.kernels.pool.state import FREE, Run, Tasks
from scheduler_sim.engine.learning.sequences import Columns, Sequences, idle_run
from scheduler_sim.engine.workloads.workload import FloatArray

OBJECTIVES = ("bsld", "jct", "wait")
"""Mean bounded slowdown, mean completion time and mean wait of a sequence: columns of what `play` returns."""


def play(sequences: Sequences, parameters: FloatArray, backfill: int) -> FloatArray:
    """Return the figures of each sequence under one learned score, shape (S, 3), columns as in `OBJECTIVES`."""
    figures = np.empty((len(sequences), len(OBJECTIVES)))
    length = sequences.arrival.shape[1]
    _play_all(
        backfill,
        sequences.processors,
        sequences.columns,
        parameters,
        idle_run(length, sequences.processors),
        make_queue(length, min(length, sequences.processors), len(parameters)),
        np.empty(0),
        make_call(None, cores=sequences.processors, gpus=0),
        figures,
    )
    return figures


@bare_kernel
def begin(run: Run, processors: int, time: float) -> None:
    """Let a pool be idle at a time, before anything has arrived."""
    run.counts[:] = 0
    run.counts[FREE] = processors
    run.clock[:] = time
    run.start[:] = np.nan


@kernel
def _play_all(
    backfill: int,
    processors: int,
    played: Columns,
    parameters: FloatArray,
    run: Run,
    queue: Queue,
    unused: FloatArray,
    call: Call,
    figures: FloatArray,
) -> None:
    arrival, duration, cpus = played.arrival, played.duration, played.cpus
    for s in range(len(arrival)):
        tasks = Tasks(arrival[s], duration[s], played.expected[s], cpus[s], unused, unused)
        begin(run, processors, arrival[s, 0])
        features = played.features[s]
        advance_learned(
            backfill, processors, tasks, run, queue, features, parameters, call, None, np.inf, np.iinfo(np.int64).max
        )
        tell_figures(arrival[s], run.start, run.finish, duration[s], figures[s])
