"""Several server processes on one port.

    python -m scheduler_sim.web.serve --processes 2 --port 8000

The port is opened once, here, and every process takes connections from it: one that is busy takes fewer, and when one
falls those that wait are taken by the others. A fallen process is replaced; SIGTERM, SIGINT and the end of the terminal
end all. Nothing of Django is loaded in this process, so that it costs next to no memory.
"""

import argparse
import ctypes
import functools
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

SETTLED_SECONDS = 10.0
"""A process that lived so long had started well."""

LONGEST_PAUSE = 30.0
"""Seconds before another start, at most, when processes fall soon after theirs."""

GIVE_UP_AFTER = 4
"""Processes that fell soon after their start, one after the other, after which nobody waits for one that does not."""

ENDING = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))

END_SECONDS = 15.0
"""How long the processes may take to end; daphne gives its connections ten."""

PR_SET_PDEATHSIG = 1


class Crew:
    """Processes of one kind: so many are kept alive.

    Args:
        command: what each runs.
        count: how many.
        descriptors: open files that each inherits.
        say: takes a line about what happened.
    """

    def __init__(
        self, command: Sequence[str], count: int, *, descriptors: Sequence[int] = (), say: Callable[[str], object]
    ) -> None:
        self._command, self._count, self._descriptors, self._say = command, count, descriptors, say
        self._began: dict[subprocess.Popen[bytes], float] = {}
        self._fell_soon = 0
        self._next_start = 0.0

    def run(self) -> int:
        """Keep the processes alive until a signal says otherwise, and return the code to end with."""
        told, telling = os.pipe()
        for end in (told, telling):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(telling)
        for number in (*ENDING, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        try:
            while not self._is_hopeless():
                self._start_missing()
                wait = None if len(self._began) == self._count else max(self._next_start - time.monotonic(), 0.0)
                select.select([told], [], [], wait)
                if ENDING.intersection(_read(told)):
                    return 0
                self._bury()
            self._say("The server processes end soon after they start; see what they said.")
            return 1
        finally:
            self._end()

    def _is_hopeless(self) -> bool:
        settled = time.monotonic() - SETTLED_SECONDS
        return self._fell_soon >= GIVE_UP_AFTER and all(began > settled for began in self._began.values())

    def _start_missing(self) -> None:
        while len(self._began) < self._count and time.monotonic() >= self._next_start:
            process = subprocess.Popen(  # noqa: S603 the command is this module's own
                self._command,
                pass_fds=self._descriptors,
                # Its own group, so that Ctrl+C in a terminal reaches it once, by way of this process.
                process_group=0,
                preexec_fn=functools.partial(_end_with_parent, os.getpid()),  # noqa: PLW1509 there is one thread
            )
            self._began[process] = time.monotonic()

    def _bury(self) -> None:
        """Take note of those that ended."""
        now = time.monotonic()
        for process in [one for one in self._began if one.poll() is not None]:
            lived = now - self._began.pop(process)
            self._fell_soon = 0 if lived >= SETTLED_SECONDS else self._fell_soon + 1
            pause = min(2.0**self._fell_soon / 2, LONGEST_PAUSE) if self._fell_soon else 0.0
            self._next_start = now + pause
            self._say(f"Server process {process.pid} ended with {process.returncode}; another starts.")

    def _end(self) -> None:
        for process in self._began:
            process.terminate()
        until = time.monotonic() + END_SECONDS
        for process in self._began:
            try:
                process.wait(max(until - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except BlockingIOError:
        return b""


def _end_with_parent(parent: int) -> None:
    """Let the system end this process when the one that started it is killed; it knows that on Linux alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)


def main() -> int:
    """Read the command line, open the port, and serve."""
    parser = argparse.ArgumentParser(description="Serve the site by several processes on one port.")
    parser.add_argument("--bind", default="127.0.0.1", help="IPv4 address to listen at (%(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at (%(default)s)")
    parser.add_argument("--processes", type=int, default=1, help="how many; one a core at most (%(default)s)")
    parser.add_argument("--verbosity", type=int, default=0, help="of daphne; 1 is a line a request (%(default)s)")
    arguments = parser.parse_args()
    if arguments.processes < 1:
        parser.error("--processes must be at least 1.")
    if ":" in arguments.bind:
        # Daphne takes an open port for one of IPv4, and then reads other addresses of its clients than theirs.
        parser.error("--bind takes an IPv4 address; one process serves IPv6: daphne -b ADDRESS -p PORT.")
    try:
        port = socket.create_server((arguments.bind, arguments.port), backlog=512)
    except (OSError, OverflowError) as error:
        parser.error(f"Nothing can listen at {arguments.bind}, port {arguments.port}: {error}.")
    with port:
        number, count = port.fileno(), arguments.processes
        say(f"Serving port {port.getsockname()[1]} of {arguments.bind}; processes: {count}.")
        daphne = ["daphne", "-v", str(arguments.verbosity), "--fd", str(number), "scheduler_sim.asgi:application"]
        return Crew([sys.executable, "-m", *daphne], count, descriptors=[number], say=say).run()


def say(line: str) -> None:
    """Write a line for whoever started this."""
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
