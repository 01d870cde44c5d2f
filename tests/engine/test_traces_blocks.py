"""A file is read in blocks, and where they end makes no difference to what is read and said of it."""

import gzip
import io
import random
import tempfile
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from scheduler_sim.engine.errors import EngineError, InvalidTrace
from scheduler_sim.engine.packed import spool
from scheduler_sim.engine.traces import delimited, generic, open_source, read_trace, source, swf, texts
from scheduler_sim.engine.traces.texts import Texts
from scheduler_sim.engine.workloads.workload import Labels, Parents

ODD = ["x", "inf", "-2", "N/A", "", "02:03", "1-00:00:00", "16G", "1_0", "90 min", "2024-01-02"]


def number(chance: random.Random) -> str:
    return chance.choice(ODD) if chance.random() < 0.1 else str(chance.randrange(1, 900))


def instant(chance: random.Random) -> str:
    zone = chance.choice(["", "", "Z"])
    return f"2024-0{chance.randrange(1, 9)}-11T0{chance.randrange(9)}:10:{chance.randrange(10, 60)}{zone}"


def swf_text(chance: random.Random) -> str:
    lines = ["; MaxProcs: 64"]
    for _ in range(40):
        fields_ = [str(chance.randrange(1, 30)), str(chance.randrange(900)), *(number(chance) for _ in range(16))]
        lines.append(" ".join(text.replace(" ", "") or "-1" for text in fields_))
        lines += chance.choice([[], [], ["; Note: one", "; Note: two"], ["1 2 3"], [""]])
    return "\n".join(lines)


def table_text(chance: random.Random) -> str:
    lines = ["task_id,arrival_time,runtime,user,memory_mb,dependencies,note"]
    for row in range(40):
        # The first two are sound, for others depend on them.
        note = "n" if row < 2 else chance.choice(["n", '"a,b"', '"a\nb"', "é", "a,b", '"open'])
        runtime = "60" if row < 2 else number(chance)
        parents = "" if row < 2 else chance.choice(["", "", "1", "[0; 1]"])
        lines.append(f"{row},{instant(chance)},{runtime},u{row % 7},{number(chance)},{parents},{note}")
    return "\n".join(lines) + "\n"


def sacct_text(chance: random.Random) -> str:
    lines = ["JobID|JobName|User|Submit|Start|End|Elapsed|Timelimit|NCPUS|ReqMem|AllocTRES|State"]
    for row in range(40):
        name = chance.choice(["a", "a", "x|y", "two\nlines", "\udce9"])
        times = "|".join(instant(chance) for _ in range(3))
        held = chance.choice(["cpu=4,mem=8G,node=1", "cpu=x", ""])
        state = chance.choice(["COMPLETED", "RUNNING", "CANCELLED by 7"])
        memory = chance.choice(["4G", "2Gc", "1Gn", "bad", ""])
        asked = f"{number(chance)}|{number(chance)}|{memory}"
        lines.append(f"{row}|{name}|u{row % 5}|{times}|0{row % 9}:10:00|{asked}|{held}|{state}")
    return "\r\n".join(lines)


def seen(data: bytes, name: str) -> Any:
    """Return all that a reading gives, as plain values."""
    try:
        trace = read_trace(io.BytesIO(data), name=name)
    except EngineError as error:
        return str(error)
    columns: dict[str, Any] = {}
    for field in fields(trace.workload):
        values = getattr(trace.workload, field.name)
        if isinstance(values, Labels):
            columns[field.name] = values.texts().tolist()
        elif isinstance(values, np.ndarray):
            columns[field.name] = list(map(repr, values.tolist()))
        elif isinstance(values, Parents):
            columns[field.name] = (values.offsets.tolist(), values.rows.tolist())
    asked = trace.workload.requests
    for name, values in {} if asked is None else asked.columns().items():
        columns[name] = list(map(repr, (values.texts() if isinstance(values, Labels) else values).tolist()))
    return trace.format, columns, trace.headers, trace.audit.sentences(), list(trace.audit.as_json()["noticed"])


