"""What jobs ask of a site by Slurm's accounting.

A value is taken from the line that the job was submitted by, else from the columns. The line does not hold what
`#SBATCH` lines of a script ask for, so its counts are taken only where they make up the cores that were requested.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.traces.audit import EXAMPLES, Audit
from scheduler_sim.engine.traces.raw import RawRequests
from scheduler_sim.engine.traces.slurm_options import Submission, read_submission
from scheduler_sim.engine.traces.table import Table
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, Labels


@dataclass
class Allocations:
    """What the columns say of each job; NaN where they do not.

    Attributes:
        cpus, requested_cpus: cores held and asked for.
        nodes, requested_nodes: nodes held, and the least that was asked for.
        gpus: held.
        memory_mb: held in all.
        memory_mb_per_core, memory_mb_per_node: asked for.
    """

    cpus: FloatArray
    requested_cpus: FloatArray
    nodes: FloatArray
    requested_nodes: FloatArray
    gpus: FloatArray
    memory_mb: FloatArray
    memory_mb_per_core: FloatArray
    memory_mb_per_node: FloatArray


class Submissions:
    """The lines that jobs were submitted by, each read once and kept as what it asks for."""

    def __init__(self, table: Table) -> None:
        self.length = len(table)
        self._lines: list[Submission] = [Submission()]
        self._codes = np.zeros(len(table), np.int64)
        places: dict[int, int] = {}
        for piece in table.texts("SubmitLine").pieces() if "SubmitLine" in table else ():
            own = np.empty(len(piece.names), np.int64)
            for place, text in enumerate(piece.names):
                # Many lines are read to one and the same object.
                line = read_submission(text)
                own[place] = places.setdefault(id(line), len(self._lines))
                if own[place] == len(self._lines):
                    self._lines.append(line)
            self._codes[piece.first : piece.first + len(piece.codes)] = own[piece.codes]

    def __bool__(self) -> bool:
        return len(self._lines) > 1

    def column(self, value: Callable[[Submission], float]) -> FloatArray:
        """Return a number of each job."""
        return np.array([value(line) for line in self._lines], np.float64)[self._codes]

    def labels(self, value: Callable[[Submission], str]) -> Labels:
        """Return a text of each job."""
        texts = Labels.from_texts([value(line) for line in self._lines])
        return texts.take(self._codes)

    def rows(self, chosen: Callable[[Submission], object]) -> list[tuple[int, Submission]]:
        """Return the jobs of the lines that are chosen, by row."""
        wanted = np.array([bool(chosen(line)) for line in self._lines], bool)[self._codes]
        return [(row, self._lines[self._codes[row]]) for row in np.flatnonzero(wanted).tolist()]


def read_requests(
    table: Table, lines: Submissions, held: Allocations, queue: Labels | None, kept: BoolArray, audit: Audit
) -> RawRequests:
    """Return what jobs ask for, apart from dates, dependencies and arrays.

    Args:
        table: the columns of the file.
        lines: those that jobs were submitted by.
        held: what the columns say of cores, nodes and memory.
        queue: the partitions that they were in.
        kept: rows that become tasks.
        audit: where options that are not understood are counted.
    """
    sizes = _sizes(lines, held)
    sized = sizes.pop("sized") > 0
    exclusive = _exclusive(lines, held, queue, sized)
    sizes["cores_per_task"] = _cores_per_task(sizes, held, sized, exclusive > 0)
    requests: dict[str, FloatArray | Labels] = {
        **sizes,
        **_memory(lines, held),
        "gpus_per_node": _gpus_per_node(lines, held, sized),
        "exclusive": exclusive,
        **{name: labels for name, labels in _texts(table, lines).items() if labels is not None},
    }
    if lines:
        requests["partitions"] = _partitions(lines, queue)
        requests["nice"] = lines.column(lambda line: line.nice)
        requests["requeueable"] = lines.column(lambda line: line.requeueable)
        strange = [(row, line) for row, line in lines.rows(lambda line: line.unread) if kept[row]]
        examples = list(dict.fromkeys(option for _, line in strange[: 10 * EXAMPLES] for option in line.unread))
        audit.notice("unread_option", table.where[[row for row, _ in strange]], examples)
    return requests


def _sizes(lines: Submissions, held: Allocations) -> dict[str, FloatArray]:
    """Return nodes, processes and cores of each, and which of them the line alone says."""
    nodes = np.nan_to_num(lines.column(lambda line: line.nodes))
    most = np.nan_to_num(lines.column(lambda line: line.most_nodes))
    tasks = np.nan_to_num(lines.column(lambda line: line.tasks))
    each = np.nan_to_num(lines.column(lambda line: line.cores_per_task))
    beside = np.nan_to_num(lines.column(lambda line: line.tasks_per_node))
    # One process a node, or one in all, where nothing else is said.
    tasks = np.where((tasks == 0) & (nodes > 0), nodes, tasks)
    tasks = np.where((tasks == 0) & (beside > 0), beside, tasks)
    tasks = np.where((tasks == 0) & (each > 0), 1.0, tasks)
    asked = np.where(held.requested_cpus > 0, held.requested_cpus, held.cpus)
    sized = (lines.column(lambda line: line.sized) > 0) & (tasks * np.maximum(each, 1.0) == asked)
    tasks, each, beside = (np.where(sized, column, 0.0) for column in (tasks, each, beside))
    # What the line leaves open the script may have said.
    got, least = np.nan_to_num(held.nodes), np.nan_to_num(held.requested_nodes)
    least = np.where(least > 0, least, got)
    free = (least <= 1) & (sized | (got > least))
    other = np.where(free, 0.0, least)
    other_most = np.where((other > 0) & (got > least), got, 0.0)
    stated = nodes > 0
    return {
        "nodes": np.where(stated, nodes, other),
        "most_nodes": np.where(stated, most, other_most),
        "tasks": tasks,
        "cores_per_task": each,
        "tasks_per_node": beside,
        "sized": sized.astype(np.float64),
    }


def _cores_per_task(
    sizes: dict[str, FloatArray], held: Allocations, sized: BoolArray, exclusive: BoolArray
) -> FloatArray:
    """Return the cores of a process: of whole nodes what it asked for, else what it got where that was rounded up."""
    tasks, each = np.maximum(sizes["tasks"], 1.0), sizes["cores_per_task"]
    got = held.cpus / tasks
    rounded = sized & ~exclusive & (got > np.maximum(each, 1.0)) & (np.floor(got) == got)
    return np.where(rounded, got, np.where(sized & exclusive, np.maximum(each, 1.0), each))


def _memory(lines: Submissions, held: Allocations) -> dict[str, FloatArray]:
    found = {
        "memory_mb_per_core": lines.column(lambda line: line.memory_mb_per_core),
        "memory_mb_per_node": lines.column(lambda line: line.memory_mb_per_node),
    }
    silent = np.isnan(found["memory_mb_per_core"]) & np.isnan(found["memory_mb_per_node"])
    whole = (lines.column(lambda line: line.whole_memory) > 0) & (held.nodes > 0) & (held.memory_mb > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = held.memory_mb / held.nodes
    found["memory_mb_per_node"] = np.where(silent & whole, share, found["memory_mb_per_node"])
    for name, asked in (
        ("memory_mb_per_core", held.memory_mb_per_core),
        ("memory_mb_per_node", held.memory_mb_per_node),
    ):
        found[name] = np.where(silent & ~whole & (asked > 0), asked, found[name])
    return found


def _gpus_per_node(lines: Submissions, held: Allocations, sized: BoolArray) -> FloatArray:
    """Return the GPUs of each node; where no line says it, as many on each where they divide evenly."""
    stated = np.nan_to_num(lines.column(lambda line: line.gpus_per_node))
    in_all = lines.column(lambda line: line.gpus_in_all) > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        even = held.gpus / held.nodes
    spread = ~sized & ~in_all & (held.gpus > 0) & (held.nodes > 0) & (np.floor(even) == even)
    return np.where(stated > 0, stated, np.where(spread, even, 0.0))


def _exclusive(lines: Submissions, held: Allocations, queue: Labels | None, sized: BoolArray) -> FloatArray:
    """Tell jobs that have their nodes alone: by the line, or as they got more cores than they asked for, and as many of
    each node as any job of the partition got.
    """
    stated = lines.column(lambda line: line.exclusive) > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(held.nodes > 0, held.cpus / held.nodes, np.nan)
    more = (held.cpus > held.requested_cpus) & ~np.isnan(share) & ~sized
    if more.any():
        of = np.zeros(len(share), np.int64) if queue is None else queue.codes
        largest = np.zeros(int(of.max()) + 1)
        np.maximum.at(largest, of, np.nan_to_num(share))
        more &= share >= largest[of]
    return (stated | more).astype(np.float64)


def _texts(table: Table, lines: Submissions) -> dict[str, Labels | None]:
    """Return features, QOS and reservation, from the column, which is what Slurm made of them, else from the line."""

    def read(column: str, value: Callable[[Submission], str]) -> Labels | None:
        if column in table:
            return table.texts(column).labels()
        return lines.labels(value) if lines else None

    return {
        "features": read("Constraints", lambda line: line.features),
        "qos": read("QOS", lambda line: line.qos),
        "reservation": read("Reservation", lambda line: line.reservation),
        "recorded_nodes": _nodes(table),
    }


def _nodes(table: Table) -> Labels | None:
    """Return the host lists of nodes where jobs ran."""
    if "NodeList" not in table:
        return None
    found = table.texts("NodeList").labels()
    names = ["" if name.lower() == "none assigned" else name for name in found.names]
    merged = Labels.from_texts(names)
    return Labels(codes=merged.codes[found.codes], names=merged.names)


def _partitions(lines: Submissions, queue: Labels | None) -> Labels:
    """Return lists of partitions that hold the one where the job was; of a single one the workload's queue is it."""
    listed = lines.labels(lambda line: line.partitions if "," in line.partitions else "")
    if queue is None or len(listed.names) == 1:
        return listed
    pairs, places = np.unique(np.stack([listed.codes, queue.codes]), axis=1, return_inverse=True)
    sound = [queue.names[at] in listed.names[code].split(",") for code, at in pairs.T.tolist()]
    return Labels(codes=np.where(np.array(sound, bool)[places.ravel()], listed.codes, 0), names=listed.names)
