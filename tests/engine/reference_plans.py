"""Plans of eft, oracle and hybrid_ml in the slow simulator: lists of (time, amount) that are rebuilt.

The first entry of a list is what is free now.
"""

from functools import cache
from math import inf

import numpy as np

from scheduler_sim.engine.codes import EARLIEST_FINISH, ORACLE, PREDICTED
from scheduler_sim.engine.predictors.hybrid import shipped_model
from scheduler_sim.engine.predictors.regression import load

model = cache(lambda: load(shipped_model()))


def predicted_fraction(workload, row):
    """Return the GPU fraction that the shipped model predicts for one task."""
    size, intensity, memory = (
        float(column[row]) for column in (workload.expected_size, workload.compute_intensity, workload.memory_mb)
    )
    features = [size, intensity, memory, memory / size if size else 0.0, intensity / memory if memory else 0.0]
    return min(max(float(model()(np.array([features]))[0]), 0.0), 1.0)


class Plans:
    """Policies that choose the fraction by the expected finish."""

    def plan_of(self, node, now):
        if node.number not in self.plans:
            cores, gpus, memory = [[now, node.cpu]], [[now, len(node.whole())]], [[now, node.memory]]
            latest = {}
            for row, held in self.held.items():
                cpu_end, gpu_end, end = (max(time, now) for time in self.ends[row])
                for number, cpu, mem, parts in held:
                    if number == node.number:
                        cores.append([cpu_end, cpu])
                        memory.append([end, mem])
                        gpus += [[gpu_end, 1] for amount in parts.values() if amount == 1000]
                        for device, amount in parts.items():
                            if amount < 1000:
                                latest[device] = max(latest.get(device, now), gpu_end)
            gpus += [[time, 1] for time in latest.values()]
            lists = (cores, gpus, memory)
            self.plans[node.number] = [items[:1] + sorted(items[1:]) for items in lists]
        return self.plans[node.number]

    @staticmethod
    def available(items, need):
        total = 0
        if need == 0:
            return -inf
        for time, amount in items:
            total += amount
            if total >= need:
                return time
        return inf

    def is_planned(self, row):
        return self.full_count(row) == 0 and self.gpu[row] % 1000 == 0

    def options(self, row, now):
        """Yield (finish, fraction, node number, start, lists, needs) of every option of a task."""
        hybrid = self.w.hybrid[row]
        possible = self.sides_possible(row) if hybrid else None
        for node in self.nodes:
            if node.away:
                continue
            lists = self.plan_of(node, now)
            fractions = [self.fixed[row]]
            if hybrid and self.planned == EARLIEST_FINISH:
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
                if hybrid and not all(
                    ok for ok, used in zip(possible, (on_cpu, on_gpu, on_cpu and on_gpu), strict=True) if used
                ):
                    continue
                if not self.allowed(row, node, on_gpu):
                    continue
                needs = (self.cpu[row] if on_cpu else 0, self.gpu[row] // 1000 if on_gpu else 0, self.mem[row])
                begin = max(now, *(self.available(items, need) for items, need in zip(lists, needs, strict=True)))
                if begin < inf:
                    finish = begin + max(self.sides(row, self.estimate[row], f, node.group))
                    yield finish, f, node.number, begin, lists, needs

    def completion(self, row, now):
        if not self.is_planned(row):
            pieces = self.find(row, self.fixed[row], self.nodes)
            if pieces is None:
                return inf, inf
            return now + max(self.lengths(row, self.estimate[row], self.fixed[row], pieces)), inf
        best = {}
        for finish, f, number, *_ in self.options(row, now):
            uses_gpu = f > 0 if self.w.hybrid[row] else self.gpu[row] > 0
            best[number, uses_gpu] = min(best.get((number, uses_gpu), inf), finish)
        first, second = [*sorted(best.values()), inf, inf][:2]
        return first, second

    def note_start(self, row):
        cpu_end, gpu_end, end = self.ends[row]
        for number, cpu, mem, parts in self.held[row]:
            if number in self.plans:
                devices = sum(self.nodes[number].devices[d] == 1000 - amount for d, amount in parts.items())
                for items, need, time in zip(
                    self.plans[number], (cpu, devices, mem), (cpu_end, gpu_end, end), strict=True
                ):
                    items[0][1] = max(items[0][1] - need, 0)
                    if need:
                        items[1:] = sorted([*items[1:], [time, need]])

    def book(self, row, f, node, begin, lists, needs):
        cpu, gpu = self.sides(row, self.estimate[row], f, self.nodes[node].group)
        for items, need, length in zip(lists, needs, (cpu, gpu, max(cpu, gpu)), strict=True):
            left = need
            for entry in reversed(items[1:]):
                if entry[0] <= begin:
                    taken = min(left, entry[1])
                    entry[1] -= taken
                    left -= taken
            items[0][1] = max(items[0][1] - left, 0)
            if need:
                items[1:] = sorted([entry for entry in [*items[1:], [begin + length, need]] if entry[1] > 0])

    def act_planned(self, now):
        self.plans = {}
        waiting = False
        for row in self.in_order(now):
            if not self.is_planned(row):
                pieces = self.find(row, self.fixed[row], self.nodes)
                if pieces is not None:
                    self.begin(row, self.fixed[row], pieces, now)
                    self.note_start(row)
                    continue
            else:
                best = min(self.options(row, now), key=lambda option: option[:3], default=None)
                if best is not None:
                    _, f, number, begin, lists, needs = best
                    if begin == now and all(items[0][1] >= need for items, need in zip(lists, needs, strict=True)):
                        free = self.nodes[number].whole()[: needs[1]]
                        self.begin(row, f, [(number, needs[0], needs[2], dict.fromkeys(free, 1000))], now)
                        self.note_start(row)
                        continue
                    if self.backfill != "none" and not (self.backfill == "easy" and waiting):
                        self.book(row, f, number, begin, lists, needs)
            if self.backfill == "none":
                return
            waiting = True
