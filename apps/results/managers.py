"""Questions asked of runs and results."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, TypeVar, cast

import numpy as np
from django.db import connections, models
from django.db.models import Case, Count, F, OuterRef, Q, Subquery, Sum, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce
from django.db.models.lookups import Exact

from apps.results.errors import DomainError, UnknownRun, UnknownStudy
from apps.results.filed_rows import FiledRows, Kinds
from apps.results.keys import take_keys_anew
from apps.results.placement_files import ATTEMPTS, PLACEMENTS
from apps.tasks.managers import key_pages, numbers_of_keys
from apps.tasks.models import Task
from scheduler_sim.background.models import Job
from scheduler_sim.columnar.insert import insert_blocks
from scheduler_sim.columnar.statements import answered
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray
from scheduler_sim.marks import alters_data

_CHUNK_ROWS = 20_000

M = TypeVar("M", bound=models.Model, covariant=True)


class NamedQuerySet(models.QuerySet[M]):
    """Rows with a name of their own.

    Attributes:
        Unknown: what is raised for one that is not there.
    """

    Unknown: type[DomainError]

    def named(self, wanted: str) -> M:
        """Return the row with this number or name; a number is tried first.

        Raises:
            DomainError: there is none.
        """
        found = self.filter(pk=int(wanted)).first() if wanted.isascii() and wanted.isdecimal() else None
        found = found or self.filter(name=wanted).first()
        if found is None:
            raise self.Unknown(f"There is no {self.model._meta.verbose_name} {wanted!r}.")
        return found


class RunQuerySet(NamedQuerySet[Any]):
    """Runs."""

    Unknown = UnknownRun

    def under_way(self) -> "RunQuerySet":
        """Runs that are queued, running or paused."""
        return self.exclude(status__in=self.model.TERMINAL)

    def going_on(self) -> "RunQuerySet":
        """Runs under way, without those of studies that wait: whether anybody will play them, their study knows."""
        return self.under_way().exclude(status=self.model.Status.QUEUED, study__isnull=False)

    def finished(self) -> "RunQuerySet":
        """Runs that came to their end."""
        return self.filter(status=self.model.Status.FINISHED)

    def in_sight(self) -> "RunQuerySet":
        """Runs that nobody archived."""
        return self.filter(archived_at__isnull=True)

    def archived(self) -> "RunQuerySet":
        """Runs that somebody archived."""
        return self.filter(archived_at__isnull=False)

    def tagged(self, name: str) -> "RunQuerySet":
        """Runs with a tag."""
        return self.filter(pk__in=self._tags().filter(name=name).values("run_id"))

    def playing(self, policy: str) -> "RunQuerySet":
        """Runs that play the policy of this name, whether they have figures yet or not."""
        return self._with_policy_text().filter(policy_text__contains=json.dumps(policy))

    def at_place(self, name: str) -> "RunQuerySet":
        """Runs on a cluster, or on any version of a site, whose name holds this text."""
        return self.filter(Q(site__name__icontains=name) | Q(site__isnull=True, cluster__name__icontains=name))

    def with_place(self) -> "RunQuerySet":
        """Add `place`: the name of the site or else of the cluster."""
        return self.annotate(place=Coalesce(Cast("site__name", models.TextField()), KT("cluster__name")))

    def with_requester(self) -> "RunQuerySet":
        """Add `requester`: the user who asked for the run or for its study, None for what a command began."""
        asked = [_first_requester("run", "pk"), _first_requester("study", "study_id")]
        return self.annotate(requester=Coalesce(*asked))

    def requested_by(self, username: str) -> "RunQuerySet":
        """Runs that a user asked for on the site or over the API, alone or as part of a study."""
        jobs = Job.objects.filter(requested_by__username=username)
        return self.filter(
            Q(pk__in=jobs.filter(kind="run").values("subject_id"))
            | Q(study_id__in=jobs.filter(kind="study").values("subject_id"))
        )

    def matching(self, text: str) -> "RunQuerySet":
        """Runs of this number, or with this text in their name, workload, policies, notes or a tag."""
        found = Q(name__icontains=text) | Q(workload__name__icontains=text) | Q(notes__icontains=text)
        found |= Q(policy_text__icontains=text) | Q(pk__in=self._tags().filter(name__icontains=text).values("run_id"))
        if text.isascii() and text.isdecimal() and len(text) < 19:
            found |= Q(pk=int(text))
        return self._with_policy_text().filter(found)

    def _tags(self) -> Any:
        return self.model._meta.get_field("tags").related_model.objects

    def _with_policy_text(self) -> "RunQuerySet":
        return self.annotate(policy_text=Cast("policies", models.TextField()))

    def free_name(self, wanted: str) -> str:
        """Return `wanted`, with the lowest free number from 2 behind it where it is taken.

        The number stands in parentheses, so that it is not read as part of the name: `lublin-256 on hpc-256 (2)`.
        A name that would not fit the column is cut, with room for the number.
        """
        wanted = wanted[: self.model.NAME_LENGTH - 10]
        taken = set(self.filter(name__startswith=wanted).values_list("name", flat=True))
        if wanted not in taken:
            return wanted
        return next(name for number in count(2) if (name := f"{wanted} ({number})") not in taken)


class RunTagQuerySet(models.QuerySet[Any]):
    """Tags of runs."""

    def names(self) -> list[str]:
        """Return every tag once, in order."""
        return list(self.order_by("name").values_list("name", flat=True).distinct())

    def of_runs(self, keys: Iterable[int] | models.QuerySet[Any]) -> dict[int, list[str]]:
        """Return the tags of the runs with these keys that have some, in order, in one query."""
        found: dict[int, list[str]] = {}
        for key, name in self.filter(run__in=keys).order_by("name").values_list("run_id", "name"):
            found.setdefault(key, []).append(name)
        return found


def _first_requester(kind: str, key: str) -> Subquery:
    """Return who first asked for what an outer row's `key` names."""
    jobs = Job.objects.filter(kind=kind, subject_id=OuterRef(key), requested_by__isnull=False)
    return Subquery(jobs.order_by("pk").values("requested_by__username")[:1])


