"""What holds jobs of Slurm's accounting back: arrays of which only some may run, other jobs, dates and holds."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.traces.assemble import identifier
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.sacct_json import ARRAY_LIMIT
from scheduler_sim.engine.traces.sacct_requests import Submissions
from scheduler_sim.engine.traces.slurm_options import NEED_SUCCESS
from scheduler_sim.engine.traces.table import MICROSECONDS, Table
from scheduler_sim.engine.traces.texts import Texts
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray

_ARRAY = re.compile(r"(\d+)_(?:\[[^\]%]*(?:%(\d+))?\]|\d+|\*)")
"""A task of an array, or what is left of one, with the array's number and limit."""


@dataclass
class Waiting:
    """What dates and dependencies are found from; a value a row.

    Attributes:
        numbers: the jobs' plain numbers, NaN where they have none; None where the file has no column of them.
        names: how people call them: `12`, `12_3`.
        submitted, eligible, started: microseconds, NaN where unknown.
        runtimes: seconds.
        failed: the run ended in failure.
        kept: rows that become tasks.
    """

    numbers: FloatArray | None
    names: npt.NDArray[np.object_]
    submitted: FloatArray
    eligible: FloatArray
    started: FloatArray
    runtimes: FloatArray
    failed: BoolArray
    kept: BoolArray


def read_waits(
    table: Table, lines: Submissions, identifiers: Texts, jobs: Waiting, origin: float, audit: Audit
) -> tuple[dict[str, FloatArray], list[list[Any]] | None]:
    """Return the columns of requests that hold jobs back, and for each job its parents as the trace calls them.

    Args:
        table: the columns of the file.
        lines: those that jobs were submitted by.
        identifiers: how people call the jobs.
        jobs: a value a row.
        origin: time 0, in microseconds since 1970.
        audit: where dependencies that the record contradicts are counted.
    """
    arrays = _arrays(table, lines, identifiers)
    parents = _parents(jobs, lines, arrays["array"])
    audit.notice("contradicted_parent", table.where[parents.contradicted])
    columns = {
        **arrays,
        "eligible_time": _dates(jobs, lines, arrays, parents.explained, origin),
        "needs_success": parents.needs_success.astype(np.float64),
        "fails": jobs.failed.astype(np.float64),
    }
    if not parents.of:
        return columns, None
    named: list[list[Any]] = [[] for _ in range(len(table))]
    for row, rows in parents.of.items():
        named[row] = [_called(jobs, at) for at in rows]
    return columns, named


def _called(jobs: Waiting, row: int) -> int | str:
    """Return what the trace calls a job: its plain number, else its name."""
    if jobs.numbers is not None and not np.isnan(jobs.numbers[row]):
        return int(jobs.numbers[row])
    return identifier(jobs.names[row])


def _arrays(table: Table, lines: Submissions, identifiers: Texts) -> dict[str, FloatArray]:
    """Return the number that the tasks of one array share, and how many of them may run at once, 0 for none."""

    def part(name: str, group: int) -> float:
        match = _ARRAY.fullmatch(name) if "_" in name else None
        return float(match[group] or 0) if match else 0.0

    array = identifiers.map(partial(part, group=1))
    limits = np.maximum(
        identifiers.map(partial(part, group=2)), np.nan_to_num(lines.column(lambda line: line.array_limit))
    )
    if ARRAY_LIMIT in table:
        limits = np.maximum(limits, np.nan_to_num(table.numbers(ARRAY_LIMIT, measures="cpus")))
    of, places = np.unique(array, return_inverse=True)
    largest = np.zeros(len(of))
    np.maximum.at(largest, places, limits)
    largest[of == 0] = 0.0
    return {"array": array, "array_limit": largest[places]}


