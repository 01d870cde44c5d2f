"""Which nodes and devices a start of the slow simulator takes: every node is looked at."""

import copy
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from math import exp, floor, inf, isnan, log, log1p, nan

import numpy as np

from scheduler_sim.engine import Simulation
from scheduler_sim.engine.codes import (
    BEST_FIT,
    COMPACT,
    FGD,
    FIRST_FIT,
    LEARNED_NODE,
    RANDOM_NODE,
    WEIGHTED_FIT,
    WORST_FIT,
)
from tests.engine.gang_cases import Span, span
from tests.engine.reference_tasks import Held, Node, Piece, Tasks, at_step


def weighed(weights: list[float], x: list[float], z: list[float]) -> float:
    """Return the score of a learned choice."""
    rows = [weights[i * len(z) : (i + 1) * len(z)] for i in range(len(x))]
    return sum(sum(a * b for a, b in zip(row, z, strict=True)) * one for row, one in zip(rows, x, strict=True))


class Choice(Tasks):
    """The choice of nodes and devices, and what a start does with them."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        n = len(self.w)
        placement = simulation.policy.placement
        self.rule, self.in_turn = placement.code, placement.in_turn
        self.in_percent = self.rule == FGD and placement.value("gain") == "percent"
        self.turn = [0] * len(self.nodes)
        self.now = -inf
        self.is_capped = False
        signals = simulation.signals if simulation.options.hold_cap else None
        self.cap = None if signals is None else signals.get("power_cap")
        for node in self.nodes:
            node.idle_since = float(self.w.arrival_time[0]) if len(self.w) else 0.0
        self.queue: list[int] = []
        self.ready: list[float] = self.w.arrival_time.tolist()
        self.start, self.fraction = [nan] * n, [nan] * n
        self.device = [-1] * n
        self.crossed = [0] * n
        self.held: dict[int, list[Held]] = {}
        self.gangs: list[Span] = []
        self.woken: list[tuple[int, float, float, float]] = []
        self.ends: dict[int, tuple[float, float, float]] = {}
        self.events: list[tuple[float, int, str]] = []

    def tell(self, row: int, begun: float, now: float) -> None:
        """Note what a task on several nodes, which is about to end, has held of each."""
        if len(self.held[row]) > 1:
            held = [(piece.node, piece.cpu, piece.parts) for piece in self.held[row]]
            self.gangs.append(span(row, begun, now, held))

    def power_left(self) -> float:
        """Return what the cap allows beyond idle devices now, in millionths of a watt."""
        if self.cap is None or isnan(allowed := float(self.cap.at(np.array([self.now]))[0])):
            return inf
        return floor(allowed * 1_000_000 + 0.5) - round(1_000_000 * sum(n.group.node_idle_watts for n in self.nodes))

    def waits_for_power(self, row: int, pieces: list[Piece]) -> bool:
        """Tell whether a start would draw more than the cap allows; else note the step of frequency that it takes."""
        if (left := self.power_left()) == inf:
            return False
        drawn = sum(self.drawn_by(held, self.step[other]) for other, held in self.held.items())
        for step in range(max(max(len(one.frequencies) - one.frequency, 0) for one in self.sim.cluster.groups) + 1):
            self.is_capped = drawn + self.drawn_by(pieces, step) > left
            if not self.is_capped:
                self.step[row] = step
                break
        return self.is_capped

    def drawn_by(self, pieces: Sequence[Piece | Held], step: int) -> int:
        """Return the millionths of a watt that pieces draw more than idle."""
        drawn = 0
        for piece in pieces:
            group = at_step(self.nodes[piece.node].group, step)
            drawn += piece.cpu * round(1000 * (group.cpu_busy_watts - group.cpu_idle_watts))
            drawn += sum(piece.parts.values()) * round(1000 * (group.gpu_busy_watts - group.gpu_idle_watts))
        return drawn

    def awake(self, pieces: list[Piece], now: float) -> float:
        """Wake what sleeps of the nodes of a start, and return when all are awake."""
        for node in (self.nodes[piece.node] for piece in pieces):
            sleep = node.group.sleep
            if sleep is not None and node.sleeps(now):
                node.awake_at = now + sleep.resume_time
                self.woken.append((node.number, node.idle_since + sleep.suspend_time, now, node.awake_at))
            node.tasks += 1
        return max([now, *(self.nodes[piece.node].awake_at for piece in pieces)])

    def begin(self, row: int, f: float, pieces: list[Piece], now: float) -> None:
        self.queue.remove(row)
        now = self.awake(pieces, now)
        cpu, gpu = self.lengths(row, self.runtime[row], f, pieces)
        cpu_hope, gpu_hope = self.lengths(row, self.estimate[row], f, pieces)
        self.start[row], self.fraction[row] = now, f
        self.ends[row] = (now + cpu_hope, now + gpu_hope, now + max(cpu_hope, gpu_hope))
        self.held[row] = [Held(number, c, m, dict(parts)) for number, c, m, parts in pieces]
        for number, c, m, parts in pieces:
            self.nodes[number].take(c, m, parts)
            if self.in_turn and parts:
                turn = self.turn[number]
                last = max(parts, key=lambda d: (d < turn, d))
                self.turn[number] = (last + 1) % len(self.nodes[number].devices)
        self.node[row], devices = min((piece.node, sorted(piece.parts)) for piece in pieces)
        self.device[row] = devices[0] if devices else -1
        self.crossed[row] = self.levels_crossed([piece.node for piece in pieces])
        if self.w.hybrid[row] and 0 < f < 1 and cpu != gpu:
            self.events.append((now + min(cpu, gpu), row, "cpu" if cpu < gpu else "gpu"))
        self.events.append((now + max(cpu, gpu), row, "end"))

    def find(self, row: int, f: float, nodes: list[Node], *, now: bool = False) -> list[Piece] | None:
        """Return the pieces of a start, or None; of one that is to happen now nodes that are awake come first."""
        if self.rule == COMPACT and self.racks and self.full_count(row):
            return self.find_compact(row, f, nodes)
        found: list[Piece] = []
        used: set[int] = set()
        last = -1
        for cpu, gpu, mem, whole in self.pieces_needed(row, f):
            if whole:
                fit = [
                    n
                    for n in nodes
                    if n.number > last
                    and not n.away
                    and n.cpu >= cpu
                    and n.memory >= mem
                    and (
                        self.allowed_type(row, n) and len(n.devices) * 1000 == gpu and len(n.whole()) * 1000 == gpu
                        if gpu
                        else n.all_cpu == cpu
                    )
                ]
                if not fit:
                    return None
                last = fit[0].number
                used.add(last)
                found.append(Piece(last, cpu, mem, dict.fromkeys(fit[0].whole(), 1000) if gpu else {}))
                continue
            fit = [n for n in nodes if n.number not in used and self.allowed(row, n, gpu) and n.fits(cpu, gpu, mem)]
            if not fit:
                return None
            if (now or nodes is self.nodes) and not used:
                fit = [n for n in fit if not n.sleeps(self.now)] or fit
            node = self.choose(row, fit, cpu, gpu)
            found.append(Piece(node.number, cpu, mem, self.devices_of(node, cpu, gpu)))
        return found

    def find_compact(self, row: int, f: float, nodes: list[Node]) -> list[Piece] | None:
        """Return the pieces of a gang in as few racks as can be, or None."""
        *full, last = self.pieces_needed(row, f)
        if last.whole:
            full.append(last)

        def whole_of(part: list[Node]) -> list[Node]:
            cpu, gpu, mem, _ = full[0]
            return [
                n
                for n in part
                if not n.away and n.cpu >= cpu and n.memory >= mem
                if (
                    self.allowed_type(row, n) and len(n.devices) * 1000 == gpu and len(n.whole()) * 1000 == gpu
                    if gpu
                    else n.all_cpu == cpu
                )
            ]

        def for_last(part: list[Node], taken: list[Node]) -> list[Node]:
            return [
                n
                for n in part
                if n not in taken and self.allowed(row, n, last.gpu) and n.fits(last.cpu, last.gpu, last.memory)
            ]

        def parts(part: list[Node], level: int) -> list[list[Node]]:
            return [
                [n for n in part if self.racks[level][n.number] == k]
                for k in sorted({self.racks[level][n.number] for n in part})
            ]

        def take(part: list[Node], level: int, wanted: int) -> list[Node]:
            """Take whole nodes out of the switches of a level in `part`."""
            if level < 0:
                return whole_of(part)[:wanted]
            found: list[Node] = []
            left = parts(part, level)
            while len(found) < wanted:
                missing = wanted - len(found)
                enough = [p for p in left if len(whole_of(p)) >= missing]
                chosen = (
                    min(enough, key=lambda p: len(whole_of(p))) if enough else max(left, key=lambda p: len(whole_of(p)))
                )
                left.remove(chosen)
                found += take(chosen, level - 1, min(missing, len(whole_of(chosen))))
            return sorted(found, key=lambda n: n.number)

        def holds(part: list[Node]) -> bool:
            whole = whole_of(part)
            return len(whole) >= len(full) and (last.whole or bool(for_last(part, whole[: len(full)])))

        for level in range(len(self.racks) + 1):
            switches = parts(nodes, level) if level < len(self.racks) else [nodes]
            able = [part for part in switches if holds(part)]
            if able:
                break
        else:
            return None
        switch = min(able, key=lambda part: len(whole_of(part)))
        taken = take(switch, level - 1, len(full))
        found = [
            Piece(n.number, full[0].cpu, full[0].memory, dict.fromkeys(n.whole(), 1000) if full[0].gpu else {})
            for n in taken
        ]
        if not last.whole:
            used = {self.racks[0][n.number] for n in taken}
            near = for_last([n for n in switch if self.racks[0][n.number] in used], taken)
            node = self.choose(row, near or for_last(switch, taken), last.cpu, last.gpu)
            found.append(Piece(node.number, last.cpu, last.memory, self.devices_of(node, last.cpu, last.gpu)))
        return found

    def choose(self, row: int, fit: list[Node], cpu: int, gpu: int) -> Node:
        def room(n: Node) -> int:
            return sum(n.devices) // 1000 if gpu else min(n.cpu // 1000, 1023)

        if self.rule == FIRST_FIT:
            return fit[0]
        if self.rule in (BEST_FIT, COMPACT):
            return min(fit, key=lambda n: (room(n), n.number))
        if self.rule == WEIGHTED_FIT:
            most_cpu, most_gpus = (
                max(g.cores for g in self.sim.cluster.groups),
                max(g.gpus for g in self.sim.cluster.groups),
            )
            left = {n: Fraction(n.cpu, most_cpu or 1) + Fraction(sum(n.devices), most_gpus or 1) for n in fit}
            return min(fit, key=lambda n: (left[n], n.number))
        if self.rule == WORST_FIT:
            return min(fit, key=lambda n: (-room(n), n.number))
        if self.rule == LEARNED_NODE:
            return min(fit, key=lambda n: (self.learned(self.node_seen(row, n, cpu, gpu, room(n))), n.number))
        if self.rule == RANDOM_NODE:
            assert self.choices.draw is not None
            return fit[min(int(self.choices.draw[row] * len(fit)), len(fit) - 1)]
        return max(fit, key=lambda n: (self.best_gain(n, cpu, gpu)[0], -n.number))

    def node_seen(self, row: int, n: Node, cpu: int, gpu: int, room: int) -> tuple[list[float], list[float]]:
        """Return what a learned choice sees of a node, and of the task."""
        most_cores, most_gpus = (max(max(one) // 1000, 1) for one in zip(*self.sizes, strict=True))
        left = sum(n.devices) - gpu if gpu else n.cpu - cpu
        pace = self.pace(row, n.group)
        if self.w.hybrid[row]:
            pace = n.group.gpu_speed if gpu else n.group.cpu_speed
        x = [
            room / (most_gpus if gpu else most_cores),
            n.cpu / (most_cores * 1000),
            sum(n.devices) / (most_gpus * 1000),
            float(bool(gpu % 1000 and n.parted(gpu % 1000))),
            float(n.cpu == n.all_cpu and all(left == 1000 for left in n.devices)),
            len(n.devices) / most_gpus,
            float(left == 0),
            log(pace),
        ]
        return x, [1.0, float(gpu > 0), float(gpu % 1000 > 0), log1p(self.estimate[row]) / 5]

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        return [(n.all_cpu, len(n.devices) * 1000) for n in self.nodes]

    def learned(self, seen: tuple[list[float], list[float]]) -> float:
        """Return the sum of A[i, j] * x[i] * z[j], as `policies/choice_scoring.py` defines it."""
        weights = self.choices.weights
        assert weights is not None
        return weighed(weights.tolist(), *seen)

    def devices_of(self, node: Node, cpu: int, gpu: int) -> dict[int, int]:
        free = node.whole()
        turn = self.turn[node.number]
        if self.in_turn:
            free = [d for d in free if d >= turn] + [d for d in free if d < turn]
        parts = dict.fromkeys(free[: gpu // 1000], 1000)
        if gpu % 1000:
            if self.rule == FGD:
                device = self.best_gain(node, cpu, gpu)[1]
            elif node.parted(gpu % 1000):
                device = min(node.parted(gpu % 1000), key=lambda d: (node.devices[d], d))
            else:
                device = free[gpu // 1000]
            parts[device] = gpu % 1000
        return parts

    @cached_property
    def classes(self) -> list[tuple[int, int, int, int]]:
        """Return (how many, cpu, gpu, one of them) of the tasks that need the same."""
        counts: dict[tuple[int, int, tuple[int, ...], int], tuple[int, int]] = {}
        for row in range(len(self.w)):
            f = self.fixed[row]
            cpu = 0 if self.w.hybrid[row] and f == 1 else self.cpu[row]
            gpu = 0 if self.w.hybrid[row] and f == 0 else self.gpu[row]
            admits = tuple(n.number for n in self.nodes if self.allowed_type(row, n)) if gpu else ()
            key = (cpu, gpu, admits, self.mem[row])
            count, _ = counts.get(key, (0, row))
            counts[key] = (count + 1, row)
        return [(count, key[0], key[1], row) for key, (count, row) in counts.items()]

    def loss(self, node: Node) -> int:
        total = 0
        for count, cpu, gpu, row in self.classes:
            need = max(gpu // 1000, 1)
            usable = len([d for d in node.devices if d >= (1000 if gpu >= 1000 else gpu % 1000)])
            if gpu == 0:
                usable = len([d for d in node.devices if d > 0])
            typed = not gpu or self.allowed_type(row, node)
            if gpu == 0:
                lost = sum(node.devices) if node.cpu < cpu or self.in_percent else 0
            elif usable < need or node.cpu < cpu or not typed:
                lost = sum(node.devices)
            elif gpu >= 1000:
                lost = sum(d for d in node.devices if d < 1000)
            else:
                lost = sum(d for d in node.devices if d < gpu)
            total += count * lost
        return total

    def worth(self, gain: int) -> int:
        return floor(100 / (1 + exp(-gain / (1000 * len(self.w))))) if self.in_percent else gain

    def best_gain(self, node: Node, cpu: int, gpu: int) -> tuple[int, int]:
        """Return the most that a start gains, and the device whose part it takes for that, -1 for none."""
        whole = node.whole()[: gpu // 1000]
        options = [-1]
        if gpu % 1000:
            options = [d for d, left in enumerate(node.devices) if d not in whole and left >= gpu % 1000]
        best = None
        for device in options:
            trial = copy.deepcopy(node)
            parts = dict.fromkeys(whole, 1000)
            if device >= 0:
                parts[device] = gpu % 1000
            trial.take(cpu, 0, parts)
            gain = self.worth(self.loss(node) - self.loss(trial))
            if best is None or gain > best[0]:
                best = (gain, device)
        assert best is not None, "the node does not fit the task"
        return best
