"""From the columns a reader found to a checked workload: the rules that all formats share.

A reader hands over floats in which NaN means "not known" and an infinity means "not finite in the file".
What is dropped, repaired or merely noticed is decided here, once, and counted in the audit.
"""

import re
from collections import Counter

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scheduler_sim.engine.errors import InvalidTrace, InvalidWorkload
from scheduler_sim.engine.traces.audit import EXAMPLES, Audit, shorten
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.traces.requested import settle, settle_widths, supply, without_gpus
from scheduler_sim.engine.workloads.workload import LARGEST_INTEGER, BoolArray, FloatArray, IntArray, Workload

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

HANDED_OVER = (
    *("arrival_time", "runtime", "duration_estimate", "deadline_time", "predicted_duration", "recorded_start_time"),
    *("size", "compute_intensity", "cpus", "gpus", "gpu_type", "hybrid", "user", "group", "queue"),
)
"""Columns that a workload takes as they are once unusable values are out of them."""

LATEST_CLOCK = 1e11
"""Seconds since 1970 (more than 3,000 years) that no trace reaches: its times are then in another unit."""

_ROUNDING = 1.0
_PLAUSIBLE_SPAN = 20 * 365.25 * 86_400
_PLAUSIBLE_RUNTIME = 30 * 86_400.0
_PLAUSIBLE_MEMORY_MB = 1e7
_WHOLE = re.compile(r"([-+]?\d+)(?:\.0*)?")


def assemble(name: str, tasks: RawTasks, audit: Audit, processors: int | None) -> Workload:
    """Drop what cannot be simulated, put right what can, count both, and build the workload; `tasks` are used up.

    Raises:
        InvalidTrace: no task is left; the message says why they went.
        InvalidWorkload: dependencies that are circular, a task's own, or on tasks that the trace does not hold.
    """
    supplied = supply(tasks)
    usable = _usable(tasks, audit)
    for reason, rows in supplied.items():
        audit.notice(reason, tasks.where[rows & usable])
    dropped = (
        {key for keys in _identifiers(tasks, ~usable) for key in keys} if tasks.dependencies is not None else set()
    )
    tasks = tasks.keep(usable)
    if not len(tasks):
        reasons = " ".join(audit.sentences()) or "It holds no task lines."
        raise InvalidTrace(f"{name} holds no usable task. {reasons}")
    _blank_unusable(tasks, audit)
    _fill_unknown(tasks, audit)
    numbers, texts = _number(tasks, audit)
    parents, sent = _known_parents(tasks, numbers, dropped, audit)
    _notice(tasks, audit, processors)
    requests = tasks.requests and settle(tasks.requests, where=tasks.where, arrivals=tasks.arrival_time, audit=audit)
    if requests:
        settle_widths(requests, tasks.gpus, tasks.cpus, where=tasks.where, audit=audit)
    workload = Workload.from_columns(
        task_id=numbers,
        memory_mb=None if tasks.memory_mb is None else np.nan_to_num(tasks.memory_mb, copy=False, nan=0.0),
        dependencies=parents,
        dependency_mb=sent,
        external_id=texts,
        requests=requests or None,
        in_place=True,
        **{name: getattr(tasks, name) for name in HANDED_OVER},
    )
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
        gpu_task = (raw.gpus > 0) if raw.gpus is not None else np.zeros(len(raw), bool)
        if raw.cpus is not None:
            refuse("unknown_resources", ~(raw.cpus > 0) & ~gpu_task)
        for name in ("cpus", "gpus"):
            column = getattr(raw, name)
            if column is not None:
                _put(raw, name, (column < 0) & kept, np.nan, audit, "unusable_value")
                _put(raw, name, np.isnan(column) & kept, 0.0, audit, f"{name}_taken_as_zero")
        if raw.gpus is not None:
            # Only a share of one device has a meaning: a job of 2.5 GPUs holds three.
            fraction = (raw.gpus > 1) & (np.floor(raw.gpus) != raw.gpus) & kept
            _put(raw, "gpus", fraction, np.ceil(raw.gpus), audit, "gpus_rounded_up")
    return kept


def _put(tasks: RawTasks, name: str, rows: BoolArray, values: FloatArray | float, audit: Audit, reason: str) -> None:
    """Change the values of a column in `rows` and tell the audit: nothing else here writes into a column."""
    if not rows.any():
        return
    column = getattr(tasks, name)
    known = [float(value) for value in column[rows][:EXAMPLES].tolist() if value == value]
    audit.repair(reason, tasks.where[rows], [f"{name} {value:g}" for value in known])
    column[rows] = values if isinstance(values, float) else values[rows]


