"""What tasks of the slow simulator need, where they may run and for how long."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, inf
from typing import NamedTuple

from scheduler_sim.engine import NodeGroup, Simulation


class Piece(NamedTuple):
    """What a task takes of one node: thousandths of cores, KiB, and thousandths of its devices by their numbers."""

    node: int
    cpu: int
    memory: int
    parts: dict[int, int]


@dataclass
class Held:
    """What a task that runs still holds of one node."""

    node: int
    cpu: int
    memory: int
    parts: dict[int, int]

    def __deepcopy__(self, memo: dict[int, object]) -> "Held":
        return Held(self.node, self.cpu, self.memory, dict(self.parts))


class Need(NamedTuple):
    """What one piece of a task needs, and whether it takes a whole node."""

    cpu: int
    gpu: int
    memory: int
    whole: bool


def units(value: float, unit: int) -> int:
    return ceil(max(value * unit - 1e-6, 0))


class Node:
    """What one node has left: thousandths of cores, KiB, thousandths of each device."""

    def __init__(self, number: int, group_number: int, group: NodeGroup) -> None:
        self.number, self.group_number, self.group = number, group_number, group
        self.cpu = self.all_cpu = group.cores * 1000
        self.memory: float = inf if group.memory_mb is None else int(group.memory_mb * 1024)
        self.devices = [1000] * group.gpus
        self.away = self.tasks = 0
        self.idle_since = self.awake_at = -inf

    def __deepcopy__(self, memo: dict[int, object]) -> "Node":
        """Return a node of the same group, which no one changes."""
        other = Node.__new__(Node)
        vars(other).update(vars(self), devices=list(self.devices))
        return other

    def sleeps(self, now: float) -> bool:
        sleep = self.group.sleep
        return sleep is not None and not self.tasks and self.idle_since + sleep.suspend_time <= now

    def whole(self) -> list[int]:
        return [d for d, left in enumerate(self.devices) if left == 1000]

    def parted(self, share: int) -> list[int]:
        return [d for d, left in enumerate(self.devices) if share <= left < 1000]

    def fits(self, cpu: int, gpu: int, memory: int) -> bool:
        if self.away or self.cpu < cpu or self.memory < memory:
            return False
        need = gpu // 1000 + (1 if gpu % 1000 and not self.parted(gpu % 1000) else 0)
        return len(self.whole()) >= need

    def take(self, cpu: int, memory: int, parts: dict[int, int], sign: int = 1) -> None:
        self.cpu -= sign * cpu
        self.memory -= sign * memory
        for device, amount in parts.items():
            self.devices[device] -= sign * amount


def at_step(group: NodeGroup, step: int) -> NodeGroup:
    """Return a group so many steps of frequency below the one that holds, or at its slowest."""
    lowest = max(len(group.frequencies), 1)
    return replace(group, frequency=min(group.frequency + step, lowest)) if step else group


class Tasks:
    """What a task may use and for how long it holds it."""

    def __init__(self, simulation: Simulation) -> None:
        self.sim, self.w, self.choices = simulation, simulation.workload, simulation.choices()
        self.sequential = simulation.options.split_model == "sequential"
        self.nodes: list[Node] = []
        for g, group in enumerate(simulation.cluster.groups):
            self.nodes += [Node(len(self.nodes) + i, g, group) for i in range(group.count)]
        topology = simulation.cluster.topology
        names = simulation.cluster.node_names
        self.racks: list[list[int]] = [] if topology is None else topology.numbers(names).tolist()
        self.factors: list[float] = [1.0] if topology is None else topology.factors().tolist()
        self.types = [{t for t in text.split("|") if t} for text in self.w.gpu_type.texts()]
        self.cpu = [units(v, 1000) for v in self.w.cpus.tolist()]
        self.gpu = [units(v, 1000) for v in self.w.gpus.tolist()]
        self.mem = [units(v, 1024) for v in self.w.memory_mb.tolist()]
        told: list[float] = self.w.duration_estimate.tolist()
        self.runtime: list[float] = self.w.runtime.tolist()
        if simulation.options.kill_at_estimate:
            self.runtime = [min(pair) for pair in zip(self.runtime, told, strict=True)]
        self.estimate = self.runtime if simulation.policy.placement.name == "oracle" else told
        self.node = [-1] * len(self.w)
        self.step = [0] * len(self.w)
        self.fixed = [self.settle(row, f) for row, f in enumerate(self.choices.fraction.tolist())]

    def allowed(self, row: int, node: Node, gpu: int) -> bool:
        group = None if self.choices.group is None else int(self.choices.group[row])
        if group is not None and group >= 0:
            return node.group_number == group
        return not gpu or self.allowed_type(row, node)

    def could_run(self, row: int, cpu: int, gpu: int) -> bool:
        empty = [Node(n.number, n.group_number, n.group) for n in self.nodes]
        typed = [n for n in empty if not gpu or self.allowed_type(row, n)]
        return any(n.fits(cpu, gpu, self.mem[row]) for n in typed)

    def sides_possible(self, row: int) -> tuple[bool, bool, bool]:
        """Tell whether a task could run on cores alone, on GPUs alone, and on both."""
        cpu, gpu = self.cpu[row], self.gpu[row]
        return (
            cpu > 0 and self.could_run(row, cpu, 0),
            gpu > 0 and self.could_run(row, 0, gpu),
            cpu > 0 and gpu > 0 and self.could_run(row, cpu, gpu),
        )

    def settle(self, row: int, f: float) -> float:
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

    def full_count(self, row: int) -> int:
        return sum(1 for piece in self.pieces_needed(row, 0.0) if piece.whole) if not self.w.hybrid[row] else 0

    def pieces_needed(self, row: int, f: float) -> list[Need]:
        cpu, gpu, mem = self.cpu[row], self.gpu[row], self.mem[row]
        if self.w.hybrid[row]:
            return [Need(cpu if f < 1 else 0, gpu if f > 0 else 0, mem, False)]
        if gpu:
            most = max((n.group.gpus for n in self.nodes if self.allowed_type(row, n)), default=0) * 1000
            unit, whole = most, gpu
        else:
            unit, whole = max(n.all_cpu for n in self.nodes), cpu
        if whole <= unit:
            return [Need(cpu, gpu, mem, False)]
        count, rest = divmod(whole, unit)

        def share(amount: int, part: int) -> int:
            return -(-amount * part // whole)

        pieces = [Need(share(cpu, unit), unit if gpu else 0, share(mem, unit), True)] * count
        if rest:
            pieces.append(Need(share(cpu, rest), rest if gpu else 0, share(mem, rest), False))
        return pieces

    def allowed_type(self, row: int, node: Node) -> bool:
        there, is_slice = node.group.gpu_type, "g." in node.group.gpu_type
        named = {there, there.rpartition("_")[2]} & self.types[row] if self.types[row] else not is_slice
        return node.group.gpus > 0 and bool(named) and self.rate(row, node.group) != 0

    def rate(self, row: int, group: NodeGroup) -> float | None:
        """Return the units of work a second of a task that has rates, None for one that goes by the group's speed."""
        table = self.w.throughputs
        if table is None or self.w.hybrid[row] or not self.w.runtime[row] or not self.w.size[row] > 0:
            return None
        here = {(node.group.gpu_type or node.group.name) for node in self.nodes if node.group.gpus}
        gpus = float(self.w.gpus[row])
        rates = table.rates.get((str(self.w.group.texts()[row]), int(gpus))) if gpus == int(gpus) else None
        if rates is None or not here & set(table.kinds):
            return None
        return dict(zip(table.kinds, rates, strict=True)).get(group.gpu_type or group.name, 0.0)

    def pace(self, row: int, group: NodeGroup) -> float:
        """Return how many seconds of a rigid task's run time pass in one second."""
        rate = self.rate(row, group) if self.gpu[row] else None
        if rate:
            return float(rate * self.w.runtime[row] / self.w.size[row])
        group = at_step(group, self.step[row])
        return group.gpu_speed if self.gpu[row] else group.cpu_speed

    def sides(self, row: int, runtime: float, f: float, group: NodeGroup) -> tuple[float, float]:
        if not self.w.hybrid[row]:
            length = runtime / self.pace(row, group)
            return length, length
        cpu = (1 - f) * (runtime / group.cpu_speed)
        intensity, memory = float(self.w.compute_intensity[row]), float(self.w.memory_mb[row])
        gpu = f * (runtime / (group.gpu_speed * (1 + 3 * intensity)) + memory / group.bandwidth_mb_per_second)
        return (gpu + cpu, gpu + cpu) if self.sequential else (cpu, gpu)

    def lengths(self, row: int, runtime: float, f: float, pieces: list[Piece]) -> tuple[float, float]:
        runtime *= self.factors[self.levels_crossed([piece.node for piece in pieces])]
        both = [self.sides(row, runtime, f, self.nodes[number].group) for number, *_ in pieces]
        late = self.fetched(row, min(number for number, *_ in pieces))
        return max(cpu for cpu, _ in both) + late, max(gpu for _, gpu in both) + late

    def sending(self, row: int) -> Iterator[tuple[int, float]]:
        """Yield the node of each parent that sends a task something, and the MB."""
        sent = self.w.parents
        for edge in range(sent.offsets[row], sent.offsets[row + 1]):
            if self.sim.cluster.network is not None and sent.mb is not None and sent.mb[edge] > 0:
                yield self.node[int(sent.rows[edge])], float(sent.mb[edge])

    def seconds_between(self, one: NodeGroup, other: NodeGroup, mb: float) -> float:
        """Return how long data is under way between two nodes of these groups."""
        network = self.sim.cluster.network
        assert network is not None
        ends = {one.name, other.name}
        link = next((link for link in network.links if set(link.between) == ends), network)
        return link.latency_seconds + mb / link.bandwidth_mb_per_second

    def fetched(self, row: int, number: int) -> float:
        """Return how long the data of a task is under way to a node."""
        here = self.nodes[number].group
        ways = [(self.nodes[source].group, mb) for source, mb in self.sending(row) if source != number]
        return max((self.seconds_between(there, here, mb) for there, mb in ways), default=0.0)

    def levels_crossed(self, numbers: list[int]) -> int:
        """Return the first level on which one switch has all these nodes, the number of levels where none has."""
        alike = [len({level[number] for number in numbers}) == 1 for level in self.racks]
        return [*alike, True].index(True)

    def longest(self, row: int, runtime: float, f: float) -> float:
        """Return the length on the slowest group, of a gang over all racks."""
        if len(self.pieces_needed(row, f)) > 1:
            runtime *= self.factors[-1]
        groups = self.sim.cluster.groups
        ways = [(self.nodes[source].group, mb) for source, mb in self.sending(row)] if len(self.nodes) > 1 else []
        late = max((self.seconds_between(there, here, mb) for there, mb in ways for here in groups), default=0.0)
        return max(max(self.sides(row, runtime, f, group)) for group in groups) + late
