"""A site of its own for a test: a fresh database, a daphne process, and a Redis that can be stopped."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.request import urlopen

from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

from benchmarks.browser import free_port, site_environment
from benchmarks.project import ROOT

FEED = Path(__file__).with_name("live_feed.py")
COMMANDS = """
import json, shlex, sys
import django
from django.core.management import call_command
django.setup()
for command in json.loads(sys.argv[1]):
    call_command(*shlex.split(command))
"""
PATIENCE = 180.0
"""Seconds until something counts as stuck: a busy machine may first have to compile the kernels."""


if TYPE_CHECKING:
    import pytest

Answer = TypeVar("Answer")


def eventually(question: Callable[[], Answer | None], seconds: float = PATIENCE) -> Answer:
    """Return the first true answer.

    Asked ever less often: most questions are answered by processes that have something else to do.
    """
    until, pause = time.monotonic() + seconds, 0.02
    while not (answer := question()):
        if time.monotonic() > until:
            raise AssertionError(f"{question} stayed untrue for {seconds:g} s")
        time.sleep(pause)
        pause = min(0.1, 1.2 * pause)
    return answer


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Redis:
    """A private redis-server."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self.start()

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program is not None, "there is no redis-server"
        self._process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )
        eventually(lambda: _listens(self.port))

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def environment_of(folder: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a site's processes, whose database is in the folder."""
    python = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return site_environment(folder, DJANGO_SETTINGS_MODULE="scheduler_sim.settings", **python, **changes)


def manage(environment: dict[str, str], *commands: str) -> None:
    """Run commands one after the other in a process that starts once for all of them."""
    words = [sys.executable, "-c", COMMANDS, json.dumps(commands)]
    subprocess.run(words, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)


class Site:
    """A daphne process on a database of its own, and a process that feeds it.

    Args:
        database: copied, to save the time of making one.
        descriptors: how many files and connections the server may have open at most; None for the system's limit.
        processes: how many serve its port; with more than one the server is what keeps them alive.
    """

    def __init__(
        self,
        folder: Path,
        *,
        database: Path | None = None,
        redis_url: str = "",
        descriptors: int | None = None,
        processes: int = 1,
        **environment: str,
    ) -> None:
        self.folder = folder
        limits = [] if descriptors is None else ["prlimit", f"--nofile={descriptors}:{descriptors}"]
        self.port = free_port()
        alone = ["daphne", "-b", "127.0.0.1", "-p", str(self.port), "scheduler_sim.asgi:application"]
        several = ["scheduler_sim.web.serve", "--port", str(self.port), "--processes", str(processes)]
        self._command = [*limits, sys.executable, "-m", *(alone if processes == 1 else several)]
        self._processes = processes
        self.environment = environment_of(folder, REDIS_URL=redis_url, **environment)
        self._log = (folder / "daphne.log").open("ab")
        self._feed: subprocess.Popen[str] | None = None
        self._asked = 0
        if database is not None:
            shutil.copy(database, folder / "site.sqlite3")
        else:
            self.manage("migrate", "--verbosity", "0")
        self.start()

    @property
    def log(self) -> str:
        return (self.folder / "daphne.log").read_text()

    def manage(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def launch(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command beside the server."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def start(self) -> None:
        self._daphne = subprocess.Popen(
            self._command, cwd=ROOT, env=self.environment, stdout=self._log, stderr=self._log
        )
        eventually(lambda: _listens(self.port) or self._daphne.poll() is not None)
        assert self._daphne.poll() is None, self.log

    def stop(self) -> None:
        self._daphne.send_signal(signal.SIGINT)
        try:
            self._daphne.wait(10)
        except subprocess.TimeoutExpired:
            self._daphne.kill()
            self._daphne.wait()

    def close(self) -> None:
        if self._feed is not None:
            assert self._feed.stdin is not None
            self._feed.stdin.close()
            self._feed.wait(PATIENCE)
        self.stop()
        self._log.close()

    @property
    def process_id(self) -> int:
        return self._daphne.pid

    @property
    def serving(self) -> list[int]:
        """The numbers of the processes that serve."""
        if self._processes == 1:
            return [self.process_id]
        children = Path(f"/proc/{self.process_id}/task/{self.process_id}/children")
        return [int(one) for one in children.read_text().split()]

    def memory_kb(self) -> int:
        """Return what all that serve hold."""
        statuses = [Path(f"/proc/{process}/status").read_text().splitlines() for process in self.serving]
        return sum(int(next(line for line in one if line.startswith("VmRSS")).split()[1]) for one in statuses)

    def processor_seconds(self) -> float:
        """Return what all that serve have used."""
        stats = [Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split() for process in self.serving]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")

    def metric(self, name: str) -> float:
        """Return a figure of the server's own /metrics."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics") as page:
            lines = page.read().decode().splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])

    def tell(self, do: str, **arguments: Any) -> Any:
        """Let the feeding process do something, and return its answer."""
        self.begin(do, **arguments)
        return self.answer()

    def begin(self, do: str, **arguments: Any) -> None:
        """Let the feeding process do something without waiting for it."""
        if self._feed is None:
            self._feed = subprocess.Popen(
                [sys.executable, str(FEED)],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
            )
        self._asked += 1
        assert self._feed.stdin is not None
        self._feed.stdin.write(json.dumps({"asked": self._asked, "do": do, **arguments}) + "\n")
        self._feed.stdin.flush()

    def answer(self) -> Any:
        """Return the answer to what was asked last; those that a failed test did not wait for are passed over."""
        assert self._feed is not None
        assert self._feed.stdout is not None
        while True:
            line = self._feed.stdout.readline()
            assert line, self.log
            said = json.loads(line)
            if said["asked"] == self._asked:
                return said["answer"]

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    @contextlib.contextmanager
    def client(self, path: str, **headers: str) -> Iterator["Client"]:
        with connect(self.url(path), additional_headers=headers, open_timeout=PATIENCE, proxy=None) as connection:
            yield Client(connection)


def code_of(closed: "pytest.ExceptionInfo[ConnectionClosedError]") -> int:
    """Return the code with which the server ended a connection."""
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


class Client:
    """A client that reads JSON, and acknowledges when it is told to."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def receive(
        self, kind: str | None = None, *, acknowledge: bool = True, seconds: float = PATIENCE, **fields: Any
    ) -> dict[str, Any]:
        """Return the next message, of this kind and with these fields when they are given, within `seconds`."""
        until = time.monotonic() + seconds
        while True:
            message: dict[str, Any] = json.loads(self.connection.recv(timeout=max(0.01, until - time.monotonic())))
            if acknowledge and "sequence" in message:
                with contextlib.suppress(ConnectionClosed):  # What came before the end is still to be read.
                    self.send(type="ack", sequence=message["sequence"])
            if kind in (None, message["type"]) and all(message[key] == value for key, value in fields.items()):
                return message

    def send(self, **message: Any) -> None:
        self.connection.send(json.dumps(message))

    def ask(self, **message: Any) -> dict[str, Any]:
        """Send a message and return the answer to it."""
        self.send(**message)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        while True:
            message = self.receive()
            if message["type"] in ("accepted", "error", "pong"):
                return message
