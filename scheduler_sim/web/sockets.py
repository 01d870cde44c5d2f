"""WebSockets of daphne that take frames made once for all clients, and read short messages quickly.

By ASGI alone a message to one client costs daphne a coroutine, the framing, words for a log that nobody keeps, and a
turn of the loop with three calls of the system; one from a client as much again. With a thousand clients and ten
snapshots a second that is most of a core. So a connection says in the `extensions` of its scope how it takes a ready
frame; an application that does not ask for it is served as ever, and this site by any other server.
"""

from typing import Any

from daphne.server import Server
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from scheduler_sim.web.frames import FRAMES

_WHOLE_TEXT, _MASKED = 0x81, 0x80
_HEAD = 6
"""Bytes before a masked text that is shorter than `_SHORT`: two of kind and length, four of the mask."""
_SHORT = 126


class QuickWebSocket(WebSocketProtocol):
    """One connection."""

    def write_frame(self, frame: bytes) -> None:
        """Send a ready frame; a connection that is closing gets nothing more."""
        if self.state == self.STATE_OPEN and not self.muted:
            self.transport.write_now(frame)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Take short texts that came whole, as nearly all do; leave all else, and what follows it, to autobahn."""
        place = 0
        while (text := self._short_text(data, place)) is not None:
            place += _HEAD + len(text)
            self.onMessage(text, False)
        if place < len(data):
            super().dataReceived(data[place:])

    def _short_text(self, data: bytes, place: int) -> bytes | None:
        """Return the short text whose frame stands there whole; None where something else does, or less."""
        if (
            len(data) <= place + _HEAD
            or data[place] != _WHOLE_TEXT
            or self.state != self.STATE_OPEN
            or self.data
            or self.inside_message
            or self.current_frame
            or self.autoPingTimeoutCall
        ):
            return None
        length = data[place + 1] ^ _MASKED
        hidden = data[place + _HEAD : place + _HEAD + length]
        if not 0 < length == len(hidden) < _SHORT:
            return None
        mask = int.from_bytes((data[place + 2 : place + _HEAD] * 32)[:length])
        text = (int.from_bytes(hidden) ^ mask).to_bytes(length)
        return text if text.isascii() else None


def offer_frames() -> None:
    """Let daphne make such connections and say so in their scopes."""
    create = Server.create_application

    def create_application(server: Server, protocol: Any, scope: dict[str, Any]) -> Any:
        if isinstance(protocol, QuickWebSocket):
            scope["extensions"] = {**scope.get("extensions", {}), FRAMES: {"write": protocol.write_frame}}
        return create(server, protocol, scope)

    WebSocketFactory.protocol = QuickWebSocket
    Server.create_application = create_application
