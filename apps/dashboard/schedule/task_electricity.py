"""What the electricity of one task emitted and cost under every policy of a run that names series."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from apps.live.play.configuration import RunConfiguration
from apps.live.play.electricity import series_on_clock
from apps.live.play.options import InvalidOption
from apps.results.models import Attempt, Run, SchedulerResult
from apps.tasks.models import Task
from scheduler_sim.engine import Cluster
from scheduler_sim.engine.electricity import span_electricity
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.series import Signals

Span = tuple[float, float, float]
"""Watts that devices drew, and from when until when."""


@dataclass(frozen=True)
class TaskElectricity:
    """Carbon and price of electricity of a task, None where one is not known."""

    carbon_kg: float | None
    electricity_usd: float | None


def task_electricity(
    run: Run, task: Task, results: Iterable[SchedulerResult], attempts: Iterable[Attempt]
) -> dict[str, TaskElectricity]:
    """Return it by policy; empty where the run names no series, or one that is not stored any more.

    Empty too where the run's own figures leave the series out, because they repeat too often to be laid over it.
    Nothing is told of split tasks, whose sides draw for spans of their own, nor of runs whose clusters state no watts.
    """
    cluster = Cluster.from_json(run.cluster)
    if not run.configuration.get("series") or task.kind == "hybrid" or not cluster.states_watts:
        return {}
    if any(caution["kind"] == "series_unused" for caution in run.cautions):
        return {}
    try:
        named = series_on_clock(RunConfiguration.from_json(run.configuration), run.workload)
    except InvalidOption:
        return {}
    signals = Signals({kind: steps for _, kind, steps in named})
    spans: dict[str, list[Span]] = {}
    for one in results:
        if (length := one.finish_time - one.start_time) > 0:
            spans[one.scheduler] = [((one.energy_joules or 0.0) / length, one.start_time, one.finish_time)]
    cores, gpus = cluster.of_groups("cpu_busy_watts"), cluster.of_groups("gpu_busy_watts")
    group = cluster.group_of_nodes()
    told: dict[str, list[Span]] = {}
    for attempt in sorted(attempts, key=lambda one: one.number):
        if attempt.scheduler not in spans:
            continue
        here = group[attempt.node]
        watts = float(attempt.cpus * cores[here] + attempt.gpus * gpus[here])
        told.setdefault(attempt.scheduler, []).append((watts, attempt.start_time, attempt.end_time))
    try:
        return {scheduler: _reckoned(signals, whole) for scheduler, whole in (spans | told).items()}
    except InvalidParameter:
        # Of a run that is not over it is not known yet.
        return {}


def _reckoned(signals: Signals, spans: list[Span]) -> TaskElectricity:
    watts, start, finish = (np.array(column, np.float64) for column in zip(*spans, strict=True))
    carbon, price = (float(span_electricity(signals, kind, watts, start, finish).sum()) for kind in ("carbon", "price"))
    return TaskElectricity(
        carbon_kg=None if np.isnan(carbon) else carbon, electricity_usd=None if np.isnan(price) else price
    )
