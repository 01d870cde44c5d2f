"""Those who ask for much and read it slowly or never, over HTTP and on live connections."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from scheduler_sim.web import edge
from tests.live.live_site import Site

pytestmark = [pytest.mark.attack, pytest.mark.own_data]

LARGE = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
"""More than a megabyte, without any run that would have to be made first."""

GUARD = 60
"""Seconds after which a test gives up; what it waits for comes after a few."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("slow"), REQUEST_ANSWER_SECONDS="5")
    yield made
    made.close()


@contextlib.contextmanager
def opened(site: Site) -> Iterator[socket.socket]:
    with socket.socket() as client:
        # Before it connects, so that the other side is told of a small window.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(GUARD)
        client.connect(("127.0.0.1", site.port))
        yield client


def ask(client: socket.socket, path: str, times: int = 1) -> None:
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * times)


def is_ended(client: socket.socket, each: int) -> bool:
    """Read so many bytes five times a second until the server ends the connection; False if it never does."""
    until = time.monotonic() + GUARD
    client.settimeout(0.2)
    while time.monotonic() < until:
        try:
            if each and not client.recv(each):
                return True
            client.send(b"")
            if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
        time.sleep(0.2)
    return False


@pytest.mark.parametrize("each", [0, 1, 100], ids=["nothing", "a byte", "a drip"])
def test_a_client_that_takes_its_answer_too_slowly_is_let_go(site: Site, each: int) -> None:
    with opened(site) as client:
        ask(client, LARGE)
        assert is_ended(client, each)


def test_a_client_that_reads_steadily_gets_everything_however_long_it_takes(site: Site) -> None:
    with opened(site) as client:
        ask(client, LARGE)
        answer = client.recv(4096)
        head, _, begun = answer.partition(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        left = int(lines[b"Content-Length"]) - len(begun)
        began = time.monotonic()
        while left > 0:
            piece = client.recv(min(left, 2048))
            assert piece, "the server ended it"
            left -= len(piece)
            time.sleep(0.01)
        assert time.monotonic() - began > 7  # Longer than somebody who takes nothing would have.


def test_a_client_that_asks_again_and_again_and_reads_nothing_takes_no_memory(site: Site) -> None:
    before = most = site.memory_kb()
    with opened(site) as client:
        with contextlib.suppress(OSError):
            ask(client, LARGE, 200)
        until = time.monotonic() + GUARD
        while time.monotonic() < until and not client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            most = max(most, site.memory_kb())
            time.sleep(0.05)
        assert is_ended(client, 4096)
    assert most - before < 60_000


def test_others_are_served_while_somebody_reads_nothing(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            ask(stack.enter_context(opened(site)), LARGE)
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", site.port), timeout=GUARD) as client:
                ask(client, "/health")
                assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_live_connection_that_asks_and_reads_nothing_is_let_go(site: Site) -> None:
    with opened(site) as client:
        client.sendall(
            b"GET /ws/live/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        frame = masked(json.dumps({"type": "ping", "id": "x" * 3900}).encode())
        assert not all(is_heard(client, frame * 20) for _ in range(120))


class Owing:
    """A connection for which bytes wait."""

    def __init__(self, network: str, untaken: int, owed: float) -> None:
        self.network, self.untaken, self.owed, self.is_ended = network, untaken, owed, False

    def is_overdue(self, now: float) -> bool:
        return False

    def takes_too_slowly(self, now: float) -> bool:
        return False

    def owed_seconds(self, now: float) -> float:
        return self.owed

    def abortConnection(self) -> None:  # noqa: N802 (Twisted's name)
        self.is_ended = True


def test_where_too_much_waits_for_one_address_those_go_that_have_owed_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "raise_descriptors", lambda: 1024)
    monkeypatch.setattr(edge, "MOST_UNTAKEN_OF_NETWORK", 100)
    greedy = [Owing("192.0.2.1", 40, owed) for owed in (1.0, 9.0, 5.0, 2.0)]
    others = [Owing("192.0.2.2", 90, 9.0), Owing("", 500, 9.0), Owing("192.0.2.1", 0, 0.0)]
    door = edge.Door()
    everybody: list[Any] = [*greedy, *others]
    door.visits.update(everybody)
    door.close_overdue()
    assert [one.is_ended for one in greedy] == [False, True, True, False]
    assert not any(one.is_ended for one in others)


def is_heard(client: socket.socket, frames: bytes) -> bool:
    """Send a quarter of a second's frames; return False once the server has ended the connection."""
    time.sleep(0.25)
    try:
        client.sendall(frames)
    except OSError:
        return False
    return True


def masked(text: bytes) -> bytes:
    """Return one text frame as a browser sends it (RFC 6455, 2011, section 5.2), masked with zeros."""
    return b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text
