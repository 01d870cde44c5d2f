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

_WHOLE_TEXT, _MASKED, _SHORT = 0x81, 0x80, 126


class QuickWebSocket(WebSocketProtocol):
    """One connection."""

    def write_frame(self, frame: bytes) -> None:
        """Send a ready frame; a connection that is closing gets nothing more."""
        if self.state == self.STATE_OPEN and not self.muted:
            self.transport.write_now(frame)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Take a short text that came whole and alone, as nearly all do; leave everything else to autobahn."""
        length = len(data) - 6
        if (
            0 < length < _SHORT
            and data[0] == _WHOLE_TEXT
            and data[1] == _MASKED | length
            and self.state == self.STATE_OPEN
            and not (self.data or self.inside_message or self.current_frame or self.autoPingTimeoutCall)
        ):
            mask = int.from_bytes((data[2:6] * 32)[:length])
            text = (int.from_bytes(data[6:]) ^ mask).to_bytes(length)
            if text.isascii():
                self.onMessage(text, False)
                return
        super().dataReceived(data)


def offer_frames() -> None:
    """Let daphne make such connections and say so in their scopes."""
    create = Server.create_application

    def create_application(server: Server, protocol: Any, scope: dict[str, Any]) -> Any:
        if isinstance(protocol, QuickWebSocket):
            scope["extensions"] = {**scope.get("extensions", {}), FRAMES: {"write": protocol.write_frame}}
        return create(server, protocol, scope)

    WebSocketFactory.protocol = QuickWebSocket
    Server.create_application = create_application
