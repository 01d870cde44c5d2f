"""What holds before a request is one: connections, the time they take, and how much they may send.

Daphne collects a request whole, in a file when it is large, before the application hears of it. The limits here hold
while it is collected: nothing that is too large, too slow or one connection too many takes up more than a line.
"""

import contextlib
import resource
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from http import HTTPStatus
from io import BytesIO
from time import monotonic
from typing import Any

from django.conf import settings
from django.urls import reverse
from twisted.internet import reactor
from twisted.internet.task import LoopingCall
from twisted.internet.tcp import Server
from twisted.protocols.policies import ProtocolWrapper

from scheduler_sim.web.access import network_of
from scheduler_sim.web.middleware import in_networks

FORM_ROOM = 2**20
"""Bytes that a form around a file may take."""

SLOWEST_BYTES_A_SECOND = 16 * 2**10
"""A body that comes more slowly, after REQUEST_BODY_SECONDS at the beginning, is not waited for."""

DESCRIPTORS_KEPT = 192
"""Descriptors that no connection gets: of the databases, of logs, of files that requests read."""

MOST_DESCRIPTORS = 65_536

MOST_UNTAKEN = 4 * 2**20
"""Bytes that may wait for a client that asks for more, in another request or on a WebSocket."""

MOST_UNTAKEN_OF_NETWORK = 256 * 2**20
"""Bytes that may wait for all the connections of one network together."""

UNSENT_IN_SYSTEM = 128 * 2**10
"""Bytes that the system may keep of what it has not sent yet; left to itself it takes up to 4 MiB a connection."""

LINGER_SECONDS = 2.0
"""How long a client that was refused may go on sending, unheard: cut off at once, it would not read the answer."""

WAITING, SENDING_HEADERS, SENDING_BODY, BEING_ANSWERED, REFUSED, UPGRADED = range(6)


