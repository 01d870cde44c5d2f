"""Delimited text and other tables as named columns, for the formats that have a row a task.

Every value that a column holds and a reader cannot use leaves a trace: in a column that a task cannot do without
it breaks the row, elsewhere it is taken as unknown, and `Table.finish` tells the audit the column and the text.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.errors import InvalidTrace, listed
from scheduler_sim.engine.traces.assemble import RawTasks
from scheduler_sim.engine.traces.audit import Audit, shorten
from scheduler_sim.engine.traces.clock import clock_seconds, has_two_parts, microseconds
from scheduler_sim.engine.traces.source import Source, refuse_columns, refuse_doubled
from scheduler_sim.engine.traces.units import KIND_OF_COLUMN, Scale, quantity, scaled
from scheduler_sim.engine.workload import BoolArray, FloatArray, IntArray

UNKNOWN = frozenset({"", "none", "null", "nan", "na", "n/a", "nat", "unknown", "<na>"})
"""Words that stand for a value that is not known, in any case."""

MICROSECONDS = 1e6

_LONGEST_UNKNOWN = max(map(len, UNKNOWN))

_DELIMITERS = (",", ";", "\t", "|")
_LONG_DELIMITERS = ("^|^", "||", "::")
_SEPARATOR = "\x1f"
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf(?:inity)?", re.IGNORECASE)


@dataclass
class Table:
    """Columns by name, a value a row.

    Attributes:
        name: the file's name, for messages.
        where: line (or row) numbers from 1.
        columns: text objects, float64 or datetime64[us].
        titles: what the file calls a column, where that is another name.
        zoneless: columns of datetimes whose type names no time zone.
        durations: columns whose type is a duration, in seconds already.
        broken: rows that turned out not to hold the numbers they should.
    """

    name: str
    where: IntArray
    columns: dict[str, npt.NDArray[Any]]
    titles: dict[str, str] = field(default_factory=dict)
    zoneless: frozenset[str] = frozenset()
    durations: frozenset[str] = frozenset()
    broken: BoolArray = field(init=False)
    _texts: dict[str, npt.NDArray[np.object_]] = field(init=False, default_factory=dict)
    _faults: list[tuple[int, str, str]] = field(init=False, default_factory=list)
    _remarks: list[tuple[IntArray, str, str]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.broken = np.zeros(len(self.where), bool)

    def __len__(self) -> int:
        return len(self.where)

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def require(self, *names: str) -> None:
        """Refuse a table that lacks one of these columns.

        Raises:
            InvalidTrace: the message names what is missing and what there is.
        """
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise InvalidTrace(f"{self.name} lacks the column {', '.join(missing)}; it has {listed(self.columns)}.")

    def texts(self, column: str) -> npt.NDArray[np.object_]:
        """Return a column as texts without blanks around them; unknown ones are empty. Not to be written to."""
        if column not in self._texts:
            self._texts[column] = self._as_texts(column)
        return self._texts[column]

    def _as_texts(self, column: str) -> npt.NDArray[np.object_]:
        values = self.columns[column]
        if values.dtype == object:
            found = [str(value).strip() for value in values.tolist()]
        elif values.dtype.kind == "f":
            found = [str(int(value)) if value == np.floor(value) else repr(value) for value in values.tolist()]
        else:
            found = [str(value) for value in values]
        return as_objects(["" if len(text) <= _LONGEST_UNKNOWN and text.lower() in UNKNOWN else text for text in found])

    def numbers(
        self, column: str, *, needed: bool = False, measures: str | None = None, scale: Scale | None = None
    ) -> FloatArray:
        """Return a column as floats, NaN where unknown or unreadable.

        Args:
            column: its name.
            needed: whether a task cannot do without it: other text then breaks the row.
            measures: the workload's column that it fills, which says what a text may be besides a number: a
                duration such as `1-02:03:04`, or a number with a unit of its own. None for `column`.
            scale: the unit of plain numbers, as multiplier and divisor.
        """
        values = self.columns[column]
        if column in self.durations and scale is not None:
            raise InvalidTrace(f"{self.title(column)} holds durations, which have a unit of their own.")
        if values.dtype.kind == "f":
            return scaled(values.astype(np.float64), scale)
        texts = self.texts(column).tolist()
        joined = "".join(texts)
        try:
            # Underscores mean something to Python alone.
            if "_" not in joined:
                return scaled(np.array([float(text or "nan") for text in texts], np.float64), scale)
        except ValueError:
            pass
        numbers = scaled(np.array([float(text) if is_number(text) else np.nan for text in texts], np.float64), scale)
        for row, text in enumerate(texts):
            if text and not is_number(text):
                numbers[row] = self._measured(row, column, measures or column, text, needed=needed)
        return numbers

    def times(self, column: str, *, needed: bool = False, scale: Scale | None = None) -> tuple[FloatArray, bool]:
        """Return instants, NaN where unknown or unreadable, and whether they are datetimes.

        Numbers are seconds, or in the unit of `scale`. Datetimes (without a zone taken as UTC, which is noticed)
        become microseconds since 1970, for `seconds_since`.
        """
        values = self.columns[column]
        if values.dtype.kind == "M":
            found = values.astype("datetime64[us]").astype(np.int64).astype(np.float64)
            found[np.isnat(values)] = np.nan
            if needed and column in self.zoneless:
                self.remark(np.arange(len(self)), "zoneless", self.title(column))
            return found, True
        if values.dtype.kind == "f":
            return scaled(values.astype(np.float64), scale), False
        texts = self.texts(column).tolist()
        first = next((text for text in texts if is_number(text) or microseconds(text) is not None), "")
        if is_number(first) or not first:
            return self.numbers(column, needed=needed, measures="instant", scale=scale), False
        moments = np.full(len(texts), np.nan)
        zoneless: list[int] = []
        for row, text in enumerate(texts):
            if not text:
                continue
            moment = microseconds(text)
            if moment is None:
                self.fault(row, column, text, needed=needed)
                continue
            moments[row], zoned = moment
            if not zoned:
                zoneless.append(row)
        if needed and zoneless:
            example = f"{self.title(column)} {shorten(texts[zoneless[0]])}"
            self.remark(np.array(zoneless, np.int64), "zoneless", example)
        return moments, True

    def title(self, column: str) -> str:
        """Return what the file calls a column."""
        return self.titles.get(column, column)

    def fault(self, row: int, column: str, text: str, *, needed: bool) -> None:
        """Keep that a value cannot be read: the row is broken where it is needed, else the value is unknown."""
        self.broken[row] |= needed
        self._faults.append(
            (row, "broken_line" if needed else "unreadable_value", f"{self.title(column)} {shorten(text)}")
        )

    def remark(self, rows: IntArray | int, reason: str, example: str) -> None:
        """Keep something peculiar about values, for the audit's list of what was noticed."""
        self._remarks.append((np.atleast_1d(np.asarray(rows, np.int64)), reason, example))

    def finish(self, tasks: RawTasks, audit: Audit, left_out: BoolArray | None = None) -> RawTasks:
        """Return the usable rows; count those that are broken, and what was unreadable or peculiar in the others.

        Args:
            tasks: a task a row.
            audit: where the findings go.
            left_out: rows that the reader leaves out and has counted itself.
        """
        out = np.zeros(len(self), bool) if left_out is None else left_out
        broken = self.broken & ~out
        audit.drop(
            "broken_line",
            self.where[broken],
            [example for row, reason, example in self._faults if reason == "broken_line" and broken[row]],
        )
        kept = ~self.broken & ~out
        lost = [(row, example) for row, reason, example in self._faults if reason != "broken_line" and kept[row]]
        audit.repair("unreadable_value", [int(self.where[row]) for row, _ in lost], [example for _, example in lost])
        for rows, reason, example in self._remarks:
            audit.notice(reason, self.where[rows[kept[rows]]], [example])
        return tasks.take(kept)

    def _measured(self, row: int, column: str, measures: str, text: str, *, needed: bool) -> float:
        if KIND_OF_COLUMN.get(measures) == "time" and (seconds := clock_seconds(text)) is not None:
            if has_two_parts(text):
                self.remark(row, "minutes_and_seconds", f"{self.title(column)} {shorten(text)} is {seconds:g} s")
            return seconds
        own = quantity(measures, text)
        if own is None:
            self.fault(row, column, text, needed=needed)
        else:
            self.remark(row, "own_unit", f"{self.title(column)} {shorten(text)} is {own:g}")
        return np.nan if own is None else own


