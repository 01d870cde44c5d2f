"""The jobs of `sacct --json` as the rows that `sacct -P` prints of them, read a job at a time.

Versions differ (https://slurm.schedmd.com/rest.html, data parsers 0.0.38 to 0.0.42): a number is plain, or an object
that says whether it is set; the state is a text or a list; steps, which belong to their job, are not read.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.packed.spool import pieces
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.delimited import BrokenLines, Metered, TableBuilder
from scheduler_sim.engine.traces.documents import HEAD_LINES
from scheduler_sim.engine.traces.source import MAX_LINE_BYTES, Source
from scheduler_sim.engine.traces.table import Table

ARRAY_LIMIT = "ArrayTaskLimit"
"""A column that only the JSON has: how many tasks of the job's array may run at once."""

COLUMNS = (
    *(
        "JobID",
        "JobIDRaw",
        "Cluster",
        "User",
        "Account",
        "Partition",
        "QOS",
        "Submit",
        "Eligible",
        "Start",
        "End",
        "ElapsedRaw",
    ),
    *("Suspended", "TimelimitRaw", "State", "ReqCPUS", "NNodes", "ReqTRES", "AllocTRES", "ReqMem", "NodeList"),
    *("Constraints", "Reservation", "SubmitLine", "Restarts", ARRAY_LIMIT),
)

_UNSET = 2**32 - 2
"""Slurm's number for no value, and the one above it for no limit, where a version writes plain numbers."""

_HEAD = re.compile(r'\s*(?:\{\s*"(?:meta|jobs|errors|warnings|last_backfill|last_update)"|\[\s*\]\s*$)')
_LIST_HEAD = re.compile(r"\s*\[\s*\{")
_OF_JOBS = re.compile(r'"(?:job_id|association|allocation_nodes|submit_line|job_state)"\s*:')
_TOLD_BY = 20_000
"""Characters at the beginning that tell whose a list is."""

_JOBS = re.compile(r'"jobs"\s*:\s*\[')
_LIST = re.compile(r"\s*\[")
_BETWEEN = re.compile(r"[\s,]*")


def is_json(head: list[str]) -> bool:
    """Tell the JSON of Slurm's commands, or its list of jobs alone with keys in any order, by its first lines."""
    if not head or not head[0].lstrip().startswith(("{", "[")):
        return False
    text = "\n".join(head[:HEAD_LINES])[:_TOLD_BY]
    return bool(_HEAD.match(text) or (_LIST_HEAD.match(text) and _OF_JOBS.search(text)))


def read_json(source: Source, audit: Audit) -> Table:
    """Return the jobs as a table of `COLUMNS`; places in the audit are positions in the list of jobs, from 1.

    Raises:
        InvalidTrace: no JSON, no list of jobs, or squeue's.
    """
    texts = Metered(_texts(source))
    table = TableBuilder(source.name, COLUMNS, texts)
    broken = BrokenLines(audit)
    for place, job in enumerate(json_jobs(source.name, iter(texts)), 1):
        audit.read += 1
        if isinstance(job, dict) and "job_state" in job:
            raise InvalidTrace(f"{source.name} is what squeue --json prints, a snapshot; sacct --json prints the past.")
        row = _row(job)
        if row is None:
            broken.add([place], "a job without a number or times")
        else:
            table.add(row, place)
    broken.tell()
    return table.finish()


def json_jobs(name: str, texts: Iterator[str]) -> Iterator[Any]:
    """Give the elements of the list called `jobs`, or of a list alone as `jq .jobs` writes it, one at a time in memory.

    Args:
        name: of the file, for messages.
        texts: the JSON in pieces.

    Raises:
        InvalidTrace: no such list, an element that is no JSON, or one of more than `MAX_LINE_BYTES` characters.
    """
    held = ""
    for place, text in enumerate(texts):
        held += text
        if begin := (not place and _LIST.match(held)) or _JOBS.search(held):
            held = held[begin.end() :]
            break
        held = held[-MAX_LINE_BYTES:]
    else:
        raise InvalidTrace(f"{name} is JSON without a list of jobs.")
    decoder = json.JSONDecoder()
    at = 0
    while True:
        between = _BETWEEN.match(held, at)
        at = between.end() if between else at
        if held[at : at + 1] == "]":
            return
        try:
            job, at = decoder.raw_decode(held, at)
        except RecursionError:
            raise InvalidTrace(f"{name} is JSON that is nested too deeply.") from None
        except ValueError as error:
            more = next(texts, "")
            if not more or len(held) - at > MAX_LINE_BYTES:
                raise InvalidTrace(f"{name} is not valid JSON, or it ends too early: {error}.") from error
            held, at = held[at:] + more, 0
            continue
        yield job


