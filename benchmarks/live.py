"""What the live messages cost and how quick they are, on a site started for the purpose.

    python -m benchmarks.live fanout             1,000 clients and 50 that never read, one daphne, Redis
    python -m benchmarks.live fanout --embedded  200 clients and 50 that never read, no Redis
    python -m benchmarks.live fanout --processes 2   the same clients, two daphne on one port
    python -m benchmarks.live control            how soon pause, resume and stop take effect
    python -m benchmarks.live cost               what publishing takes of a run's throughput

Everything runs on one machine, so that the clients' processor time is part of the load.
"""

import argparse
import base64
import os
import selectors
import socket
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.project import described
from tests.live.live_site import Client, Redis, Site

ACKNOWLEDGE_EVERY = 4
POLICIES = ["fcfs", "fcfs+easy", "sjf", "sjf+easy"]


@contextmanager
def site_of_ones_own(*, with_redis: bool, processes: int = 1) -> Iterator[Site]:
    """Start a site in a folder of its own, and stop it."""
    with tempfile.TemporaryDirectory() as folder:
        redis = Redis(Path(folder)) if with_redis else None
        url = redis.url if redis else ""
        site = Site(Path(folder), redis_url=url, processes=processes, LIVE_MAX_CONNECTIONS_PER_ADDRESS="5000")
        try:
            wait_until_idle(site)
            yield site
        finally:
            site.close()
            if redis is not None:
                redis.stop()


def wait_until_idle(site: Site) -> None:
    """Wait until all processes have started: the first alone would take all clients."""
    before = -1.0
    while (now := site.processor_seconds()) - before > 0.05:
        before = now
        time.sleep(1.0)


