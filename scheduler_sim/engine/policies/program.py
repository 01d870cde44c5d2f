"""Policies that are programs of any language: one line of JSON on a pipe says what changed, one says what starts.

`docs/library.md` describes the lines. A program decides as a class does (`own.deciding`), sees what a class sees, and
is refused what a class is refused.
"""

import json
import logging
import os
import selectors
import shlex
import signal
import subprocess
import time
import weakref
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import IO, Any, NoReturn

import numpy as np

from scheduler_sim.engine.errors import InvalidPolicy

PROTOCOL = 1
"""The version of the lines; a program says which one it speaks."""

ANSWER_SECONDS = 10.0
"""So long a program may take for an answer, by the clock, unless it is given another time."""

LONGEST_ANSWER = 86_400
"""Seconds that it may be given at most."""

LONGEST_LINE = 1 << 24
"""Bytes of an answer."""

TOLD = ("arrival_time", "ready_time", "estimate", "cpus", "gpus", "memory_mb", "user", "group", "partition")
"""What a program is told of a task when it is ready, under the names that a class knows (`State`)."""

_log = logging.getLogger(__name__)


class ProgramFault(InvalidPolicy):
    """What a program does wrong, in a whole sentence."""


@dataclass(frozen=True)
class Program:
    """A command line that is started for each simulation, without a shell, and how long an answer may take."""

    command: tuple[str, ...]
    timeout: float = ANSWER_SECONDS

    @classmethod
    def read(cls, command: str | Sequence[str], timeout: float = ANSWER_SECONDS) -> "Program":
        """Read a command line, as a shell divides it into words, or the words.

        Raises:
            InvalidPolicy: there are none, or the time is not above 0 and at most `LONGEST_ANSWER`.
        """
        try:
            words = shlex.split(command) if isinstance(command, str) else [os.fspath(word) for word in command]
        except ValueError as error:
            raise InvalidPolicy(f"The command line {command!r} cannot be read: {error}.") from error
        if not words:
            raise InvalidPolicy("A policy's program has no command line.")
        if not (isinstance(timeout, int | float) and 0 < timeout <= LONGEST_ANSWER):
            raise InvalidPolicy(
                f"A program is given {timeout} s for an answer; that must be above 0 and at most {LONGEST_ANSWER:,}."
            )
        return cls(tuple(words), timeout)

    @property
    def text(self) -> str:
        """The command line as a person types it."""
        return shlex.join(self.command)

    def hello(self) -> dict[str, Any]:
        """Start the program, ask who it is, and end it.

        Raises:
            ProgramFault: it does not start, or what it says is not an introduction.
        """
        pipe = Pipe(self, self.text, "")
        try:
            return pipe.greet("when it is greeted")
        finally:
            pipe.close()


