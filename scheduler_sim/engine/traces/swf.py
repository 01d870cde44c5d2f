"""Reading the Standard Workload Format of the Parallel Workloads Archive (Chapin et al., JSSPP 1999).

Fields, from 1: 1 job number, 2 submit s, 3 wait s, 4 run s, 5 allocated processors, 7 used memory (KB a
processor), 8 requested processors, 9 requested s, 10 requested memory (KB a processor), 11 status, 12 user,
13 group, 15 queue, 17 preceding job, 18 think time s. -1 means not known. The others are not read.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from scheduler_sim.engine.traces.audit import EXAMPLES, Audit, shorten
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, reads
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.traces.swf_write import FIELDS, KB_PER_MB, shortest
from scheduler_sim.engine.traces.table import is_number
from scheduler_sim.engine.traces.texts import UNKNOWN
from scheduler_sim.engine.workloads.workload import LARGEST_INTEGER, BoolArray, FloatArray, IntArray, Labels

READ = (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 15, 17, 18)
"""The fields that are read, from 1."""

NEEDED = (2, 4)
"""The fields that must be numbers, or the line is broken; text in another one costs that value alone."""

_NAMES = {
    1: "job number",
    3: "wait",
    5: "allocated processors",
    7: "used memory",
    8: "requested processors",
    9: "requested time",
    10: "requested memory",
    11: "status",
    12: "user",
    13: "group",
    15: "queue",
    17: "preceding job",
    18: "think time",
}
_ALLOCATED, _REQUESTED = 5, 8
_NAMED_BY_NUMBER = (11, 12, 13, 15)
_PARTIAL = (2.0, 3.0, 4.0)
_CANCELLED = 5.0

FEWEST_FIELDS = 5
"""A line with fewer fields names no processors and is broken."""

_BLOCK = 50_000
_SMALL_BLOCK = 500
_BLANKS = bytes.maketrans(b"\t\r\x0b\x0c", b"    ")
_HEADER = re.compile(r";\s*([A-Za-z][A-Za-z0-9_]*)\s*:(?:\s+(.*?))?\s*$")
_MACHINE = re.compile(r";+\s*max[ _-]?(proc(?:essor)?s|nodes)\s*[:=]\s*(.*?)\s*$", re.IGNORECASE)
_PLAIN = re.compile(r"(\d+)")
_UNUSUAL = re.compile(
    r"(\d{1,3}(?:[,'_ ]\d{3})+|\d+)(?:\.0*)?"
    r"(?:\s*(?:proc(?:essor)?s?|cpus?|cores?|nodes?|pes?))?(?:\s*[(;\[].*)?",
    re.IGNORECASE,
)


def recognises(head: list[str]) -> bool:
    """Tell an SWF file by its comment sign or by a first line that begins with five numbers or more."""
    first = head[0].lstrip()
    if first.startswith(";"):
        return True
    fields = first.split()[:FEWEST_FIELDS]
    return len(fields) == FEWEST_FIELDS and all(map(is_number, fields))


@reads(
    "swf",
    description="Standard Workload Format of the Parallel Workloads Archive",
    recognises=recognises,
    options=frozenset({"preceding_jobs", "think_times"}),
)
def read(source: Source, options: ReadOptions, audit: Audit) -> Reading:
    """Parse an SWF file.

    Whole blocks of clean lines are parsed at once; a block that holds a line of another shape is read
    again line by line, so that one broken line costs only itself.
    """
    comments: dict[int, bytes] = {}
    parsed = _Columns()
    for lines, places in _blocks(source, comments):
        for first in range(0, len(lines), _BLOCK):
            last = first + _BLOCK
            _read_block(lines[first:last], places[first:last], parsed, audit)
    headers = _headers(comments, audit)
    audit.read = len(parsed)
    table, where, extra = parsed.whole()
    audit.notice("extra_fields", where[extra])
    left_out = _left_out(table, where, audit)
    tasks = _tasks(table, where, left_out, audit, options)
    return Reading(tasks=tasks, headers=headers, processors=_machine(comments, audit))


class _Columns:
    """The fields of all lines, put together a block at a time."""

    def __init__(self) -> None:
        self._parts: dict[int, list[FloatArray]] = {number: [] for number in READ}
        self._extra: list[BoolArray] = []
        self._where: list[IntArray] = []
        self._lines = 0

    def __len__(self) -> int:
        return self._lines

    def add(self, block: FloatArray, places: IntArray) -> None:
        """Add the rows of a block that are not broken."""
        broken = np.isnan(block[:, 0])
        self._lines += len(block)
        for position, number in enumerate(READ):
            self._parts[number].append(block[~broken, position])
        self._extra.append(block[:, -1][~broken] > 0)
        self._where.append(places[~broken])

    def whole(self) -> tuple[dict[int, FloatArray], IntArray, BoolArray]:
        """Return the columns by field, the line numbers, and which lines have more fields; the blocks are let go."""
        table = {number: _joined(self._parts.pop(number), np.float64) for number in READ}
        return table, _joined(self._where, np.int64), _joined(self._extra, bool)


def _joined(parts: list[Any], kind: type) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, kind)


def _read_block(lines: list[bytes], places: IntArray, parsed: _Columns, audit: Audit) -> None:
    """Parse some lines; those that are broken, and texts where numbers should be, are told to the audit."""
    block = np.empty((len(lines), len(READ) + 1))
    texts: list[tuple[int, int, str]] = []
    _parse(lines, block, 0, texts)
    broken = np.isnan(block[:, 0])
    audit.drop("broken_line", places[broken], [_reason(text, field) for row, field, text in texts if broken[row]])
    # Most readers of the format have no use for the last field, and logs have all kinds of things there.
    lost = [(row, field, text) for row, field, text in texts if not broken[row] and field != FIELDS]
    audit.repair(
        "unreadable_value",
        places[[row for row, _, _ in lost]],
        [f"{_NAMES[field]} {shorten(text)}" for _, field, text in lost],
    )
    parsed.add(block, places)


def _reason(text: str, field: int) -> str:
    return f"{text} fields" if not field else f"field {field} is {shorten(text)}"


def _left_out(table: dict[int, FloatArray], where: IntArray, audit: Audit) -> BoolArray:
    """Count and mark what is no task: bursts of a job, and jobs cancelled before they started.

    Lines of status 2, 3 and 4 are the bursts of a job that was swapped out; where the job has a line for the
    whole as well, they would count twice.
    """
    partial = np.isin(table[11], _PARTIAL)
    left_out = np.zeros(len(where), bool)
    if partial.any():
        wholes = np.unique(table[1][~partial])
        left_out = partial & np.isin(table[1], wholes)
        audit.drop("partial_execution", where[left_out])
        audit.notice("partial_without_whole", where[partial & ~left_out])
    with np.errstate(invalid="ignore"):
        nothing = (table[11] == _CANCELLED) & (table[4] <= 0) & (table[4] >= -1) & (table[5] <= 0) & ~left_out
    audit.drop("never_started", where[nothing])
    every: BoolArray = left_out | nothing
    return every


def _blocks(source: Source, comments: dict[int, bytes]) -> Iterator[tuple[list[bytes], IntArray]]:
    """Give the data lines of a block with their line numbers; comments are added by line number to `comments`."""
    before = 0
    for block in source.blocks():
        every = block.split(source.ending)
        if not every[-1]:
            every.pop()
        # Most blocks hold no comment and no blank line, and then there is nothing to sort out.
        if b";" not in block and b"" not in every and not any(map(bytes.isspace, every)):
            yield every, np.arange(before + 1, before + len(every) + 1)
        else:
            lines, places = [], []
            for place, line in enumerate(every, before + 1):
                text = line.strip()
                if text.startswith(b";"):
                    comments[place] = text
                elif text:
                    lines.append(text)
                    places.append(place)
            yield lines, np.array(places, np.int64)
        before += len(every)


def _headers(comments: dict[int, bytes], audit: Audit) -> dict[str, str]:
    headers: dict[str, list[str]] = {}
    foreign = []
    for place, comment in comments.items():
        text = comment.decode("utf-8", "replace")
        if "\ufffd" in text:
            foreign.append(place)
        match = _HEADER.match(text)
        if match:
            headers.setdefault(match.group(1), []).append(match.group(2) or "")
    audit.notice("comment_bytes", foreign)
    return {key: "\n".join(values) for key, values in headers.items()}


def _machine(comments: dict[int, bytes], audit: Audit) -> int | None:
    """Return MaxProcs, else MaxNodes, as far as they are whole numbers above 0, however they are written."""
    stated: dict[str, tuple[int, int]] = {}
    for place, comment in comments.items():
        match = _MACHINE.fullmatch(comment.decode("utf-8", "replace"))
        if match is None:
            continue
        key, text = "nodes" if match.group(1).lower() == "nodes" else "processors", match.group(2)
        if text.lower() in UNKNOWN or text in ("-1", "0"):
            continue
        unusual = _UNUSUAL.fullmatch(text)
        number = int(re.sub(r"\D", "", unusual.group(1))) if unusual else 0
        if not 0 < number <= LARGEST_INTEGER:
            audit.notice("unreadable_header", [place], [shorten(text)])
            continue
        taken, _ = stated.setdefault(key, (number, place))
        if not _PLAIN.fullmatch(text) or number != taken:
            audit.notice("unusual_header", [place], [f"{shorten(text)} is {taken:,}"])
    if "processors" in stated:
        return stated["processors"][0]
    if "nodes" in stated:
        audit.notice("nodes_as_processors", [stated["nodes"][1]])
        return stated["nodes"][0]
    return None


def _parse(lines: list[bytes], table: FloatArray, first: int, texts: list[tuple[int, int, str]]) -> None:
    """Fill `table` from lines, halving a block that is not clean so that few lines are parsed one by one."""
    parsed = _parse_block(lines)
    if parsed is not None:
        table[:] = parsed
    elif len(lines) <= _SMALL_BLOCK:
        table[:] = _parse_lines(lines, first, texts)
    else:
        half = len(lines) // 2
        _parse(lines[:half], table[:half], first, texts)
        _parse(lines[half:], table[half:], first + half, texts)


def _parse_block(lines: list[bytes]) -> FloatArray | None:
    """Parse lines of one shape, or return None when they are not all alike and clean."""
    text = b"\n".join(lines).translate(_BLANKS)
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    text = text.replace(b" \n", b"\n").replace(b"\n ", b"\n").strip(b" ") + b"\n"
    width = text[: text.index(b"\n")].count(b" ") + 1
    if width < FEWEST_FIELDS:
        return None
    present = [str(number) for number in READ if number <= width]
    try:
        found = csv.read_csv(
            pa.BufferReader(text),
            read_options=csv.ReadOptions(column_names=[str(number) for number in range(1, width + 1)]),
            parse_options=csv.ParseOptions(delimiter=" ", quote_char=False),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(present, pa.float64()), include_columns=present, null_values=[]
            ),
        )
    except pa.ArrowInvalid:
        return None
    if found.num_rows != len(lines):
        return None
    table = np.full((len(lines), len(READ) + 1), -1.0)
    table[:, -1] = width > FIELDS
    for position, name in enumerate(present):
        # Not `to_numpy`, which imports pandas where that is installed: half a second for nothing.
        column = np.concatenate([np.from_dlpack(chunk) for chunk in found.column(name).chunks])
        table[:, position] = np.where(np.isnan(column), np.inf, column)
    return table


def _parse_lines(lines: list[bytes], first: int, texts: list[tuple[int, int, str]]) -> FloatArray:
    """Parse lines one by one; a broken one becomes a row of NaN.

    What is no number is added to `texts`: the row (counted from `first`), the field, the text; for a line that is
    too short field 0 and its number of fields.
    """
    table = np.full((len(lines), len(READ) + 1), np.nan)
    for row, line in enumerate(lines):
        tokens = line.split()
        if len(tokens) < FEWEST_FIELDS:
            texts.append((first + row, 0, str(len(tokens))))
            continue
        try:
            # Underscores mean something to Python alone.
            if b"_" in b"".join(tokens[:FIELDS]):
                raise ValueError
            numbers = [float(tokens[number - 1]) if number <= len(tokens) else -1.0 for number in READ]
        except ValueError:
            numbers = [_value(tokens, number, first + row, texts) for number in READ]
            if any(np.isnan(numbers[READ.index(number)]) for number in NEEDED):
                continue
        table[row] = [*(np.inf if number != number else number for number in numbers), float(len(tokens) > FIELDS)]
    return table


def _value(tokens: list[bytes], number: int, row: int, texts: list[tuple[int, int, str]]) -> float:
    """Return one field; text is kept for the audit and unknown, or NaN where a task cannot do without it."""
    if number > len(tokens):
        return -1.0
    text = tokens[number - 1].decode("utf-8", "replace")
    if text.isascii() and (is_number(text) or text.lower().lstrip("+-") == "nan"):
        return float(text) if is_number(text) else np.inf
    texts.append((row, number, text))
    return np.nan if number in NEEDED else -1.0


def _tasks(
    table: dict[int, FloatArray], where: IntArray, left_out: BoolArray, audit: Audit, options: ReadOptions
) -> RawTasks:
    """Make tasks of the lines that are none of `left_out`; the table is used up."""
    where = where[~left_out]
    if left_out.any():
        for number in READ:
            table[number] = table[number][~left_out]
    numbers, preceding, thinking = table.pop(1), table.pop(17), table.pop(18)
    # -1 is the format's "not known"; any other negative number is a fault that the audit counts.
    for column in table.values():
        column[column == -1] = np.nan
    for number in (3, 5, 7, 8, 10, 11, 12, 13, 15):
        column = table[number]
        with np.errstate(invalid="ignore"):
            wrong = column < 0
            if number in _NAMED_BY_NUMBER:
                wrong |= column > LARGEST_INTEGER
            elif number != _REQUESTED:
                # Without a request the allocation is needed, and the rules for all formats judge it.
                wrong |= np.isinf(column) & ((number != _ALLOCATED) | (table[_REQUESTED] > 0))
        if wrong.any():
            examples = [f"{_NAMES[number]} {value:g}" for value in column[wrong][:EXAMPLES].tolist()]
            audit.repair("unusable_value", where[wrong], examples)
            column[wrong] = np.nan
    asked, held = table.pop(8), table.pop(5)
    with np.errstate(invalid="ignore"):
        processors = np.where(asked > 0, asked, np.where(held > 0, held, np.nan))
    used, requested = table.pop(7), table.pop(10)
    memory = np.where(np.isnan(requested), used, requested) * processors / KB_PER_MB
    parents: Sequence[Sequence[int]] | None = None
    if options.preceding_jobs:
        parents = [[int(number)] if 0 < number <= LARGEST_INTEGER else [] for number in preceding.tolist()]
    return RawTasks(
        where=where,
        task_id=numbers,
        arrival_time=table[2],
        runtime=table.pop(4),
        duration_estimate=table.pop(9),
        memory_mb=memory,
        cpus=processors,
        user=_labels(table.pop(12)),
        group=_labels(table.pop(13)),
        queue=_labels(table.pop(15)),
        recorded_start_time=table[2] + table.pop(3),
        dependencies=parents,
        # Cleaned logs leave jobs out that others followed.
        incomplete=True,
        requests=_feedback(preceding, thinking) if options.think_times else None,
    )


def _feedback(preceding: FloatArray, thinking: FloatArray) -> dict[str, FloatArray]:
    """Return whom tasks follow, and after what think time; what is no number of a job, or no time, is not stated."""
    follows = np.where((preceding > 0) & (preceding <= LARGEST_INTEGER), np.floor(preceding), np.nan)
    usable = (thinking >= 0) & (thinking <= LARGEST_INTEGER) & ~np.isnan(follows)
    return {"follows": follows, "think_time": np.where(usable, thinking, np.nan)}


def _labels(column: FloatArray) -> Labels:
    """Return numbers as labels; what is unknown is the empty text."""
    encoded = pa.array(np.nan_to_num(column, nan=-1.0)).dictionary_encode()
    texts = ["" if value < 0 else shortest(value) for value in encoded.dictionary.to_pylist()]
    names = sorted(set(texts))
    place = {name: code for code, name in enumerate(names)}
    recoded = np.array([place[text] for text in texts], np.int64)
    return Labels(codes=recoded[np.from_dlpack(encoded.indices)], names=tuple(names))
