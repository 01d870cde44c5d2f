"""Gavel's job traces (Narayanan et al., OSDI 2020), those derived from Microsoft's Philly trace, and Shockwave's.

Tab separated without a header. Older files have 7 fields: job_type, command, num_steps_argument,
needs_data_dir, total_steps, arrival s, GPUs. Newer ones have 10: job_type, command, working_directory,
num_steps_argument, needs_data_dir, total_steps, GPUs, priority_weight, SLO (-1 for none), arrival s. Those of
Shockwave (Zheng et al., NSDI 2023) have 12: a mode (static, accordion, gns) behind the GPUs and a duration in
seconds behind the SLO. They hold training steps: the run time is steps / throughput of the job type on that many
GPUs; where no throughput is given, Shockwave's duration is the run time.
"""

import ast
import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace, unknown_name
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.delimited import read_table
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, reads
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.traces.table import Table
from scheduler_sim.engine.workloads.throughputs import Throughputs
from scheduler_sim.engine.workloads.workload import FloatArray, Labels

OLDER = ["job_type", "command", "num_steps_argument", "needs_data_dir", "total_steps", "arrival", "gpus"]
NEWER = [
    "job_type",
    "command",
    "working_directory",
    "num_steps_argument",
    "needs_data_dir",
    "total_steps",
    "gpus",
    "priority_weight",
    "slo",
    "arrival",
]


SHOCKWAVE = [*NEWER[:7], "mode", *NEWER[7:9], "duration", "arrival"]
_READ = frozenset({"job_type", "total_steps", "gpus", "arrival", "slo", "duration"})
_LAYOUTS = {len(layout): layout for layout in (OLDER, NEWER, SHOCKWAVE)}
_CSV = ("job_type", "gpus", "gpu_type", "rate")
"""The columns of rates as csv."""

_BESIDE = "beside_type"
"""The column of a csv that says which type shares the GPU."""

_ALONE = "null"
"""What Gavel's tables call a job that shares its GPUs with no other."""


def recognises(head: list[str]) -> bool:
    """Tell a Gavel trace by its 7, 10 or 12 tab-separated fields with a number of steps in the known place."""
    names = _layout(head)
    return names is not None and head[0].split("\t")[names.index("total_steps")].strip().isdigit()


@reads(
    "gavel",
    description="Gavel's job traces, of 7, 10 or (Shockwave) 12 fields; needs throughputs",
    recognises=recognises,
    options=frozenset({"steps_per_second", "throughputs", "kinds"}),
)
def read(source: Source, options: ReadOptions, audit: Audit) -> Reading:
    """Parse a Gavel trace; the job type becomes the task's group.

    Raises:
        InvalidTrace: neither `steps_per_second` nor `throughputs` is given and the trace states no durations, or
            they are not above 0.
    """
    layout = _layout(source.head(1))
    if layout is None:
        raise InvalidTrace(f"{source.name} is no Gavel trace: its lines do not have 7, 10 or 12 tab-separated fields.")
    rated = options.steps_per_second is not None or bool(options.throughputs)
    if not rated and "duration" not in layout:
        raise InvalidTrace(
            f"{source.name} is a Gavel trace, which holds training steps and not seconds: "
            "give --steps-per-second or a table of throughputs."
        )
    given = list((options.throughputs or {}).values())
    if options.steps_per_second is not None:
        given.append(options.steps_per_second)
    if not all(np.isfinite(rate) and rate > 0 for rate in given):
        raise InvalidTrace("Steps per second must be finite and above 0.")
    table = read_table(source, audit, delimiter="\t", header=layout, quoted=False, is_wanted=_READ.__contains__)
    types = table.texts("job_type").labels()
    gpus = table.numbers("gpus")
    if rated:
        runtimes = table.numbers("total_steps", needed=True) / _rates(table, types, gpus, options, audit)
    else:
        runtimes = table.numbers("duration", needed=True, measures="runtime")
        audit.notice("given_duration", table.where)
    arrivals = table.numbers("arrival", needed=True)
    deadlines = None
    if "slo" in table:
        slo = table.numbers("slo")
        deadlines = arrivals + np.where(slo > 0, slo, np.nan) * runtimes
    tasks = RawTasks(
        where=table.where,
        arrival_time=arrivals,
        runtime=runtimes,
        gpus=gpus,
        group=types,
        deadline_time=deadlines,
        size=table.numbers("total_steps", needed=True) if options.kinds is not None else None,
    )
    return Reading(tasks=table.finish(tasks, audit), throughputs=options.kinds)


