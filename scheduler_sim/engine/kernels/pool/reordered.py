"""EASY backfilling in an order of its own, with estimates or with predictions made while the run goes on.

The queue stands in two kinetic trees: by the policy's order, whose head is started or reserved for, and by the order in
which what may pass the head is tried.
"""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.codes import QUEUED, RUNNING
from scheduler_sim.engine.jit import bare_kernel, kernel
from scheduler_sim.engine.kernels.pool import regression as regressing
from scheduler_sim.engine.kernels.pool.instants import goes_on
from scheduler_sim.engine.kernels.pool.loop import arrive, arrives_by, begin, ends_by, release
from scheduler_sim.engine.kernels.pool.regression import Regression, make_regression
from scheduler_sim.engine.kernels.pool.state import FREE, Run, Tasks
from scheduler_sim.engine.kernels.structures import kinetic_tree
from scheduler_sim.engine.kernels.structures.kinetic_tree import KineticTree
from scheduler_sim.engine.kernels.structures.planned_ends import PlannedEnds, add_end, drop_end, shadow
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload

CORRECTIONS = 60.0 * np.array([1, 5, 15, 30, 60, 120, 300, 600, 1200, 3000, 6000])
"""Seconds that are added to a prediction once it is outrun, one after the other (Tsafrir, Etsion & Feitelson, IEEE TPDS
2007)."""


class Predictions(NamedTuple):
    """What is predicted of run times; without predictions `user` is empty.

    Attributes:
        user: shape (n,), a number for each user, -1 for none.
        last, before: shape (users,), seconds that the user's last finished task ran, and the one before it; NaN for
            none.
        estimate: shape (n,), seconds that no prediction exceeds.
        by_length: 1 where the order of backfilling is that of the predictions.
        first: shape (n,), seconds predicted at arrival.
        end: shape (n,), instants at which running tasks are expected to end.
        regression: what foretells instead of the user's last two runs; empty for those.
    """

    user: IntArray
    last: FloatArray
    before: FloatArray
    estimate: FloatArray
    by_length: int
    first: FloatArray
    end: FloatArray
    regression: Regression


def make_predictions(workload: Workload, expected: FloatArray, *, predict: str | None, by_length: bool) -> Predictions:
    """Return the predictions before anything has finished.

    Args:
        workload: whose users are looked at; tasks without one are not predicted by last runs, and count as one user's
            where a regression predicts.
        expected: shape (n,), seconds by the estimates.
        predict: `last_two` or `regression`, None where run times are not predicted at all.
        by_length: whether tasks are backfilled in the order of their predictions.
    """
    names = workload.user.names
    known = np.array([bool(name) for name in names], bool)
    user = np.where(known[workload.user.codes], workload.user.codes, -1) if predict else np.empty(0, np.int64)
    learned_from = len(workload) if predict == "regression" else 0
    return Predictions(
        user=user.astype(np.int64),
        last=np.full(len(names), np.nan),
        before=np.full(len(names), np.nan),
        estimate=expected.copy() if predict else expected,
        by_length=int(by_length),
        first=expected.copy() if predict else expected,
        end=np.full(len(expected), np.nan),
        regression=make_regression(learned_from, len(names) if learned_from else 0),
    )


@bare_kernel
def predict_run(now: float, row: int, cpus: int, expected: FloatArray, predictions: Predictions) -> None:
    """Expect a task that arrives to run as foretold, or as its user's last two did on average, up to its estimate."""
    seconds = predictions.estimate[row]
    user = predictions.user[row]
    if len(predictions.regression.weights) > 0:
        seconds = regressing.foretell(now, row, user, cpus, seconds, predictions.regression)
    elif user >= 0 and not np.isnan(predictions.before[user]):
        seconds = min(seconds, (predictions.last[user] + predictions.before[user]) / 2.0)
    expected[row] = predictions.first[row] = seconds


