"""Reading the Standard Workload Format of the Parallel Workloads Archive (Chapin et al., JSSPP 1999).

Fields, from 1: 1 job number, 2 submit s, 3 wait s, 4 run s, 5 allocated processors, 7 used memory (KB a
processor), 8 requested processors, 9 requested s, 10 requested memory (KB a processor), 11 status, 12 user,
13 group, 15 queue, 17 preceding job. -1 means not known. The others are not read.
"""

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyarrow import csv

from scheduler_sim.engine.traces.assemble import RawTasks
from scheduler_sim.engine.traces.audit import EXAMPLES, Audit, shorten
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, reads
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.traces.swf_write import FIELDS, KB_PER_MB, shortest
from scheduler_sim.engine.traces.table import UNKNOWN, is_number
from scheduler_sim.engine.workload import LARGEST_INTEGER, BoolArray, FloatArray, IntArray, Labels

READ = (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 15, 17)
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
    options=frozenset({"preceding_jobs"}),
)
def read(source: Source, options: ReadOptions, audit: Audit) -> Reading:
    """Parse an SWF file.

    Whole blocks of clean lines are parsed at once; a block that holds a line of another shape is read
    again line by line, so that one broken line costs only itself.
    """
    comments, lines, where = _split(source.data)
    headers = _headers(comments, audit)
    audit.read = len(lines)
    table = np.empty((len(lines), len(READ) + 1))
    texts: list[tuple[int, int, str]] = []
    for first in range(0, len(lines), _BLOCK):
        block = lines[first : first + _BLOCK]
        _parse(block, table[first : first + len(block)], first, texts)
    broken = np.isnan(table[:, 0])
    reasons = [_reason(text, field) for row, field, text in texts if broken[row]]
    audit.drop("broken_line", where[broken], reasons)
    audit.notice("extra_fields", where[table[:, -1] > 0])
    lost = [(row, field, text) for row, field, text in texts if not broken[row]]
    audit.repair(
        "unreadable_value",
        [int(where[row]) for row, _, _ in lost],
        [f"{_NAMES[field]} {shorten(text)}" for _, field, text in lost],
    )
    left_out = _left_out(table, where, broken, audit)
    tasks = _tasks(table[~left_out], where[~left_out], audit, preceding_jobs=options.preceding_jobs)
    return Reading(tasks=tasks, headers=headers, processors=_machine(comments, audit))


def _reason(text: str, field: int) -> str:
    return f"{text} fields" if not field else f"field {field} is {shorten(text)}"


def _left_out(table: FloatArray, where: IntArray, broken: BoolArray, audit: Audit) -> BoolArray:
    """Count and mark what is no task: broken lines, bursts of a job, and jobs cancelled before they started.

    Lines of status 2, 3 and 4 are the bursts of a job that was swapped out; where the job has a line for the
    whole as well, they would count twice.
    """
    columns = dict(zip(READ, table.T, strict=False))
    partial = np.isin(columns[11], _PARTIAL) & ~broken
    left_out = broken.copy()
    if partial.any():
        wholes = np.unique(columns[1][~partial & ~broken])
        covered = partial & np.isin(columns[1], wholes)
        audit.drop("partial_execution", where[covered])
        audit.notice("partial_without_whole", where[partial & ~covered])
        left_out |= covered
    with np.errstate(invalid="ignore"):
        nothing = (columns[11] == _CANCELLED) & (columns[4] <= 0) & (columns[4] >= -1) & (columns[5] <= 0) & ~left_out
    audit.drop("never_started", where[nothing])
    every: BoolArray = left_out | nothing
    return every


def _split(data: bytes) -> tuple[dict[int, bytes], list[bytes], IntArray]:
    """Separate comments (by line number) from data lines and their line numbers."""
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    every = data.split(b"\n")
    while every and not every[-1].strip():
        every.pop()
    comments: dict[int, bytes] = {}
    first, start = 0, 0
    for line in every:
        text = line.strip()
        if text and not text.startswith(b";"):
            break
        first, start = first + 1, start + len(line) + 1
        if text:
            comments[first] = text
    body = every[first:]
    # Most files have all comments above and no blank line, and then there is nothing to sort out.
    if data.find(b";", start) < 0 and b"" not in body and not any(map(bytes.isspace, body)):
        return comments, body, np.arange(first + 1, len(every) + 1, dtype=np.int64)
    lines, places = [], []
    for place, line in enumerate(body, first + 1):
        text = line.strip()
        if text.startswith(b";"):
            comments[place] = text
        elif text:
            lines.append(text)
            places.append(place)
    return comments, lines, np.array(places, np.int64)


def _headers(comments: dict[int, bytes], audit: Audit) -> dict[str, str]:
    headers: dict[str, str] = {}
    foreign = []
    for place, comment in comments.items():
        text = comment.decode("utf-8", "replace")
        if "\ufffd" in text:
            foreign.append(place)
        match = _HEADER.match(text)
        if match:
            key, value = match.group(1), match.group(2) or ""
            headers[key] = f"{headers[key]}\n{value}" if key in headers else value
    audit.notice("comment_bytes", foreign)
    return headers


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


def _tasks(table: FloatArray, where: IntArray, audit: Audit, *, preceding_jobs: bool) -> RawTasks:
    columns = dict(zip(READ, table.T[:-1], strict=True))
    # -1 is the format's "not known"; any other negative number is a fault that the audit counts.
    known = {number: np.where(column == -1, np.nan, column) for number, column in columns.items()}
    for number in (3, 5, 7, 8, 10, 11, 12, 13, 15):
        with np.errstate(invalid="ignore"):
            wrong = known[number] < 0
            if number in _NAMED_BY_NUMBER:
                wrong |= known[number] > LARGEST_INTEGER
            elif number != _REQUESTED:
                # Without a request the allocation is needed, and the rules for all formats judge it.
                wrong |= np.isinf(known[number]) & ((number != _ALLOCATED) | (known[_REQUESTED] > 0))
        if wrong.any():
            examples = [f"{_NAMES[number]} {value:g}" for value in known[number][wrong][:EXAMPLES].tolist()]
            audit.repair("unusable_value", where[wrong], examples)
            known[number][wrong] = np.nan
    asked, held = known[8], known[5]
    with np.errstate(invalid="ignore"):
        processors = np.where(asked > 0, asked, np.where(held > 0, held, np.nan))
    memory = np.where(np.isnan(known[10]), known[7], known[10]) * processors / KB_PER_MB
    parents: Sequence[Sequence[int]] | None = None
    if preceding_jobs:
        parents = [[int(number)] if 0 < number <= LARGEST_INTEGER else [] for number in columns[17].tolist()]
    return RawTasks(
        where=where,
        task_id=columns[1],
        arrival_time=known[2],
        runtime=known[4],
        duration_estimate=known[9],
        memory_mb=memory,
        cpus=processors,
        user=_labels(known[12]),
        group=_labels(known[13]),
        queue=_labels(known[15]),
        recorded_start_time=known[2] + known[3],
        dependencies=parents,
        # Cleaned logs leave jobs out that others followed.
        incomplete=True,
    )


def _labels(column: FloatArray) -> Labels:
    """Return numbers as labels; what is unknown is the empty text."""
    values, codes = np.unique(np.nan_to_num(column, nan=-1.0), return_inverse=True)
    texts = ["" if value < 0 else shortest(value) for value in values.tolist()]
    names = sorted(set(texts))
    place = {name: code for code, name in enumerate(names)}
    recoded = np.array([place[text] for text in texts], np.int64)
    return Labels(codes=recoded[codes], names=tuple(names))
