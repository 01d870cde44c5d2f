"""What Slurm's commands show of one instant: the queue (squeue), its own forecasts, and priorities (sprio).

Read is what `squeue` prints with a format that has a delimiter and with its own format, which cuts long texts, what
`squeue --json` prints, and what `sprio -l` prints. A file may hold several printouts, each below a line such as
`### snapshot epoch=1795690026.054`. Datetimes without a zone are taken as UTC.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from scheduler_sim.engine.clock import clock_seconds, microseconds
from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.sacct_json import is_json, json_jobs, number
from scheduler_sim.engine.workloads.workload import LARGEST_INTEGER

COMMAND = "squeue -a -r -o '%i|%F|%u|%a|%P|%q|%T|%r|%Q|%V|%S|%l|%M|%D|%C|%b|%f|%E|%N'"
"""The call whose output tells most of a queue."""

_MARK = "### snapshot"
_EPOCH = re.compile(r"\bepoch=(\d+(?:\.\d*)?)")
_STATES_WORDS = """
R=RUNNING PD=PENDING CG=COMPLETING CD=COMPLETED S=SUSPENDED CF=CONFIGURING CA=CANCELLED F=FAILED TO=TIMEOUT
NF=NODE_FAIL PR=PREEMPTED ST=STOPPED
"""
_STATES = dict(pair.split("=") for pair in _STATES_WORDS.split())
_NOTHING = frozenset({"", "n/a", "(null)", "none", "unknown", "not_set", "null"})
_NAMES_WORDS = """
JOBID=job ARRAY_JOB_ID=array USER=user ACCOUNT=account PARTITION=partition QOS=qos STATE=state ST=state
REASON=reason PRIORITY=priority NODES=nodes SUBMIT_TIME=submitted START_TIME=started TIME_LIMIT=limit
TIME=elapsed CPUS=cpus TRES_PER_NODE=gres GRES=gres FEATURES=features DEPENDENCY=dependency NODELIST=hosts
NODELIST(REASON)=hosts SCHEDNODES=planned_hosts RESERVATION=reservation
"""
_NAMES = dict(pair.split("=") for pair in _NAMES_WORDS.split())
"""What columns of squeue are called here."""

_REST = re.compile(r"(\d+)_\[([^\]%]*)(?:%(\d+))?\]")
_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")
MOST_OF_ROW = 100_000
"""Tasks that one row may stand for, so that a short text does not become a long list."""

_LARGEST_ARRAY = 4_000_001


@dataclass(frozen=True)
class Snapshot:
    """One printout, and when it was made: seconds since 1970, None where the file does not say."""

    at: float | None
    text: str


@dataclass(frozen=True, kw_only=True)
class QueuedJob:
    """A job of the queue; times are seconds since 1970, None where unknown.

    Attributes:
        job: its number, `12_3` of an array.
        array: the array's number, 0 for none. array_limit: how many of it may run at once, 0 for any number.
        state, reason: Slurm's words, as PENDING and Resources.
        started: when a running job started, when a pending one is expected to.
        limit, elapsed: seconds; a limit of None is none, or not known.
        nodes, cpus: held, or asked for.
        gpus_per_node, gpu_type: asked for by node.
        hosts: what it runs on, as a host list. planned_hosts: what it is expected to run on.
        dependency: as Slurm writes it.
    """

    job: str
    array: int = 0
    array_limit: int = 0
    user: str = ""
    account: str = ""
    partition: str = ""
    qos: str = ""
    state: str = ""
    reason: str = ""
    priority: float | None = None
    submitted: float | None = None
    started: float | None = None
    limit: float | None = None
    elapsed: float | None = None
    nodes: int = 0
    cpus: int = 0
    gpus_per_node: int = 0
    gpu_type: str = ""
    features: str = ""
    reservation: str = ""
    dependency: str = ""
    hosts: str = ""
    planned_hosts: str = ""

    @property
    def is_running(self) -> bool:
        """True where it holds nodes."""
        return self.state in ("RUNNING", "COMPLETING", "SUSPENDED", "CONFIGURING", "STOPPED")

    @property
    def is_held(self) -> bool:
        """True where it waits for somebody to release it."""
        return self.state == "PENDING" and self.reason.startswith("JobHeld")


@dataclass(frozen=True)
class JobPriority:
    """The priority of a pending job and what it is made of, by the factor's name in sprio's table."""

    job: str
    user: str
    partition: str
    priority: float
    factors: dict[str, float] = field(default_factory=dict)


def split_snapshots(text: str) -> list[Snapshot]:
    """Return the printouts of a text; one where no line marks several."""
    found: list[Snapshot] = []
    lines: list[str] = []
    at: float | None = None
    marked = False
    for line in text.splitlines():
        if not line.startswith(_MARK):
            lines.append(line)
            continue
        if marked or any(kept.strip() for kept in lines):
            found.append(Snapshot(at, "\n".join(lines)))
        match = _EPOCH.search(line)
        lines, marked, at = [], True, float(match[1]) if match else None
    return [*found, Snapshot(at, "\n".join(lines))]


def read_queue(text: str, name: str = "squeue") -> list[QueuedJob]:
    """Return the jobs that squeue printed, with `-o` and a delimiter, in its own format, with `--start` or `--json`.

    What is left of an array (`12_[3-8%2]`) is a job for each of its tasks.

    Args:
        text: one printout.
        name: of the file, for messages.

    Raises:
        InvalidTrace: no output of squeue, or a line that is none.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    if is_json(lines):
        rows: Iterable[dict[str, str]] = map(_json_row, json_jobs(name, iter([text])))
    else:
        rows = _rows(lines, name)
    return [job for row in rows for job in _jobs(row, name)]


