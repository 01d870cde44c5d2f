"""Which process is which, told without the wall clock.

A process is known by its number, by when it started in clock ticks since the machine was booted, and by the machine:
the id of its boot and the namespace of its process numbers. A step of the wall clock changes none of them.
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

HEARTBEAT_EVERY = timedelta(seconds=5)

_PROC = Path("/proc")


def host_name() -> str:
    """Return what this machine calls itself."""
    return socket.gethostname()


@lru_cache(maxsize=1)
def machine() -> str:
    """Return what tells this machine, since its last boot, and this container from others; its name without /proc."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return host_name()


def start_ticks(process_id: int) -> int | None:
    """Return when a process of this machine started, in clock ticks since boot; None when there is none, or a zombie.

    It tells a process from a later one of the same number. Without /proc a living process is given 0.
    """
    try:
        fields = (_PROC / str(process_id) / "stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else int(fields[19])
    except OSError:
        pass
    if (_PROC / "stat").exists():
        return None
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return 0


def age_seconds(ticks: int) -> float:
    """Return how long ago a process of this machine started, from its start in ticks since boot."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock) - ticks / os.sysconf("SC_CLK_TCK")


def started_at(process_id: int) -> datetime | None:
    """Return when a process of this machine started by the wall clock, which is for people to read."""
    ticks = start_ticks(process_id)
    return None if ticks is None else datetime.now(UTC) - timedelta(seconds=age_seconds(ticks))


@contextlib.contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let a polite kill end what is done inside as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