def read_throughputs(path: str | Path, worker_type: str | None = None) -> dict[str, float]:
    """Read steps a second from JSON, an object by job type or Gavel's own tables, or from csv.

    A csv has the columns job_type, gpus, gpu_type and rate; its kinds of GPU are the worker types.

    Gavel's are nested: by worker type, by `('job type', number of GPUs)`, by what shares the GPUs, `null` for
    nothing. Of those the entries that share nothing are kept, as `('job type', 4)`; a rate of 0 means that the
    job does not fit and is left out.

    Args:
        path: the file.
        worker_type: the worker type of a nested table; it may be left out where there is one.

    Raises:
        InvalidTrace: no such file, not JSON, neither of the two shapes, or a worker type that is not there, not
            named among several, or named for a table without any.
    """
    table = _load(path)
    if isinstance(table, dict) and table and all(isinstance(rates, dict) for rates in table.values()):
        return _nested(path, table, worker_type)
    if not isinstance(table, dict) or not all(map(_is_rate, table.values())):
        raise InvalidTrace(
            f"The throughputs {path} must be an object of steps a second by job type, or Gavel's own by worker type."
        )
    if worker_type is not None:
        raise InvalidTrace(f"The throughputs {path} name no worker types, so {worker_type!r} has no meaning.")
    return {str(name): float(rate) for name, rate in table.items()}


def read_kinds(path: str | Path) -> Throughputs | None:
    """Return the rates of all worker types of Gavel's own nested table; None where the file names no worker types.

    Raises:
        InvalidTrace: as `read_throughputs`.
    """
    table = _load(path)
    if not (isinstance(table, dict) and table and all(isinstance(rates, dict) for rates in table.values())):
        return None
    kinds = tuple(str(kind) for kind in table)
    by_kind = [_nested(path, table, kind) for kind in table]
    keys = sorted({key for rates in by_kind for key in rates})
    rates = {ast.literal_eval(key): tuple(one.get(key, 0.0) for one in by_kind) for key in keys}
    return Throughputs(kinds, rates, _pairs(path, table, rates))


def _pairs(
    path: str | Path, table: Mapping[str, Any], rates: Mapping[tuple[str, int], tuple[float, ...]]
) -> dict[tuple[str, str], tuple[tuple[float, float], ...]]:
    """Return the rates of jobs of one GPU that share it; nobody is faster beside another than alone."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for place, of_kind in enumerate(table.values()):
        for name, shared in of_kind.items():
            one = _job_key(name)
            for beside, both in shared.items():
                other = _job_key(beside)
                if beside == _ALONE or None in (one, other):
                    continue
                keys = [ast.literal_eval(str(key)) for key in (one, other)]
                if not all(key in rates and key[1] == 1 for key in keys) or keys[0] > keys[1]:
                    continue
                if not isinstance(both, list) or len(both) != 2 or not all(map(_is_rate, both)):
                    raise InvalidTrace(f"The throughputs {path} hold {name!r} beside {beside!r} without two rates.")
                slowed = [min(float(rate), rates[key][place]) for rate, key in zip(both, keys, strict=True)]
                pair = found.setdefault((keys[0][0], keys[1][0]), [(0.0, 0.0)] * len(table))
                pair[place] = (slowed[0], slowed[1])
    return {names: tuple(both) for names, both in sorted(found.items()) if np.any(both)}


def _load(path: str | Path) -> Any:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidTrace(f"The throughputs {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InvalidTrace(f"The throughputs {path} are not text in UTF-8: {error}.") from error
    if Path(path).suffix.lower() == ".csv":
        return _from_csv(path, text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidTrace(f"The throughputs {path} are not JSON: {error}.") from error


def _from_csv(path: str | Path, text: str) -> dict[str, Any]:
    """Return Gavel's nested table out of a csv with a row for each job type, number of GPUs and kind of GPU.

    A row with a `beside_type` states how fast a job of one GPU is while one of that type shares it.
    """
    rows = csv.DictReader(text.splitlines())
    lacking = [name for name in _CSV if name not in (rows.fieldnames or ())]
    if lacking:
        raise InvalidTrace(
            f"The throughputs {path} have no column {' or '.join(lacking)}; needed are {', '.join(_CSV)}."
        )
    table: dict[str, Any] = {}
    for row in rows:
        try:
            key, rate = repr((row["job_type"], int(row["gpus"]))), float(row["rate"])
        except (TypeError, ValueError):
            rate = np.nan
        if not (np.isfinite(rate) and rate >= 0 and row["gpu_type"]):
            raise InvalidTrace(
                f"The throughputs {path}, line {rows.line_num}: expected are a gpu_type, a whole number of gpus and "
                "a rate from 0 up."
            )
        of_type = table.setdefault(row["gpu_type"], {}).setdefault(key, {})
        beside = repr((row[_BESIDE], 1)) if row.get(_BESIDE) else _ALONE
        if beside != _ALONE and int(row["gpus"]) != 1:
            raise InvalidTrace(
                f"The throughputs {path}, line {rows.line_num}: only jobs of one GPU have rates beside others."
            )
        if beside in of_type:
            told = key if beside == _ALONE else f"{key} beside {beside}"
            raise InvalidTrace(
                f"The throughputs {path}, line {rows.line_num}, state {told} on {row['gpu_type']} again."
            )
        of_type[beside] = rate
    if not table:
        raise InvalidTrace(f"The throughputs {path} hold no rates.")
    for kind, of_kind in table.items():
        table[kind] = {one: _with_both(path, kind, one, of_kind) for one in of_kind}
    return table


def _with_both(path: str | Path, kind: str, one: str, of_kind: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Return what a csv states of a type as Gavel's table has it: beside another the rates of both.

    Raises:
        InvalidTrace: nothing states its rate alone, or how fast the other is beside it.
    """
    found: dict[str, Any] = {}
    for other, rate in of_kind[one].items():
        if other != _ALONE and one not in of_kind.get(other, {}):
            raise InvalidTrace(
                f"The throughputs {path} state {one} beside {other} on {kind}, but not {other} beside {one}."
            )
        found[other] = rate if other == _ALONE else [rate, of_kind[other][one]]
    if _ALONE not in found:
        raise InvalidTrace(f"The throughputs {path} state {one} on {kind} beside others, but not alone.")
    return found


