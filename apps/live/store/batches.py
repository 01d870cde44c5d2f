"""Rows that are stored together with the progress that they stand for.

A task's attempts go with its placement, in one transaction: the progress, which counts placements, then says of the
attempts too which of them the database holds.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models import Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.live.models import SimulationState
from apps.results.models import Attempt, Run, SchedulerResult
from apps.results.signals import rows_changed
from scheduler_sim.engine.workloads.workload import IntArray

_TRANSACTION_ROWS = {"sqlite": 4_000, "postgresql": 30_000}
"""Rows committed together. SQLite has one writer at a time, so its transactions are short; on PostgreSQL half of this
process's own time goes by transactions."""


_first_key = threading.Lock()
"""Held while a run's first key is asked for, so that no other thread takes keys for the run before."""


def transaction_rows() -> int:
    """Return how many rows are committed together on this database."""
    return _TRANSACTION_ROWS.get(connection.vendor, 5_000)


@dataclass(frozen=True, eq=False)
class TaskAttempts:
    """The attempts of placements that are stored together with them.

    Attributes:
        counts: how many rows belong to each placement; 0 for a task that ran once.
        columns: of `Attempt`, arrays, in the order of the placements.
    """

    counts: IntArray
    columns: Mapping[str, Any]

    def of(self, first: int, last: int) -> "TaskAttempts":
        """Return those of placements `first` up to `last`."""
        before = np.concatenate(([0], np.cumsum(self.counts)))
        rows = slice(before[first], before[last])
        return TaskAttempts(self.counts[first:last], {name: column[rows] for name, column in self.columns.items()})

    @classmethod
    def joined(cls, several: "Sequence[TaskAttempts]") -> "TaskAttempts":
        """Make one of several that follow each other."""
        columns = {name: np.concatenate([one.columns[name] for one in several]) for name in several[0].columns}
        return cls(np.concatenate([one.counts for one in several]), columns)


@dataclass(frozen=True)
class ResultBatch:
    """Rows of some policies, in the order in which tasks finished.

    Attributes:
        parts: the columns of `SchedulerResult` by policy; a column is an array, or one value for all rows.
        progress: placements stored of every policy of the run once these are.
        clock_time: simulated seconds that these rows reach.
        attempts: of the placements in `parts`, by policy; a policy whose tasks run once has none.
    """

    parts: Mapping[str, Mapping[str, Any]]
    progress: Mapping[str, int]
    clock_time: float
    attempts: Mapping[str, TaskAttempts] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.placements + sum(int(one.counts.sum()) for one in self.attempts.values())

    @property
    def placements(self) -> int:
        """How many placements it holds, without their attempts."""
        return sum(len(columns["task_id"]) for columns in self.parts.values())

    @classmethod
    def joined(cls, batches: "Sequence[ResultBatch]") -> "ResultBatch":
        """Make one batch of several that follow each other."""
        if len(batches) == 1:
            return batches[0]
        gathered: dict[str, list[Mapping[str, Any]]] = {}
        attempts: dict[str, list[TaskAttempts]] = {}
        for batch in batches:
            for scheduler, columns in batch.parts.items():
                gathered.setdefault(scheduler, []).append(columns)
            for scheduler, one in batch.attempts.items():
                attempts.setdefault(scheduler, []).append(one)
        parts = {
            scheduler: {name: _end_to_end([columns[name] for columns in several]) for name in several[0]}
            for scheduler, several in gathered.items()
        }
        return cls(
            parts=parts,
            progress=batches[-1].progress,
            clock_time=batches[-1].clock_time,
            attempts={scheduler: TaskAttempts.joined(several) for scheduler, several in attempts.items()},
        )

    def cut(self, size: int) -> "Iterator[ResultBatch]":
        """Cut the batch into pieces of at most `size` rows, each with the progress it stands for.

        A placement is never cut from its attempts: one with more than `size` of them makes a piece alone.
        """
        left = {scheduler: len(columns["task_id"]) for scheduler, columns in self.parts.items()}
        piece: dict[str, tuple[int, int]] = {}
        room = size
        for scheduler in self.parts:
            reached = self._reached(scheduler)
            while left[scheduler]:
                first = len(reached) - 1 - left[scheduler]
                last = int(np.searchsorted(reached, reached[first] + room, side="right")) - 1
                if last == first and not piece:
                    last += 1
                if last > first:
                    piece[scheduler] = (first, last)
                    left[scheduler] -= last - first
                    room -= int(reached[last] - reached[first])
                if room <= 0 or left[scheduler] or not any(left.values()):
                    yield self._piece(piece, left)
                    piece, room = {}, size

    def _reached(self, scheduler: str) -> IntArray:
        """Return how many rows the first 0, 1, 2, ... placements of a policy come to, their attempts included."""
        length = len(self.parts[scheduler]["task_id"])
        if scheduler not in self.attempts:
            return np.arange(length + 1)
        return np.concatenate(([0], np.cumsum(self.attempts[scheduler].counts + 1)))

    def _piece(self, spans: Mapping[str, tuple[int, int]], left: Mapping[str, int]) -> "ResultBatch":
        return ResultBatch(
            parts={
                scheduler: {name: _rows(column, *span) for name, column in self.parts[scheduler].items()}
                for scheduler, span in spans.items()
            },
            progress={name: count - left.get(name, 0) for name, count in self.progress.items()},
            clock_time=self.clock_time,
            attempts={
                scheduler: self.attempts[scheduler].of(*span)
                for scheduler, span in spans.items()
                if scheduler in self.attempts
            },
        )


