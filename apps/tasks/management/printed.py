"""Files with what Slurm's commands printed, as commands are given them."""

import sys
from pathlib import Path

from django.core.management.base import CommandError

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.packed.unpack import unpacked_text

MOST_BYTES = 2**30
"""Of what a file holds; a month of queues, printed every minute, has some hundred megabytes."""


def printed_text(name: str) -> str:
    """Return the text of a file, unpacked (gzip, bzip2, xz, zstd, a zip of one file); `-` is standard input.

    Raises:
        CommandError: it cannot be read.
    """
    try:
        if name == "-":
            return sys.stdin.read()
        return unpacked_text(name, Path(name).open("rb"), MOST_BYTES).decode("utf-8", "replace")
    except InvalidTrace as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror or error}.") from error


def storing_told(stored: str | None, *, is_new: bool, known: str) -> str:
    """Say what became of what was read: stored under a name, known before as `known` says, or neither."""
    if stored is None:
        return "Nothing was stored (--dry-run)."
    return f"Stored as {stored}." if is_new else f"{known} {stored}."
