"""Instants of the past at which forecasts are made as if nothing later were known, to see how good they are."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.forecasting.future import Past
from scheduler_sim.engine.forecasting.present import wanted
from scheduler_sim.engine.traces.slurm_snapshots import QueuedJob, Snapshot, read_queue
from scheduler_sim.engine.workloads.columns import FloatArray, Labels
from scheduler_sim.engine.workloads.workload import Workload

Item = TypeVar("Item")

KNOWN_BEFORE = 0.2
"""Instants are taken after this share of the tasks has ended, so that there is a past to learn from."""

_GRID = 20
"""So many instants are looked at for each one that is taken, since nothing waits at many."""


def identified(past: Past) -> Past:
    """Return a past whose tasks all have an identifier: their number where the trace has no other."""
    names = past.workload.external_id.astype(object)
    numbers = past.workload.task_id.astype(str).astype(object)
    return replace(past, workload=replace(past.workload, external_id=np.where(names == "", numbers, names)))


def real_starts(past: Past) -> dict[str, list[float]]:
    """Return when each task really started, seconds since 1970; several starts of one that was requeued."""
    found: dict[str, list[float]] = {}
    starts = past.workload.recorded_start_time + past.zero_at
    for name, start in zip(past.workload.external_id.tolist(), starts.tolist(), strict=True):
        if start == start:
            found.setdefault(name, []).append(start)
    return found


def held_out(past: Past, count: int) -> list[float]:
    """Return up to `count` instants, seconds since 1970, spread evenly over those at which tasks wait.

    They lie between that by which `KNOWN_BEFORE` of the tasks have ended and the last start.

    Raises:
        InvalidTrace: no recorded starts, or no instant at which anything waits.
    """
    tasks = past.workload
    start = tasks.recorded_start_time
    end = np.sort((start + tasks.runtime)[~np.isnan(start)])
    if not len(end):
        raise InvalidTrace("The history has no recorded starts; a forecast cannot be held beside them.")
    first, last = float(end[int(KNOWN_BEFORE * len(end))]), float(np.nanmax(start))
    grid = np.floor(np.linspace(first, max(last, first), _GRID * count + 1))
    came, gone = _waiting(tasks)
    # Those that a queue would hold at each instant: come, and neither started nor gone.
    waiting = np.searchsorted(np.sort(came), grid, side="right") - np.searchsorted(np.sort(gone), grid, side="right")
    busy = np.unique(grid[waiting > 0])
    if not len(busy):
        raise InvalidTrace("Nothing waits in the history, so there is nothing to forecast.")
    return [instant + past.zero_at for instant in spread_evenly(busy.tolist(), count)]


def queue_at(past: Past, at: float) -> list[QueuedJob]:
    """Return the queue of an instant as accounting tells it: what ran, and what waited for nothing but its turn.

    What was to begin later, or waited for others, is left out: accounting tells only afterwards when that ended. The
    priorities are not known.

    Args:
        at: seconds since 1970.
    """
    tasks, now = past.workload, at - past.zero_at
    came, gone = _waiting(tasks)
    waits = (came <= now) & (now < gone)
    start = tasks.recorded_start_time
    runs = (start <= now) & (now < start + tasks.runtime)
    requests = wanted(tasks)
    found = []
    for row in np.flatnonzero(waits | runs).tolist():
        nodes = int(requests.nodes[row])
        is_running = bool(runs[row])
        found.append(
            QueuedJob(
                job=str(tasks.external_id[row]),
                array=int(requests.array[row]),
                array_limit=int(requests.array_limit[row]),
                user=_text(tasks.user, row),
                account=_text(tasks.group, row),
                partition=_text(requests.partitions, row) or _text(tasks.queue, row),
                qos=_text(requests.qos, row),
                state="RUNNING" if is_running else "PENDING",
                reason="None" if is_running else "Priority",
                submitted=float(tasks.arrival_time[row]) + past.zero_at,
                started=float(start[row]) + past.zero_at if is_running else None,
                limit=float(tasks.duration_estimate[row]) if tasks.estimate_known[row] else None,
                elapsed=now - float(start[row]) if is_running else None,
                nodes=nodes,
                cpus=int(np.ceil(tasks.cpus[row])),
                gpus_per_node=int(np.ceil(tasks.gpus[row] / max(nodes, 1))),
                gpu_type=_text(tasks.gpu_type, row),
                features=_text(requests.features, row),
                reservation=_text(requests.reservation, row),
                hosts=_text(requests.recorded_nodes, row) if is_running else "",
            )
        )
    return found


def printed_queues(
    shots: Sequence[Snapshot], starts: Sequence[Snapshot] = (), *, name: str = "squeue"
) -> list[tuple[float, list[QueuedJob]]]:
    """Return each printed queue in which jobs wait, and when it was printed.

    Args:
        shots: printouts of squeue. starts: of `squeue --start`, whose expected starts are put in; the one that was
            printed nearest to each queue counts, within a minute.
        name: of the file, for messages.

    Raises:
        InvalidTrace: text that squeue does not print, or printouts that do not say when they were made.
    """
    told = sorted(((shot.at, shot.text) for shot in starts if shot.at is not None), key=lambda one: one[0])
    instants = [at for at, _ in told]
    found = []
    for shot in shots:
        jobs = read_queue(shot.text, name)
        if not any(job.state == "PENDING" for job in jobs):
            continue
        if shot.at is None:
            raise InvalidTrace(f"{name} does not tell when it was printed: a line `### snapshot epoch=SECONDS` does.")
        place = bisect_left(instants, shot.at)
        beside = told[max(place - 1, 0) : place + 1]
        away, text = min(((abs(at - shot.at), text) for at, text in beside), default=(np.inf, ""))
        if away < 60.0:
            own = {job.job: job.started for job in read_queue(text, f"{name} --start")}
            jobs = [job if job.is_running else replace(job, started=own.get(job.job, job.started)) for job in jobs]
        found.append((shot.at, jobs))
    return found


def spread_evenly(items: Sequence[Item], count: int) -> list[Item]:
    """Return up to `count` of some items, the first and the last among them, evenly spread."""
    if len(items) <= count:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, count).round().astype(np.int64).tolist()]


def _waiting(tasks: Workload) -> tuple[FloatArray, FloatArray]:
    """Return from when and until when each task waits for its turn; as long as nothing where that is not known."""
    requests = wanted(tasks)
    came = np.fmax(tasks.arrival_time, requests.eligible_time)
    # A task waits for its parents until they have ended, which accounting tells.
    ends = tasks.recorded_start_time + tasks.runtime
    child = np.repeat(np.arange(len(tasks)), np.diff(tasks.parents.offsets))
    np.maximum.at(came, child, np.nan_to_num(ends[tasks.parents.rows], nan=np.inf))
    gone = np.fmin(tasks.recorded_start_time, requests.cancel_time)
    # One that never started and was not taken back either is not known to have waited.
    gone = np.where(np.isnan(gone), came, gone)
    return came, np.maximum(gone, came)


def _text(labels: Labels, row: int) -> str:
    return labels.names[int(labels.codes[row])]
