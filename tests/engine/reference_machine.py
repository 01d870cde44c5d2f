"""Tasks, and the nodes they run on, in the slow simulator of tasks that stop and go on.

Cores and GPUs are whole numbers.
"""

from dataclasses import dataclass
from math import inf, nan
from typing import NamedTuple

AWAITED, READY, RUNNING, SUSPENDED, DONE = "awaited", "ready", "running", "suspended", "done"


class Piece(NamedTuple):
    """What a task holds of one node."""

    node: int
    cores: int
    gpus: set[int]


@dataclass(eq=False)
class Task:
    """What is known of one task; times are NaN as long as there is nothing to say.

    Attributes:
        size: the GPUs or else the cores by which the disciplines measure it.
        tie: what decides between equal scores.
        left, estimate_left: seconds of work. attempt_work: those after which this attempt ends.
        held_seconds, attained, executed: seconds on devices: ever, in this queue of las, since its last promotion.
        queue: of las. slice_end: of its turn of rr.
    """

    row: int
    arrival: float
    work: float
    estimate: float
    cpus: int
    gpus: int
    size: int
    base: float
    slope: float
    parents: set[int]

    def __post_init__(self) -> None:
        self.tie = self.row
        self.state, self.outcome, self.saved = AWAITED, "", False
        self.left, self.estimate_left = self.work, self.estimate
        self.ready = self.start = self.first_start = self.end = self.waiting_since = nan
        self.progress_from = self.there_since = self.attempt_work = self.expected_end = self.slice_end = nan
        self.finish = inf
        self.attempts = self.requeues = self.failures = self.queue = 0
        self.held_seconds = self.attained = self.executed = self.service = self.since_begin = 0.0
        self.pieces: list[Piece] = []


class Machine:
    """Nodes as (cores, GPUs)."""

    def __init__(self, nodes: list[tuple[int, int]]) -> None:
        self.nodes = nodes
        self.away = [0] * len(nodes)
        self.reset()

    def reset(self) -> None:
        self.cores = [0 if away else cores for (cores, _), away in zip(self.nodes, self.away, strict=True)]
        self.gpus = [set() if away else set(range(gpus)) for (_, gpus), away in zip(self.nodes, self.away, strict=True)]

    def take(self, pieces: list[Piece]) -> None:
        for node, cores, gpus in pieces:
            self.cores[node] -= cores
            self.gpus[node] -= gpus

    def still_free(self, pieces: list[Piece]) -> bool:
        return all(self.cores[node] >= cores and gpus <= self.gpus[node] for node, cores, gpus in pieces)

    def place_on_nodes(self, task: Task) -> list[Piece] | None:
        """One node if one is large enough, else whole nodes and one further node for the rest; the lowest numbers."""
        by_gpus = task.gpus > 0
        largest = max(node[1] if by_gpus else node[0] for node in self.nodes)
        whole = task.gpus if by_gpus else task.cpus
        if whole <= largest:
            return self.first(task.cpus, task.gpus, set())
        full, rest = divmod(whole, largest)
        other = task.cpus if by_gpus else 0
        share, last = -(-other * largest // whole), -(-other * rest // whole)
        pieces: list[Piece] = []
        for node, (cores, gpus) in enumerate(self.nodes):
            if len(pieces) == full:
                break
            if by_gpus and gpus == largest and len(self.gpus[node]) == largest and self.cores[node] >= share:
                pieces.append(Piece(node, share, set(range(gpus))))
            if not by_gpus and cores == largest and self.cores[node] == largest:
                pieces.append(Piece(node, largest, set()))
        if len(pieces) < full:
            return None
        if rest:
            behind = self.first(last if by_gpus else rest, rest if by_gpus else 0, {node for node, _, _ in pieces})
            if behind is None:
                return None
            pieces += behind
        return pieces

    def first(self, cores: int, gpus: int, taken: set[int]) -> list[Piece] | None:
        for node in range(len(self.nodes)):
            if node not in taken and self.cores[node] >= cores and len(self.gpus[node]) >= gpus:
                return [Piece(node, cores, set(sorted(self.gpus[node])[:gpus]))]
        return None

    def spread(self, task: Task) -> list[Piece] | None:
        """Any free cores and GPUs, the lowest first, whichever nodes they are on."""
        if sum(self.cores) < task.cpus or sum(map(len, self.gpus)) < task.gpus:
            return None
        cores, gpus = task.cpus, task.gpus
        pieces: list[Piece] = []
        for node in range(len(self.nodes)):
            some, devices = min(cores, self.cores[node]), set(sorted(self.gpus[node])[:gpus])
            if some or devices:
                pieces.append(Piece(node, some, devices))
                cores, gpus = cores - some, gpus - len(devices)
        return pieces


def place_of(pieces: list[Piece]) -> tuple[int, int]:
    """Return the lowest node and, on it, the lowest GPU, -1 for none."""
    node = min(node for node, _, _ in pieces)
    gpus: set[int] = set().union(*(devices for number, _, devices in pieces if number == node))
    return node, min(gpus, default=-1)
