"""Formats by name, and the one way in: `read_trace`."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from scheduler_sim.engine.errors import InvalidTrace, unknown_name
from scheduler_sim.engine.traces.assemble import assemble
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.delimited import table_delimiter
from scheduler_sim.engine.traces.documents import HEAD_LINES
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.traces.source import MAX_BYTES, Source, open_source
from scheduler_sim.engine.workloads.throughputs import Throughputs
from scheduler_sim.engine.workloads.workload import Workload


@dataclass(frozen=True)
class ReadOptions:
    """Choices that only some formats understand; a format refuses those it does not.

    Attributes:
        columns: for csv and parquet: the workload's column by its name in the file, e.g.
            `{"arrival_time": "submitted"}`; a unit may follow, as in `submitted@ms`. `sacct` takes some of them.
        header: for tables: the names of the columns of a file without a header line.
        preceding_jobs: SWF: take field 17 as a dependency.
        think_times: SWF: take field 17 as the job that the user waited for, and field 18 as the think time after it.
        steps_per_second: Gavel: one throughput for all job types, training steps a second.
        throughputs: Gavel: steps a second by job type, or by job type and number of GPUs in Gavel's own
            notation, `('job type', 4)`.
        kinds: Gavel: the whole table of rates by job type, GPUs and kind of GPU, which the workload is to carry.
        flops: Batsim: floating point operations a second of a host.
        finished_only: sacct: leave out jobs that still ran when the file was written.
    """

    columns: Mapping[str, str] | None = None
    header: tuple[str, ...] | None = None
    preceding_jobs: bool = False
    think_times: bool = False
    steps_per_second: float | None = None
    throughputs: Mapping[str, float] | None = None
    kinds: Throughputs | None = None
    finished_only: bool = False
    flops: float | None = None


@dataclass
class Reading:
    """What a reader found in a file.

    Attributes:
        tasks: columns in the order of the file.
        headers: what the file says of itself, text by key.
        processors: the machine's size by the header, None where it does not say.
        throughputs: how fast types of tasks are on kinds of GPU, None where it does not say.
    """

    tasks: RawTasks
    headers: dict[str, str] = field(default_factory=dict)
    processors: int | None = None
    throughputs: Throughputs | None = None


Reader = Callable[[Source, ReadOptions, Audit], Reading]


@dataclass(frozen=True)
class TraceFormat:
    """One trace format.

    Attributes:
        name: what `--format` takes.
        description: one line for people.
        recognises: tells from the first lines (non-blank, decoded) whether a text is of this format.
        read: parses a source, counting into the audit what it leaves out.
        options: the names of the `ReadOptions` it understands.
        mappable: the workload's columns that its `columns` may name.
    """

    name: str
    description: str
    recognises: Callable[[list[str]], bool]
    read: Reader
    options: frozenset[str] = frozenset()
    mappable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Trace:
    """An imported trace.

    Attributes:
        workload: the tasks.
        audit: what the import noticed.
        format: the name of the format it was read as.
        name: the file's name.
        sha256: of the file as given.
        headers: what the file says of itself (SWF: MaxProcs, MaxNodes, UnixStartTime ...).
        processors: the machine's size by those headers, None where they do not say.
    """

    workload: Workload
    audit: Audit
    format: str
    name: str
    sha256: str
    headers: dict[str, str]
    processors: int | None


FORMATS: dict[str, TraceFormat] = {}
"""Formats by name, in the order in which they are tried."""


def reads(
    name: str,
    *,
    description: str,
    recognises: Callable[[list[str]], bool],
    options: frozenset[str] = frozenset(),
    mappable: frozenset[str] = frozenset(),
) -> Callable[[Reader], Reader]:
    """Register the decorated function as what reads the format `name`; arguments as of `TraceFormat`.

    A name can be taken once.
    """

    def register(read: Reader) -> Reader:
        if name in FORMATS:
            raise RuntimeError(f"The trace format {name} is registered twice.")
        FORMATS[name] = TraceFormat(name, description, recognises, read, options, mappable)
        return read

    return register


def read_trace(
    file: str | Path | BinaryIO,
    *,
    format: str | None = None,  # noqa: A002  (the word that people use, and the command's option)
    options: ReadOptions | None = None,
    name: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Trace:
    """Read a trace file, or an open binary stream, into a workload with its audit.

    The format is found by content when it is not given; packed files are unpacked. The trace keeps its own
    clock; where it holds datetimes, time 0 is the first arrival.

    Args:
        file: a path, or a stream of bytes.
        format: a name of `FORMATS`; None to find it by content.
        options: choices of the format.
        name: what to call a stream in messages.
        max_bytes: the largest size after decompression.

    Raises:
        InvalidTrace: one sentence on a file that cannot be read, a format that is unknown or not
            recognised, an option that the format does not understand, or a trace without a usable task.
        InvalidWorkload: dependencies that are circular, a task's own, or on tasks that the trace does not hold.
    """
    with open_source(file, name=name, max_bytes=max_bytes) as source:
        return read_source(source, choose_format(source, format, options), options)


def choose_format(source: Source, name: str | None = None, options: ReadOptions | None = None) -> TraceFormat:
    """Return the format called `name`, or without a name the one that the content and the options show.

    A table of a known kind whose columns are mapped in a way that its format does not understand is read as csv.

    Raises:
        InvalidTrace: an unknown name, or content that no format recognises.
    """
    if name is not None and name not in FORMATS:
        raise InvalidTrace(unknown_name("trace format", name, list(FORMATS)))
    chosen = FORMATS[name] if name is not None else recognise(source, options)
    if chosen is None:
        raise InvalidTrace(
            f"The format of {source.name} is not recognised; name it with --format ({', '.join(FORMATS)}), or the "
            "columns of a table without a header line with --columns."
        )
    if source.is_parquet != (chosen.name == "parquet"):
        kind = "a parquet file" if source.is_parquet else "no parquet file"
        raise InvalidTrace(f"{source.name} is {kind}, so it cannot be read as {chosen.name}.")
    return chosen


def recognise(source: Source, options: ReadOptions | None = None) -> TraceFormat | None:
    """Return the first format that recognises the content (or the header given for it), None where none does."""
    if source.is_parquet:
        return FORMATS["parquet"]
    head = source.head(2)
    if head and head[0].lstrip().startswith(("{", "[")):
        head = source.head(HEAD_LINES)
    if options is not None and options.header is not None:
        head = [table_delimiter(head[0], len(options.header)).join(options.header), *head]
    found = [trace_format for trace_format in FORMATS.values() if trace_format.recognises(head)]
    mapped = set(options.columns or ()) if options is not None else set()
    if found and not mapped <= found[0].mappable and FORMATS["csv"] in found:
        return FORMATS["csv"]
    return found[0] if found else None


def read_source(source: Source, trace_format: TraceFormat, options: ReadOptions | None = None) -> Trace:
    """Read an opened trace as `trace_format`; what it raises is said at `read_trace`."""
    options = options or ReadOptions()
    for option in fields(options):
        if getattr(options, option.name) != option.default and option.name not in trace_format.options:
            raise InvalidTrace(f"The option {flag_of(option.name)} has no meaning for the format {trace_format.name}.")
    audit = Audit()
    reading = trace_format.read(source, options, audit)
    # The texts of the file are gone, and what they took is wanted for the tasks.
    pa.default_memory_pool().release_unused()
    workload = assemble(source.name, reading.tasks, audit, reading.processors)
    if reading.throughputs is not None:
        workload = replace(workload, throughputs=reading.throughputs)
    return Trace(
        workload=workload,
        audit=audit,
        format=trace_format.name,
        name=source.name,
        sha256=source.sha256,
        headers=reading.headers,
        processors=reading.processors,
    )


def flag_of(option: str) -> str:
    """Return what the command calls an option of `ReadOptions`."""
    return {"columns": "--map", "header": "--columns"}.get(option, f"--{option.replace('_', '-')}")


def fingerprint(
    source: Source, trace_format: TraceFormat, options: ReadOptions | None = None, *, reader: int | None = None
) -> str:
    """Return a hash that is equal for the same file read in the same way.

    It is the file's own sha256 when the content's format is used without options, so that it can be
    compared with what `sha256sum` prints; not so when the version of the reader is to be part of it.
    """
    options = options or ReadOptions()
    if reader is None and options == ReadOptions() and recognise(source) is trace_format:
        return source.sha256
    chosen = asdict(options)
    # A file that was read without them is what it was before there were any.
    if options.flops is None:
        del chosen["flops"]
    if not options.think_times:
        del chosen["think_times"]
    if options.kinds is None:
        del chosen["kinds"]
    else:
        chosen["kinds"] = options.kinds.as_json()
    way: list[object] = [source.sha256, trace_format.name, chosen]
    if reader is not None:
        way.append(reader)
    return hashlib.sha256(json.dumps(way, sort_keys=True).encode()).hexdigest()
