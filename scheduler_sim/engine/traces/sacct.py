"""Slurm's accounting as sacct prints it with `-P` (or `-p`), in any order of columns and with any delimiter.

A column of a job is taken from the first of these that there is and that is known:

- arrival: Submit; start: Start; end: End. Numbers are seconds since 1970 (`SLURM_TIME_FORMAT=%s`).
- run time: ElapsedRaw (s), Elapsed (D-HH:MM:SS), End - Start.
- estimate: TimelimitRaw (min), Timelimit (D-HH:MM:SS, or minutes).
- cores: AllocCPUS, NCPUS, AllocTRES; else ReqCPUS, ReqTRES. GPUs: AllocTRES, AllocGRES; else ReqTRES, ReqGRES.
- memory: AllocTRES; else ReqMem (K, M, G, T, P; `c` for each core, `n` for each node), ReqTRES.
"""

import re
from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.assemble import LATEST_CLOCK, RawTasks
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.clock import clock_seconds
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, reads
from scheduler_sim.engine.traces.sacct_guess import guess_columns
from scheduler_sim.engine.traces.sacct_lines import find_layout, read_lines
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.traces.table import (
    MICROSECONDS,
    Table,
    as_objects,
    first_moment,
    is_number,
    seconds_since,
)
from scheduler_sim.engine.traces.units import TIME, Scale, named_columns, quantity, split_unit
from scheduler_sim.engine.workload import BoolArray, FloatArray, Labels

COMMAND = (
    "SLURM_TIME_FORMAT=%s sacct -a -X -P -S START -E END -o JobIDRaw,JobID,User,Account,Partition,Submit,Start,End,"
    "ElapsedRaw,TimelimitRaw,AllocCPUS,AllocNodes,ReqMem,AllocTRES,NodeList,State"
)
"""The call whose output is read without guesses."""

_SOURCES: Mapping[str, tuple[str, ...]] = {
    "arrival_time": ("Submit",),
    "recorded_start_time": ("Start",),
    "finish_time": ("End",),
    "runtime": ("ElapsedRaw", "Elapsed"),
    "duration_estimate": ("TimelimitRaw", "Timelimit"),
    "cpus": ("AllocCPUS", "NCPUS"),
    "user": ("User",),
    "group": ("Account", "Group"),
    "queue": ("Partition",),
}
"""Columns of the workload and the columns they are read from; `--map` names another."""

_READ = frozenset(
    (
        *(column for columns in _SOURCES.values() for column in columns),
        *("JobID", "JobIDRaw", "State", "Suspended", "NodeList", "ReqCPUS", "ReqMem"),
        *("AllocNodes", "NNodes", "ReqNodes", "AllocTRES", "ReqTRES", "AllocGRES", "ReqGRES"),
    )
)
"""The columns that are read without `--map`."""

_NEEDED = ("arrival_time", "recorded_start_time", "runtime")
_NO_LIMIT = frozenset({"unlimited", "partition_limit", "invalid", "infinite"})
_NEVER_RAN = ("PENDING", "CANCELLED", "DEADLINE", "REVOKED", "BOOT_FAIL")
_TRES = {name: re.compile(rf"(?:^|,)(?:gres/)?{name}(?::([^=,]+))?=([^,]*)") for name in ("cpu", "node", "mem", "gpu")}
"""The pair of a resource in `cpu=4,mem=8G,gres/gpu:a100=2`: its model and its amount."""

_GRES = re.compile(r"(?:^|,)(?:gres[:/])?gpu(?::([A-Za-z][^:,(]*))?[:=](\d+)")
_REQUESTED_MEMORY = re.compile(r"([\d.]+[KMGTP]?)([nc]?)", re.IGNORECASE)


def recognises(head: list[str]) -> bool:
    """Tell sacct's output by its header or by what its columns hold, its other outputs by their first lines."""
    if head[0].lstrip().startswith("{"):
        return len(head) > 1 and head[1].strip().startswith(('"meta"', '"jobs"'))
    if _is_fixed_width(head):
        return True
    layout = find_layout(head[0])
    if layout is None:
        return guess_columns(head) is not None
    times = {"Submit", "Start", "Elapsed", "ElapsedRaw", "State"} & set(layout.names)
    return len(times) >= 2 or ("State" in times and "JobName" in layout.names)


