"""The order in which a policy tries the tasks that wait at an instant, and the scores that it goes by."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.demand import UNLIMITED, NodeGroups
from scheduler_sim.engine.codes import BY_LEFT, BY_PAST, DRF, LEARNED, MAX_MIN, MIN_MIN, MULTIFACTOR, STATIC, SUFFERAGE
from scheduler_sim.engine.instant.decision import NotExplained, OrderNotKnown
from scheduler_sim.engine.instant.holdings import Holdings
from scheduler_sim.engine.instant.room import Piece, Room
from scheduler_sim.engine.instant.standing import Schedule
from scheduler_sim.engine.policies import Order, Scores
from scheduler_sim.engine.policies.order import YOUR_OWN
from scheduler_sim.engine.policies.orders.carbon import LONGEST, slowest_run
from scheduler_sim.engine.policies.scoring import blend, rate
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

DRAWN = ("random_order",)
"""Orders whose score of a task depends on how many tasks there are before it."""

BY_COMPLETION = (MIN_MIN, MAX_MIN, SUFFERAGE)
"""Orders that compare when tasks would end."""


def scores_at(schedule: Schedule, rows: IntArray, time: float, order: Order | None = None) -> FloatArray:
    """Return the scores of tasks that wait, shape (len(rows),), the lowest first.

    Args:
        order: that of the policy's queue by default.

    Raises:
        NotExplained: scores of this order depend on more than the task and its wait, or on estimates that are unknown.
    """
    order = order or schedule.policy.order
    scores = _scores(schedule, rows, order)
    if scores.kind == MULTIFACTOR:
        return _multifactor(schedule, rows, time, scores)
    if scores.kind != STATIC:
        raise OrderNotKnown(f"Scores of {order.name} depend on what else waits and runs; they are not stored.")
    waited = time - schedule.outcome.ready_time[rows]
    values: FloatArray = scores.base if scores.slope is None else scores.base - scores.slope * waited
    return values


def not_before(schedule: Schedule, rows: IntArray) -> FloatArray:
    """Return the time before which the policy does not offer each task, shape (len(rows),); minus infinity for none."""
    try:
        found = _scores(schedule, rows, schedule.policy.order).not_before
    except OrderNotKnown:
        if schedule.policy.order.goes_by:
            raise
        # Such scores hold nothing back: what does is known of each task by itself.
        found = None
    return np.full(len(rows), -np.inf) if found is None else found


def refuse_to_score_some(order: Order) -> None:
    """Refuse to score some tasks of a run alone where that gives other scores than they had among all, or may.

    Raises:
        OrderNotKnown: so it is.
    """
    if order.source == YOUR_OWN:
        raise OrderNotKnown(
            f"Scores of {order.name} are by a function of one's own, which may draw them or go by all tasks of the "
            "run; those are not looked at."
        )
    if order.looks_ahead or order.name in DRAWN:
        raise OrderNotKnown(
            f"Scores of {order.name} depend on more than the task and its wait: on all tasks of the run, which are not "
            "looked at."
        )


def _refuse_series(schedule: Schedule, rows: IntArray, order: Order) -> None:
    """Refuse an order by a series that is gone, or spans so long that how far it was read depends on other tasks."""
    if schedule.signals_lost:
        raise NotExplained(f"{order.name} goes by a series of {order.goes_by}. {schedule.signals_lost}")
    if schedule.whole:
        return
    workload = schedule.workload
    if (slowest_run(workload.duration_estimate, workload, schedule.cluster)[rows] > LONGEST).any():
        raise NotExplained(
            f"How far {order.name} looked ahead for tasks of more than a year depends on all tasks of the run."
        )


def _scores(schedule: Schedule, rows: IntArray, order: Order) -> Scores:
    """Return the scores of some tasks, their arrays in the order of `rows`."""
    if order.goes_by:
        _refuse_series(schedule, rows, order)
    if order.preempts or order.needs_site or order.shares_gpus or order.resizes:
        raise OrderNotKnown(f"Scores of {order.name} depend on more than the task and its wait; they are not stored.")
    if order.decides is not None:
        raise OrderNotKnown(f"{order.name} decides by itself; in which order it looks at tasks is not stored.")
    if not schedule.whole:
        refuse_to_score_some(order)
    if order.uses_estimates and not schedule.estimates_known[rows].all():
        raise OrderNotKnown(f"{order.name} goes by estimates that are not known from what is stored.")
    if order.goes_by and order is schedule.policy.order:
        found, place = schedule.own_scores, rows
    elif schedule.whole:
        found, place = schedule.as_stored()._scores_by(order), rows
    else:
        some = np.sort(rows)
        found = schedule.as_stored(some)._scores_by(order)
        place = np.searchsorted(some, rows)
    kept: dict[str, Any] = {name: getattr(found, name) for name in ("base", "slope", "features", "not_before")}
    chosen: dict[str, Any] = {name: None if column is None else column[place] for name, column in kept.items()}
    return replace(found, **chosen, backfill=None)


def _multifactor(schedule: Schedule, rows: IntArray, time: float, scores: Scores) -> FloatArray:
    """Return the scores by age, size and the decayed use of each user up to `time`."""
    if not schedule.whole:
        raise OrderNotKnown(
            "Scores of multifactor depend on all that its users have used so far, which is not looked at."
        )
    if scores.parameters is None:
        raise NotExplained("The weights of multifactor are not known.")
    age_weight, longest_age, share_weight, half_life, users = scores.parameters.tolist()
    workload, outcome = schedule.workload, schedule.outcome
    ended = np.flatnonzero(outcome.finish_time <= time)
    devices = np.where(workload.gpus > 0, workload.gpus, workload.cpus)[ended]
    held = (outcome.finish_time - outcome.start_time)[ended] * devices
    charged = np.bincount(
        workload.user.codes[ended],
        weights=held * np.exp2((outcome.finish_time[ended] - time) / half_life),
        minlength=len(workload.user.names),
    )
    total = charged.sum()
    share = charged / total if total > 0 else np.zeros(len(charged))
    waited = np.minimum((time - outcome.ready_time[rows]) / longest_age, 1.0)
    values: FloatArray = (
        scores.base - age_weight * waited - share_weight * np.exp2(-share * users)[workload.user.codes[rows]]
    )
    return values


def order_at(
    schedule: Schedule,
    rows: IntArray,
    time: float,
    room: Room,
    holdings: Holdings,
    held: Mapping[int, list[Piece]],
) -> Iterator[tuple[int, float]]:
    """Yield tasks that are ready with their scores in the order in which they are tried.

    Args:
        room, held: what is left and what runs holds, both as they are while the caller goes on starting tasks.
    """
    order = schedule.policy.order
    scores = _scores(schedule, rows, order)
    if scores.kind == LEARNED:
        values = _learned(schedule, rows, time, scores, room, holdings, held)
    elif scores.kind == DRF:
        yield from _picked(rows.tolist(), lambda row: _dominant_share(schedule, row, held))
        return
    elif scores.kind == BY_PAST:
        raise OrderNotKnown(f"{order.name} looks at what users' tasks did until then, which is not made again.")
    elif scores.kind == BY_LEFT:
        raise OrderNotKnown(f"{order.name} looks at what each task had left then, which is not made again.")
    elif scores.kind in BY_COMPLETION:
        raise OrderNotKnown(
            f"{order.name} compares when tasks would end by the plans of all nodes, which are not stored."
        )
    else:
        values = scores_at(schedule, rows, time)
    for place in np.lexsort((rows, values)).tolist():
        yield int(rows[place]), float(values[place])


def _picked(rest: list[int], value: Callable[[int], float]) -> Iterator[tuple[int, float]]:
    while rest:
        score, row = min((value(row), row) for row in rest)
        rest.remove(row)
        yield row, score


def _dominant_share(schedule: Schedule, row: int, held: Mapping[int, list[Piece]]) -> float:
    """Return the largest share of the cluster's cores, GPUs and memory that a task's user holds."""
    codes = schedule.workload.user.codes
    mine = [piece.need for other, pieces in held.items() if codes[other] == codes[row] for piece in pieces]
    groups = NodeGroups.of(schedule.cluster)
    shares = [0.0]
    if cores := int((groups.cpu * groups.count).sum()):
        shares.append(sum(need.cpu for need in mine) / cores)
    if gpus := int((groups.gpus * groups.count).sum()) * 1000:
        shares.append(sum(need.whole * 1000 + need.share for need in mine) / gpus)
    if (groups.memory < UNLIMITED).all() and (memory := int((groups.memory * groups.count).sum())):
        shares.append(sum(need.memory for need in mine) / memory)
    return max(shares)


def _learned(
    schedule: Schedule,
    rows: IntArray,
    time: float,
    scores: Scores,
    room: Room,
    holdings: Holdings,
    held: Mapping[int, list[Piece]],
) -> FloatArray:
    """Return learned scores as the kernels compute them, see `policies.scoring`."""
    if scores.parameters is None or scores.features is None or not len(rows):
        return np.zeros(len(rows))
    cluster, workload = schedule.cluster, schedule.workload
    by_gpu = cluster.gpus > 0
    asked = holdings.demands
    whole = (cluster.gpus if by_gpu else cluster.cores) * 1000.0
    free = int(room.devices.sum() if by_gpu else room.cores.sum())
    work = 0.0
    for row, pieces in held.items():
        estimate = float(workload.duration_estimate[row])
        begun = float(min(schedule.outcome.start_time[row], time))
        *_, end = holdings.ends(row, begun, estimate, [piece.node for piece in pieces])
        work += max(end - time, 0.0) * int((asked.gpu if by_gpu else asked.cpu)[row])
    folded = np.empty(len(scores.parameters))
    blend(scores.parameters, free / whole, len(rows), work / whole, folded)
    on_gpu = (asked.gpu[rows] > 0) & by_gpu
    cores = int(room.cores.sum())
    excess = np.where(
        on_gpu,
        (asked.gpu[rows] - free) / (cluster.gpus * 1000.0 if by_gpu else 1.0),
        (asked.cpu[rows] - cores) / (cluster.cores * 1000.0),
    )
    wait = time - schedule.outcome.ready_time[rows]
    values = np.empty(len(rows))
    features = scores.features
    rate(
        scores.parameters,
        folded,
        np.ascontiguousarray(features[:, 0]),
        np.ascontiguousarray(features[:, 1]),
        wait,
        excess,
        len(rows),
        values,
    )
    return values
