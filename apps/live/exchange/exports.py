"""Stored rows as csv, Parquet, JSON lines or SWF, streamed a chunk at a time.

Rows are read by key range in an order that only the data decides, so memory stays the same whatever the size and two
exports of the same run are the same file. All of them are of one instant, and they are counted: an export holds every
row or fails, whatever is written or deleted meanwhile.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.db import models

from apps.live.exchange.electricity_columns import COLUMNS, attempts_electricity, placements_electricity
from apps.live.exchange.files import file_write
from apps.live.exchange.host_lists import HostLists
from apps.live.exchange.streams import CannotExport, Export, Rows
from apps.live.play.sites import node_names
from apps.live.play.task_electricity import Reckoner
from apps.metrics.models import GroupMetric, Metric
from apps.results.checksum import ATTEMPT_COLUMNS
from apps.results.managers import pages_by_keys
from apps.results.models import Attempt, Run, SchedulerResult
from apps.tasks.models import Task, Workload
from apps.training.models import TrainingData
from scheduler_sim.columnar.snapshot import snapshot
from scheduler_sim.engine.traces.rated import RATE_ON
from scheduler_sim.engine.traces.swf_write import write_swf
from scheduler_sim.engine.workloads.requests import NAMES as REQUESTED
from scheduler_sim.engine.workloads.throughputs import Throughputs

CHUNK_ROWS = 10_000
FORMATS = ("csv", "parquet", "jsonl", "swf")

RESULT_COLUMNS = {
    "scheduler": "scheduler",
    "task_id": "task__task_id",
    "node": "node",
    "device": "device",
    "gpu_fraction": "gpu_fraction",
    "start_time": "start_time",
    "finish_time": "finish_time",
    "actual_time": "actual_time",
    "wait_time": "wait_time",
    "energy_joules": "energy_joules",
    "cost_usd": "cost_usd",
    "model_version": "model_version",
    # Annotated: a task that ran once to its end tells nothing of it in its row.
    "attempts": "attempt_count",
    "service_time": "served_time",
    "lost_time": "lost_seconds",
    "outcome": "ending",
}
ATTEMPTS_EXPORTED = {
    "scheduler": "scheduler",
    "task_id": "task__task_id",
    **{name: name for name in ATTEMPT_COLUMNS},
}
_KEY = "key"
"""The primary key of each row's task, which is left out in the end."""
_KIND = "kind"
"""Whether the task is rigid or hybrid: stands before the key where electricity is told, and is left out too."""

_INTERNAL = {"id", "run", "workload", "created_at"}


def results_export(run: Run, *, unfinished: bool = False, electricity: bool = False) -> Export:
    """Return a run's placements by task and policy; `task_id` is the trace's number.

    Args:
        unfinished: take what is stored of a run that did not come to its end.
        electricity: tell carbon and price of electricity of each, see `electricity_columns`.

    Raises:
        CannotExport: electricity is asked for, and nothing is known of it.
    """

    def expected() -> int:
        present = _present_run(run, unfinished=unfinished)
        if present.keeps == "summary":
            raise CannotExport(f"Run {run.name} kept its figures alone; it has no placements to export.")
        return present.rows_written

    columns = RESULT_COLUMNS | ({_KIND: "task__kind"} if electricity else {}) | {_KEY: "task_id"}
    rows = SchedulerResult.objects.with_history()
    found = _export(SchedulerResult, rows, columns, of_run=run, expected=expected)
    if electricity:
        reckoner = _reckoner(run)
        found = _with_electricity(found, lambda: placements_electricity(run, reckoner, tuple(columns)))
    return _with_node_names(_with_nodes(found, run), run)


def attempts_export(run: Run, *, unfinished: bool = False, electricity: bool = False) -> Export:
    """Return the attempts of a run's tasks that have more than one, and all of policies that change widths.

    They go by task, policy and number.

    `unfinished` and `electricity` as `results_export`.
    """

    def expected() -> int:
        _present_run(run, unfinished=unfinished)
        return SchedulerResult.objects.stored_attempts_of(run)

    columns = ATTEMPTS_EXPORTED | ({_KIND: "task__kind"} if electricity else {}) | {_KEY: "task_id"}
    found = _export(Attempt, Attempt.objects.all(), columns, of_run=run, expected=expected)
    if electricity:
        reckoner = _reckoner(run)
        found = _with_electricity(found, lambda: attempts_electricity(reckoner, tuple(columns)))
    return _with_node_names(_with_nodes(found, run), run)


def tasks_export(workload: Workload) -> Export:
    """Return a workload's tasks by number, with what they ask of a site where it states anything of it.

    So with their rates on kinds of GPU, as the csv format reads them.
    """
    names = {field.name: field.name for field in Task._meta.concrete_fields if field.name not in _INTERNAL}
    if not workload.sent_mb:
        del names["dependency_mb"]
    if workload.states_requests():
        names |= {name: f"request__{name}" for name in REQUESTED}
    found = _export(
        Task,
        Task.objects.filter(workload=workload),
        names,
        keys=("task_id",),
        expected=lambda: _present_task_count(workload),
    )
    if workload.throughputs is None:
        return found
    return _with_rates(found, Throughputs.from_json(workload.throughputs))


