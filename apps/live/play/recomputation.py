"""The figures of a run computed again: from its stored placements, or by playing it once more."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from apps.live.play.conclusion import Ending
from apps.live.play.configuration import RunConfiguration
from apps.live.play.players import make_players
from apps.live.play.preparation import Prepared
from apps.metrics.models import Metric
from apps.metrics.services import RunFigures, metrics_compute
from apps.results.models import Run, SchedulerResult
from scheduler_sim import engine
from scheduler_sim.columnar.objects import columns_as_objects
from scheduler_sim.engine.contract import Outcome
from scheduler_sim.engine.stored_schedule import StoredSchedule
from scheduler_sim.engine.workload import FloatArray

RELATIVE_TOLERANCE = 1e-9
"""Other versions of the libraries may add up in another order; a figure that was changed differs by more."""

_CHUNK_ROWS = 20_000
_COLUMNS = ("node", "device", "gpu_fraction", "start_time", "finish_time", "wait_time")
_AGENT = "agent_curve"
"""The one detail of a total that the placements do not tell of."""


def figures_of_placements(run: Run, prepared: Prepared, configuration: RunConfiguration) -> RunFigures:
    """Compute the figures of a run whose tasks each ran once from what is stored of them.

    Raises:
        ValueError: placements of tasks that are not played, or on nodes that there are not.
    """
    simulations = {
        policy.name: StoredSchedule(
            workload=prepared.workload,
            cluster=prepared.cluster,
            policy=policy,
            options=configuration.engine_options(prepared.cluster),
            outcome=_outcome(run, policy.name, prepared),
        )
        for policy in configuration.parsed_policies()
    }
    return metrics_compute(simulations=simulations, warmup=configuration.warmup, cooldown=configuration.cooldown)


def played_again(prepared: Prepared, configuration: RunConfiguration) -> Ending:
    """Play a run once more, storing nothing, and return what its end would store.

    Raises:
        EngineError: it cannot be played.
    """
    players = make_players(
        workload=prepared.workload,
        task_keys=prepared.task_keys,
        cluster=prepared.cluster,
        policies=configuration.parsed_policies(),
        seed=configuration.seed,
        options=configuration.engine_options(prepared.cluster),
        stored={},
        predictor=prepared.predictor,
    )
    for player in players:
        player.simulation.advance()
    return Ending.of(players, configuration)


def differing_figures(run: Run, computed: RunFigures, *, but: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield a sentence for each policy whose stored figures are not the computed ones.

    Args:
        but: details of totals that are not compared.
    """
    stored: dict[tuple[str, bool], list[Metric]] = {}
    for row in Metric.objects.filter(run=run).order_by("window_start_time", "window_end_time"):
        stored.setdefault((row.scheduler, row.is_total), []).append(row)
    for kind, is_total, of_policies in (("totals", True, computed.totals), ("windows", False, computed.windows)):
        for scheduler, columns in of_policies.items():
            ours = list(columns_as_objects(Metric, {"run_id": run.pk, "scheduler": scheduler, **columns}))
            theirs = stored.pop((scheduler, is_total), [])
            if len(ours) != len(theirs):
                yield f"There are {len(theirs)} {kind} of {scheduler} where {len(ours)} belong."
                continue
            found = [
                difference
                for one, other in zip(ours, theirs, strict=True)
                for difference in _differences(one, other, but)
            ]
            if found:
                others = f", and {len(found) - 1} more" if len(found) > 1 else ""
                yield f"The {kind} of {scheduler} are not those of the placements: {found[0]}{others}."
    for scheduler, is_total in stored:
        yield f"There are {'totals' if is_total else 'windows'} of {scheduler} that the placements do not give."


PLACEMENTS_DO_NOT_TELL = frozenset({_AGENT})


def _differences(computed: Any, stored: Metric, but: frozenset[str]) -> Iterator[str]:
    for field in Metric._meta.concrete_fields:
        name = field.attname
        if name in ("id", "run_id", "scheduler", "is_total"):
            continue
        ours, theirs = getattr(computed, name), getattr(stored, name)
        if theirs is None and name in Metric.ADDED:
            continue
        if name == "details":
            ours, theirs = ({key: one[key] for key in one.keys() - but} for one in (ours, theirs))
        if not _same(ours, theirs):
            shown = "" if name == "details" else f" is {theirs} where they give {ours}"
            yield f"{name}{shown}"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=RELATIVE_TOLERANCE, abs_tol=RELATIVE_TOLERANCE)
    return bool(one == other)


def _outcome(run: Run, scheduler: str, prepared: Prepared) -> Outcome:
    rows = SchedulerResult.objects.filter(run=run, scheduler=scheduler).order_by().values_list("task_id", *_COLUMNS)
    whole = ("task_id", "node", "device")
    kinds = [(name, np.int64 if name in whole else np.float64) for name in ("task_id", *_COLUMNS)]
    stored = np.fromiter(rows.iterator(chunk_size=_CHUNK_ROWS), kinds)
    order = np.argsort(prepared.task_keys)
    place = np.searchsorted(prepared.task_keys, stored["task_id"], sorter=order).clip(max=len(order) - 1)
    row = order[place]
    if len(stored) != len(order) or (prepared.task_keys[row] != stored["task_id"]).any():
        raise ValueError(f"{len(stored):,} placements of {scheduler} where {len(order):,} tasks are played.")
    if ((stored["node"] < 0) | (stored["node"] >= prepared.cluster.nodes)).any():
        raise ValueError(f"Placements of {scheduler} are on nodes that the cluster does not have.")

    def column(name: str) -> Any:
        values = np.empty(len(order), stored[name].dtype)
        values[row] = stored[name]
        return values

    start, finish = column("start_time"), column("finish_time")
    return Outcome(
        ready_time=_ready_time(prepared.workload, start, finish, column("wait_time")),
        start_time=start,
        finish_time=finish,
        node=column("node"),
        device=column("device"),
        gpu_fraction=column("gpu_fraction"),
        completion_order=np.argsort(finish, kind="stable"),
    )


def _ready_time(workload: engine.Workload, start: FloatArray, finish: FloatArray, wait: FloatArray) -> FloatArray:
    """Return when each task was ready, exactly where its wait is that from the arrival or the last parent's finish."""
    ready = workload.arrival_time.copy()
    owners = np.repeat(np.arange(len(workload)), np.diff(workload.parents.offsets))
    np.maximum.at(ready, owners, finish[workload.parents.rows])
    return np.where(start - ready == wait, ready, start - wait)
