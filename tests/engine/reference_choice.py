"""Which nodes and devices a start of the slow simulator takes: every node is looked at."""

import copy
import math
from fractions import Fraction

from scheduler_sim.engine.codes import BEST_FIT, FGD, FIRST_FIT, RANDOM_NODE, WEIGHTED_FIT, WORST_FIT


class Choice:
    """The choice of nodes and devices."""

    def find(self, row, f, nodes):
        """Return the pieces (node number, cpu, memory, {device: thousandths}) of a start, or None."""
        found, used, last = [], set(), -1
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
                found.append((last, cpu, mem, dict.fromkeys(fit[0].whole(), 1000) if gpu else {}))
                continue
            fit = [n for n in nodes if n.number not in used and self.allowed(row, n, gpu) and n.fits(cpu, gpu, mem)]
            if not fit:
                return None
            node = self.choose(row, fit, cpu, gpu)
            found.append((node.number, cpu, mem, self.devices_of(node, cpu, gpu)))
        return found

    def choose(self, row, fit, cpu, gpu):
        def room(n):
            return sum(n.devices) // 1000 if gpu else min(n.cpu // 1000, 1023)

        if self.rule == FIRST_FIT:
            return fit[0]
        if self.rule == BEST_FIT:
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
        if self.rule == RANDOM_NODE:
            return fit[min(int(self.choices.draw[row] * len(fit)), len(fit) - 1)]
        return max(fit, key=lambda n: (self.best_gain(n, cpu, gpu)[0], -n.number))

    def devices_of(self, node, cpu, gpu):
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

    def make_classes(self):
        counts = {}
        for row in range(len(self.w)):
            f = self.fixed[row]
            cpu = 0 if self.w.hybrid[row] and f == 1 else self.cpu[row]
            gpu = 0 if self.w.hybrid[row] and f == 0 else self.gpu[row]
            key = (cpu, gpu, self.w.gpu_type.codes[row] if gpu else -1, self.mem[row])
            count, _ = counts.get(key, (0, row))
            counts[key] = (count + 1, row)
        return [(count, key[0], key[1], row) for key, (count, row) in counts.items()]

    def loss(self, node):
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

    def worth(self, gain):
        return math.floor(100 / (1 + math.exp(-gain / (1000 * len(self.w))))) if self.in_percent else gain

    def best_gain(self, node, cpu, gpu):
        whole = node.whole()[: gpu // 1000]
        options = [None]
        if gpu % 1000:
            options = [d for d, left in enumerate(node.devices) if d not in whole and left >= gpu % 1000]
        best = None
        for device in options:
            trial = copy.deepcopy(node)
            parts = dict.fromkeys(whole, 1000)
            if device is not None:
                parts[device] = gpu % 1000
            trial.take(cpu, 0, parts)
            gain = self.worth(self.loss(node) - self.loss(trial))
            if best is None or gain > best[0]:
                best = (gain, device)
        return best