def _blank_unusable(tasks: RawTasks, audit: Audit) -> None:
    for name in OPTIONAL:
        column = getattr(tasks, name)
        if column is None:
            continue
        with np.errstate(invalid="ignore"):
            wrong = np.isinf(column) | (column > LARGEST_INTEGER) | (column < 0)
            if name == "compute_intensity":
                wrong |= column > 1
        _put(tasks, name, wrong, np.nan, audit, "unusable_value")


def _fill_unknown(tasks: RawTasks, audit: Audit) -> None:
    """Give unknown values what their column defaults to; memory of 0 is the workload's own word for unknown."""
    if tasks.compute_intensity is not None:
        _put(tasks, "compute_intensity", np.isnan(tasks.compute_intensity), 0.0, audit, "intensity_taken_as_zero")
    if tasks.cpus is None:
        audit.notice("one_core", tasks.where[without_gpus(tasks)])


def _number(tasks: RawTasks, audit: Audit) -> tuple[IntArray, npt.NDArray[np.object_] | None]:
    """Return unique task numbers and the text identifiers.

    A number that is missing, out of range or already taken is replaced by one above the largest. Of tasks
    that share a number the one that comes first by (arrival, content, line) keeps it.
    """
    given = tasks.task_id if tasks.task_id is not None else _numbers_from_texts(tasks.external_id)
    if given is None:
        numbers = np.empty(len(tasks), np.int64)
        numbers[_by_content(tasks, tasks.external_id)] = np.arange(1, len(tasks) + 1)
        return numbers, tasks.external_id
    with np.errstate(invalid="ignore"):
        whole = (given >= 0) & (given <= LARGEST_INTEGER) & (np.floor(given) == given)
    numbers = np.where(whole, given, -1).astype(np.int64)
    if whole.all() and _are_unique(numbers):
        return numbers, tasks.external_id
    order = _by_content(tasks, tasks.id_text)
    order = order[np.argsort(numbers[order], kind="stable")]
    repeated = np.zeros(len(tasks), bool)
    repeated[order[1:]] = numbers[order[1:]] == numbers[order[:-1]]
    repeated &= whole
    audit.repair("unusable_id", tasks.where[~whole])
    audit.repair("duplicate_id", tasks.where[repeated])
    renumbered = repeated | ~whole
    texts = np.full(len(tasks), "", object) if tasks.external_id is None else tasks.external_id.copy()
    # What the trace calls a task stays: its own text identifier, else the number that it loses.
    blank = np.array([not text for text in texts.tolist()], bool)
    texts[repeated & blank] = [str(number) for number in numbers[repeated & blank].tolist()]
    if tasks.id_text is not None:
        texts[~whole & blank] = tasks.id_text[~whole & blank]
    changed = order[renumbered[order]]
    numbers[changed] = np.arange(1, len(changed) + 1) + max(int(numbers.max()), 0)
    return numbers, texts


def _by_content(tasks: RawTasks, texts: npt.NDArray[np.object_] | None) -> IntArray:
    """Return the rows in the order of arrival, text, run time and line."""
    keys = [tasks.where, tasks.runtime, tasks.arrival_time]
    if texts is not None:
        # Loading it takes longer than most traces, which have numbers.
        import pyarrow.compute as pc

        ranks = pc.rank(pa.array(texts, pa.large_string()), tiebreaker="dense").to_numpy()
        keys.insert(2, ranks)
    return np.lexsort(keys)


def _are_unique(numbers: IntArray) -> bool:
    ascending = np.sort(numbers)
    return bool((ascending[1:] != ascending[:-1]).all())


def _numbers_from_texts(texts: npt.NDArray[np.object_] | None) -> FloatArray | None:
    """Return text identifiers as numbers when every one is a plain whole number."""
    if texts is None or not all(text.isascii() and text.isdigit() and len(text) < 16 for text in texts):
        return None
    return np.array(texts, dtype=np.float64)


