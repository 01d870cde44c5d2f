"""The lines of a list of runs: each run with the figures of its best policy, or of one that is asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Count

from apps.dashboard.runs.columns import RunColumn
from apps.dashboard.runs.progress import ProgressShown, run_progress
from apps.live.models import SimulationState
from apps.metrics.models import Metric
from apps.results.fidelity import Badge, run_badges
from apps.results.managers import RunQuerySet
from apps.results.models import Run, RunTag
from scheduler_sim.display.formatting import Scale, figure_scale, percent_change


@dataclass(frozen=True)
class RunCell:
    """One cell: the name of its column, where it is written, and the number in it where that is a figure."""

    name: str
    is_number: bool
    text: str = ""


@dataclass(frozen=True)
class RunHead:
    """The head of a column, with the one unit of its figures."""

    column: RunColumn
    unit: str = ""


@dataclass(frozen=True)
class RunTable:
    """A page of a list of runs."""

    heads: Sequence[RunHead]
    lines: Sequence["RunLine"]


@dataclass(frozen=True)
class RunLine:
    """One line of a list of runs.

    Attributes:
        best: the policy whose figures are shown: the first in rank order or the one that was asked for; None before
            the run has figures.
        base: the run's first policy, with which the others are compared; None without figures.
        progress: None when the run is over.
        badge: how its cluster or site replays the log; None where that is not known.
        cells: one a column.
    """

    run: Run
    best: Metric | None
    base: Metric | None
    interrupted: bool
    progress: ProgressShown | None
    badge: Badge | None
    cells: Sequence["RunCell"] = ()

    @property
    def change(self) -> str:
        """How far the policy's mean slowdown is from the base's, empty where there is nothing to compare."""
        if self.best is None or self.base is None or self.best.scheduler == self.base.scheduler:
            return ""
        return percent_change(self.best.mean_bounded_slowdown, self.base.mean_bounded_slowdown)

    @property
    def is_worse(self) -> bool:
        """Whether the policy slows tasks down more than the base."""
        return self.change.startswith(("+", "×"))

    @property
    def took(self) -> float | None:
        """Seconds from its start to its end, None before that."""
        if self.run.started_at is None or self.run.finished_at is None:
            return None
        return (self.run.finished_at - self.run.started_at).total_seconds()

    def figure(self, name: str) -> float | None:
        """Return a figure of the policy that is shown."""
        value: float | None = getattr(self.best, name, None)
        return value


@dataclass(frozen=True)
class RunGroup:
    """The lines of one workload that are on a page, and how many runs of it the list holds."""

    workload: Any
    count: int
    lines: Sequence[RunLine]


def run_rows(keys: Sequence[int]) -> list[Run]:
    """Return the runs with these keys, in that order, with all that a line tells; not their configurations."""
    rows = (
        Run.objects.with_place().with_requester().select_related("workload", "site", "study").prefetch_related("tags")
    )
    rows = rows.defer("configuration", "cluster", "workload__audit", "site__description", "site__notes")
    found = rows.in_bulk(keys)
    return [found[key] for key in keys if key in found]


def run_table(keys: Sequence[int], columns: Sequence[RunColumn], *, policy: str = "") -> RunTable:
    """Return the lines of the runs with these keys, in their order, and the heads; the queries do not grow with them.

    Args:
        policy: whose figures are shown; the best one's by default.
    """
    lines = _lines(run_rows(keys), policy, [column.name for column in columns if column.is_figure])
    scales = {
        column.name: figure_scale(column.name, [line.figure(column.name) for line in lines])
        for column in columns
        if column.is_figure
    }
    heads = [RunHead(column, scales[column.name].unit if column.is_figure else "") for column in columns]

    def cell(column: RunColumn, line: RunLine) -> RunCell:
        text = _written(scales[column.name], line.figure(column.name)) if column.is_figure else ""
        return RunCell(column.name, column.is_number, text)

    return RunTable(heads, [replace(line, cells=[cell(column, line) for column in columns]) for line in lines])


def _written(scale: Scale, value: float | None) -> str:
    """Write a figure in its column's unit; what is too small for the column's decimals is not called 0."""
    least = 10.0**-scale.decimals
    return f"<{least:g}" if value and 0 < value / scale.divisor < least / 2 else scale.text(value)


def _lines(runs: Sequence[Run], policy: str, figures: Iterable[str]) -> list[RunLine]:
    keys = [run.pk for run in runs]
    ranked: dict[int, list[Metric]] = {}
    columns = {"run_id", "scheduler", "mean_bounded_slowdown", "mean_job_completion_time", *figures}
    totals = Metric.objects.totals().filter(run__in=keys, mean_bounded_slowdown__isnull=False)
    for total in totals.only(*columns).in_rank_order():
        ranked.setdefault(total.run_id, []).append(total)
    open_runs = [run.pk for run in runs if not run.is_over or run.status == Run.Status.FAILED]
    states = {state.run_id: state for state in SimulationState.objects.filter(run__in=open_runs)}
    badges = run_badges([run for run in runs if run.pk in ranked and run.status == Run.Status.FINISHED])
    lines = []
    for run in runs:
        state = states.get(run.pk)
        if state is not None:
            state.run = run
        of_run = ranked.get(run.pk, [])
        lines.append(
            RunLine(
                run=run,
                best=next((total for total in of_run if policy in ("", total.scheduler)), None),
                base=next((total for total in of_run if total.scheduler == run.policies[0]), None),
                interrupted=state is not None and state.is_interrupted,
                progress=None if run.is_over else run_progress(run, state),
                badge=badge if (badge := badges.get(run.pk)) and badge.kind in ("replays", "differs") else None,
            )
        )
    return lines


def run_groups(lines: Sequence[RunLine], runs: RunQuerySet) -> list[RunGroup]:
    """Return lines that are in the order of their workloads as one group a workload.

    Args:
        runs: all that the list holds, of which the lines are one page.
    """
    of_workloads: dict[int, list[RunLine]] = {}
    for line in lines:
        of_workloads.setdefault(line.run.workload_id, []).append(line)
    on_page = runs.filter(workload__in=of_workloads).order_by().values_list("workload")
    counts = dict(on_page.annotate(count=Count("pk")))
    return [RunGroup(some[0].run.workload, counts[key], some) for key, some in of_workloads.items()]


EXPORT = (
    "id",
    "name",
    "workload__name",
    "place",
    "status",
    "seed",
    "engine_version",
    "rows_written",
    "checksum",
    "requester",
    "notes",
    "created_at",
    "finished_at",
    "archived_at",
)
"""What a list of runs holds as a file, before its tags, the policy and its figures."""


def run_export(
    runs: RunQuerySet, *, policy: str, figures: Sequence[str]
) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
    """Return the columns and rows of all runs of a list, in stored units, in three queries."""
    rows = list(runs.with_place().with_requester().values_list(*EXPORT))
    keys = runs.order_by().values("pk")
    tags = RunTag.objects.of_runs(keys)
    figures = [name for name in figures if name != "mean_bounded_slowdown"]
    shown = ("scheduler", "mean_bounded_slowdown", *figures)
    totals = Metric.objects.totals().filter(run__in=keys, mean_bounded_slowdown__isnull=False)
    totals = totals.filter(scheduler=policy) if policy else totals.in_rank_order()
    best: dict[int, Sequence[Any]] = {}
    for key, *values in totals.values_list("run_id", *shown):
        best.setdefault(key, values)
    nothing = (None,) * len(shown)
    return (
        (*EXPORT, "tags", *shown),
        [(*row, ",".join(tags.get(row[0], ())), *best.get(row[0], nothing)) for row in rows],
    )