class Visit(ProtocolWrapper):
    """One connection: whose it is, what it is at, and since when."""

    def __init__(self, door: "Door", channel: Any, network: str) -> None:
        # A door has what a connection asks of its factory, and is none.
        super().__init__(door, channel)  # type: ignore[arg-type]
        self.network = network
        self.since = monotonic()
        self.at = SENDING_HEADERS
        self.received = 0
        self._given = 0
        self._owed_since: float | None = None
        self._taken_before = 0
        self._is_plain = False

    def makeConnection(self, transport: Any) -> None:  # noqa: N802
        """Begin; let what the client does not take wait here, where it is counted, and not in the system."""
        with contextlib.suppress(OSError, AttributeError):
            # Not every kind of transport, of socket and of system knows it.
            transport.getHandle().setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_IN_SYSTEM)
        self._is_plain = isinstance(transport, Server) and not transport.TLS
        super().makeConnection(transport)

    def enter(self, state: int) -> None:
        """Begin another part of a request."""
        self.at, self.since = state, monotonic()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Pass on what came."""
        if self.at == WAITING:
            self.enter(SENDING_HEADERS)
        super().dataReceived(data)

    def write(self, data: bytes) -> None:
        """Pass on what the client is to get."""
        self._given += len(data)
        super().write(data)

    def write_now(self, data: bytes) -> None:
        """Pass on what the client is to get, to the system at once where nothing waits before it.

        By `write` it would wait for the next turn of the loop, which costs as much again as the system's own part.
        """
        transport: Any = self.transport
        if self._is_plain and transport.connected and not transport.disconnecting and not self.untaken:
            taken = transport.writeSomeData(data)
            if isinstance(taken, int):  # Otherwise the connection is lost, which writing finds out once more.
                self._given += taken
                data = data[taken:]
        if data:
            self.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: N802
        """Pass on what the client is to get."""
        pieces = list(data)
        self._given += sum(map(len, pieces))
        super().writeSequence(pieces)

    @property
    def untaken(self) -> int:
        """Bytes that wait in this process until the client takes what came before them."""
        # Twisted keeps them in these two; a transport of another kind, such as one of TLS, counts as taken.
        waiting = len(getattr(self.transport, "dataBuffer", b"")) - getattr(self.transport, "offset", 0)
        return int(waiting + getattr(self.transport, "_tempDataLen", 0))

    def owed_seconds(self, now: float) -> float:
        """Return since when it has not been up with what it is sent; 0 where all is taken. Asked every second."""
        untaken = self.untaken
        if not untaken:
            self._owed_since = None
            return 0.0
        if self._owed_since is None:
            self._owed_since, self._taken_before = now, self._given - untaken
        # Twisted hears nothing of somebody who only reads, and would end a long download as idle.
        if (reset := getattr(self.wrappedProtocol, "resetTimeout", None)) is not None:
            reset()
        return now - self._owed_since

    def takes_too_slowly(self, now: float) -> bool:
        """Tell whether it reads more slowly than anybody does, or asks for more than it reads."""
        owed = self.owed_seconds(now)
        if not owed:
            return False
        taken = self._given - self.untaken - self._taken_before
        is_slow = owed > settings.REQUEST_ANSWER_SECONDS + taken / SLOWEST_BYTES_A_SECOND
        return is_slow or (self.at == UPGRADED and self.untaken > MOST_UNTAKEN)

    def is_overdue(self, now: float) -> bool:
        """Tell whether it takes longer than anything that means well."""
        allowed = {
            SENDING_HEADERS: settings.REQUEST_HEADER_SECONDS,
            SENDING_BODY: settings.REQUEST_BODY_SECONDS + self.received / SLOWEST_BYTES_A_SECOND,
            REFUSED: LINGER_SECONDS,
        }
        return self.at in allowed and now - self.since > allowed[self.at]


class Door:
    """All connections of this process: how many there may be, in all and from one network."""

    def __init__(self) -> None:
        self.visits: set[Visit] = set()
        self._by_network: Counter[str] = Counter()
        self._most = raise_descriptors() - DESCRIPTORS_KEPT

    def network(self, address: Any) -> str:
        """Return what connections are counted by: empty for our own proxies and for sockets without an address."""
        host = str(getattr(address, "host", ""))
        return "" if not host or in_networks(host, settings.TRUSTED_PROXIES) else network_of(host)

    def admits(self, network: str) -> bool:
        """Tell whether there is room for one more connection."""
        if len(self.visits) >= self._most:
            return False
        # One network never gets more than half, whatever was set.
        most = min(settings.CONNECTIONS_PER_ADDRESS, self._most // 2)
        return not network or self._by_network[network] < most

    def registerProtocol(self, visit: Visit) -> None:  # noqa: N802 (Twisted's name)
        """Count a connection that was made."""
        self.visits.add(visit)
        self._by_network[visit.network] += 1

    def unregisterProtocol(self, visit: Visit) -> None:  # noqa: N802 (Twisted's name)
        """Forget a connection that was lost."""
        self.visits.discard(visit)
        if visit.at != UPGRADED:
            self._leave(visit.network)

    def upgraded(self, visit: Visit) -> None:
        """Leave a connection that became a WebSocket to the limits of those."""
        if visit.at != UPGRADED:
            visit.enter(UPGRADED)
            self._leave(visit.network)

    def close_overdue(self) -> None:
        """End the connections that take too long."""
        now = monotonic()
        for visit in [visit for visit in self.visits if visit.is_overdue(now) or visit.takes_too_slowly(now)]:
            visit.abortConnection()
        self._make_room(now)

    def _make_room(self, now: float) -> None:
        """End connections of networks for which too much waits, those first that have owed longest."""
        untaken: Counter[str] = Counter()
        for visit in self.visits:
            untaken[visit.network] += visit.untaken
        # Our own proxies, whose network is empty, stand for many clients.
        for network in [name for name, waiting in untaken.items() if name and waiting > MOST_UNTAKEN_OF_NETWORK]:
            owing = [visit for visit in self.visits if visit.network == network and visit.untaken]
            for visit in sorted(owing, key=lambda one: one.owed_seconds(now), reverse=True):
                if untaken[network] <= MOST_UNTAKEN_OF_NETWORK:
                    break
                untaken[network] -= visit.untaken
                visit.abortConnection()

    def _leave(self, network: str) -> None:
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]


def raise_descriptors() -> int:
    """Let this process open as many files and connections as the system allows it, and return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def largest_body(uploads: frozenset[str]) -> Callable[[bytes], int]:
    """Return a function from a request's address to the bytes that may be sent there."""

    def largest(address: bytes) -> int:
        path = address.partition(b"?")[0].decode("latin1")
        is_upload = path in uploads
        return settings.UPLOAD_MAX_BYTES + FORM_ROOM if is_upload else settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    return largest


