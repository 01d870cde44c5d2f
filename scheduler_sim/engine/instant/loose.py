"""Why tasks start or wait where the order in which a policy tries them is not known from what is stored.

What starts, stops and waits is known, and what is left when the policy has acted. A task that needs more than that
waits for it, whoever was tried before; one that would fit waits for what the policy keeps free, or for its turn.
"""

import numpy as np

from scheduler_sim.engine.codes import CONSERVATIVE, EASY, NONE, NOT_PLANNED
from scheduler_sim.engine.elasticity import Elasticity, counts_gpus
from scheduler_sim.engine.instant.decision import Decision, Decisions, NotExplained
from scheduler_sim.engine.instant.holdings import Holdings
from scheduler_sim.engine.instant.room import Room
from scheduler_sim.engine.instant.standing import Schedule, standing
from scheduler_sim.engine.policies.upward import follows_plan
from scheduler_sim.engine.workloads.workload import FloatArray


def loosely(schedule: Schedule, time: float, holdings: Holdings, offered: FloatArray, why: str) -> Decisions:
    """Return what was decided at an event, without the order.

    Args:
        offered: when the policy may start each task first, or let it go on, shape (n,).
        why: the order is not known, in one sentence.

    Raises:
        NotExplained: it is not stored what runs holds, or a task waits that nothing stored keeps from starting.
    """
    outcome, attempts = schedule.outcome, schedule.attempts
    stands = standing(schedule, time)
    room = Room(schedule.cluster)
    room.let_go(holdings.outages(), time)
    rows = stands.running
    for place, row in enumerate(rows.tolist()):
        node, device = int(stands.node[place]), int(stands.device[place])
        holdings.put(room, row, time, since=float(stands.since[place]), node=node, device=device)
    free, gpus = room.free_cores, room.free_gpus
    found: list[Decision] = []

    def say(row: int, verdict: str, **more: object) -> None:
        found.append(Decision(row, np.nan, verdict, free, free_gpus=gpus, **more))  # type: ignore[arg-type]

    begins = rows[stands.since == time].tolist()
    began = outcome.start_time == time
    began[attempts.row[attempts.start_time == time]] = True
    at_once = np.flatnonzero(began & (outcome.finish_time == time)).tolist()
    for row in sorted({*begins, *at_once}):
        say(row, "started" if outcome.start_time[row] == time else "resumed")
    stopped = set(attempts.row[attempts.end_time == time].tolist())
    for row in stands.waiting.tolist():
        asked = holdings.asked(row)
        if offered[row] > time:
            say(row, held_verdict(schedule), planned_time=float(offered[row]))
        elif row in stopped:
            say(row, "preempted")
        elif room.find(asked) is None:
            say(row, "resources", lacks=room.lacks(asked))
        else:
            say(row, _kept_back(schedule, row, time))
    return Decisions(time, tuple(found), note=f"{why} What is said of why tasks wait goes by what is left free.")


def by_widths(schedule: Schedule, time: float) -> Decisions:
    """Return what was decided at an event where the policy settles how many devices each task holds."""
    workload, outcome, attempts = schedule.workload, schedule.outcome, schedule.attempts
    stands = standing(schedule, time)
    cluster, by_gpu = schedule.cluster, counts_gpus(workload)
    devices = cluster.gpus if by_gpu else cluster.cores
    fewest = Elasticity.of(workload, devices=devices, per_node=devices, options=schedule.options).least
    free, gpus = stands.free_cores, stands.free_gpus
    left = int(gpus if by_gpu else free)
    found: list[Decision] = []

    def say(row: int, verdict: str) -> None:
        found.append(Decision(row, np.nan, verdict, int(free), free_gpus=gpus))

    begins = set(stands.running[stands.since == time].tolist())
    began = outcome.start_time == time
    began[attempts.row[attempts.start_time == time]] = True
    at_once = np.flatnonzero(began & (outcome.finish_time == time))
    stopped = set(attempts.row[attempts.end_time == time].tolist())
    for row in sorted(begins | set(at_once.tolist())):
        first = "started" if outcome.start_time[row] == time else "resumed"
        say(row, "resized" if first == "resumed" and row in stopped else first)
    for row in stands.waiting.tolist():
        if row in stopped:
            say(row, "preempted")
        elif fewest[row] > left:
            say(row, "resources")
        else:
            say(row, "round" if schedule.policy.order.shares_gpus else "widths")
    return Decisions(
        time,
        tuple(found),
        note=f"How {schedule.policy.order.name} weighed widths is not stored. What is said of why tasks wait goes by "
        "the fewest devices that each may hold and by what is left free in all.",
    )


def held_verdict(schedule: Schedule) -> str:
    """Return what is said of tasks that the policy does not offer before a time."""
    return "cleaner" if schedule.policy.order.goes_by == "carbon" else "held"


def _kept_back(schedule: Schedule, row: int, time: float) -> str:
    """Return why a task waits that would fit.

    Raises:
        NotExplained: a policy that keeps nothing free would have started it.
    """
    policy = schedule.policy
    if policy.order.decides is not None:
        return "passed_over"
    if policy.order.shares_gpus:
        return "round"
    if follows_plan(policy.order):
        return "planned"
    if policy.backfill.code == NONE:
        return "blocked"
    if policy.placement.planned != NOT_PLANNED:
        return "later"
    if policy.backfill.code == EASY:
        return "delays"
    if policy.backfill.code == CONSERVATIVE:
        return "planned"
    raise NotExplained(
        f"Task {schedule.workload.task_id[row]} waits at {time:.12g} and fits what is free by what is stored; the step "
        f"of {policy.name} is not explained."
    )
