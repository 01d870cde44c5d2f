"""Gavel's job traces (Narayanan et al., OSDI 2020), among them those derived from Microsoft's Philly trace.

Tab separated without a header. Older files have 7 fields: job_type, command, num_steps_argument,
needs_data_dir, total_steps, arrival s, GPUs. Newer ones have 10: job_type, command, working_directory,
num_steps_argument, needs_data_dir, total_steps, GPUs, priority_weight, SLO (-1 for none), arrival s. They
hold training steps, not seconds: the run time is steps / throughput of the job type.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.assemble import RawTasks
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, TraceFormat, register
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.traces.table import read_table
from scheduler_sim.engine.workload import Labels

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


def recognises(head: list[str]) -> bool:
    """Tell a Gavel trace by its 7 or 10 tab-separated fields with a number of steps in the known place."""
    names = _layout(head)
    return names is not None and head[0].split("\t")[names.index("total_steps")].strip().isdigit()


def read(source: Source, options: ReadOptions, audit: Audit) -> Reading:
    """Parse a Gavel trace; the job type becomes the task's group.

    Raises:
        InvalidTrace: neither `steps_per_second` nor `throughputs` is given, or they are not above 0.
    """
    if options.steps_per_second is None and not options.throughputs:
        raise InvalidTrace(
            f"{source.name} is a Gavel trace, which holds training steps and not seconds: "
            "give --steps-per-second or a table of throughputs."
        )
    given = list((options.throughputs or {}).values())
    if options.steps_per_second is not None:
        given.append(options.steps_per_second)
    if not all(np.isfinite(rate) and rate > 0 for rate in given):
        raise InvalidTrace("Steps per second must be finite and above 0.")
    layout = _layout(source.head(1))
    if layout is None:
        raise InvalidTrace(f"{source.name} is no Gavel trace: its lines do not have 7 or 10 tab-separated fields.")
    table = read_table(source, audit, delimiter="\t", header=layout, quoted=False)
    types = Labels.from_texts(table.texts("job_type"))
    rates = np.array([_rate(name, options) for name in types.names])
    audit.notice("type_without_throughput", table.where[np.isnan(rates[types.codes])])
    arrivals = table.numbers("arrival")
    runtimes = table.numbers("total_steps") / rates[types.codes]
    deadlines = None
    if "slo" in table:
        slo = table.numbers("slo")
        deadlines = arrivals + np.where(slo > 0, slo, np.nan) * runtimes
    tasks = RawTasks(
        where=table.where,
        arrival_time=arrivals,
        runtime=runtimes,
        gpus=table.numbers("gpus"),
        group=types,
        deadline_time=deadlines,
    )
    return Reading(tasks=table.finish(tasks, audit))


def read_throughputs(path: str | Path) -> dict[str, float]:
    """Read steps a second by job type from a JSON object.

    Raises:
        InvalidTrace: no such file, not JSON, or not an object of numbers.
    """
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidTrace(f"The throughputs {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InvalidTrace(f"The throughputs {path} are not JSON: {error}.") from error
    if not isinstance(table, Mapping) or not all(
        isinstance(rate, int | float) and not isinstance(rate, bool) for rate in table.values()
    ):
        raise InvalidTrace(f"The throughputs {path} must be an object of steps a second by job type.")
    return {str(name): float(rate) for name, rate in table.items()}


def _layout(head: list[str]) -> list[str] | None:
    return {len(OLDER): OLDER, len(NEWER): NEWER}.get(head[0].count("\t") + 1)


def _rate(job_type: str, options: ReadOptions) -> float:
    if options.throughputs and job_type in options.throughputs:
        return options.throughputs[job_type]
    return np.nan if options.steps_per_second is None else options.steps_per_second


GAVEL = register(
    TraceFormat(
        name="gavel",
        description="Gavel's job traces, older (7 fields) and newer (10 fields); needs a throughput",
        recognises=recognises,
        read=read,
        options=frozenset({"steps_per_second", "throughputs"}),
    )
)
