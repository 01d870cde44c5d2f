"""Bytes kept for being read more than once: small ones in memory, large ones in a temporary file."""

import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from scheduler_sim.engine.errors import InvalidTrace

CHUNK = 1024**2
"""Bytes read, unpacked or written at once."""

IN_MEMORY = 32 * 1024**2
"""What is larger than this goes to a file without a name, in the folder that TMPDIR names."""


def spooled(name: str, chunks: Iterable[bytes]) -> BinaryIO:
    """Keep what the chunks hold, until it is closed.

    Raises:
        InvalidTrace: there is no room for it; and what `chunks` raise.
    """
    kept = cast(BinaryIO, tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115  (the caller closes it)
    try:
        for chunk in chunks:
            _write(name, kept, chunk)
    except BaseException:
        kept.close()
        raise
    return kept


def pieces(kept: BinaryIO, first: int = 0) -> Iterator[bytes]:
    """Give the bytes from `first` on, a chunk at a time; others may read from it meanwhile."""
    while True:
        kept.seek(first)
        piece = kept.read(CHUNK)
        if not piece:
            return
        first += len(piece)
        yield piece


def head_of(kept: BinaryIO, length: int) -> bytes:
    """Return the first bytes."""
    kept.seek(0)
    return kept.read(length)


def size_of(kept: BinaryIO) -> int:
    """Return the number of bytes."""
    return kept.seek(0, 2)


def _write(name: str, kept: BinaryIO, chunk: bytes) -> None:
    try:
        kept.write(chunk)
    except OSError as error:
        raise InvalidTrace(f"There is no room for {name} in {tempfile.gettempdir()}: {error.strerror}.") from error
