"""Files that mean it ill, made from a seed: honest traces that were changed, and files that are hostile throughout."""

import bz2
import gzip
import io
import json
import lzma
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

Chance = random.Random
Maker = Callable[[Chance], bytes]
Pack = Callable[[bytes], bytes]

DATA = Path(__file__).resolve().parent.parent / "data"
HONEST = tuple(
    (DATA / name).read_bytes()
    for name in (
        *("small.swf", "jobs.csv", "sacct.txt", "helios.csv", "pai.csv", "openb_pods.csv", "philly.json"),
        *("gavel_7.trace", "gavel_10.trace"),
    )
)
FORMATS = (*[""] * 40, "csv", "swf", "sacct", "philly", "helios", "pai", "openb", "gavel", "parquet")
NUMBERS = (
    *("1e400", "-1e400", "nan", "inf", "-inf", "1e-320", "-0", "0x10", "1_000", "٣", "½", "1e99999", "--1", "1.2.3"),
    *(
        "9" * 26,
        "9" * 400,
        "9" * 5000,
        "-" + "9" * 26,
        "1" + "0" * 308,
        "9223372036854775808",
        "1.7976931348623157e308",
    ),
)
TEXTS = (
    *("=cmd|' /C calc'!A0", "<script>alert(1)</script>", "\x1b[2J\x1b]0;x\x07", "\u202egnp.exe", "'; DROP TABLE x;--"),
    *(
        "{{7*7}}",
        "%s%n",
        "../../etc/passwd",
        "a\0b",
        "\ud7ff\ufffe",
        "é" * 300,
        "[bold]x[/]",
        '"',
        "'",
        "\\",
        "\r",
        "\t",
    ),
)
NAMES = (
    *("trace.csv", "trace.swf", "trace.parquet", "trace.json", "trace.gz", "trace.zip", "../../etc/passwd", ".csv"),
    *("x" * 250, "a b;c.csv", "\u202ecsv.exe", "<img src=x onerror=alert(1)>.csv", "=1+1.csv", "CON", "名.csv", "-rf"),
)


@dataclass(frozen=True)
class HostileFile:
    """A file to send.

    Attributes:
        kind: what is wrong with it.
        name: the file's name as the client says it.
        format: the format that the client says it has, empty for none.
    """

    kind: str
    name: str
    format: str
    content: bytes


