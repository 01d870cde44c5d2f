"""Figures computed once, when a run ends, and stored for every page to read."""

from collections.abc import Callable, Mapping, Sequence
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
from scheduler_sim.engine.crew import Each
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.learning.agent_curve import agent_curve
from scheduler_sim.engine.measuring import metrics
from scheduler_sim.engine.measuring.bounds import lower_bounds
from scheduler_sim.engine.measuring.contest import Contest
from scheduler_sim.engine.measuring.distributions import fraction_counts, size_bins, wait_by_size
from scheduler_sim.engine.measuring.fragmentation import gpu_fragmentation
from scheduler_sim.engine.measuring.groups import Grouped
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
    *,
    simulations: Mapping[str, engine.Simulation],
    warmup: float = 0.0,
    cooldown: float = 0.0,
    each: Each = map,
    beside: Sequence[Callable[[], object]] = (),
) -> RunFigures:
    """Compute the figures of every policy in one pass over its placements, without the database.

    The windows are the same for all policies, so that their curves lie side by side. Carbon and price are empty where
    the series cannot be laid over the run (see `unweighed`).

    Args:
        simulations: by policy name, all of one workload; tasks that have not finished are left out of the figures.
        warmup, cooldown: parts of the arrivals that are not scored (see `metrics.measured`). Nor are tasks that left
            the queue under some policy before they started.
        each: how the policies are gone through, one after the other or side by side.
        beside: what else is to be done, side by side with what all figures need.
    """
    if unweighed(simulations):
        simulations = {scheduler: _without_series(simulation) for scheduler, simulation in simulations.items()}
    schedulers, played = list(simulations), next(iter(simulations.values()))
    outcomes = {scheduler: simulation.outcome() for scheduler, simulation in simulations.items()}
    scored = metrics.scored_tasks(simulations, warmup=warmup, cooldown=cooldown)
    # In a closed loop the recorded arrivals; what comes first is not moved.
    workload = played.recorded if played.options.closed_loop else played.workload
    finish_times = {name: outcome.finish_time for name, outcome in outcomes.items()}
    # What takes longest begins first.
    together: list[Callable[[], Any]] = [
        lambda: Grouped(simulations, scored=scored),
        lambda: Contest.of(finish_times, scored),
        lambda: lower_bounds(workload, played.cluster, played.options).as_json(),
        lambda: size_bins(workload),
    ]
    grouped, contest, bounds, sizes, *_ = each(_call, [*together, *beside])
    first, last = metrics.whole_run(workload, list(outcomes.values()))
    window_edges = np.unique(np.linspace(first, last, WINDOWS + 1))
    fragmented = gpu_fragmentation(workload, played.cluster, outcomes, window_edges[1:], played.options, each)

    def of_policy(scheduler: str) -> tuple[dict[str, Any], Columns | None, Columns]:
        observed = metrics.Observed(simulations[scheduler], scored)
        # Before there is what the figures of windows need, so that both are not in memory at once.
        groups = vars(grouped.figures(observed))
        simulation, rows = observed.simulation, observed.rows
        came, outcome = simulation.workload, simulation.outcome()
        edges = np.array(metrics.whole_run(came, [outcome], scored))
        summarise = partial(metrics.summary_of, observed, won=contest.won[scheduler])
        windows = None
        if len(window_edges) > 2:
            # Before the values of the whole run are put in order, and kept for several figures.
            windows = {**vars(summarise(edges=window_edges)), "gpu_fragmentation": fragmented.get(scheduler)}
        whole = {
            **vars(summarise(edges=edges)),
            "gpu_fragmentation": _mean_within(fragmented.get(scheduler), window_edges, edges),
            "details": [
                {
                    "histograms": _histograms(observed),
                    "bounds": bounds,
                    "beats": contest.beats[scheduler],
                    "wait_by_size": wait_by_size(observed.figures.wait_time[rows], sizes[rows]),
                    "fraction_counts": fraction_counts(came, outcome, scored),
                    "fair_shares": observed.shares.as_json(simulation, scored),
                    "agent_curve": agent_curve(simulation),
                    **_interruptions(simulation, scored),
                }
            ],
        }
        return whole, windows, groups

    found = dict(zip(schedulers, each(of_policy, schedulers), strict=True))
    totals = {scheduler: whole for scheduler, (whole, _, _) in found.items()}
    _add_regret(totals)
    return RunFigures(
        totals=totals,
        windows={scheduler: columns for scheduler, (_, columns, _) in found.items() if columns is not None},
        groups={scheduler: groups for scheduler, (_, _, groups) in found.items()},
    )


def _call(work: Callable[[], Any]) -> Any:
    return work()


def unweighed(simulations: Mapping[str, engine.Simulation]) -> str:
    """Return why the energy of a run is not weighed by its series, empty where it is or where it has none.

    How long a run takes shows only once it was played; a series may then repeat too often.
    """
    played = next(iter(simulations.values()))
    if played.signals is None:
        return ""
    first, last = metrics.whole_run(played.workload, [simulation.outcome() for simulation in simulations.values()])
    try:
        for series in played.signals.by_kind.values():
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
    for is_total, of_policies in ((False, figures.windows), (True, figures.totals)):
        Metric.objects.bulk_create_columns(run_id=run.pk, is_total=is_total, figures=of_policies)
    GroupMetric.objects.filter(run=run).delete()
    GroupMetric.objects.bulk_create_columns(run_id=run.pk, figures=figures.groups)
    rows_changed.send(sender=Metric, run_id=run.pk)


def _histograms(observed: metrics.Observed) -> dict[str, dict[str, Any]]:
    """Return the histograms from which percentiles over several runs are merged."""
    return {
        name: LogHistogram.of_sorted(observed.ordered(name)).as_json()
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