@pytest.fixture
def in_small_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def set_them() -> None:
        monkeypatch.setattr(spool, "CHUNK", 61)
        monkeypatch.setattr(spool, "IN_MEMORY", 200)
        monkeypatch.setattr(swf, "_BLOCK", 5)
        for module in (texts, delimited, generic):
            monkeypatch.setattr(module, "PIECE_ROWS", 7)

    return set_them


@pytest.mark.parametrize("write", [swf_text, table_text, sacct_text])
def test_small_blocks_give_what_one_gives(write: Callable[[random.Random], str], in_small_blocks: Any) -> None:
    files = []
    for seed in range(40):
        data = write(random.Random(seed)).encode("utf-8", "surrogateescape")
        files.append(gzip.compress(data) if seed % 4 == 0 else data)
    whole = [seen(data, f"file {seed}") for seed, data in enumerate(files)]
    assert sum(not isinstance(found, str) for found in whole) > 20
    in_small_blocks()
    assert [seen(data, f"file {seed}") for seed, data in enumerate(files)] == whole


def test_small_batches_of_parquet_give_what_one_gives(in_small_blocks: Any) -> None:
    users = pa.array([None if row % 9 == 0 else f" u{row % 4} " for row in range(50)])
    table = pa.table(
        {
            "task_id": [2**60 + row for row in range(50)],
            "arrival_time": pa.array([None if row == 30 else row * 1000 for row in range(50)], pa.timestamp("ms")),
            "runtime": pa.array([row * 1_000_000 for row in range(50)], pa.duration("us")),
            "user": users.dictionary_encode(),
            "queue": users,
            "dependencies": [[] if row < 10 else [2**60 + row - 1] for row in range(50)],
        }
    )
    out = io.BytesIO()
    parquet.write_table(table, out, row_group_size=20)
    whole = seen(out.getvalue(), "a.parquet")
    assert whole[1]["user"] == whole[1]["queue"]
    assert set(whole[1]["user"]) == {"", "u0", "u1", "u2", "u3"}
    in_small_blocks()
    assert seen(out.getvalue(), "a.parquet") == whole


def test_lines_end_with_a_carriage_return_where_there_is_no_line_feed() -> None:
    rows = "1 0 -1 5 2\r2 7 -1 5 2\r3 9 -1 5 2\r"
    with open_source(io.BytesIO(rows.encode())) as opened:
        assert [*opened.blocks()] == [rows.encode()]
    assert len(read_trace(io.BytesIO(rows.encode())).workload) == 3
    with pytest.raises(InvalidTrace, match="more lines than the limit of 2"):
        open_source(io.BytesIO(rows.encode()), max_rows=2)


def test_a_line_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_LINE_BYTES", 3_000_000)
    text = "arrival_time,runtime\n0,1\n" + "9" * 5_000_000
    with pytest.raises(InvalidTrace, match=r"jobs.csv holds a line of more than 3,000,000 bytes\."):
        read_trace(io.BytesIO(text.encode()), name="jobs.csv", format="csv")


def test_a_byte_that_is_no_text_is_found_in_its_line(in_small_blocks: Any) -> None:
    in_small_blocks()
    text = b"arrival_time,runtime\n" + b"0,1\n" * 100 + b"0,\xff\n" + b"0,1\n" * 100
    with pytest.raises(InvalidTrace, match="line 102 holds other bytes"):
        read_trace(io.BytesIO(text), format="csv")


def test_texts_are_what_was_given_without_blanks_and_unknown_words() -> None:
    given = ["a", " b ", "NaN", "", None, "a", "b", 7, "unknown words"]
    column = Texts.of(given)
    wanted = ["a", "b", "", "", "", "a", "b", "7", "unknown words"]
    assert column.objects().tolist() == wanted
    assert [column.at(row) for row in range(len(given))] == wanted
    assert column.labels().texts().tolist() == wanted
    assert column.labels().names == ("", "7", "a", "b", "unknown words")
    assert column.map(len, np.int64).tolist() == [*map(len, wanted)]


def test_a_full_disk_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", lambda _size: Full())
    with pytest.raises(InvalidTrace, match=r"There is no room for jobs in .*: No space left on device\."):
        read_trace(io.BytesIO(b"1 0 -1 5 2\n"), name="jobs")