def read_priorities(text: str, name: str = "sprio") -> list[JobPriority]:
    """Return what `sprio -l` printed; none where Slurm answered that its priorities have no factors.

    Args:
        text: one printout.
        name: of the file, for messages.

    Raises:
        InvalidTrace: no output of sprio, or a line that is none.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or "not running a supported priority plugin" in lines[0]:
        return []
    head = lines[0].split()
    if "JOBID" not in head or "PRIORITY" not in head:
        raise InvalidTrace(f"{name} is not what sprio -l prints: its first line names no JOBID and PRIORITY.")
    found = []
    for line in lines[1:]:
        fields = line.split()
        # The last column is empty where the site weighs no resources.
        if len(fields) not in (len(head), len(head) - 1):
            raise InvalidTrace(f"{name} has a line of {len(fields)} columns where sprio's table has {len(head)}.")
        pairs = list(zip(head, fields, strict=False))
        own = dict(reversed(pairs))
        factors = {
            title.lower(): value
            for place, (title, text) in enumerate(pairs)
            if title not in ("JOBID", "USER", "PRIORITY") and place > head.index("PRIORITY")
            if (value := _number(text)) is not None
        }
        priority = _number(own["PRIORITY"])
        if priority is None:
            raise InvalidTrace(f"{name} has the priority {own['PRIORITY']!r}, which is no number.")
        found.append(JobPriority(own["JOBID"], own.get("USER", ""), own.get("PARTITION", ""), priority, factors))
    return found


def _rows(lines: list[str], name: str) -> Iterator[dict[str, str]]:
    """Give the rows of a table by what their columns are called here."""
    delimiter = next((mark for mark in ("|", "\t", ";", ",") if mark in lines[0]), "")
    titles = [title.strip() for title in (lines[0].split(delimiter) if delimiter else lines[0].split())]
    if "JOBID" not in titles:
        raise InvalidTrace(f"{name} is not what squeue prints: its first line names no JOBID. Print it with {COMMAND}.")
    names = [_NAMES.get(title, "") for title in titles]
    # squeue ends each column below its title, and leaves the last one as long as it is.
    ends = [] if delimiter else [match.end() for match in re.finditer(r"\S+", lines[0])]
    for line in lines[1:]:
        if delimiter:
            fields = line.split(delimiter)
            if len(fields) > len(names) and "features" in names:
                # Alternatives among features look like two columns.
                at, more = names.index("features"), len(fields) - len(names)
                fields[at : at + more + 1] = [delimiter.join(fields[at : at + more + 1])]
        else:
            fields = [line[begin:end] for begin, end in zip([0, *ends], [*ends[:-1], None], strict=False)]
        if len(fields) != len(names):
            raise InvalidTrace(f"{name} has a line of {len(fields)} columns where squeue's table has {len(names)}.")
        yield {name: _known(text) for name, text in zip(names, fields, strict=True) if name}


def _known(text: str) -> str:
    text = text.strip()
    return "" if text.lower() in _NOTHING else text


def _jobs(row: dict[str, str], name: str) -> Iterator[QueuedJob]:
    """Give the jobs of a row: one, or as many as are left of an array."""
    if not row.get("job"):
        raise InvalidTrace(f"{name} has a job without a number.")
    state = row.get("state", "")
    hosts, reason = row.get("hosts", ""), row.get("reason", "")
    if hosts.startswith("("):
        hosts, reason = "", reason or hosts.strip("()")
    gpus, model = _gpus(row.get("gres", ""))
    identities, limit = _identities(row["job"], name)
    array = _whole(row.get("array", ""))
    for identity in identities:
        head, _, task = identity.partition("_")
        yield QueuedJob(
            job=identity,
            array=_whole(head) if task else array if str(array) != identity else 0,
            array_limit=_whole(row.get("array_limit", "")) or limit,
            user=row.get("user", ""),
            account=row.get("account", ""),
            partition=row.get("partition", ""),
            qos=row.get("qos", ""),
            state=_STATES.get(state, state),
            reason=reason,
            priority=_number(row.get("priority", "")),
            submitted=_instant(row.get("submitted", "")),
            started=_instant(row.get("started", "")),
            limit=_duration(row.get("limit", "")),
            elapsed=_duration(row.get("elapsed", "")),
            nodes=_whole(row.get("nodes", "").partition("-")[0]),
            cpus=_whole(row.get("cpus", "")),
            gpus_per_node=gpus,
            gpu_type=model,
            features=row.get("features", ""),
            reservation=row.get("reservation", ""),
            dependency=row.get("dependency", ""),
            hosts=hosts,
            planned_hosts=row.get("planned_hosts", ""),
        )


def _identities(text: str, name: str) -> tuple[list[str], int]:
    """Return the jobs that `12_[3-8%2]` stands for, and how many of them may run at once; any other text is one job."""
    match = _REST.fullmatch(text)
    if match is None:
        return [text], 0
    tasks: list[int] = []
    for piece in match[2].split(","):
        bounds = _RANGE.fullmatch(piece)
        if bounds is None or int(bounds[2] or 0) > _LARGEST_ARRAY:
            raise InvalidTrace(f"{name} has the array {text}, whose tasks cannot be told; print it with squeue -r.")
        piece_tasks = range(int(bounds[1]), int(bounds[2] or bounds[1]) + 1, int(bounds[3] or 1) or 1)
        if len(tasks) + len(piece_tasks) > MOST_OF_ROW:
            raise InvalidTrace(
                f"{name} has the array {text} of more than {MOST_OF_ROW:,} tasks; print it with squeue -r."
            )
        tasks.extend(piece_tasks)
    return [f"{match[1]}_{task}" for task in tasks], int(match[3] or 0)


def _number(text: str) -> float | None:
    """Return a number of usual size, None of another text."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST_INTEGER else None


