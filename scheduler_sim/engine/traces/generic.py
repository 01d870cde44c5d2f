"""Any csv or parquet table, its columns mapped to the workload's by name.

A column that already bears the workload's name, or one of `ALIASES`, needs no mapping. Numbers are seconds on the
table's own clock; datetimes become seconds from the first arrival.
"""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scheduler_sim.engine.errors import InvalidTrace, listed, unknown_name
from scheduler_sim.engine.traces.assemble import identifier
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.delimited import column_names, read_table, table_delimiter
from scheduler_sim.engine.traces.rated import kinds_in, rate_names, rates_in
from scheduler_sim.engine.traces.raw import RawRequests, RawTasks
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, reads
from scheduler_sim.engine.traces.source import Source, refuse_columns, refuse_doubled
from scheduler_sim.engine.traces.table import MICROSECONDS, Column, Table, as_objects, first_moment, seconds_since
from scheduler_sim.engine.traces.texts import PIECE_ROWS, UNKNOWN, Texts
from scheduler_sim.engine.traces.units import Scale, named_columns, split_unit
from scheduler_sim.engine.workloads import requests
from scheduler_sim.engine.workloads.requests import NAMES as REQUESTED
from scheduler_sim.engine.workloads.workload import LARGEST_INTEGER, REQUEST, BoolArray, FloatArray, Labels

if TYPE_CHECKING:
    from pyarrow import parquet

NUMBERS = (*REQUEST, "predicted_duration")
TIMES = ("arrival_time", "deadline_time", "recorded_start_time", "finish_time")
LABELS = ("gpu_type", "user", "group", "queue")
OTHERS = ("task_id", "external_id", "dependencies", "dependency_mb", "kind")
COLUMNS = (*TIMES, *NUMBERS, *LABELS, *OTHERS, *REQUESTED)
"""What a column may be mapped to. `finish_time` with `recorded_start_time` stands in for a missing runtime."""

ALIASES = {
    "account": "group",
    "partition": "queue",
    "nnodes": "nodes",
    "num_nodes": "nodes",
    "min_nodes": "nodes",
    "max_nodes": "most_nodes",
    "ntasks": "tasks",
    "cpus_per_task": "cores_per_task",
    "ntasks_per_node": "tasks_per_node",
    "mem_per_cpu": "memory_mb_per_core",
    "memory_mb_per_cpu": "memory_mb_per_core",
    "mem_per_node": "memory_mb_per_node",
    "constraint": "features",
    "constraints": "features",
    "begin_time": "eligible_time",
    "requeue": "requeueable",
}
"""Names that other tables have for a workload's columns; they give way to the workload's own name and to `--map`."""

_TRUTH = {
    "": np.nan,
    **dict.fromkeys(("0", "0.0", "false", "f", "no", "n"), 0.0),
    **dict.fromkeys(("1", "1.0", "true", "t", "yes", "y"), 1.0),
}

_IDENTIFIERS = ("task_id", "external_id", "dependencies", "dependency_mb")
_REPEATED_BYTES = 8
_PARENTS = re.compile(r"[\s,;|]+")


def recognises(head: list[str]) -> bool:
    """Tell a table by a header of several fields, none of them a number."""
    names = column_names(head, table_delimiter(head[0]))
    return len(names) > 1 and not any(re.fullmatch(r"[-+.\d]+", name) for name in names)


@reads(
    "csv",
    description="any csv; columns by name or --map, without a header line by --columns",
    recognises=recognises,
    options=frozenset({"columns", "header"}),
    mappable=frozenset(COLUMNS),
)
def read_csv(source: Source, options: ReadOptions, audit: Audit) -> Reading:
    """Parse delimited text; the delimiter is the commonest of comma, semicolon, tab and bar in the first line.

    With `header` the first line is a task already, unless it holds those very names.
    """
    first = source.head(1)[0]
    header = options.header
    delimiter = table_delimiter(first, len(header) if header is not None else None)
    if header is not None and column_names([first], delimiter)[: len(header)] == list(header):
        header = None
    table = read_table(source, audit, delimiter=delimiter, header=header, is_wanted=_wanted(options))
    return _read(*_mapped(table, options), audit)


