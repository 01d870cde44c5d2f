"""The event loop of a pool for learned scores that look at what users have done, with or without predicted run times.

It goes on as `learned` does: every score is computed once an instant, before anything starts, and nothing is computed
while no queued task would fit. What has finished at an instant is known before its scores are computed.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.codes import EASY, LIST, NONE, QUEUED, RUNNING
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.pool.instants import goes_on
from scheduler_sim.engine.kernels.pool.learned import Queue, lowest, make_queue, some_fit
from scheduler_sim.engine.kernels.pool.loop import arrive, arrives_by, begin, ends_by, release
from scheduler_sim.engine.kernels.pool.reordered import Predictions, correct, predict_run
from scheduler_sim.engine.kernels.pool.state import FREE, Run, Tasks
from scheduler_sim.engine.kernels.structures.planned_ends import add_end, drop_end, shadow
from scheduler_sim.engine.policies import Scores
from scheduler_sim.engine.policies.past_scoring import HELD, WAITING, Past, fold, make_past, note_end, rate_by_past
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


class Waiting(NamedTuple):
    """The queued tasks, and whose they are.

    Attributes:
        queue: places 0 to queued - 1 are in use.
        user, kind: of the tasks there; numbers, see `past_scoring.Past`.
    """

    queue: Queue
    user: IntArray
    kind: IntArray


def make_waiting(length: int, most_running: int, weights: int) -> Waiting:
    """Return an empty queue with room for `length` tasks, of which `most_running` run at a time."""
    queue = make_queue(length, most_running, weights)
    return Waiting(queue, np.empty(length, np.int64), np.empty(length, np.int64))


@kernel
def advance_informed(
    backfill: int,
    processors: int,
    tasks: Tasks,
    run: Run,
    waiting: Waiting,
    past: Past,
    predictions: Predictions,
    features: FloatArray,
    parameters: FloatArray,
    until: float,
    max_events: int,
) -> None:
    """Play whole instants up to `until` or until `max_events` events were applied; backfill none, list or easy.

    Where something is predicted, it overwrites what is expected of the tasks.
    """
    all_arrival, all_expected, all_cpus, duration = tasks.arrival, tasks.expected, tasks.cpus, tasks.duration
    counts, start, end_times = run.counts, run.start, run.end_times
    queue, users, kinds = waiting
    rows, cpus, expected, arrival, r, n = queue.rows, queue.cpus, queue.expected, queue.arrival, queue.r, queue.n
    wait, excess, scores, folded = queue.wait, queue.excess, queue.scores, queue.folded
    planned_times, planned_rows = queue.planned_times, queue.planned_rows
    user_of, kind_of, of_user, of_kind = past
    predicted_user, last, before, end_of = predictions.user, predictions.last, predictions.before, predictions.end
    predict = len(predicted_user) > 0
    everything = 2**62
    events = 0
    while events < max_events and goes_on(all_arrival, counts, end_times, until, run.clock):
        now = run.clock[0]
        while True:
            while ends_by(now, counts, end_times):
                row = release(now, tasks, run)
                drop_end(end_of[row], row, counts[RUNNING] + 1, planned_times, planned_rows)
                note_end(user_of[row], kind_of[row], all_cpus[row], duration[row], of_user, of_kind)
                if predict and predicted_user[row] >= 0:
                    before[predicted_user[row]] = last[predicted_user[row]]
                    last[predicted_user[row]] = duration[row]
                events += 1
            while arrives_by(now, all_arrival, counts):
                at = counts[QUEUED]
                row = arrive(counts)
                if predict:
                    predict_run(now, row, all_cpus[row], all_expected, predictions)
                rows[at], cpus[at], expected[at] = row, all_cpus[row], all_expected[row]
                arrival[at], r[at], n[at] = all_arrival[row], features[row, 0], features[row, 1]
                users[at], kinds[at] = user_of[row], kind_of[row]
                of_user[users[at], WAITING] += 1.0
                events += 1
            shadow_time = np.inf
            extra = everything
            reserved = backfill == LIST
            scored = False
            while some_fit(counts[QUEUED], counts[FREE], cpus):
                if not scored:
                    scored = True
                    free = counts[FREE]
                    for i in range(counts[QUEUED]):
                        wait[i] = now - arrival[i]
                        excess[i] = (cpus[i] - free) / processors
                    fold(parameters, free / processors, counts[QUEUED], folded)
                    rate_by_past(
                        folded, r, n, wait, excess, users, kinds, of_user, of_kind, processors, counts[QUEUED], scores
                    )
                limit = counts[FREE] if reserved else everything
                i = lowest(now, counts[QUEUED], limit, shadow_time, extra, rows, cpus, expected, scores)
                if i < 0:
                    break
                if cpus[i] > counts[FREE]:
                    if backfill == NONE:
                        break
                    if predict:
                        correct(now, counts[RUNNING], start, predictions, planned_times, planned_rows)
                    shadow_time, extra = shadow(
                        now, counts[FREE], cpus[i], all_cpus, counts[RUNNING], planned_times, planned_rows
                    )
                    reserved = True
                    continue
                if backfill == EASY and reserved and now + expected[i] > shadow_time:
                    extra -= cpus[i]
                row = rows[i]
                end_of[row] = now + all_expected[row]
                add_end(end_of[row], row, counts[RUNNING], planned_times, planned_rows)
                begin(now, row, tasks, run)
                of_user[users[i], WAITING] -= 1.0
                of_user[users[i], HELD] += cpus[i]
                at = counts[QUEUED]
                rows[i], cpus[i], expected[i], arrival[i] = rows[at], cpus[at], expected[at], arrival[at]
                r[i], n[i], users[i], kinds[i], scores[i] = r[at], n[at], users[at], kinds[at], scores[at]
            if not ends_by(now, counts, end_times):
                break


def informed_loop(
    backfill: int,
    processors: int,
    tasks: Tasks,
    run: Run,
    scores: Scores,
    predictions: Predictions,
    numbers: tuple[IntArray, IntArray],
) -> Callable[[float, int], None]:
    """Return the event loop of a pool under a score that looks at users' past.

    Args:
        predictions: of run times, see `reordered.make_predictions`; of those that know a user's last runs only.
        numbers: of users and kinds, see `past_scoring.numbered`.
    """
    features, parameters = scores.features, scores.parameters
    if features is None or parameters is None:
        raise InvalidPolicy("A learned score needs features and weights.")
    past = make_past(*numbers)
    waiting = make_waiting(len(tasks.arrival), len(run.end_rows), len(parameters))
    return lambda until, events: advance_informed(
        backfill, processors, tasks, run, waiting, past, predictions, features, parameters, until, events
    )