def percentile(values: list[float], percent: float) -> float:
    """Return the value below which `percent` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def opened(port: int, path: str, *, receive_buffer: int | None = None) -> socket.socket:
    """Return a socket after the handshake."""
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return connection


@dataclass
class Reader:
    """A client reduced to what it must do: find frames, note when they came, acknowledge."""

    connection: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    greeted: bool = False
    unacknowledged: int = 0
    arrivals: dict[float, float] = field(default_factory=dict)

    def read(self) -> None:
        """Take what has come."""
        data = self.connection.recv(1 << 18)
        if not data:
            raise ConnectionError("The server closed a connection.")
        now = time.time()
        self.buffer += data
        if not self.greeted:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self.buffer.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(self.buffer[:end].decode())
            del self.buffer[: end + 4]
            self.greeted = True
        while (frame := self._frame()) is not None:
            self._take(frame, now)

    def _frame(self) -> bytes | None:
        buffer = self.buffer
        if len(buffer) < 2:
            return None
        length, start = buffer[1] & 0x7F, 2
        if length == 126:
            if len(buffer) < 4:
                return None
            (length,), start = struct.unpack_from(">H", buffer, 2), 4
        elif length == 127:
            raise ConnectionError("A message of over 64 KiB came.")
        if len(buffer) < start + length:
            return None
        opcode, frame = buffer[0] & 0x0F, bytes(buffer[start : start + length])
        del buffer[: start + length]
        if opcode == 9:
            self._send(0x8A, frame)
            return self._frame()
        if opcode != 1:
            raise ConnectionError(f"A frame of kind {opcode} came: {frame[:100]!r}")
        return frame

    def _take(self, frame: bytes, now: float) -> None:
        if frame.startswith(b'{"type":"snapshot"'):
            start = frame.index(b'"published_at":') + 15
            self.arrivals[float(frame[start : frame.index(b",", start)])] = now
        if frame.startswith(b'{"type":"history"'):
            return  # It has no number.
        self.unacknowledged += 1
        if self.unacknowledged == ACKNOWLEDGE_EVERY:
            self.unacknowledged = 0
            sequence = frame[frame.rindex(b'"sequence":') + 11 : -1]
            self._send(0x81, b'{"type":"ack","sequence":%s}' % sequence)

    def _send(self, head: int, payload: bytes) -> None:
        # A mask of zeros leaves the payload as it is.
        self.connection.sendall(bytes((head, 0x80 | len(payload))) + b"\0\0\0\0" + payload)


def read_all(readers: list[Reader], until: threading.Event) -> None:
    """Let every reader read until it is told to stop."""
    selector = selectors.DefaultSelector()
    for reader in readers:
        selector.register(reader.connection, selectors.EVENT_READ, reader)
    while not until.is_set():
        for key, _ in selector.select(timeout=0.2):
            key.data.read()


def fanout(arguments: argparse.Namespace) -> None:
    """Publish to many clients, some of which never read."""
    clients = arguments.clients or (200 if arguments.embedded else 1000)
    with site_of_ones_own(with_redis=not arguments.embedded, processes=arguments.processes) as site:
        run = site.tell("run", name="watched")
        path = f"/ws/runs/{run}/"
        stalled = [opened(site.port, path, receive_buffer=2048) for _ in range(arguments.stalled)]
        print(f"daphne: {', '.join(map(str, site.serving))}", flush=True)
        readers = [Reader(opened(site.port, path)) for _ in range(clients)]
        done = threading.Event()
        reading = threading.Thread(target=read_all, args=(readers, done))
        reading.start()
        site.tell("publish", run=run, count=30)
        memory = [site.memory_kb()]
        processor, own, began = site.processor_seconds(), time.process_time(), time.monotonic()
        site.begin("publish", run=run, count=arguments.seconds * 10, rate=10)
        while time.monotonic() - began < arguments.seconds:
            time.sleep(1)
            memory.append(site.memory_kb())
        published = site.answer()
        time.sleep(1)
        processor, took = site.processor_seconds() - processor, time.monotonic() - began
        done.set()
        reading.join()
        delivered = report_fanout(readers, published, memory)
        own = time.process_time() - own
        print(f"daphne used {processor / took:.2f} cores, the clients {own / took:.2f}; load {os.getloadavg()[0]:.1f}")
        each = 1e6 / delivered
        print(f"processor ms a thousand delivered: daphne {each * processor:.1f}, the clients {each * own:.1f}")
        for connection in [*stalled, *(reader.connection for reader in readers)]:
            connection.close()


def report_fanout(readers: list[Reader], published: list[float], memory: list[int]) -> int:
    """Print what arrived, how late, and what it took; return how many arrived."""
    latencies = [1000 * (reader.arrivals[at] - at) for reader in readers for at in published if at in reader.arrivals]
    missed = len(readers) * len(published) - len(latencies)
    without_the_last = sum(published[-1] not in reader.arrivals for reader in readers)
    print(f"{len(readers)} clients, {len(published)} snapshots: {len(latencies)} delivered, {missed} replaced by newer")
    print(f"clients without the newest snapshot at the end: {without_the_last}")
    print("latency ms: " + ", ".join(f"p{percent} {percentile(latencies, percent):.0f}" for percent in (50, 95, 99)))
    print(f"latency ms: max {max(latencies):.0f}")
    print(f"server memory MB: {memory[0] / 1024:.0f} at the start, {memory[-1] / 1024:.0f} at the end")
    print(f"server memory MB: highest {max(memory) / 1024:.0f}")
    return len(latencies)


def control(arguments: argparse.Namespace) -> None:
    """Pause, resume and stop runs, with Redis and without."""
    for with_redis in (True, False):
        with site_of_ones_own(with_redis=with_redis) as site:
            generate(site, arguments.tasks)
            # Once before, so that the kernels are compiled.
            site.manage("runsimulation", "--workload", "bench", "--limit", "50", "--policies", ",".join(POLICIES))
            cookie = site.tell("user", username="operator", may_control=True)["cookie"]
            print("with Redis" if with_redis else "embedded default")
            taken: dict[str, list[float]] = {"pause": [], "resume": [], "stop": []}
            for number in range(arguments.runs):
                control_one(site, number, cookie, arguments.times, taken)
            for command, values in taken.items():
                print(
                    f"{command}: {len(values)} times, ms until the client is told: "
                    f"median {statistics.median(values):.0f}, p95 {percentile(values, 95):.0f}, max {max(values):.0f}"
                )


def control_one(site: Site, number: int, cookie: str, times: int, taken: dict[str, list[float]]) -> None:
    """Pause and resume one run some times, then stop it."""
    run = site.tell("queue", name=f"controlled {number}", workload="bench", policies=POLICIES)
    with site.client(f"/ws/runs/{run}/", Cookie=cookie) as client:
        process = site.launch("runsimulation", "--run", str(run), "--verbosity", "0")
        # The tasks of the workload are read first, which takes no commands.
        while client.receive("snapshot")["progress"] == 0:
            pass
        for _ in range(times):
            for command, status in (("pause", "paused"), ("resume", "running")):
                # Anywhere within the runner's own period of looking at the queue.
                time.sleep(0.02 + 0.06 * float.fromhex("0x1p-32") * int.from_bytes(os.urandom(4)))
                taken[command].append(milliseconds_until(client, command, status))
        taken["stop"].append(milliseconds_until(client, "stop", "stopped"))
        process.wait(60)


def milliseconds_until(client: Client, command: str, status: str) -> float:
    """Return the milliseconds from a command to the message that it took effect."""
    began = time.perf_counter()
    client.send(type=command)
    client.receive("run_state", status=status)
    return 1000 * (time.perf_counter() - began)


def generate(site: Site, tasks: int) -> None:
    """Store the workload that the runs play."""
    site.manage(
        *("generateworkload", "lublin", "--tasks", str(tasks), "--seed", "1", "--name", "bench", "--verbosity", "0")
    )


def cost(arguments: argparse.Namespace) -> None:
    """Play the same run with and without publishing, in turn."""
    for with_redis in (False, True):
        with site_of_ones_own(with_redis=with_redis) as site:
            generate(site, arguments.tasks)
            taken: dict[bool, list[dict[str, float]]] = {True: [], False: []}
            for number in range(2 * arguments.times + 2):
                publishing = number % 2 == 1
                run = site.tell("queue", name=f"cost {number}", workload="bench", policies=POLICIES)
                figures = site.tell("play", run=run, publishing=publishing)
                if number >= 2:  # The first two load what the others find loaded.
                    taken[publishing].append(figures)
            report_cost("with Redis" if with_redis else "embedded default", arguments.tasks * len(POLICIES), taken)


def report_cost(deployment: str, rows: int, taken: dict[bool, list[dict[str, float]]]) -> None:
    """Print what publishing took."""
    for measure in ("wall", "processor"):
        plain, published = ([figures[measure] for figures in taken[publishing]] for publishing in (False, True))
        pairs = [100 * (with_ / without - 1) for with_, without in zip(published, plain, strict=True)]
        print(
            f"{deployment}, {measure} time: {rows / min(plain):,.0f} placements/s, {rows / min(published):,.0f} "
            f"publishing: {100 * (min(published) / min(plain) - 1):+.1f}% by the quickest of {len(plain)}, "
            f"{statistics.median(pairs):+.1f}% by the median pair"
        )
    for part, of in (("runner_seconds", "of the runner's thread"), ("own_seconds", "in a thread beside it")):
        shares = [100 * figures[part] / figures["processor"] for figures in taken[True]]
        print(f"{deployment}, {of}: {statistics.median(shares):.1f}% of the run's processor time")


def main() -> None:
    """Read the command line."""
    parser = described(__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("fanout", help="many clients on one run")
    one.add_argument("--embedded", action="store_true", help="without Redis")
    one.add_argument("--clients", type=int, help="clients that read (default 1000, embedded 200)")
    one.add_argument("--stalled", type=int, default=50, help="clients that never read")
    one.add_argument("--seconds", type=int, default=60)
    one.add_argument("--processes", type=int, default=1, help="daphne on one port")
    one.set_defaults(action=fanout)
    two = commands.add_parser("control", help="pause, resume, stop")
    two.add_argument("--times", type=int, default=10, help="pauses of each run")
    two.add_argument("--runs", type=int, default=5)
    two.add_argument("--tasks", type=int, default=400_000)
    two.set_defaults(action=control)
    three = commands.add_parser("cost", help="throughput with and without publishing")
    three.add_argument("--times", type=int, default=5)
    three.add_argument("--tasks", type=int, default=100_000)
    three.set_defaults(action=cost)
    arguments = parser.parse_args()
    arguments.action(arguments)


if __name__ == "__main__":
    main()