def _lines(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def truncated(chance: Chance) -> bytes:
    """Cut an honest file off anywhere."""
    content = chance.choice(HONEST)
    return content[: chance.randrange(len(content))]


def flipped(chance: Chance) -> bytes:
    """Change some bytes of an honest file."""
    content = bytearray(chance.choice(HONEST))
    for _ in range(chance.randint(1, 20)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


def numbers(chance: Chance) -> bytes:
    """Put numbers that no column holds in the place of honest ones."""
    lines = _lines(chance.choice(HONEST))
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(lines))
        for delimiter in (b"|", b"\t", b",", b" "):
            if delimiter in lines[place]:
                cells = lines[place].split(delimiter)
                cells[chance.randrange(len(cells))] = chance.choice(NUMBERS).encode()
                lines[place] = delimiter.join(cells)
                break
    return b"".join(lines)


def texts(chance: Chance) -> bytes:
    """Give tasks names that mean something elsewhere."""
    rows = ["id,arrival_time,runtime,cpus,user,group,queue,external_id"]
    for number in range(1, 20):
        picked = [json.dumps(chance.choice(TEXTS), ensure_ascii=False) for _ in range(4)]
        rows.append(f"{number},{number},10,1,{','.join(picked)}")
    return "\n".join(rows).encode("utf-8", "surrogatepass")


def doubled_columns(chance: Chance) -> bytes:
    """Repeat columns of a table."""
    lines = _lines(chance.choice([DATA / "jobs.csv", DATA / "pai.csv", DATA / "sacct.txt"]).read_bytes())
    delimiter = b"|" if b"|" in lines[0] else b","
    place = chance.randrange(len(lines[0].split(delimiter)))
    doubled = []
    for line in lines:
        cells = line.rstrip(b"\n").split(delimiter)
        cells.extend([cells[min(place, len(cells) - 1)]] * chance.choice([1, 1, 50]))
        doubled.append(delimiter.join(cells))
    return b"\n".join(doubled)


def wide(chance: Chance) -> bytes:
    """Name 200,000 columns."""
    delimiter = chance.choice([",", "|", "\t"])
    head = "JobID|Submit|State" if delimiter == "|" else delimiter.join(("arrival_time", "runtime"))
    more = chance.choice([["JobID"] * 200_000, [f"c{number}" for number in range(200_000)], [""] * 200_000])
    return (head + delimiter + delimiter.join(more) + "\n" + delimiter.join("1" * 200_000) + "\n").encode()


def long_line(chance: Chance) -> bytes:
    """Write a line of millions of characters."""
    filler = chance.choice([b"1", b" ", b",", b'"', b"\t", b"|", b"[", b"\0", b";"])
    return chance.choice([b"", b"arrival_time,runtime\n0,", b"; MaxProcs: ", b'[{"jobid": "']) + filler * 3_000_000


def many_lines(chance: Chance) -> bytes:
    """Write a million lines with next to nothing on each."""
    return b"arrival_time,runtime\n" + chance.choice([b"\n", b",\n", b"x\n", b"\r", b"#\n"]) * 1_000_000


def dependencies(chance: Chance) -> bytes:
    """Let tasks wait for each other in chains, circles and crowds."""
    size = chance.choice([3, 2_000, 20_000])
    kind = chance.choice(["chain", "circle", "self", "all", "none", "long"])
    rules: dict[str, Callable[[int], str]] = {
        "chain": lambda number: str(number - 1) if number > 1 else "",
        "circle": lambda number: str(number % size + 1),
        "self": str,
        "all": lambda number: ";".join(map(str, range(1, min(number, 60)))),
        "none": lambda number: str(-number),
        "long": lambda number: "9" * 5_000 if number == 2 else "",
    }
    after = rules[kind]
    rows = (f"{number},{number},10,1,{after(number)}" for number in range(1, size + 1))
    return ("id,submit_time,runtime,cpus,dependencies\n" + "\n".join(rows) + "\n").encode()


def encodings(chance: Chance) -> bytes:
    """Write an honest file in another encoding, or in two."""
    text = chance.choice(HONEST).decode("latin1") + "é名\ud83d\n"
    encoding = chance.choice(["utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig", "utf-8"])
    written = text.encode(encoding, "surrogatepass" if encoding != "utf-7" else "replace")
    return chance.choice([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"]) + written + chance.choice([b"", b"\xff\xff"])


def packed(chance: Chance) -> bytes:
    """Pack an honest file, and then cut, repeat, dirty or pack it again."""
    packs: list[Pack] = [gzip.compress, bz2.compress, lzma.compress, _zstd, _zipped]
    pack = chance.choice(packs)
    content = pack(chance.choice(HONEST))
    kind = chance.choice(["cut", "dirty", "again", "doubled", "flipped"])
    if kind == "cut":
        return content[: chance.randrange(1, len(content))]
    if kind == "again":
        for _ in range(chance.randint(1, 4)):
            content = pack(content)
        return content
    if kind == "flipped":
        place = chance.randrange(len(content))
        return content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
    return content + (b"dirt" * 100 if kind == "dirty" else content)


def bomb(chance: Chance) -> bytes:
    """Pack 100 MB into some kilobytes."""
    packs: list[Pack] = [gzip.compress, _zstd, _zipped]
    pack = chance.choice(packs)
    line = chance.choice([b"\0" * 1000, b"0,1\n" * 250, b"x" * 1000])
    return pack(b"arrival_time,runtime\n" + line * 100_000)


def archive(chance: Chance) -> bytes:
    """Make a zip that holds a zip, several files, a path that leads out, or a lie about its sizes."""
    inner = _zipped(chance.choice(HONEST))
    kind = chance.choice(["in zip", "several", "path", "empty", "lie", "folder"])
    if kind == "in zip":
        return _zipped(inner, "inner.zip")
    if kind == "lie":
        return inner.replace(struct.pack("<I", len(HONEST[0])), struct.pack("<I", 2**31), 1)[
            : chance.randrange(20, 400)
        ]
    names = {"several": ["a.csv", "b.csv"], "path": ["../../../tmp/out.csv"], "empty": [], "folder": ["a/"]}[kind]
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as file:
        for name in names:
            file.writestr(name, b"" if name.endswith("/") else chance.choice(HONEST))
    return written.getvalue()


def odd_parquet(chance: Chance) -> bytes:
    """Write Parquet whose columns have types that no trace has, or have names twice."""
    columns = dict(chance.choice(_ODD))
    rows = len(next(iter(columns.values())))
    honest = {"arrival_time": pa.array([float(n) for n in range(rows)]), "runtime": pa.array([1.0] * rows)}
    names = [*honest, *columns]
    arrays = [*honest.values(), *columns.values()]
    if chance.random() < 0.3:
        replaced = chance.choice(["arrival_time", "runtime"])
        arrays[names.index(replaced)] = arrays[-1]
    if chance.random() < 0.3:
        names.append(names[0])
        arrays.append(arrays[0])
    return _parquet(pa.Table.from_arrays(arrays, names=names))


def broken_parquet(chance: Chance) -> bytes:
    """Change bytes of a well-formed Parquet file, its footer among them, or cut it."""
    rows = 500
    table = pa.table({"arrival_time": [float(n) for n in range(rows)], "runtime": [1.0] * rows, "user": ["u"] * rows})
    content = bytearray(_parquet(table))
    if chance.random() < 0.3:
        return bytes(content[: chance.randrange(4, len(content))])
    for _ in range(chance.randint(1, 30)):
        content[chance.randrange(4, len(content) - 4)] = chance.randrange(256)
    return bytes(content)


def nested_json(chance: Chance) -> bytes:
    """Nest, repeat and misname what a log in JSON holds."""
    odd: Any = chance.choice([None, [], {}, "x", -1, 1e308, True, [[[]]], {"a": {"b": {}}}, "9" * 5000])
    log = json.loads((DATA / "philly.json").read_bytes())
    entry = chance.choice(log)
    entry[chance.choice([*entry])] = odd
    attempts = entry.get("attempts")
    if isinstance(attempts, list) and attempts and isinstance(attempts[0], dict) and chance.random() < 0.5:
        attempts[0][chance.choice([*attempts[0]])] = odd
    deep = chance.choice(
        [b"[" * 200_000, b'{"a":' * 100_000, b"[" * 900 + b"]" * 900, b"[1e999999]", b'[{"jobid": 1, "jobid": 2}]']
    )
    return chance.choice([json.dumps(log).encode(), json.dumps(log).encode(), deep])


def headers(chance: Chance) -> bytes:
    """Let a log say of itself what cannot be."""
    value = chance.choice([*NUMBERS, "", ":", "x" * 200_000, "-1", "0"])
    name = chance.choice(["MaxProcs", "MaxNodes", "UnixStartTime", "TimeZone", "Note", "MaxRuntime", "x" * 5_000])
    return f"; {name}: {value}\n; {name}: {value}\n".encode() + (DATA / "small.swf").read_bytes()


def times(chance: Chance) -> bytes:
    """Place tasks at the ends of time."""
    odd = [
        *("0001-01-01", "9999-12-31T23:59:59.999999", "2024-02-30", "2024-13-01", "-1", "1e18", "24:00:00", "now", ""),
        *(
            "2024-03-31T02:30:00+25:00",
            "1970-01-01T00:00:00Z",
            "99999-01-01",
            "00:00",
            "1-00:00:00",
            "999999999-00:00:00",
        ),
    ]
    rows = [f"{number},{chance.choice(odd)},{chance.choice(odd)},1" for number in range(1, 30)]
    return ("id,submit_time,runtime,cpus\n" + "\n".join(rows)).encode()


def nothing(chance: Chance) -> bytes:
    """Send next to nothing."""
    return chance.choice(
        [b"\n", b"\0", b" ", b"arrival_time,runtime\n", b"PAR1", b"\x1f\x8b", b"PK\x03\x04", b"[]", b"{}", b";"]
    )


def noise(chance: Chance) -> bytes:
    """Send bytes that mean nothing."""
    return chance.choice(
        [b"", b"PAR1", b"\x1f\x8b\x08", b"PK\x03\x04", b"BZh9", b"\x28\xb5\x2f\xfd"]
    ) + chance.randbytes(chance.choice([10, 1_000, 100_000]))


KINDS: tuple[Maker, ...] = (
    *(truncated, flipped, numbers, texts, doubled_columns, wide, long_line, many_lines, dependencies, encodings),
    *(packed, bomb, archive, odd_parquet, broken_parquet, nested_json, headers, times, nothing, noise),
)


def hostile_files(count: int, seed: int) -> Iterator[HostileFile]:
    """Yield `count` files; each kind comes as often as the others, and a file depends on `seed` and its place alone."""
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        make = KINDS[number % len(KINDS)]
        content = make(chance) or b"\n"
        kind = make.__name__.replace("_", " ")
        yield HostileFile(kind, chance.choice(NAMES), chance.choice(FORMATS), content)


def _zstd(content: bytes) -> bytes:
    written: bytes = pa.compress(content, "zstd", asbytes=True)
    return written


def _zipped(content: bytes, name: str = "trace.csv") -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return written.getvalue()


def _parquet(table: Any) -> bytes:
    written = io.BytesIO()
    parquet.write_table(table, written)
    return written.getvalue()


_ODD: tuple[dict[str, Any], ...] = (
    {"cpus": pa.array([[1], [2, 3], None])},
    {"cpus": pa.array([{"a": 1}, None, {"a": 2}])},
    {"memory_mb": pa.array([Decimal("1.5"), None, Decimal("99999999999999999999999999")])},
    {"user": pa.array([b"\xff\xfe", b"", None])},
    {"user": pa.array([1, 2, None])},
    {"user": pa.DictionaryArray.from_arrays(pa.array([0, 0, None], pa.int32()), ["x" * 500])},
    {"cpus": pa.array([True, False, None])},
    {"cpus": pa.array(["1", "x", None])},
    {"cpus": pa.array([float("nan"), float("inf"), -1.0])},
    {"cpus": pa.array([2**63 - 1, -(2**63), None])},
    {"task_id": pa.array([2**64 - 1, 0, 0], pa.uint64())},
    {"task_id": pa.array([1, 1, 1])},
    {"cpus": pa.array([None, None, None], pa.null())},
    {"submit_time": pa.array([date(1, 1, 1), date(9999, 12, 31), None])},
    {"submit_time": pa.array([2**62, -(2**62), None], pa.timestamp("ns"))},
    {"submit_time": pa.array([2**52, -(2**52), None], pa.timestamp("s", "Europe/Berlin"))},
    {"dependencies": pa.array([[None], [-1, 2**62], None], pa.list_(pa.int64()))},
    {"dependencies": pa.array([[["deep"]], [[]], None])},
    {"gpus": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64()))},
    {"user": pa.array([], pa.string())},
)
"""Columns of three rows, the last one of none."""
