"""Plans of eft, oracle and hybrid_ml in the slow simulator: lists of (time, amount) that are rebuilt.

The first entry of a list is what is free now.
"""

from collections.abc import Iterator
from functools import cache
from math import inf, log1p
from typing import NamedTuple

import numpy as np

from scheduler_sim.engine import Simulation, Workload
from scheduler_sim.engine.codes import EARLIEST_FINISH, LEARNED_SPLIT, ORACLE, PREDICTED
from scheduler_sim.engine.predictors.hybrid import shipped_model
from scheduler_sim.engine.predictors.regression import Predict, load
from tests.engine.reference_choice import Choice
from tests.engine.reference_tasks import Node

Plan = list[list[float]]
"""Of one resource of a node: [time, amount] of what is free at first and of what comes free later."""


class Option(NamedTuple):
    """One way to run a task: how good it is, lowest best, with which fraction and where, and what it needs of plans."""

    value: float
    fraction: float
    node: int
    begin: float
    plans: list[Plan]
    needs: tuple[int, int, int]
    finish: float


@cache
def model() -> Predict:
    return load(shipped_model())


def predicted_fraction(workload: Workload, row: int) -> float:
    """Return the GPU fraction that the shipped model predicts for one task."""
    size, intensity, memory = (
        float(column[row]) for column in (workload.expected_size, workload.compute_intensity, workload.memory_mb)
    )
    features = [size, intensity, memory, memory / size if size else 0.0, intensity / memory if memory else 0.0]
    return min(max(float(model()(np.array([features]))[0]), 0.0), 1.0)


