"""Tables of Arrow and pandas as columns of a workload. What reads tables is loaded when one is given."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.errors import InvalidWorkload, listed, unknown_name
from scheduler_sim.engine.workloads.columns import FloatArray, Labels

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

NEEDED = ("arrival_time", "runtime")
TIMES = ("arrival_time", "deadline_time", "recorded_start_time")
DURATIONS = ("runtime", "duration_estimate", "predicted_duration")
LABELS = ("gpu_type", "user", "group", "queue")
NAMES = (
    *NEEDED,
    "task_id",
    "duration_estimate",
    "size",
    "compute_intensity",
    "memory_mb",
    "cpus",
    "gpus",
    *LABELS,
    "dependencies",
    "dependency_mb",
    "hybrid",
    "deadline_time",
    "predicted_duration",
    "recorded_start_time",
    "external_id",
)
"""The columns that a table of tasks may have: those of `Workload.from_columns`."""


def checked_names(columns: Mapping[str, Any] | npt.NDArray[np.void]) -> dict[str, Any]:
    """Return the columns.

    Raises:
        InvalidWorkload: no columns by name, a name that is none of `NAMES`, or arrivals or run times are missing.
    """
    if isinstance(columns, np.ndarray) and columns.dtype.names:
        columns = {name: columns[name] for name in columns.dtype.names}
    if not isinstance(columns, Mapping):
        raise InvalidWorkload(f"from_numpy takes arrays by name, or a structured array, not {type(columns).__name__}.")
    for name in columns:
        if name not in NAMES:
            raise InvalidWorkload(unknown_name("workload column", str(name), list(NAMES)))
    for name in NEEDED:
        if name not in columns:
            raise InvalidWorkload(f"There is no column {name}; the tasks have {listed(columns) or 'no columns'}.")
    return dict(columns)


def arrow_of(frame: "pd.DataFrame", called: Mapping[str, str] | None = None) -> "pa.Table":
    """Return a pandas frame as an Arrow table, its index among the columns where it bears the name of one.

    Args:
        called: as of `columns_of`.

    Raises:
        InvalidWorkload: no frame, a name that two columns bear, or a column of values that are not all of one kind.
    """
    import pandas as pd
    import pyarrow as pa

    if not isinstance(frame, pd.DataFrame):
        raise InvalidWorkload(
            f"from_pandas takes a DataFrame of pandas, not {type(frame).__name__}; from_numpy takes arrays by name, "
            "from_arrow tables of Arrow and of polars."
        )
    if frame.columns.has_duplicates:
        raise InvalidWorkload(f"The table has more than one column {frame.columns[frame.columns.duplicated()][0]!r}.")
    wanted = {*NAMES, *(called or {}).values()} - set(frame.columns)
    if kept := [name for name in frame.index.names if name in wanted]:
        frame = frame.reset_index(kept)
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidWorkload(f"The frame holds a column of mixed values: {error.args[0]}.") from error


def columns_of(table: Any, called: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the columns of an Arrow table as `Workload.from_columns` takes them.

    Args:
        called: what the table calls a column, where that is another name; columns that bear the workload's own name
            need not be among them, and what is neither is left out. None takes every column of the table.

    Raises:
        InvalidWorkload: a column that the table does not have, datetimes beside numbers, or values that are neither
            numbers nor times where numbers are wanted.
    """
    table = _as_table(table)
    names = table.column_names
    doubled = [name for name in names if names.count(name) > 1]
    if doubled:
        raise InvalidWorkload(f"The table has more than one column {doubled[0]!r}.")
    if called is None:
        called = dict(zip(names, names, strict=True))
    else:
        missing = [name for name in called.values() if name not in names]
        if missing:
            raise InvalidWorkload(f"The table has no column {missing[0]!r}; it has {listed(names)}.")
        called = {name: name for name in NAMES if name in names} | dict(called)
    return _converted({name: table.column(there) for name, there in checked_names(called).items()})


def _as_table(table: Any) -> "pa.Table":
    """Return what Arrow takes for a table as one; days are their first instants."""
    import pyarrow as pa

    try:
        found = table if isinstance(table, pa.Table) else pa.table(table)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidWorkload(f"There is no table in {type(table).__name__}: {error}.") from error
    for place, field in enumerate(found.schema):
        if pa.types.is_date(field.type):
            found = found.set_column(place, field.name, found.column(place).cast(pa.timestamp("ms")))
    return found


