"""Files with what Slurm's commands printed, as commands are given them."""

import gzip
import sys
from pathlib import Path

from django.core.management.base import CommandError


def printed_text(name: str) -> str:
    """Return the text of a file, unpacked where its name ends in .gz; `-` is standard input.

    Raises:
        CommandError: it cannot be read.
    """
    try:
        if name == "-":
            return sys.stdin.read()
        content = Path(name).read_bytes()
        return (gzip.decompress(content) if name.endswith(".gz") else content).decode("utf-8", "replace")
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise CommandError(f"{name} cannot be read: {reason}.") from error


def storing_told(stored: str | None, *, is_new: bool, known: str) -> str:
    """Say what became of what was read: stored under a name, known before as `known` says, or neither."""
    if stored is None:
        return "Nothing was stored (--dry-run)."
    return f"Stored as {stored}." if is_new else f"{known} {stored}."
