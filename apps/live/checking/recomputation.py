"""The figures of a run computed again: from its stored placements, or by playing it once more."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from django.db.models import Model

from apps.live.play.conclusion import Ending
from apps.live.play.configuration import RunConfiguration
from apps.live.play.players import make_players
from apps.live.play.preparation import Prepared
from apps.metrics.models import GroupMetric, Metric
from apps.metrics.services import RunFigures, metrics_compute
from apps.results.models import Attempt, GangBlock, Run, SchedulerResult
from scheduler_sim import engine
from scheduler_sim.columnar.objects import columns_as_objects
from scheduler_sim.engine.contract import ENDINGS, REASONS, Attempts, History, Outcome
from scheduler_sim.engine.gangs import Gangs
from scheduler_sim.engine.stored_schedule import StoredSchedule
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

RELATIVE_TOLERANCE = 1e-9
"""Other versions of the libraries may add up in another order; a figure that was changed differs by more."""

_COLUMNS = ("node", "device", "gpu_fraction", "start_time", "finish_time", "wait_time")
_SPANS = ("number", "start_time", "end_time", "node", "device", "cpus", "gpus")
_AGENT = "agent_curve"
"""The one detail of a total that the placements do not tell of."""


def stored_schedules(run: Run, prepared: Prepared, configuration: RunConfiguration) -> dict[str, StoredSchedule]:
    """Return the schedule of each policy of a run, by its name, from the placements and attempts that are stored.

    Raises:
        ValueError: placements or attempts of tasks that are not played, on nodes that there are not, or that
            contradict each other.
    """
    options = configuration.engine_options(prepared.cluster)
    simulations = {}
    for policy in configuration.parsed_policies():
        outcome, attempts = _outcome(run, policy.name, prepared), None
        # Without a series of carbon an order that stops tasks by it is played as fcfs, by a kernel that stops none.
        by_carbon = prepared.signals is not None and prepared.signals.get("carbon") is not None
        stops = policy.preempts or (policy.order.stops and by_carbon)
        if stops or options.interrupts or prepared.cluster.fails or prepared.site is not None:
            attempts = _attempts(run, policy.name, prepared)
            outcome = replace(outcome, history=_history(run, policy, prepared, outcome, attempts))
        simulations[policy.name] = StoredSchedule(
            workload=prepared.workload,
            cluster=prepared.cluster,
            policy=policy,
            options=options,
            outcome=outcome,
            attempts=attempts,
            site=prepared.site,
            signals=prepared.signals,
            gangs=_gangs(run, policy.name, prepared) if prepared.cluster.sleeps else None,
        )
    return simulations


def _gangs(run: Run, scheduler: str, prepared: Prepared) -> Gangs:
    """Read what one policy's tasks on several nodes held of each; of tasks that are not played nothing."""
    stored = Gangs.joined([block.gangs for block in GangBlock.objects.of_policy(run, scheduler)])
    row = _rows_of(stored.task, prepared)
    return replace(stored, task=row)[np.flatnonzero(row >= 0)]


def figures_of(schedules: Mapping[str, StoredSchedule], configuration: RunConfiguration) -> RunFigures:
    """Compute the figures of a run from its schedules."""
    return metrics_compute(simulations=dict(schedules), warmup=configuration.warmup, cooldown=configuration.cooldown)


def played_again(prepared: Prepared, configuration: RunConfiguration) -> Ending:
    """Play a run once more, storing nothing, and return what its end would store.

    Raises:
        EngineError: it cannot be played.
    """
    players = make_players(prepared, configuration)
    for player in players:
        player.simulation.advance()
    return Ending.of(players, configuration)


