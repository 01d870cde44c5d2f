"""Threads that store placements while the simulation goes on, never holding more than a bounded number of them.

Each transaction holds a batch of rows and the progress that it stands for, so that after a kill at any point the
progress says exactly which rows the database holds. Where the database has several writers at a time, the next batch's
rows go over while the one before is still being stored, and their transactions are committed in the batches' order.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import accumulate, islice, takewhile
from types import TracebackType
from typing import Self

from django.db import InterfaceError, OperationalError, connection

from apps.live.models import SimulationState
from apps.live.store.batches import ResultBatch, batch_store, transaction_rows
from apps.live.store.spill import spill_write
from apps.metrics.prometheus import WRITE_SECONDS
from apps.results.errors import DomainError
from apps.results.models import Run
from scheduler_sim import logs
from scheduler_sim.columnar.statements import told
from scheduler_sim.columnar.turnstile import give_way

logger = logging.getLogger(__name__)

LARGEST_BACKLOG = {"sqlite": 8_000, "postgresql": 100_000}
"""Rows (about 100 bytes each) above which no more are taken until some are stored.

They take a tenth of a second on SQLite and three on PostgreSQL; a run that is stopped stores them first.
"""

TRANSACTIONS_AT_ONCE = {"sqlite": 1, "postgresql": 2}
"""Threads that store, each with a connection of its own."""

YIELD_SECONDS = 0.002
"""How long SQLite's lock is left free between two transactions, so that commands from the web server get in."""

RECONNECT_SECONDS = 1.0
"""How often a writer without a connection asks for one while others store."""

GIVE_UP_AFTER = 60.0
"""Seconds for which a database that is away is tried again."""


class ResultsNotStored(DomainError):
    """Placements could not be stored; the sentence says where they are."""


class _EarlierBatchFailed(Exception):
    """What comes before a batch could not be stored, so the batch must not be."""


