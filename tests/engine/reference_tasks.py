"""What tasks of the slow simulator need, where they may run and for how long."""

from math import ceil, inf


def units(value, unit):
    return ceil(max(value * unit - 1e-6, 0))


class Node:
    """What one node has left: thousandths of cores, KiB, thousandths of each device."""

    def __init__(self, number, group_number, group):
        self.number, self.group_number, self.group = number, group_number, group
        self.cpu = self.all_cpu = group.cores * 1000
        self.memory = inf if group.memory_mb is None else int(group.memory_mb * 1024)
        self.devices = [1000] * group.gpus
        self.away = 0

    def whole(self):
        return [d for d, left in enumerate(self.devices) if left == 1000]

    def parted(self, share):
        return [d for d, left in enumerate(self.devices) if share <= left < 1000]

    def fits(self, cpu, gpu, memory):
        if self.away or self.cpu < cpu or self.memory < memory:
            return False
        need = gpu // 1000 + (1 if gpu % 1000 and not self.parted(gpu % 1000) else 0)
        return len(self.whole()) >= need

    def take(self, cpu, memory, parts, sign=1):
        self.cpu -= sign * cpu
        self.memory -= sign * memory
        for device, amount in parts.items():
            self.devices[device] -= sign * amount


class Tasks:
    """What a task may use and for how long it holds it."""

    def allowed(self, row, node, gpu):
        group = None if self.choices.group is None else int(self.choices.group[row])
        if group is not None and group >= 0:
            return node.group_number == group
        return not gpu or (node.group.gpus > 0 and (not self.types[row] or node.group.gpu_type in self.types[row]))

    def could_run(self, row, cpu, gpu):
        empty = [Node(n.number, n.group_number, n.group) for n in self.nodes]
        typed = [
            n for n in empty if not gpu or (n.devices and (not self.types[row] or n.group.gpu_type in self.types[row]))
        ]
        return any(n.fits(cpu, gpu, self.mem[row]) for n in typed)

    def sides_possible(self, row):
        cpu, gpu = self.cpu[row], self.gpu[row]
        return (
            cpu > 0 and self.could_run(row, cpu, 0),
            gpu > 0 and self.could_run(row, 0, gpu),
            cpu > 0 and gpu > 0 and self.could_run(row, cpu, gpu),
        )

    def settle(self, row, f):
        if not self.w.hybrid[row]:
            return 1.0 if self.gpu[row] else 0.0
        on_cpu, on_gpu, both = self.sides_possible(row)
        if f > 0 and not on_gpu:
            f = 0.0
        if f < 1 and not on_cpu:
            f = 1.0
        if 0 < f < 1 and not both:
            f = 1.0 if f >= 0.5 else 0.0
        return f

    def is_gang(self, row):
        return (not self.w.hybrid[row] and len(self.pieces_needed(row, 0.0)) > 1) or self.full_count(row) > 0

    def full_count(self, row):
        return sum(1 for piece in self.pieces_needed(row, 0.0) if piece[3]) if not self.w.hybrid[row] else 0

    def pieces_needed(self, row, f):
        """Return (cpu, gpu, memory, takes a whole node) of every piece."""
        cpu, gpu, mem = self.cpu[row], self.gpu[row], self.mem[row]
        if self.w.hybrid[row]:
            return [(cpu if f < 1 else 0, gpu if f > 0 else 0, mem, False)]
        if gpu:
            most = max((n.group.gpus for n in self.nodes if self.allowed_type(row, n)), default=0) * 1000
            unit, whole = most, gpu
        else:
            unit, whole = max(n.all_cpu for n in self.nodes), cpu
        if whole <= unit:
            return [(cpu, gpu, mem, False)]
        count, rest = divmod(whole, unit)

        def share(amount, part):
            return -(-amount * part // whole)

        pieces = [(share(cpu, unit), unit if gpu else 0, share(mem, unit), True)] * count
        if rest:
            pieces.append((share(cpu, rest), rest if gpu else 0, share(mem, rest), False))
        return pieces

    def allowed_type(self, row, node):
        return node.group.gpus > 0 and (not self.types[row] or node.group.gpu_type in self.types[row])

    def sides(self, row, runtime, f, group):
        if not self.w.hybrid[row]:
            length = runtime / (group.gpu_speed if self.gpu[row] else group.cpu_speed)
            return length, length
        cpu = (1 - f) * (runtime / group.cpu_speed)
        intensity, memory = float(self.w.compute_intensity[row]), float(self.w.memory_mb[row])
        gpu = f * (runtime / (group.gpu_speed * (1 + 3 * intensity)) + memory / group.bandwidth_mb_per_second)
        return (gpu + cpu, gpu + cpu) if self.sequential else (cpu, gpu)

    def lengths(self, row, runtime, f, pieces):
        both = [self.sides(row, runtime, f, self.nodes[number].group) for number, *_ in pieces]
        return max(cpu for cpu, _ in both), max(gpu for _, gpu in both)
