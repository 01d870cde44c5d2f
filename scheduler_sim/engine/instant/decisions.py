"""Why tasks start or wait at one instant: what the policy does there, step by step, from the state that it finds.

A pool of processors (`pool`) and a cluster of nodes (`nodes`) have a module each, and what is known where the order is
not stored in which tasks are tried (`loose`). Whatever is found is shown only if it starts exactly the tasks that were
stored as starting.
"""

from dataclasses import replace

import numpy as np

from scheduler_sim.engine.clusters.demand import not_for_pool
from scheduler_sim.engine.codes import CONSERVATIVE, NOT_PLANNED
from scheduler_sim.engine.instant.decision import Decision, Decisions, NotExplained, OrderNotKnown
from scheduler_sim.engine.instant.holdings import Holdings
from scheduler_sim.engine.instant.loose import by_widths, held_verdict, loosely
from scheduler_sim.engine.instant.nodes import NodesStep
from scheduler_sim.engine.instant.pool import PoolStep, planned, refuse_unknown
from scheduler_sim.engine.instant.scores import not_before
from scheduler_sim.engine.instant.standing import Schedule
from scheduler_sim.engine.policies.upward import follows_plan
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


def decisions(schedule: Schedule, time: float, *, on_site: bool = False) -> Decisions:
    """Return what the policy decided at `time`, or when something happened last before.

    Where the order in which tasks were tried cannot be made again, as with estimates that are not known, it is what is
    known without it, with a note that says why.

    Args:
        schedule: all tasks that waited or ran at `time` or when something happened last; under conservative backfilling
            also all that did since nothing waited last, which `Schedule.known_from` must not be behind.

    Raises:
        NotExplained: the policy, the cluster or the tasks are not of the kind that is explained, or what is found is
            not what was played; `NotKnownFarEnough` where more of the schedule is needed.
    """
    _refuse(schedule, on_site=on_site)
    found = _found(schedule, time)
    if found.started.tolist() != _started(schedule, found.time).tolist():
        raise NotExplained(
            f"Made again, the step of {schedule.policy.name} at {found.time:.12g} starts other tasks than were played; "
            "it is not explained."
        )
    return found


def _started(schedule: Schedule, time: float) -> IntArray:
    """Return the tasks that began or went on at `time` and were not stopped there again, as stored."""
    outcome, attempts = schedule.outcome, schedule.attempts
    began = attempts.start_time == time
    at_once = attempts.row[began & (attempts.end_time == time)]
    stopped = np.setdiff1d(
        at_once[outcome.finish_time[at_once] > time], attempts.row[began & (attempts.end_time > time)]
    )
    every = np.union1d(np.flatnonzero(outcome.start_time == time), attempts.row[began])
    return np.setdiff1d(every, stopped)


def _refuse(schedule: Schedule, *, on_site: bool) -> None:
    options, cluster = schedule.options, schedule.cluster
    if on_site:
        raise NotExplained("What a task holds on a site is settled by its rules; its step is not made again.")
    if any(group.failures is not None for group in cluster.groups) or options.failures:
        raise NotExplained(
            "Which nodes are down because they failed is not stored, so that nobody can tell what is free."
        )
    if cluster.sleeps or options.hold_cap:
        raise NotExplained("Where nodes sleep or starts keep a power cap, the step of a policy is not made again.")


def _found(schedule: Schedule, time: float) -> Decisions:
    policy = schedule.policy
    if policy.order.resizes:
        attempts, outcome = schedule.attempts, schedule.outcome
        spans = (attempts.start_time, attempts.end_time)
        happened = (outcome.ready_time, outcome.start_time, outcome.finish_time, *spans)
        return by_widths(schedule, _last(time, np.concatenate(happened)))
    stops = policy.preempts or schedule.options.interrupts or schedule.cluster.fails or len(schedule.attempts)
    # Without its series an order stops nothing.
    stops = stops or (policy.order.stops and schedule.own_scores.openings is not None)
    try:
        if stops or policy.order.shares_gpus:
            raise OrderNotKnown("Where tasks may stop and go on, the order in which they were tried is not stored.")
        if follows_plan(policy.order):
            raise OrderNotKnown(f"{policy.name} follows a plan, which is not stored.")
        if policy.backfill.predicts:
            raise OrderNotKnown("Predictions that were made while the run went on are not stored.")
        is_held = np.isfinite(_held_until(schedule)).any()
        # A pool whose tasks are held back is played as one node.
        return _on_pool(schedule, time) if _is_for_pool(schedule) and not is_held else _on_nodes(schedule, time)
    except OrderNotKnown as refusal:
        return _without_order(schedule, time, str(refusal))


