"""Files of step series: csv as electricityMaps and others hand them out, and OpenDC's parquet.

Only two columns count: one of times, one of values. Their names are matched by how they begin, since providers change
the rest of them.
"""

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from scheduler_sim.engine.clock import LocalClock, microseconds
from scheduler_sim.engine.errors import InvalidParameter, InvalidTrace, listed
from scheduler_sim.engine.series.signals import SIGNALS, Kind, Signals, kind_named
from scheduler_sim.engine.series.steps import StepSeries
from scheduler_sim.engine.series.units import other_unit, time_unit, unusual_mean
from scheduler_sim.engine.traces.source import Source, open_source
from scheduler_sim.engine.traces.texts import UNKNOWN
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray

MOST_ROWS = 1_000_000
_DATED_FROM = 1e8
"""Numbers from here up are seconds since 1970 (from 1973 on)."""
_PARTS_FROM = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Numbers from the first up are since 1970 in parts of a second, of which a second has so many."""
_TIMES = ("datetime", "timestamp", "time", "date")
_VALUES = {
    "carbon": ("carbon intensity", "carbon_intensity", "carbonintensity", "g_per_kwh"),
    "price": ("price",),
    "pue": ("pue",),
    "temperature": ("temperature", "temp"),
    "power_cap": ("power_cap", "power cap", "cap", "watts"),
}
_PREFERRED = ("life cycle", "(lca)", "(utc)")
"""What of several columns tells the one to take: of carbon that over the whole life of the plants, which providers show
themselves, and of times those of no zone that changes its clocks."""
_NO_VALUE = UNKNOWN | {"-", "n/e"}
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d*\s*")
_GAP = 1.5
"""A step is a gap where it is so many times as long as most are."""


@dataclass(frozen=True, eq=False)
class ReadSeries:
    """A series as a file tells it.

    Attributes:
        kind: what it is of; values are in its unit.
        steps: on the clock of the file: seconds since 1970 where it is dated, else from its own zero.
        is_dated: whether its times are dates.
        signal: of a carbon intensity, one of `SIGNALS`; empty where nobody said it.
        audit: what was found: rows, columns, unit, step, gaps, notes.
    """

    kind: Kind
    steps: StepSeries
    is_dated: bool
    signal: str
    audit: dict[str, Any]


def read_series(
    file: str | Path | BinaryIO,
    *,
    kind: str,
    unit: str = "",
    time_column: str = "",
    value_column: str = "",
    signal: str = "",
    time_zone: str = "",
    name: str | None = None,
) -> ReadSeries:
    """Read a series.

    Args:
        unit: of the file's values, one of the kind's; its own by default, where the column's name tells no other.
        time_column, value_column: by their names; found by how they begin where not given.
        signal: of a carbon intensity, one of `SIGNALS`.
        time_zone: of dates that name none, as `Europe/Amsterdam`; UTC by default. Of an hour that stands twice, where
            clocks go back, the rows that come later in the file are the second one's, or the earlier ones where it is
            written newest first.

    Raises:
        InvalidTrace: a file that cannot be read, columns that are not there or not told apart, one whose name tells
            another unit where none is given, or rows without meaning.
        InvalidParameter: an unknown kind, unit, signal or time zone, or values that the kind cannot have.
    """
    of = kind_named(kind)
    if unit and unit not in of.units:
        raise InvalidParameter(f"A series of {kind} is in one of {', '.join(of.units)}, not in {unit!r}.")
    if signal and (kind != "carbon" or signal not in SIGNALS):
        raise InvalidParameter(f"The signal of a carbon intensity is one of {', '.join(SIGNALS)}, not {signal!r}.")
    clock = None if not time_zone else LocalClock(time_zone)
    with open_source(file, name=name, max_rows=MOST_ROWS) as source:
        columns = _Columns(source.name, of, time_column, value_column)
        read = _read_parquet if source.is_parquet else _read_csv
        times, values, where = read(source, columns)
        found = source.name
    return _assembled(found, of, unit, signal, columns, clock, (times, values, where))


class _Columns:
    """Which columns of a file are the times and the values, and what was found in them.

    Attributes:
        is_zoned: whether dates that are no texts name their zone. decimal_commas: values with a comma for the point.
    """

    def __init__(self, file: str, kind: Kind, time: str, value: str) -> None:
        self.file, self.kind, self.time, self.value = file, kind, time, value
        self.is_zoned, self.decimal_commas = True, 0

    def find(self, names: list[str]) -> tuple[int, int]:
        """Return the places of both, and keep their names.

        Raises:
            InvalidTrace: one is not there, or cannot be told.
        """
        time = self._place(names, self.time, _TIMES, "times", "--time-column")
        others = [name for place, name in enumerate(names) if place != time]
        if not self.value and len(others) == 1:
            self.value = others[0]
        value = self._place(names, self.value, _VALUES[self.kind.name], "values", "--value-column")
        self.time, self.value = names[time], names[value]
        return time, value

    def _place(self, names: list[str], given: str, begins: tuple[str, ...], what: str, option: str) -> int:
        if given:
            if given not in names:
                raise InvalidTrace(f"{self.file} has no column {given!r}; its columns: {listed(names)}.")
            return names.index(given)
        for begin in begins:
            found = [place for place, name in enumerate(names) if name.strip().casefold().startswith(begin)]
            if len(found) > 1:
                preferred = [place for place in found if any(word in names[place].casefold() for word in _PREFERRED)]
                found = preferred or found
            if len(found) == 1:
                return found[0]
            if found:
                called = listed([names[place] for place in found])
                raise InvalidTrace(f"{self.file} has several columns of {what}: {called}. Choose one with {option}.")
        raise InvalidTrace(
            f"{self.file} has no column of {what} by a known name; choose one with {option}: {listed(names)}."
        )


_Read = tuple[list[Any], list[Any], list[int]]


def _read_csv(source: Source, columns: _Columns) -> _Read:
    times: list[Any] = []
    values: list[Any] = []
    where: list[int] = []
    lines = source.lines()
    begin = []
    for line in lines:
        begin.append(line)
        if line.strip("\r\n"):
            break
    unquoted = re.sub('"[^"]*"', "", "".join(begin))
    delimiter = max((",", ";", "\t"), key=unquoted.count)
    reader = csv.reader(chain(begin, lines), delimiter=delimiter)
    try:
        header = next((row for row in reader if row), [])
        time, value = columns.find(header)
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise InvalidTrace(
                    f"{source.name}, line {reader.line_num}: {len(row)} fields where {len(header)} belong."
                )
            found = row[value]
            if delimiter != "," and _DECIMAL_COMMA.fullmatch(found):
                found = found.replace(",", ".")
                columns.decimal_commas += 1
            times.append(row[time])
            values.append(found)
            where.append(reader.line_num)
    except csv.Error as error:
        raise InvalidTrace(f"{source.name}, line {reader.line_num}: {error}.") from error
    return times, values, where


def _read_parquet(source: Source, columns: _Columns) -> _Read:
    try:
        file = parquet.ParquetFile(pa.PythonFile(source.file, "r"))
        if file.metadata.num_rows > MOST_ROWS:
            raise InvalidTrace(f"{source.name} has more rows than the limit of {MOST_ROWS:,}.")
        names = file.schema_arrow.names
        chosen = [names[place] for place in columns.find(names)]
        table = file.read(columns=chosen, use_threads=False)
        stamps = table.column(chosen[0])
        is_dated = pa.types.is_timestamp(stamps.type) or pa.types.is_date(stamps.type)
        columns.is_zoned = pa.types.is_timestamp(stamps.type) and stamps.type.tz is not None
        times = list(_dates(stamps)) if is_dated else stamps.to_pylist()
        return times, table.column(chosen[1]).to_pylist(), list(range(1, table.num_rows + 1))
    except (pa.ArrowException, OSError) as error:
        raise InvalidTrace(f"{source.name} is a damaged parquet file.") from error


def _dates(stamps: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    """Return instants in whole microseconds of a column of them: of any zone, what counts since 1970 is the same."""
    kept = pa.timestamp("us", stamps.type.tz if pa.types.is_timestamp(stamps.type) else None)
    whole = stamps.cast(options=compute.CastOptions(kept, allow_time_truncate=True))
    found: np.ndarray[Any, np.dtype[np.datetime64]] = whole.to_numpy().astype("datetime64[us]")
    return found


def _number(value: Any) -> float:
    if value is None or (isinstance(value, str) and value.strip().casefold() in _NO_VALUE):
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("inf")


def _are_seconds(times: list[Any]) -> bool:
    """Tell whether all times are numbers that read as seconds since 1970, whatever parts of one their name tells."""
    return all(
        not isinstance(value, np.datetime64) and _DATED_FROM <= _number(value) < _PARTS_FROM[-1][0] for value in times
    )


def _instant(value: Any, unit: float, *, is_zoned: bool) -> tuple[float, bool, bool]:
    """Return seconds, whether they are a date, and whether it names its zone, which a date that is no text does or not.

    NaN seconds for what is no time.

    Args:
        unit: the seconds of what small numbers count; large ones tell their unit themselves, but in parts of a second.
    """
    if isinstance(value, np.datetime64):
        return (float("nan") if np.isnat(value) else int(value.astype(np.int64)) / 1e6), True, is_zoned
    seconds = _number(value)
    if np.isfinite(seconds):
        if unit >= 1 and abs(seconds) >= _DATED_FROM:
            seconds /= next((parts for least, parts in _PARTS_FROM if abs(seconds) >= least), 1.0)
        else:
            seconds *= unit
        return seconds, abs(seconds) >= _DATED_FROM, True
    found = microseconds(value.strip()) if isinstance(value, str) else None
    return (float("nan"), False, True) if found is None else (found[0] / 1e6, True, found[1])


def _shown_again(shown: FloatArray, values: FloatArray) -> tuple[BoolArray, bool]:
    """Return which rows are the second ones of a time, should clocks show it twice, and whether rows are in order.

    Those that tell another value than the first in order of time; where all tell the same, all but the first. Rows are
    in order where most go one way, forwards or backwards: a file may have several hours that stand twice.

    Args:
        shown, values: shape (n,); NaN for no value.
    """
    steps = np.diff(shown)
    forwards, backwards = int((steps > 0).sum()), int((steps < 0).sum())
    _, which, counts = np.unique(shown, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(counts[which] > 1)
    of_time: defaultdict[int, list[int]] = defaultdict(list)
    for row in (rows if forwards >= backwards else rows[::-1]).tolist():
        of_time[int(which[row])].append(row)
    again = np.zeros(len(shown), np.bool_)
    for first, *others in of_time.values():
        differ = [not np.array_equal(values[first], values[row], equal_nan=True) for row in others]
        again[others] = differ if any(differ) else True
    return again, 2 * min(forwards, backwards) <= max(forwards, backwards)


def _assembled(
    name: str, kind: Kind, unit: str, signal: str, columns: _Columns, clock: LocalClock | None, read: _Read
) -> ReadSeries:
    if not read[0]:
        raise InvalidTrace(f"{name} holds no rows.")
    counted, seconds = time_unit(columns.time)
    if seconds < 1 and _are_seconds(read[0]):
        counted, seconds = "", 1.0
    instants = [_instant(value, seconds, is_zoned=columns.is_zoned) for value in read[0]]
    times = np.array([instant[0] for instant in instants], np.float64)
    values = np.array([_number(value) for value in read[1]], np.float64)
    where = np.array(read[2], np.int64)
    for wrong, what, texts in ((~np.isfinite(times), "time", read[0]), (np.isinf(values), "number", read[1])):
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            shown = str(texts[place])[:60]
            raise InvalidTrace(f"{name}, line {where[place]}: {shown!r} is no {what}.")
    dated = {instant[1] for instant in instants}
    if len(dated) > 1:
        raise InvalidTrace(f"{name} holds dates and times that are none.")
    is_local = np.array([instant[1] and not instant[2] for instant in instants])
    hint = ""
    if is_local.any() and clock is None:
        hint = " Times name no zone, and where clocks go back an hour stands twice: say whose they are by --time-zone."
    elif clock is not None:
        local = np.flatnonzero(is_local)
        again, is_ordered = _shown_again(times[local], values[local])
        for place, second in zip(local.tolist(), again.tolist(), strict=True):
            at = f"{name}, line {where[place]}: {str(read[0][place])[:60]!r}"
            try:
                found = clock.seconds(float(times[place]), again=second)
                if second and not is_ordered and found != clock.seconds(float(times[place])):
                    raise InvalidTrace(f"{at} is shown twice by {clock}; which is which is told by rows in order.")
            except OverflowError:
                raise InvalidTrace(f"{at} is outside the years 1 to 9999 of a calendar.") from None
            if found is None:
                raise InvalidTrace(f"{at} is skipped by {clock}.")
            times[place] = found
    missing = np.isnan(values)
    notes = []
    told = other_unit(kind, unit or kind.unit, columns.value)
    if told and not unit:
        raise InvalidTrace(
            f"{name}, column {columns.value!r}: its name tells {told}, and values are taken as {kind.unit}; say with "
            f"--unit what they are in: {', '.join(kind.units)}."
        )
    unit = unit or kind.unit
    if told:
        notes.append(f"The column {columns.value!r} tells {told}; its values are read as {unit}, as asked.")
    if missing.all():
        raise InvalidTrace(f"{name} holds no value in column {columns.value!r}.")
    if columns.decimal_commas:
        notes.append(f"{columns.decimal_commas:,} values have a decimal comma.")
    if counted and dated == {False}:
        notes.append(f"Times are counted in {counted}, as the name of their column {columns.time!r} tells.")
    first, last = times[~missing].min(), times[~missing].max()
    at_ends = int((missing & ((times < first) | (times > last))).sum())
    if inside := int(missing.sum()) - at_ends:
        notes.append(f"{inside:,} rows have no value: the one before holds on.")
    if at_ends:
        notes.append(f"{at_ends:,} rows at the ends have no value: the series is shorter by them.")
    if is_local.any():
        notes.append(f"Times name no zone: they are read as {clock or 'UTC'}.")
    times, values, where = times[~missing], kind.taken(values[~missing], unit), where[~missing]
    order = np.argsort(times, kind="stable")
    if (np.diff(order) < 0).any():
        notes.append("Rows are not in order of time; they were sorted.")
    times, values, where = times[order], values[order], where[order]
    same = np.append(False, np.diff(times) == 0)
    if (same[1:] & (np.diff(values) != 0)).any():
        place = int(np.flatnonzero(same[1:] & (np.diff(values) != 0))[0]) + 1
        raise InvalidTrace(f"{name}, line {where[place]}: a second value for one time.{hint}")
    if same.any():
        notes.append(f"{same.sum():,} rows stand twice.")
    times, values = times[~same], values[~same]
    if len(times) < 2:
        raise InvalidTrace(f"{name} holds {len(times)} values; how long one holds is told by two at least.")
    lengths = np.diff(times)
    sizes, counts = np.unique(lengths, return_counts=True)
    step = float(sizes[counts.argmax()])
    gaps = lengths > _GAP * step
    if gaps.any():
        notes.append(
            f"{gaps.sum():,} gaps, {lengths[gaps].sum() - step * gaps.sum():,.15g} s in all: the value before holds on."
        )
    steps = StepSeries(times, values, float(times[-1]) + step)
    Signals({kind.name: steps})
    mean = float(steps.integral(np.array(steps.begin), np.array(steps.end)) / steps.span)
    if unusual := unusual_mean(kind, mean):
        notes.append(f"{unusual} Values are read as {unit}." if len(kind.units) > 1 else unusual)
    audit = {
        "rows": len(read[0]),
        "values": len(times),
        "time_column": columns.time,
        "value_column": columns.value,
        "unit": unit,
        "step_seconds": step,
        "gaps": int(gaps.sum()),
        "longest_gap_seconds": float(lengths[gaps].max(initial=0.0)),
        "missing": int(missing.sum()),
        "mean": mean,
        "least": float(values.min()),
        "most": float(values.max()),
        "notes": notes,
    }
    return ReadSeries(kind, steps, dated == {True}, signal, audit)
