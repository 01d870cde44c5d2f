"""Why tasks start or wait where the order in which a policy tries them is not known from what is stored.

What starts, stops and waits is known, and what is left when the policy has acted. A task that needs more than that
waits for it, whoever was tried before; one that would fit waits for what the policy keeps free, or for its turn.
"""

import numpy as np

from scheduler_sim.engine.codes import CONSERVATIVE, EASY, NONE, NOT_PLANNED
from scheduler_sim.engine.instant.decision import Decision, Decisions, NotExplained
from scheduler_sim.engine.instant.holdings import Holdings
from scheduler_sim.engine.instant.room import Room
from scheduler_sim.engine.instant.standing import Schedule, standing
from scheduler_sim.engine.workload import FloatArray


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
