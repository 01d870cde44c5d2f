"""Reading the tasks of a stored workload as columns: from its file where there is one, else from the database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from django.conf import settings

from apps.tasks.digests import tasks_digest
from apps.tasks.models import Task, Workload
from apps.tasks.task_files import FiledTasks, task_file_read, task_file_write
from scheduler_sim import engine
from scheduler_sim.engine.workloads.columns import IntArray, Labels
from scheduler_sim.engine.workloads.requests import TEXTS
from scheduler_sim.engine.workloads.throughputs import Throughputs

FEWEST_FILED = 20_000
"""Smaller workloads are read from the database about as soon as Arrow, which reads the files, is imported."""

MOST_KEPT = 2_000_000
"""Of larger workloads a process keeps no file in mind from which to take some tasks."""

Meanwhile = Callable[[], None]


@dataclass(frozen=True)
class StoredTasks:
    """Tasks of a stored workload, in canonical order.

    Attributes:
        keys: shape (n,), their primary keys.
        known_digest: what `digest` is, where that was settled already.
    """

    workload: engine.Workload
    keys: IntArray
    known_digest: str | None = field(default=None, repr=False)

    @cached_property
    def digest(self) -> str:
        """The digest of the tasks (see `digests.tasks_digest`)."""
        return self.known_digest or tasks_digest(self.workload)


def load_tasks(*, workload_id: int, limit: int | None = None, meanwhile: Meanwhile = lambda: None) -> StoredTasks:
    """Return the first `limit` tasks (None: all) by arrival of a workload, as `read_tasks` does.

    A larger workload is read from its file, which is made where there is none; where that cannot be, from the database.

    Args:
        meanwhile: called again and again while rows are read; what it raises ends the reading.
    """
    row = Workload.objects.filter(pk=workload_id).values_list("task_count", "tasks_file", "throughputs").first()
    if row is None or row[0] < FEWEST_FILED or not settings.TASK_FILES_MB:
        return read_tasks(workload_id=workload_id, limit=limit, meanwhile=meanwhile)
    count, name, stated = row
    some = limit is not None and limit < count
    filed = task_file_read(name) if name else None
    rates = None if stated is None else Throughputs.from_json(stated)
    if filed is not None and filed.workload.throughputs != rates:
        # They stand in the workload's own row.
        filed = None
    if filed is None and some:
        return read_tasks(workload_id=workload_id, limit=limit, meanwhile=meanwhile)
    if filed is not None:
        found = StoredTasks(filed.workload, filed.keys, filed.digest)
        return _first(found, limit) if some and limit is not None else found
    found = read_tasks(workload_id=workload_id, meanwhile=meanwhile)
    made = task_file_write(FiledTasks(found.workload, found.keys, found.digest)) if len(found.workload) else None
    if made is not None and made != name:
        # Unless the tasks were changed since they were read.
        Workload.objects.filter(pk=workload_id, tasks_file=name).update(tasks_file=made)
    return found


def read_tasks(*, workload_id: int, limit: int | None = None, meanwhile: Meanwhile = lambda: None) -> StoredTasks:
    """Return the first `limit` tasks (None: all) by arrival from the database; `meanwhile` as of `load_tasks`."""
    tasks = Task.objects.filter(workload_id=workload_id).in_canonical_order()
    if limit is not None:
        tasks = tasks[:limit]
    keys = np.fromiter(tasks.values_list("pk", flat=True).iterator(chunk_size=10_000), np.int64)
    return StoredTasks(tasks.as_workload(meanwhile=meanwhile), keys)


def some_tasks(stored: Workload, keys: IntArray) -> StoredTasks:
    """Return those tasks of a workload that have these primary keys, in canonical order; others are forgotten.

    They are taken from its file where there is one, which a process reads as a whole but once, else from the database.
    """
    kept = _kept_of(stored) if FEWEST_FILED <= stored.task_count <= MOST_KEPT else None
    found = None if kept is None else kept.taken(np.asarray(keys, np.int64))
    if found is not None:
        return found
    workload, numbered = Task.objects.workload_of(keys)
    return StoredTasks(workload, np.array([numbered[number] for number in workload.task_id.tolist()], np.int64))


def filed_columns(stored: Workload, names: Sequence[str]) -> list[np.ndarray] | None:
    """Return columns of all tasks of a workload from its file, in one order; None where it has none.

    Args:
        names: `pk`, and columns of numbers that are called alike in a row and in the engine's workload.
    """
    filed = task_file_read(stored.tasks_file) if settings.TASK_FILES_MB and stored.tasks_file else None
    if filed is None:
        return None
    return [filed.keys if name == "pk" else getattr(filed.workload, name) for name in names]


@dataclass(frozen=True)
class _Kept:
    """A file that was read; it stays mapped, whatever becomes of it. `order` sorts its keys, None where they ascend."""

    filed: FiledTasks
    order: IntArray | None

    def taken(self, keys: IntArray) -> StoredTasks | None:
        """Return the tasks with these keys; None where not all are there."""
        if not (np.diff(keys) > 0).all():
            keys = np.unique(keys)
        place = np.searchsorted(self.filed.keys, keys, sorter=self.order)
        place = np.minimum(place, len(self.filed.keys) - 1)
        rows = place if self.order is None else self.order[place]
        if not np.array_equal(self.filed.keys[rows], keys):
            return None
        rows = np.sort(rows)
        return StoredTasks(_alone(self.filed.workload.take(rows)), self.filed.keys[rows])


def _kept_of(stored: Workload) -> _Kept | None:
    try:
        kept = _keep(stored.tasks_file) if settings.TASK_FILES_MB and stored.tasks_file else None
    except FileNotFoundError:
        return None
    rates = None if stored.throughputs is None else Throughputs.from_json(stored.throughputs)
    # Whose parents are among some tasks would be asked of all.
    if kept is None or kept.filed.workload.throughputs != rates or kept.filed.workload.parents.count:
        return None
    return kept


@lru_cache(maxsize=2)
def _keep(name: str) -> _Kept:
    """Read a file, which never holds anything else under that name.

    Raises:
        FileNotFoundError: there is none that can be used.
    """
    filed = task_file_read(name)
    if filed is None or not len(filed.keys):
        raise FileNotFoundError(name)
    return _Kept(filed, None if (np.diff(filed.keys) > 0).all() else np.argsort(filed.keys))


def _first(tasks: StoredTasks, limit: int) -> StoredTasks:
    """Return the first `limit` tasks as if the database held no others."""
    return StoredTasks(_alone(tasks.workload.head(limit)), tasks.keys[:limit])


def _alone(taken: engine.Workload) -> engine.Workload:
    """Return tasks taken from others as if the database held no others."""
    numbers: dict[str, Any] = {
        name: getattr(taken, name)
        for name in (
            *("task_id", "arrival_time", "runtime", "size", "compute_intensity", "memory_mb", "cpus", "gpus"),
            *("hybrid", "deadline_time", "predicted_duration", "recorded_start_time", "external_id", "throughputs"),
        )
    }
    labels: dict[str, Any] = {name: _used(getattr(taken, name)) for name in ("gpu_type", "user", "group", "queue")}
    requests = taken.requests
    if requests is not None:
        texts: dict[str, Any] = {name: _used(getattr(requests, name)) for name in TEXTS}
        requests = replace(requests, **texts)
        requests = requests if requests.stated() else None
    return engine.Workload.from_columns(
        duration_estimate=np.where(taken.estimate_known, taken.duration_estimate, np.nan),
        dependencies=taken.dependencies() if taken.parents.count else None,
        dependency_mb=None if taken.parents.mb is None else taken.dependency_mb(),
        requests=requests,
        **numbers,
        **labels,
    )


def _used(labels: Labels) -> Labels:
    """Return labels without names that none of them has."""
    present = np.bincount(labels.codes, minlength=len(labels.names)) > 0
    names = tuple(name for name, is_used in zip(labels.names, present.tolist(), strict=True) if is_used)
    return replace(labels, codes=(np.cumsum(present) - 1)[labels.codes], names=names)
