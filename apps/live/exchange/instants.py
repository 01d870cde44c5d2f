"""A run at one instant as others read it: a document of the API, and the table that squeue prints."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from apps.live.instants.instant import Instant
from apps.live.play.sites import host_list, node_names

PLACES = {"PARTITION": 9, "NAME": 8, "USER": 8}
"""Columns of texts in squeue's table, and how many characters of them it shows."""

WHY = {
    "resources": "needs more than the {free} processors that are free",
    "blocked": "waits behind the head, which nothing may pass",
    "delays": "would delay the head by {delay:.12g} s",
    "planned": "is planned for {planned_time:.12g}",
    "held": "is not offered by the policy before {planned_time:.12g}",
    "cleaner": "waits for cleaner electricity until {planned_time:.12g}",
    "later": "waits for the device that is expected to end it first",
    "preempted": "had to stop",
    "passed_over": "was not started by the class that decides",
    "widths": "gets none of what is free, by how the policy shares out devices",
    "round": "is not among those that share out the GPUs of this round",
}
"""Why a task that was tried does not start, by its verdict."""

WHY_UNTIMED = {
    "delays": "would delay the head's reservation",
    "planned": "would take what others have reserved, or has its own reservation later",
}
"""The same where it is not known by how long, or until when."""

LACKS = {
    "cores": "needs more processors than any one node has free",
    "gpus": "needs more GPUs than any one node has free of a kind that it may use",
    "memory": "needs more memory than any one node has free",
    "nodes": "needs more whole nodes than are free",
    "together": "finds no node that has all it needs free at once",
}
"""What `resources` means on a cluster of nodes, by what is too little."""


def instant_document(
    found: Instant, *, first: int = 0, most: int = 100, first_running: int | None = None
) -> dict[str, Any]:
    """Return an instant with the tasks `first` to `first + most` of its queue and of what runs.

    Args:
        first_running: where those that run begin, if not at `first` as well.
    """
    stands, tasks = found.standing, found.schedule.workload
    numbers = tasks.task_id
    hosts = node_names(found.run)
    chosen = slice(first, first + most)
    begin = first if first_running is None else first_running
    decided = found.decisions
    head = -1 if decided is None else decided.head
    return {
        "run": found.run.pk,
        "policy": found.scheduler,
        "time": stands.time,
        "previous_time": found.previous_time,
        "next_time": found.next_time,
        "running_count": len(stands.running),
        "waiting_count": len(stands.waiting),
        "awaiting_count": len(stands.awaited),
        "free_cores": _number(stands.free_cores),
        "free_gpus": _number(stands.free_gpus),
        "free_by_node": None if stands.free_by_node is None else _free_by_node(found, hosts),
        "head": int(numbers[head]) if head >= 0 else None,
        "shadow_time": None if decided is None else _number(decided.shadow_time),
        "extra": None if decided is None or np.isnan(decided.shadow_time) else decided.extra,
        "queue": [_waiting(found, row) for row in found.queue[chosen].tolist()],
        "running": [_running(found, place, hosts) for place in range(len(stands.running))[begin : begin + most]],
        "started": [] if decided is None or decided.time != stands.time else numbers[decided.started].tolist(),
        "unexplained": found.unexplained,
        "notes": list(found.notes),
    }


def why_not(task: dict[str, Any]) -> str:
    """Return why a task of a document's queue does not start; empty where that is not explained."""
    verdict = task["verdict"]
    if task["reason"]:
        return f"has the reason {task['reason']}"
    if task["lacks"]:
        return "; ".join(LACKS[name] for name in task["lacks"])
    if verdict in WHY_UNTIMED and task["delay"] is None and task["planned_time"] is None:
        return WHY_UNTIMED[verdict]
    return WHY.get(verdict, "").format(**task)


def standing_of(found: Instant, task: int) -> str:
    """Return in words what a task, by its number, does at an instant."""
    rows = np.flatnonzero(found.schedule.workload.task_id == task)
    if not len(rows):
        return "is not in the system"
    row, stands = int(rows[0]), found.standing
    places = np.flatnonzero(stands.running == row)
    if len(places):
        hosts = node_names(found.run)
        return f"runs on {_running(found, int(places[0]), hosts)['nodes']}"
    if row in stands.awaited:
        return "waits for a parent"
    if row in stands.waiting:
        said = decided_of(found, row)
        return said if said.startswith("waits ") else f"waits: {said}"
    return "has not arrived" if found.schedule.workload.arrival_time[row] > stands.time else "has ended"


def decided_of(found: Instant, row: int) -> str:
    """Return what was decided of a task that was ready, in words; what it waits for where that is not explained."""
    decision = found.decided.get(row)
    if decision is None:
        return f"waits for {found.waits_for(row)}"
    if decision.starts:
        return "starts, ahead of the head of the queue" if decision.verdict == "backfilled" else "starts"
    return why_not(_waiting(found, row)) or decision.verdict