class Plans(Choice):
    """Policies that choose the fraction by the expected finish."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.planned = simulation.policy.placement.planned
        self.plans: dict[int, list[Plan]] = {}
        if self.planned == PREDICTED:
            self.fixed = [self.settle(row, predicted_fraction(self.w, row)) for row in range(len(self.w))]

    def plan_of(self, node: Node, now: float) -> list[Plan]:
        """Return the plans of the cores, the GPUs and the memory of a node."""
        if node.number not in self.plans:
            cores: Plan = [[now, node.cpu]]
            gpus: Plan = [[now, len(node.whole())]]
            memory: Plan = [[now, node.memory]]
            latest: dict[int, float] = {}
            for row, held in self.held.items():
                cpu_end, gpu_end, end = (max(time, now) for time in self.ends[row])
                for piece in held:
                    if piece.node == node.number:
                        cores.append([cpu_end, piece.cpu])
                        memory.append([end, piece.memory])
                        gpus += [[gpu_end, 1] for amount in piece.parts.values() if amount == 1000]
                        for device, amount in piece.parts.items():
                            if amount < 1000:
                                latest[device] = max(latest.get(device, now), gpu_end)
            gpus += [[time, 1] for time in latest.values()]
            lists = (cores, gpus, memory)
            self.plans[node.number] = [items[:1] + sorted(items[1:]) for items in lists]
        return self.plans[node.number]

    @staticmethod
    def available(items: Plan, need: int) -> float:
        """Return when so much is free."""
        total = 0.0
        if need == 0:
            return -inf
        for time, amount in items:
            total += amount
            if total >= need:
                return time
        return inf

    def is_planned(self, row: int) -> bool:
        return self.full_count(row) == 0 and self.gpu[row] % 1000 == 0

    def options(self, row: int, now: float) -> Iterator[Option]:
        """Yield every option of a task."""
        hybrid = self.w.hybrid[row]
        possible = self.sides_possible(row) if hybrid else (True, True, True)
        for node in self.nodes:
            if node.away:
                continue
            lists = self.plan_of(node, now)
            fractions = [self.fixed[row]]
            if hybrid and self.planned in (EARLIEST_FINISH, LEARNED_SPLIT):
                fractions = [k / 10 for k in range(11)]
            elif hybrid and self.planned == PREDICTED:
                fractions = [0.0, self.fixed[row], 1.0]
            elif hybrid and self.planned == ORACLE:
                alone = self.estimate[row] / node.group.cpu_speed
                offloaded = self.sides(row, self.estimate[row], 1.0, node.group)[1]
                exact = alone / (alone + offloaded) if alone + offloaded > 0 else 0.0
                fractions = [0.0, 1.0] if self.sequential else [0.0, exact, 1.0]
            for f in fractions:
                on_cpu, on_gpu = (f < 1, f > 0) if hybrid else (self.cpu[row] > 0, self.gpu[row] > 0)
                if not all(ok for ok, used in zip(possible, (on_cpu, on_gpu, on_cpu and on_gpu), strict=True) if used):
                    continue
                if not self.allowed(row, node, on_gpu):
                    continue
                needs = (self.cpu[row] if on_cpu else 0, self.gpu[row] // 1000 if on_gpu else 0, self.mem[row])
                begin = max(now, *(self.available(items, need) for items, need in zip(lists, needs, strict=True)))
                if begin < inf:
                    late = self.fetched(row, node.number)
                    sides = self.sides(row, self.estimate[row], f, node.group)
                    finish = value = begin + late + max(sides)
                    if self.planned == LEARNED_SPLIT:
                        held = sides[0] * needs[0] / 1000, sides[1] * needs[1]
                        value = self.learned(self.option_seen(begin - now, finish - now, held, f))
                    yield Option(value, f, node.number, begin, lists, needs, finish)

    def option_seen(
        self, begin: float, finish: float, held: tuple[float, float], f: float
    ) -> tuple[list[float], list[float]]:
        """Return what a learned choice sees of an option, and of the moment."""
        x = [log1p(seconds) / 5 for seconds in (finish, begin, *held)]
        cores, gpus = (sum(column) for column in zip(*self.sizes, strict=True))
        free = sum(n.cpu for n in self.nodes), sum(sum(n.devices) for n in self.nodes)
        z = [1.0, log1p(len(self.queue)) / 5, free[0] / cores if cores else 0.0, free[1] / gpus if gpus else 0.0]
        return [*x, f, float(min(held) > 0)], z

    def completion(self, row: int, now: float) -> tuple[float, float]:
        """Return when a task would end at best, and on the next best of nodes and sides."""
        if not self.is_planned(row):
            pieces = self.find(row, self.fixed[row], self.nodes)
            if pieces is None:
                return inf, inf
            return now + max(self.lengths(row, self.estimate[row], self.fixed[row], pieces)), inf
        best: dict[tuple[int, bool], float] = {}
        for option in self.options(row, now):
            where = option.node, option.fraction > 0 if self.w.hybrid[row] else self.gpu[row] > 0
            best[where] = min(best.get(where, inf), option.finish)
        first, second = [*sorted(best.values()), inf, inf][:2]
        return first, second

    def note_start(self, row: int) -> None:
        for piece in self.held[row]:
            if piece.node in self.plans:
                devices = sum(self.nodes[piece.node].devices[d] == 1000 - amount for d, amount in piece.parts.items())
                needs = piece.cpu, devices, piece.memory
                for items, need, time in zip(self.plans[piece.node], needs, self.ends[row], strict=True):
                    items[0][1] = max(items[0][1] - need, 0)
                    if need:
                        items[1:] = sorted([*items[1:], [time, need]])

    def book(self, row: int, option: Option) -> None:
        """Take what a task that waits will need out of the plans."""
        begin = option.begin
        sides = self.sides(row, self.estimate[row], option.fraction, self.nodes[option.node].group)
        cpu, gpu = (side + self.fetched(row, option.node) for side in sides)
        for items, need, length in zip(option.plans, option.needs, (cpu, gpu, max(cpu, gpu)), strict=True):
            left: float = need
            for entry in reversed(items[1:]):
                if entry[0] <= begin:
                    taken = min(left, entry[1])
                    entry[1] -= taken
                    left -= taken
            items[0][1] = max(items[0][1] - left, 0)
            if need:
                items[1:] = sorted([entry for entry in [*items[1:], [begin + length, need]] if entry[1] > 0])
