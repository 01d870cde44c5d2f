"""The runs that sacct's output tells of, whatever is to be made of them."""

import re
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.documents import HEAD_LINES
from scheduler_sim.engine.traces.registry import ReadOptions
from scheduler_sim.engine.traces.sacct_attempts import Joined, Records, join_records
from scheduler_sim.engine.traces.sacct_jobs import COMMAND, READ, JobColumns, States
from scheduler_sim.engine.traces.sacct_json import is_json, read_json
from scheduler_sim.engine.traces.sacct_lines import read_lines
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.traces.table import Table
from scheduler_sim.engine.traces.texts import Texts
from scheduler_sim.engine.traces.units import named_columns
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Labels

_DIGITS = 18


@dataclass
class Runs:
    """The records of a file; every column has a value a row.

    Attributes:
        table, jobs: their columns.
        identifiers: what people call the jobs.
        numbers: the jobs' plain numbers, NaN for steps; None where they are not printed beside those of arrays.
        step: steps of jobs.
        idle: jobs that never started.
        submitted, started, ended, eligible: microseconds since 1970, NaN where unknown.
        runtimes: seconds.
        states: what the states say.
        joined: which records make one job.
    """

    table: Table
    jobs: JobColumns
    identifiers: Texts
    numbers: FloatArray | None
    step: BoolArray
    idle: BoolArray
    submitted: FloatArray
    started: FloatArray
    ended: FloatArray
    eligible: FloatArray
    runtimes: FloatArray
    states: States
    joined: Joined


def read_runs(source: Source, options: ReadOptions, audit: Audit) -> Runs:
    """Read what sacct printed, as text or as JSON.

    Raises:
        InvalidTrace: not what `sacct -P` or `--json` prints, or a column lacks; the message says what to print.
    """
    head = source.head(HEAD_LINES)
    if is_fixed_width(head):
        raise InvalidTrace(f"{source.name} is sacct's table of fixed width, which cuts texts; print it with {COMMAND}.")
    if is_json(head):
        if options.header is not None:
            raise InvalidTrace(f"{source.name} is JSON, which names its columns itself; leave out --columns.")
        table = read_json(source, audit)
    else:
        table = read_lines(source, audit, options.header, READ | named_columns(options.columns))
    if "JobIDRaw" not in table:
        table.require("JobID")
    jobs = JobColumns(table, options.columns or {})
    identifiers = table.texts("JobID" if "JobID" in table else "JobIDRaw")
    step = identifiers.map(lambda job: "." in job, bool)
    submitted, started, ended = (jobs.moments(name) for name in ("arrival_time", "recorded_start_time", "finish_time"))
    runtimes = jobs.runtimes(started, ended)
    idle = jobs.never_started(started, runtimes) & ~step
    states = jobs.states()
    numbers = _numbers(table)
    records = Records(
        key=_keys(identifiers, numbers),
        owner=_owners(table, jobs),
        submitted=submitted,
        started=started,
        ended=ended,
        came_back=states.came_back,
        resized=states.resized,
        idle=idle,
    )
    return Runs(
        table=table,
        jobs=jobs,
        identifiers=identifiers,
        numbers=numbers,
        step=step,
        idle=idle,
        submitted=submitted,
        started=started,
        ended=ended,
        eligible=jobs.eligible(),
        runtimes=runtimes,
        states=states,
        joined=join_records(records, ~(step | table.broken)),
    )


def is_fixed_width(head: list[str]) -> bool:
    """Tell the table for people: its second line underlines the columns."""
    return len(head) > 1 and "JobID" in head[0] and re.fullmatch(r"[- ]{5,}", head[1].strip("\r\n")) is not None


def _numbers(table: Table) -> FloatArray | None:
    """Return the jobs' plain numbers where sacct prints them beside those of arrays (`12_3`), NaN for steps.

    NaN as well for numbers of more digits than any job has.
    """
    if "JobIDRaw" not in table or "JobID" not in table:
        return None
    return table.texts("JobIDRaw").map(lambda text: float(text) if text.isdecimal() and len(text) < _DIGITS else np.nan)


def _keys(identifiers: Texts, numbers: FloatArray | None) -> IntArray:
    """Return what records of one job have in common; those without a number have nothing in common."""
    if numbers is None:
        return identifiers.labels().codes
    return np.where(np.isnan(numbers), -1.0 - np.arange(len(numbers)), numbers).astype(np.int64)


def _owners(table: Table, jobs: JobColumns) -> IntArray:
    """Return what tells users and clusters apart; several clusters number their jobs each for itself."""
    user = jobs.labels("user") or Labels.blank(len(table))
    cluster = table.texts("Cluster").labels() if "Cluster" in table else Labels.blank(len(table))
    return user.codes * len(cluster.names) + cluster.codes
