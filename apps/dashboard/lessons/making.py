"""A lesson out of any workload, as a file to go on from: what it asks is found out by playing it in memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.dashboard.lessons.document import MOST_TASKS, InvalidLesson, write_lesson
from apps.tasks.models import Workload
from apps.tasks.stored_tasks import load_tasks
from scheduler_sim import engine
from scheduler_sim.engine.measuring.metrics import TaskFigures
from scheduler_sim.engine.workloads.workload import FloatArray

NUMBERS = ("arrival_time", "runtime", "duration_estimate", "cpus", "gpus", "memory_mb")
LABELS = ("gpu_type", "user", "group", "queue")

FIGURE = "mean_wait_time"
"""What the policies are compared by."""


def lesson_make(
    *, stored: Workload, limit: int | None, cluster: engine.Cluster, policies: Sequence[str], name: str, title: str
) -> str:
    """Return a lesson in YAML that asks which of two or more policies has the shortest mean wait.

    Args:
        limit: how many of the tasks, by arrival; None for all.

    Raises:
        InvalidLesson: too many tasks, fewer than two policies, or waits that do not differ.
        EngineError: the tasks cannot be played.
    """
    count = stored.task_count if limit is None else min(limit, stored.task_count)
    if not 0 < count <= MOST_TASKS:
        raise InvalidLesson(
            f"A lesson has 1 to {MOST_TASKS} tasks, and these are {count:,}; --tasks takes the first of them."
        )
    workload = load_tasks(workload_id=stored.pk, limit=limit).workload
    if workload.requests is not None:
        raise InvalidLesson("These tasks ask for what only a site has; a lesson is played on a cluster without rules.")
    parsed = engine.parse_policies(",".join(policies))
    waits = {policy.name: _waits(workload, cluster, policy) for policy in parsed}
    means = {policy: float(wait.mean()) for policy, wait in waits.items()}
    ranked = sorted(means, key=means.__getitem__)
    if len(ranked) < 2 or means[ranked[0]] == means[ranked[1]]:
        raise InvalidLesson("A question needs two policies whose mean waits differ; the shortest ones do not.")
    return write_lesson(_document(workload, cluster, waits, ranked, name, title))


def _document(
    workload: engine.Workload,
    cluster: engine.Cluster,
    waits: dict[str, FloatArray],
    ranked: list[str],
    name: str,
    title: str,
) -> dict[str, Any]:
    best, worst = ranked[0], ranked[-1]
    first = float(workload.arrival_time.min())
    # Whom the choice of a policy moves most, and the instant at which the better one starts it.
    moved = int(np.argmax(waits[worst] - waits[best]))
    document: dict[str, Any] = {
        "name": name,
        "title": title,
        "summary": f"{len(workload)} tasks on {cluster.name}: which policy lets them wait least?",
        "text": f"{len(workload)} tasks arrive at {cluster.name}.\n\nWrite here what a student must know.",
        "question": "Under which policy is the mean wait the shortest?",
        "choices": [_choice(policy, best) for policy in waits],
        "cluster": {"groups": _groups(cluster)},
        "policies": list(waits),
        "tasks": _table(workload, first),
        "figures": [FIGURE, "max_wait_time", f"wait_time(task {workload.task_id[moved]})"],
        "expect": [f"{FIGURE}({best}) < {FIGURE}({policy})" for policy in ranked[1:]],
        "show": {
            "at": float(workload.arrival_time[moved] + waits[best][moved] - first),
            "policies": [worst, best],
            "task": int(workload.task_id[moved]),
        },
        "after": f"Task {workload.task_id[moved]} is the one for which the policy matters most.",
        "next": ["Write here what to try next."],
    }
    return document


def _choice(policy: str, best: str) -> dict[str, Any]:
    if policy == best:
        means = f"Under {policy} tasks wait {{{FIGURE}({policy})}} in the mean."
        return {"text": policy, "right": True, "why": means}
    return {"text": policy, "why": f"Look at the tasks again. Whom does {policy} let wait?"}


def _waits(workload: engine.Workload, cluster: engine.Cluster, policy: engine.Policy) -> FloatArray:
    simulation = engine.Simulation(workload, cluster, policy, seed=0)
    simulation.advance()
    return TaskFigures.of(workload, simulation.outcome()).wait_time


def _groups(cluster: engine.Cluster) -> list[dict[str, Any]]:
    """Return the node groups without what is as by default."""
    plain = engine.NodeGroup(name="", count=1, cores=1)
    described: list[dict[str, Any]] = cluster.as_json()["groups"]
    return [
        {key: value for key, value in group.items() if value and value != getattr(plain, key, None)}
        | {key: group[key] for key in ("name", "count", "cores")}
        for group in described
    ]


def _table(workload: engine.Workload, first: float) -> str:
    """Return the tasks as csv, times counted from the first arrival, without columns that say nothing."""
    columns: dict[str, list[str]] = {"task_id": [str(number) for number in workload.task_id.tolist()]}
    for name in NUMBERS:
        values = getattr(workload, name) - (first if name == "arrival_time" else 0.0)
        if name in ("arrival_time", "runtime", "cpus") or values.any():
            columns[name] = [f"{value:.15g}" for value in values.tolist()]
    if not workload.estimate_known.all():
        known = workload.estimate_known.tolist()
        columns["duration_estimate"] = [
            text if is_known else "" for text, is_known in zip(columns["duration_estimate"], known, strict=True)
        ]
    for name in LABELS:
        labels = getattr(workload, name)
        if any(labels.names):
            columns[name] = [text.replace(",", " ") for text in labels.texts()]
    if workload.parents.count:
        columns["dependencies"] = [" ".join(map(str, parents)) for parents in workload.dependencies()]
    if workload.parents.mb is not None:
        columns["dependency_mb"] = [
            " ".join(f"{amount:.15g}" for amount in amounts) for amounts in workload.dependency_mb()
        ]
    return "".join(f"{','.join(row)}\n" for row in (tuple(columns), *zip(*columns.values(), strict=True)))
