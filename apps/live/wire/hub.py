"""One hub a server process: takes each snapshot once, encodes it once, and offers it to every client that watches.

With Redis it joins a run's group while somebody watches the run; the database is then read once a second, which makes
good what was lost. On the embedded default the database is all there is and is read twice as often as snapshots come.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from time import monotonic
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from django.db import Error, connection

from apps.live.wire import messages
from apps.live.wire.outbox import Frame, Outbox
from apps.live.wire.revocation import Revocations
from apps.live.wire.stored import SILENT_AFTER, StoredRun, list_runs, read_runs
from apps.results.models import Run
from scheduler_sim.background.connections import redis_faults

logger = logging.getLogger(__name__)

POLL_DATABASE = 0.045
"""Seconds between two looks at the database where it carries the snapshots: twice as often as they come, so that
none is missed."""

POLL_BESIDE_REDIS = 1.0
POLL_LIST = 0.5

BELIEVE_ROW_AFTER = 1.0
"""Seconds after which a run's row is believed over its last snapshot; until then the runner is about to say it."""

JOIN_TIMEOUT = 2.0

T = TypeVar("T")


class Topic:
    """What some clients watch: the newest frame of each type, and the clients."""

    def __init__(self, sequence: "count[int]") -> None:
        self.clients: set[Outbox] = set()
        self._sequence = sequence
        self._frames: dict[str, Frame] = {}

    def join(self, client: Outbox) -> None:
        """Add a client and offer it the present state."""
        self.clients.add(client)
        for frame in self._frames.values():
            client.offer(frame._replace(urgent=True))

    def show(self, message: Any, *, urgent: bool = False) -> None:
        """Offer a message to every client."""
        frame = Frame.of(message, next(self._sequence), urgent=urgent)
        self._frames[frame.kind] = frame
        for client in self.clients:
            client.offer(frame)


class RunTopic(Topic):
    """One run: its snapshots, and the changes of status and retrainings that follow from comparing them.

    Attributes:
        expected: how many clients are about to join.
    """

    def __init__(self, sequence: "count[int]", stored: StoredRun) -> None:
        super().__init__(sequence)
        self.expected = 0
        self._shown = stored.snapshot
        self._told_at = 0.0
        self._differs_since: float | None = None
        self._show(urgent=True)

    def told(self, snapshot: messages.Snapshot) -> None:
        """Take a snapshot from the runner."""
        self._told_at = monotonic()
        self._differs_since = None
        if snapshot["published_at"] != self._shown["published_at"]:
            self._take(snapshot)

    def read(self, stored: StoredRun, read_at: float) -> None:
        """Take what the database held at `read_at`, unless the runner has spoken since."""
        if self._told_at >= read_at:
            return
        shown = self._shown
        newer = stored.snapshot["published_at"] - shown["published_at"]
        # A runner that took the run up on another machine may have a clock that is behind.
        if newer > 0 or (newer < 0 and read_at - self._told_at > SILENT_AFTER):
            self._take(stored.snapshot)
            self._differs_since = None
        elif (stored.status, stored.interrupted) == (shown["status"], shown["interrupted"]):
            self._differs_since = None
        elif self._differs_since is None:
            self._differs_since = read_at
        elif read_at - self._differs_since >= BELIEVE_ROW_AFTER:
            self._take({**shown, "status": stored.status, "error": stored.error, "interrupted": stored.interrupted})

    def _take(self, snapshot: messages.Snapshot) -> None:
        before, self._shown = self._shown, snapshot
        changed = (before["status"], before["interrupted"]) != (snapshot["status"], snapshot["interrupted"])
        if changed:
            self.show(messages.run_state(snapshot), urgent=True)
        event = snapshot["retraining"]
        if event is not None and event != before["retraining"]:
            self.show(messages.retraining(snapshot["run"], event))
        self._show(urgent=changed or snapshot["status"] in Run.TERMINAL)

    def _show(self, *, urgent: bool) -> None:
        self.show({**self._shown, "via": messages.via()}, urgent=urgent)


