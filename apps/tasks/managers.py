"""Questions asked of workloads and tasks."""

import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any, cast

import numpy as np
from django.apps import apps
from django.db import models, transaction
from django.db.models.functions import Cast

from apps.tasks.errors import SeriesError, SiteError
from scheduler_sim import engine
from scheduler_sim.columnar.insert import insert_columns
from scheduler_sim.engine.workloads.requests import NAMES, TEXTS, Requests
from scheduler_sim.engine.workloads.throughputs import Throughputs
from scheduler_sim.engine.workloads.workload import REQUEST, FloatArray, IntArray, Labels
from scheduler_sim.marks import alters_data

_CHUNK_ROWS = 10_000

_DIGEST = re.compile("[0-9a-f]{12,64}")
"""So much of a series' digest as settles which one it is."""

OF_LESSONS = "lesson"
"""The source of workloads that lessons are about."""

_KEYS_AT_ONCE = 5_000
"""How many keys one query names."""


class WorkloadQuerySet(models.QuerySet):
    """Workloads."""

    def not_of_studies(self) -> "WorkloadQuerySet":
        """Leave out what was generated or drawn for studies, one workload a seed: only runs of studies play it."""
        runs: Any = cast("type[models.Model]", self.model._meta.get_field("runs").related_model)._base_manager
        runs = runs.filter(workload=models.OuterRef("pk"))
        of_studies, alone = runs.filter(study__isnull=False), runs.filter(study__isnull=True)
        made = models.Q(source__startswith="synthetic:") | models.Q(source="sample")
        return self.exclude(made & models.Exists(of_studies) & ~models.Exists(alone))

    def offered(self) -> "WorkloadQuerySet":
        """Return what forms offer to be played, the newest first: none of studies, and those of lessons at the end."""
        behind = models.Case(models.When(source=OF_LESSONS, then=1), default=0)
        return self.not_of_studies().order_by(behind, "-pk")

    def for_list(self, query: str) -> "WorkloadQuerySet":
        """Return those whose name or source holds `query`, each with the `span` of its arrivals in seconds."""
        matching = self.filter(models.Q(name__icontains=query) | models.Q(source__icontains=query)) if query else self
        return matching.annotate(span=models.F("last_arrival_time") - models.F("first_arrival_time")).defer("audit")


class SiteQuerySet(models.QuerySet):
    """Versions of sites."""

    def newest(self, name: str) -> Any:
        """Return the newest version of a site, None where there is none of that name."""
        return self.filter(name=name).order_by("-version").first()

    def newest_of_each(self) -> "SiteQuerySet":
        """Return the newest version of every site, by name."""
        later = self.model._default_manager.filter(name=models.OuterRef("name"), version__gt=models.OuterRef("version"))
        return self.exclude(models.Exists(later)).order_by("name")

    def versions(self, name: str) -> "SiteQuerySet":
        """Return the versions of a site without their descriptions, newest first, each with its `run_count`."""
        described = self.filter(name=name).defer("description", "notes").order_by("-version")
        return described.annotate(run_count=models.Count("runs"))

    def free_name(self, name: str) -> str:
        """Return a name for a copy of a site that no site has."""
        model: Any = self.model
        begin = name[: model.NAME_LENGTH - 20]
        taken = set(self.filter(name__startswith=f"{begin}-copy").values_list("name", flat=True))
        names = (f"{begin}-copy{number or ''}" for number in count())
        return next(free for free in names if free not in taken)

    def references(self, most: int) -> list[str]:
        """Return what names each of the newest versions, by name and newest first."""
        rows = self.order_by("name", "-version").values_list("name", "version")[:most]
        return [f"{name}@{version}" for name, version in rows]

    def referred(self, reference: str) -> Any:
        """Return the version that `NAME@VERSION` names, the newest one for `NAME` alone.

        Raises:
            SiteError: there is none; the sentence names those there are.
        """
        found = self.newest(reference)
        name, at, version = reference.rpartition("@")
        if found is None and at and version.isascii() and version.isdecimal() and len(version) < 10:
            found = self.filter(name=name, version=int(version)).first()
        if found is None:
            names = list(self.order_by("name").values_list("name", flat=True).distinct())
            there = f"Sites: {', '.join(names)}." if names else "None is stored yet; read one with importsite."
            raise SiteError(f"There is no site {reference!r}. {there}")
        return found


