"""The options of sbatch, salloc and srun out of the line that a job was submitted by (sacct's SubmitLine).

The line is the words of the call with a blank between them: quotes are gone, and what `#SBATCH` lines of the script
ask for is not in it. Reading ends at the script or program, whose own options mean other things.
Grammar: https://slurm.schedmd.com/sbatch.html and srun.html (20.11 to 24.11).
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple

from scheduler_sim.engine.traces.table import is_number
from scheduler_sim.engine.traces.units import quantity

AFTER_END = frozenset(("afterany", "afterok", "afternotok", "aftercorr", "afterburstbuffer"))
"""Kinds of dependency that wait for the end of another job."""

NEED_SUCCESS = frozenset(("afterok", "aftercorr"))


class Dependency(NamedTuple):
    """Jobs that another one waits for: the kind, and the jobs as they are named (`12`, `12_3`)."""

    kind: str
    jobs: tuple[str, ...]


class Submission(NamedTuple):
    """What the options of one line ask for; numbers of 0, NaN and empty texts say nothing.

    Attributes:
        nodes, most_nodes: at least and at most; `most_nodes` is 0 where just `nodes` are asked for.
        tasks, cores_per_task, tasks_per_node, gpus_per_node: as in `Requests`.
        memory_mb_per_core, memory_mb_per_node: NaN where not stated, and for all memory of a node.
        whole_memory: all memory of its nodes.
        gpus_in_all: its GPUs are asked for in all, or by process, and not by node.
        begin: seconds after the submission before which it does not start, NaN where that is not said.
        waits: it may not start before an instant, its release from a hold, or jobs that `dependencies` does not hold.
        array_limit: how many tasks of its array may run at once, 0 for any number.
        dependencies: jobs of which all must have ended.
        sized: the line says how many nodes, processes or cores; else the script may.
        unread: options that are not Slurm's, or whose value cannot be read.
    """

    nodes: int = 0
    most_nodes: int = 0
    tasks: int = 0
    cores_per_task: int = 0
    tasks_per_node: int = 0
    gpus_per_node: float = 0.0
    gpus_in_all: bool = False
    memory_mb_per_core: float = float("nan")
    memory_mb_per_node: float = float("nan")
    whole_memory: bool = False
    features: str = ""
    partitions: str = ""
    qos: str = ""
    reservation: str = ""
    exclusive: bool = False
    begin: float = float("nan")
    waits: bool = False
    nice: int = 0
    array_limit: int = 0
    dependencies: tuple[Dependency, ...] = ()
    requeueable: bool = True
    sized: bool = False
    unread: tuple[str, ...] = ()


VALUED = """
account acctg-freq accel-bind array batch bb bbf begin chdir cluster-constraint clusters comment constraint container
container-id core-spec cores-per-socket cpu-bind cpu-freq cpu_bind cpus-per-gpu cpus-per-task deadline delay-boot
dependency distribution epilog error exclude export export-file extra extra-node-info gid gpu-bind gpu-freq gpus
gpus-per-node gpus-per-socket gpus-per-task gres gres-flags het-group hint input job-name jobid kill-on-invalid-dep
licenses mail-type mail-user mcs-label mem mem-bind mem_bind mem-per-cpu mem-per-gpu mincpus mpi msg-timeout network
nodefile nodelist nodes ntasks ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket ntasks-per-tres
open-mode output partition power prefer priority profile prolog qos relative reservation segment signal slurmd-debug
sockets-per-node switches task-epilog task-prolog thread-spec threads threads-per-core time time-min tmp tres-bind
tres-per-task treewidth uid wait-all-nodes wckey workdir wrap
"""
"""Options that take the next word as their value, where no `=` gives them one."""

PLAIN = """
bcast bell compress contiguous debugger-test disable-status exact exclusive get-user-env help hold ignore-pbs immediate
kill-command kill-on-bad-exit label multi-prog no-allocate no-bell no-kill no-requeue no-shell nice oom-kill-step
overcommit overlap oversubscribe parsable preserve-env propagate pty quiet quit-on-interrupt reboot requeue resv-ports
send-libs share spread-job stepmgr test-only unbuffered usage use-min-nodes verbose version wait whole x11
"""
"""Options that take no value, or one behind `=` only."""

_VALUED = frozenset(VALUED.split())
_KNOWN = _VALUED | frozenset(PLAIN.split())

LETTERS = """
a:array A:account b:begin B:extra-node-info c:cpus-per-task C:constraint d:dependency D:chdir e:error F:nodefile
G:gpus h:help H:hold i:input I:immediate J:job-name k:no-kill K:kill-on-bad-exit l:label L:licenses m:distribution
M:clusters n:ntasks N:nodes o:output O:overcommit p:partition P:dependency q:qos Q:quiet r:relative s:oversubscribe
S:core-spec t:time T:threads u:usage v:verbose V:version w:nodelist W:wait x:exclude X:disable-status Z:no-allocate
E:preserve-env
"""
"""Options of one letter, with their long names."""

_LETTERS = dict(pair.split(":") for pair in LETTERS.split())
_OPTIONAL_LETTERS = frozenset("IkK")
"""Letters whose value, if there is one, stands in the same word."""

_WHOLE = re.compile(r"(\d+)([km]?)", re.IGNORECASE)
_MULTIPLES = {"": 1, "k": 1024, "m": 1024**2}
_LATER = re.compile(r"now\+(\d+)\s*([a-z]*)", re.IGNORECASE)
_BEGIN_UNITS = {"s": 1, "": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_JOB_NAMED = re.compile(r"\d+(?:_(?:\d+|\*))?")
_GPU = re.compile(r"(?:gres[:/])?gpu(?::((?:[A-Za-z]|\d+g\.)[^:(=]*))?(?:[:=](\d+))?(?:\(.*\))?")


def read_submission(line: str) -> Submission:
    """Return what the options of a line ask for; a line that is empty or unusual asks for nothing."""
    return _submission(tuple(_options(line.split())))


@lru_cache(20_000)
def _submission(options: tuple[tuple[str, str | None], ...]) -> Submission:
    """Return what options ask for; many lines differ in those only that are not read."""
    found: dict[str, Any] = {}
    unread: list[str] = []
    for name, value in options:
        read = _READERS[name](value) if name in _READERS else None
        if read is None:
            unread.append(name if name.startswith("-") else f"--{name}" if value is None else f"--{name}={value}")
        else:
            found.update(read)
    if unread:
        found["unread"] = tuple(dict.fromkeys(unread))
    if found.get("nodes") and found.get("tasks_per_node") and not found.get("tasks"):
        found["tasks"] = found["nodes"] * found["tasks_per_node"]
    return Submission(**found)


def _options(words: list[str]) -> list[tuple[str, str | None]]:
    """Return the options that are read, by long name with their values, and unknown ones as they are written.

    Reading ends at the script or program.
    """
    found: list[tuple[str, str | None]] = []
    waits = bool(words) and words[0].endswith("srun")
    at, last = 1, len(words)
    while at < last:
        word = words[at]
        at += 1
        if word[0] != "-" or word in ("--", "-"):
            break
        if word[1] == "-":
            name, equals, value = word[2:].partition("=")
            full = name if name in _KNOWN else _full_name(name)
            if full is None:
                found.append((f"--{name}", None))
                continue
            given: str | None = value if equals else None
            if not equals and (full in _VALUED or (waits and full == "wait")):
                given = words[at] if at < last else None
                at += 1
            if full in _READERS:
                found.append((full, given))
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            full = _LETTERS.get(letter)
            if full is None:
                found.append((f"-{letter}", None))
                break
            given = None
            takes = full in _VALUED or (waits and full == "wait")
            if letter in _OPTIONAL_LETTERS:
                letters = ""
            elif takes and letters:
                given, letters = letters.removeprefix("="), ""
            elif takes:
                given = words[at] if at < last else None
                at += 1
            if full in _READERS:
                found.append((full, given))
    return found


@cache
def _full_name(name: str) -> str | None:
    """Return the long name that the beginning of one stands for, as getopt takes it; None where it is in doubt."""
    longer = [one for one in _KNOWN if one.startswith(name)]
    return longer[0] if len(longer) == 1 else None


def _whole(text: str | None) -> int | None:
    match = _WHOLE.fullmatch(text or "")
    return int(match[1]) * _MULTIPLES[match[2].lower()] if match else None


def _count(name: str, *, sizes: bool = True) -> Callable[[str | None], dict[str, Any] | None]:
    def read(text: str | None) -> dict[str, Any] | None:
        number = _whole(text)
        return None if number is None else {name: number, **({"sized": True} if sizes else {})}

    return read


def _nodes(text: str | None) -> dict[str, Any] | None:
    """Read `4`, `4-8`, or a list of sizes such as `2,4-8:2`, of which the least and the largest count."""
    numbers = [_whole(piece) for part in (text or "").split(",") for piece in part.partition(":")[0].split("-")]
    if not numbers or None in numbers:
        return None
    known = [number for number in numbers if number is not None]
    least, most = min(known), max(known)
    return {"nodes": least, "most_nodes": most if most > least else 0, "sized": True}


def megabytes(text: str | None) -> float | None:
    """Return MB of `4000`, `4G` or `4GB`, the way memory is asked for; None of another text."""
    if text and is_number(text):
        return float(text)
    return quantity("memory_mb", text or "")


def _memory(name: str) -> Callable[[str | None], dict[str, Any] | None]:
    def read(text: str | None) -> dict[str, Any] | None:
        amount = megabytes(text)
        if amount is None:
            return None
        if amount == 0:
            return {"whole_memory": True} if name == "memory_mb_per_node" else {}
        return {name: amount}

    return read


def _gres(text: str | None) -> dict[str, Any] | None:
    """Read the GPUs among the generic resources of a node, `gpu:a100:2,nvme:1`."""
    count = 0
    for part in (text or "").split(","):
        match = _GPU.fullmatch(part)
        if match:
            count += int(match[2] or 1)
        elif part.startswith("gpu"):
            return None
    return {"gpus_per_node": float(count)} if count else {}


def _gpus_per_node(text: str | None) -> dict[str, Any] | None:
    """Read `2` or `a100:2,v100:1`."""
    count = 0
    for part in (text or "").split(","):
        number = _whole(part.rpartition(":")[2])
        if number is None:
            return None
        count += number
    return {"gpus_per_node": float(count)}


def _text(name: str) -> Callable[[str | None], dict[str, Any] | None]:
    return lambda text: {name: text} if text else None


def _exclusive(text: str | None) -> dict[str, Any]:
    """Read `--exclusive`; of one user or group (`=user`, `=mcs`) others may be on the node."""
    return {"exclusive": text in (None, "", "exclusive", "topo")}


def _nice(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return {"nice": 100}
    return {"nice": int(text)} if re.fullmatch(r"[-+]?\d{1,10}", text) else None


def _begin(text: str | None) -> dict[str, Any] | None:
    """Read `now+90` and `now+2hours`; an instant is known to wait until then, and not for how long."""
    match = _LATER.fullmatch(text or "")
    if not match:
        return {"waits": True} if text and text != "now" else {} if text else None
    unit = match[2].lower()
    scale = _BEGIN_UNITS.get(unit[:1])
    return None if scale is None else {"begin": float(int(match[1]) * scale)}


def _array(text: str | None) -> dict[str, Any] | None:
    _, percent, limit = (text or "").partition("%")
    if not percent:
        return {} if text else None
    number = _whole(limit)
    return None if number is None else {"array_limit": number}


def read_dependencies(text: str) -> tuple[tuple[Dependency, ...], bool] | None:
    """Read `afterok:12:13_4,afterany:14`; None of another text.

    Returns:
        The jobs of which all must have ended, and whether it waits for other things as well.
    """
    if "?" in text:
        return (), True
    found: list[Dependency] = []
    waits = False
    for part in text.split(","):
        kind, *jobs = part.split(":")
        if kind in AFTER_END and jobs and all(_JOB_NAMED.fullmatch(job) for job in jobs):
            found.append(Dependency(kind, tuple(jobs)))
        elif kind in ("after", "singleton", "expand"):
            waits = True
        else:
            return None
    return tuple(found), waits


def _dependency(text: str | None) -> dict[str, Any] | None:
    read = read_dependencies(text) if text else None
    return None if read is None else {"dependencies": read[0], **({"waits": True} if read[1] else {})}


_READERS: dict[str, Callable[[str | None], dict[str, Any] | None]] = {
    "nodes": _nodes,
    "ntasks": _count("tasks"),
    "cpus-per-task": _count("cores_per_task"),
    "ntasks-per-node": _count("tasks_per_node"),
    "mem": _memory("memory_mb_per_node"),
    "mem-per-cpu": _memory("memory_mb_per_core"),
    "gres": _gres,
    "gpus-per-node": _gpus_per_node,
    "gpus": lambda _: {"gpus_in_all": True},
    "gpus-per-task": lambda _: {"gpus_in_all": True},
    "gpus-per-socket": lambda _: {"gpus_in_all": True},
    "constraint": _text("features"),
    "partition": _text("partitions"),
    "qos": _text("qos"),
    "reservation": _text("reservation"),
    "exclusive": _exclusive,
    "begin": _begin,
    "hold": lambda _: {"waits": True},
    "nice": _nice,
    "array": _array,
    "dependency": _dependency,
    "requeue": lambda _: {"requeueable": True},
    "no-requeue": lambda _: {"requeueable": False},
}
"""What is read of the options; the others change nothing here."""