def _held_until(schedule: Schedule) -> FloatArray:
    """Return the time before which the policy does not offer each task, shape (n,); minus infinity for none.

    Raises:
        NotExplained: one started before that.
    """
    found = not_before(schedule, np.arange(len(schedule.workload)))
    if (found > schedule.outcome.start_time).any():
        raise NotExplained(
            f"By what is stored, {schedule.policy.name} held tasks back for longer than they waited; its step is not "
            "explained."
        )
    return found


def _without_order(schedule: Schedule, time: float, why: str) -> Decisions:
    holdings, attempts = Holdings(schedule), schedule.attempts
    offered = np.maximum(schedule.outcome.ready_time, _held_until(schedule))
    ends = [attempts.start_time, attempts.end_time]
    openings = schedule.own_scores.openings if schedule.policy.order.stops else None
    if openings is not None:
        ends.append(openings.turns()[0])
    time = _last_event(schedule, time, holdings, offered, np.concatenate(ends))
    if openings is not None:
        offered = np.maximum(offered, openings.open_from(time))
    return loosely(schedule, time, holdings, offered, why)


def _is_for_pool(schedule: Schedule) -> bool:
    learned = schedule.policy.order.model_version is not None or schedule.policy.order.name in ("linear", "mlp")
    return schedule.cluster.is_pool and not_for_pool(schedule.workload) is None and not learned


def _there(schedule: Schedule, time: float) -> tuple[IntArray, IntArray]:
    """Return the tasks that are ready and have not started before `time`, and those that run beyond it."""
    ready, start, finish = schedule.outcome.ready_time, schedule.outcome.start_time, schedule.outcome.finish_time
    here = np.flatnonzero((ready <= time) & (finish >= time))
    return here[start[here] >= time], here[(start[here] < time) & (finish[here] > time)]


def _on_pool(schedule: Schedule, time: float) -> Decisions:
    if schedule.policy.backfill.code != CONSERVATIVE:
        outcome = schedule.outcome
        time = _last(time, np.concatenate((outcome.ready_time, outcome.finish_time)))
    queue, before = _there(schedule, time)
    refuse_unknown(schedule, np.concatenate((queue, before)))
    if schedule.policy.backfill.code == CONSERVATIVE:
        return planned(schedule, time, queue, before)
    return PoolStep(schedule, time, before).act(queue)


def _last(time: float, events: FloatArray) -> float:
    """Return the last event by then: between two of them the policy does nothing, whatever its scores would say."""
    return float(events[events <= time].max(initial=-np.inf)) if (events <= time).any() else time


def _last_event(
    schedule: Schedule,
    time: float,
    holdings: Holdings,
    offered: FloatArray,
    more: "tuple[float, ...] | FloatArray" = (),
) -> float:
    """Return when something happened last on nodes."""
    outages = np.array([when for when, *_ in holdings.outages()])
    sides = holdings.side_ends(np.arange(len(schedule.workload)))
    outcome = schedule.outcome
    # What was reserved may begin when nothing else happens.
    happened = (outcome.ready_time, outcome.start_time, outcome.finish_time)
    return _last(time, np.concatenate((offered, *happened, sides, outages, more)))


def _on_nodes(schedule: Schedule, time: float) -> Decisions:
    policy, outcome = schedule.policy, schedule.outcome
    if policy.placement.planned != NOT_PLANNED:
        raise OrderNotKnown(f"{policy.placement.name} plans the ends of tasks on each node, which is not stored.")
    if policy.backfill.code == CONSERVATIVE:
        raise OrderNotKnown("Plans of conservative backfilling on nodes are not stored.")
    holdings = Holdings(schedule)
    offered = np.maximum(outcome.ready_time, _held_until(schedule))
    time = _last_event(schedule, time, holdings, offered)
    queue, before = _there(schedule, time)
    refuse_unknown(schedule, np.concatenate((queue, before)))
    is_held = offered[queue] > time
    found = NodesStep(schedule, time, before, holdings).act(queue[~is_held])
    verdict = held_verdict(schedule)
    held = [Decision(int(row), np.nan, verdict, 0, planned_time=float(offered[row])) for row in queue[is_held]]
    return replace(found, decisions=(*found.decisions, *held))
