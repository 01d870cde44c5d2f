"""The bytes of a trace: opened, hashed and unpacked within limits, then given a block of lines at a time."""

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from scheduler_sim.engine.errors import InvalidTrace, listed
from scheduler_sim.engine.packed.spool import CHUNK, head_of, pieces, spooled
from scheduler_sim.engine.packed.unpack import as_utf8, unpack

MAX_BYTES = 2 * 1024**3
"""The largest trace that is read, after decompression, unless a caller says otherwise."""

MAX_COLUMNS = 1_000
"""Columns of a table; the widest format that people export has a hundred."""

MAX_LINE_BYTES = 16 * 1024**2
"""The longest line of text: a block of lines that is read at once is no larger than this and a chunk."""

_PARQUET = b"PAR1"
_REPLACED = "\ufffd"


@dataclass(frozen=True)
class Source:
    """An opened trace, in memory or, where it is large, in a temporary file; a context that closes it.

    Attributes:
        name: the file's name, for messages.
        file: the bytes after decompression.
        sha256: of the file as given (still compressed), in hexadecimal.
        ending: what ends a line: a line feed, or a carriage return where there is none in the file.
        max_bytes: what may come of it when it is expanded further.
        max_rows: rows that a parquet file may hold, None for any number; of text the lines were counted already.
    """

    name: str
    file: BinaryIO
    sha256: str
    ending: bytes = b"\n"
    max_bytes: int = MAX_BYTES
    max_rows: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.file.close()

    @property
    def is_parquet(self) -> bool:
        """True when the bytes are a parquet file, the one binary format that is read."""
        return head_of(self.file, len(_PARQUET)) == _PARQUET

    def head(self, lines: int) -> list[str]:
        """Return the first non-blank lines, leniently decoded, for recognising the format."""
        found = [line for line in head_of(self.file, CHUNK).splitlines() if line.strip()]
        return [line.decode("utf-8", "replace") for line in found[:lines]]

    def blocks(self) -> Iterator[bytes]:
        """Give the bytes in blocks of whole lines.

        Raises:
            InvalidTrace: a line of more than `MAX_LINE_BYTES`.
        """
        rest = b""
        for piece in pieces(self.file):
            end = piece.rfind(self.ending) + 1
            if end:
                yield rest + piece[:end]
                rest = piece[end:]
            else:
                rest += piece
            if len(rest) > MAX_LINE_BYTES:
                raise InvalidTrace(f"{self.name} holds a line of more than {MAX_LINE_BYTES:,} bytes.")
        if rest:
            yield rest

    def text(self) -> str:
        """Return the whole trace as text.

        Raises:
            InvalidTrace: a byte that is not UTF-8; the message holds its line number.
        """
        return self._decoded(b"".join(pieces(self.file)), 0)

    def lines(self) -> Iterator[str]:
        """Give the lines of a text with what ends each: a line feed, a carriage return or both.

        Raises:
            InvalidTrace: as `blocks`, or a byte that is not UTF-8; the message holds its line number.
        """
        before = 0
        for block in self.blocks():
            yield from io.StringIO(self._decoded(block, before), newline="")
            before += block.count(b"\n")

    def lenient_lines(self, foreign: list[int]) -> Iterator[str]:
        """Give the lines of a text without what ends them, the last one also where it is empty.

        Bytes that are not UTF-8 become question marks, and the numbers of their lines are added to `foreign`.

        Raises:
            InvalidTrace: as `blocks`.
        """
        before, last = 0, ""
        for block in self.blocks():
            text = block.decode("utf-8", "replace")
            if _REPLACED in text:
                foreign += [place for place, line in enumerate(text.split("\n"), before + 1) if _REPLACED in line]
                text = text.replace(_REPLACED, "?")
            before += block.count(b"\n")
            *whole, last = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            yield from whole
        yield last

    def _decoded(self, data: bytes, lines_before: int) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = lines_before + data.count(b"\n", 0, error.start) + 1
            raise InvalidTrace(f"{self.name} is not UTF-8 text: line {line} holds other bytes.") from error


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
    """Take in a file (or an open binary stream), unpacked and as UTF-8.

    Raises:
        InvalidTrace: no such file, a folder, unreadable, empty, larger than `max_bytes` after
            decompression or longer than `max_rows` lines, a packed file that `unpack` refuses, bytes that are
            neither text nor parquet, or no room for it.
    """
    if isinstance(file, str | Path):
        name = name or Path(file).name
        with _opened(Path(file)) as stream:
            raw, sha256 = _taken(name, stream, max_bytes, shown=str(file))
    else:
        name = name or Path(str(getattr(file, "name", "the upload"))).name
        raw, sha256 = _taken(name, file, max_bytes, shown=name)
    data = raw
    try:
        data = as_utf8(name, unpack(name, raw, max_bytes), max_bytes)
        ending = _checked(name, data, max_rows)
    except BaseException:
        data.close()
        raise
    return Source(name=name, file=data, sha256=sha256, ending=ending, max_bytes=max_bytes, max_rows=max_rows)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise InvalidTrace(f"There is no file {path}.") from error
    except IsADirectoryError as error:
        raise InvalidTrace(f"{path} is a folder, not a trace.") from error
    except OSError as error:
        raise InvalidTrace(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InvalidTrace(f"{str(path)!r} is not a file name.") from error


def _taken(name: str, stream: BinaryIO, max_bytes: int, *, shown: str) -> tuple[BinaryIO, str]:
    """Return a copy of the bytes as given and their sha256."""
    hashed = hashlib.sha256()

    def chunks() -> Iterator[bytes]:
        read = 0
        while True:
            try:
                chunk = stream.read(CHUNK)
            except OSError as error:
                raise InvalidTrace(f"{shown} cannot be read: {error.strerror}.") from error
            if not chunk:
                return
            read += len(chunk)
            if read > max_bytes:
                raise InvalidTrace(f"{name} is larger than the limit of {max_bytes:,} bytes.")
            hashed.update(chunk)
            yield chunk

    return spooled(name, chunks()), hashed.hexdigest()


def _checked(name: str, data: BinaryIO, max_rows: int | None) -> bytes:
    """Refuse what holds nothing, is binary or has too many lines, and return what ends the lines."""
    blank = True
    if head_of(data, len(_PARQUET)) == _PARQUET:
        return b"\n"
    nul, feeds, returns = False, 0, 0
    for piece in pieces(data):
        blank = blank and not piece.strip()
        nul = nul or b"\0" in piece
        feeds += piece.count(b"\n")
        if not feeds:
            returns += piece.count(b"\r")
    if blank:
        raise InvalidTrace(f"{name} is empty.")
    if nul:
        raise InvalidTrace(f"{name} is a binary file, not a trace.")
    if max_rows is not None and (feeds or returns) > max_rows:
        raise InvalidTrace(f"{name} has more lines than the limit of {max_rows:,}.")
    return b"\n" if feeds or not returns else b"\r"
