"""Recounting a run's placements and computing their checksum from the database."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from apps.results.checksum import CHECKED, INTEGERS, results_checksum
from apps.results.models import Run, SchedulerResult
from apps.tasks.models import Task

_CHUNK_ROWS = 20_000


@dataclass(frozen=True)
class Verification:
    """What was counted and computed, beside what the run's row says.

    Attributes:
        rows: placements by policy.
        strangers: placements of tasks that the run's workload does not hold.
        checksum: computed now.
        faults: one sentence for each thing that is not as it must be; empty when all is well.
    """

    rows: dict[str, int]
    strangers: int
    checksum: str
    faults: tuple[str, ...]


def run_verify(*, run: Run) -> Verification:
    """Count every placement of `run`, look up every task, and compute the checksum from what is stored."""
    counted: dict[str, int] = {}
    strangers = 0
    keys, numbers = _task_numbers(run)

    def parts() -> Iterator[tuple[str, np.ndarray, dict[str, np.ndarray]]]:
        nonlocal strangers
        for scheduler in _schedulers(run):
            task_keys, columns = _columns(run, scheduler)
            found = np.searchsorted(keys, task_keys)
            known = found < len(keys)
            known[known] = keys[found[known]] == task_keys[known]
            strangers += int((~known).sum())
            counted[scheduler] = len(task_keys)
            yield scheduler, numbers[found[known]], {name: column[known] for name, column in columns.items()}

    checksum = results_checksum(parts())
    return Verification(
        rows=counted, strangers=strangers, checksum=checksum, faults=_faults(run, counted, strangers, checksum)
    )


def _faults(run: Run, counted: dict[str, int], strangers: int, checksum: str) -> tuple[str, ...]:
    faults = []
    total = sum(counted.values())
    if total != run.rows_written:
        faults.append(f"The database holds {total} placements; the run says that {run.rows_written} were written.")
    if run.status == Run.Status.FINISHED and total != run.rows_expected:
        faults.append(f"The database holds {total} placements where {run.rows_expected} belong.")
    if strangers:
        faults.append(f"{strangers} placements are of tasks that the workload does not hold.")
    if unknown := sorted(set(counted) - set(run.policies)):
        faults.append(f"There are placements of policies that the run does not name: {', '.join(unknown)}.")
    if run.checksum and checksum != run.checksum:
        faults.append(f"The checksum is {checksum}; the run says {run.checksum}.")
    return tuple(faults)


def _schedulers(run: Run) -> list[str]:
    """Return the policies that have rows; those that the run does not name come too, so that they are noticed."""
    rows = SchedulerResult.objects.of_run(run).order_by("scheduler")
    return list(rows.values_list("scheduler", flat=True).distinct())


def _task_numbers(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return the primary keys of the workload's tasks, ascending, and their numbers."""
    tasks = Task.objects.filter(workload_id=run.workload_id).order_by().values_list("pk", "task_id")
    pairs = np.fromiter(tasks.iterator(chunk_size=_CHUNK_ROWS), [("key", np.int64), ("number", np.int64)])
    pairs.sort(order="key")
    return pairs["key"], pairs["number"]


def _columns(run: Run, scheduler: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Read one policy's placements, a chunk of objects at a time, into arrays."""
    placements = SchedulerResult.objects.filter(run=run, scheduler=scheduler).order_by()
    kinds = [("task_id", np.int64), *((name, np.int64 if name in INTEGERS else np.float64) for name in CHECKED)]
    rows = np.fromiter(placements.values_list("task_id", *CHECKED).iterator(chunk_size=_CHUNK_ROWS), kinds)
    return rows["task_id"], {name: rows[name] for name in CHECKED}
