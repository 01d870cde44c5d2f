"""Threads that do the same for several policies side by side.

Kernels and NumPy hold no lock of Python's while they work on arrays, so that threads share the cores. What is done in
Python holds it, and is done by one thread after the other.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from threading import Event, Lock
from types import TracebackType
from typing import Protocol, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Each(Protocol):
    """What does the same for each of several things, one after the other as `map`, or side by side as `Crew.each`."""

    def __call__(self, work: Callable[[T], R], things: Iterable[T], /) -> Iterable[R]:
        """Return what `work` returns for each, in their order."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared_by_all(change: Callable[[], AbstractContextManager[None]]) -> Callable[[], AbstractContextManager[None]]:
    """Let a change of the whole process last from the first who enters until the last has left, in whichever order.

    Args:
        change: makes it, and unmakes it at its end.
    """
    lock, inside, made = Lock(), 0, change()

    @wraps(change)
    @contextmanager
    def entered() -> Iterator[None]:
        nonlocal inside, made
        with lock:
            if not inside:
                made = change()
                made.__enter__()
            inside += 1
        try:
            yield
        finally:
            with lock:
                inside -= 1
                if not inside:
                    made.__exit__(None, None, None)

    return entered


QUICK_TURN = 0.0005
"""Seconds for which a thread may go on in Python while another one waits for it."""


@shared_by_all
@contextmanager
def quick_turns() -> Iterator[None]:
    """Let whoever comes back from a kernel go on soon, although a thread beside it works in Python.

    By default it waits for 5 ms, in which another kernel would be done.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(QUICK_TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


class Crew:
    """So many threads, the calling one among them; one thread is a plain loop. Use it as a context manager.

    Attributes:
        failed: set once something raised, for long work that should then stop by itself.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.failed = Event()
        self._pool = ThreadPoolExecutor(threads - 1, "crew") if threads > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def each(self, work: Callable[[T], R], things: Iterable[T], /) -> list[R]:
        """Do the work for each thing, and return what came of it in their order.

        Nothing goes on when it returns or raises.

        Raises:
            BaseException: what the work raised for the first of the things for which it did; of those behind it, what
                was not begun is not done.
        """
        given = list(things)
        if self._pool is None or len(given) < 2:
            return [work(thing) for thing in given]
        left = deque(enumerate(given))
        done: dict[int, R] = {}
        raised: dict[int, BaseException] = {}

        def help_out() -> None:
            while left:
                try:
                    number, thing = left.popleft()
                except IndexError:
                    return  # Another thread was quicker.
                try:
                    done[number] = work(thing)
                except BaseException as error:  # noqa: BLE001 raised below, in the calling thread
                    raised[number] = error
                    self.failed.set()
                    left.clear()

        helpers = [self._pool.submit(help_out) for _ in range(min(self.threads, len(given)) - 1)]
        try:
            help_out()
            wait(helpers)
        except BaseException:
            # Ctrl-C while it waits: what goes on ends first.
            self.failed.set()
            left.clear()
            wait(helpers)
            raise
        if raised:
            raise raised[min(raised)]
        return [done[number] for number in range(len(given))]
