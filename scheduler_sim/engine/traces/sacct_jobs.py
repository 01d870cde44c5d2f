"""The columns of Slurm's accounting, each from where it is known.

A column of a job is taken from the first of these that there is and that is known:

- arrival: Submit; start: Start; end: End. Numbers are seconds since 1970 (`SLURM_TIME_FORMAT=%s`).
- run time: ElapsedRaw (s), Elapsed (D-HH:MM:SS), End - Start.
- estimate: TimelimitRaw (min), Timelimit (D-HH:MM:SS, or minutes).
- cores: AllocCPUS, NCPUS, AllocTRES; else ReqCPUS, ReqTRES. GPUs: AllocTRES, AllocGRES; else ReqTRES, ReqGRES.
- models of GPUs: those of ReqTRES where it names GPUs, else those of the allocation.
- memory: AllocTRES; else ReqMem (K, M, G, T, P; `c` for each core, `n` for each node), ReqTRES.
"""

import re
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.clock import clock_seconds
from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.sacct_attempts import CAME_BACK
from scheduler_sim.engine.traces.sacct_requests import Allocations
from scheduler_sim.engine.traces.table import MICROSECONDS, Table, as_objects, is_number
from scheduler_sim.engine.traces.units import TIME, Scale, quantity, split_unit
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, Labels

COMMAND = (
    "SLURM_TIME_FORMAT=%s sacct -a -X -P -D --delimiter=$'\\t' -S START -E END -o JobIDRaw,JobID,User,Account,"
    "Partition,QOS,Submit,Eligible,Start,End,ElapsedRaw,Suspended,TimelimitRaw,State,ReqCPUS,AllocCPUS,ReqNodes,"
    "NNodes,ReqMem,ReqTRES,AllocTRES,NodeList,Constraints,Reservation,SubmitLine"
)
"""The call whose output is read without guesses."""