def _rows(column: Any, first: int, last: int) -> Any:
    return column[first:last] if getattr(column, "ndim", 0) == 1 or isinstance(column, list) else column


def _end_to_end(columns: list[Any]) -> Any:
    return np.concatenate(columns) if getattr(columns[0], "ndim", 0) == 1 else columns[0]


@transaction.atomic
def batch_store(
    *,
    run: Run,
    batch: ResultBatch,
    before_progress: Callable[[], None] | None = None,
    claim: SimulationState | None = None,
) -> None:
    """Store a batch, the progress it stands for and the run's count together, or nothing.

    Args:
        before_progress: called when the rows are there and before the progress is; it waits for earlier batches.
        claim: of the process that plays the run; nothing is stored where another has taken the run up since.

    Raises:
        ClaimLost: another process has the run.
    """
    with _first_key:
        if run.first_result_id is None:
            run.first_result_id = SchedulerResult.objects.lowest_key_to_come()
    SchedulerResult.objects.bulk_create_columns(run_id=run.pk, parts=batch.parts)
    if attempts := {name: one.columns for name, one in batch.attempts.items() if len(one.columns["task_id"])}:
        Attempt.objects.bulk_create_columns(run_id=run.pk, parts=attempts)
    if before_progress is not None:
        before_progress()
    progress_store(run=run, progress=batch.progress, clock_time=batch.clock_time, claim=claim)
    Run.objects.filter(pk=run.pk).update(
        rows_written=sum(batch.progress.values()),
        first_result_id=Coalesce("first_result_id", run.first_result_id),
        last_result_id=Subquery(SchedulerResult.objects.order_by("-id").values("id")[:1]),
    )
    rows_changed.send(sender=SchedulerResult, run_id=run.pk)


def progress_store(
    *, run: Run, progress: Mapping[str, int], clock_time: float | None, claim: SimulationState | None
) -> None:
    """Say how far a run is, in the transaction of the rows that this stands for.

    Raises:
        ClaimLost: another process has the run.
    """
    states = SimulationState.objects.filter(run=run, **({} if claim is None else claim.holder))
    if not states.update(progress=dict(progress), clock_time=clock_time, heartbeat_at=timezone.now()) and claim:
        raise claim.lost()
