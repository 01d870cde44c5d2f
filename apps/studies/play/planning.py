"""What playing a study would mean, said before anything is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import DurationField, ExpressionWrapper, F, QuerySet

from apps.results.models import Run, Study
from apps.studies.definition import Definition
from apps.tasks.models import Workload
from scheduler_sim.display.formatting import roughly

NEWEST = 200
"""So many measured runs are asked about their time."""

CLUSTERED = 0.1
"""Sizes of runs that differ by less than this part of the largest tell nothing of how time grows with size."""


@dataclass(frozen=True)
class Plan:
    """What playing a study would mean.

    Attributes:
        runs: in the whole grid.
        missing: those that are not finished.
        plays: policies x missing runs.
        tasks: simulated in one run and policy, on average; None when no workload is known.
        seconds: estimated wall time from measured runs, None without any.
        measured: how many runs the estimate rests on.
        workers: processes that share the runs.
    """

    runs: int
    missing: int
    plays: int
    tasks: float | None
    seconds: float | None
    measured: int
    workers: int


def study_plan(definition: Definition, *, workers: int) -> Plan:
    """Say what playing a study would mean; store nothing.

    The time is that of runs measured here before, of this study where it has some, else of all finished runs that
    stored as much as this one is to.
    """
    study = Study.objects.filter(name=definition.name).first()
    finished = study.runs.finished().count() if study is not None else 0
    missing = max(0, definition.run_count - finished)
    measured = Run.objects.finished().filter(configuration__keep=definition.fixed["keep"])
    rows = _measured(measured.filter(study=study)) if study is not None else []
    rows = rows or _measured(measured)
    tasks = _mean_tasks(definition)
    seconds = None
    if rows and tasks is not None:
        seconds = missing * _seconds_a_run(rows, tasks * len(definition.policies)) / max(1, min(workers, missing))
    return Plan(
        runs=definition.run_count,
        missing=missing,
        plays=missing * len(definition.policies),
        tasks=tasks,
        seconds=seconds,
        measured=len(rows),
        workers=workers,
    )


def plan_in_words(plan: Plan, definition: Definition) -> list[str]:
    """Return a sentence on the grid and one on what is to be played and how long it takes."""
    axes: list[tuple[int, str] | tuple[int, str, str]] = [
        (len(definition.sources), "workload"),
        (len(definition.load_factors), "load"),
        (len(definition.clusters), "cluster"),
        (len(definition.estimates), "kind of estimates", "kinds of estimates"),
        (len(definition.seeds), "seed"),
    ]
    if len(definition.variants) > 1:
        axes.insert(-1, (len(definition.variants), "variant"))
    grid = " x ".join(_count(*axis) for axis in axes)
    most = " at most" if definition.stopping else ""
    if plan.seconds is not None:
        workers, runs = _count(plan.workers, "worker"), _count(plan.measured, "measured run")
        time = f"about {roughly(plan.seconds)} with {workers}, from {runs}"
    else:
        time = "no time can be estimated, because no run like these was measured yet"
    policies = _count(len(definition.policies), "policy", "policies")
    missing = "All are" if plan.missing == plan.runs else f"{plan.missing:,} of them {_are(plan.missing)}"
    return [
        f"{_count(plan.runs, 'run')}{most} of {policies}: {grid}.",
        f"{missing} missing, {_count(plan.plays, 'play')}; {time}.",
    ]


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _measured(runs: "QuerySet[Run]") -> list[tuple[int, float]]:
    """Return the placements that the newest runs simulated, and the seconds that each took."""
    took = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
    rows = (
        runs.filter(workload__task_count__gt=0, started_at__isnull=False, finished_at__isnull=False)
        .order_by("-pk")
        .annotate(took=took)
        .values_list("took", "workload__task_count", "policies", "configuration__limit")[:NEWEST]
    )
    return [(min(count, limit or count) * len(names), time.total_seconds()) for time, count, names, limit in rows]


def _seconds_a_run(measured: Sequence[tuple[int, float]], placements: float) -> float:
    """Return how long a run of so many placements takes: a start and a part that grows with its size.

    The line has the least squares of the measured runs where they differ in size, and never falls.
    """
    sizes, seconds = (np.array(column, np.float64) for column in zip(*measured, strict=True))
    if np.ptp(sizes) <= CLUSTERED * sizes.max():
        return float(seconds.sum() / sizes.sum() * placements)
    from scipy.optimize import nnls

    (start, growth), _ = nnls(np.column_stack([np.ones_like(sizes), sizes]), seconds)
    return float(start + growth * placements)


def _mean_tasks(definition: Definition) -> float | None:
    limit: int | None = definition.fixed.get("limit")
    known: list[int] = []
    for source in definition.sources:
        count: Any = (
            source.tasks or Workload.objects.filter(name=source.stored).values_list("task_count", flat=True).first()
        )
        if count:
            known.append(min(count, limit or count))
    return sum(known) / len(known) if known else limit
