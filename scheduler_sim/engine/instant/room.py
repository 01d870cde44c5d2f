"""What the nodes of a cluster have left at an instant, in whole units, and what a task finds there."""

from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.demand import NodeGroups
from scheduler_sim.engine.codes import BEST_FIT, COMPACT, FIRST_FIT, MILLI, WEIGHTED_FIT, WORST_FIT
from scheduler_sim.engine.workloads.workload import BoolArray, IntArray

SETTLED = (FIRST_FIT, BEST_FIT, WORST_FIT, WEIGHTED_FIT, COMPACT)
"""Placements whose node follows from what the nodes have left."""


class Need(NamedTuple):
    """What one piece of a task takes of a node: thousandths of cores, KiB, whole GPUs, thousandths of a shared one."""

    cpu: int
    memory: int
    whole: int
    share: int


class Asked(NamedTuple):
    """What a task takes.

    Attributes:
        pieces: on how many nodes it runs.
        full_count: how many of them it takes as a whole, of each `full`; of one more, where there is one, `last`.
        allowed: shape (nodes,), where it may run.
    """

    pieces: int
    full_count: int
    full: Need
    last: Need
    allowed: BoolArray


class Piece(NamedTuple):
    """What a task holds of one node; `device` is the GPU that it shares, -1 for none."""

    node: int
    need: Need
    device: int = -1


