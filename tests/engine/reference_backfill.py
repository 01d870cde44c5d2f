"""What may start before a task that waits: none, list, easy and conservative in the slow simulator."""

import copy
from collections.abc import Callable
from math import inf

from scheduler_sim.engine import Simulation
from scheduler_sim.engine.codes import FIRST_FIT
from tests.engine.reference_orders import Orders
from tests.engine.reference_tasks import Held, Node, Piece

Change = tuple[float, bool, Callable[[list[Node]], None]]
"""When nodes change, whether they are given something back, and what changes."""


def give(part: str, nodes: list[Node], held: list[Held]) -> None:
    """Give back to the nodes what the end of a part of a task frees: `cpu`, `gpu`, or `end` for all that is left."""
    for piece in held:
        node = nodes[piece.node]
        if part in ("cpu", "end"):
            node.cpu += piece.cpu
            piece.cpu = 0
        if part in ("gpu", "end"):
            node.take(0, 0, piece.parts, sign=-1)
            piece.parts = {}
        if part == "end":
            node.memory += piece.memory
            piece.memory = 0


class Backfilling(Orders):
    """What is started at one instant."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.backfill = simulation.policy.backfill.name
        depth = simulation.options.conservative_depth
        self.depth = len(self.w) if depth is None else depth
        self.reserved: dict[int, tuple[float, tuple[float, float], list[Piece]]] = {}
        self.overran = False
        self.outages: list[tuple[float, int, int]] = []

    def act_unplanned(self, now: float) -> None:
        """Start what has its fraction settled before."""
        self.plans = {}
        head, shadow, later = None, inf, self.nodes
        waiting = iter(self.in_order(now))
        while (row := next(waiting, None)) is not None:
            pieces = self.find(row, self.fixed[row], self.nodes)
            if pieces is None:
                if self.backfill == "none":
                    return
                if self.backfill == "easy" and head is None:
                    head, (shadow, later) = row, self.find_shadow(row, now)
                    if self.scores.backfill is not None:
                        waiting = iter(self.backfilling_order(head, now))
                continue
            if head is not None and shadow < inf:
                trial = copy.deepcopy(later)
                cpu, gpu = self.lengths(row, self.estimate[row], self.fixed[row], pieces)
                for number, c, m, parts in pieces:
                    trial[number].take(
                        c if now + cpu > shadow else 0,
                        m if now + max(cpu, gpu) > shadow else 0,
                        parts if now + gpu > shadow else {},
                    )
                if not self.could_start(head, trial):
                    continue
                later = trial
            if self.waits_for_power(row, pieces):
                return
            self.begin(row, self.fixed[row], pieces, now)
            self.note_start(row)

    def act_planned(self, now: float) -> None:
        """Start what chooses its fraction by the expected finish."""
        self.plans = {}
        waiting = False
        for row in self.in_order(now):
            if not self.is_planned(row):
                pieces = self.find(row, self.fixed[row], self.nodes)
                if pieces is not None:
                    if self.waits_for_power(row, pieces):
                        return
                    self.begin(row, self.fixed[row], pieces, now)
                    self.note_start(row)
                    continue
            else:
                best = min(self.options(row, now), key=lambda option: option[:3], default=None)
                if best is not None:
                    cpu, gpus, memory = best.needs
                    free_now = all(plan[0][1] >= need for plan, need in zip(best.plans, best.needs, strict=True))
                    if best.begin == now and free_now:
                        free = self.nodes[best.node].whole()[:gpus]
                        pieces = [Piece(best.node, cpu, memory, dict.fromkeys(free, 1000))]
                        if self.waits_for_power(row, pieces):
                            return
                        self.begin(row, best.fraction, pieces, now)
                        self.note_start(row)
                        continue
                    if self.backfill != "none" and not (self.backfill == "easy" and waiting):
                        self.book(row, best)
            if self.backfill == "none":
                return
            waiting = True

    def could_start(self, row: int, nodes: list[Node]) -> bool:
        rule, self.rule = self.rule, FIRST_FIT
        found = self.find(row, self.fixed[row], nodes)
        self.rule = rule
        return found is not None

    def find_shadow(self, head: int, now: float) -> tuple[float, list[Node]]:
        """Return when a task that waits could start, and what is left of the nodes then."""
        nodes, held = copy.deepcopy(self.nodes), copy.deepcopy(self.held)
        ends: list[tuple[float, int, str]] = []
        for row, (cpu, gpu, end) in ((row, self.ends[row]) for row in held):
            ends += [(max(cpu, now), row, "cpu"), (max(gpu, now), row, "gpu"), (max(end, now), row, "end")]
        for time in sorted({time for time, *_ in self.outages} | {time for time, *_ in ends}):
            for when, number, sign in self.outages:
                if when == time:
                    nodes[number].away += sign
            for when, row, part in ends:
                if when == time:
                    give(part, nodes, held[row])
            if self.could_start(head, nodes):
                return time, nodes
        return inf, nodes

    # Conservative: every queued task holds pieces of nodes from some time on.

    def act_conservative(self, now: float) -> None:
        walk = self.settled_order(now)[: self.depth]
        self.reserved = {row: kept for row, kept in self.reserved.items() if row in walk}
        missed = any(time < now for time, *_ in self.reserved.values())
        self.overran = any(self.ends[row][2] <= now for row in self.held)
        if missed or self.overran:
            again = [row for row in walk if row in self.reserved]
            self.reserved = {}
            for row in again:
                self.reserve(row, now, inf)
        else:
            for row in walk:
                if row in self.reserved:
                    self.reserve(row, now, self.reserved[row][0])
        while True:
            for row in walk:
                if row not in self.reserved:
                    self.reserve(row, now, inf)
            due = [row for row in walk if self.reserved[row][0] == now]
            started = False
            for row in due:
                pieces = self.reserved[row][2]
                if self.really_free(pieces):
                    if self.waits_for_power(row, pieces):
                        return
                    del self.reserved[row]
                    self.begin(row, self.fixed[row], pieces, now)
                    started = True
            if not started or self.depth >= len(self.w):
                return
            walk = self.settled_order(now)[: self.depth]
            if all(row in self.reserved for row in walk):
                return

    def really_free(self, pieces: list[Piece]) -> bool:
        return all(
            not self.nodes[number].away
            and self.nodes[number].cpu >= cpu
            and self.nodes[number].memory >= mem
            and all(self.nodes[number].devices[device] >= amount for device, amount in parts.items())
            for number, cpu, mem, parts in pieces
        )

    def reserve(self, row: int, now: float, latest: float) -> None:
        """Hold the first pieces that stay free through the task's length, not later than `latest`."""
        length = self.longest(row, self.estimate[row], self.fixed[row])
        changes = self.planned_changes(row, now)
        for begin in sorted({now, *(time for time, gives, _ in changes if gives and time > now)}):
            if begin > latest:
                return
            least = self.state_after(changes, begin)
            later = sorted({time for time, *_ in changes if begin < time < begin + length})
            for time in later:
                for node, other in zip(least, self.state_after(changes, time), strict=True):
                    node.cpu, node.memory = min(node.cpu, other.cpu), min(node.memory, other.memory)
                    node.away = max(node.away, other.away)
                    node.devices = [min(pair) for pair in zip(node.devices, other.devices, strict=True)]
            pieces = self.find(row, self.fixed[row], least)
            if pieces is not None:
                self.reserved[row] = (begin, self.lengths(row, self.estimate[row], self.fixed[row], pieces), pieces)
                return
        if latest == inf:
            self.reserved[row] = (inf, (0.0, 0.0), [])

    def planned_changes(self, row: int, now: float) -> list[Change]:
        """Return the changes by what runs, by others' reservations and by outages."""
        changes: list[Change] = []

        def change(time: float, pieces: list[Piece] | list[Held], part: int, sign: int) -> None:
            def apply(nodes: list[Node]) -> None:
                for piece in pieces:
                    nodes[piece.node].take(
                        piece.cpu if part == 0 else 0,
                        piece.memory if part == 2 else 0,
                        piece.parts if part == 1 else {},
                        sign=sign,
                    )

            changes.append((time, sign < 0, apply))

        for other, held in self.held.items():
            cpu, gpu, end = (max(time, now) for time in self.ends[other])
            for part, time in enumerate((cpu, gpu, end)):
                change(time, held, part, -1)
        for other, (begin, (cpu, gpu), pieces) in self.reserved.items():
            if other != row and begin < inf:
                for part, length in enumerate((cpu, gpu, max(cpu, gpu))):
                    if length > 0:
                        change(begin, pieces, part, 1)
                        change(begin + length, pieces, part, -1)
        for time, number, sign in self.outages:

            def away(nodes: list[Node], number: int = number, sign: int = sign) -> None:
                nodes[number].away += sign

            changes.append((time, True, away))
        return changes

    def state_after(self, changes: list[Change], last: float) -> list[Node]:
        """Return the nodes after the changes up to `last`."""
        nodes = copy.deepcopy(self.nodes)
        for time, _, apply in changes:
            if time <= last:
                apply(nodes)
        return nodes
