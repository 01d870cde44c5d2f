"""Packed and encoded files: unpacked a chunk at a time within limits, or refused by the name of what they are."""

import bz2
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator

import pyarrow as pa

from scheduler_sim.engine.errors import InvalidTrace

MAX_RATIO = 200
"""The largest expansion of a packed file; real logs reach about 20, a gzip bomb 1,000."""

MAX_LAYERS = 4
"""How many times over a file may be packed."""

_RATIO_APPLIES_FROM = 16 * 1024**2
_CHUNK = 1024**2
_LZMA_MEMORY = 512 * 1024**2
_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\0"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_BZIP2_MARKS = (b"1AY&SY", b"\x17rE8P\x90")

_FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (0, b"Rar!\x1a\x07", "a RAR archive; unpack it first"),
    (0, b"\x1f\x9d", "packed by compress (.Z); unpack it first"),
    (0, b"\x04\x22\x4d\x18", "packed by lz4; unpack it first"),
    (0, b"LZIP", "packed by lzip; unpack it first"),
    (257, b"ustar", "a tar archive; unpack it first"),
    (0, b"SQLite format 3\0", "an SQLite database, not a trace"),
    (0, b"%PDF-", "a PDF document, not a trace"),
    (0, b"\xd0\xcf\x11\xe0", "an old office document; save it as csv"),
    (0, b"ARROW1", "an Arrow (feather) file; save it as parquet"),
    (0, b"\x89HDF\r\n", "an HDF5 file; save it as parquet or csv"),
)
_BYTE_ORDER_MARKS = (
    # The longer marks first: that of UTF-32 begins with that of UTF-16.
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def unpack(name: str, raw: bytes, max_bytes: int) -> bytes:
    """Return the bytes inside all packings: gzip, bzip2, xz, zstd and a zip archive of one file, also in one another.

    Raises:
        InvalidTrace: damaged, larger than `max_bytes` or more than `MAX_RATIO` times as large as the file,
            packed more than `MAX_LAYERS` times, an archive of several files, or a kind that is not read.
    """
    data = raw
    for _ in range(MAX_LAYERS + 1):
        packing = _packing(data)
        if packing is None:
            _refuse_foreign(name, data)
            return data
        data = _collect(name, packing[0], packing[1](name, data), len(raw), max_bytes)
    raise InvalidTrace(f"{name} is packed more than {MAX_LAYERS} times over.")


def as_utf8(name: str, data: bytes) -> bytes:
    """Return text in UTF-16 or UTF-32 as UTF-8, and UTF-8 without its byte order mark; other bytes as they are.

    Raises:
        InvalidTrace: a byte order mark with other bytes behind it.
    """
    encoding = next((found for mark, found in _BYTE_ORDER_MARKS if data.startswith(mark)), None) or _unmarked(data)
    if encoding is None:
        return data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise InvalidTrace(f"{name} begins as {encoding.upper()[:6]} text and holds other bytes.") from error


def _unmarked(data: bytes) -> str | None:
    """Tell UTF-16 without a byte order mark by its zero bytes, which all lie on one side of each pair."""
    head = data[:1000]
    if len(head) < 4 or len(data) % 2:
        return None
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > 0.8 * len(head[1::2]) and not even:
        return "utf-16-le"
    return "utf-16-be" if even > 0.8 * len(head[::2]) and not odd else None


_Unpacker = Callable[[str, bytes], Iterator[bytes]]


def _packing(data: bytes) -> tuple[str, _Unpacker] | None:
    if data.startswith(_GZIP):
        return "gzip", _gunzip
    if data.startswith(b"BZh") and data[4:10] in _BZIP2_MARKS:
        return "bzip2", _bunzip
    if data.startswith(_XZ):
        return "xz", _unxz
    if data.startswith(_ZSTD):
        return "zstd", _unzstd
    return ("zip", _unzip) if data.startswith(_ZIP) else None


def _refuse_foreign(name: str, data: bytes) -> None:
    for offset, mark, what in _FOREIGN:
        if data[offset : offset + len(mark)] == mark:
            raise InvalidTrace(f"{name} is {what}.")


def _collect(name: str, kind: str, chunks: Iterator[bytes], packed: int, max_bytes: int) -> bytes:
    """Write chunks one by one, so that a bomb is noticed before it fills memory."""
    out = io.BytesIO()
    try:
        for chunk in chunks:
            out.write(chunk)
            if out.tell() > max_bytes:
                raise InvalidTrace(f"{name} expands to more than the limit of {max_bytes:,} bytes.")
            if out.tell() > max(_RATIO_APPLIES_FROM, MAX_RATIO * packed):
                raise InvalidTrace(f"{name} expands more than {MAX_RATIO} times, which no trace does.")
    except InvalidTrace:
        raise
    except EOFError as error:
        raise InvalidTrace(f"{name} is a damaged {kind} file: it ends too early.") from error
    except (zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError, ValueError) as error:
        raise InvalidTrace(f"{name} is a damaged {kind} file.") from error
    return out.getvalue()


def _gunzip(_name: str, rest: bytes) -> Iterator[bytes]:
    """Expand every member of a gzip file."""
    while rest.startswith(_GZIP):
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            yield member.decompress(rest, _CHUNK)
            rest = member.unconsumed_tail
            if not rest and not member.eof:
                raise EOFError
        rest = member.unused_data


def _bunzip(_name: str, rest: bytes) -> Iterator[bytes]:
    yield from _streams(bz2.BZ2Decompressor, rest, b"BZh")


def _unxz(_name: str, rest: bytes) -> Iterator[bytes]:
    yield from _streams(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY), rest, _XZ)


def _streams(
    start: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], rest: bytes, mark: bytes
) -> Iterator[bytes]:
    while rest.startswith(mark):
        stream = start()
        while not stream.eof:
            if stream.needs_input and not rest:
                raise EOFError
            yield stream.decompress(rest, _CHUNK)
            rest = b""
        rest = stream.unused_data


def _unzstd(_name: str, data: bytes) -> Iterator[bytes]:
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _unzip(name: str, data: bytes) -> Iterator[bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [entry for entry in archive.infolist() if not entry.is_dir() and "__MACOSX" not in entry.filename]
        if any(entry.filename == "[Content_Types].xml" for entry in members):
            raise InvalidTrace(f"{name} is an office document; save it as csv.")
        if len(members) != 1:
            raise InvalidTrace(f"{name} is a zip archive of {len(members)} files, and a trace is one.")
        if members[0].flag_bits & 1:
            raise InvalidTrace(f"{name} is a zip archive with a password; unpack it first.")
        try:
            stream = archive.open(members[0])
        except NotImplementedError as error:
            raise InvalidTrace(f"{name} is a zip archive of a kind that is not read; unpack it first.") from error
        with stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