class ResultWriter:
    """Stores the batches of one run in the order in which they are put.

    Use it as a context manager: leaving it waits until everything is stored.

    Args:
        run: the run whose rows these are.
        claim: of the process that plays the run; rows are stored only while it has the run.
        on_trouble: called with one sentence when the database does not answer and when it does again.
        give_up_after: seconds for which a database that is away is tried again before what is in memory goes to a
            file.
    """

    def __init__(
        self,
        *,
        run: Run,
        claim: SimulationState | None = None,
        on_trouble: Callable[[str], None] | None = None,
        give_up_after: float = GIVE_UP_AFTER,
    ) -> None:
        self._run = run
        self._claim = claim
        self._on_trouble = on_trouble or logger.warning
        self._give_up_after = give_up_after
        self._waiting: deque[ResultBatch] = deque()
        self._rows = 0
        self._taken = 0  # Batches in front of the queue that are being stored.
        self._turns_given = 0
        self._turns_over = 0
        self._in_trouble = 0
        self._connected = 0
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"results of run {run.pk}, {number}", daemon=True)
            for number in range(TRANSACTIONS_AT_ONCE.get(connection.vendor, 1))
        ]
        self._transaction_rows = transaction_rows()
        self._largest_backlog = LARGEST_BACKLOG.get(connection.vendor, self._transaction_rows)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except DomainError:
            if error is None or isinstance(error, ResultsNotStored):
                raise
            logger.exception("Placements could not be stored at the end of a run that failed.")

    @property
    def backlog(self) -> int:
        """Rows that wait to be stored."""
        return self._rows

    def put(self, batch: ResultBatch) -> None:
        """Hand over a batch; waits while there is no room.

        Raises:
            ResultsNotStored: an earlier batch could not be stored.
        """
        with self._changed:
            self._changed.wait_for(self._has_room)
            self._waiting.append(batch)
            self._rows += len(batch)
            self._changed.notify_all()
        self._raise_failure()

    def wait_for_room(self, seconds: float) -> bool:
        """Tell whether `put` would take a batch at once, after waiting for that a while at most.

        Raises:
            ResultsNotStored: an earlier batch could not be stored.
        """
        with self._changed:
            has_room = self._changed.wait_for(self._has_room, seconds)
        self._raise_failure()
        return has_room

    def _has_room(self) -> bool:
        return self._failure is not None or self._rows < self._largest_backlog

    def flush(self) -> None:
        """Wait until everything that was put is stored.

        Raises:
            ResultsNotStored: it could not be stored.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._failure or not self._rows)
        self._raise_failure()

    def close(self) -> None:
        """Store everything that was put, and end the threads.

        Raises:
            ResultsNotStored: it could not be stored; what was in memory lies in a file that resuming takes in.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        # Rows that the database refuses would be refused again, so only those that it never saw are kept.
        if isinstance(self._failure, OperationalError | InterfaceError) and self._waiting:
            self._spill()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise ResultsNotStored(str(self._failure)) from self._failure

    def _work(self) -> None:
        logs.run_id.set(str(self._run.pk))
        try:
            if not self._connect():
                return
            if connection.vendor == "sqlite":
                # Rows are appended, so that a small page cache serves them as well as a large one.
                told(connection, "PRAGMA cache_size=-8192")
            while taken := self._next():
                turn, batches = taken
                for piece in ResultBatch.joined(batches).cut(self._transaction_rows):
                    give_way()
                    self._store_with_patience(piece, turn)
                    if connection.vendor == "sqlite":
                        time.sleep(YIELD_SECONDS)
                with self._changed:
                    for batch in batches:
                        self._waiting.popleft()
                        self._taken -= 1
                        self._rows -= len(batch)
                    self._turns_over += 1
                    self._changed.notify_all()
        except _EarlierBatchFailed:
            pass  # Its thread has said why.
        except BaseException as error:  # noqa: BLE001 handed to the simulation's thread, which raises it
            with self._changed:
                self._failure = self._failure or error
                self._changed.notify_all()
        finally:
            connection.close()

    def _connect(self) -> bool:
        """Open this thread's connection before it takes anything; False when the others finish without it.

        A database that has no connection to spare for a second writer must not fail a run that one writer can store.
        """
        deadline = time.monotonic() + self._give_up_after
        while True:
            try:
                connection.ensure_connection()
            except (OperationalError, InterfaceError) as error:
                connection.close()
                with self._changed:
                    over = self._changed.wait_for(
                        lambda: self._failure or (self._closing and self._connected), RECONNECT_SECONDS
                    )
                    if over:
                        return False
                    if not self._connected and time.monotonic() >= deadline:
                        raise
                    logger.info("A writer waits for a connection: %s", _first_line(error))
            else:
                with self._changed:
                    self._connected += 1
                    self._changed.notify_all()
                return True

    def _next(self) -> tuple[int, list[ResultBatch]] | None:
        """Wait for batches; return the number of their turn and as many as one transaction should hold, or None."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken < len(self._waiting) or self._closing or self._failure)
            untaken = list(islice(self._waiting, self._taken, None))
            if self._failure or not untaken:
                return None
            rows = accumulate(map(len, untaken))
            fitting = max(sum(1 for _ in takewhile(lambda reached: reached <= self._transaction_rows, rows)), 1)
            self._taken += fitting
            self._turns_given += 1
            return self._turns_given - 1, untaken[:fitting]

    def _await(self, turn: int) -> None:
        """Wait until everything before this turn is committed.

        Raises:
            _EarlierBatchFailed: it never will be.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._turns_over == turn or self._failure)
            if self._turns_over != turn:
                raise _EarlierBatchFailed

    def _store_with_patience(self, piece: ResultBatch, turn: int) -> None:
        """Store one transaction's rows, trying again while the database is away."""
        deadline: float | None = None
        pause = 0.1
        while True:
            try:
                if deadline is None or not self._is_stored(piece):
                    with WRITE_SECONDS.time():
                        batch_store(
                            run=self._run,
                            batch=piece,
                            before_progress=lambda: self._await(turn),
                            claim=self._claim,
                        )
            except (OperationalError, InterfaceError) as error:
                connection.close()
                now = time.monotonic()
                if deadline is None:
                    deadline = now + self._give_up_after
                    self._note_trouble(
                        1,
                        f"The database does not answer ({_first_line(error)}); "
                        f"trying again for {self._give_up_after:.0f} seconds.",
                    )
                if now >= deadline:
                    raise
                time.sleep(min(pause, deadline - now))
                pause = min(pause * 2, 5.0)
            else:
                if deadline is not None:
                    self._note_trouble(-1, "The database answers again.")
                return

    def _note_trouble(self, change: int, sentence: str) -> None:
        """Say that the database is away when the first thread finds out, and that it is back when the last does."""
        with self._changed:
            before, self._in_trouble = self._in_trouble, self._in_trouble + change
            is_news = 0 in (before, self._in_trouble)
        if is_news:
            self._on_trouble(sentence)

    def _is_stored(self, piece: ResultBatch) -> bool:
        """Tell whether a commit whose answer was lost went through."""
        stored = SimulationState.objects.values_list("progress", flat=True).get(run=self._run)
        return all(stored.get(scheduler, 0) >= piece.progress[scheduler] for scheduler in piece.parts)

    def _spill(self) -> None:
        rows = sum(batch.placements for batch in self._waiting)
        refused = f"The database did not take the placements ({_first_line(self._failure)})."
        again = f"runsimulation --resume {self._run.pk}"
        try:
            path = spill_write(run=self._run, batches=list(self._waiting))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            kept = f"The {rows} in memory could not be kept in a file either ({reason}); {again} simulates them again."
        else:
            kept = f"The {rows} that were in memory lie in {path}; {again} takes them in."
        self._waiting.clear()
        self._failure = ResultsNotStored(f"{refused} {kept}")


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0]
