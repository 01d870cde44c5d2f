"""The bytes of a trace: opened, decompressed within limits, hashed, decoded."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from scheduler_sim.engine.errors import InvalidTrace, listed
from scheduler_sim.engine.traces.unpack import as_utf8, unpack

MAX_BYTES = 2 * 1024**3
"""The largest trace that is read, after decompression, unless a caller says otherwise."""

MAX_COLUMNS = 1_000
"""Columns of a table; the widest format that people export has a hundred."""

_CHUNK = 1024**2
_PARQUET = b"PAR1"
_REPLACED = "\ufffd"


@dataclass(frozen=True)
class Source:
    """A trace in memory.

    Attributes:
        name: the file's name, for messages.
        data: the bytes after decompression.
        sha256: of the file as given (still compressed), in hexadecimal.
        max_rows: rows that a parquet file may hold, None for any number; of text the lines were counted already.
    """

    name: str
    data: bytes
    sha256: str
    max_rows: int | None = None

    @property
    def is_parquet(self) -> bool:
        """True when the bytes are a parquet file, the one binary format that is read."""
        return self.data.startswith(_PARQUET)

    def head(self, lines: int) -> list[str]:
        """Return the first non-blank lines, leniently decoded, for recognising the format."""
        found = [line for line in self.data[:_CHUNK].splitlines() if line.strip()]
        return [line.decode("utf-8", "replace") for line in found[:lines]]

    def text(self) -> str:
        """Return the whole trace as text.

        Raises:
            InvalidTrace: a byte that is not UTF-8; the message holds its line number.
        """
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = self.data.count(b"\n", 0, error.start) + 1
            raise InvalidTrace(f"{self.name} is not UTF-8 text: line {line} holds other bytes.") from error

    def lenient_text(self) -> tuple[str, list[int]]:
        """Return the whole trace as text, and the lines in which bytes that are not UTF-8 became question marks."""
        text = self.data.decode("utf-8", "replace")
        if _REPLACED not in text:
            return text, []
        return text.replace(_REPLACED, "?"), [
            place for place, line in enumerate(text.split("\n"), 1) if _REPLACED in line
        ]


def refuse_columns(name: str, count: int) -> None:
    """Refuse a table of more than `MAX_COLUMNS` columns.

    Raises:
        InvalidTrace: it has more.
    """
    if count > MAX_COLUMNS:
        raise InvalidTrace(f"{name} has {count:,} columns, where {MAX_COLUMNS:,} are allowed.")


def refuse_doubled(name: str, columns: Sequence[str]) -> None:
    """Refuse a file that gives two columns one name.

    Raises:
        InvalidTrace: it does.
    """
    if doubled := sorted(column for column, count in Counter(columns).items() if count > 1):
        raise InvalidTrace(f"{name} has more than one column called {listed([repr(one) for one in doubled])}.")


def open_source(
    file: str | Path | BinaryIO, *, name: str | None = None, max_bytes: int = MAX_BYTES, max_rows: int | None = None
) -> Source:
    """Read a file (or an open binary stream) whole, unpacked and as UTF-8.

    Raises:
        InvalidTrace: no such file, a folder, unreadable, empty, larger than `max_bytes` after
            decompression or longer than `max_rows` lines, a packed file that `unpack` refuses, or bytes that are
            neither text nor parquet.
    """
    if isinstance(file, str | Path):
        name = name or Path(file).name
        raw = _read_file(Path(file), max_bytes)
    else:
        name = name or Path(str(getattr(file, "name", "the upload"))).name
        raw = file.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise InvalidTrace(f"{name} is larger than the limit of {max_bytes:,} bytes.")
    data = as_utf8(name, unpack(name, raw, max_bytes))
    if len(data) > max_bytes:
        raise InvalidTrace(f"{name} expands to more than the limit of {max_bytes:,} bytes.")
    if not data.strip():
        raise InvalidTrace(f"{name} is empty.")
    if b"\0" in data and not data.startswith(_PARQUET):
        raise InvalidTrace(f"{name} is a binary file, not a trace.")
    if max_rows is not None and not data.startswith(_PARQUET) and data.count(b"\n") > max_rows:
        raise InvalidTrace(f"{name} has more lines than the limit of {max_rows:,}.")
    return Source(name=name, data=data, sha256=hashlib.sha256(raw).hexdigest(), max_rows=max_rows)


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as stream:
            # Python makes room at once for all that is asked for, so no more is than there is.
            status = os.fstat(stream.fileno())
            most = min(status.st_size, max_bytes) if stat.S_ISREG(status.st_mode) else max_bytes
            return stream.read(most + 1)
    except FileNotFoundError as error:
        raise InvalidTrace(f"There is no file {path}.") from error
    except IsADirectoryError as error:
        raise InvalidTrace(f"{path} is a folder, not a trace.") from error
    except OSError as error:
        raise InvalidTrace(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InvalidTrace(f"{str(path)!r} is not a file name.") from error
