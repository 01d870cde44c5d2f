"""The bytes of a trace: opened, decompressed within limits, hashed, decoded."""

import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from scheduler_sim.engine.errors import InvalidTrace

MAX_BYTES = 2 * 1024**3
"""The largest trace that is read, after decompression, unless a caller says otherwise."""

MAX_RATIO = 200
"""The largest expansion of a gzip file; real logs reach about 20, a gzip bomb 1,000."""

_RATIO_APPLIES_FROM = 16 * 1024**2
_CHUNK = 1024**2
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Source:
    """A trace in memory.

    Attributes:
        name: the file's name, for messages.
        data: the bytes after decompression.
        sha256: of the file as given (still compressed), in hexadecimal.
    """

    name: str
    data: bytes
    sha256: str

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


def open_source(file: str | Path | BinaryIO, *, name: str | None = None, max_bytes: int = MAX_BYTES) -> Source:
    """Read a file (or an open binary stream) whole, through gzip where it is compressed.

    Raises:
        InvalidTrace: no such file, a folder, unreadable, empty, larger than `max_bytes` after
            decompression, a damaged gzip file or one that expands more than `MAX_RATIO` times, or bytes
            that are neither text nor parquet.
    """
    if isinstance(file, str | Path):
        name = name or Path(file).name
        raw = _read_file(Path(file), max_bytes)
    else:
        name = name or Path(str(getattr(file, "name", "the upload"))).name
        raw = file.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise InvalidTrace(f"{name} is larger than the limit of {max_bytes:,} bytes.")
    data = _decompress(name, raw, max_bytes) if raw.startswith(_GZIP) else raw
    data = data.removeprefix(_BYTE_ORDER_MARK)
    if not data.strip():
        raise InvalidTrace(f"{name} is empty.")
    if b"\0" in data and not data.startswith(_PARQUET):
        raise InvalidTrace(f"{name} is a binary file, not a trace.")
    return Source(name=name, data=data, sha256=hashlib.sha256(raw).hexdigest())


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise InvalidTrace(f"There is no file {path}.") from error
    except IsADirectoryError as error:
        raise InvalidTrace(f"{path} is a folder, not a trace.") from error
    except OSError as error:
        raise InvalidTrace(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InvalidTrace(f"{str(path)!r} is not a file name.") from error


def _decompress(name: str, raw: bytes, max_bytes: int) -> bytes:
    """Expand every member of a gzip file, a chunk at a time so that a bomb is noticed before it fills memory."""
    out = io.BytesIO()
    rest = raw
    try:
        while rest.startswith(_GZIP):
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                out.write(member.decompress(rest, _CHUNK))
                rest = member.unconsumed_tail
                if out.tell() > max_bytes:
                    raise InvalidTrace(f"{name} expands to more than the limit of {max_bytes:,} bytes.")
                if out.tell() > max(_RATIO_APPLIES_FROM, MAX_RATIO * len(raw)):
                    raise InvalidTrace(f"{name} expands more than {MAX_RATIO} times, which no trace does.")
                if not rest and not member.eof:
                    raise InvalidTrace(f"{name} is a damaged gzip file: it ends too early.")
            rest = member.unused_data
    except zlib.error as error:
        raise InvalidTrace(f"{name} is a damaged gzip file.") from error
    return out.getvalue()