def _known_parents(
    tasks: RawTasks, numbers: IntArray, dropped: set[int | str], audit: Audit
) -> tuple[list[list[int]] | None, list[list[float]] | None]:
    """Return the numbers of the parents, and the MB that they send, without those parents that were dropped.

    A parent is looked up by what the trace calls a task, number or text; of tasks that share it, the one that
    comes first by (arrival, run time, line) is meant.

    Raises:
        InvalidWorkload: a parent that the trace does not hold, where it may not leave tasks out.
    """
    if tasks.dependencies is None:
        return None, None
    amounts = _amounts(tasks, audit)
    number_of: dict[int | str, int] = {}
    own, order = numbers.tolist(), np.lexsort([tasks.where, tasks.runtime, tasks.arrival_time]).tolist()
    shared: set[int | str] = set()
    for keys in _identifiers(tasks, slice(None)) or [own]:
        found: dict[int | str, int] = {}
        for row in order:
            found.setdefault(keys[row], own[row])
        if len(found) < len(keys):
            shared |= {key for key, count in Counter(keys).items() if count > 1} - set(number_of)
        number_of = found | number_of
    resolved, sent, lost, doubtful = [], [], [], []
    for row, (place, parents) in enumerate(zip(tasks.where.tolist(), tasks.dependencies, strict=True)):
        kept, carried = [], []
        for at, parent in enumerate(parents):
            if parent in number_of:
                kept.append(number_of[parent])
                if amounts is not None:
                    carried.append(amounts[row][at])
                if parent in shared:
                    doubtful.append((place, str(parent)))
                continue
            if tasks.incomplete or parent in dropped:
                lost.append(place)
            else:
                raise InvalidWorkload(f"Task {own[row]} depends on task {parent}, which the workload does not hold.")
        resolved.append(kept)
        sent.append(carried)
    audit.repair("unknown_parent", lost)
    audit.notice("shared_parent", [place for place, _ in doubtful], [shorten(parent) for _, parent in doubtful])
    return resolved, None if amounts is None else sent


def _amounts(tasks: RawTasks, audit: Audit) -> list[list[float]] | None:
    """Return the MB that each parent sends, one a parent; what is unusable, or not one a parent, counts as nothing."""
    if tasks.dependency_mb is None or tasks.dependencies is None:
        return None
    found, wrong = [], []
    for place, parents, given in zip(tasks.where.tolist(), tasks.dependencies, tasks.dependency_mb, strict=True):
        amounts = [float(amount) if 0 <= amount <= LARGEST_INTEGER else 0.0 for amount in given]
        if (given and len(given) != len(parents)) or list(given) != amounts:
            wrong.append(place)
        found.append(amounts if len(amounts) == len(parents) else [0.0] * len(parents))
    audit.repair("unusable_amount", wrong)
    return found


def _identifiers(tasks: RawTasks, rows: BoolArray | slice) -> list[list[int | str]]:
    """Return what the trace calls the tasks: their numbers (as whole numbers) or texts, then their external ones."""
    found: list[list[int | str]] = []
    if tasks.id_text is not None:
        found.append([identifier(text) for text in tasks.id_text[rows].tolist()])
    elif tasks.task_id is not None:
        found.append([int(number) if number.is_integer() else repr(number) for number in tasks.task_id[rows].tolist()])
    if tasks.external_id is not None:
        found.append([identifier(text) for text in tasks.external_id[rows].tolist()])
    return found


def identifier(text: str) -> int | str:
    """Return what a text names a task by: a whole number however it is written (7, 007, 7.0), or the text itself."""
    if text.isascii() and text.isdecimal():
        return int(text)
    match = _WHOLE.fullmatch(text)
    return int(match.group(1)) if match else text


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
        if tasks.recorded_end_time is not None:
            taken = tasks.recorded_end_time - tasks.recorded_start_time
            # Logs of whole seconds round both ends.
            apart = np.abs(taken - tasks.runtime) > _ROUNDING
            examples = [
                f"{stated:g} s, not {real:g} s"
                for stated, real in zip(tasks.runtime[apart].tolist(), taken[apart].tolist(), strict=True)
            ]
            audit.notice("contradicting_duration", where[apart], examples[:EXAMPLES])
    _notice_units(tasks, audit)


def _notice_units(tasks: RawTasks, audit: Audit) -> None:
    """Notice times and memory that look as if they were in another unit than they are read in."""
    arrivals, runtimes = tasks.arrival_time, tasks.runtime
    first, longest = int(np.argmin(arrivals)), int(np.argmax(runtimes))
    span, middle = float(np.ptp(arrivals)), float(np.median(runtimes))

    def notice(reason: str, row: int, found: bool, seconds: float) -> None:
        if found:
            audit.notice(reason, tasks.where[[row]], [f"{seconds:,.6g} s"])

    notice("implausible_clock", first, arrivals[first] > LATEST_CLOCK, float(arrivals[first]))
    notice("implausible_span", first, span > _PLAUSIBLE_SPAN, span)
    notice("within_one_second", first, 0 < span < 1, span)
    notice("implausible_runtimes", longest, middle > _PLAUSIBLE_RUNTIME, middle)
    notice("tiny_runtimes", longest, len(tasks) > 1 and 0 < runtimes[longest] < 1, float(runtimes[longest]))
    if tasks.memory_mb is not None:
        held = sum(column for column in (tasks.cpus, tasks.gpus) if column is not None)
        much = tasks.memory_mb > _PLAUSIBLE_MEMORY_MB * np.maximum(held, 1.0)
        audit.notice(
            "implausible_memory", tasks.where[much], [f"{value:,.6g} MB" for value in tasks.memory_mb[much][:1]]
        )