class SeriesQuerySet(models.QuerySet):
    """Step series."""

    def referred(self, reference: str) -> Any:
        """Return the series that `NAME` or `NAME@DIGEST` names; one with a digest is found under any name.

        Its values are not read before they are asked for.

        Raises:
            SeriesError: there is none, the sentence names some of those there are; or a digest that does not settle it.
        """
        _, at, digest = reference.rpartition("@")
        if at and not _DIGEST.fullmatch(digest):
            raise SeriesError(f"{reference!r} names no series: behind the @ belong 12 or more digits of its digest.")
        chosen = {"digest__startswith": digest} if at else {"name": reference}
        found = self.filter(**chosen).defer("packed")[:2]
        if len(found) > 1:
            raise SeriesError(f"{reference!r} names more than one series; give more digits of the digest.")
        if not found:
            names = list(self.order_by("name").values_list("name", flat=True)[:20])
            there = f"Series: {', '.join(names)}." if names else "None is stored yet; read one with importseries."
            raise SeriesError(f"There is no series {reference!r}. {there}")
        return found[0]


def key_pages(keys: IntArray) -> Iterator[list[int]]:
    """Yield primary keys a few thousand at a time, so many as any database binds in one query."""
    for first in range(0, len(keys), _KEYS_AT_ONCE):
        yield keys[first : first + _KEYS_AT_ONCE].tolist()


def key_ranges(name: str, keys: IntArray, spread: int = 3) -> Iterator[tuple[dict[str, Any], IntArray | None]]:
    """Yield conditions on the field `name` that together find all `keys`, ascending, and which of them one finds.

    Keys that lie close together are named by their range, which costs nothing for each; then they are given as well,
    for the range may find others.

    Args:
        spread: a range may hold so many times as many keys as are sought.
    """
    for first in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[first : first + _KEYS_AT_ONCE]
        low, high = int(some[0]), int(some[-1])
        if high - low < spread * len(some):
            yield {f"{name}__gte": low, f"{name}__lte": high}, some
        else:
            yield {f"{name}__in": some.tolist()}, None


def numbers_of_keys(rows: models.QuerySet[Any], keys: IntArray, columns: Sequence[str], spread: int = 3) -> FloatArray:
    """Return columns of numbers of the rows with some keys, by key, shape (n, c); missing numbers are NaN.

    Args:
        keys: values of the first column, which no two rows share, ascending. spread: as of `key_ranges`.
    """
    tables = [np.empty((0, len(columns)))]
    for condition, among in key_ranges(columns[0], keys, spread):
        found = list(rows.filter(**condition).order_by(columns[0]).values_list(*columns))
        table = np.array(found, np.float64).reshape(-1, len(columns))
        if among is not None:
            place = np.minimum(np.searchsorted(among, table[:, 0]), len(among) - 1)
            table = table[among[place] == table[:, 0]]
        tables.append(table)
    return np.concatenate(tables)


def _forget_files(workload_ids: list[int], using: str) -> None:
    apps.get_model("tasks", "Workload")._base_manager.using(using).filter(pk__in=workload_ids).update(
        tasks_file=secrets.token_hex(32)
    )