def differing_figures(run: Run, computed: RunFigures, *, but: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield a sentence for each policy whose stored figures are not the computed ones.

    Args:
        but: details of totals that are not compared.
    """
    stored: dict[tuple[str, str], list[Any]] = {}
    for row in Metric.objects.filter(run=run).order_by("window_start_time", "window_end_time"):
        stored.setdefault(("totals" if row.is_total else "windows", row.scheduler), []).append(row)
    for group in GroupMetric.objects.filter(run=run).order_by("pk"):
        stored.setdefault(("groups", group.scheduler), []).append(group)
    kinds: list[tuple[str, type[Model], Mapping[str, Any]]] = [
        ("totals", Metric, computed.totals),
        ("windows", Metric, computed.windows),
    ]
    if any(kind == "groups" for kind, _ in stored) or "groups" in (run.digests or {}):
        kinds.append(("groups", GroupMetric, computed.groups))
    for kind, model, of_policies in kinds:
        for scheduler, columns in of_policies.items():
            ours = list(columns_as_objects(model, {"run_id": run.pk, "scheduler": scheduler, **columns}))
            theirs = stored.pop((kind, scheduler), [])
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
    for kind, scheduler in stored:
        yield f"There are {kind} of {scheduler} that the placements do not give."


PLACEMENTS_DO_NOT_TELL = frozenset({_AGENT})


def _differences(computed: Any, stored: Model, but: frozenset[str]) -> Iterator[str]:
    for field in stored._meta.concrete_fields:
        name = field.attname
        if name in ("id", "run_id", "scheduler", "is_total"):
            continue
        ours, theirs = getattr(computed, name), getattr(stored, name)
        if theirs is None and name in Metric.ADDED | GroupMetric.ADDED:
            continue
        if name == "details":
            unknown = but | (Metric.ADDED - theirs.keys())
            ours, theirs = ({key: one[key] for key in one.keys() - unknown} for one in (ours, theirs))
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
    stored = _by_row(run, scheduler, prepared, _COLUMNS, whole=("node", "device"))
    # Only a task that left a site's queue before it started ran on no node.
    if ((stored["node"] < (-1 if prepared.site else 0)) | (stored["node"] >= prepared.cluster.nodes)).any():
        raise ValueError(f"Placements of {scheduler} are on nodes that the cluster does not have.")
    start, finish = stored["start_time"], stored["finish_time"]
    return Outcome(
        ready_time=_ready_time(prepared.workload, start, finish, stored["wait_time"]),
        start_time=start,
        finish_time=finish,
        node=stored["node"],
        device=stored["device"],
        gpu_fraction=stored["gpu_fraction"],
        completion_order=np.argsort(finish, kind="stable"),
    )


def _by_row(
    run: Run, scheduler: str, prepared: Prepared, names: tuple[str, ...], *, whole: tuple[str, ...] = (), word: str = ""
) -> dict[str, Any]:
    """Read columns of one policy's placements, in the order of the workload's rows."""
    stored = SchedulerResult.objects.of_policy(run, scheduler, _kinds(names, whole=whole, word=word))
    row = _rows_of(stored["task_id"], prepared)
    if len(stored) != len(prepared.task_keys) or (row < 0).any():
        raise ValueError(
            f"{len(stored):,} placements of {scheduler} where {len(prepared.task_keys):,} tasks are played."
        )
    order = np.argsort(row)
    return {name: np.ascontiguousarray(stored[name][order]) for name in stored.dtype.names or ()}


def _kinds(names: tuple[str, ...], *, whole: tuple[str, ...], word: str = "") -> list[tuple[str, Any]]:
    """Return the columns that are read, and their types; numbers that may be missing are read as floats."""
    kinds: list[tuple[str, Any]] = [("task_id", np.int64)]
    kinds += [(name, np.int64 if name in whole else np.float64) for name in names]
    return [*kinds, (word, "U12")] if word else kinds


def _rows_of(tasks: IntArray, prepared: Prepared) -> IntArray:
    """Return the row of the workload of each task, -1 for one that is not played."""
    order = np.argsort(prepared.task_keys)
    place = np.searchsorted(prepared.task_keys, tasks, sorter=order).clip(max=len(order) - 1)
    row = order[place]
    return np.where(prepared.task_keys[row] == tasks, row, -1)


def _attempts(run: Run, scheduler: str, prepared: Prepared) -> Attempts:
    """Read one policy's attempts."""
    kinds = _kinds(_SPANS, whole=("number", "node", "device"), word="reason")
    stored = Attempt.objects.of_policy(run, scheduler, kinds)
    stored = stored[np.lexsort((stored["number"], stored["task_id"]))]
    row = _rows_of(stored["task_id"], prepared)
    if (row < 0).any() or ((stored["node"] < 0) | (stored["node"] >= prepared.cluster.nodes)).any():
        raise ValueError(f"Attempts of {scheduler} are of tasks that are not played, or on nodes that there are not.")
    if unknown := sorted({*stored["reason"].tolist()} - {*REASONS}):
        raise ValueError(f"Attempts of {scheduler} ended for no known reason: {', '.join(unknown)}.")
    reason = np.array([REASONS.index(one) for one in stored["reason"].tolist()], np.int64)
    return Attempts(row=row, **{name: stored[name].copy() for name in _SPANS}, reason=reason)


def _history(run: Run, policy: engine.Policy, prepared: Prepared, outcome: Outcome, attempts: Attempts) -> History:
    """Put together what each task went through: held times from its attempts, the rest as its placement says."""
    scheduler = policy.name
    stored = _by_row(run, scheduler, prepared, ("attempts", "service_time"), word="outcome")
    counts = np.bincount(attempts.row, minlength=len(prepared.task_keys))
    ends = np.where(counts > 0, counts, np.where(outcome.node < 0, 0, 1))
    if (stored["attempts"] != ends).any():
        raise ValueError(f"Placements of {scheduler} tell of other attempts than there are.")
    if unknown := sorted({*stored["outcome"].tolist()} - {*ENDINGS}):
        raise ValueError(f"Tasks of {scheduler} ended in no known way: {', '.join(unknown)}.")
    begun, once = outcome.start_time.copy(), outcome.finish_time - outcome.start_time
    last = attempts[attempts.number == counts[attempts.row]]
    begun[last.row] = last.start_time
    held = np.bincount(attempts.row, attempts.end_time - attempts.start_time, len(counts))
    return History(
        attempts=ends,
        service_time=stored["service_time"],
        held_time=np.where(counts > 0, held, once),
        begun_time=begun,
        ending=np.array([ENDINGS.index(one) for one in stored["outcome"].tolist()], np.int64),
        **(_parts(prepared.workload, attempts) if policy.order.resizes else {}),
    )


def _parts(workload: engine.Workload, attempts: Attempts) -> dict[str, FloatArray]:
    """Return which part of the devices that it asks for each task held, on average and in its last attempt."""
    asked = np.where(workload.gpus > 0, workload.gpus, workload.cpus)
    part = np.where(attempts.gpus > 0, attempts.gpus, attempts.cpus) / asked[attempts.row]
    length = attempts.end_time - attempts.start_time
    held = np.bincount(attempts.row, length, len(asked))
    area = np.bincount(attempts.row, length * part, len(asked))
    last = np.ones(len(asked))
    # Attempts lie in the order of their numbers.
    last[attempts.row] = part
    return {"held_part": np.divide(area, held, out=last.copy(), where=held > 0), "last_part": last}


def _ready_time(workload: engine.Workload, start: FloatArray, finish: FloatArray, wait: FloatArray) -> FloatArray:
    """Return when each task was ready, exactly where its wait is that from the arrival or the last parent's finish."""
    ready = workload.arrival_time.copy()
    owners = np.repeat(np.arange(len(workload)), np.diff(workload.parents.offsets))
    np.maximum.at(ready, owners, finish[workload.parents.rows])
    return np.where(start - ready == wait, ready, start - wait)