class Pipe:
    """A running program, spoken to line by line.

    Args:
        called: what to call it in sentences.
        when: what it starts for, for sentences.

    Raises:
        ProgramFault: it does not start.
    """

    def __init__(self, program: Program, called: str, when: str) -> None:
        self._program, self._called = program, called
        self._said = b""
        self._last_words = ""
        try:
            process = subprocess.Popen(  # noqa: S603
                program.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                # What it starts itself ends with it.
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ProgramFault(f"{' '.join((called, 'does not start', when)).strip()}: {reason}.") from error
        self._process = process
        # Where nobody closes it, it ends with what speaks to it, and at the latest with this process.
        self._end = weakref.finalize(self, _kill, process)
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise RuntimeError("A pipe is missing.")
        self._to, self._from = process.stdin, process.stdout
        for stream in (self._to, self._from):
            os.set_blocking(stream.fileno(), False)
        self._listener = Thread(target=self._listen, args=(process.stderr,), daemon=True)
        self._listener.start()

    def _listen(self, errors: IO[bytes]) -> None:
        """Hand what the program says on its standard error to the log."""
        with suppress(OSError, ValueError):
            for line in iter(lambda: errors.readline(1 << 12), b""):
                words = line.decode(errors="replace").strip()
                if words:
                    self._last_words = words
                    _log.warning("%s: %s", self._called, words)

    def greet(self, when: str) -> dict[str, Any]:
        """Return how the program introduces itself.

        Raises:
            ProgramFault: it does not, or speaks another version of the lines.
        """
        found = self.ask({"type": "hello", "protocol": PROTOCOL}, when)
        name, clairvoyant = found.get("name"), found.get("clairvoyant", False)
        if found.get("protocol") != PROTOCOL:
            raise ProgramFault(
                f"{self._called} speaks version {found.get('protocol')!r} of the lines; this is version {PROTOCOL}."
            )
        if not isinstance(name, str) or not isinstance(clairvoyant, bool):
            raise ProgramFault(
                f"{self._called} introduces itself as {_cut(found)}: a name is missing, or clairvoyant is neither true "
                "nor false."
            )
        return found

    def tell(self, message: dict[str, Any], when: str) -> None:
        """Send a line that has no answer; errors as of `ask`."""
        self._talk(message, when, answered=False)

    def ask(self, message: dict[str, Any], when: str) -> dict[str, Any]:
        """Send a line and return the answer.

        Args:
            when: what it is asked about, for sentences.

        Raises:
            ProgramFault: it has ended, is silent for too long, or answers something else than one object.
        """
        answer = self._talk(message, when, answered=True)
        try:
            found = json.loads(answer)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ProgramFault(f"{self._called} answers {_cut(answer)} {when}, which is no object in JSON.")
        return found

    def _talk(self, message: dict[str, Any], when: str, *, answered: bool) -> str:
        """Write a line and read one, whichever goes on first: neither side may hold up the other for ever."""
        left = memoryview(json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n")
        deadline = time.monotonic() + self._program.timeout
        with selectors.DefaultSelector() as ready:
            ready.register(self._to, selectors.EVENT_WRITE)
            ready.register(self._from, selectors.EVENT_READ)
            while left or (answered and b"\n" not in self._said):
                if not (events := ready.select(max(deadline - time.monotonic(), 0.0))):
                    raise ProgramFault(
                        f"{self._called} has not {'answered' if answered else 'read its line'} in "
                        f"{self._program.timeout:g} s {when}."
                    )
                for key, _ in events:
                    if key.fileobj is self._from:
                        self._hear(when)
                        continue
                    try:
                        left = left[os.write(self._to.fileno(), left) :]
                    except BlockingIOError:
                        continue
                    except OSError:
                        # It reads no more, but may have answered before.
                        if b"\n" not in self._said:
                            self._hear(when)
                        if b"\n" not in self._said:
                            self._refuse_end(when)
                        left = left[len(left) :]
                        break
                    if not left:
                        ready.unregister(self._to)
        line, _, rest = self._said.partition(b"\n")
        if rest or (self._said and not answered):
            raise ProgramFault(f"{self._called} says {_cut(rest or self._said)} {when} without being asked.")
        self._said = b""
        return line.decode(errors="replace")

    def _hear(self, when: str) -> None:
        try:
            heard = os.read(self._from.fileno(), 1 << 16)
        except BlockingIOError:
            return
        if not heard:
            self._refuse_end(when)
        self._said += heard
        if len(self._said) > LONGEST_LINE:
            raise ProgramFault(f"{self._called} answers more than {LONGEST_LINE:,} bytes {when}.")

    def _refuse_end(self, when: str) -> NoReturn:
        """Refuse to go on with a program that has ended, or closed its pipe."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            raise ProgramFault(f"{self._called} closes its pipe {when}.") from None
        self._listener.join(1.0)
        last = f"; its last words: {_cut(self._last_words)}" if self._last_words else ""
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        raise ProgramFault(f"{self._called} ended {how} {when}{last}.")

    def close(self, farewell: dict[str, Any] | None = None) -> None:
        """End the program: a last line where there is one, the end of its input, and then it has to go."""
        if not self._end.alive:
            return
        if farewell is not None:
            with suppress(ProgramFault):
                self.tell(farewell, "at the end")
        with suppress(OSError):
            self._to.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(min(self._program.timeout, 1.0))
        self._end()
        self._listener.join(1.0)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()


def _cut(said: Any) -> str:
    shown = said.decode(errors="replace") if isinstance(said, bytes) else said if isinstance(said, str) else repr(said)
    return repr(shown.strip()[:200])


class ProgramDecider:
    """Decides for one simulation what a program says; the program starts when it is asked first.

    Args:
        name: of the policy.
    """

    def __init__(self, name: str, program: Program) -> None:
        self._name, self._program = name, program
        self._pipe: Pipe | None = None
        self._row_of: dict[int, int] = {}
        self._begun = np.empty(0, np.int64)
        self._running = np.empty(0, np.int64)

    def decide(self, state: Any) -> Iterable[int | tuple[int, int]]:
        """Tell the program what changed and return what it starts.

        Args:
            state: a `kernels.decided.state.State`.

        Raises:
            ProgramFault: the program does not start, ends, is silent, or says something that is no answer.
        """
        when = state.when()
        if self._pipe is None:
            self._pipe = self._introduced(state, when)
        message = {
            "type": "decide",
            "time": _number(state.time),
            "arrived": [self._task(state, row) for row in self._news(state)],
            "ended": self._ended(state),
            "started": [
                [int(state.task_id[row]), int(state.node[row]), _number(state.expected_end_time[row])]
                for row in self._begun.tolist()
            ],
            "free": self._changes(state),
        }
        answer = self._pipe.ask(message, when)
        starts = answer.get("start")
        if not isinstance(starts, list):
            raise ProgramFault(f"{self._name} answers {_cut(answer)} {when}, where a list start was expected.")
        rows = [self._start(one, when) for one in starts]
        self._begun = np.array([one[0] if isinstance(one, tuple) else one for one in rows], np.int64)
        self._running = np.concatenate((self._running, self._begun))
        return rows

    def close(self) -> None:
        """End the program."""
        if self._pipe is not None:
            self._pipe.close({"type": "end"})

    def _introduced(self, state: Any, when: str) -> Pipe:
        pipe = Pipe(self._program, self._name, when)
        found = pipe.greet(when)
        if found["name"] != self._name:
            raise ProgramFault(f"{self._program.text} was {self._name} when it was registered, and is {found['name']}.")
        n = len(state.task_id)
        self._known = np.zeros(n, bool)
        self._shows_runtime = found.get("clairvoyant", False)
        self._free = self._free_now(state)
        nodes = [
            {"cores": cores, "gpus": gpus, "memory_mb": memory}
            for cores, gpus, memory in zip(*map(_numbers, self._free), strict=True)
        ]
        pipe.tell({"type": "begin", "tasks": n, "nodes": nodes}, when)
        return pipe

    def _news(self, state: Any) -> list[int]:
        arrived = state.queue[~self._known[state.queue]]
        self._known[arrived] = True
        return [int(row) for row in arrived]

    def _task(self, state: Any, row: int) -> dict[str, Any]:
        number = int(state.task_id[row])
        self._row_of[number] = row
        told = {name: getattr(state, name)[row] for name in TOLD}
        if self._shows_runtime:
            told["runtime"] = state.runtime[row]
        found = {
            "id": number,
            **{name: value if isinstance(value, str) else _number(value) for name, value in told.items()},
        }
        admitting = state.admitting(row)
        if len(admitting) < len(state.free_cores):
            found["nodes"] = admitting.tolist()
        return found

    def _ended(self, state: Any) -> list[int]:
        over = np.isnan(state.expected_end_time[self._running])
        ended = state.task_id[self._running[over]].tolist()
        self._running = self._running[~over]
        return list(ended)

    def _changes(self, state: Any) -> list[list[float | int | None]]:
        now = self._free_now(state)
        changed = np.flatnonzero((now != self._free).any(axis=0))
        self._free = now
        return [[node, *_numbers(now[:, node])] for node in changed.tolist()]

    @staticmethod
    def _free_now(state: Any) -> Any:
        return np.stack([state.free_cores, state.free_gpus, state.free_memory_mb])

    def _start(self, one: Any, when: str) -> int | tuple[int, int]:
        parts = one if isinstance(one, list) else [one]
        if len(parts) not in (1, 2) or any(type(part) is not int for part in parts):
            raise ProgramFault(f"{self._name} starts {_cut(one)} {when}, where a task's id or [id, node] was expected.")
        row = self._row_of.get(parts[0])
        if row is None:
            raise ProgramFault(f"{self._name} starts task {parts[0]} {when}, of which it was not told.")
        return row if len(parts) == 1 else (row, parts[1])


def _number(value: Any) -> float | int | None:
    """Return a number as JSON has it: whole ones without a point; None for what is not finite."""
    number = float(value)
    if not np.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def _numbers(values: Any) -> list[float | int | None]:
    return [_number(value) for value in values]
