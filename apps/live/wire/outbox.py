"""What waits to be sent to one client: the newest message of each type and never more."""

import asyncio
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from time import monotonic
from typing import Any, NamedTuple

from apps.live.wire import messages
from apps.metrics.prometheus import MESSAGES_DROPPED, MESSAGES_SENT
from scheduler_sim.web.frames import WriteFrame, framed

WINDOW = 8
"""Messages on their way without an acknowledgement; servers such as daphne accept any number and buffer it."""

UNACKNOWLEDGED_EVERY = 1.0
"""Seconds between the messages to a client that does not acknowledge."""

REPLIES = 32
"""Answers that may wait for one client."""

Event = dict[str, Any]
Send = Callable[[Event], Awaitable[None]]


class Frame(NamedTuple):
    """A message encoded once for all clients.

    Attributes:
        kind: its type; a newer frame replaces an unsent one of the same kind.
        event: what is given to the server.
        wire: the same as it goes over a WebSocket, for a server that takes that.
        urgent: sent whatever the window.
    """

    kind: str
    sequence: int
    event: Event
    wire: bytes
    urgent: bool

    @classmethod
    def of(cls, message: Any, sequence: int, *, urgent: bool) -> "Frame":
        """Encode a message and number it."""
        return cls._encoded(message["type"], sequence, {**message, "sequence": sequence}, urgent)

    @classmethod
    def reply(cls, message: Any) -> "Frame":
        """Encode an answer to one client, which has no number."""
        return cls._encoded(message["type"], 0, message, True)

    @classmethod
    def _encoded(cls, kind: str, sequence: int, message: Any, urgent: bool) -> "Frame":
        text = messages.encode(message)
        return cls(kind, sequence, {"type": "websocket.send", "text": text}, framed(text.encode()), urgent)


class Outbox:
    """Conflates what is offered to one client, and sends it as its window allows.

    Args:
        send: gives an event to the server; while it waits, newer messages take the place of older ones.
        write: gives the server a ready frame without waiting, which costs a tenth; None where it has no such way.
    """

    def __init__(self, send: Send, *, write: WriteFrame | None = None) -> None:
        self._send = send
        self._write = write
        self._pending: dict[str, Frame] = {}
        self._replies: deque[Frame] = deque(maxlen=REPLIES)
        self._on_their_way: deque[int] = deque()
        self._last_sent = 0.0
        self._sending: asyncio.Task[None] | None = None

    def offer(self, frame: Frame) -> None:
        """Take a frame in place of an older one of its kind, and send it if that may be."""
        if self._write is not None and len(self._on_their_way) < WINDOW and not (self._pending or self._replies):
            # What `flush` would come to, without its lists: the most frequent of all that happens in a server.
            self._on_their_way.append(frame.sequence)
            self._last_sent = monotonic()
            MESSAGES_SENT.inc()
            self._write(frame.wire)
            return
        replaced = self._pending.get(frame.kind)
        if replaced is not None:
            MESSAGES_DROPPED.inc()
            if replaced.urgent and not frame.urgent:
                frame = frame._replace(urgent=True)
        self._pending[frame.kind] = frame
        self.flush()

    def reply(self, message: Any) -> None:
        """Answer something that the client asked."""
        self._replies.append(Frame.reply(message))
        self.flush()

    def acknowledge(self, sequence: int) -> None:
        """Note that everything up to `sequence` has arrived."""
        while self._on_their_way and self._on_their_way[0] <= sequence:
            self._on_their_way.popleft()
        self.flush()

    def forget(self) -> None:
        """Drop what waits, because the client now watches something else."""
        self._pending.clear()

    def close(self) -> None:
        """Send nothing more."""
        self.forget()
        self._replies.clear()
        if self._sending is not None:
            self._sending.cancel()

    def flush(self) -> None:
        """Send what may be sent now; called again after `UNACKNOWLEDGED_EVERY`, it sends what was held back."""
        if not (self._pending or self._replies):
            return
        if self._write is not None:
            for frame in self._due():
                self._write(frame.wire)
        elif self._sending is None:
            self._sending = _start(self._drain())
            if self._sending is not None:
                self._sending.add_done_callback(self._drained)

    def _drained(self, _task: "asyncio.Task[None]") -> None:
        self._sending = None
        self.flush()

    async def _drain(self) -> None:
        try:
            for frame in self._due():
                await self._send(frame.event)
        except (OSError, RuntimeError):
            # The client is gone, as servers other than daphne say here; whoever reads from it is told as well.
            self.forget()

    def _due(self) -> list[Frame]:
        """Return what may be sent now, in order, and take it for sent."""
        due = list(self._replies)
        self._replies.clear()
        now = monotonic()
        is_open = len(self._on_their_way) < WINDOW or now - self._last_sent >= UNACKNOWLEDGED_EVERY
        frames = [frame for frame in self._pending.values() if is_open or frame.urgent]
        if len(frames) > 1:
            frames.sort(key=lambda frame: frame.sequence)
        for frame in frames:
            del self._pending[frame.kind]
            self._on_their_way.append(frame.sequence)
            due.append(frame)
        if frames:
            self._last_sent = now
            # Of a client that never acknowledges only the newest are remembered.
            while len(self._on_their_way) > WINDOW:
                self._on_their_way.popleft()
            MESSAGES_SENT.inc(len(frames))
        return due


def _start(coroutine: Coroutine[Any, None, None]) -> "asyncio.Task[None] | None":
    """Run a coroutine up to where it first waits, and only then make a task of the rest of it.

    With daphne sending never waits, and a task for each message and client would cost as much as sending it.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None

    async def rest() -> None:
        await _resumed(coroutine, waits_for)

    return asyncio.create_task(rest())


@types.coroutine
def _resumed(coroutine: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was started and waits."""
    try:
        while True:
            try:
                result = yield waits_for
            except BaseException as error:  # noqa: BLE001  (a cancellation, too, is the coroutine's own to handle)
                waits_for = coroutine.throw(error)
            else:
                waits_for = coroutine.send(result)
    except StopIteration:
        return
