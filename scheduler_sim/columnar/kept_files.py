"""Files of columns that hold once more what the database holds, so that it is read at once; any of them may go."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

ABANDONED_SECONDS = 3600
"""A file that nothing names, or that was not written to its end, is nobody's after so long."""

_PASSING = ".part"


def written_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file under a passing name and rename it, so that nobody ever reads a part of it.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    passing = path.parent / f"{secrets.token_hex(8)}{_PASSING}"
    try:
        with passing.open("wb") as file:
            write(file)
        passing.replace(path)
    finally:
        passing.unlink(missing_ok=True)


def files_beyond(
    folder: Path, suffix: str, most: float, *, names: set[str] | None = None, leaving: Collection[str] = ()
) -> dict[Path, int]:
    """Return the files of a folder that are to go so that the others take at most so many bytes, and the bytes of each.

    Those used longest ago go first, as the time of their last change tells.

    Args:
        suffix: of the files; others than these are not looked at, nor are those that are being written. What was not
            written to its end goes.
        names: of the files that something names, without the suffix; where given, others go too, unless they are so
            new that a process may be about to name them.
        leaving: the same of those that something else is about to take away: it is as if they were not there.
    """
    old = time.time() - ABANDONED_SECONDS
    taken, gone = 0, {}
    for path, status in sorted(_files(folder, suffix), key=lambda one: one[1].st_mtime, reverse=True):
        is_passing, is_old = path.suffix == _PASSING, status.st_mtime < old
        if (is_passing and not is_old) or path.stem in leaving:
            continue
        is_nobodys = is_passing or (is_old and names is not None and path.stem not in names)
        taken += 0 if is_nobodys else status.st_size
        if is_nobodys or taken > most:
            gone[path] = status.st_size
    return gone


def mark_used(path: Path) -> None:
    """Let a file count as used now; one that was taken away meanwhile stays away."""
    with suppress(OSError):
        os.utime(path)


def _files(folder: Path, suffix: str) -> Iterator[tuple[Path, Any]]:
    # Whatever else lies there, such as lost+found of a file system of its own, is not ours.
    for path in folder.glob("*"):
        if path.suffix in (suffix, _PASSING):
            # Another process may have taken it away.
            with suppress(FileNotFoundError):
                yield path, path.stat()