class OfWorkloadQuerySet(models.QuerySet):
    """Rows of which a workload's file of tasks is made: any change of them gives the workload's row another name."""

    WORKLOAD = "workload_id"
    """What leads from a row to its workload's key."""

    @alters_data
    def forget_files(self) -> None:
        """Name the files of these rows' workloads anew, as none is called yet."""
        _forget_files(list(self.order_by().values_list(self.WORKLOAD, flat=True).distinct()), self.db)

    @alters_data
    def update(self, **values: Any) -> int:
        """Change these rows."""
        with transaction.atomic(using=self.db):
            self.forget_files()
            return super().update(**values)

    @alters_data
    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete these rows."""
        with transaction.atomic(using=self.db):
            self.forget_files()
            return super().delete()

    @alters_data
    def bulk_create(self, objs: Iterable[Any], *args: Any, **options: Any) -> list[Any]:
        """Store rows given as objects."""
        with transaction.atomic(using=self.db):
            made = super().bulk_create(objs, *args, **options)
            for some in key_pages(np.array([one.pk for one in made if one.pk is not None], np.int64)):
                cast("OfWorkloadQuerySet", self.model._default_manager.filter(pk__in=some)).forget_files()
        return made


class TaskQuerySet(OfWorkloadQuerySet):
    """Tasks."""

    def in_canonical_order(self) -> "TaskQuerySet":
        """Order by arrival, then number: the engine's order."""
        return self.order_by("arrival_time", "task_id")

    def has_recorded_starts(self) -> bool:
        """Tell whether the trace says of every one of these tasks when it started."""
        return self.exists() and not self.filter(recorded_start_time__isnull=True).exists()

    def as_workload(self, *, meanwhile: Callable[[], None] = lambda: None) -> engine.Workload:
        """Turn the rows into the engine's columns; parents outside the rows are forgotten.

        One query, and one each for what they ask of a site, for rates on kinds of GPU, and for data where it is sent.
        The rows may come in any order and may be a slice.

        Args:
            meanwhile: called after each few thousand rows; what it raises ends the reading.
        """
        rows: list[tuple[Any, ...]] = []
        reading = self._described().iterator(chunk_size=_CHUNK_ROWS)
        while chunk := list(islice(reading, _CHUNK_ROWS)):
            rows += chunk
            meanwhile()
        return self._workload(rows, meanwhile)

    def workload_of(self, keys: IntArray) -> tuple[engine.Workload, dict[int, int]]:
        """Return the tasks with these primary keys as `as_workload` does, and the key of each task's number.

        Read a few thousand at a time: a database binds only so many values in one query.
        """
        described = self._described()
        number, key = (_COLUMNS.index(name) for name in ("task_id", "pk"))
        rows: list[tuple[Any, ...]] = []
        for condition, among in key_ranges("pk", np.sort(keys)):
            found = described.filter(**condition)
            wanted = None if among is None else set(among.tolist())
            rows += found if wanted is None else (row for row in found if row[key] in wanted)
        return self._workload(rows), {row[number]: row[key] for row in rows}

    def parents_of(self, keys: IntArray) -> dict[int, list[int]]:
        """Return the numbers of the parents of the tasks with these primary keys, by key, of those that have some."""
        named = self.exclude(dependencies=[]).values_list("pk", "dependencies")
        return {key: parents for some in key_pages(keys) for key, parents in named.filter(pk__in=some)}

    def _described(self) -> "models.QuerySet[Any, tuple[Any, ...]]":
        # As text, and decoded all at once below: a JSON decoder a row would take most of the time.
        return self.annotate(dependencies_text=Cast("dependencies", models.TextField())).values_list(*_COLUMNS)

    def _workload(self, rows: list[tuple[Any, ...]], meanwhile: Callable[[], None] = lambda: None) -> engine.Workload:
        """Return rows that were read as the engine's columns."""
        columns: dict[str, Any] = dict(
            zip(_COLUMNS, zip(*rows, strict=True) if rows else [()] * len(_COLUMNS), strict=True)
        )
        numbers: dict[str, Any] = {name: np.array(columns[name], dtype=np.float64) for name in _NUMBERS}
        labels: dict[str, Any] = {name: Labels.from_texts(columns[name]) for name in _LABELS}
        external = np.empty(len(rows), object)
        external[:] = columns["external_id"]
        model: Any = self.model
        asked = model.request.related.related_model.objects.using(self.db)
        rates = model.workload.field.related_model.objects.using(self.db).filter(tasks__pk__in=columns["pk"][:1])
        stated, sent = rates.values_list("throughputs", "audit__sent_mb").first() or (None, None)
        dependencies = _parents(columns["dependencies_text"], columns["task_id"])
        amounts = None
        if sent and dependencies is not None:
            named = (json.loads(text) for text in columns["dependencies_text"])
            known = set(columns["task_id"])
            of_key = self._amounts(columns["pk"])
            amounts = [
                [mb for parent, mb in zip(parents, of_key.get(key, ()), strict=False) if parent in known]
                for key, parents in zip(columns["pk"], named, strict=True)
            ]
        return engine.Workload.from_columns(
            task_id=np.array(columns["task_id"], dtype=np.int64),
            hybrid=np.array(columns["kind"], dtype=object) == "hybrid",
            dependencies=dependencies,
            dependency_mb=amounts,
            external_id=external,
            requests=asked.as_requests(np.array(columns["pk"], np.int64), meanwhile=meanwhile),
            throughputs=None if stated is None else Throughputs.from_json(stated),
            **numbers,
            **labels,
        )

    def _amounts(self, keys: tuple[int, ...]) -> dict[int, list[float]]:
        """Return what is sent to tasks, by primary key; tasks to which nothing is sent are left out."""
        # The tasks of a workload lie together, so a range of keys holds few others.
        model: Any = self.model
        among = model.objects.using(self.db).filter(pk__gte=min(keys), pk__lte=max(keys), dependency_mb__isnull=False)
        return dict(among.values_list("pk", "dependency_mb").iterator(chunk_size=_CHUNK_ROWS))

    @alters_data
    def bulk_create_columns(self, *, workload_id: int, columns: Mapping[str, Any]) -> int:
        """Write tasks given as columns, values by attname, by the database's quickest way; return how many.

        Raises:
            django.db.IntegrityError: a value breaks a constraint; nothing is written.
        """
        with transaction.atomic(using=self.db):
            count = insert_columns(self.model, {"workload_id": workload_id, **columns}, using=self.db)
            _forget_files([workload_id], self.db)
        return count


