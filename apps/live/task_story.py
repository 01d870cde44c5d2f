"""One task under every policy: what it waited for, where it went, and what it would have taken elsewhere."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.live.placements import Placements, placements
from apps.results.models import Run, SchedulerResult
from apps.tasks.models import Task
from scheduler_sim import engine
from scheduler_sim.engine import execution

FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class TaskOutcome:
    """What one policy made of the task.

    Attributes:
        ready_time: arrival, or the finish of the last parent.
        passed_by: tasks that became ready later and started while it waited.
        ahead: tasks that were ready before it and started while it waited.
        completion_time: finish - arrival.
        latest_parent: number of the parent that finished last, None without parents.
        where: node and device in words.
        is_first: no policy finishes it sooner.
    """

    result: SchedulerResult
    ready_time: float
    completion_time: float
    passed_by: int
    ahead: int
    latest_parent: int | None
    where: str
    is_first: bool


@dataclass(frozen=True)
class Alternative:
    """What the task would take with another part of it on the GPU, from its start on."""

    fraction: float
    seconds: float


@dataclass(frozen=True)
class TaskStory:
    """A task of a run, what every policy made of it, and the ways in which it could have been split."""

    task: Task
    outcomes: list[TaskOutcome]
    alternatives: list[Alternative]


def task_story(run: Run, task: Task) -> TaskStory:
    """Tell the story of one task of a run."""
    results = SchedulerResult.objects.filter(run=run, task_id=task.pk, scheduler__in=run.policies)
    by_name = {result.scheduler: result for result in results}
    best = min((result.finish_time for result in by_name.values()), default=None)
    parents = list(
        Task.objects.filter(workload_id=run.workload_id, task_id__in=task.dependencies).values_list("pk", "task_id")
        if task.dependencies
        else []
    )
    outcomes = [
        _outcome(run, task, by_name[name], placements(run, name), parents, best)
        for name in run.policies
        if name in by_name
    ]
    return TaskStory(task=task, outcomes=outcomes, alternatives=_alternatives(run, task))


def _outcome(
    run: Run,
    task: Task,
    result: SchedulerResult,
    placed: Placements,
    parents: list[tuple[int, int]],
    best: float | None,
) -> TaskOutcome:
    ready = result.start_time - result.wait_time
    meanwhile = (placed.start >= ready) & (placed.start < result.start_time) & (placed.task != task.pk)
    later = meanwhile & (placed.ready > ready)
    latest = None
    if parents:
        keys = np.array([key for key, _ in parents])
        rows = np.flatnonzero(np.isin(placed.task, keys))
        if len(rows):
            latest = int(placed.number[rows[np.argmax(placed.finish[rows])]])
    group = _group(run, result.node)
    where = f"node {result.node} ({group})" + (f", GPU {result.device}" if result.device >= 0 else "")
    return TaskOutcome(
        result=result,
        ready_time=ready,
        completion_time=result.finish_time - task.arrival_time,
        passed_by=int(later.sum()),
        ahead=int(meanwhile.sum() - later.sum()),
        latest_parent=latest,
        where=where,
        is_first=result.finish_time == best,
    )


def _group(run: Run, node: int) -> str:
    number = 0
    for group in run.cluster["groups"]:
        number += group["count"]
        if node < number:
            return group["name"]
    return "not in the cluster"


def _alternatives(run: Run, task: Task) -> list[Alternative]:
    """Return the run time of a split task by gpu_fraction on the first node group that has GPUs; none when rigid."""
    if task.kind != Task.Kind.HYBRID:
        return []
    cluster = engine.Cluster.from_json(run.cluster)
    group = next((number for number, one in enumerate(cluster.groups) if one.gpus), None)
    if group is None:
        return []
    fractions = np.array(FRACTIONS)
    rows = np.zeros(len(FRACTIONS), np.int64)
    one = _Split(np.array([task.compute_intensity]), np.array([task.memory_mb]))
    runtime = np.full(len(FRACTIONS), task.runtime)
    cpu, gpu = execution.hybrid_sides(one, rows, runtime, fractions, cluster, np.full(len(FRACTIONS), group))
    model = run.configuration.get("split_model", "concurrent")
    seconds = execution.actual_time(cpu, gpu, model)
    return [Alternative(*pair) for pair in zip(FRACTIONS, seconds.tolist(), strict=True)]


@dataclass(frozen=True)
class _Split:
    """The two columns that the formula of split tasks reads."""

    compute_intensity: Any
    memory_mb: Any