def _converted(columns: Mapping[str, "pa.ChunkedArray"]) -> dict[str, Any]:
    import pyarrow as pa

    dated = pa.types.is_timestamp(columns["arrival_time"].type)
    # Whole microseconds since 1970 are subtracted before anything is rounded.
    origin = _first_moment(columns["arrival_time"]) if dated else 0
    found: dict[str, Any] = {}
    for name, column in columns.items():
        if name in LABELS:
            found[name] = _labels(name, column)
        elif name == "dependencies":
            found[name] = _lists(name, column, int, "task_ids", "a whole number")
        elif name == "dependency_mb":
            found[name] = _lists(name, column, (int, float), "MB", "a number")
        elif name == "external_id":
            found[name] = np.array(["" if value is None else str(value) for value in column.to_pylist()], object)
        elif name == "hybrid":
            if not (pa.types.is_boolean(column.type) or pa.types.is_null(column.type)):
                raise InvalidWorkload("Column hybrid holds a value that is neither true nor false.")
            found[name] = column.cast(pa.bool_()).fill_null(False).to_numpy()
        elif name in TIMES:
            if pa.types.is_timestamp(column.type) != dated and column.null_count < len(column):
                raise InvalidWorkload(f"Columns arrival_time and {name} must both be datetimes or both be numbers.")
            zones = [bool(getattr(one.type, "tz", None)) for one in (columns["arrival_time"], column)]
            if dated and column.null_count < len(column) and zones[0] != zones[1]:
                raise InvalidWorkload(f"Of arrival_time and {name} one has a time zone and the other has none.")
            found[name] = _seconds(name, column, origin)
        else:
            if pa.types.is_timestamp(column.type) or (pa.types.is_duration(column.type) and name not in DURATIONS):
                raise InvalidWorkload(f"Column {name} holds datetimes or durations, where it is a plain number.")
            found[name] = _seconds(name, column)
    return _filled(found)


def _filled(columns: dict[str, Any]) -> dict[str, Any]:
    """Give what is not stated of amounts the value that a missing column has."""
    for name in ("gpus", "memory_mb", "compute_intensity"):
        if name in columns:
            columns[name] = np.nan_to_num(columns[name], nan=0.0)
    if "cpus" in columns and np.isnan(columns["cpus"]).any():
        hybrid, gpus = (np.asarray(columns.get(name, np.zeros(len(columns["cpus"])))) for name in ("hybrid", "gpus"))
        default = ((gpus == 0) | (hybrid > 0)).astype(np.float64)
        columns["cpus"] = np.where(np.isnan(columns["cpus"]), default, columns["cpus"])
    return columns


def _lists(name: str, column: "pa.ChunkedArray", kinds: type | tuple[type, ...], what: str, expected: str) -> list[Any]:
    import pyarrow as pa

    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_null(column.type)):
        raise InvalidWorkload(f"Column {name} holds a value that is no list of {what}.")
    found = [value or () for value in column.to_pylist()]
    if any(not isinstance(one, kinds) for several in found for one in several):
        raise InvalidWorkload(f"Column {name} holds a {'parent' if kinds is int else 'value'} that is not {expected}.")
    return found


def _first_moment(column: "pa.ChunkedArray") -> int:
    import pyarrow as pa
    from pyarrow import compute

    try:
        return int(compute.min(_in_microseconds(column)).as_py() or 0)
    except pa.ArrowException as error:
        raise InvalidWorkload("Column arrival_time holds a datetime beyond those that can be counted.") from error


def _in_microseconds(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow as pa

    kind = pa.timestamp("us") if pa.types.is_timestamp(column.type) else pa.duration("us")
    # A zone changes how a moment is written, not when it is.
    zoned = pa.timestamp("us", column.type.tz) if getattr(column.type, "tz", None) else kind
    # Nanoseconds beyond microseconds are cut; what is too large for 64 bits is an error of Arrow's.
    return column.cast(zoned, safe=column.type.unit != "ns").cast(pa.int64())


def _seconds(name: str, column: "pa.ChunkedArray", origin: int = 0) -> FloatArray:
    """Return numbers as they are, and times (counted from `origin`, microseconds) and durations in seconds."""
    import pyarrow as pa
    from pyarrow import compute

    parts = 1.0
    try:
        if pa.types.is_timestamp(column.type) or pa.types.is_duration(column.type):
            column, parts = compute.subtract(_in_microseconds(column), origin), 1e6
        values: FloatArray = column.cast(pa.float64(), safe=False).to_numpy()
    except pa.ArrowException as error:
        raise InvalidWorkload(f"Column {name} holds a value that is not a number.") from error
    return values if parts == 1.0 else values / parts


def _labels(name: str, column: "pa.ChunkedArray") -> Labels:
    import pyarrow as pa

    try:
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode()
    except pa.ArrowException as error:
        raise InvalidWorkload(f"Column {name} holds a value that is not a text.") from error
    encoded = column.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], encoded.type)
    texts = ["" if text is None else str(text) for text in encoded.dictionary.to_pylist()]
    names = sorted({*texts, ""} if encoded.null_count or not texts else set(texts))
    places = {name: place for place, name in enumerate(names)}
    codes = np.array([*map(places.__getitem__, texts), places.get("", 0)], np.int64)
    there = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    return Labels(codes=codes[there.astype(np.int64)], names=tuple(names))