class StudyQuerySet(NamedQuerySet[Any]):
    """Studies."""

    Unknown = UnknownStudy

    def with_counts(self) -> "StudyQuerySet":
        """Return the newest first, each with `run_count`, `finished_count` and `failed_count`."""
        return self.annotate(
            run_count=Count("runs"),
            finished_count=Count("runs", filter=Q(runs__status="finished")),
            failed_count=Count("runs", filter=Q(runs__status="failed")),
        ).order_by("-pk")


class OfRunsQuerySet(models.QuerySet[Any]):
    """Rows of runs, which lie in the database or, of a run with `keep: parquet`, in files.

    What takes a run gives its rows wherever they are; nobody else need know where. All else is of the database.

    Attributes:
        HOLDS: what files of these rows hold. KEYS: the columns by which they are in order within a run.
    """

    HOLDS: str
    KEYS: tuple[str, ...]

    def filed(self, run: Any) -> FiledRows | None:
        """Return the rows of a run that keeps them in files, None for others."""
        return FiledRows(run, self.model, self.HOLDS) if run.keeps == "parquet" else None

    def count_of(self, run: Any) -> int:
        """Return how many rows a run has."""
        filed = self.filed(run)
        return self.filter(run=run).count() if filed is None else filed.count()

    def are_of(self, run: Any) -> bool:
        """Tell whether a run has any rows, without counting them."""
        filed = self.filed(run)
        return self.filter(run=run).exists() if filed is None else bool(filed.schedulers())

    def counts_by_policy(self, run: Any) -> dict[str, int]:
        """Return how many rows each policy of a run has that has some."""
        filed = self.filed(run)
        if filed is not None:
            return filed.counts()
        return dict(self.filter(run=run).order_by().values_list("scheduler").annotate(Count("pk")))

    def of_policy(self, run: Any, scheduler: str, kinds: Kinds, keys: IntArray | None = None) -> Any:
        """Return columns of one policy's rows as a structured array, in no order.

        Args:
            kinds: names, and NumPy's type of each; missing numbers are NaN, and missing words the word None.
            keys: primary keys of the tasks that are wanted, ascending; None for all.
        """
        filed = self.filed(run)
        if filed is not None:
            return filed.read(scheduler, kinds, keys)
        rows = self.filter(run=run, scheduler=scheduler).order_by().values_list(*(name for name, _ in kinds))
        pages = [rows] if keys is None else [rows.filter(task_id__in=some) for some in key_pages(keys)]
        read = [np.fromiter(page.iterator(chunk_size=_CHUNK_ROWS), list(kinds)) for page in pages]
        return np.concatenate([np.empty(0, list(kinds)), *read])

    def of_keys(self, run: Any, keys: Sequence[int], schedulers: Sequence[str] | None = None) -> list[Any]:
        """Return the rows of the tasks with these primary keys; those from files are in no table.

        Args:
            schedulers: only under these policies.
        """
        filed = self.filed(run)
        if filed is not None:
            return filed.objects(np.unique(np.array(keys, np.int64)), schedulers)
        rows = self.filter(run=run, task_id__in=keys)
        return list(rows if schedulers is None else rows.filter(scheduler__in=schedulers))

    def pages_of(self, run: Any, lookups: Sequence[str], size: int) -> Iterator[list[tuple[Any, ...]]]:
        """Yield values of all rows of a run in the order of `KEYS`, `size` at a time.

        Args:
            lookups: columns, and `task__...`; of placements also what `with_history` adds.
        """
        filed = self.filed(run)
        if filed is not None:
            yield from filed.pages(lookups, size)
            return
        yield from pages_by_keys(self.filter(run=run), self.KEYS, lookups, size)


