"""Rows that are stored together with the progress that they stand for."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models import Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.live.models import SimulationState
from apps.results.models import Run, SchedulerResult
from apps.results.signals import rows_changed

_TRANSACTION_ROWS = {"sqlite": 4_000, "postgresql": 15_000}
"""Rows committed together. SQLite has one writer at a time, so its transactions are short."""


_first_key = threading.Lock()
"""Held while a run's first key is asked for, so that no other thread takes keys for the run before."""


def transaction_rows() -> int:
    """Return how many rows are committed together on this database."""
    return _TRANSACTION_ROWS.get(connection.vendor, 5_000)


@dataclass(frozen=True)
class ResultBatch:
    """Rows of some policies, in the order in which tasks finished.

    Attributes:
        parts: the columns of `SchedulerResult` by policy; a column is an array, or one value for all rows.
        progress: rows stored of every policy of the run once these are.
        clock_time: simulated seconds that these rows reach.
    """

    parts: Mapping[str, Mapping[str, Any]]
    progress: Mapping[str, int]
    clock_time: float

    def __len__(self) -> int:
        return sum(len(columns["task_id"]) for columns in self.parts.values())

    @classmethod
    def joined(cls, batches: "Sequence[ResultBatch]") -> "ResultBatch":
        """Make one batch of several that follow each other."""
        if len(batches) == 1:
            return batches[0]
        gathered: dict[str, list[Mapping[str, Any]]] = {}
        for batch in batches:
            for scheduler, columns in batch.parts.items():
                gathered.setdefault(scheduler, []).append(columns)
        parts = {
            scheduler: {name: _end_to_end([columns[name] for columns in several]) for name in several[0]}
            for scheduler, several in gathered.items()
        }
        return cls(parts=parts, progress=batches[-1].progress, clock_time=batches[-1].clock_time)

    def cut(self, size: int) -> "Iterator[ResultBatch]":
        """Cut the batch into pieces of at most `size` rows, each with the progress it stands for."""
        left = {scheduler: len(columns["task_id"]) for scheduler, columns in self.parts.items()}
        piece: dict[str, Mapping[str, Any]] = {}
        room = size
        for scheduler, columns in self.parts.items():
            while left[scheduler]:
                first = len(columns["task_id"]) - left[scheduler]
                taken = min(room, left[scheduler])
                piece[scheduler] = {name: _rows(column, first, first + taken) for name, column in columns.items()}
                left[scheduler] -= taken
                room -= taken
                if room == 0 or not any(left.values()):
                    progress = {name: count - left.get(name, 0) for name, count in self.progress.items()}
                    yield ResultBatch(parts=piece, progress=progress, clock_time=self.clock_time)
                    piece, room = {}, size


def _rows(column: Any, first: int, last: int) -> Any:
    return column[first:last] if getattr(column, "ndim", 0) == 1 or isinstance(column, list) else column


def _end_to_end(columns: list[Any]) -> Any:
    return np.concatenate(columns) if getattr(columns[0], "ndim", 0) == 1 else columns[0]


@transaction.atomic
def batch_store(*, run: Run, batch: ResultBatch, before_progress: Callable[[], None] | None = None) -> None:
    """Store a batch, the progress it stands for and the run's count together, or nothing.

    Args:
        before_progress: called when the rows are there and before the progress is; it waits for earlier batches.
    """
    with _first_key:
        if run.first_result_id is None:
            run.first_result_id = SchedulerResult.objects.lowest_key_to_come()
    SchedulerResult.objects.bulk_create_columns(run_id=run.pk, parts=batch.parts)
    if before_progress is not None:
        before_progress()
    SimulationState.objects.filter(run=run).update(
        progress=dict(batch.progress), clock_time=batch.clock_time, heartbeat_at=timezone.now()
    )
    Run.objects.filter(pk=run.pk).update(
        rows_written=sum(batch.progress.values()),
        first_result_id=Coalesce("first_result_id", run.first_result_id),
        last_result_id=Subquery(SchedulerResult.objects.order_by("-id").values("id")[:1]),
    )
    rows_changed.send(sender=SchedulerResult, run_id=run.pk)