@reads(
    "parquet",
    description="any parquet file; columns by name or --map",
    recognises=lambda _head: False,
    options=frozenset({"columns"}),
    mappable=frozenset(COLUMNS),
)
def read_parquet(source: Source, options: ReadOptions, audit: Audit) -> Reading:
    """Parse a parquet file; line numbers in the audit are row numbers from 1.

    Raises:
        InvalidTrace: a file that is damaged, too large when expanded, or has two columns of a name.
    """
    try:
        file = _opened(source)
        present = file.schema_arrow.names
        refuse_columns(source.name, len(present))
        refuse_doubled(source.name, present)
        if source.max_rows is not None and file.metadata.num_rows > source.max_rows:
            raise InvalidTrace(
                f"{source.name} has {file.metadata.num_rows:,} rows, where {source.max_rows:,} are allowed."
            )
        groups = (file.metadata.row_group(index).total_byte_size for index in range(file.metadata.num_row_groups))
        if sum(groups) > source.max_bytes:
            raise InvalidTrace(f"{source.name} expands to more than the limit of {source.max_bytes:,} bytes.")
        is_wanted = _wanted(options)
        fields = [column for column in file.schema_arrow if is_wanted(column.name)]
        names = [column.name for column in fields]
        # Identifiers are kept digit by digit: a double holds no number beyond 2**53 exactly.
        mapped = (column for wanted, column in (options.columns or {}).items() if wanted in _IDENTIFIERS)
        exact = {*mapped, *_IDENTIFIERS}
        columns = [_Growing(column.type, exact=column.name in exact) for column in fields]
        rows = 0
        # Threads would each take memory for their stacks.
        for batch in file.iter_batches(PIECE_ROWS, columns=names, use_threads=False):
            rows += batch.num_rows
            for column, growing in zip(fields, columns, strict=True):
                growing.append(batch.column(column.name))
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise InvalidTrace(f"{source.name} is a damaged parquet file.") from error
    audit.read = rows
    table = Table(
        name=source.name,
        where=np.arange(1, rows + 1, dtype=np.int64),
        columns={column.name: growing.whole() for column, growing in zip(fields, columns, strict=True)},
        names=present,
        zoneless=_of_type(
            fields, lambda kind: pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None)
        ),
        durations=_of_type(fields, pa.types.is_duration),
    )
    return _read(*_mapped(table, options), audit)


def _wanted(options: ReadOptions) -> Callable[[str], bool]:
    wanted = {*COLUMNS, *ALIASES} | named_columns(options.columns)
    return lambda name: name in wanted or bool(kinds_in([name]))


def _opened(source: Source) -> "parquet.ParquetFile":
    """Open a file so that texts of which there are few are held once: a small file may repeat long ones."""
    # Here rather than above: it loads what reads files of other hosts, for which readers of other formats would wait.
    from pyarrow import parquet

    metadata = parquet.read_metadata(pa.PythonFile(source.file, "r"))
    chunks = [
        (metadata.row_group(group).column(place), metadata.row_group(group).num_rows)
        for group in range(metadata.num_row_groups)
        for place in range(metadata.num_columns)
    ]
    repeated = {
        chunk.path_in_schema
        for chunk, rows in chunks
        if chunk.physical_type == "BYTE_ARRAY" and chunk.total_uncompressed_size < _REPEATED_BYTES * rows
    }
    return parquet.ParquetFile(pa.PythonFile(source.file, "r"), metadata=metadata, read_dictionary=sorted(repeated))


def _of_type(columns: Sequence[Any], belongs: Callable[[Any], bool]) -> frozenset[str]:
    return frozenset(column.name for column in columns if belongs(column.type))


class _Growing:
    """A column of a parquet file, to which batches are added."""

    def __init__(self, kind: Any, *, exact: bool) -> None:
        """Begin a column.

        Args:
            kind: Arrow's type.
            exact: whether numbers are kept as texts.
        """
        types = pa.types
        self._texts = Texts()
        self._parts: list[npt.NDArray[Any]] = []
        self._read: Callable[[Any], npt.NDArray[Any]] | None = None
        if exact:
            self._read = _lists if types.is_nested(kind) else None
        elif types.is_timestamp(kind) or types.is_date(kind):
            self._read = _moments
        elif types.is_duration(kind):
            self._read = _seconds
        elif types.is_floating(kind) or types.is_integer(kind) or types.is_decimal(kind):
            self._read = _doubles
        if self._read is not None:
            self._parts.append(self._read(pa.array([], kind)))

    def append(self, values: Any) -> None:
        """Add the values of a batch."""
        if self._read is not None:
            self._parts.append(self._read(values))
        elif _is_text(values.type):
            self._texts.append_arrow(values)
        else:
            self._texts.extend(values.to_pylist())

    def whole(self) -> Column:
        """Return the column."""
        return self._texts if self._read is None else np.concatenate(self._parts)


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _moments(values: Any) -> npt.NDArray[Any]:
    return np.asarray(_cut(values, pa.timestamp("us")).to_numpy(zero_copy_only=False), "datetime64[us]")