def as_objects(values: list[Any]) -> npt.NDArray[np.object_]:
    """Return a list as a one-dimensional object array."""
    column = np.empty(len(values), object)
    column[:] = values
    return column


def seconds_since(origin: float, moments: FloatArray) -> FloatArray:
    """Turn microseconds since 1970 into seconds since `origin` (microseconds as well)."""
    return (moments - origin) / MICROSECONDS


def first_moment(moments: FloatArray) -> float:
    """Return the earliest known instant, 0 where none is known."""
    known = moments[np.isfinite(moments)]
    return float(known.min()) if len(known) else 0.0


def read_table(
    source: Source,
    audit: Audit,
    *,
    delimiter: str,
    header: Sequence[str] | None = None,
    quoted: bool = True,
) -> Table:
    """Read delimited text; lines with another number of fields are counted as broken.

    A delimiter behind the last field of every line is no field.

    Args:
        source: the file.
        audit: where lines read and broken are counted.
        delimiter: one character or more.
        header: column names; None to take them from the first line.
        quoted: whether quotation marks enclose fields.

    Raises:
        InvalidTrace: not UTF-8, a column name given twice, or too many columns.
    """
    content = source.text()
    if len(delimiter) > 1:
        # The csv module takes one character; this one stands for "unit separator" and is in no text.
        content, delimiter = content.replace(delimiter, _SEPARATOR), _SEPARATOR
    text = io.StringIO(content, newline="")
    # Strict, so that a quotation mark that is never closed is an error and not a field.
    reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=True)
    rows: list[list[str]] = []
    places: list[int] = []
    broken: list[int] = []
    examples: list[str] = []
    names = list(header) if header is not None else None
    while True:
        before = reader.line_num
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            # An empty row has a wrong number of fields, whatever the header.
            row = []
            if reader.line_num == before:
                raise InvalidTrace(f"{source.name} cannot be read after line {before}.") from None
        else:
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
        if names is None:
            names = [name.strip() for name in row]
            if len(names) > 1 and not names[-1]:
                names.pop()
            refuse_columns(source.name, len(names))
            continue
        if len(row) == len(names) + 1 and not row[-1].strip():
            row.pop()
        if len(row) == len(names):
            audit.read += 1
            rows.append(row)
            places.append(before + 1)
        else:
            # A quotation mark that is never closed swallows the lines after it: each of them is counted.
            audit.read += reader.line_num - before
            broken.extend(range(before + 1, reader.line_num + 1))
            if row:
                examples.append(f"{len(row)} fields where there are {len(names)} columns")
    audit.drop("broken_line", broken, examples)
    return table_of(source.name, names or [], rows, places)


