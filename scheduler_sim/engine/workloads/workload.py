"""A workload as columns: one NumPy array a property, checked once on the way in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.errors import InvalidWorkload
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray, Labels
from scheduler_sim.engine.workloads.frames import arrow_of, checked_names, columns_of
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.throughputs import Throughputs
from scheduler_sim.engine.workloads.unstated import stand_ins

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LARGEST_INTEGER",
    "REQUEST",
    "BoolArray",
    "FloatArray",
    "IntArray",
    "Labels",
    "Parents",
    "Requests",
    "Workload",
]

LARGEST_INTEGER = 2**53
"""Integers above this lose precision as doubles; no trace has a reason to hold one."""

REQUEST = ("runtime", "duration_estimate", "size", "compute_intensity", "memory_mb", "cpus", "gpus")
"""The columns that say how long a task runs and what it asks for."""


@dataclass(frozen=True, eq=False)
class Parents:
    """The dependencies of n tasks in compressed sparse rows.

    Attributes:
        offsets: shape (n + 1,), int64; the parents of row i lie in `rows[offsets[i]:offsets[i + 1]]`.
        rows: shape (edges,), int64, row numbers (not task_ids) of the parents, ascending for each task.
        mb: shape (edges,), MB that each parent sends to its child; None where nothing is sent.
    """

    offsets: IntArray
    rows: IntArray
    mb: FloatArray | None = None

    @classmethod
    def none(cls, length: int) -> Self:
        """Return `length` tasks without parents."""
        return cls(offsets=np.zeros(length + 1, np.int64), rows=np.zeros(0, np.int64))

    @property
    def count(self) -> int:
        """The number of edges."""
        return len(self.rows)

    @property
    def sent_mb(self) -> float:
        """The MB that are sent in all."""
        return 0.0 if self.mb is None else float(self.mb.sum())

    def children(self) -> tuple[IntArray, IntArray]:
        """Return the same edges from parents to children: offsets, shape (n + 1,), and rows of the children."""
        length = len(self.offsets) - 1
        owners = np.repeat(np.arange(length), np.diff(self.offsets))
        counts = np.bincount(self.rows, minlength=length)
        offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return offsets, owners[np.argsort(self.rows, kind="stable")].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Workload:
    """Tasks as columns, in the canonical order (arrival_time, task_id).

    Build one with `Workload.from_columns`, which checks, fills defaults and sorts, so that the order of
    the input never matters. Every array has shape (n,). Times are seconds on the trace's own clock.

    Attributes:
        task_id: the number inside the workload, unique.
        arrival_time: when the task is submitted.
        runtime: true duration on a device of speed 1.
        duration_estimate: what a policy is told about the duration; where nothing is stated, see `unstated`.
        estimate_known: false where no estimate is stated, and `duration_estimate` holds what stands in for one.
        size: the amount of work in the trace's own unit, NaN where it has none.
        compute_intensity: 0 (memory bound) to 1 (compute bound); sets the GPU's speed-up of hybrid tasks.
        memory_mb: memory held, 0 where unknown.
        cpus: cores held; fractions come from traces that count in thousandths.
        gpus: GPUs held; below 1 it is a share of one device.
        gpu_type: models the task may use, separated by `|`; empty for any.
        user, group, queue: who submitted it and where, empty where unknown.
        parents: dependencies as rows of this workload.
        hybrid: true where the task may be split between CPU and GPU, false for a rigid one.
        deadline_time: instant by which it should finish, NaN where it has none.
        predicted_duration: a given prediction of the duration, NaN where there is none.
        recorded_start_time: when the trace says it really started, NaN where unknown.
        external_id: the trace's own text identifier, empty where it has none.
        requests: what tasks ask of a site beside cores, GPUs and memory; None where the workload states nothing of it.
        throughputs: how fast types of tasks, their `group`, are on kinds of GPU, in units of `size` a second; None
            where all are as fast as the nodes' speed says.
    """

    task_id: IntArray
    arrival_time: FloatArray
    runtime: FloatArray
    duration_estimate: FloatArray
    estimate_known: BoolArray
    size: FloatArray
    compute_intensity: FloatArray
    memory_mb: FloatArray
    cpus: FloatArray
    gpus: FloatArray
    gpu_type: Labels
    user: Labels
    group: Labels
    queue: Labels
    parents: Parents
    hybrid: BoolArray
    deadline_time: FloatArray
    predicted_duration: FloatArray
    recorded_start_time: FloatArray
    external_id: npt.NDArray[np.object_]
    requests: Requests | None = None
    throughputs: Throughputs | None = None

    def __len__(self) -> int:
        return len(self.task_id)

    @classmethod
    def from_columns(
        cls,
        *,
        arrival_time: npt.ArrayLike,
        runtime: npt.ArrayLike,
        task_id: npt.ArrayLike | None = None,
        duration_estimate: npt.ArrayLike | None = None,
        size: npt.ArrayLike | None = None,
        compute_intensity: npt.ArrayLike | None = None,
        memory_mb: npt.ArrayLike | None = None,
        cpus: npt.ArrayLike | None = None,
        gpus: npt.ArrayLike | None = None,
        gpu_type: Sequence[str] | Labels | None = None,
        user: Sequence[str] | Labels | None = None,
        group: Sequence[str] | Labels | None = None,
        queue: Sequence[str] | Labels | None = None,
        dependencies: Sequence[Sequence[int]] | None = None,
        dependency_mb: Sequence[Sequence[float]] | None = None,
        hybrid: npt.ArrayLike | None = None,
        deadline_time: npt.ArrayLike | None = None,
        predicted_duration: npt.ArrayLike | None = None,
        recorded_start_time: npt.ArrayLike | None = None,
        external_id: Sequence[str] | npt.NDArray[np.object_] | None = None,
        requests: Requests | None = None,
        throughputs: Throughputs | None = None,
        in_place: bool = False,
    ) -> Self:
        """Check n tasks, fill what is missing and put them in canonical order.

        Missing columns: `task_id` counts from 1, `cpus` is 1 where `gpus` is 0 (and for hybrid tasks) and else
        0, `gpus` is 1 for hybrid tasks and else 0, the rest is 0, empty or NaN. An estimate that is missing or
        NaN is unknown, and `unstated.stand_ins` says what policies are told instead. `dependencies` holds, for
        each task, the task_ids of its parents, and `dependency_mb` the MB that each of these sends to it, in the same
        order, or nothing for a task to which nothing is sent; a parent that is named twice sends both amounts. With
        `in_place` the arrays that are given become the workload's own and are put in order where they lie; else they
        are left as they are.

        Raises:
            InvalidWorkload: a column of another length, a value that is not finite, negative or beyond
                2**53, a task_id given twice, a compute_intensity outside 0..1, a task that asks for
                neither cores nor GPUs, dependencies that are unknown, circular or a task's own, another number of
                amounts than of dependencies, or requests that mean nothing.
        """
        arrivals = _floats("arrival_time", arrival_time)
        length = len(arrivals)
        ids = np.arange(1, length + 1, dtype=np.int64) if task_id is None else _integers("task_id", task_id, length)
        runtimes = _floats("runtime", runtime, length)
        hybrids = np.zeros(length, bool) if hybrid is None else _booleans("hybrid", hybrid, length)
        gpu_counts = hybrids.astype(np.float64) if gpus is None else _floats("gpus", gpus, length)
        cpu_counts = ((gpu_counts == 0) | hybrids).astype(np.float64) if cpus is None else _floats("cpus", cpus, length)

        def filled(name: str, values: npt.ArrayLike | None) -> FloatArray:
            return np.zeros(length) if values is None else _floats(name, values, length)

        def known(name: str, values: npt.ArrayLike | None) -> FloatArray:
            if values is None:
                return np.full(length, np.nan)
            return _floats(name, values, length, allow_unknown=True)

        def labelled(name: str, values: Sequence[str] | Labels | None) -> Labels:
            if values is None:
                return Labels.blank(length)
            if len(values) != length:
                raise InvalidWorkload(f"Column {name} has {len(values)} values where {length} were expected.")
            if isinstance(values, Labels):
                return values
            return Labels.from_texts(["" if text is None else text for text in values])

        stated = known("duration_estimate", duration_estimate)
        queues = labelled("queue", queue)
        texts = np.full(length, "", object) if external_id is None else np.asarray(external_id, dtype=object)
        if len(texts) != length:
            raise InvalidWorkload(f"Column external_id has {len(texts)} values where {length} were expected.")
        columns: dict[str, Any] = {
            "task_id": ids,
            "arrival_time": arrivals,
            "runtime": runtimes,
            "duration_estimate": stand_ins(stated, runtimes, queues.codes),
            "estimate_known": ~np.isnan(stated),
            "size": known("size", size),
            "compute_intensity": filled("compute_intensity", compute_intensity),
            "memory_mb": filled("memory_mb", memory_mb),
            "cpus": cpu_counts,
            "gpus": gpu_counts,
            "gpu_type": labelled("gpu_type", gpu_type),
            "user": labelled("user", user),
            "group": labelled("group", group),
            "queue": queues,
            "hybrid": hybrids,
            "deadline_time": known("deadline_time", deadline_time),
            "predicted_duration": known("predicted_duration", predicted_duration),
            "recorded_start_time": known("recorded_start_time", recorded_start_time),
            "external_id": texts,
        }
        _check_values(columns)
        order = np.lexsort((ids, arrivals))
        for name, column in columns.items():
            if in_place:
                values = column.codes if isinstance(column, Labels) else column
                values[:] = values[order]
            else:
                columns[name] = column.take(order) if isinstance(column, Labels) else column[order]
        _check_unique(columns["task_id"])
        if requests is not None:
            requests.check(length)
            columns["requests"] = requests.take(order)
        columns["throughputs"] = throughputs
        columns["parents"] = _resolve(columns["task_id"], order, dependencies, dependency_mb)
        return cls(**columns)

    @classmethod
    def from_numpy(cls, columns: "Mapping[str, Any] | npt.NDArray[np.void]") -> Self:
        """Return the tasks of arrays by the names of `from_columns`, or of a structured array; errors as there.

        Raises:
            InvalidWorkload: also a name that is none of them, or no arrivals or run times.
        """
        return cls.from_columns(**checked_names(columns))

    @classmethod
    def from_arrow(cls, table: Any, columns: Mapping[str, str] | None = None) -> Self:
        """Return the tasks of a table of Arrow, or of what it takes for one, as of polars; errors as of `from_numpy`.

        Numbers are seconds and counts; timestamps are counted from the first arrival, durations are turned into
        seconds. A null is what is not stated.

        Args:
            columns: what the table calls a column of `from_columns`, where that is another name, as in
                `{"arrival_time": "submitted"}`; with it, columns that it does not name need not mean anything.
        """
        return cls.from_columns(**columns_of(table, columns))

    @classmethod
    def from_pandas(cls, frame: "pd.DataFrame", columns: Mapping[str, str] | None = None) -> Self:
        """Return the tasks of a pandas frame; arguments and errors as of `from_arrow`.

        An index that bears the name of a column, as `task_id`, is one; any other means nothing.
        """
        return cls.from_arrow(arrow_of(frame, columns), columns)

    @property
    def expected_size(self) -> FloatArray:
        """What may be known of the size at arrival: the size, else the stated estimate, else 0."""
        return np.where(np.isnan(self.size), np.where(self.estimate_known, self.duration_estimate, 0.0), self.size)

    @property
    def perfect_estimates(self) -> bool:
        """True where no task states an estimate, so that policies are told the true run times."""
        return len(self) > 0 and not self.estimate_known.any()

    def head(self, limit: int) -> "Workload":
        """Return the first `limit` tasks by (arrival_time, task_id).

        Parents always arrive no later in a trace's own order or not at all; a parent cut off is forgotten,
        because a task that waits for one that never runs would never start.
        """
        return self.take(np.arange(min(limit, len(self)), dtype=np.int64))

    def take(self, rows: IntArray) -> "Workload":
        """Return the tasks of `rows`, in that order, which must be the canonical one; parents outside are forgotten."""
        columns: dict[str, Any] = {}
        for field in fields(self):
            column = getattr(self, field.name)
            if isinstance(column, Labels | Requests):
                columns[field.name] = column.take(rows)
            elif column is None or isinstance(column, Throughputs):
                columns[field.name] = column
            elif not isinstance(column, Parents):
                columns[field.name] = column[rows]
        if not self.parents.count:
            return Workload(**columns, parents=Parents.none(len(rows)))
        renumbered = np.full(len(self), -1, np.int64)
        renumbered[rows] = np.arange(len(rows))
        children = np.repeat(np.arange(len(self)), np.diff(self.parents.offsets))
        kept = (renumbered[children] >= 0) & (renumbered[self.parents.rows] >= 0)
        children, parents = renumbered[children[kept]], renumbered[self.parents.rows[kept]]
        within = np.lexsort((parents, children))
        columns["parents"] = Parents(
            offsets=np.concatenate(([0], np.cumsum(np.bincount(children, minlength=len(rows))))).astype(np.int64),
            rows=parents[within],
            mb=None if self.parents.mb is None else self.parents.mb[kept][within],
        )
        return Workload(**columns)

    def dependencies(self) -> list[list[int]]:
        """Return, for each task, the task_ids of its parents."""
        ids = self.task_id[self.parents.rows].tolist()
        offsets = self.parents.offsets.tolist()
        return [ids[first:last] for first, last in pairwise(offsets)]

    def dependency_mb(self) -> list[list[float]]:
        """Return, for each task, the MB that each of its parents sends to it; zeros where nothing is sent."""
        amounts = [0.0] * self.parents.count if self.parents.mb is None else self.parents.mb.tolist()
        return [amounts[first:last] for first, last in pairwise(self.parents.offsets.tolist())]


def _floats(name: str, values: npt.ArrayLike, length: int | None = None, *, allow_unknown: bool = False) -> FloatArray:
    try:
        # No copy of an array: what is returned is only read, and put in another order before it is kept.
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidWorkload(f"Column {name} holds a value that is not a number.") from error
    kind = getattr(values, "dtype", column.dtype).kind
    if kind in "mM":
        what = "datetimes" if kind == "M" else "durations"
        raise InvalidWorkload(
            f"Column {name} holds {what} of NumPy; give seconds, or a table (from_pandas, from_arrow)."
        )
    if column.ndim != 1 or (length is not None and len(column) != length):
        raise InvalidWorkload(f"Column {name} has shape {column.shape} where ({length},) was expected.")
    finite = np.isfinite(column) | (np.isnan(column) if allow_unknown else False)
    if not finite.all():
        raise InvalidWorkload(f"Column {name} holds {int((~finite).sum())} values that are not finite.")
    if (np.abs(column) > LARGEST_INTEGER).any():
        raise InvalidWorkload(f"Column {name} holds a value beyond 2**53.")
    return column


def _integers(name: str, values: npt.ArrayLike, length: int) -> IntArray:
    column = _floats(name, values, length)
    if (column != np.floor(column)).any():
        raise InvalidWorkload(f"Column {name} holds a value that is not a whole number.")
    return column.astype(np.int64)


def _booleans(name: str, values: npt.ArrayLike, length: int) -> BoolArray:
    column = np.array(values, dtype=bool)
    if column.shape != (length,):
        raise InvalidWorkload(f"Column {name} has shape {column.shape} where ({length},) was expected.")
    return column


def _check_values(columns: dict[str, Any]) -> None:
    for name in ("runtime", "duration_estimate", "size", "memory_mb", "cpus", "gpus"):
        negative = columns[name] < 0
        if negative.any():
            raise InvalidWorkload(f"Column {name} is negative for {int(negative.sum())} tasks.")
    intensity = columns["compute_intensity"]
    if ((intensity < 0) | (intensity > 1)).any():
        raise InvalidWorkload("Column compute_intensity must lie between 0 and 1.")
    idle = (columns["cpus"] == 0) & (columns["gpus"] == 0)
    if idle.any():
        raise InvalidWorkload(f"{int(idle.sum())} tasks ask for neither cores nor GPUs.")


def _check_unique(ids: IntArray) -> None:
    ascending = np.sort(ids)
    repeated = ascending[1:][ascending[1:] == ascending[:-1]]
    if len(repeated):
        raise InvalidWorkload(f"task_id {repeated[0]} is given more than once ({len(repeated)} repeats in all).")


def _resolve(
    ids: IntArray,
    order: IntArray,
    dependencies: Sequence[Sequence[int]] | None,
    sent: Sequence[Sequence[float]] | None,
) -> Parents:
    """Turn parents given by task_id, in input order, into rows in canonical order."""
    if dependencies is None:
        if sent is not None and any(map(len, sent)):
            raise InvalidWorkload("Column dependency_mb says what parents send, and there is no column dependencies.")
        return Parents.none(len(ids))
    if len(dependencies) != len(ids):
        raise InvalidWorkload(f"Column dependencies has {len(dependencies)} values where {len(ids)} were expected.")
    rows = [sorted(set(dependencies[i])) for i in order.tolist()]
    amounts = None if sent is None else _amounts(ids, order, rows, dependencies, sent)
    counts = np.fromiter((len(row) for row in rows), np.int64, len(rows))
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    named = np.fromiter((parent for row in rows for parent in row), np.int64, int(offsets[-1]))
    children = np.repeat(np.arange(len(ids)), counts)
    by_id = np.argsort(ids, kind="stable")
    found = np.searchsorted(ids[by_id], named)
    found[found == len(ids)] = 0
    parents = by_id[found] if len(ids) else found
    unknown = ids[parents] != named if len(ids) else np.zeros(0, bool)
    if unknown.any():
        first = int(np.argmax(unknown))
        raise InvalidWorkload(
            f"Task {ids[children[first]]} depends on task {named[first]}, which the workload does not hold "
            f"({int(unknown.sum())} such dependencies in all)."
        )
    own = parents == children
    if own.any():
        raise InvalidWorkload(f"Task {ids[children[np.argmax(own)]]} depends on itself.")
    within = np.lexsort((parents, children))
    resolved = Parents(offsets=offsets, rows=parents[within], mb=None if amounts is None else amounts[within])
    _refuse_cycles(ids, resolved, children)
    return resolved


def _amounts(
    ids: IntArray,
    order: IntArray,
    rows: list[list[int]],
    dependencies: Sequence[Sequence[int]],
    sent: Sequence[Sequence[float]],
) -> FloatArray | None:
    """Return what each parent of `rows`, task by task, sends to its child, shape (edges,); None where all is 0."""
    if len(sent) != len(ids):
        raise InvalidWorkload(f"Column dependency_mb has {len(sent)} values where {len(ids)} were expected.")
    found: list[Any] = []
    for number, given, parents in zip(ids.tolist(), order.tolist(), rows, strict=True):
        amounts = sent[given] if len(sent[given]) else [0.0] * len(dependencies[given])
        if len(amounts) != len(dependencies[given]):
            raise InvalidWorkload(
                f"Task {number} has {len(dependencies[given])} dependencies and {len(sent[given])} amounts in "
                "dependency_mb."
            )
        of_parent: dict[int, Any] = {}
        for parent, amount in zip(dependencies[given], amounts, strict=True):
            of_parent[parent] = of_parent[parent] + amount if parent in of_parent else amount
        found += [of_parent[parent] for parent in parents]
    column = _floats("dependency_mb", found)
    if (column < 0).any():
        raise InvalidWorkload("Column dependency_mb holds a negative amount.")
    return column if column.any() else None


def _refuse_cycles(ids: IntArray, parents: Parents, children: IntArray) -> None:
    """Peel off tasks whose parents are all peeled (Kahn 1962); what remains lies on or behind a cycle."""
    waiting = np.diff(parents.offsets).copy()
    by_parent = np.argsort(parents.rows, kind="stable")
    child_of = children[by_parent]
    first = np.searchsorted(parents.rows[by_parent], np.arange(len(ids) + 1))
    peeled = np.flatnonzero(waiting == 0)
    seen = len(peeled)
    while len(peeled):
        spans = [child_of[first[row] : first[row + 1]] for row in peeled.tolist() if first[row] < first[row + 1]]
        if not spans:
            break
        touched = np.concatenate(spans)
        np.subtract.at(waiting, touched, 1)
        touched = np.unique(touched)
        peeled = touched[waiting[touched] == 0]
        seen += len(peeled)
    if seen < len(ids):
        stuck = ids[waiting > 0]
        shown = ", ".join(str(number) for number in stuck[:5].tolist())
        raise InvalidWorkload(f"{len(stuck)} tasks lie on or behind a circular dependency, among them {shown}.")