@reads(
    "sacct",
    description="Slurm accounting (sacct -P), any columns and delimiter",
    recognises=recognises,
    options=frozenset({"columns", "header"}),
    mappable=frozenset(_SOURCES),
)
def read(source: Source, options: ReadOptions, audit: Audit) -> Reading:
    """Parse sacct's output.

    Job steps (`123.batch`) and jobs that never started are dropped and counted, among them those that were
    cancelled while pending, which sacct gives a start and an end but no nodes. A job that is still running keeps
    the time it has run. Time 0 is the first submission; the partition becomes the queue, the account the group.

    Raises:
        InvalidTrace: not what `sacct -P` prints, or a column lacks; the message says what to print instead.
    """
    _refuse_other_outputs(source)
    table = read_lines(source, audit, options.header, _READ | named_columns(options.columns))
    if "JobIDRaw" not in table:
        table.require("JobID")
    jobs = _Jobs(table, options.columns or {})
    identifiers = table.texts("JobID" if "JobID" in table else "JobIDRaw")
    step = identifiers.map(lambda job: "." in job, bool)
    submitted, started, ended = (jobs.moments(name) for name in ("arrival_time", "recorded_start_time", "finish_time"))
    cpus, requested_cpus = jobs.cpus()
    gpus, types, requested_gpus = jobs.gpus()
    memory = jobs.memory(cpus)
    runtimes = jobs.runtimes(started, ended)
    limits = jobs.limits()
    idle = jobs.never_started(started, runtimes) & ~step
    left_out = step | (idle & ~table.broken)
    kept = ~(left_out | table.broken)
    if "State" in table:
        running = table.texts("State").map(lambda state: state.startswith("RUNNING"), bool)
        audit.repair("ended_while_running", table.where[running & kept])
    audit.repair("requested_taken", table.where[(requested_cpus | requested_gpus) & kept])
    origin = first_moment(submitted[~step])
    tasks = RawTasks(
        where=table.where,
        arrival_time=seconds_since(origin, submitted),
        runtime=runtimes,
        task_id=_numbers(table),
        duration_estimate=limits,
        cpus=cpus,
        gpus=gpus,
        gpu_type=types,
        memory_mb=memory,
        user=jobs.labels("user"),
        group=jobs.labels("group"),
        queue=jobs.labels("queue"),
        recorded_start_time=seconds_since(origin, started),
        recorded_end_time=seconds_since(origin, ended) - jobs.suspended,
        external_id=identifiers.objects(),
    )
    if origin > LATEST_CLOCK * MICROSECONDS:
        audit.notice(
            "implausible_clock", table.where[[int(np.nanargmin(submitted))]], [f"{origin / MICROSECONDS:,.6g} s"]
        )
    audit.drop("job_step", table.where[step])
    audit.drop("never_started", table.where[idle & ~table.broken])
    return Reading(
        tasks=table.finish(tasks, audit, left_out), headers={"UnixStartTime": f"{origin / MICROSECONDS:.15g}"}
    )


