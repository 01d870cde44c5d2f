"""Recounting a run's placements and attempts and computing their checksum from the database."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from apps.results.checksum import (
    ATTEMPT_CHECKED,
    ATTEMPT_INTEGERS,
    CHECKED,
    HISTORY,
    INTEGERS,
    Part,
    results_checksum,
)
from apps.results.models import Attempt, Run, SchedulerResult
from apps.tasks.models import Task
from scheduler_sim.columnar.snapshot import snapshot
from scheduler_sim.engine.policies import changes_widths

_CHUNK_ROWS = 20_000


@dataclass(frozen=True)
class Verification:
    """What was counted and computed, beside what the run's row says.

    Attributes:
        rows: placements by policy. attempts: of tasks with more than one, by policy.
        strangers: placements and attempts of tasks that the run's workload does not hold.
        checksum: computed now.
        faults: one sentence for each thing that is not as it must be; empty when all is well.
    """

    rows: dict[str, int]
    attempts: dict[str, int]
    strangers: int
    checksum: str
    faults: tuple[str, ...]


@snapshot()
def run_verify(*, run: Run) -> Verification:
    """Count every placement and attempt of `run`, look up every task, and compute the checksum from what is stored."""
    counted: dict[str, int] = {}
    attempts: dict[str, int] = {}
    faults: list[str] = []
    strangers = 0
    keys, numbers = _task_numbers(run)

    def known(task_keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which of the tasks the workload holds, and their numbers."""
        nonlocal strangers
        found = np.searchsorted(keys, task_keys)
        holds = found < len(keys)
        holds[holds] = keys[found[holds]] == task_keys[holds]
        strangers += int((~holds).sum())
        return holds, numbers[found[holds]]

    def parts() -> Iterator[Part]:
        for scheduler in _schedulers(run):
            placed, columns = _columns(run, scheduler)
            tried, spans = _attempts(run, scheduler)
            counted[scheduler] = len(placed)
            if len(tried):
                attempts[scheduler] = len(tried)
            if not _agree(scheduler, placed, columns, tried):
                faults.append(f"The attempts stored under {scheduler} are not those that its placements tell of.")
            holds, task_ids = known(placed)
            holds_tried, tried_ids = known(tried)
            yield Part(
                scheduler,
                task_ids,
                {name: column[holds] for name, column in columns.items()},
                {"task_id": tried_ids, **{name: column[holds_tried] for name, column in spans.items()}},
            )

    checksum = results_checksum(parts())
    return Verification(
        rows=counted,
        attempts=attempts,
        strangers=strangers,
        checksum=checksum,
        faults=(*faults, *_faults(run, counted, strangers, checksum)),
    )


def _agree(scheduler: str, placed: np.ndarray, columns: dict[str, np.ndarray], tried: np.ndarray) -> bool:
    """Tell whether each placement of several attempts has as many as it says, and no other has any.

    Where widths change, one attempt is told too.
    """
    several = columns["attempts"] > (0 if changes_widths(scheduler) else 1)
    order = np.argsort(placed[several])
    tasks, counts = np.unique(tried, return_counts=True)
    return np.array_equal(tasks, placed[several][order]) and np.array_equal(
        counts, columns["attempts"][several][order].astype(np.int64)
    )


def _faults(run: Run, counted: dict[str, int], strangers: int, checksum: str) -> tuple[str, ...]:
    faults = []
    total = sum(counted.values())
    if total != run.rows_written:
        faults.append(f"The database holds {total} placements; the run says that {run.rows_written} were written.")
    if run.status == Run.Status.FINISHED and total != run.rows_expected:
        faults.append(f"The database holds {total} placements where {run.rows_expected} belong.")
    if strangers:
        faults.append(f"{strangers} rows are of tasks that the workload does not hold.")
    if unknown := sorted(set(counted) - set(run.policies)):
        faults.append(f"There are placements of policies that the run does not name: {', '.join(unknown)}.")
    if run.checksum and run.rows_expected and checksum != run.checksum:  # Of a summary no placement is stored.
        faults.append(f"The checksum is {checksum}; the run says {run.checksum}.")
    return tuple(faults)


def _schedulers(run: Run) -> list[str]:
    """Return the policies that have rows; those that the run does not name come too, so that they are noticed."""
    return sorted({*SchedulerResult.objects.counts_by_policy(run), *Attempt.objects.counts_by_policy(run)})


def _task_numbers(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return the primary keys of the workload's tasks, ascending, and their numbers."""
    tasks = Task.objects.filter(workload_id=run.workload_id).order_by().values_list("pk", "task_id")
    pairs = np.fromiter(tasks.iterator(chunk_size=_CHUNK_ROWS), [("key", np.int64), ("number", np.int64)])
    pairs.sort(order="key")
    return pairs["key"], pairs["number"]


def _columns(run: Run, scheduler: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Read one policy's placements into arrays."""
    return _read(SchedulerResult, run, scheduler, (*CHECKED, *HISTORY), INTEGERS, "outcome")


def _attempts(run: Run, scheduler: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    return _read(Attempt, run, scheduler, ATTEMPT_CHECKED, ATTEMPT_INTEGERS, "reason")


def _read(
    model: type[Attempt | SchedulerResult],
    run: Run,
    scheduler: str,
    names: tuple[str, ...],
    integers: tuple[str, ...],
    word: str,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the tasks' keys and the named columns; empty numbers as NaN, and empty words as nothing."""
    kinds = [("task_id", np.int64), *((name, np.int64 if name in integers else np.float64) for name in names)]
    read = model.objects.of_policy(run, scheduler, [*kinds, (word, "U12")])
    return read["task_id"], {name: read[name] for name in (*names, word)}
