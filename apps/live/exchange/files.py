"""Writing a file whole or not at all."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

UNFINISHED = ".unfinished-"
"""What stands behind a file's name, before the number of the process, while it is being written."""


def file_write(path: Path, chunks: Iterator[bytes]) -> int:
    """Write chunks to `path`, whole or not at all, and return the number of bytes.

    Until it is whole the file lies beside `path` under the name `FILE.unfinished-PROCESS`. What a killed process left
    there is removed the next time that the file is written.

    Raises:
        OSError: the folder is missing or full; nothing is left behind.
    """
    _leftovers_remove(path)
    unfinished = path.with_name(f"{path.name}{UNFINISHED}{os.getpid()}")
    file = unfinished.open("xb")
    try:
        with file:
            # Held as long as the process lives: so others tell what it is writing from what was left.
            fcntl.flock(file, fcntl.LOCK_EX)
            written = _write_all(file, chunks)
            file.flush()
            os.fsync(file.fileno())
            unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return written


def _leftovers_remove(path: Path) -> None:
    for left in path.parent.glob(f"{_escaped(path.name)}{UNFINISHED}*"):
        with suppress(FileNotFoundError, PermissionError), left.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            left.unlink()


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _write_all(file: IO[bytes], chunks: Iterator[bytes]) -> int:
    return sum(file.write(chunk) for chunk in chunks)