class _Jobs:
    """The columns of jobs, each from where it is known."""

    def __init__(self, table: Table, mapping: Mapping[str, str]) -> None:
        self.table = table
        self.sources: dict[str, tuple[str, ...]] = {}
        self.scales: dict[str, Scale] = {}
        for name, usual in _SOURCES.items():
            self.sources[name] = tuple(column for column in usual if column in table)
        for name, given in mapping.items():
            column, scale = split_unit(name, given, table.name, table.names)
            self.sources[name] = (column,)
            if scale is not None:
                self.scales[name] = scale
        missing = [_SOURCES[name][0] for name in _NEEDED if not self.sources[name]]
        if not self.sources["runtime"] and self.sources["finish_time"]:
            missing.remove("ElapsedRaw")
        if missing:
            raise InvalidTrace(
                f"{table.name} is sacct's output without {' and '.join(missing)}; print it with {COMMAND}."
            )

    def moments(self, name: str) -> FloatArray:
        """Return instants as microseconds since 1970."""
        if not self.sources[name]:
            return np.full(len(self.table), np.nan)
        needed = name == "arrival_time"
        moments, dated = self.table.times(self.sources[name][0], needed=needed, scale=self.scales.get(name))
        return moments if dated else moments * MICROSECONDS

    def first_known(self, name: str, read: Callable[[str], FloatArray]) -> FloatArray:
        """Return the first known value of the columns that a workload's column is read from."""
        found = np.full(len(self.table), np.nan)
        for column in self.sources[name]:
            if not np.isnan(found).any():
                break
            found = np.where(np.isnan(found), read(column), found)
        return found

    def runtimes(self, started: FloatArray, ended: FloatArray) -> FloatArray:
        """Return seconds; where no column holds them, the end minus the start."""
        scale = self.scales.get("runtime")
        found = self.first_known(
            "runtime", lambda column: self.table.numbers(column, needed=True, measures="runtime", scale=scale)
        )
        return np.where(np.isnan(found), (ended - started) / MICROSECONDS - self.suspended, found)

    @cached_property
    def suspended(self) -> FloatArray:
        """Return the seconds between start and end in which a job was suspended."""
        if "Suspended" not in self.table:
            return np.zeros(len(self.table))
        return np.nan_to_num(self.table.numbers("Suspended", measures="runtime"), nan=0.0)

    def limits(self) -> FloatArray:
        """Return time limits in seconds; a job without one, or with that of its partition, has none that is known."""
        return self.first_known("duration_estimate", self._limits)

    def _limits(self, column: str) -> FloatArray:
        multiplier, divisor = self.scales.get("duration_estimate", TIME["min"])

        def seconds(text: str) -> float | None:
            if not text or text.lower() in _NO_LIMIT:
                return np.nan
            return float(text) * multiplier / divisor if is_number(text) else clock_seconds(text)

        return self.table.read(column, seconds)

    def cpus(self) -> tuple[FloatArray, BoolArray]:
        """Return the cores, and which of them are those asked for because the allocation is not stated."""
        scale = self.scales.get("cpus")
        found = self.first_known("cpus", lambda column: self.table.numbers(column, measures="cpus", scale=scale))
        held = self._tres("AllocTRES", "cpu", ~(found > 0))
        found = np.where(~(found > 0) & (held > 0), held, found)
        asked = self._column("ReqCPUS")
        other = self._tres("ReqTRES", "cpu", ~(found > 0) & ~(asked > 0))
        asked = np.where(asked > 0, asked, other)
        requested = ~(found > 0) & (asked > 0)
        return np.where(requested, asked, found), requested

    def gpus(self) -> tuple[FloatArray, Labels | None, BoolArray]:
        """Return GPUs, the models they are of, and which are asked for because the allocation is not stated."""
        counts = np.zeros(len(self.table))
        types = as_objects([""]).repeat(len(self.table))
        known = np.zeros(len(self.table), bool)
        requested = np.zeros(len(self.table), bool)
        columns = [name for name in ("AllocTRES", "AllocGRES", "ReqTRES", "ReqGRES") if name in self.table]
        for column in columns:
            for piece in self.table.texts(column).pieces():
                held, models = zip(*map(_gpus, piece.names), strict=True)
                stated = np.array([bool(text) for text in piece.names], bool)[piece.codes]
                taken = np.flatnonzero(stated & ~known[piece.first : piece.first + len(piece.codes)])
                rows, codes = piece.first + taken, piece.codes[taken]
                known[rows] = True
                counts[rows], types[rows] = np.array(held, np.float64)[codes], as_objects(list(models))[codes]
                requested[rows] = column.startswith("Req") & (counts[rows] > 0)
        return counts, Labels.from_texts(types) if columns else None, requested

    def memory(self, cpus: FloatArray) -> FloatArray:
        """Return MB."""
        every = np.ones(len(self.table), bool)
        memory = self._tres("AllocTRES", "mem", every)
        unknown = np.isnan(memory)
        if "ReqMem" in self.table and unknown.any():
            asked = self.table.read("ReqMem", lambda text: _requested(text)[0], unknown)
            # Older versions mark memory for each core with c and for each node with n.
            each = self.table.texts("ReqMem").map(lambda text: "cn".find(_requested(text)[1] or "-"), np.int8)
            nodes = self._nodes(unknown & (each == 1))
            memory = np.where(unknown, asked * np.choose(each + 1, [1.0, cpus, nodes]), memory)
        return np.where(np.isnan(memory), self._tres("ReqTRES", "mem", np.isnan(memory)), memory)

    def never_started(self, started: FloatArray, runtimes: FloatArray) -> BoolArray:
        """Tell jobs that held nothing at any time, whatever instant sacct calls their start."""
        idle = np.isnan(started)
        table = self.table
        nothing = ~(runtimes > 0)
        ended = pending = np.zeros(len(table), bool)
        if "State" in table:
            ended = table.texts("State").map(lambda state: state.startswith(_NEVER_RAN), bool)
            pending = table.texts("State").map(lambda state: state.startswith("PENDING"), bool)
        stated = np.zeros(len(table), bool)
        held = np.zeros(len(table), bool)
        if "NodeList" in table:
            stated |= table.texts("NodeList").map(lambda nodes: nodes.lower() == "none assigned", bool)
            held |= table.texts("NodeList").map(lambda nodes: nodes.lower() not in ("", "none assigned"), bool)
        if "AllocTRES" in table:
            held |= table.texts("AllocTRES").map(bool, bool)
        for column in ("AllocCPUS", "AllocNodes"):
            if column in table:
                stated |= table.numbers(column, measures="cpus") == 0
        never: BoolArray = idle | pending | (nothing & (stated | (ended & ~held)))
        return never

    def labels(self, name: str) -> Labels | None:
        """Return a column of texts."""
        columns = self.sources[name]
        return self.table.texts(columns[0]).labels() if columns else None

    def _column(self, name: str) -> FloatArray:
        if name not in self.table:
            return np.full(len(self.table), np.nan)
        return self.table.numbers(name, measures="cpus")

    def _nodes(self, where: BoolArray) -> FloatArray:
        found = self._tres("AllocTRES", "node", where)
        if not where.any():
            return np.ones(len(self.table))
        for column in ("AllocNodes", "NNodes", "ReqNodes"):
            found = np.where(found > 0, found, self._column(column))
        return np.where(found > 0, found, 1.0)

    def _tres(self, column: str, resource: str, where: BoolArray) -> FloatArray:
        """Return the amounts of a resource (cpu, node, mem in MB) in a column of pairs, NaN where it does not say.

        Args:
            where: the rows that need it; the others may have it or not.
        """
        if column not in self.table or not where.any():
            return np.full(len(self.table), np.nan)
        return self.table.read(column, lambda text: _amount(text, resource), where)


