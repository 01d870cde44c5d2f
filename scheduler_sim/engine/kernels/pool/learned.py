"""The event loop of a pool for learned scores, which look at the state of the machine and so change at each event.

Every score is computed once an instant, before anything starts: what starts within the instant changes the free
processors, not the ranking. Nothing is computed while no queued task would fit. What a score needs of the queued tasks
lies in columns beside the queue, in no order, so that scoring is a plain pass over memory.

Where a score looks at what users have done, what has finished at an instant is known before its scores are computed.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.codes import EASY, LIST, NONE, QUEUED, RUNNING
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.calling import Call, call_scores, set_state
from scheduler_sim.engine.kernels.pool.followed import Followed
from scheduler_sim.engine.kernels.pool.instants import goes_on
from scheduler_sim.engine.kernels.pool.loop import arrive, arrives_by, begin, ends_by, release
from scheduler_sim.engine.kernels.pool.reordered import correct, predict_run
from scheduler_sim.engine.kernels.pool.state import FREE, Run, Tasks
from scheduler_sim.engine.kernels.structures.planned_ends import (
    PlannedEnds,
    add_end,
    drop_end,
    make_planned_ends,
    shadow,
)
from scheduler_sim.engine.policies import Scores
from scheduler_sim.engine.policies.past_scoring import HELD, WAITING, fold, note_end, rate_by_past
from scheduler_sim.engine.policies.scoring import blend, rate
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


class Queue(NamedTuple):
    """The queued tasks in no order (places 0 to queued - 1 are in use) and the running ones by expected end.

    Attributes:
        rows: which tasks.
        cpus: processors requested.
        expected: seconds.
        arrival: seconds.
        r, n: features, see `scoring.task_features`.
        wait, excess, scores: at the present instant.
        folded: shape (length of the parameter vector,), see `scoring.blend`.
        plan: its shadow is not used.
    """

    rows: IntArray
    cpus: IntArray
    expected: FloatArray
    arrival: FloatArray
    r: FloatArray
    n: FloatArray
    wait: FloatArray
    excess: FloatArray
    scores: FloatArray
    folded: FloatArray
    plan: PlannedEnds


def make_queue(length: int, most_running: int, weights: int) -> Queue:
    """Return an empty queue with room for `length` tasks, of which `most_running` run at a time."""
    return Queue(
        rows=np.empty(length, np.int64),
        cpus=np.empty(length, np.int64),
        expected=np.empty(length),
        arrival=np.empty(length),
        r=np.empty(length),
        n=np.empty(length),
        wait=np.empty(length),
        excess=np.empty(length),
        scores=np.empty(length),
        folded=np.empty(weights),
        plan=make_planned_ends(most_running),
    )


@kernel
def _some_fit(queued: int, free: int, cpus: IntArray) -> bool:
    """Tell whether one of the first so many tasks needs no more processors than are free."""
    for i in range(queued):  # noqa: SIM110  (the compiler takes no generator)
        if cpus[i] <= free:
            return True
    return False


@kernel
def _work_ahead(now: float, running: int, cpus: IntArray, plan: PlannedEnds) -> float:
    """Return the processor-seconds that running tasks are expected to have left."""
    work = 0.0
    for i in range(running):
        work += max(plan.times[i] - now, 0.0) * cpus[plan.rows[i]]
    return work


@kernel
def _lowest(
    now: float,
    queued: int,
    limit: int,
    shadow_time: float,
    extra: int,
    rows: IntArray,
    cpus: IntArray,
    expected: FloatArray,
    scores: FloatArray,
) -> int:
    """Return the place of the lowest score among the tasks that may start, -1 for none."""
    chosen = -1
    best = np.inf
    for i in range(queued):
        if scores[i] > best or cpus[i] > limit or (now + expected[i] > shadow_time and cpus[i] > extra):
            continue
        if chosen < 0 or scores[i] < best or rows[i] < rows[chosen]:
            chosen = i
            best = scores[i]
    return chosen


@kernel
def advance_learned(
    backfill: int,
    processors: int,
    tasks: Tasks,
    run: Run,
    queue: Queue,
    features: FloatArray,
    parameters: FloatArray,
    call: Call,
    followed: Followed | None,
    until: float,
    max_events: int,
) -> None:
    """Play whole instants up to `until` or until `max_events` events were applied; backfill none, list or easy.

    Args:
        backfill: a code of `codes`.
        processors: of the pool.
        tasks, run, queue: the workload and the state.
        features, parameters: of the score, see `scoring`.
        call: of a score of the user's; without one the parameters score.
        followed: where the score looks at what users have done, else None.
        until: seconds.
        max_events: arrivals and completions.
    """
    all_arrival, all_expected, all_cpus, duration = tasks.arrival, tasks.expected, tasks.cpus, tasks.duration
    counts, start, end_times = run.counts, run.start, run.end_times
    rows, cpus, expected, arrival = queue.rows, queue.cpus, queue.expected, queue.arrival
    r, n, wait, excess, scores, folded = queue.r, queue.n, queue.wait, queue.excess, queue.scores, queue.folded
    plan = queue.plan
    address, table, state, at = call
    if followed is not None:
        users, kinds, predictions = followed.user, followed.kind, followed.predictions
        user_of, kind_of, of_user, of_kind = followed.past
        predicted_user, before_last, end_of = predictions.user, predictions.before, predictions.end
        predict = len(predicted_user) > 0
    everything = 2**62
    events = 0
    while events < max_events and goes_on(all_arrival, counts, end_times, until, run.clock):
        now = run.clock[0]
        while True:
            while ends_by(now, counts, end_times):
                row = release(now, tasks, run)
                end = start[row] + all_expected[row]
                if followed is not None:
                    end = end_of[row]
                    note_end(user_of[row], kind_of[row], all_cpus[row], duration[row], of_user, of_kind)
                    if predict and predicted_user[row] >= 0:
                        before_last[predicted_user[row]] = predictions.last[predicted_user[row]]
                        predictions.last[predicted_user[row]] = duration[row]
                drop_end(end, row, counts[RUNNING] + 1, plan)
                events += 1
            while arrives_by(now, all_arrival, counts):
                last = counts[QUEUED]
                row = arrive(counts)
                if followed is not None:
                    if predict:
                        predict_run(now, row, all_cpus[row], all_expected, predictions)
                    users[last], kinds[last] = user_of[row], kind_of[row]
                    of_user[users[last], WAITING] += 1.0
                rows[last], cpus[last], expected[last] = row, all_cpus[row], all_expected[row]
                arrival[last], r[last], n[last] = all_arrival[row], features[row, 0], features[row, 1]
                events += 1
            shadow_time = np.inf
            extra = everything
            reserved = backfill == LIST
            scored = False
            while _some_fit(counts[QUEUED], counts[FREE], cpus):
                if not scored:
                    scored = True
                    free = counts[FREE]
                    for i in range(counts[QUEUED]):
                        wait[i] = now - arrival[i]
                        excess[i] = (cpus[i] - free) / processors
                    if followed is not None:
                        fold(parameters, free / processors, counts[QUEUED], folded)
                        rate_by_past(
                            folded,
                            r,
                            n,
                            wait,
                            excess,
                            users,
                            kinds,
                            of_user,
                            of_kind,
                            processors,
                            counts[QUEUED],
                            scores,
                        )
                    elif address[0] != 0:
                        set_state(state, now, counts[QUEUED], counts[RUNNING], free, 0.0)
                        call_scores(address, 0, counts[QUEUED], rows, wait, table, state, scores, at)
                    else:
                        work = _work_ahead(now, counts[RUNNING], all_cpus, plan)
                        blend(parameters, free / processors, counts[QUEUED], work / processors, folded)
                        rate(parameters, folded, r, n, wait, excess, counts[QUEUED], scores)
                limit = counts[FREE] if reserved else everything
                i = _lowest(now, counts[QUEUED], limit, shadow_time, extra, rows, cpus, expected, scores)
                if i < 0:
                    break
                if cpus[i] > counts[FREE]:
                    if backfill == NONE:
                        break
                    if followed is not None and predict:
                        correct(now, counts[RUNNING], start, predictions, plan)
                    shadow_time, extra = shadow(now, counts[FREE], cpus[i], all_cpus, counts[RUNNING], plan)
                    reserved = True
                    continue
                if backfill == EASY and reserved and now + expected[i] > shadow_time:
                    extra -= cpus[i]
                row = rows[i]
                end = now + all_expected[row]
                add_end(end, row, counts[RUNNING], plan)
                begin(now, row, tasks, run)
                last = counts[QUEUED]
                if followed is not None:
                    end_of[row] = end
                    of_user[users[i], WAITING] -= 1.0
                    of_user[users[i], HELD] += cpus[i]
                    users[i], kinds[i] = users[last], kinds[last]
                rows[i], cpus[i], expected[i], arrival[i] = rows[last], cpus[last], expected[last], arrival[last]
                r[i], n[i], scores[i] = r[last], n[last], scores[last]
            if not ends_by(now, counts, end_times):
                break


def learned_loop(
    backfill: int,
    processors: int,
    tasks: Tasks,
    run: Run,
    scores: Scores,
    call: Call,
    followed: Followed | None = None,
) -> Callable[[float, int], None]:
    """Return the event loop of a pool under a learned score, or one of the user's that is called."""
    features, parameters = scores.features, scores.parameters
    if scores.called is not None:
        # The columns that a learned score has hold what the table has there, and nobody looks.
        features, parameters = scores.called.table, np.zeros(1)
    if features is None or parameters is None:
        raise InvalidPolicy("A learned score needs features and weights.")
    queue = make_queue(len(tasks.arrival), len(run.end_rows), len(parameters))
    return lambda until, events: advance_learned(
        backfill, processors, tasks, run, queue, features, parameters, call, followed, until, events
    )