def metrics_export(run: Run, *, unfinished: bool = False) -> Export:
    """Return a run's figures: totals and windows by policy and time; `unfinished` as `results_export`."""
    names = {field.name: field.name for field in Metric._meta.concrete_fields if field.name not in _INTERNAL}
    keys = ("scheduler", "window_start_time", "window_end_time")

    def expected() -> None:
        _present_run(run, unfinished=unfinished)

    return _export(Metric, Metric.objects.filter(run=run), names, keys=keys, expected=expected)


def groups_export(run: Run, *, unfinished: bool = False) -> Export:
    """Return a run's figures of groups: by what tells them apart, policy and name; `unfinished` as `results_export`."""
    names = {field.name: field.name for field in GroupMetric._meta.concrete_fields if field.name not in _INTERNAL}
    keys = ("grouped_by", "scheduler", "merged_count", "name")

    def expected() -> None:
        _present_run(run, unfinished=unfinished)

    return _export(GroupMetric, GroupMetric.objects.filter(run=run), names, keys=keys, expected=expected)


def training_export(run: Run | None, *, unfinished: bool = False) -> Export:
    """Return labelled data, of one run or all of it, oldest first; `unfinished` as `results_export`."""
    names = {
        "run": "run_id",
        "task_id": "task__task_id",
        **{
            field.name: field.name
            for field in TrainingData._meta.concrete_fields
            if field.name not in {"id", "run", "task"}
        },
    }
    rows = TrainingData.objects.all() if run is None else TrainingData.objects.filter(run=run)

    def expected() -> None:
        if run is not None:
            _present_run(run, unfinished=unfinished)

    return _export(TrainingData, rows, names, keys=("id",), expected=expected)


def _with_rates(export: Export, throughputs: Throughputs) -> Export:
    """Return the export with each task's rate on every kind of GPU as its last columns, empty where it has none."""
    group, gpus = export.names.index("group"), export.names.index("gpus")
    without = (None,) * len(throughputs.kinds)

    def chunks() -> Rows:
        for rows in export.chunks():
            yield [(*row, *throughputs.rates.get((row[group], int(row[gpus])), without)) for row in rows]

    return Export(
        names=(*export.names, *(f"{RATE_ON}{kind}" for kind in throughputs.kinds)),
        fields=(*export.fields, *(models.FloatField(null=True) for _ in throughputs.kinds)),
        chunks=chunks,
    )


def _reckoner(run: Run) -> Reckoner:
    found = Reckoner.of(run)
    if found is None:
        raise CannotExport(
            f"Nothing is known of the electricity of run {run.name}: that needs series that are stored and can be laid "
            "over the run, and a cluster that states watts."
        )
    return found


def _with_electricity(export: Export, columns: Callable[[], Callable[[list[Any]], list[Any]]]) -> Export:
    """Return the export with columns of electricity in place of the kind of task, before its last column."""

    def chunks() -> Rows:
        told = columns()
        for rows in export.chunks():
            yield [(*row[:-2], *more, row[-1]) for row, more in zip(rows, told(rows), strict=True)]

    names, fields = export.names, export.fields
    return Export(
        names=(*names[:-2], *COLUMNS, names[-1]),
        fields=(*fields[:-2], *(models.FloatField(null=True) for _ in COLUMNS), fields[-1]),
        chunks=chunks,
    )


def _with_nodes(export: Export, run: Run) -> Export:
    """Return the export with all nodes of each row as a host list in place of its task's key, its last column.

    Empty where it was not kept on which nodes tasks on several of them ran, and for what never started.
    """
    names = export.names[:-1]
    ends = names.index("finish_time" if "finish_time" in names else "end_time")
    scheduler, node = names.index("scheduler"), names.index("node")

    def chunks() -> Rows:
        told = HostLists(run)
        for rows in export.chunks():
            lists = told.of((row[scheduler], row[-1], row[ends], row[node]) for row in rows)
            yield [(*row[:-1], nodes) for row, nodes in zip(rows, lists, strict=True)]

    return Export(names=(*names, "nodes"), fields=(*export.fields[:-1], models.TextField(blank=True)), chunks=chunks)


def _with_node_names(export: Export, run: Run) -> Export:
    """Return the export with the name of each row's node as its last column; as it is where nodes have no names."""
    hosts = node_names(run)
    if not hosts:
        return export
    place = export.names.index("node")

    def chunks() -> Rows:
        for rows in export.chunks():
            yield [(*row, hosts[row[place]] if row[place] >= 0 else "") for row in rows]

    return Export(
        names=(*export.names, "node_name"), fields=(*export.fields, models.CharField(max_length=255)), chunks=chunks
    )


