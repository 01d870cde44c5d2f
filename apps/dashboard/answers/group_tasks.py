"""The tasks of one group under one policy, beside the base."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Floor, Mod

from apps.dashboard.schedule.placements import kept_of
from apps.metrics.models import GroupMetric
from apps.results.models import Run, SchedulerResult
from apps.tasks.models import Task
from scheduler_sim.engine.formulas import arrivals_at_load
from scheduler_sim.engine.measuring.groups import CORES, GPUS, HOURS, LENGTHS, SizeClass
from scheduler_sim.engine.units import SECONDS_PER_HOUR

_TEXTS = {"user": "user", "group": "group", "queue": "queue", "qos": "request__qos"}


@dataclass(frozen=True)
class TaskLine:
    """One task: what it asks for, and what the policy and the base made of it; times in seconds.

    Attributes:
        number: inside the workload.
        difference: completion time less that under the base.
    """

    number: int
    runtime: float
    cpus: float
    gpus: float
    wait_time: float
    base_wait_time: float
    difference: float


class FiledTasks:
    """What `group_tasks` returns of a run whose placements lie in files: so much of a query as pages ask of it.

    Of a run that is over the order is kept in memory, so that only the first page reads the whole group.
    """

    ordered = True

    def __init__(self, run: Run, group: GroupMetric) -> None:
        what = ("group_tasks", group.grouped_by, group.name, group.merged_count, group.scheduler)
        self._columns: tuple[np.ndarray, ...] = kept_of(run, what, lambda: _filed_in_order(run, group))

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, rows: slice) -> list[TaskLine]:
        columns = [column[rows].tolist() for column in self._columns]
        names = ("task_id", "runtime", "cpus", "gpus")
        told = {key: values for key, *values in Task.objects.filter(pk__in=columns[0]).values_list("pk", *names)}
        return [TaskLine(*told[key], *others) for key, *others in zip(*columns, strict=True)]


def _filed_in_order(run: Run, group: GroupMetric) -> tuple[np.ndarray, ...]:
    """Return keys, waits, waits under the base and differences of a group's tasks, those that lose most first."""
    tasks = _within(Task.objects.filter(workload_id=run.workload_id), run, group, prefix="")
    keys = np.fromiter(tasks.order_by("pk").values_list("pk", flat=True).iterator(chunk_size=20_000), np.int64)
    placed, base = (
        SchedulerResult.objects.of_tasks(run, scheduler, keys, ("task_id", "finish_time", "wait_time"))
        for scheduler in (group.scheduler, run.policies[0])
    )
    difference = placed["finish_time"] - base["finish_time"]
    order = np.lexsort((placed["task_id"], -difference))
    columns = (placed["task_id"].astype(np.int64), placed["wait_time"], base["wait_time"], difference)
    return tuple(column[order] for column in columns)


def group_tasks(run: Run, group: GroupMetric) -> Any:
    """Return the placements of a group's tasks under its policy, those that lose most first.

    Each has the `difference` from the base. Tasks that are not scored are there too. The group is found by what is
    stored of the tasks, so one that the run cut to fit its cluster stands by the size that it asked for.
    """
    if SchedulerResult.objects.filed(run) is not None:
        return FiledTasks(run, group)
    rows = SchedulerResult.objects.filter(run=run, scheduler=group.scheduler, task__workload_id=run.workload_id)
    of_base = SchedulerResult.objects.filter(run=run, scheduler=run.policies[0], task_id=OuterRef("task_id"))
    rows = _within(rows, run, group).annotate(difference=F("finish_time") - Subquery(of_base.values("finish_time")[:1]))
    return rows.order_by("-difference", "task_id")


def task_lines(run: Run, rows: Any) -> list[TaskLine]:
    """Return some of what `group_tasks` returned with their tasks, beside the base, in two queries."""
    if isinstance(rows, list):
        return rows
    names = ("task_id", "task__task_id", "task__runtime", "task__cpus", "task__gpus", "wait_time", "difference")
    found = list(rows.values_list(*names))
    of_base = SchedulerResult.objects.filter(run=run, scheduler=run.policies[0], task_id__in=[row[0] for row in found])
    waits = dict(of_base.values_list("task_id", "wait_time"))
    return [
        TaskLine(number, runtime, cpus, gpus, wait, waits[key], difference)
        for key, number, runtime, cpus, gpus, wait, difference in found
    ]


def _within(rows: QuerySet, run: Run, group: GroupMetric, *, prefix: str = "task__") -> QuerySet:
    """Narrow placements to those of the group's tasks, or without a prefix tasks to these."""
    if text := _TEXTS.get(group.grouped_by):
        if not group.merged_count:
            return rows.filter(**{prefix + text: group.name})
        named = GroupMetric.objects.of_run(run, group.grouped_by, group.scheduler).filter(merged_count=0)
        return rows.exclude(**{f"{prefix}{text}__in": list(named.values_list("name", flat=True))})
    if group.grouped_by == "hour":
        arrival: Any = F(f"{prefix}arrival_time")
        if (factor := run.configuration.get("load_factor", 1.0)) != 1.0:
            # The formula is as good for a column of the database.
            arrival = arrivals_at_load(arrival, run.workload.first_arrival_time, factor)
        return rows.annotate(hour=Mod(Floor(arrival / SECONDS_PER_HOUR), HOURS)).filter(hour=int(group.name))
    if group.grouped_by == "kind":
        return rows.filter(**{f"{prefix}kind": group.name})
    if group.grouped_by == "length":
        return rows.filter(_between(f"{prefix}runtime", _named(LENGTHS, group.name)))
    if group.name in (one.name for one in GPUS):
        return rows.filter(_between(f"{prefix}gpus", _named(GPUS, group.name)))
    return rows.filter(_between(f"{prefix}cpus", _named(CORES, group.name)), **{f"{prefix}gpus": 0})


def _named(classes: tuple[SizeClass, ...], name: str) -> SizeClass:
    return next(one for one in classes if one.name == name)


def _between(column: str, one: SizeClass) -> Q:
    bounds = {f"{column}__gt": one.above, f"{column}__lte": one.up_to}
    return Q(**{name: bound for name, bound in bounds.items() if abs(bound) != float("inf")})
