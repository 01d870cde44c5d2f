"""The lines of sacct's output as rows: sacct does not escape, so free text may hold the delimiter or a line break.

A row with more pieces than there are columns is put together again: the pieces too many go to the columns of
free text, in the one way that leaves in every other column what it can hold.
"""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from scheduler_sim.engine.clock import clock_seconds, microseconds
from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.delimited import BrokenLines, Metered, TableBuilder, read_table, table_delimiter
from scheduler_sim.engine.traces.sacct_guess import JOB, guess_columns
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.traces.table import Table, is_number
from scheduler_sim.engine.traces.texts import UNKNOWN

FIELDS = """
Account AdminComment AllocCPUS AllocGRES AllocNodes AllocTRES AssocID AveCPU AveCPUFreq AveDiskRead AveDiskWrite
AvePages AveRSS AveVMSize BlockID Cluster Comment Constraints ConsumedEnergy ConsumedEnergyRaw Container CPUTime
CPUTimeRAW DBIndex DerivedExitCode Elapsed ElapsedRaw Eligible End ExitCode Extra FailedNode Flags GID Group JobID
JobIDRaw JobName Layout Licenses MaxDiskRead MaxDiskReadNode MaxDiskReadTask MaxDiskWrite MaxDiskWriteNode
MaxDiskWriteTask MaxPages MaxPagesNode MaxPagesTask MaxRSS MaxRSSNode MaxRSSTask MaxVMSize MaxVMSizeNode
MaxVMSizeTask McsLabel MinCPU MinCPUNode MinCPUTask NCPUS NNodes NodeList NTasks Partition Planned PlannedCPU
PlannedCPURAW Priority QOS QOSRAW QOSREQ Reason ReqCPUFreq ReqCPUFreqGov ReqCPUFreqMax ReqCPUFreqMin ReqCPUS ReqGRES
ReqMem ReqNodes ReqTRES Reservation ReservationId Reserved ResvCPU ResvCPURAW Restarts SegmentSize SLUID Start State
StdErr StdIn StdOut Submit SubmitLine Suspended SystemComment SystemCPU Timelimit TimelimitRaw TotalCPU TRESUsageInAve
TRESUsageInMax TRESUsageInMaxNode TRESUsageInMaxTask TRESUsageInMin TRESUsageInMinNode TRESUsageInMinTask
TRESUsageInTot TRESUsageOutAve TRESUsageOutMax TRESUsageOutMaxNode TRESUsageOutMaxTask TRESUsageOutMin
TRESUsageOutMinNode TRESUsageOutMinTask TRESUsageOutTot UID User UserCPU WCKey WCKeyID WorkDir
"""
"""What sacct can print, as `sacct --helpformat` lists it (versions 20 to 24)."""

_NAMES = {name.lower(): name for name in FIELDS.split()}
_IDENTIFIERS = ("JobIDRaw", "JobID")
_TEXTS = frozenset(
    (
        *("AdminComment", "Comment", "Constraints", "Container", "Extra", "JobName", "Licenses", "Reason"),
        *("Reservation", "StdErr", "StdIn", "StdOut", "SubmitLine", "SystemComment", "WCKey", "WorkDir"),
    )
)
"""Columns of free text, which may hold any delimiter and line breaks."""

_LISTS = frozenset(["Account", "AllocTRES", "Flags", "NodeList", "Partition", "QOS", "ReqTRES"])
"""Columns that may be lists with commas."""

_STATE = re.compile(r"[A-Z][A-Z_]+\+?( by .*)?")
_TRES = re.compile(r"(?:[\w/:.-]+=[^,=]*)(?:,[\w/:.-]+=[^,=]*)*")
_MEMORY = re.compile(r"[\d.]+[KMGTP]?[nc]?")
_FEATURES = re.compile(r"(?![|&,])[^/=\s]*(?<![|&,])")
_SUBMISSION = re.compile(r"(?:\S*/)?(?:sbatch|srun|salloc)\b.*", re.DOTALL)
_WORDS = re.compile(r"[\w ,:()./+-]*")
_MOST_WAYS = 3000
_MOST_SURPLUS = 1000
_GUESSED_FROM = 200


def _is_time(text: str) -> bool:
    return is_number(text) or microseconds(text) is not None


def _is_clock(text: str) -> bool:
    return (
        is_number(text)
        or clock_seconds(text) is not None
        or text.upper() in ("UNLIMITED", "PARTITION_LIMIT", "INVALID")
    )


_CHECKS: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(_IDENTIFIERS, JOB.fullmatch),
    **dict.fromkeys(("Submit", "Eligible", "Start", "End"), _is_time),
    **dict.fromkeys(("Elapsed", "Timelimit", "Suspended", "TimelimitRaw"), _is_clock),
    **dict.fromkeys(("ElapsedRaw", "AllocCPUS", "NCPUS", "ReqCPUS", "NNodes", "AllocNodes", "ReqNodes"), is_number),
    **dict.fromkeys(("AllocTRES", "ReqTRES"), _TRES.fullmatch),
    "State": _STATE.fullmatch,
    "ReqMem": _MEMORY.fullmatch,
}
"""What the columns that decide about a job can hold, unknown values aside."""

