"""Plays many sequences with one score that looks at users' past, as `rollout` does with the others."""

import numpy as np

from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.calling import Call, make_call
from scheduler_sim.engine.kernels.choices.figures import tell_figures
from scheduler_sim.engine.kernels.pool.followed import Followed
from scheduler_sim.engine.kernels.pool.learned import Queue, advance_learned, make_queue
from scheduler_sim.engine.kernels.pool.regression import Regression, make_regression
from scheduler_sim.engine.kernels.pool.reordered import Predictions
from scheduler_sim.engine.kernels.pool.state import Run, Tasks
from scheduler_sim.engine.learning.rollout import begin
from scheduler_sim.engine.learning.sequences import Columns, Sequences, idle_run
from scheduler_sim.engine.policies.past_scoring import Past, make_past
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


def play_informed(sequences: Sequences, parameters: FloatArray, backfill: int, *, predict: bool) -> FloatArray:
    """Return the figures of each sequence, shape (S, 3), columns as in `rollout.OBJECTIVES`.

    Args:
        sequences: what is played, by users that are numbered.
        parameters: of the score.
        backfill: none, list or easy.
        predict: whether run times are expected as `easy(predict=last_two)` does.
    """
    figures = np.empty((len(sequences), 3))
    length = sequences.arrival.shape[1]
    past = make_past(sequences.user, sequences.kind)
    _play_all(
        backfill,
        predict,
        sequences.processors,
        sequences.columns,
        sequences.user,
        past.user,
        past.kind,
        past.of_user,
        past.of_kind,
        np.empty((3, length)),
        np.empty((2, len(past.of_user))),
        parameters,
        idle_run(length, sequences.processors),
        make_queue(length, min(length, sequences.processors), len(parameters)),
        np.empty((2, length), np.int64),
        make_call(None, cores=sequences.processors, gpus=0),
        make_regression(0, 0),
        np.empty(0),
        np.empty((0, 0)) if sequences.urgency is None else sequences.urgency,
        figures,
    )
    return figures


@kernel
def _play_all(
    backfill: int,
    predict: bool,
    processors: int,
    played: Columns,
    predicted_user: IntArray,
    user: IntArray,
    kind: IntArray,
    of_user: FloatArray,
    of_kind: FloatArray,
    told: FloatArray,
    last: FloatArray,
    parameters: FloatArray,
    run: Run,
    queue: Queue,
    queued: IntArray,
    call: Call,
    regression: Regression,
    unused: FloatArray,
    urgency: FloatArray,
    figures: FloatArray,
) -> None:
    arrival, duration, expected, cpus = played.arrival, played.duration, played.expected, played.cpus
    count, length = arrival.shape
    for s in range(count):
        for i in range(length):
            told[0, i] = told[1, i] = expected[s, i]
        tasks = Tasks(arrival[s], duration[s], told[0], cpus[s], unused, unused)
        begin(run, processors, arrival[s, 0])
        of_user[:] = 0.0
        of_kind[:] = 0.0
        last[:] = np.nan
        past = Past(user[s], kind[s], of_user, of_kind)
        foretold = predicted_user[s, : length if predict else 0]
        predictions = Predictions(foretold, last[0], last[1], expected[s], 0, told[1], told[2], regression)
        advance_learned(
            backfill,
            processors,
            tasks,
            run,
            queue,
            played.features[s],
            parameters,
            call,
            Followed(past, predictions, queued[0], queued[1]),
            np.inf,
            np.iinfo(np.int64).max,
        )
        tell_figures(arrival[s], run.start, run.finish, duration[s], figures[s])
        if len(urgency) > 0:
            slowdown = 0.0
            for i in range(length):
                slowdown += 1.0 + (run.start[i] - arrival[s, i]) * urgency[s, i]
            figures[s, 0] = slowdown / length
