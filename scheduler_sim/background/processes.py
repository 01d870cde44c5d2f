"""Whether the process that plays a run still lives."""

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.utils import timezone

HEARTBEAT_EVERY = timedelta(seconds=5)
STALE_AFTER = timedelta(seconds=60)
"""A runner on another machine is taken for dead when it has been silent for so long."""


def host_name() -> str:
    """Return what this machine calls itself."""
    return socket.gethostname()


def started_at(process_id: int) -> datetime | None:
    """Return when a process of this machine started, None when there is no such process.

    Read from /proc, in clock ticks since the machine started; it tells a process from a later one of the same
    number. Where there is no /proc a living process is given the epoch.
    """
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
        if fields[0] == "Z":
            return None
        booted = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
        ticks = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return datetime.fromtimestamp(int(booted.split()[1]) + ticks, UTC)
    except (OSError, StopIteration):
        pass
    if Path("/proc/stat").exists():
        return None
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return datetime.fromtimestamp(0, UTC)


def is_alive(
    *, host: str, process_id: int | None, process_started_at: datetime | None, heartbeat_at: datetime | None
) -> bool:
    """Tell whether the runner so described still lives.

    On this machine the process table answers at once; of another machine only the heartbeat speaks.
    """
    if process_id is None:
        return False
    if host == host_name():
        started = started_at(process_id)
        # The start is computed from two rounded clocks, so a second's difference is the same process.
        return started is not None and (
            process_started_at is None or abs(started - process_started_at) < timedelta(seconds=2)
        )
    return heartbeat_at is not None and timezone.now() - heartbeat_at < STALE_AFTER