_FITS: dict[str, Callable[[str], object]] = {
    **_CHECKS,
    **dict.fromkeys(("ReservationId", "CPUTimeRAW", "DBIndex", "UID", "GID", "Priority", "Restarts"), is_number),
    **dict.fromkeys(("Reservation", "Reason", "Flags", "QOS"), _WORDS.fullmatch),
    "Constraints": _FEATURES.fullmatch,
    "SubmitLine": _SUBMISSION.fullmatch,
    "WorkDir": re.compile(r"/.*", re.DOTALL).fullmatch,
    "ExitCode": re.compile(r"\d+:\d+").fullmatch,
}
"""What these and others can hold, among them free texts: it shows where one ends and the next begins."""


class Layout(NamedTuple):
    """Columns and delimiter of an output, whether its first line names them, and whether lines end with a delimiter."""

    names: list[str]
    delimiter: str
    titled: bool
    trailing: bool

    @property
    def free(self) -> list[int]:
        """The columns whose text may hold the delimiter."""
        may = _TEXTS | _LISTS if self.delimiter == "," else _TEXTS
        return [column for column, name in enumerate(self.names) if name in may]


def find_layout(line: str) -> Layout | None:
    """Return the layout by a header line, whatever its delimiter; None where the line is no header of sacct's."""
    words = re.findall(r"[A-Za-z]+", line)
    if len(words) < 3 or not {word.lower() for word in words} & {"jobid", "jobidraw"}:
        return None
    line = line.strip("\r\n")
    between = line[line.index(words[0]) + len(words[0]) :]
    delimiter = between[: between.index(words[1])] if words[1] in between else ""
    if not delimiter.strip(' "') and "\t" not in delimiter:
        return None
    delimiter = delimiter.strip('"') if '"' in delimiter else delimiter
    pieces = [piece.strip().strip('"') for piece in line.split(delimiter)]
    trailing = not pieces[-1]
    if trailing:
        pieces.pop()
    known = [spelled(piece) for piece in pieces]
    share = sum(name in _NAMES.values() for name in known) / len(known)
    return (
        Layout(known, delimiter, titled=True, trailing=trailing)
        if share >= 0.5 and set(known) & set(_IDENTIFIERS)
        else None
    )


def read_lines(source: Source, audit: Audit, header: Sequence[str] | None, wanted: Container[str]) -> Table:
    """Read sacct's output as a table of the columns that are wanted.

    Raises:
        InvalidTrace: no header of sacct's, none given and none to be guessed, or a column named twice.
    """
    first = source.head(1)[0]
    layout = find_layout(first)
    if header is not None:
        names = [spelled(name) for name in header]
        if layout is None or layout.names != names:
            delimiter = table_delimiter(first, len(names))
            layout = Layout(names, delimiter, titled=False, trailing=first.split(delimiter)[len(names) :] == [""])
    if layout is None:
        guess = guess_columns(source.head(_GUESSED_FROM))
        if guess is None:
            raise InvalidTrace(f"{source.name} has no header of sacct's; name its columns with --columns.")
        names, delimiter = guess
        audit.notice("guessed_columns", [1], [", ".join(names)])
        layout = Layout(names, delimiter, titled=False, trailing=len(first.split(delimiter)) > len(names))
    if '"' in first:
        header = None if layout.titled else layout.names
        return _renamed(
            read_table(
                source,
                audit,
                delimiter=layout.delimiter,
                header=header,
                is_wanted=lambda name: spelled(name) in wanted,
            )
        )
    foreign: list[int] = []
    rejoined: list[int] = []
    lines = Metered(source.lenient_lines(foreign))
    table = TableBuilder(source.name, layout.names, lines, wanted.__contains__)
    for place, row, whole in _rows(lines, layout, audit):
        table.add(row, place)
        if not whole:
            rejoined.append(place)
    audit.repair("foreign_bytes", foreign)
    audit.repair("rejoined_line", rejoined)
    return table.finish()


def spelled(name: str) -> str:
    """Return a column's name as sacct spells it."""
    return _NAMES.get(name.lower(), name)


def _renamed(table: Table) -> Table:
    """Give the columns sacct's own spelling of their names."""
    columns = {spelled(name): values for name, values in table.columns.items()}
    return replace(table, columns=columns, names=[spelled(name) for name in table.names])