def _seconds(values: Any) -> npt.NDArray[Any]:
    return _doubles(_cut(values, pa.duration("us")).cast(pa.int64())) / MICROSECONDS


def _cut(values: Any, kind: Any) -> Any:
    """Return times in microseconds; nanoseconds beyond them are cut, and what is too large is an error of Arrow's."""
    return values.cast(kind, safe=getattr(values.type, "unit", "") != "ns")


def _doubles(values: Any) -> npt.NDArray[Any]:
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def _lists(values: Any) -> npt.NDArray[Any]:
    return as_objects(["" if value is None else value for value in values.to_pylist()])


def _mapped(table: Table, options: ReadOptions) -> tuple[Table, dict[str, Scale | None]]:
    """Rename the columns as asked, refuse names that do not exist, and give the units by workload column."""
    present = table.names
    mapping: dict[str, str] = {}
    scales: dict[str, Scale | None] = {}
    for wanted, given in (options.columns or {}).items():
        if wanted not in COLUMNS:
            raise InvalidTrace(unknown_name("workload column", wanted, list(COLUMNS)))
        mapping[wanted], scales[wanted] = split_unit(wanted, given, table.name, present)
    ours = {*COLUMNS, *rate_names(table.columns)}
    columns = {name: column for name, column in table.columns.items() if name in ours and name not in mapping}
    for alias, wanted in ALIASES.items():
        taken = wanted in columns or wanted in mapping or alias in mapping.values()
        if alias in table.columns and not taken:
            mapping[wanted] = alias
    columns |= {wanted: table.columns[given] for wanted, given in mapping.items()}
    missing = [name for name in ("arrival_time", "runtime") if name not in columns]
    if "runtime" in missing and {"finish_time", "recorded_start_time"} <= set(columns):
        missing.remove("runtime")
    if missing:
        raise InvalidTrace(
            f"{table.name} has no column for {' and '.join(missing)}; name it with --map, as in "
            f"--map {missing[0]}=COLUMN (it has {listed(present)})."
        )
    titles = {name: mapping.get(name, name) for name in columns}
    renamed = Table(
        name=table.name,
        where=table.where,
        columns=columns,
        names=present,
        titles=titles,
        zoneless=frozenset(name for name, given in titles.items() if given in table.zoneless),
        durations=frozenset(name for name, given in titles.items() if given in table.durations),
    )
    return renamed, scales


def _read(table: Table, scales: dict[str, Scale | None], audit: Audit) -> Reading:
    arrivals, dated = table.times("arrival_time", needed=True, scale=scales.get("arrival_time"))
    if dated and scales.get("arrival_time") is not None:
        raise InvalidTrace(f"{table.title('arrival_time')} holds datetimes, which have no unit.")
    origin = first_moment(arrivals)

    def instants(name: str) -> FloatArray | None:
        if name not in table:
            return None
        moments, also_dated = table.times(name, scale=scales.get(name))
        if also_dated != dated and not np.isnan(moments).all():
            raise InvalidTrace(f"{table.name} mixes datetimes and numbers: arrival_time and {name} must be alike.")
        return seconds_since(origin, moments) if dated else moments

    def numbers(name: str, *, needed: bool = False) -> FloatArray | None:
        return table.numbers(name, needed=needed, scale=scales.get(name)) if name in table else None

    def labels(name: str) -> Labels | None:
        return table.texts(name).labels() if name in table else None

    started, finished = instants("recorded_start_time"), instants("finish_time")
    runtimes = numbers("runtime", needed=True)
    if runtimes is None:
        runtimes = np.asarray(finished) - np.asarray(started)
    numbered, texts = _task_numbers(table)
    as_stated: dict[str, Any] = {name: numbers(name) for name in REQUEST if name != "runtime"}
    as_stated |= {name: labels(name) for name in LABELS}
    tasks = RawTasks(
        where=table.where,
        arrival_time=seconds_since(origin, arrivals) if dated else arrivals,
        runtime=runtimes,
        task_id=numbered,
        id_text=texts,
        **as_stated,
        hybrid=_hybrid(table),
        deadline_time=instants("deadline_time"),
        predicted_duration=numbers("predicted_duration"),
        recorded_start_time=started,
        recorded_end_time=finished,
        external_id=table.texts("external_id").objects() if "external_id" in table else None,
        dependencies=_dependencies(table),
        dependency_mb=_amounts(table),
        requests=_requests(table, numbers, instants),
    )
    rates = rates_in(table, tasks.group, tasks.gpus)
    return Reading(tasks=table.finish(tasks, audit), throughputs=rates)


