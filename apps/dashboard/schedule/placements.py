"""The stored placements of one policy as columns, kept in memory for the pages that look at them again and again."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from apps.results.models import Attempt, GangBlock, Run, SchedulerResult
from apps.results.schedule_files import schedule_read, schedule_write
from apps.tasks.models import Task, Workload
from apps.tasks.stored_tasks import filed_columns
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.formulas import arrivals_at_load
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray

THROWN_AWAY = ("requeued", "failed", "timed_out")
"""Reasons of attempts whose progress is lost but for what checkpoints hold."""

_HELD = ("start_time", "end_time", "node", "device", "cpus", "gpus")
"""Columns of attempts that take the place of what the placement says."""

PLACED = ("task_id", "node", "device", "start_time", "finish_time", "wait_time", "gpu_fraction")
TASKS = ("pk", "task_id", "arrival_time", "cpus", "gpus")

NAMED_AT_ONCE = 5_000
"""Up to so many tasks are named in queries even where they are all that the policy has placed."""

KEPT_BYTES = 256 * 2**20
"""How much of it a server process keeps; what was looked at longest ago goes first."""


@dataclass(frozen=True, eq=False)
class Placements:
    """The n placements of one policy in the order of their tasks' keys, with what those tasks asked for.

    Attributes:
        task: primary keys of the tasks. number: their numbers inside the workload.
        node, device: where; -1 for no GPU.
        start, finish, ready: seconds; readiness is start - wait.
        arrival, size, cpus, gpus, runtime: of the tasks.
        fraction: gpu_fraction.
    """

    task: IntArray
    number: IntArray
    node: IntArray
    device: IntArray
    start: FloatArray
    finish: FloatArray
    ready: FloatArray
    fraction: FloatArray
    arrival: FloatArray
    cpus: FloatArray
    gpus: FloatArray

    def __len__(self) -> int:
        return len(self.task)

    @property
    def completion_time(self) -> FloatArray:
        """Finish - arrival."""
        return self.finish - self.arrival


@dataclass(frozen=True, eq=False)
class Spans(Placements):
    """Spans in which tasks held devices: one a placement, one an attempt of tasks that have several.

    Attributes:
        attempt: its number from 1.
        loses: progress was thrown away at its end, all of it or what no checkpoint held.
        wait: seconds from the task's readiness to its first start.
    """

    attempt: IntArray
    loses: BoolArray
    wait: FloatArray

    def __getitem__(self, rows: IntArray) -> "Spans":
        """Return the chosen spans, in that order."""
        return Spans(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def _size(kept: Placements | tuple[FloatArray, ...]) -> int:
    """Return how many bytes it holds; what is larger than everything that may be kept is kept alone."""
    columns = kept if isinstance(kept, tuple) else (getattr(kept, field.name) for field in fields(kept))
    return min(sum(column.nbytes for column in columns), KEPT_BYTES)


_kept: LRUCache[tuple[Any, ...], Any] = LRUCache(KEPT_BYTES, getsizeof=_size)
_lock = Lock()
_readers = tuple(Lock() for _ in range(64))
"""Who reads has that of what is read, so that others who ask for the same at that moment wait and do not read too."""


def _look_up(key: tuple[Any, ...]) -> Any:
    with _lock:
        return _kept.get(key)


def _keep(key: tuple[Any, ...], value: Any) -> None:
    with _lock:
        _kept[key] = value


def placements(run: Run, scheduler: str) -> Placements:
    """Return the stored placements of one policy of a run; empty when there are none.

    Those of a run that is over are kept in memory.
    """
    found: Placements = kept_of(run, ("placements", scheduler), lambda: _read(run, scheduler))
    return found


def kept_of(run: Run, what: tuple[Any, ...], read: Callable[[], Any]) -> Any:
    """Return what is read of a run, kept in memory if that is over.

    Args:
        what: tells it from all else that is read of the run.
        read: gives `Placements` or a tuple of arrays, by whose bytes it counts.
    """
    if not run.is_over:
        return read()
    key = (*what, run.pk, run.status, run.rows_written, run.finished_at)
    found = _look_up(key)
    if found is not None:
        return found
    with _readers[hash(key) % len(_readers)]:
        found = _look_up(key)
        if found is None:
            found = read()
            _keep(key, found)
    return found


def spans(run: Run, scheduler: str, placed: Placements, *, partial: bool = False) -> Spans:
    """Return the spans in which the tasks of `placed` held devices.

    Args:
        partial: the policy has placed more tasks, of which nothing is read.
    """
    by_name = partial or len(placed) <= NAMED_AT_ONCE
    keys = placed.task if by_name else None
    kinds = [*((name, np.float64) for name in _HELD), ("task_id", np.int64), ("number", np.int64), ("reason", "U12")]
    has_some = Attempt.objects.are_of(run)
    told = Attempt.objects.of_policy(run, scheduler, kinds, keys) if has_some else np.empty(0, kinds)
    told = told[np.lexsort((told["number"], told["task_id"]))]
    task, number, reason = told["task_id"], told["number"], told["reason"]
    goes_on = np.append(task[1:] == task[:-1], False)[: len(task)]
    # What a task did in its last attempt before its limit is not lost: it ended for good.
    loses = np.isin(reason, THROWN_AWAY) & ((reason != "timed_out") | goes_on)
    known = np.isin(task, placed.task)
    owner = np.searchsorted(placed.task, task[known])
    once = np.flatnonzero(~np.isin(placed.task, task))
    every = {field.name: getattr(placed, field.name)[np.append(once, owner)] for field in fields(placed)}
    # A task of changing width holds in each attempt what that attempt says.
    for name, column in zip(("start", "finish", "node", "device", "cpus", "gpus"), _HELD, strict=True):
        every[name][len(once) :] = told[column][known]
    lost_once = np.zeros(len(once), bool)
    if SchedulerResult.objects.tells_attempts(run, scheduler, placed.task[:1]):
        lost_once = np.isin(placed.task[once], SchedulerResult.objects.failed_at_once(run, scheduler, keys))
    return Spans(
        **every,
        attempt=np.append(np.ones(len(once)), number[known]).astype(np.int64),
        loses=np.append(lost_once, loses[known]),
        wait=(placed.start - placed.ready)[np.append(once, owner)],
    )


def on_every_node(run: Run, scheduler: str, held: Spans, most: int) -> Spans | None:
    """Return the spans with those on several nodes once on each, with what is held there; None for more than `most`.

    A span whose task moved while it went on is told in several, one after the other.
    """
    gangs = GangBlock.objects.of_tasks(run, scheduler, held.task)
    if not len(gangs):
        return held
    order = np.lexsort((held.start, held.task))
    # The last span of the task that had begun by then.
    begun = _pairs(held.task[order], held.start[order])
    place = np.searchsorted(begun, _pairs(gangs.task, gangs.start_time), side="right") - 1
    owner = order[np.maximum(place, 0)]
    within = (place >= 0) & (held.task[owner] == gangs.task) & (held.finish[owner] >= gangs.end_time)
    gangs, owner = gangs[np.flatnonzero(within)], owner[within]
    alone = np.setdiff1d(np.arange(len(held)), owner)
    if len(alone) + int(gangs.node_counts.sum()) > most:
        return None
    pieces = gangs.pieces()
    rows = np.append(alone, owner[pieces.span])
    spread = held[rows]
    mask = pieces.devices.view(np.uint64)
    lowest = np.log2(np.maximum(mask & (~mask + np.uint64(1)), 1).astype(np.float64)).astype(np.int64)
    device = np.where(mask != 0, lowest, np.where(pieces.gpus > 0, 0, -1))
    told: dict[str, npt.NDArray[Any]] = {
        "node": pieces.node,
        "device": device,
        "start": pieces.start_time,
        "finish": pieces.end_time,
        "cpus": pieces.cpus / MILLI,
        "gpus": pieces.gpus / MILLI,
    }
    for name, column in told.items():
        getattr(spread, name)[len(alone) :] = column
    return spread


def _pairs(task: IntArray, time: FloatArray) -> Any:
    """Return tasks and times as values that are sorted together."""
    pairs = np.empty(len(task), [("task", np.int64), ("time", np.float64)])
    pairs["task"], pairs["time"] = task, time
    return pairs


def _read(run: Run, scheduler: str) -> Placements:
    found = schedule_read(run, scheduler)
    if found is None:
        read = SchedulerResult.objects.of_policy(run, scheduler, [(name, np.float64) for name in PLACED])
        order = np.argsort(read["task_id"])
        found = {name: read[name][order] for name in PLACED}
        if len(order):
            schedule_write(run, scheduler, found)
    return joined(run, [found[name] for name in PLACED], _tasks(run.workload))


def joined(run: Run, placed: list[FloatArray], tasks: tuple[FloatArray, ...]) -> Placements:
    """Return placements, columns `PLACED` by task ascending, with what their tasks, columns `TASKS`, ask for."""
    task, node, device, start, finish, wait, fraction = placed
    key, number, arrival, cpus, gpus = tasks
    row = np.searchsorted(key, task)
    load_factor = run.configuration.get("load_factor", 1.0)
    begin = run.configuration.get("begin_time")
    if load_factor != 1.0:
        # The tasks as the run played them (see `whatif.scale_load`).
        first = run.workload.first_arrival_time if begin is None else begin
        arrival = np.where(arrival < first, arrival, arrivals_at_load(arrival, first, load_factor))
    return Placements(
        task=task.astype(np.int64),
        number=number[row].astype(np.int64),
        node=node.astype(np.int64),
        device=device.astype(np.int64),
        start=start,
        finish=finish,
        ready=start - wait,
        fraction=fraction,
        # What waited when the replay begins arrives then, and what ran already arrives as it starts (see `beginning`).
        arrival=np.minimum(start, np.maximum(arrival[row], -np.inf if begin is None else begin)),
        cpus=cpus[row],
        gpus=gpus[row],
    )


def _tasks(workload: Workload) -> tuple[FloatArray, ...]:
    """Return keys, numbers, arrivals, cores and GPUs of a workload's tasks in the order of their keys."""
    key = ("tasks", workload.pk, workload.tasks_file)
    found: tuple[FloatArray, ...] | None = _look_up(key)
    if found is None:
        columns = filed_columns(workload, TASKS)
        if columns is None:
            columns = _columns(Task.objects.filter(workload=workload).order_by().values_list(*TASKS), len(TASKS))
        order = np.argsort(columns[0])
        found = tuple(column[order] for column in columns)
        _keep(key, found)
    return found


def _columns(rows: Any, width: int) -> list[FloatArray]:
    """Return rows of numbers as columns; keys stay exact up to 2**53."""
    flat = [value for row in rows.iterator(chunk_size=20_000) for value in row]
    table = np.array(flat, np.float64).reshape(-1, width)
    return [np.ascontiguousarray(table[:, column]) for column in range(width)]
