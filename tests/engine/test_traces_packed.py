"""Traces that are packed or in another encoding are read, or refused by the name of what they are."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pytest

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.traces.source import MAX_BYTES

TEXT = "arrival_time,runtime,user\n0,5,Zoë\n1,6,Jörg\n"
PLAIN = TEXT.encode()


def zipped(data: bytes, name: str = "jobs.csv") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("folder")
        archive.writestr(f"folder/{name}", data)
        archive.writestr(f"__MACOSX/._{name}", b"\0\5")
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return packed


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "zip": zipped,
}


def refusal(data: bytes, max_bytes: int = MAX_BYTES) -> str:
    with pytest.raises(InvalidTrace) as caught:
        read_trace(io.BytesIO(data), name="jobs", max_bytes=max_bytes)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    return str(caught.value)


@pytest.mark.parametrize("outer", [None, *PACK])
@pytest.mark.parametrize("inner", PACK)
def test_packed_files_are_read_also_in_one_another(outer: str | None, inner: str) -> None:
    data = PACK[inner](PLAIN)
    trace = read_trace(io.BytesIO(PACK[outer](data) if outer else data), name="jobs")
    assert trace.workload.user.texts().tolist() == ["Zoë", "Jörg"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_parts_packed_one_after_another_are_one_file(pack: Callable[[bytes], bytes]) -> None:
    half = len(PLAIN) // 2
    assert len(read_trace(io.BytesIO(pack(PLAIN[:half]) + pack(PLAIN[half:])), name="jobs").workload) == 2


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        gzip.compress(TEXT.encode("utf-16")),
    ],
    ids=["utf-16", "big-endian", "utf-32", "utf-8 with a mark", "no mark", "no mark, big-endian", "gzipped"],
)
def test_wide_text_is_read(data: bytes) -> None:
    assert read_trace(io.BytesIO(data), name="jobs").workload.user.texts().tolist() == ["Zoë", "Jörg"]


def test_a_byte_order_mark_with_other_bytes_behind_it_is_refused() -> None:
    assert "begins as UTF-16 text and holds other bytes" in refusal(b"\xff\xfea\xd8b\xd8c")


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("keep", [12, -7])
def test_a_damaged_file_is_refused_by_its_kind(kind: str, keep: int) -> None:
    said = refusal(PACK[kind](PLAIN * 50)[:keep])
    assert f"damaged {kind} file" in said


@pytest.mark.parametrize("kind", PACK)
def test_a_bomb_and_a_file_over_the_limit_are_refused(kind: str) -> None:
    bomb = PACK[kind](b"1" * 18_000_000)
    assert "expands more than 200 times" in refusal(bomb)
    assert "expands to more than the limit of 1,000 bytes" in refusal(PACK[kind](PLAIN * 500), max_bytes=1000)


def test_a_bomb_inside_another_packing_is_refused() -> None:
    assert "expands more than 200 times" in refusal(bz2.compress(gzip.compress(b" " * 20_000_000)))


def test_packings_without_end_are_refused() -> None:
    data = PLAIN
    for _ in range(5):
        data = gzip.compress(data)
    assert "packed more than 4 times" in refusal(data)


def archive(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name in names:
            packed.writestr(name, PLAIN)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (archive("a.csv", "b.csv"), "a zip archive of 2 files"),
        (archive(), "a zip archive of 0 files"),
        (archive("[Content_Types].xml", "xl/workbook.xml"), "an office document; save it as csv"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(30), "a 7z archive"),
        (b"Rar!\x1a\x07\x01\0", "a RAR archive"),
        (b"\x1f\x9d\x90abc", "packed by compress"),
        (b"\x04\x22\x4d\x18abc", "packed by lz4"),
        (b"a.csv".ljust(257, b"\0") + b"ustar\0" + bytes(300), "a tar archive"),
        (gzip.compress(b"a.csv".ljust(257, b"\0") + b"ustar\0" + bytes(300)), "a tar archive"),
        (b"SQLite format 3\0" + bytes(50), "an SQLite database"),
        (b"%PDF-1.7\n", "a PDF document"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_read_is_named(data: bytes, what: str) -> None:
    assert what in refusal(data)