def _texts(source: Source) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for piece in pieces(source.file):
        yield decoder.decode(piece)


def number(value: Any) -> int | float | None:
    """Return a number in any version's form, infinity for no limit; None where it is not set or beyond 64 bits."""
    if isinstance(value, dict):
        if value.get("infinite"):
            return float("inf")
        value = value.get("number") if value.get("set") else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value == _UNSET or (isinstance(value, int) and abs(value) >= 2**63):
        return None
    return float("inf") if value == _UNSET + 1 else value


def _row(job: Any) -> list[str] | None:
    """Return what `sacct -P` prints of a job, in the order of `COLUMNS`; None where it is none."""
    if not isinstance(job, dict):
        return None
    times, identity = job.get("time"), number(job.get("job_id"))
    if not isinstance(times, dict) or identity is None:
        return None
    raw = _shown(identity)
    tres = _part(job, "tres")
    required = _part(job, "required")
    limit = number(times.get("limit"))
    array = _part(job, "array")
    tasks = number(_part(_part(_part(array, "limits"), "max"), "running").get("tasks"))
    return [
        _name(job, raw, array),
        raw,
        *(_text(job.get(key)) for key in ("cluster", "user", "account", "partition", "qos")),
        *(_instant(times.get(key)) for key in ("submission", "eligible", "start", "end")),
        _shown(number(times.get("elapsed"))),
        _shown(number(times.get("suspended"))),
        "UNLIMITED" if limit == float("inf") else _shown(limit),
        _state(_part(job, "state").get("current")),
        _shown(number(required.get("CPUs"))),
        _shown(number(job.get("allocation_nodes"))),
        _resources(tres.get("requested")),
        _resources(tres.get("allocated")),
        _memory(required),
        _text(job.get("nodes")),
        _text(job.get("constraints")),
        _text(_part(job, "reservation").get("name")),
        _text(job.get("submit_line")),
        _shown(number(job.get("restart_cnt"))),
        _shown(tasks) if tasks else "",
    ]


def _part(whole: dict[str, Any], key: str) -> dict[str, Any]:
    part = whole.get(key)
    return part if isinstance(part, dict) else {}


def _text(value: Any) -> str:
    # Half of a surrogate pair, which JSON may hold, is no text that can be stored; 22.05 writes 0 for no name.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _shown(value: float | None) -> str:
    return "" if value is None or value != value or abs(value) == float("inf") else f"{value:.15g}"


def _instant(value: Any) -> str:
    """Return seconds since 1970; 0 stands for an instant that is not known."""
    return _shown(number(value) or None)


def _state(value: Any) -> str:
    return _text(value[0] if isinstance(value, list) and value else value)


def _name(job: dict[str, Any], raw: str, array: dict[str, Any]) -> str:
    """Return the job's number as people see it: `12_3` of an array, `12_[3-8%2]` of its rest, `12+1` of several."""
    head = number(array.get("job_id"))
    if head:
        task = number(array.get("task_id"))
        rest = _text(array.get("task"))
        return f"{_shown(head)}_{_shown(task)}" if task is not None else f"{_shown(head)}_[{rest}]" if rest else raw
    het = _part(job, "het")
    first, offset = number(het.get("job_id")), number(het.get("job_offset"))
    return f"{_shown(first)}+{_shown(offset)}" if first and offset is not None else raw


def _resources(value: Any) -> str:
    """Return `cpu=4,mem=8000M,gres/gpu:a100=2` of a list of resources."""
    pairs = []
    for one in value if isinstance(value, list) else ():
        count = number(one.get("count")) if isinstance(one, dict) else None
        if count is None:
            continue
        kind, model = _text(one.get("type")), _text(one.get("name"))
        amount = f"{_shown(count)}M" if kind == "mem" else _shown(count)
        pairs.append(f"{kind}/{model}={amount}" if model else f"{kind}={amount}")
    return ",".join(pairs)


def _memory(required: dict[str, Any]) -> str:
    """Return the memory asked for, where the version says whether it is of a core or of a node."""
    for key, each in (("memory_per_cpu", "c"), ("memory_per_node", "n")):
        amount = number(required.get(key))
        if amount and amount != float("inf"):
            return f"{_shown(amount)}M{each}"
    return ""
