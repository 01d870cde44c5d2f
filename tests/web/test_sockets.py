"""WebSockets that take ready frames and read short messages by themselves, against autobahn's own."""

import struct
from typing import Any

import pytest
from daphne.server import Server
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import tcp
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport

from scheduler_sim.web.edge import Door, Visit
from scheduler_sim.web.frames import FRAMES, frame_writer, framed
from scheduler_sim.web.sockets import QuickWebSocket, offer_frames

HANDSHAKE = (
    b"GET /ws/ HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Application:
    """What daphne's server is to a connection: it takes what comes."""

    root_path = ""
    proxy_forwarded_address_header = None

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def create_application(self, _protocol: Any, _scope: dict[str, Any]) -> "Application":
        return self

    def put_nowait(self, event: Any) -> None:
        self.heard.append(event)

    def nothing(self, *_: Any) -> None:
        pass

    protocol_connected = protocol_disconnected = log_action = nothing


class Ready(StringTransport):
    """A transport that keeps what is written."""

    def write_now(self, data: bytes) -> None:
        self.write(data)

    def nothing(self, *_: Any) -> None:
        pass

    setTcpNoDelay = unregisterProducer = nothing  # noqa: N815


def connected(kind: type[WebSocketProtocol]) -> tuple[Any, Application]:
    """Return an open connection of a kind, and what it tells."""
    application = Application()
    factory = WebSocketFactory(application)
    factory.protocol = kind
    factory.setProtocolOptions(maxMessagePayloadSize=1000, maxFramePayloadSize=1000)
    protocol = factory.buildProtocol(None)
    protocol._raw_query_string = b""
    protocol.makeConnection(Ready())
    protocol.dataReceived(HANDSHAKE)
    protocol.handle_reply({"type": "websocket.accept"})
    assert protocol.state == protocol.STATE_OPEN
    protocol.transport.clear()
    return protocol, application


def masked(head: int, payload: bytes, mask: bytes) -> bytes:
    length = len(payload)
    size = bytes((0x80 | length,)) if length < 126 else struct.pack(">BH", 0x80 | 126, length)
    return bytes((head,)) + size + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


# Whole and first pieces of texts and bytes, pieces in between and last ones, pings, an end, and a kind that is none.
frames = st.builds(
    masked,
    st.sampled_from([0x81, 0x81, 0x81, 0x01, 0x82, 0x00, 0x80, 0x89, 0x88, 0x83, 0xC1]),
    st.binary(max_size=6) | st.text(max_size=200).map(str.encode) | st.just(b'{"type":"ack","sequence":12}'),
    st.binary(min_size=4, max_size=4),
)


@given(st.lists(st.lists(frames | st.binary(max_size=8), min_size=1, max_size=2).map(b"".join), max_size=5), st.data())
def test_whatever_comes_is_read_as_autobahn_reads_it(reads: list[bytes], data: st.DataObject) -> None:
    if data.draw(st.booleans()):  # Cut anywhere, as a network may.
        whole = b"".join(reads)
        places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=3)))
        reads = [whole[first:last] for first, last in zip([0, *places], [*places, len(whole)], strict=True)]
    seen = []
    for kind in (QuickWebSocket, WebSocketProtocol):
        protocol, application = connected(kind)
        for read in reads:
            protocol.dataReceived(read)
        seen.append((application.heard, protocol.transport.value(), protocol.state))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
def test_a_frame_is_what_autobahn_would_send(length: int) -> None:
    prepared = WebSocketFactory(Application()).prepareMessage(b"x" * length)
    assert framed(b"x" * length) == prepared.payloadHybi


def test_a_ready_frame_goes_to_open_connections_alone() -> None:
    protocol, _ = connected(QuickWebSocket)
    protocol.write_frame(framed(b"one"))
    protocol.sendClose()
    protocol.transport.clear()
    protocol.write_frame(framed(b"two"))
    assert protocol.transport.value() == b""


def test_the_scope_says_how_frames_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(Server, "create_application", lambda _server, _protocol, scope: made.append(scope))
    monkeypatch.setattr(WebSocketFactory, "protocol", WebSocketProtocol)
    offer_frames()
    protocol, _ = connected(QuickWebSocket)
    for one in (protocol, object()):
        Server.create_application(None, one, {"extensions": {"other": {}}})
    assert frame_writer(made[0]) == protocol.write_frame
    assert set(made[0]["extensions"]) == {"other", FRAMES}
    assert frame_writer(made[1]) is frame_writer({}) is None


class Narrow(tcp.Server):
    """A connection of which the system takes some bytes at a time, or that is lost."""

    def __init__(self, takes: list[int | None]) -> None:
        self.connected, self.taken, self._takes = True, b"", takes
        self.dataBuffer, self.offset, self._tempDataBuffer, self._tempDataLen = b"", 0, [], 0

    def writeSomeData(self, data: bytes) -> Any:  # noqa: N802
        takes = self._takes.pop() if self._takes else len(data)
        if takes is None:
            return ConnectionLost()
        self.taken += data[:takes]
        return min(takes, len(data))

    def startWriting(self) -> None:  # noqa: N802
        pass


@given(st.lists(st.binary(min_size=1, max_size=9)), st.lists(st.none() | st.integers(0, 9)))
def test_what_is_written_at_once_stays_in_order_and_is_counted(pieces: list[bytes], takes: list[int | None]) -> None:
    transport = Narrow(takes)
    visit: Any = Visit(Door.__new__(Door), None, "")
    visit.transport, visit._is_plain = transport, True
    for piece in pieces:
        visit.write_now(piece)
    waiting = b"".join(transport._tempDataBuffer)
    assert transport.taken + waiting == b"".join(pieces)
    assert (visit._given, visit.untaken) == (len(b"".join(pieces)), len(waiting))