def pages_by_keys(
    rows: models.QuerySet[Any], keys: Sequence[str], lookups: Sequence[str], size: int
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield values of rows in the order of `keys`, which are unique, `size` at a time, each page found by its keys."""
    after: tuple[Any, ...] | None = None
    while True:
        page = rows if after is None else rows.filter(_beyond(keys, after))
        held = list(page.order_by(*keys).values_list(*keys, *lookups)[:size])
        if not held:
            return
        yield [row[len(keys) :] for row in held]
        after = held[-1][: len(keys)]


def _beyond(keys: Sequence[str], after: Sequence[Any]) -> Q:
    """Return the condition that a row comes after `after` in the order of `keys`."""
    first, *others = keys
    condition = Q(**{f"{first}__gt": after[0]})
    if others:
        condition |= Q(**{first: after[0]}) & _beyond(others, after[1:])
        # Stated once more in a form that an index serves: OR alone would not narrow the range.
        condition &= Q(**{f"{first}__gte": after[0]})
    return condition


class SchedulerResultQuerySet(OfRunsQuerySet):
    """Placements."""

    HOLDS = PLACEMENTS
    KEYS = ("task_id", "scheduler")

    def stored_attempts(self) -> int:
        """Return how many attempts are stored beside these: of tasks with several, and of all that may change width."""
        # Policies bring Numba, for which commands that play nothing would wait.
        from scheduler_sim.engine.policies import changes_widths

        told = self.order_by().values_list("scheduler")
        several = told.annotate(all=Sum("attempts", filter=Q(attempts__gt=1)), every=Sum("attempts"))
        return sum((every if changes_widths(scheduler) else found) or 0 for scheduler, found, every in several)

    def stored_attempts_of(self, run: Any) -> int:
        """Return how many attempts must be stored beside a run's placements, as these or the names of files tell."""
        if run.keeps == "parquet":
            attempts = cast("type[models.Model]", run._meta.get_field("attempts").related_model)
            told: int = cast("AttemptQuerySet", attempts._default_manager.all()).count_of(run)
            return told
        return self.filter(run=run).stored_attempts()

    def newest(self, count: int = 100) -> "SchedulerResultQuerySet":
        """Return the `count` newest rows, newest first, read off the primary key."""
        return self.order_by("-id")[:count]

    def of_run(self, run: Any) -> "SchedulerResultQuerySet":
        """Only those of one run, in a form that the primary key serves too: a run's rows lie together in it."""
        if run.first_result_id is None or run.last_result_id is None:
            return self.none()
        return self.of_run_within(run.pk, run.first_result_id, run.last_result_id)

    def of_run_within(self, run_id: int, first_id: int, last_id: int) -> "SchedulerResultQuerySet":
        """Only those of one run with primary keys from `first_id` to `last_id`, found by that key.

        The sum keeps planners (SQLite's above all) from walking the unique key of the whole run instead.
        """
        return self.filter(Exact(F("run_id") + 0, run_id), id__range=(first_id, last_id))

    @alters_data
    def lowest_key_to_come(self) -> int:
        """Return a primary key that no row which this connection will write is below."""
        connection = connections[self.db]
        if connection.vendor == "postgresql":
            # Rows that others have not committed yet have keys already.
            key: int = answered(
                connection, "SELECT nextval(pg_get_serial_sequence(%s, 'id'))", [self.model._meta.db_table]
            )
            return key
        newest: int | None = self.order_by("-id").values_list("id", flat=True).first()
        return (newest or 0) + 1

    def of_tasks(
        self, run: Any, scheduler: str, keys: IntArray, columns: Sequence[str], *, ended_from: float = -np.inf
    ) -> dict[str, FloatArray]:
        """Return columns of one policy's results of the tasks with these primary keys, as numbers, by key ascending.

        Served by the unique key. A result without a value in a column has NaN there.

        Args:
            ended_from: those that ended before may be left out.
        """
        filed, named = self.filed(run), tuple(dict.fromkeys(("task_id", *columns)))
        if filed is not None:
            read = filed.read(scheduler, [(name, np.float64) for name in named], np.sort(keys))
            return {name: np.ascontiguousarray(read[name]) for name in columns}
        of_policy = self.filter(run=run, scheduler=scheduler)
        spread = 3
        if np.isfinite(ended_from):
            # Few of a range have gone on until then but those that are sought: the database leaves out the others.
            of_policy, spread = of_policy.filter(finish_time__gte=ended_from), 20
        table = numbers_of_keys(of_policy, np.sort(keys), named, spread)
        return {name: np.ascontiguousarray(table[:, named.index(name)]) for name in columns}

    def latest_of(self, run: Any, count: int = 100) -> "SchedulerResultQuerySet":
        """Return the `count` newest rows of one run, newest first."""
        return self.of_run(run).order_by("-id")[:count]

    def newest_tasks(self, run: Any, scheduler: str, count: int) -> IntArray:
        """Return the primary keys of one policy's tasks among about the `count` newest rows of a run, ascending."""
        filed = self.filed(run)
        if filed is not None:
            return filed.newest_tasks(scheduler, max(1, count // len(run.policies)))
        newest = self.latest_of(run, count).values_list("scheduler", "task_id")
        return np.sort(np.array([key for name, key in newest if name == scheduler], np.int64))

    def tells_attempts(self, run: Any, scheduler: str, keys: IntArray) -> bool:
        """Tell whether the results of these tasks say what they went through; all of a policy do, or none does."""
        read = self.of_policy(run, scheduler, [("attempts", np.float64)], keys)
        return bool(np.isfinite(read["attempts"]).any())

    def failed_at_once(self, run: Any, scheduler: str, keys: IntArray | None) -> IntArray:
        """Return the primary keys of one policy's tasks that failed in their only attempt; `keys` as of `of_policy`."""
        if self.filed(run) is not None:
            read = self.of_policy(
                run, scheduler, [("task_id", np.int64), ("attempts", float), ("outcome", "U12")], keys
            )
            failed: IntArray = read["task_id"][(read["attempts"] == 1) & (read["outcome"] == "failed")]
            return failed
        rows = self.filter(scheduler=scheduler, outcome="failed", attempts=1)
        return rows.of_policy(run, scheduler, [("task_id", np.int64)], keys)["task_id"]

    def history(self, run: Any, task_ids: Sequence[int]) -> "SchedulerResultQuerySet":
        """Return every policy's result of the tasks with these numbers, task by task, for a comparison side by side.

        Served by the tasks' unique key and then by that of the results. The tasks are named for the join as well:
        by the results alone a planner may expect so many that it reads every task.
        """
        workload_id = self._workload_of(run) if isinstance(run, int) else run.workload_id
        wanted = {"workload_id": workload_id, "task_id__in": task_ids}
        keys = list(Task.objects.filter(**wanted).values_list("pk", flat=True))
        joined = {f"task__{name}": value for name, value in wanted.items()}
        results = self.filter(run=run, task_id__in=keys, **joined)
        return results.select_related("task").order_by("task__task_id", "scheduler")

    def ends_of(self, run: Any, scheduler: str, task_ids: Sequence[int]) -> dict[int, float]:
        """Return when tasks with these numbers finished under one policy of a run, by number."""
        finish: dict[int, float] = {}
        filed = self.filed(run)
        for some in key_pages(np.array(task_ids, np.int64)):
            if filed is not None:
                told = Task.objects.filter(workload_id=run.workload_id, task_id__in=some).values_list("pk", "task_id")
                numbers = dict(told)
                read = self.of_tasks(run, scheduler, np.array(sorted(numbers), np.int64), ("task_id", "finish_time"))
                ends_of = zip(read["task_id"].tolist(), read["finish_time"].tolist(), strict=True)
                finish.update({numbers[int(key)]: end for key, end in ends_of})
                continue
            ends = self.history(run, some).filter(scheduler=scheduler).order_by()
            finish.update(ends.values_list("task__task_id", "finish_time"))
        return finish

    def _workload_of(self, run_id: int) -> int | None:
        run_model = cast("type[models.Model]", self.model._meta.get_field("run").related_model)
        rows = run_model._base_manager.values_list("workload_id", flat=True)
        workload_id: int | None = rows.filter(pk=run_id).first()
        return workload_id

    @alters_data
    def bulk_create_columns(self, *, run_id: int, parts: Mapping[str, Mapping[str, Any]]) -> int:
        """Write placements given as columns by the database's quickest way, in one statement; return how many.

        Args:
            run_id: the run, which the caller has made sure exists: the table's foreign keys are not checked.
            parts: for each policy its placements, values by attname; `task_id` holds primary keys of tasks.

        Raises:
            django.db.IntegrityError: a task is there already, or a value breaks a constraint; nothing is written.
        """
        take_keys_anew(connections[self.db], run_id)
        return insert_blocks(self.model, list(_blocks(run_id, parts, "outcome")), using=self.db, near="task_id")

    def with_history(self) -> "SchedulerResultQuerySet":
        """Add what each task went through, also where the row tells nothing of it because it ran once to its end.

        The names are `attempt_count`, `served_time`, `lost_seconds` and `ending`. `ending` is empty where a run that
        ends tasks at their estimate was stored without it: whether one was ended is then not known.
        """
        kills = Q(run__configuration__kill_at_estimate=True)
        return self.annotate(
            attempt_count=Coalesce("attempts", 1),
            served_time=Coalesce("service_time", "actual_time"),
            lost_seconds=Coalesce("lost_time", 0.0),
            ending=Coalesce("outcome", Case(When(kills, then=Value("")), default=Value("completed"))),
        )


class FidelityQuerySet(models.QuerySet[Any]):
    """What is known of how policies replay logs."""

    def about(self, runs: Iterable[Any]) -> "FidelityQuerySet":
        """Those of the runs' workloads and engine versions by which runs are marked, on any cluster or site."""
        wanted = {(run.workload_id, run.engine_version) for run in runs}
        return self.filter(
            workload_id__in={workload for workload, _ in wanted},
            engine_version__in={version for _, version in wanted},
            policy__in=self.model.POLICIES,
        ).defer("details")


class AttemptQuerySet(OfRunsQuerySet):
    """Attempts."""

    HOLDS = ATTEMPTS
    KEYS = ("task_id", "scheduler", "number")

    @alters_data
    def bulk_create_columns(self, *, run_id: int, parts: Mapping[str, Mapping[str, Any]]) -> int:
        """Write attempts given as columns by policy, as `SchedulerResultQuerySet.bulk_create_columns` does."""
        return insert_blocks(self.model, list(_blocks(run_id, parts, "reason")), using=self.db, near="task_id")

    @alters_data
    def delete_some(self, run_id: int, most: int) -> int:
        """Delete at most so many attempts of a run, and return how many there were."""
        keys = self.filter(run_id=run_id).order_by("task_id", "scheduler", "number").values("pk")[:most]
        # Without objects, signals and cascades: nothing refers to an attempt.
        deleted: int = self.filter(pk__in=keys)._raw_delete(self.db)
        return deleted


def _blocks(run_id: int, parts: Mapping[str, Mapping[str, Any]], word: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of each policy, those with one text in the column `word` together.

    Policies come by name, so that with their tasks' order the rows come in that of the unique key. Texts that are the
    same throughout a block are what the quickest way of writing needs.
    """
    for scheduler in sorted(parts):
        columns: dict[str, Any] = {"run_id": run_id, "scheduler": scheduler, **parts[scheduler]}
        texts: Any = columns.get(word)
        if np.ndim(texts) == 0:
            yield columns
            continue
        for text in dict.fromkeys(np.asarray(texts).tolist()):
            rows = np.flatnonzero(np.asarray(texts) == text)
            chosen = {name: np.asarray(column)[rows] if np.ndim(column) else column for name, column in columns.items()}
            yield {**chosen, word: text}
