"""What a trace says that tasks ask of a site: the rules that all formats share."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scheduler_sim.engine.errors import InvalidWorkload
from scheduler_sim.engine.traces.audit import EXAMPLES, Audit
from scheduler_sim.engine.traces.raw import RawRequests, RawTasks
from scheduler_sim.engine.workloads.requests import FLAGS, NAMES, SIGNED, TIMES, Requests
from scheduler_sim.engine.workloads.speedups import ELASTICITIES, read_speedup
from scheduler_sim.engine.workloads.workload import LARGEST_INTEGER, BoolArray, FloatArray, IntArray, Labels

_FRACTIONS = frozenset(("gpus_per_node", "memory_mb_per_core", "memory_mb_per_node", "resize_time", "think_time"))


def held(raw: RawRequests, length: int) -> dict[str, FloatArray]:
    """Return what `length` tasks hold in all by what they ask for: cpus, gpus and memory_mb, NaN where it is not said.

    A task has `tasks` processes or `tasks_per_node` on each node, at least one a node, each of `cores_per_task`.
    """

    def stated(name: str) -> FloatArray:
        column = raw.get(name)
        if column is None or isinstance(column, Labels):
            return np.zeros(length)
        usable = (column > 0) & (column <= LARGEST_INTEGER)
        if name not in _FRACTIONS:
            usable &= np.floor(column) == column
        return np.where(usable, column, 0.0)

    nodes, tasks, each = stated("nodes"), stated("tasks"), stated("tasks_per_node")
    cores = stated("cores_per_task")
    said = (nodes > 0) | (tasks > 0) | (each > 0) | (cores > 0)
    spread = np.maximum(nodes, 1.0)
    cpus = np.maximum(tasks, spread * np.maximum(each, 1.0)) * np.maximum(cores, 1.0)
    share = stated("gpus_per_node")
    gpus = spread * np.where(share > 1, np.ceil(share), share)
    memory = spread * stated("memory_mb_per_node")
    memory = np.where(memory > 0, memory, np.where(said, cpus, 0.0) * stated("memory_mb_per_core"))
    return {
        "cpus": np.where(said, cpus, np.nan),
        "gpus": np.where(gpus > 0, gpus, np.nan),
        "memory_mb": np.where(memory > 0, memory, np.nan),
    }


def supply(tasks: RawTasks) -> dict[str, BoolArray]:
    """Take cores, GPUs and memory that are not known from what tasks ask for, and return in which rows, by finding."""
    if not tasks.requests:
        return {}
    told = held(tasks.requests, len(tasks))
    filled = np.zeros(len(tasks), bool)
    found: dict[str, BoolArray] = {}
    for name in ("gpus", "cpus", "memory_mb"):
        column = getattr(tasks, name)
        rows = ~np.isnan(told[name])
        if not rows.any():
            continue
        if column is None:
            column = np.full(len(tasks), np.nan)
            if name == "gpus":
                column[:] = 0.0 if tasks.hybrid is None else tasks.hybrid
            elif name == "cpus":
                alone = without_gpus(tasks)
                column[:] = alone
                found["one_core"] = alone & ~rows
        else:
            rows &= np.isnan(column)
        column[rows] = told[name][rows]
        setattr(tasks, name, column)
        filled |= rows
    return {**found, "taken_from_requests": filled}


def without_gpus(tasks: RawTasks) -> BoolArray:
    """Tell the tasks that hold one core where no column says it: those without GPUs, and hybrid ones."""
    alone: BoolArray = np.ones(len(tasks), bool) if tasks.gpus is None else ~(tasks.gpus > 0)
    return alone if tasks.hybrid is None else alone | tasks.hybrid


def settle(raw: RawRequests, *, where: IntArray, arrivals: FloatArray, audit: Audit) -> Requests | None:
    """Return what n tasks ask for, what cannot be meant taken as not stated and counted; None where all ask nothing.

    Args:
        raw: columns of n values.
        where: line numbers, for the audit.
        arrivals: seconds.
        audit: where it is counted.
    """
    columns = {name: raw[name] for name in NAMES if name in raw}
    settled: dict[str, Any] = {}
    for name, column in columns.items():
        if isinstance(column, Labels):
            settled[name] = _meant(name, column, where, audit)
        else:
            settled[name] = _settled(name, column, where, arrivals, audit)
    requests = Requests.blank(len(where), **settled)
    for least, most in (("nodes", "most_nodes"), ("least_width", "most_width")):
        below = requests.reversed(least, most)
        audit.repair(f"{most}_below_{least}", where[below])
        getattr(requests, most)[below] = 0
    return requests if requests.stated() else None


def settle_widths(
    requests: Requests, gpus: FloatArray | None, cpus: FloatArray | None, *, where: IntArray, audit: Audit
) -> None:
    """Let what n elastic tasks ask for, shape (n,) each, lie between their widths, and count where it does not."""
    asked = np.zeros(len(where)) if gpus is None else gpus
    asked = np.where(asked > 0, asked, 1.0 if cpus is None else cpus)
    elastic = np.array([name not in ("", "rigid") for name in requests.elasticity.names], bool)
    elastic = elastic[requests.elasticity.codes]
    whole = np.maximum(np.ceil(asked), 1.0).astype(np.int64)
    for name, contradicts in (
        ("least_width", requests.least_width > whole),
        ("most_width", (requests.most_width > 0) & (requests.most_width < whole)),
    ):
        rows = elastic & contradicts
        audit.repair(f"{name}_{'above' if name == 'least_width' else 'below'}_request", where[rows])
        getattr(requests, name)[rows] = whole[rows]


def _meant(name: str, column: Labels, where: IntArray, audit: Audit) -> Labels:
    """Return a column of texts, those that mean nothing as not stated."""
    if name not in _MEANT:
        return column
    wrong = np.array([not _MEANT[name](text) for text in column.names], bool)
    if not wrong.any():
        return column
    rows = wrong[column.codes]
    examples = [f"{name} {text}" for text, unusable in zip(column.names, wrong, strict=True) if unusable]
    audit.repair("unusable_value", where[rows], examples[:EXAMPLES])
    return Labels.from_texts(np.where(rows, "", column.texts()))


def _is_speedup(text: str) -> bool:
    try:
        read_speedup(text)
    except InvalidWorkload:
        return False
    return True


_MEANT: dict[str, Callable[[str], bool]] = {
    "elasticity": lambda text: text in ("", *ELASTICITIES),
    "speedup": _is_speedup,
}
"""Columns of texts of which not every text means something."""


def _settled(name: str, column: FloatArray, where: IntArray, arrivals: FloatArray, audit: Audit) -> Any:
    """Return a column with what cannot be meant as not stated, in the type that requests have it in."""

    def blank(reason: str, wrong: BoolArray, *, repaired: bool = True) -> FloatArray:
        examples = [f"{name} {value:g}" for value in column[wrong][:EXAMPLES].tolist()]
        (audit.repair if repaired else audit.notice)(reason, where[wrong], examples)
        return np.where(wrong, np.nan, column)

    with np.errstate(invalid="ignore"):
        wrong = np.abs(column) > LARGEST_INTEGER
        if name not in SIGNED:
            wrong |= column < 0
        if name not in TIMES and name not in _FRACTIONS:
            wrong |= np.isfinite(column) & (np.floor(column) != column)
        column = blank("unusable_value", wrong)
        if name == "eligible_time":
            column = blank("eligible_before_arrival", column < arrivals, repaired=False)
            # Who may start on arrival asks for nothing.
            return np.where(column == arrivals, np.nan, column)
        if name == "cancel_time":
            return blank("cancelled_before_arrival", column < arrivals)
        if name == "resize_time":
            return np.nan_to_num(column, nan=0.0)
        if name == "gpus_per_node":
            fraction = (column > 1) & (np.floor(column) != column)
            audit.repair("gpus_rounded_up", where[fraction], [f"{name} {value:g}" for value in column[fraction][:1]])
            return np.nan_to_num(np.where(fraction, np.ceil(column), column), nan=0.0)
    if name in FLAGS:
        unstated = 1.0 if name == "requeueable" else 0.0
        return np.nan_to_num(column, nan=unstated) != 0
    if name in _FRACTIONS:
        return column
    return np.nan_to_num(column, nan=0.0).astype(np.int64)