@bare_kernel
def correct(now: float, size: int, start: FloatArray, predictions: Predictions, plan: PlannedEnds) -> None:
    """Expect what outran its prediction to run for longer: the next step ahead of now, not beyond its estimate.

    Instants at which predictions are outrun need not be visited: the steps follow from the first prediction alone.
    """
    plan_times, plan_rows = plan.times, plan.rows
    i = size - 1
    while i >= 0 and plan_times[i] <= now:
        row = plan_rows[i]
        end = start[row] + predictions.estimate[row]
        for step in CORRECTIONS:
            later = start[row] + (predictions.first[row] + step)
            if later > now:
                end = min(end, later)
                break
        if end == plan_times[i]:
            i -= 1
            continue
        # The later end belongs further up, so that the next one to look at comes to stand at i.
        for j in range(i, size - 1):
            plan_times[j] = plan_times[j + 1]
            plan_rows[j] = plan_rows[j + 1]
        add_end(end, row, size - 1, plan)
        predictions.end[row] = end


@kernel
def advance_reordered(
    tasks: Tasks,
    run: Run,
    queue: KineticTree,
    others: KineticTree,
    predictions: Predictions,
    until: float,
    max_events: int,
) -> None:
    """Play whole instants up to `until` or until `max_events` events were applied.

    Args:
        tasks: the workload; what is expected of it is overwritten by what is predicted.
        run: the state.
        queue: what waits, by the policy's order.
        others: what waits, by the order of backfilling.
        predictions: of run times.
        until: seconds.
        max_events: arrivals and completions.
    """
    arrival, duration, expected, cpus, _, _ = tasks
    counts, clock, start, _, _, end_times, _ = run
    leaf_of, nodes, masks, floors, spread, _, plan = queue
    other_leaf_of, other_nodes, other_masks, other_floors, other_spread, stack, _ = others
    user, last, before, end_of = predictions.user, predictions.last, predictions.before, predictions.end
    predict = len(user) > 0
    regression = predictions.regression
    learning = len(regression.weights) > 0
    events = 0
    while events < max_events and goes_on(arrival, counts, end_times, until, clock):
        now = clock[0]
        while True:
            while ends_by(now, counts, end_times):
                row = release(now, tasks, run)
                drop_end(end_of[row], row, counts[RUNNING] + 1, plan)
                if learning:
                    regressing.learn(now, row, user[row], cpus[row], start[row], duration[row], regression)
                elif predict and user[row] >= 0:
                    before[user[row]] = last[user[row]]
                    last[user[row]] = duration[row]
                events += 1
            while arrives_by(now, arrival, counts):
                row = arrive(counts)
                if predict:
                    predict_run(now, row, cpus[row], expected, predictions)
                    other_nodes[other_leaf_of[row], kinetic_tree.EXPECTED] = expected[row]
                    if predictions.by_length:
                        other_nodes[other_leaf_of[row], kinetic_tree.BASE] = expected[row]
                kinetic_tree.enter(now, leaf_of[row], nodes, masks, floors, spread)
                kinetic_tree.enter(now, other_leaf_of[row], other_nodes, other_masks, other_floors, other_spread)
                events += 1
            blocked = False
            shadow_time, extra = np.inf, 0
            while counts[QUEUED] > 0 and counts[FREE] > 0:
                if blocked:
                    leaf = kinetic_tree.find(
                        now, counts[FREE], shadow_time, extra, other_nodes, other_masks, stack, other_spread
                    )
                    if leaf < 0:
                        break
                    row = int(other_nodes[leaf, kinetic_tree.ROW])
                else:
                    row = kinetic_tree.head_of(now, nodes, masks, floors, spread)
                    if cpus[row] > counts[FREE]:
                        blocked = True
                        if predict:
                            correct(now, counts[RUNNING], start, predictions, plan)
                        shadow_time, extra = shadow(now, counts[FREE], cpus[row], cpus, counts[RUNNING], plan)
                        continue
                end = now + expected[row]
                if blocked and end > shadow_time:
                    extra -= cpus[row]
                add_end(end, row, counts[RUNNING], plan)
                end_of[row] = end
                kinetic_tree.leave(now, leaf_of[row], nodes, masks, floors, spread)
                kinetic_tree.leave(now, other_leaf_of[row], other_nodes, other_masks, other_floors, other_spread)
                begin(now, row, tasks, run)
                if learning:
                    regressing.note_start(now, user[row], cpus[row], regression)
            if not ends_by(now, counts, end_times):
                break