def _nested(path: str | Path, table: dict[str, Any], worker_type: str | None) -> dict[str, float]:
    if worker_type is None and len(table) > 1:
        raise InvalidTrace(f"The throughputs {path} are of {', '.join(table)}; name one of them with --worker-type.")
    chosen = worker_type if worker_type is not None else next(iter(table))
    if chosen not in table:
        raise InvalidTrace(unknown_name("worker type", chosen, list(table)))
    found = {}
    for name, shared in table[chosen].items():
        key = _job_key(name)
        rate: Any = shared.get(_ALONE) if isinstance(shared, dict) else None
        if key is None or not _is_rate(rate):
            raise InvalidTrace(
                f"The throughputs {path} hold {name!r}, where \"('job type', GPUs)\" with the rate of "
                f"{_ALONE!r} is expected."
            )
        if rate > 0:
            found[key] = float(rate)
    return found


def _is_rate(rate: Any) -> bool:
    return isinstance(rate, int | float) and not isinstance(rate, bool)


def _job_key(name: str) -> str | None:
    """Return the notation of a job type on a number of GPUs, however it is spaced and quoted; None for other text."""
    try:
        pair = ast.literal_eval(name)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], int)):
        return None
    return repr(pair)


def _layout(head: list[str]) -> list[str] | None:
    return _LAYOUTS.get(head[0].rstrip("\r\n").count("\t") + 1)


def _rates(table: Table, types: Labels, gpus: FloatArray, options: ReadOptions, audit: Audit) -> FloatArray:
    """Return steps a second for each task, NaN where there is no throughput for it."""
    throughputs = options.throughputs or {}
    otherwise = np.nan if options.steps_per_second is None else options.steps_per_second
    rates = np.full(len(table), np.nan)
    flat = np.zeros(len(table), bool)
    for row, (name, count) in enumerate(zip(types.texts().tolist(), gpus.tolist(), strict=True)):
        key = repr((name, int(count))) if np.isfinite(count) else ""
        flat[row] = key not in throughputs
        rates[row] = throughputs[key] if key in throughputs else throughputs.get(name, otherwise)
    missing = np.isnan(rates)
    examples = [
        f"{name} on {count:g} GPUs"
        for name, count, lacks in zip(types.texts().tolist(), gpus.tolist(), missing.tolist(), strict=True)
        if lacks
    ]
    audit.notice("type_without_throughput", table.where[missing], examples)
    audit.notice("one_rate", table.where[flat & ~missing & (gpus > 1)])
    return rates
