"""What one piece of work may take: memory and time, held by the operating system and told in a sentence."""

import contextlib
import faulthandler
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from django.conf import settings

OVERTIME_SECONDS = 60.0
"""How long after its time a process that hears no signal, inside of some library, is left before it is ended."""

_STATUS = Path("/proc/self/status")


class LimitReached(Exception):
    """The work took more than it may; the sentence says of what, and how much there is."""


@contextlib.contextmanager
def limited(*, memory_bytes: int, seconds: int, setting_of_memory: str, setting_of_time: str) -> Iterator[None]:
    """Let the block take so much memory beyond what the process holds already, and so much time.

    The limit of memory is the kernel's, on private memory that can be written: whoever asks for more, in Python or in
    a library, gets none. Where the system does not tell what a process holds, only the time is limited.

    Args:
        memory_bytes: beyond what the process holds.
        seconds: of the clock; outside of the main thread time is not limited.
        setting_of_memory: what sets the limit, for the sentence.
        setting_of_time: likewise.

    Raises:
        LimitReached: one of the two was not enough.
    """
    try:
        with _memory(memory_bytes), _time(seconds, setting_of_time):
            yield
    except MemoryError:
        megabytes = memory_bytes // 2**20
        raise LimitReached(f"It took more than {megabytes:,} MB of memory ({setting_of_memory}).") from None


def limited_by(name: str, *, times: int = 1) -> contextlib.AbstractContextManager[None]:
    """Let the block take what the settings NAME_MEMORY_MB and NAME_SECONDS say, the latter so many times."""
    return limited(
        memory_bytes=getattr(settings, f"{name}_MEMORY_BYTES"),
        seconds=getattr(settings, f"{name}_SECONDS") * times,
        setting_of_memory=f"{name}_MEMORY_MB",
        setting_of_time=f"{name}_SECONDS",
    )


@contextlib.contextmanager
def _memory(allowed: int) -> Iterator[None]:
    held = _held_bytes()
    if held is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bounds = [held + allowed, *(value for value in (soft, hard) if value != resource.RLIM_INFINITY)]
    pool = pa.default_memory_pool()
    # Arrow's own pools ask for a gigabyte at a time, whatever they use of it.
    pa.set_memory_pool(pa.system_memory_pool())
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        pa.set_memory_pool(pool)


def _held_bytes() -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), None)


@contextlib.contextmanager
def _time(seconds: int, setting: str) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: object) -> None:
        raise LimitReached(f"It took more than {seconds:,} s ({setting}).")

    previous = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    watched = _watch(seconds + OVERTIME_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if watched:
            faulthandler.cancel_dump_traceback_later()


def _watch(seconds: float) -> bool:
    """End the process after so long from a thread that needs nothing of Python; tell whether that can be done."""
    try:
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or sys.stderr)
    except (ValueError, AttributeError, OSError):
        # Its errors go nowhere.
        return False
    return True
