"""Packed and encoded files: unpacked a chunk at a time within limits, or refused by the name of what they are."""

import bz2
import codecs
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import BinaryIO

from scheduler_sim.engine.errors import InvalidTrace, LargerTrace
from scheduler_sim.engine.packed.spool import CHUNK, head_of, pieces, size_of, spooled

MAX_RATIO = 200
"""The largest expansion of a packed file; real logs reach about 20, a gzip bomb 1,000."""

MAX_LAYERS = 4
"""How many times over a file may be packed."""

ENDINGS = frozenset((".gz", ".bz2", ".xz", ".zst", ".zip"))
"""How names of packed files end."""

_RATIO_APPLIES_FROM = 16 * 1024**2
_HEAD = 1000
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
    (0, b"SQLite format 3\0", "an SQLite database, which is not read"),
    (0, b"%PDF-", "a PDF document, which is not read"),
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


def unpack(name: str, raw: BinaryIO, max_bytes: int) -> BinaryIO:
    """Return the bytes inside all packings: gzip, bzip2, xz, zstd and a zip archive of one file, also in one another.

    `raw` is closed unless it is what is returned.

    Raises:
        LargerTrace: larger than `max_bytes`.
        InvalidTrace: damaged, or more than `MAX_RATIO` times as large as the file,
            packed more than `MAX_LAYERS` times, an archive of several files, or a kind that is not read.
    """
    data, packed = raw, size_of(raw)
    try:
        for _ in range(MAX_LAYERS + 1):
            head = head_of(data, _HEAD)
            packing = _packing(head)
            if packing is None:
                _refuse_foreign(name, head)
                return data
            data = _swapped(data, name, _guarded(name, packing[0], packing[1](name, data), packed, max_bytes))
        raise InvalidTrace(f"{name} is packed more than {MAX_LAYERS} times over.")
    except BaseException:
        data.close()
        raise


def unpacked_text(name: str, raw: BinaryIO, max_bytes: int) -> bytes:
    """Return the bytes of a text, unpacked as `unpack` says and as UTF-8 where a byte order mark says what else it is.

    `raw` is closed; it may be a pipe.

    Raises:
        InvalidTrace: as `unpack` and `as_utf8`, or `raw` itself is larger than `max_bytes`.
        OSError: it cannot be read.
    """
    if not raw.seekable():
        raw = _swapped(raw, name, _piped(raw, max_bytes + 1))
    if size_of(raw) > max_bytes:
        raw.close()
        raise InvalidTrace(f"{name} is larger than the limit of {max_bytes:,} bytes.")
    with as_utf8(name, unpack(name, raw, max_bytes), max_bytes) as data:
        data.seek(0)
        return data.read()


def unpacked_name(name: str) -> str:
    """Return a name without the endings of what packs files: `slurm.conf` of `slurm.conf.gz`."""
    while (ending := next((one for one in ENDINGS if name.lower().endswith(one)), "")) and len(name) > len(ending):
        name = name[: -len(ending)]
    return name


def as_utf8(name: str, data: BinaryIO, max_bytes: int) -> BinaryIO:
    """Return text in UTF-16 or UTF-32 as UTF-8, and UTF-8 without its byte order mark; other bytes as they are.

    `data` is closed unless it is what is returned.

    Raises:
        LargerTrace: more than `max_bytes` of UTF-8.
        InvalidTrace: a byte order mark with other bytes behind it.
    """
    head = head_of(data, _HEAD)
    if head.startswith(codecs.BOM_UTF8):
        return _swapped(data, name, pieces(data, len(codecs.BOM_UTF8)))
    encoding = next((found for mark, found in _BYTE_ORDER_MARKS if head.startswith(mark)), None)
    encoding = encoding or _unmarked(head, size_of(data))
    return data if encoding is None else _swapped(data, name, _recoded(name, data, encoding, max_bytes))


def _swapped(old: BinaryIO, name: str, chunks: Iterator[bytes]) -> BinaryIO:
    """Return the chunks that are made of `old`, which is closed."""
    try:
        return spooled(name, chunks)
    finally:
        old.close()


def _piped(pipe: BinaryIO, most: int) -> Iterator[bytes]:
    while most and (piece := pipe.read(min(most, CHUNK))):
        most -= len(piece)
        yield piece


def _recoded(name: str, data: BinaryIO, encoding: str, max_bytes: int) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    made = 0
    try:
        for piece in chain(pieces(data), [b""]):
            recoded = decoder.decode(piece, final=not piece).encode()
            made += len(recoded)
            if made > max_bytes:
                raise LargerTrace(f"{name} expands to more than the limit of {max_bytes:,} bytes.")
            yield recoded
    except UnicodeError as error:
        raise InvalidTrace(f"{name} begins as {encoding.upper()[:6]} text and holds other bytes.") from error