def _task_numbers(table: Table) -> tuple[FloatArray | None, npt.NDArray[np.object_] | None]:
    """Return the tasks' numbers, NaN where they are none from 0 to 2**53, and then also their texts."""
    if "task_id" not in table:
        return None, None
    texts = table.texts("task_id")
    numbers = texts.map(_number)
    return numbers, texts.objects() if np.isnan(numbers).any() else None


def _number(text: str) -> float:
    name = identifier(text)
    return float(name) if isinstance(name, int) and abs(name) <= LARGEST_INTEGER else np.nan


def _hybrid(table: Table) -> BoolArray | None:
    if "kind" not in table:
        return None
    kinds: BoolArray = table.read("kind", {"": 0.0, "rigid": 0.0, "hybrid": 1.0}.get, needed=True) == 1
    return kinds


def _requests(
    table: Table, numbers: Callable[[str], FloatArray | None], instants: Callable[[str], FloatArray | None]
) -> RawRequests:
    """Return what tasks ask of a site, of those columns that there are."""
    found: dict[str, FloatArray | Labels | None] = {}
    for name in (name for name in REQUESTED if name in table):
        if name in requests.TEXTS:
            found[name] = table.texts(name).labels()
        elif name in requests.FLAGS:
            found[name] = table.read(name, lambda text: _TRUTH.get(text.lower()))
        else:
            found[name] = instants(name) if name in requests.TIMES else numbers(name)
    return {name: column for name, column in found.items() if column is not None}


def _dependencies(table: Table) -> list[list[int | str]] | None:
    """Read parents in any notation: `[1, 2]`, `1;2`, `1 2`, `1.0`, `['a', 'b']`, or the one identifier as it is."""
    if "dependencies" not in table:
        return None
    whole: set[str] = set()
    for column in ("task_id", "external_id"):
        if column in table:
            for piece in table.texts(column).pieces():
                whole.update(filter(_PARENTS.search, piece.names))
    values = table.columns["dependencies"]
    if not isinstance(values, Texts):
        return [_parents(value, whole) for value in values.tolist()]
    found: list[list[int | str]] = []
    for piece in values.pieces():
        # Rows of the same text share a list: most have no parents.
        named = [_parents(text, whole) for text in piece.names]
        found.extend(named[code] for code in piece.codes.tolist())
    return found


def _amounts(table: Table) -> list[list[float]] | None:
    """Read MB that parents send, in the notations of `_dependencies`; NaN for what is no number."""
    if "dependency_mb" not in table or "dependencies" not in table:
        return None
    values = table.columns["dependency_mb"]
    texts = values.objects().tolist() if isinstance(values, Texts) else values.tolist()
    return [_numbers(text) for text in texts]


def _numbers(values: Any) -> list[float]:
    parts = values if isinstance(values, list) else _PARENTS.split(str(values).strip().strip("[](){}"))
    found = []
    for part in parts:
        text = str(part).strip("'\" ")
        if text.lower() in UNKNOWN:
            continue
        try:
            found.append(float(text))
        except ValueError:
            found.append(np.nan)
    return found


def _parents(values: Any, whole: set[str]) -> list[int | str]:
    """Return what one row names; `whole` are the identifiers that hold what separates others."""
    if isinstance(values, str) and values.isascii() and values.isdecimal():
        return [int(values)]
    parents: list[int | str] = []
    for part in values if isinstance(values, list) else [values]:
        text = "" if part is None else str(part).strip()
        pieces = [text] if text in whole else _PARENTS.split(text.strip("[](){}"))
        named = (piece.strip("'\" ") for piece in pieces)
        parents.extend(identifier(name) for name in named if name.lower() not in UNKNOWN)
    return parents