def _amount(text: str, resource: str) -> float | None:
    """Return the amount of a resource in `cpu=4,mem=8G`, NaN where it is not there, None where it is no number."""
    match = _TRES[resource].search(text)
    if match is None:
        return np.nan
    amount = match.group(2)
    return _megabytes(amount) if resource == "mem" else float(amount) if is_number(amount) else None


def _requested(text: str) -> tuple[float | None, str]:
    """Return MB of `4G`, `4Gc` or `4Gn`, NaN of nothing, None of another text; and what it is for each of, c or n."""
    match = _REQUESTED_MEMORY.fullmatch(text)
    if match is None:
        return None if text else np.nan, ""
    return _megabytes(match.group(1)), match.group(2).lower()


def _refuse_other_outputs(source: Source) -> None:
    head = source.head(2)
    if head[0].lstrip().startswith("{"):
        raise InvalidTrace(f"{source.name} is sacct's JSON, which is not read; print it with {COMMAND}.")
    if _is_fixed_width(head):
        raise InvalidTrace(f"{source.name} is sacct's table of fixed width, which cuts texts; print it with {COMMAND}.")


def _is_fixed_width(head: list[str]) -> bool:
    """Tell the table for people: its second line underlines the columns."""
    return len(head) > 1 and "JobID" in head[0] and re.fullmatch(r"[- ]{5,}", head[1].strip("\r\n")) is not None


def _numbers(table: Table) -> FloatArray | None:
    """Return the jobs' plain numbers where sacct prints them beside those of arrays (`12_3`), NaN for steps."""
    if "JobIDRaw" not in table or "JobID" not in table:
        return None
    return table.texts("JobIDRaw").map(lambda text: float(text) if text.isdecimal() else np.nan)


def _gpus(text: str) -> tuple[float, str]:
    """Return GPUs and models from `gres/gpu=2,gres/gpu:a100=2` or, in older versions, `gpu:a100:2`."""
    if "gpu" not in text:
        return 0.0, ""
    found = [(model, amount) for model, amount in _TRES["gpu"].findall(text) if amount.isdecimal()]
    found = found or [(model, amount) for model, amount in _GRES.findall(text)]
    total = [int(amount) for model, amount in found if not model]
    count = total[0] if total else sum(int(amount) for _, amount in found)
    return float(count), "|".join(sorted({model for model, _ in found if model}))


def _megabytes(text: str) -> float | None:
    """Return MB of an amount such as `14000M` or `62.50G`; without a letter it is MB already."""
    if is_number(text):
        return float(text)
    return quantity("memory_mb", text)