def _number(value: float) -> float | None:
    """Return a number with all its digits, None for NaN and infinities."""
    return float(value) if math.isfinite(value) else None


def _free_by_node(found: Instant, hosts: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return what nodes have free, those alone that have something."""
    free = found.standing.free_by_node
    rows = [] if free is None else np.flatnonzero((free > 0).any(axis=1)).tolist()
    return [
        {"node": node, "name": _node(node, hosts), "cores": float(free[node, 0]), "gpus": float(free[node, 1])}
        for node in rows
        if free is not None
    ]


def _node(number: int, hosts: tuple[str, ...]) -> str:
    return host_list([number], hosts)


def _task(found: Instant, row: int) -> dict[str, Any]:
    tasks = found.schedule.workload
    return {
        "task_id": int(tasks.task_id[row]),
        "user": tasks.user.names[tasks.user.codes[row]],
        "queue": tasks.queue.names[tasks.queue.codes[row]],
        "cpus": float(tasks.cpus[row]),
        "gpus": float(tasks.gpus[row]),
        "arrival_time": float(tasks.arrival_time[row]),
    }


def _waiting(found: Instant, row: int) -> dict[str, Any]:
    decision = found.decided.get(row)
    schedule = found.schedule
    score = found.scores.get(row)
    return {
        **_task(found, row),
        "score": None if score is None else _number(score),
        "waits_for": found.waits_for(row),
        "verdict": "" if decision is None else decision.verdict,
        "lacks": [] if decision is None else list(decision.lacks),
        "free": None if decision is None else decision.free,
        "free_gpus": None if decision is None or decision.free is None else decision.free_gpus,
        "reason": "" if decision is None else decision.reason,
        "delay": None if decision is None else _number(decision.delay),
        "planned_time": None if decision is None else _number(decision.planned_time),
        "start_time": float(schedule.outcome.start_time[row]),
    }


def _running(found: Instant, place: int, hosts: tuple[str, ...]) -> dict[str, Any]:
    stands = found.standing
    row = int(stands.running[place])
    task, part = _task(found, row), float(stands.held_part[place])
    return {
        **task,
        "held_cpus": task["cpus"] * part,
        "held_gpus": task["gpus"] * part,
        "since": float(stands.since[place]),
        "until": float(stands.until[place]),
        "expected_until": _number(float(stands.expected_until[place])),
        "node": int(stands.node[place]),
        "node_name": _node(int(stands.node[place]), hosts),
        "nodes": host_list(found.running_on.get(row, [int(stands.node[place])]), hosts),
        "device": int(stands.device[place]),
    }


def squeue_lines(found: Instant, *, most: int) -> Iterator[str]:
    """Yield the lines of squeue's table: a head, and at most so many tasks that run and that wait, those first.

    Tasks that wait stand in the policy's order, as squeue sorts by priority. Where the rules of a site settle on how
    many nodes a task runs, `?` stands for it as long as it waits, and where that was not kept.
    """
    yield f"{'JOBID':>18} {'PARTITION':>9} {'NAME':>8} {'USER':>8} ST {'TIME':>10}  NODES NODELIST(REASON)"
    document = instant_document(found, most=most)
    texts = found.schedule.workload.external_id
    names = dict(zip(found.schedule.workload.task_id.tolist(), texts.tolist(), strict=True))
    asked = dict(zip(found.schedule.workload.task_id.tolist(), found.node_counts.tolist(), strict=True))
    numbers = found.schedule.workload.task_id
    held = {int(numbers[row]): len(nodes) for row, nodes in found.running_on.items()}
    for state, tasks in (("PD", document["queue"]), ("R", document["running"])):
        for task in tasks:
            waits = state == "PD"
            seconds = 0.0 if waits else found.standing.time - task["since"]
            where = f"({task['waits_for']})" if waits else task["nodes"]
            words = (task["queue"], names[task["task_id"]], task["user"])
            cut = " ".join(f"{str(word)[:width]:>{width}}" for word, width in zip(words, PLACES.values(), strict=True))
            nodes = "?" if found.run.site_id is not None else str(asked[task["task_id"]])
            if not waits and found.run.knows_gangs:
                nodes = str(held.get(task["task_id"], 1))
            yield f"{task['task_id']:>18} {cut} {state:>2} {elapsed(seconds):>10} {nodes:>6} {where}"


def elapsed(seconds: float) -> str:
    """Return a time as squeue prints it: minutes:seconds, with hours and days where there are some."""
    whole = int(seconds)
    days, hours, minutes, rest = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{days}-{hours:02}:{minutes:02}:{rest:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
