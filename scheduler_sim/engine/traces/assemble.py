"""From the columns a reader found to a checked workload: the rules that all formats share.

A reader hands over floats in which NaN means "not known" and an infinity means "not finite in the file".
What is dropped, repaired or merely noticed is decided here, once, and counted in the audit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.workload import LARGEST_INTEGER, BoolArray, FloatArray, IntArray, Labels, Workload

OPTIONAL = (
    "duration_estimate",
    "size",
    "compute_intensity",
    "memory_mb",
    "deadline_time",
    "predicted_duration",
    "recorded_start_time",
)
"""Number columns that may be unknown without costing the task."""


@dataclass
class RawTasks:
    """Columns as a format holds them, one value a task, in the order of the file.

    Attributes:
        where: line (or row) numbers from 1, for messages.
        arrival_time, runtime: seconds; needed.
        task_id: the trace's numbers; None where it has none, and the tasks are numbered from 1 by
            arrival, external_id and content, so that the order of the lines does not matter.
        cpus, gpus: held resources; a task needs one of them above 0.
        dependencies: for each task the numbers of its parents.
        incomplete: tasks may depend on some that the trace leaves out; else those are refused.

    The others are as in `Workload`.
    """

    where: IntArray
    arrival_time: FloatArray
    runtime: FloatArray
    task_id: FloatArray | None = None
    duration_estimate: FloatArray | None = None
    size: FloatArray | None = None
    compute_intensity: FloatArray | None = None
    memory_mb: FloatArray | None = None
    cpus: FloatArray | None = None
    gpus: FloatArray | None = None
    gpu_type: Labels | None = None
    user: Labels | None = None
    group: Labels | None = None
    queue: Labels | None = None
    hybrid: BoolArray | None = None
    deadline_time: FloatArray | None = None
    predicted_duration: FloatArray | None = None
    recorded_start_time: FloatArray | None = None
    external_id: npt.NDArray[np.object_] | None = None
    dependencies: Sequence[Sequence[int]] | None = None
    incomplete: bool = False

    def __len__(self) -> int:
        return len(self.where)

    def take(self, kept: BoolArray) -> "RawTasks":
        """Return the rows for which `kept` holds."""
        rows = np.flatnonzero(kept)
        chosen: dict[str, Any] = {}
        for field in fields(self):
            column = getattr(self, field.name)
            if isinstance(column, Labels):
                column = column.take(rows)
            elif isinstance(column, np.ndarray):
                column = column[rows]
            elif column is not None and not isinstance(column, bool):
                column = [column[row] for row in rows.tolist()]
            chosen[field.name] = column
        return RawTasks(**chosen)


def assemble(name: str, raw: RawTasks, audit: Audit, processors: int | None) -> Workload:
    """Drop what cannot be simulated, put right what can, count both, and build the workload.

    Raises:
        InvalidTrace: no task is left; the message says why they went.
        InvalidWorkload: dependencies that are circular, a task's own, or on tasks that the trace does not hold.
    """
    tasks = raw.take(_usable(raw, audit))
    if not len(tasks):
        reasons = " ".join(audit.sentences()) or "It holds no task lines."
        raise InvalidTrace(f"{name} holds no usable task. {reasons}")
    _blank_unusable(tasks, audit)
    numbers, texts = _number(tasks, audit)
    workload = Workload.from_columns(
        task_id=numbers,
        arrival_time=tasks.arrival_time,
        runtime=tasks.runtime,
        duration_estimate=tasks.duration_estimate,
        size=tasks.size,
        compute_intensity=_known_or(tasks.compute_intensity, 0.0),
        memory_mb=_known_or(tasks.memory_mb, 0.0),
        cpus=tasks.cpus,
        gpus=tasks.gpus,
        gpu_type=tasks.gpu_type,
        user=tasks.user,
        group=tasks.group,
        queue=tasks.queue,
        dependencies=_known_parents(raw, tasks, numbers, audit),
        hybrid=tasks.hybrid,
        deadline_time=tasks.deadline_time,
        predicted_duration=tasks.predicted_duration,
        recorded_start_time=tasks.recorded_start_time,
        external_id=texts,
    )
    _notice(tasks, audit, processors)
    audit.measure(workload, processors)
    return workload


def _usable(raw: RawTasks, audit: Audit) -> BoolArray:
    """Decide which tasks are kept; the first reason that holds is the one that is counted."""
    kept = np.ones(len(raw), bool)

    def refuse(reason: str, found: BoolArray) -> None:
        audit.drop(reason, raw.where[found & kept])
        kept[found] = False

    with np.errstate(invalid="ignore"):
        for column in (raw.arrival_time, raw.runtime, raw.cpus, raw.gpus):
            if column is not None:
                refuse("not_finite", np.isinf(column))
                refuse("too_large", np.abs(column) > LARGEST_INTEGER)
        refuse("unknown_arrival", np.isnan(raw.arrival_time))
        refuse("negative_arrival", raw.arrival_time < 0)
        refuse("unknown_runtime", np.isnan(raw.runtime))
        refuse("negative_runtime", raw.runtime < 0)
        for column in (raw.cpus, raw.gpus):
            if column is not None:
                column[~(column > 0)] = np.where(np.isnan(column[~(column > 0)]), np.nan, 0.0)
        if raw.cpus is not None:
            gpu_task = (raw.gpus > 0) if raw.gpus is not None else np.zeros(len(raw), bool)
            refuse("unknown_resources", ~(raw.cpus > 0) & ~gpu_task)
            unknown = np.isnan(raw.cpus)
            audit.repair("cpus_taken_as_zero", raw.where[unknown & kept])
            raw.cpus[unknown] = 0.0
        if raw.gpus is not None:
            raw.gpus[np.isnan(raw.gpus)] = 0.0
            # Only a share of one device has a meaning: a job of 2.5 GPUs holds three.
            fraction = (raw.gpus > 1) & (np.floor(raw.gpus) != raw.gpus)
            audit.repair("gpus_rounded_up", raw.where[fraction & kept])
            raw.gpus[fraction] = np.ceil(raw.gpus[fraction])
    return kept


def _blank_unusable(tasks: RawTasks, audit: Audit) -> None:
    for name in OPTIONAL:
        column = getattr(tasks, name)
        if column is None:
            continue
        with np.errstate(invalid="ignore"):
            wrong = np.isinf(column) | (column > LARGEST_INTEGER) | (column < 0)
            if name == "compute_intensity":
                wrong |= column > 1
        audit.repair("unusable_value", tasks.where[wrong])
        column[wrong] = np.nan


def _known_or(column: FloatArray | None, default: float) -> FloatArray | None:
    return None if column is None else np.where(np.isnan(column), default, column)


def _number(tasks: RawTasks, audit: Audit) -> tuple[IntArray, npt.NDArray[np.object_] | None]:
    """Return unique task numbers and the text identifiers.

    A number that is missing, out of range or already taken is replaced by one above the largest. Of tasks
    that share a number the one that comes first by (arrival, content, line) keeps it.
    """
    given = tasks.task_id if tasks.task_id is not None else _numbers_from_texts(tasks.external_id)
    content = [tasks.where, tasks.runtime, tasks.arrival_time]
    if given is None:
        if tasks.external_id is not None:
            content.insert(2, Labels.from_texts(tasks.external_id).codes)
        order = np.lexsort(content)
        numbers = np.empty(len(tasks), np.int64)
        numbers[order] = np.arange(1, len(tasks) + 1)
        return numbers, tasks.external_id
    with np.errstate(invalid="ignore"):
        whole = (given >= 0) & (given <= LARGEST_INTEGER) & (np.floor(given) == given)
    numbers = np.where(whole, given, -1).astype(np.int64)
    order = np.lexsort([*content, numbers])
    repeated = np.zeros(len(tasks), bool)
    repeated[order[1:]] = numbers[order[1:]] == numbers[order[:-1]]
    repeated &= whole
    audit.repair("unusable_id", tasks.where[~whole])
    audit.repair("duplicate_id", tasks.where[repeated])
    renumbered = repeated | ~whole
    if not renumbered.any():
        return numbers, tasks.external_id
    texts = np.full(len(tasks), "", object) if tasks.external_id is None else tasks.external_id.copy()
    texts[repeated] = [str(number) for number in numbers[repeated].tolist()]
    changed = order[renumbered[order]]
    numbers[changed] = np.arange(1, len(changed) + 1) + max(int(numbers.max()), 0)
    return numbers, texts


def _numbers_from_texts(texts: npt.NDArray[np.object_] | None) -> FloatArray | None:
    """Return text identifiers as numbers when every one is a plain whole number."""
    if texts is None or not all(text.isascii() and text.isdigit() and len(text) < 16 for text in texts):
        return None
    return np.array(texts, dtype=np.float64)


def _known_parents(raw: RawTasks, tasks: RawTasks, numbers: IntArray, audit: Audit) -> list[list[int]] | None:
    """Return the parents without those that were dropped; unknown ones stay, for the workload to refuse."""
    if tasks.dependencies is None:
        return None
    known = set(numbers.tolist())
    given = raw.task_id if raw.task_id is not None else _numbers_from_texts(raw.external_id)
    read = set() if given is None else set(given.tolist())
    resolved, lost = [], []
    for place, parents in zip(tasks.where.tolist(), tasks.dependencies, strict=True):
        kept = [parent for parent in parents if parent in known or not (raw.incomplete or parent in read)]
        resolved.append(kept)
        lost.extend([place] * (len(parents) - len(kept)))
    audit.repair("unknown_parent", lost)
    return resolved


def _notice(tasks: RawTasks, audit: Audit, processors: int | None) -> None:
    where, arrivals = tasks.where, tasks.arrival_time
    audit.notice("zero_runtime", where[tasks.runtime == 0])
    stated = np.full(len(tasks), np.nan) if tasks.duration_estimate is None else tasks.duration_estimate
    unknown = np.isnan(stated)
    audit.notice("no_estimates" if unknown.all() else "unknown_estimate", where[unknown])
    audit.notice("estimate_below_runtime", where[stated < tasks.runtime])
    audit.notice("unsorted", where[1:][arrivals[1:] < arrivals[:-1]])
    if arrivals.min() != 0:
        audit.notice("late_clock", where[[int(np.argmin(arrivals))]])
    if processors is not None and tasks.cpus is not None:
        audit.notice("larger_than_machine", where[tasks.cpus > processors])
    if tasks.recorded_start_time is not None:
        audit.notice("start_before_arrival", where[tasks.recorded_start_time < arrivals])