def _instant(text: str) -> float | None:
    found = _number(text)
    moment = microseconds(text) if found is None and text else None
    return found if moment is None else moment[0] / 1e6


def _duration(text: str) -> float | None:
    found = _number(text)
    found = clock_seconds(text) if found is None and text else found
    return None if found is None or found < 0 else found


def _whole(text: str) -> int:
    """Return a count, 0 of a text that is none."""
    return max(int(_number(text) or 0), 0)


def _gpus(text: str) -> tuple[int, str]:
    """Return the GPUs of a node and their type from `gres:gpu:a100:4`, `gres/gpu:2` or `gpu`."""
    count, models = 0, set()
    for part in text.split(","):
        words = re.split(r"[:/=]", part.partition("(")[0].removeprefix("gres:").removeprefix("gres/"))
        if words[0] == "gpu":
            count += int(words[-1]) if words[-1].isdecimal() else 1
            models |= {word for word in words[1:] if word and not word.isdecimal()}
    return count, "|".join(sorted(models))


def _json_row(job: Any) -> dict[str, str]:
    """Return a job of squeue's JSON as a row; `_jobs` refuses what has no number."""
    if not isinstance(job, dict):
        return {}
    row: dict[str, str] = {}
    for name, key in (
        *(("user", "user_name"), ("account", "account"), ("partition", "partition"), ("qos", "qos")),
        *(("reason", "state_reason"), ("features", "features"), ("dependency", "dependency"), ("hosts", "nodes")),
        *(("gres", "tres_per_node"), ("reservation", "resv_name")),
    ):
        value = job.get(key)
        row[name] = _known(value) if isinstance(value, str) else ""
    for name, key in (("priority", "priority"), ("nodes", "node_count"), ("cpus", "cpus")):
        row[name] = _plain(number(job.get(key)))
    for name, key in (("submitted", "submit_time"), ("started", "start_time")):
        row[name] = _plain(number(job.get(key)) or None)
    limit = number(job.get("time_limit"))
    row["limit"] = _plain(None if limit is None else limit * 60)
    state = job.get("job_state")
    state = state[0] if isinstance(state, list) and state else state
    row["state"] = state if isinstance(state, str) else ""
    row["array_limit"] = _plain(number(job.get("array_max_tasks")))
    identity = _plain(number(job.get("job_id")))
    head = number(job.get("array_job_id"))
    task, rest = number(job.get("array_task_id")), job.get("array_task_string")
    if head and task is not None:
        identity = f"{_plain(head)}_{_plain(task)}"
    elif head and isinstance(rest, str) and rest:
        identity = f"{_plain(head)}_[{rest}]"
    return {**row, "job": identity}


def _plain(value: float | None) -> str:
    return "" if value is None or abs(value) == float("inf") else f"{value:.15g}"