class TaskRequestQuerySet(OfWorkloadQuerySet):
    """What tasks ask of a site."""

    WORKLOAD = "task__workload_id"

    def as_requests(self, keys: IntArray, *, meanwhile: Callable[[], None] = lambda: None) -> Requests | None:
        """Return what tasks ask for, in the order of their primary keys; None where they ask for nothing. One query.

        Args:
            keys: shape (n,).
            meanwhile: as of `TaskQuerySet.as_workload`.
        """
        if not len(keys):
            return None
        # The tasks of a workload lie together, so a range of keys holds few others.
        among = self.filter(pk__gte=int(keys.min()), pk__lte=int(keys.max()))
        rows: list[tuple[Any, ...]] = []
        reading = among.values_list("pk", *NAMES).iterator(chunk_size=_CHUNK_ROWS)
        while chunk := list(islice(reading, _CHUNK_ROWS)):
            rows += chunk
            meanwhile()
        if not rows:
            return None
        found, *columns = zip(*rows, strict=True)
        order = np.argsort(np.array(found, np.int64), kind="stable")
        stored = np.array(found, np.int64)[order]
        places = np.minimum(np.searchsorted(stored, keys), len(stored) - 1)
        known = stored[places] == keys
        requests = Requests.blank(len(keys))
        stated: dict[str, Any] = {}
        for name, values in zip(NAMES, columns, strict=True):
            blank = getattr(requests, name)
            texts = blank.texts() if name in TEXTS else blank
            texts[known] = np.array(values, texts.dtype)[order][places[known]]
            stated[name] = Labels.from_texts(texts) if name in TEXTS else texts
        requests = Requests(**stated)
        return requests if requests.stated() else None

    @alters_data
    def bulk_create_columns(self, *, workload_id: int, requests: Requests) -> int:
        """Write what the tasks of a workload ask for, in the order of their numbers; return how many there are.

        Raises:
            django.db.IntegrityError: a value breaks a constraint; nothing is written.
        """
        model: Any = self.model
        tasks = model.task.field.related_model.objects.using(self.db)
        keys = tasks.filter(workload_id=workload_id).order_by("task_id").values_list("pk", flat=True)
        columns: dict[str, Any] = {"task_id": np.fromiter(keys.iterator(chunk_size=_CHUNK_ROWS), np.int64)}
        for name in requests.stated():
            column = getattr(requests, name)
            columns[name] = column.texts() if isinstance(column, Labels) else column
        with transaction.atomic(using=self.db):
            count = insert_columns(self.model, columns, using=self.db)
            _forget_files([workload_id], self.db)
        return count


WORKLOAD_FIGURES = (
    "task_count",
    "first_arrival_time",
    "last_arrival_time",
    "max_processors",
    "core_seconds",
    "gpu_seconds",
    "offered_load",
)
"""The columns of a workload that say how much work it is."""

_NUMBERS = (
    "arrival_time",
    *REQUEST,
    "deadline_time",
    "predicted_duration",
    "recorded_start_time",
)
_LABELS = ("gpu_type", "user", "group", "queue")
_COLUMNS = (*_NUMBERS, *_LABELS, "pk", "task_id", "kind", "dependencies_text", "external_id")


def _parents(texts: tuple[str, ...], task_ids: tuple[int, ...]) -> list[list[int]] | None:
    """Decode the lists of parents and keep those among `task_ids`; None when no task has any."""
    if all(text == "[]" for text in texts):
        return None
    known = set(task_ids)
    decoded: list[list[int]] = json.loads(f"[{','.join(texts)}]")
    return [[parent for parent in parents if parent in known] for parents in decoded]