SOURCES: Mapping[str, tuple[str, ...]] = {
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

READ = frozenset(
    (
        *(column for columns in SOURCES.values() for column in columns),
        *("JobID", "JobIDRaw", "State", "Suspended", "NodeList", "ReqCPUS", "ReqMem"),
        *("AllocNodes", "NNodes", "ReqNodes", "AllocTRES", "ReqTRES", "AllocGRES", "ReqGRES", "Eligible"),
        *("QOS", "Constraints", "Reservation", "SubmitLine", "Restarts", "Cluster"),
    )
)
"""The columns that are read without `--map`."""

_NEEDED = ("arrival_time", "recorded_start_time", "runtime")
_NO_LIMIT = frozenset({"unlimited", "partition_limit", "invalid", "infinite"})
_NEVER_RAN = ("PENDING", "CANCELLED", "DEADLINE", "REVOKED", "BOOT_FAIL")
_RUNNING = ("RUNNING", "SUSPENDED", "STOPPED")
_FAILED = (
    *("FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "CANCELLED", "DEADLINE", "BOOT_FAIL", "PREEMPTED"),
    "LAUNCH_FAILED",
)
_TRES = {name: re.compile(rf"(?:^|,)(?:gres/)?{name}(?::([^=,]+))?=([^,]*)") for name in ("cpu", "node", "mem", "gpu")}
"""The pair of a resource in `cpu=4,mem=8G,gres/gpu:a100=2`: its model and its amount."""

_GRES = re.compile(r"(?:^|,)(?:gres[:/])?gpu(?::((?:[A-Za-z]|\d+g\.)[^:,(]*))?[:=](\d+)")
_REQUESTED_MEMORY = re.compile(r"([\d.]+[KMGTP]?)([nc]?)", re.IGNORECASE)


class States(NamedTuple):
    """What the states of jobs say; false where no column holds them.

    Attributes:
        running: when the file was written.
        came_back: the job goes on in another record.
        resized: the run goes on in another record.
        failed: the run ended without success.
    """

    running: BoolArray
    came_back: BoolArray
    resized: BoolArray
    failed: BoolArray


class JobColumns:
    """The columns of jobs, each from where it is known."""

    def __init__(self, table: Table, mapping: Mapping[str, str]) -> None:
        self.table = table
        self.sources: dict[str, tuple[str, ...]] = {}
        self.scales: dict[str, Scale] = {}
        for name, usual in SOURCES.items():
            self.sources[name] = tuple(column for column in usual if column in table)
        for name, given in mapping.items():
            column, scale = split_unit(name, given, table.name, table.names)
            self.sources[name] = (column,)
            if scale is not None:
                self.scales[name] = scale
        missing = [SOURCES[name][0] for name in _NEEDED if not self.sources[name]]
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
                if column.startswith("Req"):
                    # Who asks for GPUs of any model gets some model.
                    asked = (np.array(held) > 0)[piece.codes]
                    rows = piece.first + np.flatnonzero(asked)
                    types[rows] = as_objects(list(models))[piece.codes[asked]]
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

    def got_types(self) -> Labels:
        """Return the models of the GPUs that jobs got."""
        for column in ("AllocTRES", "AllocGRES"):
            if column in self.table:
                texts = self.table.texts(column).labels()
                return Labels.from_texts([_gpus(text)[1] for text in texts.names]).take(texts.codes)
        return Labels.blank(len(self.table))

    def eligible(self) -> FloatArray:
        """Return when jobs could start at the earliest, as microseconds since 1970, NaN where it is not known."""
        if "Eligible" not in self.table:
            return np.full(len(self.table), np.nan)
        moments, dated = self.table.times("Eligible")
        return moments if dated else moments * MICROSECONDS

    def states(self) -> States:
        """Return what the states say."""
        words = (_RUNNING, CAME_BACK, ("RESIZING",), _FAILED)
        if "State" not in self.table:
            return States(*(np.zeros(len(self.table), bool) for _ in words))
        texts = self.table.texts("State")
        return States(*(texts.map(partial(_begins, words=chosen), bool) for chosen in words))

    def restarted(self) -> BoolArray:
        """Tell jobs that were queued again, where a column says so."""
        if "Restarts" not in self.table:
            return np.zeros(len(self.table), bool)
        again: BoolArray = self.table.numbers("Restarts", measures="cpus") > 0
        return again

    def allocations(self, cpus: FloatArray, gpus: FloatArray, memory: FloatArray) -> Allocations:
        """Return what the columns say of cores, nodes and memory beside what is given."""
        every = np.ones(len(self.table), bool)
        nodes = self._tres("AllocTRES", "node", every)
        for column in ("AllocNodes", "NNodes"):
            nodes = np.where(nodes > 0, nodes, self._column(column))
        least = self._column("ReqNodes")
        cores = self._column("ReqCPUS")
        return Allocations(
            cpus=cpus,
            requested_cpus=np.where(cores > 0, cores, self._tres("ReqTRES", "cpu", every)),
            nodes=nodes,
            requested_nodes=np.where(least > 0, least, self._tres("ReqTRES", "node", every)),
            gpus=gpus,
            memory_mb=memory,
            **self._requested_memory(),
        )

    def _requested_memory(self) -> dict[str, FloatArray]:
        """Return the MB that are asked for by core and by node."""
        amounts = {"core": "c", "node": "n"}
        if "ReqMem" not in self.table:
            return {f"memory_mb_per_{of}": np.full(len(self.table), np.nan) for of in amounts}
        return {
            f"memory_mb_per_{of}": self.table.texts("ReqMem").map(partial(_of_each, letter=letter))
            for of, letter in amounts.items()
        }

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


def _begins(text: str, words: tuple[str, ...]) -> bool:
    return text.startswith(words)


def _of_each(text: str, letter: str) -> float:
    """Return the MB of a ReqMem that are of each core (`c`) or node (`n`), NaN where it says another thing."""
    amount, of = _requested(text)
    return amount if of == letter and amount else np.nan


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