def guard(protocol: Any) -> Door:
    """Put the limits into daphne's module of the HTTP protocol, before it serves, and return what counts."""
    door = Door()
    largest = largest_body(
        frozenset(map(reverse, ("workload-upload", "api:workload-list", "site-upload", "api:site-list")))
    )

    request: Any = protocol.WebRequest

    class GuardedRequest(request):
        """A request that is refused as soon as it shows that it is too large."""

        def __init__(self, *args: Any, **options: Any) -> None:
            # Django reads forms itself. Daphne's own reader would take each upload into memory first, while nobody
            # else is served, and answer a form that it cannot read with nothing but a number.
            super().__init__(*args, **{**options, "parsePOSTFormSubmission": False})
            self._visit: Visit = self.transport

        def gotLength(self, length: int | None) -> None:  # noqa: N802
            """Make room for the body, unless it says that it is too large."""
            self._room = largest(self.channel._path)
            if length is not None and length > self._room:
                self.content = BytesIO()
                self._refuse()
                return
            self._visit.received = 0
            self._visit.enter(SENDING_BODY)
            super().gotLength(length)

        def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
            """Keep a piece of the body, unless it is one too many."""
            if self._visit.at == REFUSED:
                return
            self._room -= len(data)
            self._visit.received += len(data)
            if self._room < 0:
                self._refuse()
            else:
                super().handleContentChunk(data)

        def requestReceived(self, *arguments: Any) -> None:  # noqa: N802
            """Begin to answer what has come whole."""
            if self._visit.at == REFUSED:
                self._visit.loseConnection()
                return
            if self._visit.untaken > MOST_UNTAKEN:
                # One that sends request after request and reads no answer.
                self._visit.abortConnection()
                return
            self._visit.enter(BEING_ANSWERED)
            channel = self._visit.wrappedProtocol
            super().requestReceived(*arguments)
            if self._visit.wrappedProtocol not in (channel, None):
                door.upgraded(self._visit)

        def finish(self) -> None:
            """End the answer, and wait for another request."""
            self._visit.enter(WAITING)
            super().finish()

        def _refuse(self) -> None:
            self.requestHeaders.removeHeader(b"Expect")
            self.channel.persistent = False
            self.content.close()
            self.content = BytesIO()
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            sentence = f"A request to this address may hold {largest(self.channel._path)} bytes.\n".encode()
            self._visit.enter(REFUSED)
            self._visit.write(
                b"HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
                % (status, b"Content Too Large", len(sentence), sentence)
            )

    build = protocol.HTTPFactory.buildProtocol

    def admit(factory: Any, address: Any) -> Visit | None:
        network = door.network(address)
        return Visit(door, build(factory, address), network) if door.admits(network) else None

    protocol.WebRequest = GuardedRequest
    protocol.HTTPFactory.buildProtocol = admit
    # A second line a request, which Twisted makes and daphne throws away.
    protocol.HTTPFactory.log = lambda *_: None
    sweep = LoopingCall(door.close_overdue)
    sweep.clock = reactor
    sweep.start(1.0, now=False)
    return door
