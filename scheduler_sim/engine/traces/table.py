"""Delimited text and other tables as named columns, for the formats that have a row a task.

Every value that a column holds and a reader cannot use leaves a trace: in a column that a task cannot do without
it breaks the row, elsewhere it is taken as unknown, and `Table.finish` tells the audit the column and the text.
"""

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.clock import clock_seconds, has_two_parts, microseconds
from scheduler_sim.engine.errors import InvalidTrace, listed
from scheduler_sim.engine.traces.audit import Audit, shorten
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.traces.texts import Piece, Texts
from scheduler_sim.engine.traces.units import KIND_OF_COLUMN, Scale, quantity, scaled
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray

MICROSECONDS = 1e6

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf(?:inity)?", re.IGNORECASE)
_BROKEN = frozenset({"broken_line"})
_UNREADABLE = frozenset({"unreadable_value"})
_NOTICED = frozenset({"minutes_and_seconds", "own_unit", "zoneless"})

Column = Texts | npt.NDArray[Any]
"""What a table holds of a column: texts, float64, datetime64[us], or objects that are lists."""


@dataclass
class Table:
    """Columns by name, a value a row.

    Attributes:
        name: the file's name, for messages.
        where: line (or row) numbers from 1.
        columns: the columns that were kept.
        names: all columns of the file, for messages; as `columns` when not given.
        titles: what the file calls a column, where that is another name.
        zoneless: columns of datetimes whose type names no time zone.
        durations: columns whose type is a duration, in seconds already.
        broken: rows that turned out not to hold the numbers they should.
    """

    name: str
    where: IntArray
    columns: Mapping[str, Column]
    names: Sequence[str] = ()
    titles: dict[str, str] = field(default_factory=dict)
    zoneless: frozenset[str] = frozenset()
    durations: frozenset[str] = frozenset()
    broken: BoolArray = field(init=False)
    _found: list["_Found"] = field(init=False, default_factory=list)
    _call: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.broken = np.zeros(len(self.where), bool)
        self.names = self.names or list(self.columns)

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
            raise InvalidTrace(f"{self.name} lacks the column {', '.join(missing)}; it has {listed(self.names)}.")

    def texts(self, column: str) -> Texts:
        """Return a column as texts without blanks around them; unknown ones are empty."""
        values = self.columns[column]
        if isinstance(values, Texts):
            return values
        if values.dtype.kind == "f":
            return Texts.of([str(int(value)) if value == np.floor(value) else repr(value) for value in values.tolist()])
        return Texts.of(values.tolist() if values.dtype == object else list(values))

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
        if not isinstance(values, Texts) and values.dtype.kind == "f":
            return scaled(values.astype(np.float64), scale)
        self._call += 1
        found = np.empty(len(self))
        for piece in self.texts(column).pieces():
            numbers = self._numbers(piece, column, measures or column, scale, needed=needed)
            found[piece.first : piece.first + len(piece.codes)] = numbers[piece.codes]
        return found

    def _numbers(self, piece: Piece, column: str, measures: str, scale: Scale | None, *, needed: bool) -> FloatArray:
        """Return the numbers of a piece's names, and keep what is unreadable or peculiar in its rows."""
        with contextlib.suppress(ValueError):
            # Underscores and signs of what is no number mean something to Python alone.
            joined = "".join(piece.names)
            if "_" not in joined and "nan" not in joined.lower():
                return scaled(np.array([float(text or "nan") for text in piece.names], np.float64), scale)
        plain = [float(text) if is_number(text) else None for text in piece.names]
        numbers = scaled(np.array(plain, np.float64), scale)
        rows = piece.rows()
        for place, text in enumerate(piece.names):
            if text and plain[place] is None:
                numbers[place] = self._measured(rows, place, column, measures, text, needed=needed)
        return numbers

    def times(self, column: str, *, needed: bool = False, scale: Scale | None = None) -> tuple[FloatArray, bool]:
        """Return instants, NaN where unknown or unreadable, and whether they are datetimes.

        Numbers are seconds, or in the unit of `scale`. Datetimes (without a zone taken as UTC, which is noticed)
        become microseconds since 1970, for `seconds_since`.
        """
        values = self.columns[column]
        if not isinstance(values, Texts) and values.dtype.kind == "M":
            found = values.astype("datetime64[us]").astype(np.int64).astype(np.float64)
            found[np.isnat(values)] = np.nan
            if needed and column in self.zoneless:
                self.remark(np.arange(len(self)), "zoneless", self.title(column))
            return found, True
        if not isinstance(values, Texts) and values.dtype.kind == "f":
            return scaled(values.astype(np.float64), scale), False
        texts = self.texts(column)
        names = (text for piece in texts.pieces() for text in piece.names)
        first = next((text for text in names if is_number(text) or microseconds(text) is not None), "")
        if is_number(first) or not first:
            return self.numbers(column, needed=needed, measures="instant", scale=scale), False
        self._call += 1
        moments = np.full(len(texts), np.nan)
        zoneless: list[IntArray] = []
        for piece in texts.pieces():
            read = [microseconds(text) if text else (np.nan, True) for text in piece.names]
            values = np.array([np.nan if moment is None else moment[0] for moment in read], np.float64)
            moments[piece.first : piece.first + len(piece.codes)] = values[piece.codes]
            if None in read:
                rows = piece.rows()
                for place, moment in enumerate(read):
                    if moment is None:
                        self._fault(rows(place), column, piece.names[place], needed=needed)
            zoned = np.array([moment is None or moment[1] for moment in read], bool)
            zoneless.append(piece.first + np.flatnonzero(~zoned[piece.codes]))
        without = np.concatenate(zoneless)
        if needed and len(without):
            self._keep("zoneless", without, f"{self.title(column)} {shorten(texts.at(int(without[0])))}")
        return moments, True

    def title(self, column: str) -> str:
        """Return what the file calls a column."""
        return self.titles.get(column, column)

    def read(
        self, column: str, value: Callable[[str], float | None], where: BoolArray | None = None, *, needed: bool = False
    ) -> FloatArray:
        """Return what a function makes of each text of a column, NaN where that is None and the text unreadable.

        Args:
            column: its name.
            value: called with a text, which may be empty.
            where: rows of which an unreadable text is kept; all when not given.
            needed: whether an unreadable text breaks the row.
        """
        self._call += 1
        found = np.empty(len(self))
        for piece in self.texts(column).pieces():
            read = [value(text) for text in piece.names]
            numbers = np.array(read, np.float64)
            found[piece.first : piece.first + len(piece.codes)] = numbers[piece.codes]
            if None in read:
                rows = piece.rows()
                for place in (place for place, number in enumerate(read) if number is None):
                    wrong = rows(place) if where is None else rows(place)[where[rows(place)]]
                    self._fault(wrong, column, piece.names[place], needed=needed)
        return found

    def remark(self, rows: IntArray, reason: str, example: str) -> None:
        """Keep something peculiar about values, for the audit's list of what was noticed."""
        self._call += 1
        self._keep(reason, rows, example)

    def finish(self, tasks: RawTasks, audit: Audit, left_out: BoolArray | None = None) -> RawTasks:
        """Return the usable rows; count those that are broken, and what was unreadable or peculiar in the others.

        Args:
            tasks: a task a row.
            audit: where the findings go.
            left_out: rows that the reader leaves out and has counted itself.
        """
        out = np.zeros(len(self), bool) if left_out is None else left_out
        broken = self.broken & ~out
        kept = ~self.broken & ~out
        audit.drop("broken_line", self.where[broken], [found.example for found in self._told(_BROKEN, broken)])
        for found in self._told(_UNREADABLE, kept):
            audit.repair(found.reason, self.where[found.rows], [found.example])
        for found in self._told(_NOTICED, kept):
            audit.notice(found.reason, self.where[found.rows], [found.example])
        return tasks.keep(kept)

    def _fault(self, rows: IntArray, column: str, text: str, *, needed: bool) -> None:
        """Keep that a value cannot be read: its rows are broken where it is needed, else the value is unknown."""
        self.broken[rows] |= needed
        self._keep("broken_line" if needed else "unreadable_value", rows, f"{self.title(column)} {shorten(text)}")

    def _keep(self, reason: str, rows: IntArray, example: str) -> None:
        self._found.append(_Found(self._call, reason, rows, example))

    def _told(self, reasons: frozenset[str], told: BoolArray) -> list["_Found"]:
        """Return what was found for one of the reasons in the rows that are told of, in the order of call and row."""
        among = (found for found in self._found if found.reason in reasons)
        cut = [found._replace(rows=found.rows[told[found.rows]]) for found in among]
        return sorted((found for found in cut if len(found.rows)), key=lambda found: (found.call, int(found.rows[0])))

    def _measured(
        self, rows: Callable[[int], IntArray], place: int, column: str, measures: str, text: str, *, needed: bool
    ) -> float:
        if KIND_OF_COLUMN.get(measures) == "time" and (seconds := clock_seconds(text)) is not None:
            if has_two_parts(text):
                self._keep("minutes_and_seconds", rows(place), f"{self.title(column)} {shorten(text)} is {seconds:g} s")
            return seconds
        own = quantity(measures, text)
        if own is None:
            self._fault(rows(place), column, text, needed=needed)
        else:
            self._keep("own_unit", rows(place), f"{self.title(column)} {shorten(text)} is {own:g}")
        return np.nan if own is None else own


class _Found(NamedTuple):
    """Something unreadable or peculiar: in which call it was found, what it is, and in which rows, ascending."""

    call: int
    reason: str
    rows: IntArray
    example: str


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


def is_number(text: str) -> bool:
    """Tell a plain decimal number; `1_000`, which Python reads, is none."""
    return _NUMBER.fullmatch(text) is not None
