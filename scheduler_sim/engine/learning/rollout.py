"""Plays many short sequences with one learned score in one compiled call: what policy search evaluates.

The event loop is the very one that serves the policy afterwards (`kernels/pool/learned.py`), so that a score found here
behaves in a run as it did in the search.
"""

import numpy as np

from scheduler_sim.engine.formulas import bounded_slowdown_compiled
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.calling import Call, make_call
from scheduler_sim.engine.kernels.pool.learned import Queue, advance_learned, make_queue
from scheduler_sim.engine.kernels.pool.state import FREE, Run, Tasks
from scheduler_sim.engine.learning.sequences import Sequences, idle_run
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

OBJECTIVES = ("bsld", "jct", "wait")
"""Mean bounded slowdown, mean completion time and mean wait of a sequence: columns of what `play` returns."""


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