def _dates(
    jobs: Waiting, lines: Submissions, arrays: dict[str, FloatArray], explained: BoolArray, origin: float
) -> FloatArray:
    """Return when jobs could start at the earliest, in seconds since `origin`; NaN where that is their submission.

    Slurm sets Eligible when a job is released, its begin time comes, its parents end, or its array has a task less.
    What the model plays itself (parents that are tasks, limits of arrays) is taken out of it.

    Args:
        jobs: of the file.
        lines: those that they were submitted by.
        arrays: as `_arrays` returns them.
        explained: jobs whose parents are all among the tasks.
        origin: microseconds since 1970.
    """
    with np.errstate(invalid="ignore"):
        late = jobs.eligible > jobs.submitted
        eligible = np.where(late, np.minimum(jobs.eligible, np.fmax(jobs.started, jobs.submitted)), np.nan)
    limited = arrays["array_limit"] > 0
    if limited.any():
        of, places = np.unique(arrays["array"], return_inverse=True)
        first = np.full(len(of), np.inf)
        np.minimum.at(first, places, np.where(limited & (jobs.eligible > 0), jobs.eligible, np.inf))
        earliest = np.where(np.isfinite(first), first, np.nan)[places]
        eligible = np.where(limited, np.where(earliest > jobs.submitted, earliest, np.nan), eligible)
    begin = jobs.submitted + lines.column(lambda line: line.begin) * MICROSECONDS
    waits = lines.column(lambda line: line.waits) > 0
    eligible = np.where(explained & ~waits, begin, eligible)
    eligible = np.where(np.isnan(jobs.eligible), begin, eligible)
    return (eligible - origin) / MICROSECONDS


@dataclass
class _Parents:
    """Which jobs wait for which.

    Attributes:
        of: parents of each row, by row; none for most.
        needs_success: rows whose parents must have completed.
        explained: rows whose parents are all tasks of the workload.
        contradicted: rows with a parent that still ran when they started.
    """

    of: dict[int, list[int]]
    needs_success: BoolArray
    explained: BoolArray
    contradicted: IntArray


def _parents(jobs: Waiting, lines: Submissions, array: FloatArray) -> _Parents:
    """Return the jobs that each one waited for, as its line says, among the tasks that were submitted before it.

    A dependency that the record contradicts (the job started while its parent ran, or after it failed) is left out.
    """
    found = _Parents({}, np.zeros(len(jobs.kept), bool), np.zeros(len(jobs.kept), bool), np.zeros(0, np.int64))
    waiting = [(row, line) for row, line in lines.rows(lambda line: line.dependencies) if jobs.kept[row]]
    if not waiting:
        return found
    rows_of = _index(jobs, array, {name for _, line in waiting for _, named in line.dependencies for name in named})
    ends = jobs.started + jobs.runtimes * MICROSECONDS
    contradicted = []
    for row, line in waiting:
        parents: list[int] = []
        complete = True
        for kind, named in line.dependencies:
            for name in named:
                rows = [
                    at for at in rows_of(name, kind, row) if at != row and jobs.submitted[at] <= jobs.submitted[row]
                ]
                complete &= bool(rows)
                good = [at for at in rows if not ends[at] > jobs.started[row] + MICROSECONDS]
                if len(good) < len(rows):
                    contradicted.append(row)
                    complete = False
                parents += good
                if kind in NEED_SUCCESS and good:
                    found.needs_success[row] = True
        found.needs_success[row] &= not any(jobs.failed[at] for at in parents)
        if parents:
            found.of[row] = list(dict.fromkeys(parents))
            found.explained[row] = complete
    found.contradicted = np.array(sorted(set(contradicted)), np.int64)
    return found


def _index(jobs: Waiting, array: FloatArray, named: set[str]) -> Callable[[str, str, int], list[int]]:
    """Return what finds the rows that a dependency names, among all the names that dependencies have."""
    heads = np.array([float(name.partition("_")[0]) for name in named])
    called = np.fromiter((name in named for name in jobs.names), bool, len(jobs.names))
    wanted = np.isin(array, heads) | called
    if jobs.numbers is not None:
        wanted |= np.isin(jobs.numbers, heads)
    rows = np.flatnonzero(jobs.kept & wanted).tolist()
    by_name: dict[str, list[int]] = {}
    by_array: dict[int, list[int]] = {}
    for row in rows:
        by_name.setdefault(jobs.names[row], []).append(row)
        if array[row]:
            by_array.setdefault(int(array[row]), []).append(row)
    numbers = np.full(len(jobs.kept), np.nan) if jobs.numbers is None else jobs.numbers
    by_number = {int(numbers[row]): row for row in reversed(rows) if not np.isnan(numbers[row])}

    def find(name: str, kind: str, row: int) -> list[int]:
        head, _, task = name.partition("_")
        number = int(head)
        if task not in ("", "*"):
            return by_name.get(name, [])
        if number in by_array:
            own = jobs.names[row].partition("_")[2]
            if kind == "aftercorr" and own and f"{number}_{own}" in by_name:
                return by_name[f"{number}_{own}"]
            return by_array[number]
        return by_name.get(head) or ([by_number[number]] if number in by_number else [])

    return find