class Hub:
    """All topics of one event loop. Its tasks run while it has a client."""

    def __init__(self) -> None:
        self.sequence = count(1)
        self._runs: dict[int, RunTopic] = {}
        self._list = Topic(self.sequence)
        self._listed: list[messages.RunProgress] | None = None
        self._joined: set[int] = set()
        self._channel: str | None = None
        self._listening = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._database: ThreadPoolExecutor | None = None
        self.revocations = Revocations(self.in_database)

    async def watch_run(self, run_id: int, client: Outbox) -> bool:
        """Offer a client the state of a run from now on; return False when there is no such run.

        The run's group is joined before the client gets its first state: nothing said after that state is missed.
        """
        if run_id not in self._runs:
            found = await self.in_database(read_runs, [run_id])
            if not found:
                return False
            if run_id not in self._runs:
                self._runs[run_id] = RunTopic(self.sequence, found[0])
        topic = self._runs[run_id]
        topic.expected += 1
        try:
            self._start()
            await self._listening.wait()
            await self._join_groups()
            topic.join(client)
        finally:
            topic.expected -= 1
        return True

    async def watch_list(self, client: Outbox) -> None:
        """Offer a client the list of runs from now on."""
        if self._listed is None:
            await self._read_list()
        self._list.join(client)
        self._start()

    async def leave(self, client: Outbox) -> None:
        """Stop offering anything to a client."""
        self._list.clients.discard(client)
        for run_id, topic in list(self._runs.items()):
            topic.clients.discard(client)
            if not (topic.clients or topic.expected):
                del self._runs[run_id]
                await self._leave_group(run_id)
        self._stop_if_idle()

    async def in_database(self, question: Callable[..., T], *arguments: Any) -> T:
        """Ask the database in the hub's own thread, so that no page's slow query holds the live messages up."""
        if self._database is None:
            self._database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="live hub")
        return await asyncio.get_running_loop().run_in_executor(self._database, _answer, question, arguments)

    def _start(self) -> None:
        if self._tasks:
            return
        jobs = [self._poll_runs(), self._poll_list()]
        if messages.via() == "redis":
            jobs.append(self._receive())
        else:
            self._listening.set()
        self._tasks = [asyncio.create_task(job) for job in jobs]
        for task in self._tasks:
            task.add_done_callback(report_failure)

    def _stop_if_idle(self) -> None:
        if self._runs or self._list.clients:
            return
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        self._channel = None
        self._listening.clear()
        self._joined.clear()
        self._listed = None
        if self._database is not None:
            self._database.submit(connection.close)
            self._database.shutdown(wait=False)
            self._database = None

    async def _poll_runs(self) -> None:
        every = POLL_DATABASE if messages.via() == "database" else POLL_BESIDE_REDIS
        while True:
            await asyncio.sleep(every)
            if not self._runs:
                continue
            read_at = monotonic()
            try:
                found = await self.in_database(read_runs, list(self._runs))
            except Error as error:
                logger.warning("The live hub could not read the database: %s", error)
                await asyncio.sleep(POLL_BESIDE_REDIS)
                continue
            for stored in found:
                if stored.run_id in self._runs:
                    self._runs[stored.run_id].read(stored, read_at)
            for topic in self._runs.values():
                for client in topic.clients:
                    client.flush()
            await self._join_groups()

    async def _poll_list(self) -> None:
        while True:
            await asyncio.sleep(POLL_LIST)
            if not self._list.clients:
                continue
            try:
                await self._read_list()
            except Error as error:
                logger.warning("The live hub could not read the list of runs: %s", error)
            for client in self._list.clients:
                client.flush()

    async def _read_list(self) -> None:
        lines = await self.in_database(list_runs)
        if lines != self._listed:
            before = {line["run"]: line["status"] for line in self._listed or ()}
            after = {line["run"]: line["status"] for line in lines}
            self._listed = lines
            self._list.show(messages.runs(lines), urgent=before != after)

    async def _receive(self) -> None:
        """Take snapshots from Redis; the layer itself comes back when Redis does."""
        layer = messages.layer()
        while self._channel is None:
            try:
                # Every layer takes a prefix; the stub of their base class does not.
                channel = layer.new_channel("live")  # type: ignore[call-arg]
                self._channel = await asyncio.wait_for(channel, JOIN_TIMEOUT)
            except redis_faults() as error:
                logger.warning("The live hub reads the database until Redis is back: %s", error)
                self._listening.set()
                await asyncio.sleep(POLL_BESIDE_REDIS)
        self._listening.set()
        await self._join_groups()
        while True:
            snapshot: messages.Snapshot = (await layer.receive(self._channel))["snapshot"]
            if snapshot["run"] in self._runs:
                self._runs[snapshot["run"]].told({**snapshot, "interrupted": False})

    async def _join_groups(self) -> None:
        if self._channel is None:
            return
        for run_id in set(self._runs) - self._joined:
            try:
                await asyncio.wait_for(
                    messages.layer().group_add(messages.run_group(run_id), self._channel), JOIN_TIMEOUT
                )
            except redis_faults() as error:
                logger.warning("The live hub could not join run %s and tries again: %s", run_id, error)
                return
            self._joined.add(run_id)

    async def _leave_group(self, run_id: int) -> None:
        if self._channel is None or run_id not in self._joined:
            return
        self._joined.discard(run_id)
        try:
            await asyncio.wait_for(
                messages.layer().group_discard(messages.run_group(run_id), self._channel), JOIN_TIMEOUT
            )
        except redis_faults() as error:
            logger.warning("The live hub could not leave run %s: %s", run_id, error)


def _answer(question: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    try:
        return question(*arguments)
    except Error:
        connection.close()  # A broken connection is replaced at the next question.
        raise


def report_failure(task: "asyncio.Task[None]") -> None:
    """Log the error that ended a task nobody waits for."""
    if not task.cancelled() and task.exception() is not None:
        logger.error("A live task failed.", exc_info=task.exception())


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def current_hub() -> Hub:
    """Return the hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
