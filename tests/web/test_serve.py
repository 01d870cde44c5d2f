"""Processes that share a port: kept alive, replaced, and ended together."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

DRIVER = r"""
import os, sys
from scheduler_sim.web import serve
serve.LONGEST_PAUSE, serve.END_SECONDS = 0.01, 0.3
said = "import os, signal, sys; say = lambda: os.write(1, b'started %d\\n' % os.getpid()); say();"
command = [sys.executable, "-S", "-c", said + sys.argv[1]]
sys.exit(serve.Crew(command, 2, say=lambda line: os.write(1, f"{line}\n".encode())).run())
"""

Crew = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def crew() -> Iterator[Crew]:
    started: list[subprocess.Popen[str]] = []

    def start(child: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", DRIVER, child]
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


def next_started(crew: subprocess.Popen[str]) -> int:
    assert crew.stdout is not None
    while not (line := crew.stdout.readline()).startswith("started"):
        assert line, "it ended"
    return int(line.split()[1])


def is_gone(process: int) -> bool:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError):
            # One that nobody has waited for is gone all the same.
            if " Z " not in Path(f"/proc/{process}/stat").read_text():
                time.sleep(0.01)
                continue
        return True
    return False


def test_a_fallen_process_is_replaced_and_all_end_with_the_first(crew: Crew) -> None:
    one = crew("signal.pause()")
    first, second = next_started(one), next_started(one)
    os.kill(first, signal.SIGKILL)
    third = next_started(one)
    assert len({first, second, third}) == 3
    one.terminate()
    assert one.wait(60) == 0
    assert is_gone(second)
    assert is_gone(third)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
def test_no_process_outlives_the_first_whatever_ends_it(crew: Crew, number: signal.Signals) -> None:
    # Those that do not heed the wish to end are made to, except by one that is killed itself.
    deaf = "" if number == signal.SIGKILL else "signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    one = crew(f"{deaf} say(); signal.pause()")
    processes = {next_started(one) for _ in range(4)}
    one.send_signal(number)
    one.wait(60)
    assert all(map(is_gone, processes))


def test_processes_that_cannot_start_are_not_started_for_ever(crew: Crew) -> None:
    said, _ = crew("sys.exit(3)").communicate(timeout=60)
    assert "ended with 3; another starts." in said
    assert said.splitlines()[-1] == "The server processes end soon after they start; see what they said."


def test_a_port_that_is_taken_and_a_wrong_number_are_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, sentence in (
            (["--port", port], f"Nothing can listen at 127.0.0.1, port {port}: [Errno 98] Address already in use"),
            (["--port", "70000"], "Nothing can listen at 127.0.0.1, port 70000: "),
            (["--processes", "0"], "--processes must be at least 1."),
            (["--bind", "::1"], "--bind takes an IPv4 address; one process serves IPv6: daphne -b ADDRESS -p PORT."),
        ):
            command = [sys.executable, "-m", "scheduler_sim.web.serve", *arguments]
            ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert ended.returncode == 2
            assert f"error: {sentence}" in ended.stderr