def unfinished_words(run: Run) -> str:
    """Return how far a run is that has not come to its end, empty for one that has."""
    if run.status == Run.Status.FINISHED:
        return ""
    reason = f" ({run.error})" if run.error else ""
    return (
        f"Run {run.name} is {run.status}{reason}: {run.rows_written:,} of {run.rows_expected:,} placements are stored."
    )


def _present_run(run: Run, *, unfinished: bool) -> Run:
    present = Run.objects.filter(pk=run.pk).first()
    if present is None:
        raise CannotExport(f"Run {run.name} was deleted.")
    if not unfinished and (words := unfinished_words(present)):
        raise CannotExport(f"{words} --unfinished exports what there is, with that word in the file's name.")
    return present


def _present_task_count(workload: Workload) -> int:
    count = Workload.objects.filter(pk=workload.pk).values_list("task_count", flat=True).first()
    if count is None:
        raise CannotExport(f"Workload {workload.name} was deleted.")
    return count


def _check_count(found: int, expected: int) -> None:
    if found != expected:
        raise CannotExport(f"There are {found:,} rows where {expected:,} belong; the export is not whole.")


def _export(
    model: type,
    rows: Any,
    columns: dict[str, str],
    *,
    keys: tuple[str, ...] = (),
    of_run: Run | None = None,
    expected: Callable[[], int | None],
) -> Export:
    """Return an export; `expected`, asked at the instant of the rows, says how many there must be, None for any.

    Args:
        keys: the unique columns by which rows are in order.
        of_run: placements or attempts of this run are exported, wherever they lie.
    """
    lookups = tuple(columns.values())

    def chunks() -> Rows:
        with snapshot():
            wanted, found = expected(), 0
            pages = (
                rows.pages_of(of_run, lookups, CHUNK_ROWS)
                if of_run is not None
                else pages_by_keys(rows, keys, lookups, CHUNK_ROWS)
            )
            for held in pages:
                found += len(held)
                yield held
            if wanted is not None:
                _check_count(found, wanted)

    fields = tuple(
        _field(model, name if lookup in rows.query.annotations else lookup) for name, lookup in columns.items()
    )
    return Export(names=tuple(columns), fields=fields, chunks=chunks)


def _field(model: Any, lookup: str) -> Any:
    head, _, rest = lookup.partition("__")
    field = model._meta.get_field(head)
    return _field(field.related_model, rest) if rest else field


def workload_swf(workload: Workload) -> tuple[Iterator[bytes], dict[str, int]]:
    """Return a workload as SWF, and what that format could not hold, counted by kind.

    Raises:
        CannotExport: it is gone, or its tasks are not as many as there must be.
    """
    text = io.StringIO()
    with snapshot():
        expected = _present_task_count(workload)
        tasks = Task.objects.filter(workload=workload).as_workload()
    _check_count(len(tasks), expected)
    lost = write_swf(tasks, text, processors=workload.max_processors)
    return iter([text.getvalue().encode()]), lost


def history_rows(run: Run) -> Iterator[tuple[int, float, float, float, float, float]]:
    """Yield the old system's columns of a run, task by task.

    The fraction and time called optimal are those of the policy under which the task ran the shortest; where several
    are equal, of the oracle if it is among them, else of the first by name.
    """
    best: tuple[Any, ...] | None = None
    lookups = ("task_id", "scheduler", "gpu_fraction", "actual_time", *(f"task__{name}" for name in _HISTORY_TASK))
    export = _export(
        SchedulerResult,
        SchedulerResult.objects.all(),
        dict(zip(lookups, lookups, strict=True)),
        of_run=run,
        expected=lambda: _present_run(run, unfinished=False).rows_written,
    )
    for rows in export.chunks():
        for row in rows:
            if best is not None and row[0] != best[0]:
                yield (*best[4:], *best[2:4])
                best = None
            if best is None or _rank(row) < _rank(best):
                best = row
    if best is not None:
        yield (*best[4:], *best[2:4])


_HISTORY_TASK = ("task_id", "size", "compute_intensity", "memory_mb")
HISTORY_COLUMNS = ("task_id", "size", "compute_intensity", "memory_required", "optimal_gpu_fraction", "optimal_time")


def _rank(row: tuple[Any, ...]) -> tuple[float, bool]:
    return row[3], row[1].rpartition("@")[2] != "oracle"


def history_csv_write(*, run: Run, folder: Path) -> Path:
    """Write the old system's csv of a run into `folder`, made if need be, and return the file's path.

    Raises:
        OSError: the folder cannot be made or written.
    """
    import csv

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"run-{run.pk}.csv"

    def lines() -> Iterator[bytes]:
        yield (",".join(HISTORY_COLUMNS) + "\n").encode()
        for row in history_rows(run):
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerow(row)
            yield text.getvalue().encode()

    file_write(path, lines())
    return path
