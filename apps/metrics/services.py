"""Figures computed once, when a run ends, and stored for every page to read."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from django.db import transaction

from apps.metrics.models import GroupMetric, Metric
from apps.results.models import Run
from apps.results.signals import rows_changed
from scheduler_sim import engine
from scheduler_sim.columnar.objects import columns_as_objects
from scheduler_sim.engine.crew import Each
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.learning.agent_curve import agent_curve
from scheduler_sim.engine.measuring import metrics
from scheduler_sim.engine.measuring.bounds import lower_bounds
from scheduler_sim.engine.measuring.distributions import fraction_counts, wait_by_size
from scheduler_sim.engine.measuring.fairness import FairShares
from scheduler_sim.engine.measuring.fragmentation import gpu_fragmentation
from scheduler_sim.engine.measuring.groups import group_figures
from scheduler_sim.engine.measuring.interruptions import Interruptions
from scheduler_sim.engine.numerics.histogram import LogHistogram

WINDOWS = 120
"""Windows of simulated time a run is cut into: as many points as a plot can show."""


Columns = Mapping[str, Any]


@dataclass(frozen=True)
class RunFigures:
    """The figures of every policy of a run, as columns of `Metric` and `GroupMetric`.

    Attributes:
        totals: by policy, one row: the whole run.
        windows: by policy, a row a window of simulated time; empty when the run has no duration.
        groups: by policy, a row a group of tasks (see `engine.groups`).
    """

    totals: Mapping[str, Columns]
    windows: Mapping[str, Columns]
    groups: Mapping[str, Columns]


def metrics_compute(
    *, simulations: Mapping[str, engine.Simulation], warmup: float = 0.0, cooldown: float = 0.0, each: Each = map
) -> RunFigures:
    """Compute the figures of every policy in one pass over its placements, without the database.

    The windows are the same for all policies, so that their curves lie side by side. Carbon and price are empty where
    the series cannot be laid over the run (see `unweighed`).

    Args:
        simulations: by policy name, all of one workload; tasks that have not finished are left out of the figures.
        warmup, cooldown: parts of the arrivals that are not scored (see `metrics.measured`). Nor are tasks that left
            the queue under some policy before they started.
        each: how the policies are gone through, one after the other or side by side.
    """
    if unweighed(simulations):
        simulations = {scheduler: _without_series(simulation) for scheduler, simulation in simulations.items()}
    outcomes = {scheduler: simulation.outcome() for scheduler, simulation in simulations.items()}
    scored = metrics.scored_tasks(simulations, warmup=warmup, cooldown=cooldown)
    finish_times = {scheduler: outcome.finish_time for scheduler, outcome in outcomes.items()}
    won = metrics.winners(finish_times)
    of_scored = finish_times if scored is None else {name: times[scored] for name, times in finish_times.items()}
    beats = metrics.win_matrix(of_scored)
    played = next(iter(simulations.values()))
    # In a closed loop the recorded arrivals; what comes first is not moved.
    workload = played.recorded if played.options.closed_loop else played.workload
    bounds = lower_bounds(workload, played.cluster, played.options).as_json()
    first, last = metrics.whole_run(workload, list(outcomes.values()))
    window_edges = np.unique(np.linspace(first, last, WINDOWS + 1))
    fragmented = gpu_fragmentation(workload, played.cluster, outcomes, window_edges[1:], played.options)

    def of_policy(number: int) -> tuple[dict[str, Any], Columns | None]:
        scheduler = schedulers[number]
        outcome, shares = outcomes[scheduler], FairShares.of(simulations[scheduler])
        came = simulations[scheduler].workload
        summarise = partial(metrics.summarise, simulations[scheduler], won=won[scheduler], scored=scored, shares=shares)
        edges = np.array(metrics.whole_run(came, [outcome], scored))
        total = summarise(edges=edges)
        whole = {
            **vars(total),
            "gpu_fragmentation": _mean_within(fragmented.get(scheduler), window_edges, edges),
            "details": [
                {
                    "histograms": _histograms(came, outcome, scored),
                    "bounds": bounds,
                    "beats": dict(zip(outcomes, beats[number].tolist(), strict=True)),
                    "wait_by_size": wait_by_size(came, outcome, scored),
                    "fraction_counts": fraction_counts(came, outcome, scored),
                    "fair_shares": shares.as_json(simulations[scheduler], scored),
                    "agent_curve": agent_curve(simulations[scheduler]),
                    **_interruptions(simulations[scheduler], scored),
                }
            ],
        }
        if len(window_edges) <= 2:
            return whole, None
        return whole, {**vars(summarise(edges=window_edges)), "gpu_fragmentation": fragmented.get(scheduler)}

    schedulers = list(outcomes)
    found = dict(zip(schedulers, each(of_policy, range(len(schedulers))), strict=True))
    totals = {scheduler: whole for scheduler, (whole, _) in found.items()}
    windows = {scheduler: columns for scheduler, (_, columns) in found.items() if columns is not None}
    _add_regret(totals)
    groups = {scheduler: vars(figures) for scheduler, figures in group_figures(simulations, scored=scored, each=each)}
    return RunFigures(totals=totals, windows=windows, groups=groups)


def unweighed(simulations: Mapping[str, engine.Simulation]) -> str:
    """Return why the energy of a run is not weighed by its series, empty where it is or where it has none.

    How long a run takes shows only once it was played; a series may then repeat too often.
    """
    played = next(iter(simulations.values()))
    first, last = metrics.whole_run(played.workload, [simulation.outcome() for simulation in simulations.values()])
    try:
        for series in played.signals.by_kind.values() if played.signals is not None else ():
            series.cuts(first, last)
    except InvalidParameter as error:
        return str(error)
    return ""


def _without_series(simulation: engine.Simulation) -> engine.Simulation:
    bare = copy(simulation)
    bare.signals = None
    return bare


@transaction.atomic
def metrics_store(*, run: Run, figures: RunFigures) -> None:
    """Store the figures of a run in place of those stored before, so that doing it again changes nothing."""
    Metric.objects.filter(run=run).delete()
    parts = ((False, figures.windows), (True, figures.totals))
    Metric.objects.bulk_create(
        row
        for is_total, of_policies in parts
        for scheduler, columns in of_policies.items()
        for row in columns_as_objects(
            Metric, {"run_id": run.pk, "scheduler": scheduler, "is_total": is_total, **columns}
        )
    )
    GroupMetric.objects.filter(run=run).delete()
    GroupMetric.objects.bulk_create_columns(run_id=run.pk, figures=figures.groups)
    rows_changed.send(sender=Metric, run_id=run.pk)


def _histograms(
    workload: engine.Workload, outcome: engine.Outcome, scored: np.ndarray | None
) -> dict[str, dict[str, Any]]:
    """Return the histograms from which percentiles over several runs are merged."""
    figures = metrics.TaskFigures.of(workload, outcome)
    rows = slice(None) if scored is None else scored
    return {
        name: LogHistogram.of(getattr(figures, name)[rows]).as_json()
        for name in ("job_completion_time", "wait_time", "bounded_slowdown")
    }


def _interruptions(simulation: engine.Simulation, scored: np.ndarray | None) -> dict[str, Any]:
    """Return what stopping cost, under its name; nothing where each task runs once."""
    found = Interruptions.of(simulation, scored)
    return {} if found is None else {"interruptions": found.as_json()}


def _mean_within(values: np.ndarray | None, window_edges: np.ndarray, span: np.ndarray) -> float | None:
    """Return the mean of the windows' values over those that begin within `span`, None for none."""
    if values is None:
        return None
    inside = (window_edges[:-1] >= span[0]) & (window_edges[:-1] < span[1])
    return float(values[inside].mean()) if inside.any() else None


def _add_regret(totals: dict[str, dict[str, Any]]) -> None:
    """Compare every policy's mean completion time with that of the first oracle, where the run has one."""
    oracle = next((scheduler for scheduler in totals if scheduler.rpartition("@")[2] == "oracle"), None)
    if oracle is None:
        return
    best = float(totals[oracle]["mean_job_completion_time"][0])
    for columns in totals.values():
        regret = metrics.regret(float(columns["mean_job_completion_time"][0]), best)
        known = None if np.isnan(regret) else regret
        columns["details"][0]["regret"] = {"oracle": oracle, "mean_job_completion_time": known}
