"""Keys that steer the run in the terminal it was started from."""

import select
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from apps.live.play.launch import run_command
from apps.results.errors import DomainError
from apps.results.models import Run
from scheduler_sim.texts import visible

KEYS = {"p": "pause", "r": "resume", "q": "stop"}
HINT = "Keys: p pause, r resume, q stop."


@contextmanager
def steering(run: Run) -> Iterator[bool]:
    """Put the commands of pressed keys into the run's command queue while the body runs.

    Yields:
        Whether there is a terminal to press keys in.
    """
    if not sys.stdin.isatty():
        yield False
        return
    before = termios.tcgetattr(sys.stdin)
    over = threading.Event()
    listener = threading.Thread(target=_listen, args=(run, over), name="keyboard", daemon=True)
    try:
        # Keys one by one and without an echo; Ctrl-C still interrupts.
        tty.setcbreak(sys.stdin)
        listener.start()
        yield True
    finally:
        over.set()
        listener.join()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _listen(run: Run, over: threading.Event) -> None:
    try:
        while not over.is_set():
            ready, _, _ = select.select([sys.stdin], [], [], 0.1)
            if not ready:
                continue
            command = KEYS.get(sys.stdin.read(1).lower())
            if command is None:
                continue
            try:
                # A row of its own: the runner's thread changes the other one.
                run_command(run=Run.objects.get(pk=run.pk), command=command)
            except DomainError as error:
                sys.stderr.write(f"{visible(str(error))}\n")
    finally:
        connection.close()
