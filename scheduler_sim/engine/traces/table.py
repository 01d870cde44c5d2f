"""Delimited text and other tables as named columns, for the formats that have a row a task."""

import csv
import datetime as dt
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.assemble import RawTasks
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.workload import BoolArray, FloatArray, IntArray

UNKNOWN = frozenset({"", "none", "null", "nan", "na", "n/a", "nat", "unknown"})
"""Words that stand for a value that is not known, in any case."""

MICROSECONDS = 1e6

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass
class Table:
    """Columns by name, a value a row.

    Attributes:
        name: the file's name, for messages.
        where: line (or row) numbers from 1.
        columns: text objects, float64 or datetime64[us].
        broken: rows that turned out not to hold the numbers they should.
    """

    name: str
    where: IntArray
    columns: dict[str, npt.NDArray[Any]]
    broken: BoolArray = field(init=False)

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
            raise InvalidTrace(f"{self.name} lacks the column {', '.join(missing)}; it has {', '.join(self.columns)}.")

    def texts(self, column: str) -> npt.NDArray[np.object_]:
        """Return a column as texts without blanks around them; unknown ones are empty."""
        values = self.columns[column]
        if values.dtype == object:
            found = [str(value).strip() for value in values]
        elif values.dtype.kind == "f":
            found = [str(int(value)) if value == np.floor(value) else repr(value) for value in values.tolist()]
        else:
            found = [str(value) for value in values]
        return as_objects(["" if text.lower() in UNKNOWN else text for text in found])

    def numbers(self, column: str) -> FloatArray:
        """Return a column as floats, NaN where unknown; rows with other text are marked as broken."""
        values = self.columns[column]
        if values.dtype.kind == "f":
            return values.astype(np.float64)
        texts = ["nan" if text == "" else text for text in self.texts(column).tolist()]
        try:
            return np.array([float(text) for text in texts])
        except ValueError:
            return np.array([self._number(row, text) for row, text in enumerate(texts)])

    def times(self, column: str) -> tuple[FloatArray, bool]:
        """Return instants, NaN where unknown, and whether they are datetimes.

        Numbers are seconds and stay what they are. Datetimes (ISO 8601, without a zone taken as UTC) become
        microseconds since 1970, for `seconds_since`.
        """
        values = self.columns[column]
        if values.dtype.kind == "M":
            found = values.astype("datetime64[us]").astype(np.int64).astype(np.float64)
            found[np.isnat(values)] = np.nan
            return found, True
        if values.dtype.kind == "f":
            return values.astype(np.float64), False
        texts = self.texts(column).tolist()
        first = next((text for text in texts if _is_number(text) or _microseconds(text) is not None), "")
        if _is_number(first) or not first:
            return self.numbers(column), False
        moments = np.full(len(texts), np.nan)
        for row, text in enumerate(texts):
            moment = _microseconds(text) if text else np.nan
            if moment is None:
                self.broken[row] = True
            else:
                moments[row] = moment
        return moments, True

    def finish(self, tasks: RawTasks, audit: Audit) -> RawTasks:
        """Count and leave out the rows that turned out to be broken."""
        audit.drop("broken_line", self.where[self.broken])
        return tasks.take(~self.broken)

    def _number(self, row: int, text: str) -> float:
        try:
            return float(text)
        except ValueError:
            self.broken[row] = True
            return float("nan")


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
    source: Source, audit: Audit, *, delimiter: str, header: list[str] | None = None, quoted: bool = True
) -> Table:
    """Read delimited text; lines with another number of fields are counted as broken.

    Args:
        source: the file.
        audit: where lines read and broken are counted.
        delimiter: one character.
        header: column names; None to take them from the first line.
        quoted: whether quotation marks enclose fields.

    Raises:
        InvalidTrace: not UTF-8, or a column name given twice.
    """
    text = io.StringIO(source.text(), newline="")
    # Strict, so that a quotation mark that is never closed is an error and not a field.
    reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=True)
    rows: list[list[str]] = []
    places: list[int] = []
    broken: list[int] = []
    names = header
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
        elif len(row) == len(names):
            audit.read += 1
            rows.append(row)
            places.append(before + 1)
        else:
            # A quotation mark that is never closed swallows the lines after it: each of them is counted.
            audit.read += reader.line_num - before
            broken.extend(range(before + 1, reader.line_num + 1))
    audit.drop("broken_line", broken)
    names = names or []
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InvalidTrace(f"{source.name} has more than one column called {repeated[0]!r}.")
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return Table(
        name=source.name,
        where=np.array(places, np.int64),
        columns={name: as_objects(list(column)) for name, column in zip(names, columns, strict=True)},
    )


def column_names(head: list[str], delimiter: str) -> list[str]:
    """Return the first line's fields, for recognising a format by its header."""
    return [name.strip().strip('"') for name in head[0].split(delimiter)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _microseconds(text: str) -> float | None:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return float((moment - _EPOCH) // dt.timedelta(microseconds=1))
