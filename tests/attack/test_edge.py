"""What reaches the server before a request is one: bodies without end, dripping, connections by the hundred."""

import contextlib
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.live.live_site import Site, eventually

pytestmark = [pytest.mark.attack, pytest.mark.own_data]

MOST = 20


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(
        tmp_path_factory.mktemp("edge"),
        REQUEST_HEADER_SECONDS="2",
        REQUEST_BODY_SECONDS="2",
        CONNECTIONS_PER_ADDRESS=str(MOST),
    )
    yield made
    made.close()


@contextlib.contextmanager
def opened(site: Site, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", site.port), timeout=20, source_address=(source, 0)) as client:
        yield client


def answer_to(client: socket.socket, sent: bytes) -> bytes:
    client.sendall(sent)
    return client.recv(65536)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def seconds_until_closed(client: socket.socket, drip: bytes) -> float:
    """Send a byte now and then until the server ends the connection."""
    began = time.monotonic()
    client.settimeout(0.2)
    while time.monotonic() - began < 30:
        try:
            client.sendall(drip)
            if not client.recv(65536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize("path", ["/health", "/", "/api/v1/runs/", "/admin/login/", "/nothing/"])
def test_a_large_body_is_refused_before_any_of_it_is_read(site: Site, path: str) -> None:
    with opened(site) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1500000000\r\n\r\n"
        answer = answer_to(client, head.encode())
    assert status(answer) == 413
    assert b"2621440 bytes" in answer


def test_a_body_without_a_length_is_refused_where_it_becomes_too_large(site: Site) -> None:
    piece = b"%x\r\n%s\r\n" % (2**20, b"x" * 2**20)
    with opened(site) as client:
        client.sendall(b"POST /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            client.sendall(piece)
        assert status(client.recv(65536)) == 413


def test_files_may_be_larger_where_files_are_taken(site: Site) -> None:
    size = 4 * 2**20
    head = f"POST /api/v1/workloads/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
    with opened(site) as client:
        assert status(answer_to(client, head.encode() + b"x" * size)) == 401
    with opened(site) as client:
        assert status(answer_to(client, head.replace(str(size), str(200 * 2**20)).encode())) == 413


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"GET /health HTTP/1.1\r\nX-Slow: ",
        b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n",
    ],
    ids=["nothing", "header", "body"],
)
def test_a_request_that_drips_is_ended(site: Site, begin: bytes) -> None:
    with opened(site) as client:
        client.sendall(begin)
        assert seconds_until_closed(client, b"x" if begin else b"") < 8


def test_a_connection_that_is_used_again_is_not_ended(site: Site) -> None:
    with opened(site) as client:
        for _ in range(4):
            assert status(answer_to(client, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")) == 200
            time.sleep(1)


def test_one_address_cannot_shut_the_others_out(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(5 * MOST):
            client = stack.enter_context(opened(site, "127.0.0.2"))
            with contextlib.suppress(OSError):
                client.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
        with opened(site, "127.0.0.2") as refused:
            refused.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert refused.recv(1) == b""
        for _ in range(3):
            with opened(site) as client:
                assert status(answer_to(client, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")) == 200


def test_live_connections_are_left_to_limits_of_their_own(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MOST + 10):
            socket_ = stack.enter_context(connect(site.url("/ws/live/"), proxy=None))
            assert socket_.recv(timeout=20)
        time.sleep(3)
        assert socket_.ping().wait(10)


def test_no_body_is_left_in_memory_or_on_disk(site: Site) -> None:
    before = site.memory_kb()
    for _ in range(5):
        with opened(site) as client, contextlib.suppress(OSError):
            client.sendall(b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1500000000\r\n\r\n")
            for _ in range(40):
                client.sendall(b"x" * 2**20)
    assert site.memory_kb() - before < 40_000
    held = [Path(f"/proc/{site.process_id}/fd/{name.name}") for name in Path(f"/proc/{site.process_id}/fd").iterdir()]
    assert not [path for path in held if "/tmp/#" in str(path.readlink() if path.is_symlink() else "")]


def test_descriptors_are_kept_for_those_who_are_in_while_many_addresses_take_all_connections(tmp_path: Path) -> None:
    site = Site(tmp_path, descriptors=300, CONNECTIONS_PER_ADDRESS="1000")
    try:
        with contextlib.ExitStack() as stack:
            inside = stack.enter_context(contextlib.closing(HTTPConnection("127.0.0.1", site.port, timeout=60)))
            assert asked(inside, "/health") == 200
            for number in range(400):
                client = stack.enter_context(socket.socket())
                client.settimeout(5)
                with contextlib.suppress(OSError):
                    client.bind((f"127.0.0.{2 + number % 20}", 0))
                    client.connect(("127.0.0.1", site.port))
                    client.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
            with opened(site, "127.0.0.99") as refused, contextlib.suppress(ConnectionResetError):
                assert refused.recv(1) == b""
            free = 300 - len([*Path(f"/proc/{site.process_id}/fd").iterdir()])
            assert free > 96  # Of the 192 that are kept some are of the database, the log and the loop.
            for path in ("/", "/workloads/", "/api/v1/runs/", "/ready", "/static/css/layout.css"):
                assert asked(inside, path) == 200, path
        eventually(lambda: answers(site), 60)
    finally:
        site.close()


def asked(connection: HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def answers(site: Site) -> bool:
    with contextlib.closing(HTTPConnection("127.0.0.1", site.port, timeout=20)) as connection:
        try:
            return asked(connection, "/health") == 200
        except (OSError, HTTPException):
            return False
