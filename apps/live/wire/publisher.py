"""Tells the server processes how a run goes, without holding the simulation up."""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from django.db import Error, connection, connections

from apps.live.models import RaceHistory, SimulationState
from apps.live.wire import messages
from apps.live.wire.history import History
from apps.live.wire.snapshots import Mark, Race
from apps.results.models import Run
from scheduler_sim.background.connections import redis_faults
from scheduler_sim.columnar.turnstile import first_in_line, is_in_memory

if TYPE_CHECKING:
    from apps.live.play.runner import Runner

logger = logging.getLogger(__name__)

SNAPSHOTS_A_SECOND = 10

STORED_EVERY = 1.0
"""Seconds between two snapshots stored in the database when Redis carries them all."""

SEND_TIMEOUT = 2.0
RETRY_AFTER = 1.0
FLUSH_SECONDS = 10.0
"""How long the end of a run may wait for its last snapshots to go out."""


class Publisher:
    """Publishes snapshots of the run that it observes, at most ten a second; a change of status goes out at once.

    The runner's thread only notes where the run stands; a thread of its own builds the snapshot and sends it, and
    while that is busy the runner goes on and nothing queues up. A Redis or a database that cannot be reached costs
    snapshots, never the run. With an in-memory database, which threads cannot share, it all happens at once instead.

    Attributes:
        runner_seconds, own_seconds: processor time that it took so far in the runner's thread and in its own.
    """

    def __init__(self) -> None:
        self.runner_seconds = 0.0
        self.own_seconds = 0.0
        self._race: Race | None = None
        self._fit: messages.Fit | None = None
        self._marks: queue.SimpleQueue[Mark | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._outlet: Outlet
        self._busy = False
        self._next_at = 0.0

    def started(self, runner: "Runner") -> None:
        """Show the run as it begins or is taken up again."""
        self._race = Race(runner)
        self._outlet = Outlet()
        if self._fit is not None:
            self._race.retrained(self._fit)
        if not is_in_memory(connection):
            self._thread = threading.Thread(target=self._work, name="live publisher", daemon=True)
            self._thread.start()
        self._hand_over(urgent=True)

    def stepped(self, runner: "Runner") -> None:
        """Show the run if the last snapshot has gone out and is old enough."""
        now = time.monotonic()
        if now >= self._next_at and not self._busy:
            # In step with the clock rather than with the last snapshot, so that ten a second are ten.
            self._next_at = max(self._next_at + 1 / SNAPSHOTS_A_SECOND, now + 0.5 / SNAPSHOTS_A_SECOND)
            self._hand_over(urgent=False)

    def changed(self, runner: "Runner") -> None:
        """Show the run's new status."""
        if self._race is not None:
            self._race.status_changed()
            self._hand_over(urgent=True)

    def retrained(self, fit: messages.Fit) -> None:
        """Tell, with the next snapshot, that a learned policy was fitted anew.

        May be called from any thread, and before the run begins: then it is told at its start.
        """
        self._fit = fit
        if self._race is not None:
            self._race.retrained(fit)

    def ended(self, runner: "Runner") -> None:
        """Show the run's last state and wait until it has gone out."""
        if self._race is None:
            self.started(runner)
        else:
            self._hand_over(urgent=True)
        if self._thread is None:
            self._outlet.close()
            return
        self._marks.put(None)
        self._thread.join(FLUSH_SECONDS)
        if self._thread.is_alive():
            logger.warning("The last live snapshots of run %s were not sent in time.", runner.run.name)

    def _hand_over(self, *, urgent: bool) -> None:
        began = time.thread_time()
        mark = self._shown().mark(urgent=urgent)
        if self._thread is None:
            self._publish(mark)
        else:
            self._busy = True
            self._marks.put(mark)
        self.runner_seconds += time.thread_time() - began

    def _work(self) -> None:
        try:
            while (mark := self._marks.get()) is not None:
                self._publish(mark)
                self._busy = not self._marks.empty()
                self.own_seconds = time.thread_time()
        finally:
            self._outlet.close()
            connections.close_all()

    def _publish(self, mark: Mark) -> None:
        self._outlet.put(self._shown().snapshot(mark), urgent=mark.urgent)

    def _shown(self) -> Race:
        if self._race is None:
            raise RuntimeError("A run is shown from its start on.")
        return self._race


class Outlet:
    """Where snapshots go: through Redis if there is one, and into the run's row and its history; used by one thread.

    What cannot be reached costs snapshots, is logged and tried again.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stored_at = 0.0
        self._retry_at = 0.0
        self._unreachable = False
        self._history = History()

    def put(self, snapshot: messages.Snapshot, *, urgent: bool) -> None:
        """Send a snapshot, and store it when nothing else carries it, when it is urgent, and once a second."""
        by_redis = messages.via() == "redis"
        if by_redis:
            self._send(snapshot, urgent=urgent)
        if not by_redis or urgent or time.monotonic() - self._stored_at >= STORED_EVERY:
            self._store(snapshot)
        if snapshot["status"] in Run.TERMINAL:
            self._write(RaceHistory.objects.filter(run=snapshot["run"]).delete)
        elif self._history.take(snapshot):
            points = self._history.document()
            self._write(
                lambda: RaceHistory.objects.update_or_create(run_id=snapshot["run"], defaults={"points": points})
            )

    def _send(self, snapshot: messages.Snapshot, *, urgent: bool) -> None:
        """Send through Redis; while that is away, try again only once a second."""
        if time.monotonic() < self._retry_at and not urgent:
            return
        try:
            self._loop.run_until_complete(asyncio.wait_for(messages.send_snapshot(snapshot), SEND_TIMEOUT))
        except redis_faults() as error:
            if not self._unreachable:
                logger.warning("Live snapshots go through the database until Redis is back: %s", error)
            self._unreachable = True
            self._retry_at = time.monotonic() + RETRY_AFTER
        else:
            self._unreachable = False

    def _store(self, snapshot: messages.Snapshot) -> None:
        self._stored_at = time.monotonic()
        self._write(lambda: SimulationState.objects.filter(run=snapshot["run"]).update(snapshot=snapshot))

    def _write(self, write: Callable[[], object]) -> None:
        try:
            with first_in_line():
                write()
        except Error as error:
            logger.warning("A live snapshot could not be stored: %s", error)
            if not connection.in_atomic_block:
                connection.close()  # A broken connection is replaced at the next snapshot.

    def close(self) -> None:
        """Close the connections to Redis."""
        if messages.via() == "redis":
            # Of this event loop alone: the publish/subscribe layer keeps connections for each.
            self._loop.run_until_complete(messages.layer().flush())
        self._loop.close()
