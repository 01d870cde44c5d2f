"""A thread that stores placements while the simulation goes on, never holding more than a bounded number of them.

Each transaction holds a batch of rows and the progress that it stands for, so that after a kill at any point the
progress says exactly which rows the database holds.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from apps.live.models import SimulationState
from apps.live.spill import spill_write
from apps.results.errors import DomainError
from apps.results.models import Run, SchedulerResult
from apps.results.signals import rows_changed

logger = logging.getLogger(__name__)

LARGEST_BACKLOG = 100_000
"""Rows (about 100 bytes each) that may wait before `put` blocks."""

TRANSACTION_ROWS = {"sqlite": 8_000, "postgresql": 20_000}
"""Rows committed together. SQLite has one writer at a time, so its transactions are short."""

YIELD_SECONDS = 0.002
"""How long SQLite's lock is left free between two transactions, so that commands from the web server get in."""

GIVE_UP_AFTER = 60.0
"""Seconds for which a database that is away is tried again."""


class ResultsNotStored(DomainError):
    """Placements could not be stored; the sentence says where they are."""


@dataclass(frozen=True)
class ResultBatch:
    """Rows of some policies, in the order in which tasks finished.

    Attributes:
        parts: the columns of `SchedulerResult` by policy.
        progress: rows stored of every policy of the run once these are.
        clock_time: simulated seconds that these rows reach.
    """

    parts: Mapping[str, Mapping[str, Any]]
    progress: Mapping[str, int]
    clock_time: float

    def __len__(self) -> int:
        return sum(len(columns["task_id"]) for columns in self.parts.values())

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


class ResultWriter:
    """Stores the batches of one run in the order in which they are put.

    Use it as a context manager: leaving it waits until everything is stored.

    Args:
        run: the run whose rows these are.
        on_trouble: called with one sentence when the database does not answer and when it does again.
        give_up_after: seconds for which a database that is away is tried again before what is in memory goes to a
            file.
    """

    def __init__(
        self, *, run: Run, on_trouble: Callable[[str], None] | None = None, give_up_after: float = GIVE_UP_AFTER
    ) -> None:
        self._run = run
        self._on_trouble = on_trouble or logger.warning
        self._give_up_after = give_up_after
        self._waiting: deque[ResultBatch] = deque()
        self._rows = 0
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=f"results of run {run.pk}", daemon=True)
        self._transaction_rows = TRANSACTION_ROWS.get(connection.vendor, 5_000)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except DomainError:
            if error is None:
                raise
            logger.exception("Placements could not be stored at the end of a run that failed.")

    @property
    def backlog(self) -> int:
        """Rows that wait to be stored."""
        return self._rows

    def put(self, batch: ResultBatch) -> None:
        """Hand over a batch; waits while too many rows are waiting already.

        Raises:
            ResultsNotStored: an earlier batch could not be stored.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._failure or not self._rows or self._rows + len(batch) < LARGEST_BACKLOG)
            self._waiting.append(batch)
            self._rows += len(batch)
            self._changed.notify_all()
        self._raise_failure()

    def flush(self) -> None:
        """Wait until everything that was put is stored.

        Raises:
            ResultsNotStored: it could not be stored.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._failure or not self._rows)
        self._raise_failure()

    def close(self) -> None:
        """Store everything that was put, and end the thread.

        Raises:
            ResultsNotStored: it could not be stored; what was in memory lies in a file that resuming takes in.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if self._failure is not None and self._waiting:
            self._spill()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise ResultsNotStored(str(self._failure)) from self._failure

    def _work(self) -> None:
        try:
            while (batch := self._next()) is not None:
                for piece in batch.cut(self._transaction_rows):
                    self._store_with_patience(piece)
                    if connection.vendor == "sqlite":
                        time.sleep(YIELD_SECONDS)
                with self._changed:
                    self._waiting.popleft()
                    self._rows -= len(batch)
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 handed to the simulation's thread, which raises it
            with self._changed:
                self._failure = error
                self._changed.notify_all()
        finally:
            connection.close()

    def _next(self) -> ResultBatch | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return self._waiting[0] if self._waiting else None

    def _store_with_patience(self, piece: ResultBatch) -> None:
        """Store one transaction's rows, trying again while the database is away."""
        deadline: float | None = None
        pause = 0.1
        while True:
            try:
                if deadline is None or not self._is_stored(piece):
                    batch_store(run=self._run, batch=piece)
            except (OperationalError, InterfaceError) as error:
                connection.close()
                now = time.monotonic()
                if deadline is None:
                    deadline = now + self._give_up_after
                    self._on_trouble(
                        f"The database does not answer ({_first_line(error)}); "
                        f"trying again for {self._give_up_after:.0f} seconds."
                    )
                if now >= deadline:
                    raise
                time.sleep(min(pause, deadline - now))
                pause = min(pause * 2, 5.0)
            else:
                if deadline is not None:
                    self._on_trouble("The database answers again.")
                return

    def _is_stored(self, piece: ResultBatch) -> bool:
        """Tell whether a commit whose answer was lost went through."""
        stored = SimulationState.objects.values_list("progress", flat=True).get(run=self._run)
        return all(stored.get(scheduler, 0) >= piece.progress[scheduler] for scheduler in piece.parts)

    def _spill(self) -> None:
        path = spill_write(run=self._run, batches=list(self._waiting))
        rows = sum(map(len, self._waiting))
        self._waiting.clear()
        self._failure = ResultsNotStored(
            f"The database did not take the placements ({_first_line(self._failure)}). The {rows} that were in memory "
            f"lie in {path}; runsimulation --resume {self._run.pk} takes them in."
        )


@transaction.atomic
def batch_store(*, run: Run, batch: ResultBatch) -> None:
    """Store a batch, the progress it stands for and the run's count together, or nothing."""
    newest = SchedulerResult.objects.order_by("-id").values_list("id", flat=True)
    before = newest.first() or 0
    SchedulerResult.objects.insert_parts(run_id=run.pk, parts=batch.parts)
    SimulationState.objects.filter(run=run).update(
        progress=dict(batch.progress), clock_time=batch.clock_time, heartbeat_at=timezone.now()
    )
    Run.objects.filter(pk=run.pk, first_result_id=None).update(first_result_id=before + 1)
    Run.objects.filter(pk=run.pk).update(rows_written=sum(batch.progress.values()), last_result_id=newest.first())
    rows_changed.send(sender=SchedulerResult, run_id=run.pk)


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0]
