"""Files that are no traces are refused with one clear sentence."""

import gzip
import io
import os
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces import ReadOptions, choose_format, fingerprint, open_source, read_trace

LINE = b"1 0 -1 10 1\n"


def refusal(path: str | Path | BinaryIO, **given: Any) -> str:
    with pytest.raises(InvalidTrace) as caught:
        read_trace(path, **given)
    message = str(caught.value)
    assert message.endswith((".", ").")), message
    assert "\n" not in message
    return message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "There is no file" in refusal(tmp_path / "none.swf")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_an_impossible_name_is_refused() -> None:
    assert "is not a file name" in refusal("a\0b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.swf"
    path.write_bytes(LINE)
    path.chmod(0)
    assert "cannot be read" in refusal(path)


@pytest.mark.parametrize(
    "data", [b"", b"\n \n", b"\xef\xbb\xbf", gzip.compress(b"")], ids=["nothing", "blank", "mark", "gzipped nothing"]
)
def test_an_empty_file_is_refused(data: bytes) -> None:
    assert "is empty" in refusal(io.BytesIO(data))


def test_a_binary_file_is_refused() -> None:
    assert "is a binary file" in refusal(io.BytesIO(b"\x7fELF\x02\x01\0\0\0"))
    assert "is a binary file" in refusal(io.BytesIO(LINE + b"\0"), format="swf")


def test_text_without_a_known_format_is_refused() -> None:
    assert "not recognised" in refusal(io.BytesIO(b"Dear reader\nthis is prose\n"))


def test_an_unknown_format_names_the_valid_ones() -> None:
    assert "Did you mean swf" in refusal(io.BytesIO(LINE), format="swff")


def test_other_bytes_than_utf8_are_refused_with_their_line() -> None:
    message = refusal(io.BytesIO(b"arrival_time,runtime,user\n0,5,ann\n1,5,Andr\xe9\n"), name="jobs.csv")
    assert message == "jobs.csv is not UTF-8 text: line 3 holds other bytes."


def test_a_byte_order_mark_is_skipped() -> None:
    assert len(read_trace(io.BytesIO(b"\xef\xbb\xbf" + LINE)).workload) == 1


def test_an_option_of_another_format_is_refused() -> None:
    assert "no meaning for the format swf" in refusal(io.BytesIO(LINE), options=ReadOptions(steps_per_second=3))


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.swf"
    path.write_bytes(LINE * 100)
    assert "larger than the limit of 1,000 bytes" in refusal(path, max_bytes=1000)
    assert "expands to more than the limit" in refusal(io.BytesIO(gzip.compress(LINE * 100_000)), max_bytes=10_000)


def test_a_gzip_bomb_is_refused() -> None:
    assert "expands more than 200 times" in refusal(io.BytesIO(gzip.compress(b" " * 40_000_000)))


@pytest.mark.parametrize("keep", [5, 30])
def test_a_damaged_gzip_file_is_refused(keep: int) -> None:
    assert "damaged gzip" in refusal(io.BytesIO(gzip.compress(LINE * 100)[:keep]))


def test_a_gzip_file_with_a_wrong_checksum_is_refused() -> None:
    packed = bytearray(gzip.compress(LINE * 100))
    packed[-6] ^= 1
    assert "damaged gzip" in refusal(io.BytesIO(packed))


def test_the_fingerprint_tells_ways_of_reading_apart(tmp_path: Path) -> None:
    source = open_source(io.BytesIO(LINE))
    found = choose_format(source)
    assert fingerprint(source, found) == source.sha256
    assert fingerprint(source, choose_format(source, "swf")) == source.sha256
    assert fingerprint(source, found, ReadOptions(preceding_jobs=True)) != source.sha256
    assert fingerprint(source, choose_format(source, "csv")) != source.sha256