def _rows(lines: Iterable[str], layout: Layout, audit: Audit) -> Iterator[tuple[int, list[str], bool]]:
    """Give each row with its line number, and whether it stood on one line with a piece a column."""
    width = len(layout.names)
    held = _Held(layout)
    alone: list[str] = []
    titled = not layout.titled
    broken = BrokenLines(audit)

    def close() -> Iterator[tuple[int, list[str], bool]]:
        """Give what the held lines hold together, else the first alone; the rest is broken."""
        for count in dict.fromkeys((len(held.lines), 1)):
            row = _fields("\n".join(held.lines[:count]), layout)
            if row is not None:
                audit.read += 1
                yield held.places[0], row, count == 1 and _piece_count(held.lines[0], layout) == width
                break
        else:
            count = 0
        for place, line in zip(held.places[count:], held.lines[count:], strict=True):
            audit.read += 1
            broken.add([place], f"{line.count(layout.delimiter) + 1} fields where there are {width} columns")

    for number, line in enumerate(lines, 1):
        if not line.strip() and not (held.lines and held.pieces < width):
            continue
        if not titled:
            titled = True
            continue
        if held.lines and not _starts(line, held, layout):
            held.add(number, line)
            continue
        if len(held.lines) == 1 and len(alone) == width:
            audit.read += 1
            yield held.places[0], alone, True
        elif held.lines:
            yield from close()
        held = _Held(layout)
        held.add(number, line)
        alone = line.split(layout.delimiter)
        if layout.trailing and not alone[-1]:
            alone.pop()
    while held.lines and not held.lines[-1].strip():
        held.lines.pop()
        held.places.pop()
    if held.lines:
        yield from close()
    broken.tell()


class _Held:
    """Lines that may be one row, with their numbers, and the pieces that they make together."""

    def __init__(self, layout: Layout) -> None:
        self.places: list[int] = []
        self.lines: list[str] = []
        self.pieces = 1
        self._delimiter = layout.delimiter

    def add(self, place: int, line: str) -> None:
        self.places.append(place)
        self.lines.append(line)
        self.pieces += line.count(self._delimiter)


def _piece_count(line: str, layout: Layout) -> int:
    """Count the fields of a line; a delimiter at its end opens none."""
    return line.count(layout.delimiter) + (not (layout.trailing and line.endswith(layout.delimiter)))


def _starts(line: str, held: _Held, layout: Layout) -> bool:
    """Tell whether a line begins a new row, and does not go on with the text of the one above it."""
    names, delimiter = layout.names, layout.delimiter
    if names[0] in _IDENTIFIERS:
        if delimiter in line and JOB.fullmatch(line.partition(delimiter)[0].strip()):
            return True
    elif line.count(delimiter) + 1 >= len(names):
        return True
    # A row is complete unless its last column is free text, which may go on.
    complete = held.pieces >= len(names)
    return complete and (len(names) - 1 not in layout.free or held.lines[-1].endswith(delimiter))


def _fields(text: str, layout: Layout) -> list[str] | None:
    """Cut a row into a field a column; None where it has too few pieces, or too many that fit nowhere or anywhere."""
    names, delimiter = layout.names, layout.delimiter
    width = len(names)
    pieces = text.split(delimiter)
    if len(pieces) > width and not pieces[-1].strip() and (layout.trailing or not layout.free):
        pieces.pop()
    if len(pieces) == width:
        return pieces
    if len(pieces) < width:
        return None
    free = layout.free
    if not free or (len(free) > 1 and len(pieces) - width > _MOST_SURPLUS):
        return None
    checked = [column for column, name in enumerate(names) if name in _CHECKS]
    last = max((column for column, name in enumerate(names) if name in _FITS), default=-1)
    found: dict[tuple[str, ...], list[str]] = {}
    for row in islice(_ways(pieces, layout, frozenset(free), last), _MOST_WAYS):
        found.setdefault(tuple(row[column] for column in checked), row)
    # Two ways that differ in a column that decides leave the row in doubt.
    return next(iter(found.values())) if len(found) == 1 else None


def _ways(pieces: list[str], layout: Layout, free: frozenset[int], last_checked: int) -> Iterator[list[str]]:
    """Give the rows that the pieces can make, where columns of free text take those too many.

    Behind the last column that is checked all ways mean the same to the reader, and one is given.
    """
    names, delimiter = layout.names, layout.delimiter
    surplus = len(pieces) - len(names)
    open_rows: list[tuple[list[str], int]] = [([], 0)]
    while open_rows:
        row, spent = open_rows.pop()
        column = len(row)
        if column == len(names):
            if spent == surplus:
                yield row
            continue
        at = column + spent
        left = surplus - spent
        if column not in free:
            choices: Iterable[int] = (0,)
        elif column > last_checked or column == max(free):
            choices = (left,)
        else:
            choices = range(left + 1)
        for more in choices:
            text = delimiter.join(pieces[at : at + more + 1])
            if names[column] not in _FITS or _fits(names[column], text):
                open_rows.append(([*row, text], spent + more))


def _fits(name: str, text: str) -> bool:
    text = text.strip()
    return text.lower() in UNKNOWN or bool(_FITS[name](text))
