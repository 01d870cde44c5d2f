"""Records of one job: sacct prints one for each time that a job was queued (`-D`), and files joined from several
exports hold some twice.
"""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.table import MICROSECONDS
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray

CAME_BACK = ("REQUEUED", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "SPECIAL_EXIT", "RESIZING")
"""States after which the same job goes on under its number."""

_AT_ONCE = 2 * MICROSECONDS
"""A job that is queued again is submitted when it ended; clocks are of whole seconds."""


@dataclass
class Records:
    """What tells the records of one job; every column has a value a row.

    Attributes:
        key: equal for records of one number.
        owner: equal for records of one user on one cluster.
        submitted, started, ended: microseconds, NaN where unknown.
        came_back: its state says that the job goes on.
        resized: its state says that the run itself goes on.
        idle: it never started.
    """

    key: IntArray
    owner: IntArray
    submitted: FloatArray
    started: FloatArray
    ended: FloatArray
    came_back: BoolArray
    resized: BoolArray
    idle: BoolArray


@dataclass
class Joined:
    """Which records make one job.

    Attributes:
        earlier: rows that belong to a job whose last run is another row.
        repeated: rows that another one says again.
        last: the row of each job of several records that stands for it.
        first: the row of its first record.
        begun: the row of the first of its records that started.
        parts: the rows whose run times add up to that of its last run.
    """

    earlier: BoolArray
    repeated: BoolArray
    last: list[int]
    first: list[int]
    begun: list[int]
    parts: list[list[int]]

    @property
    def several(self) -> BoolArray:
        """True for rows that stand for several records."""
        found = np.zeros(len(self.earlier), bool)
        found[self.last] = True
        return found

    def apply(
        self,
        *,
        submitted: FloatArray,
        eligible: FloatArray,
        started: FloatArray,
        ended: FloatArray,
        runtimes: FloatArray,
    ) -> None:
        """Write what is true of each job into the row of its last run; where it was interrupted no end is kept."""
        for last, first, begun, parts in zip(self.last, self.first, self.begun, self.parts, strict=True):
            submitted[last], eligible[last] = submitted[first], eligible[first]
            runtimes[last] = runtimes[parts].sum()
            started[last] = started[begun]
            if begun not in parts:
                ended[last] = np.nan

    def tell(self, audit: Audit, where: IntArray) -> None:
        """Count the records that are no task of their own."""
        audit.drop("earlier_attempt", where[self.earlier])
        audit.drop("repeated_record", where[self.repeated])


def join_records(records: Records, among: BoolArray) -> Joined:
    """Join the records of each job.

    Records of one number and owner are one job where the earlier one says that the job came back, or where the later
    one was submitted when the earlier one ended; two of one submission and start are the same one, of which the one
    that ended later counts. Others of the same number are different jobs: numbers begin anew after some millions.

    Args:
        records: of the whole file.
        among: rows that are looked at, without job steps and broken ones.
    """
    length = len(records.key)
    found = Joined(np.zeros(length, bool), np.zeros(length, bool), [], [], [], [])
    rows = np.flatnonzero(among)
    ties = [rows, records.started[rows], records.submitted[rows], records.owner[rows], records.key[rows]]
    order = rows[np.lexsort(ties)]
    other = (np.diff(records.key[order]) != 0) | (np.diff(records.owner[order]) != 0)
    if other.all():
        return found
    begins = np.concatenate([[0], np.flatnonzero(other) + 1])
    ends = np.append(begins[1:], len(order))
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        if end - begin > 1:
            for chain in _chains(records, found, order[begin:end].tolist()):
                _close(records, found, chain)
    return found


def _chains(records: Records, found: Joined, rows: list[int]) -> list[list[int]]:
    """Part the records of one number, by submission, into jobs, and mark those that are there twice."""
    chains: list[list[int]] = []
    for row in rows:
        last = chains[-1][-1] if chains else None
        if last is not None and _is_same(records, last, row):
            later = max(row, last, key=lambda one: _knows(records, one))
            found.repeated[last if later == row else row] = True
            chains[-1][-1] = later
        elif last is not None and _goes_on(records, last, row):
            chains[-1].append(row)
        else:
            chains.append([row])
    return chains


def _is_same(records: Records, one: int, other: int) -> bool:
    starts = records.started[[one, other]]
    return bool(
        records.submitted[one] == records.submitted[other] and (starts[0] == starts[1] or np.isnan(starts).any())
    )


def _knows(records: Records, row: int) -> tuple[bool, float]:
    """Return what orders two records of one run: one that is written later knows more."""
    return not np.isnan(records.started[row]), float(np.nan_to_num(records.ended[row], nan=-np.inf))


def _goes_on(records: Records, earlier: int, later: int) -> bool:
    gap = records.submitted[later] - records.ended[earlier]
    return bool(records.came_back[earlier] or 0 <= gap <= _AT_ONCE)


def _close(records: Records, found: Joined, chain: list[int]) -> None:
    """Take a job of several records to what was found."""
    ran = [row for row in chain if not records.idle[row]]
    if len(chain) == 1 or not ran:
        return
    found.last.append(ran[-1])
    found.first.append(chain[0])
    found.begun.append(ran[0])
    found.earlier[ran[:-1]] = True
    parts = [ran[-1]]
    for row in reversed(ran[:-1]):
        if not records.resized[row]:
            break
        parts.append(row)
    found.parts.append(parts)