def table_of(name: str, names: Sequence[str], rows: list[list[str]], places: list[int]) -> Table:
    """Make a table of rows that have a field a column.

    Raises:
        InvalidTrace: a column name given twice, or too many columns.
    """
    refuse_columns(name, len(names))
    refuse_doubled(name, names)
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return Table(
        name=name,
        where=np.array(places, np.int64),
        columns={column: as_objects(list(values)) for column, values in zip(names, columns, strict=True)},
    )


def column_names(head: list[str], delimiter: str) -> list[str]:
    """Return the first line's fields, for recognising a format by its header."""
    return [name.strip().strip('"') for name in head[0].split(delimiter)]


def table_delimiter(line: str, fields: int | None = None) -> str:
    """Return the commonest of the usual delimiters in a line, or the one that cuts it into so many fields.

    Raises:
        InvalidTrace: `fields` are asked for, and no delimiter gives them.
    """
    if fields is None:
        return max(_DELIMITERS, key=line.count)
    for delimiter in [*_LONG_DELIMITERS, *_DELIMITERS]:
        pieces = line.split(delimiter)
        if len(pieces) == fields > 1 or (len(pieces) == fields + 1 and not pieces[-1].strip()):
            return delimiter
    found = line.count(table_delimiter(line)) + 1
    raise InvalidTrace(f"--columns names {fields} columns, and the first line has {found} fields.")


def is_number(text: str) -> bool:
    """Tell a plain decimal number; `1_000`, which Python reads, is none."""
    return _NUMBER.fullmatch(text) is not None