class Room:
    """Cores, memory and GPUs that are left, shape (nodes,) each.

    Attributes:
        cores, devices: thousandths. memory: KiB. whole: GPUs that nobody holds a part of.
        most: what the emptiest of the shared GPUs has left, thousandths.
        away: outages that cover the node.
    """

    def __init__(self, cluster: Cluster) -> None:
        groups, group = NodeGroups.of(cluster), cluster.group_of_nodes()
        self.group = group
        self.all_cores, self.all_gpus = groups.cpu[group], groups.gpus[group]
        self._most_cores, self._most_gpus = max(int(groups.cpu.max()) // MILLI, 1), max(int(groups.gpus.max()), 1)
        self.cores, self.memory, self.whole = self.all_cores.copy(), groups.memory[group].copy(), self.all_gpus.copy()
        self.devices = self.whole * MILLI
        self.most = np.zeros(len(group), np.int64)
        self.away = np.zeros(len(group), np.int64)
        self.shared: dict[int, dict[int, int]] = {}
        self._fresh = -1

    def copy(self) -> Self:
        """Return one with arrays of its own."""
        other = object.__new__(type(self))
        other.__dict__ |= self.__dict__
        for name in ("cores", "memory", "whole", "devices", "most", "away"):
            setattr(other, name, getattr(self, name).copy())
        other.shared = {node: dict(parts) for node, parts in self.shared.items()}
        return other

    @property
    def free_cores(self) -> int:
        """Whole processors that are free in all."""
        return int(self.cores.sum()) // MILLI

    @property
    def free_gpus(self) -> float:
        """GPUs that are free in all."""
        return int(self.devices.sum()) / MILLI

    def let_go(self, outages: Iterable[tuple[float, int, int]], time: float) -> None:
        """Let nodes go out of service and come back, as announced, up to `time`."""
        for when, node, sign in outages:
            if when <= time:
                self.away[node] += sign

    def take(self, piece: Piece, *, cores: bool = True, memory: bool = True, gpus: bool = True, back: int = 1) -> None:
        """Take a piece or parts of it, or give them back with `back` -1."""
        node, need = piece.node, piece.need
        if cores:
            self.cores[node] -= back * need.cpu
        if memory:
            self.memory[node] -= back * need.memory
        if gpus and (need.whole or need.share):
            self.whole[node] -= back * need.whole
            self.devices[node] -= back * (need.whole * MILLI + need.share)
            if need.share:
                self._take_share(node, piece.device, back * need.share)

    def _take_share(self, node: int, device: int, share: int) -> None:
        parts = self.shared.setdefault(node, {})
        if device not in parts:
            parts[device] = MILLI
            self.whole[node] -= 1
        parts[device] -= share
        if parts[device] == MILLI:
            del parts[device]
            self.whole[node] += 1
        self.most[node] = max(parts.values(), default=0)

    def fitting(self, need: Need, allowed: BoolArray) -> BoolArray:
        """Return which nodes have this left, shape (nodes,)."""
        found: BoolArray = allowed & (self.away == 0) & (self.cores >= need.cpu) & (self.memory >= need.memory)
        if need.whole or need.share:
            beside = (self.most >= need.share) if need.share else True
            found &= self.whole >= need.whole + np.where(beside, 0, 1)
        return found

    def whole_nodes(self, asked: Asked) -> IntArray:
        """Return the nodes that a gang may take as a whole, ascending."""
        full = asked.full
        found = asked.allowed & (self.away == 0) & (self.cores >= full.cpu) & (self.memory >= full.memory)
        if full.whole:
            found &= (self.all_gpus == full.whole) & (self.whole == full.whole)
        else:
            found &= self.all_cores == full.cpu
        return np.flatnonzero(found)

    def holds(self, asked: Asked, pieces: list[Piece]) -> bool:
        """Tell whether a task could start as these pieces: those of which it takes a node as a whole come first."""
        full, last = pieces[: asked.full_count], pieces[asked.full_count :]
        if full and not np.isin([piece.node for piece in full], self.whole_nodes(asked)).all():
            return False
        return all(bool(self.fitting(piece.need, asked.allowed)[piece.node]) for piece in last)

    def find(self, asked: Asked, rule: int = FIRST_FIT) -> list[Piece] | None:
        """Return the pieces that a task takes, None where it does not fit; the node of the last goes by `rule`."""
        pieces: list[Piece] = []
        allowed = asked.allowed
        if asked.full_count:
            nodes = self.whole_nodes(asked)[: asked.full_count]
            if len(nodes) < asked.full_count:
                return None
            pieces = [Piece(node, asked.full) for node in nodes.tolist()]
            allowed = allowed.copy()
            allowed[nodes] = False
        if asked.pieces == asked.full_count:
            return pieces
        fits = np.flatnonzero(self.fitting(asked.last, allowed))
        if not len(fits):
            return None
        node = self._chosen(fits, asked.last, rule)
        return [*pieces, Piece(node, asked.last, self._device(node, asked.last.share))]

    def fitting_each(self, asked: Asked) -> list[list[Piece]]:
        """Return every choice of pieces of a task on one node."""
        fits = np.flatnonzero(self.fitting(asked.last, asked.allowed)).tolist()
        return [[Piece(node, asked.last, self._device(node, asked.last.share))] for node in fits]

    def _chosen(self, fits: IntArray, need: Need, rule: int) -> int:
        if rule == FIRST_FIT:
            return int(fits[0])
        if rule == WEIGHTED_FIT:
            left = self.cores[fits] * self._most_gpus + self.devices[fits] * self._most_cores
            return int(fits[np.argmin(left)])
        # Here rather than above: most of what looks at instants plays nothing, and would wait for the kernels.
        from scheduler_sim.engine.kernels.cluster.state import MOST_LEVELS

        on_gpu = need.whole > 0 or need.share > 0
        left = self.devices[fits] // MILLI if on_gpu else np.minimum(self.cores[fits] // MILLI, MOST_LEVELS - 1)
        return int(fits[np.argmax(left) if rule == WORST_FIT else np.argmin(left)])

    def _device(self, node: int, share: int) -> int:
        """Return the GPU that a part is taken of: the fullest that has room, else one that nobody holds."""
        if not share:
            return -1
        fitting = [(left, device) for device, left in self.shared.get(node, {}).items() if left >= share]
        if fitting:
            return min(fitting)[1]
        # Which of those that nobody holds it is does not matter: a number that no device has stands for it.
        self._fresh -= 1
        return self._fresh

    def lacks(self, asked: Asked) -> tuple[str, ...]:
        """Return what a task that does not fit finds too little of, see `Decision`."""
        allowed = asked.allowed & (self.away == 0)
        if asked.full_count:
            return ("nodes",)
        need, found = asked.last, []
        if not (self.cores[allowed] >= need.cpu).any():
            found.append("cores")
        gpus = Need(0, 0, need.whole, need.share)
        if (need.whole or need.share) and not self.fitting(gpus, allowed).any():
            found.append("gpus")
        if not (self.memory[allowed] >= need.memory).any():
            found.append("memory")
        return tuple(found) or ("together",)
