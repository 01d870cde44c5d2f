"""What waits to be sent to one client: the newest message of each type and never more."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

from apps.live import messages
from apps.metrics.prometheus import MESSAGES_DROPPED, MESSAGES_SENT

WINDOW = 8
"""Messages on their way without an acknowledgement; servers such as daphne accept any number and buffer it."""

UNACKNOWLEDGED_EVERY = 1.0
"""Seconds between the messages to a client that does not acknowledge."""

REPLIES = 32
"""Answers that may wait for one client."""


class Frame(NamedTuple):
    """A message encoded once for all clients.

    Attributes:
        kind: its type; a newer frame replaces an unsent one of the same kind.
        urgent: sent whatever the window.
    """

    kind: str
    sequence: int
    text: str
    urgent: bool


@dataclass(eq=False)
class Outbox:
    """Conflates what is offered to one client, and says when the rest may go."""

    _pending: dict[str, Frame] = field(default_factory=dict)
    _replies: deque[str] = field(default_factory=lambda: deque(maxlen=REPLIES))
    _on_their_way: deque[int] = field(default_factory=deque)
    _last_sent: float = 0.0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, frame: Frame) -> None:
        """Take a frame in place of an older one of its kind."""
        replaced = self._pending.get(frame.kind)
        if replaced is not None:
            MESSAGES_DROPPED.inc()
            if replaced.urgent:
                frame = frame._replace(urgent=True)
        self._pending[frame.kind] = frame
        self.nudge()

    def reply(self, message: Any) -> None:
        """Take an answer to something the client asked."""
        self._replies.append(messages.encode(message))
        self._wake.set()

    def acknowledge(self, sequence: int) -> None:
        """Note that everything up to `sequence` has arrived."""
        while self._on_their_way and self._on_their_way[0] <= sequence:
            self._on_their_way.popleft()
        self.nudge()

    def forget(self) -> None:
        """Drop what waits, because the client now watches something else."""
        self._pending.clear()

    def nudge(self) -> None:
        """Wake the sender when something may be sent."""
        if self._pending and (self._is_open() or any(frame.urgent for frame in self._pending.values())):
            self._wake.set()

    def _is_open(self) -> bool:
        return len(self._on_their_way) < WINDOW or monotonic() - self._last_sent >= UNACKNOWLEDGED_EVERY

    async def take(self) -> list[str]:
        """Wait until something may be sent, and return it in order."""
        await self._wake.wait()
        self._wake.clear()
        return self.due()

    def due(self) -> list[str]:
        """Return what may be sent now, in order, and take it for sent."""
        texts = list(self._replies)
        self._replies.clear()
        waiting = self._pending.values()
        frames = sorted(
            waiting if self._is_open() else [frame for frame in waiting if frame.urgent],
            key=lambda frame: frame.sequence,
        )
        for frame in frames:
            del self._pending[frame.kind]
            self._on_their_way.append(frame.sequence)
            texts.append(frame.text)
        if frames:
            self._last_sent = monotonic()
            # Of a client that never acknowledges only the newest are remembered.
            while len(self._on_their_way) > WINDOW:
                self._on_their_way.popleft()
            MESSAGES_SENT.inc(len(frames))
        return texts