def _unmarked(head: bytes, size: int) -> str | None:
    """Tell UTF-16 without a byte order mark by its zero bytes, which all lie on one side of each pair."""
    if len(head) < 4 or size % 2:
        return None
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > 0.8 * len(head[1::2]) and not even:
        return "utf-16-le"
    return "utf-16-be" if even > 0.8 * len(head[::2]) and not odd else None


_Unpacker = Callable[[str, BinaryIO], Iterator[bytes]]


def _packing(head: bytes) -> tuple[str, _Unpacker] | None:
    if head.startswith(_GZIP):
        return "gzip", _gunzip
    if head.startswith(b"BZh") and head[4:10] in _BZIP2_MARKS:
        return "bzip2", _bunzip
    if head.startswith(_XZ):
        return "xz", _unxz
    if head.startswith(_ZSTD):
        return "zstd", _unzstd
    return ("zip", _unzip) if head.startswith(_ZIP) else None


def _refuse_foreign(name: str, head: bytes) -> None:
    for offset, mark, what in _FOREIGN:
        if head[offset : offset + len(mark)] == mark:
            raise InvalidTrace(f"{name} is {what}.")


def _guarded(name: str, kind: str, chunks: Iterator[bytes], packed: int, max_bytes: int) -> Iterator[bytes]:
    """Pass on chunks one by one, so that a bomb is noticed before it fills a disk."""
    unpacked = 0
    try:
        for chunk in chunks:
            unpacked += len(chunk)
            if unpacked > max_bytes:
                raise LargerTrace(f"{name} expands to more than the limit of {max_bytes:,} bytes.")
            if unpacked > max(_RATIO_APPLIES_FROM, MAX_RATIO * packed):
                raise InvalidTrace(f"{name} expands more than {MAX_RATIO} times, which no log does.")
            yield chunk
    except InvalidTrace:
        raise
    except EOFError as error:
        raise InvalidTrace(f"{name} is a damaged {kind} file: it ends too early.") from error
    except (zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError, ValueError) as error:
        raise InvalidTrace(f"{name} is a damaged {kind} file.") from error


def _gunzip(_name: str, file: BinaryIO) -> Iterator[bytes]:
    """Expand every member of a gzip file."""
    packed = pieces(file)
    rest = next(packed, b"")
    while rest.startswith(_GZIP):
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            rest = rest or next(packed, b"")
            expanded = member.decompress(rest, CHUNK)
            if not rest and not expanded and not member.eof:
                raise EOFError
            yield expanded
            rest = member.unconsumed_tail
        rest = member.unused_data
        if len(rest) < len(_GZIP):
            rest += next(packed, b"")


def _bunzip(_name: str, file: BinaryIO) -> Iterator[bytes]:
    yield from _streams(bz2.BZ2Decompressor, file, b"BZh")


def _unxz(_name: str, file: BinaryIO) -> Iterator[bytes]:
    yield from _streams(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY), file, _XZ)


def _streams(
    start: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], file: BinaryIO, mark: bytes
) -> Iterator[bytes]:
    packed = pieces(file)
    rest = next(packed, b"")
    while rest.startswith(mark):
        stream = start()
        while not stream.eof:
            if stream.needs_input and not rest:
                rest = next(packed, b"")
                if not rest:
                    raise EOFError
            yield stream.decompress(rest, CHUNK)
            rest = b""
        rest = stream.unused_data
        if len(rest) < len(mark):
            rest += next(packed, b"")


def _unzstd(_name: str, file: BinaryIO) -> Iterator[bytes]:
    import pyarrow as pa

    file.seek(0)
    with pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _unzip(name: str, file: BinaryIO) -> Iterator[bytes]:
    with zipfile.ZipFile(file) as archive:
        members = [entry for entry in archive.infolist() if not entry.is_dir() and "__MACOSX" not in entry.filename]
        if any(entry.filename == "[Content_Types].xml" for entry in members):
            raise InvalidTrace(f"{name} is an office document; save it as csv.")
        if len(members) != 1:
            raise InvalidTrace(f"{name} is a zip archive of {len(members)} files; pack one alone.")
        if members[0].flag_bits & 1:
            raise InvalidTrace(f"{name} is a zip archive with a password; unpack it first.")
        try:
            stream = archive.open(members[0])
        except NotImplementedError as error:
            raise InvalidTrace(f"{name} is a zip archive of a kind that is not read; unpack it first.") from error
        with stream:
            while chunk := stream.read(CHUNK):
                yield chunk
