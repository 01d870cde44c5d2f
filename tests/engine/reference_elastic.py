"""Tasks whose width changes, slowly and plainly: an instant after another, a device after another."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.contract import Options
from scheduler_sim.engine.elasticity import MALLEABLE, RIGID, Elasticity
from scheduler_sim.engine.kernels.elastic.assignment import Choice
from scheduler_sim.engine.kernels.elastic.choices import Moment
from scheduler_sim.engine.kernels.elastic.kinds import Kinds
from scheduler_sim.engine.workloads.columns import IntArray
from scheduler_sim.engine.workloads.workload import Workload


@dataclass
class Task:
    """A task; `rates` are by kind, and `spans` (start, end, width, reason) of the attempts that have ended."""

    row: int
    arrival: float
    left: float
    kind: int
    least: int
    asked: int
    most: int
    cost: np.ndarray
    rates: list[np.ndarray]
    width: int = 0
    on: int = 0
    begun: float = math.nan
    paid: float = 0.0
    until: float = math.inf
    service: float = 0.0
    spans: list[tuple[float, float, int, str]] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)


Settle = Callable[["Machine", list[Task]], dict[int, tuple[int, int]]]
"""Takes the tasks that are there, in the order of arrival, and returns the kind and width of each by its row."""


@dataclass
class Machine:
    """Devices of each kind; those of a kind are all alike."""

    tasks: list[Task]
    kinds: Kinds
    devices: int
    now: float = 0.0

    @classmethod
    def of(cls, workload: Workload, cluster: Cluster, options: Options | None = None) -> "Machine":
        """Return it before the first arrival; tasks can run on every kind, as fast as their type's rates say."""
        sizes = [group.gpus if cluster.gpus else group.cores for group in cluster.groups]
        plans = [
            Elasticity.of(workload, devices=group.count * size, per_node=size, options=options, largest_node=max(sizes))
            for group, size in zip(cluster.groups, sizes, strict=True)
        ]
        elastic, table, names = plans[0], workload.throughputs, workload.group.texts()

        def pace(row: int, kind: int) -> float:
            group = cluster.groups[kind]
            if table is None or not workload.runtime[row]:
                return group.gpu_speed if cluster.gpus else group.cpu_speed
            rates = table.rates[names[row], int(workload.gpus[row])]
            return rates[table.kinds.index(group.gpu_type)] * float(workload.runtime[row] / workload.size[row])

        tasks = [
            Task(
                row=row,
                arrival=float(workload.arrival_time[row]),
                left=float(workload.runtime[row]) / pace(row, 0),
                kind=int(elastic.kind[row]),
                least=int(elastic.least[row]),
                asked=int(elastic.asked[row]),
                most=int(elastic.most[row]),
                cost=elastic.change_cost(row, np.arange(len(elastic.overheads))),
                rates=[plan.of_task(row) * (pace(row, kind) / pace(row, 0)) for kind, plan in enumerate(plans)],
            )
            for row in range(len(workload))
        ]
        kinds = Kinds.of(workload, cluster, "sia", options)
        return cls(tasks, kinds, int(kinds.devices[0]))

    def play(self, settle: Settle, round_time: float | None = None) -> None:
        """Play to the end; with `round_time` widths are settled in rounds, else at each arrival and end."""
        waiting, present = list(self.tasks), list[Task]()
        first, tick = waiting[0].arrival, waiting[0].arrival
        while waiting or present:
            times = [task.until for task in present if task.width] + [task.arrival for task in waiting[:1]]
            if round_time is not None and present:
                times.append(tick)
            self.now = min(times)
            for task in [one for one in present if one.width and one.until <= self.now]:
                self.close(task, "finished")
                present.remove(task)
            while waiting and waiting[0].arrival <= self.now:
                present.append(waiting.pop(0))
            if round_time is not None:
                if tick < self.now:
                    passed = (Fraction(self.now) - Fraction(first)) / Fraction(round_time)
                    tick = max(first + math.ceil(passed - Fraction(1, 10**12)) * round_time, self.now)
                if tick != self.now or not present:
                    continue
                tick = first + (round((self.now - first) / round_time) + 1) * round_time
            widths = settle(self, present)
            for task in present:
                kind, width = widths.get(task.row, (task.on, 0))
                if task.width and (task.width, task.on) != (width, kind):
                    self.close(task, "suspended" if not width else "resized" if width != task.width else "moved")
            for task in present:
                if not task.width and task.row in widths:
                    self.open(task, *widths[task.row])

    def open(self, task: Task, kind: int, width: int) -> None:
        """Begin an attempt."""
        task.on, task.width, task.begun = kind, width, self.now
        task.paid = float(task.cost[width]) if task.spans else 0.0
        task.until = self.now + task.paid + task.left / task.rates[kind][width]

    def close(self, task: Task, reason: str) -> None:
        """End the attempt of a task."""
        length = self.now - task.begun
        if length or reason == "finished":
            worked = max(length - task.paid, 0.0)
            task.left = max(task.left - worked * task.rates[task.on][task.width], 0.0)
            task.service += worked
            task.spans.append((task.begun, self.now, task.width, reason))
            task.kinds.append(task.on)
        task.width = 0


def grow(targets: dict[int, int], growing: list[Task], free: int) -> None:
    """Give free devices one by one to the narrowest, the earlier one of equals."""
    while free:
        below = [task for task in growing if targets[task.row] < task.most]
        if not below:
            return
        targets[min(below, key=lambda task: (targets[task.row], task.row)).row] += 1
        free -= 1


def may_grow(present: list[Task], targets: dict[int, int]) -> list[Task]:
    """Return those that are to run and may be wider."""
    return [
        task
        for task in present
        if targets.get(task.row) and (task.kind == MALLEABLE or (task.kind != RIGID and not task.width))
    ]


def equal_share(machine: Machine, present: list[Task]) -> dict[int, tuple[int, int]]:
    """Return equal widths."""
    targets = {task.row: task.least if task.kind == MALLEABLE else task.width for task in present if task.width}
    for task in (one for one in present if not one.width):
        if sum(targets.values()) + task.least > machine.devices:
            break
        targets[task.row] = task.least
    grow(targets, may_grow(present, targets), machine.devices - sum(targets.values()))
    return {row: (0, width) for row, width in targets.items()}


def expand_shrink(machine: Machine, present: list[Task]) -> dict[int, tuple[int, int]]:
    """Return widths by which the head starts, and holes are filled."""
    targets = {task.row: task.width for task in present if task.width}
    by_row = {task.row: task for task in present}

    def free() -> int:
        return machine.devices - sum(targets.values())

    def shrink_one(floor: Callable[[Task], int]) -> bool:
        can = [row for row in targets if by_row[row].kind == MALLEABLE and targets[row] > floor(by_row[row])]
        if not can:
            return False
        targets[max(can, key=lambda row: (targets[row], row))] -= 1
        return True

    for task in (one for one in present if not one.width):
        kept = dict(targets)
        while free() < task.asked and shrink_one(lambda one: one.asked):
            pass
        while free() < task.least and shrink_one(lambda one: one.least):
            pass
        if free() < task.least:
            targets = kept
            break
        targets[task.row] = min(task.asked, free())
    grow(targets, may_grow(present, targets), free())
    return {row: (0, width) for row, width in targets.items()}


def by(choose: Callable[[Moment], tuple[np.ndarray, np.ndarray]]) -> Settle:
    """Settle kinds and widths as the optimiser `choose` says."""

    def settle(machine: Machine, present: list[Task]) -> dict[int, tuple[int, int]]:
        rows = np.array([task.row for task in present])
        kinds, chosen = choose(
            Moment(
                rows=rows,
                width=np.array([task.width for task in present]),
                kind=np.array([task.on for task in present]),
                attempts=np.array([len(task.spans) + (task.width > 0) for task in present]),
                age_time=np.array([machine.now - task.arrival for task in present]),
                kinds=machine.kinds,
            )
        )
        every = zip(rows.tolist(), kinds.tolist(), chosen.tolist(), strict=True)
        return {row: (kind, width) for row, kind, width in every if width}

    return settle


def total(choice: Choice, widths: IntArray, kinds: IntArray | int = 0) -> float:
    """Return the cost of giving tasks these widths of these kinds, shape (m,) each."""
    cost, kinds = choice.idle_cost.copy(), np.broadcast_to(kinds, len(widths))
    chosen = np.flatnonzero((choice.width == widths[choice.task]) & (choice.kind == kinds[choice.task]))
    cost[choice.task[chosen]] = choice.cost[chosen]
    return float(cost.sum())


def by_integer_program(choice: Choice, devices: int) -> IntArray:
    """Return widths of least cost that fit, shape (m,), by HiGHS: sum_jw x_jw (c_jw - idle_j) is least."""
    found = np.zeros(len(choice.idle_cost), np.int64)
    if not len(choice.task):
        return found
    entries = np.arange(len(choice.task))
    one = sparse.csr_array((np.ones(len(entries)), (choice.task, entries)), shape=(len(found), len(entries)))
    given = sparse.csr_array(choice.width[None, :].astype(np.float64))
    solved = milp(
        choice.cost - choice.idle_cost[choice.task],
        integrality=np.ones(len(entries)),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(one, choice.must * 1.0, 1.0), LinearConstraint(given, -np.inf, devices)],
        options={"mip_rel_gap": 0.0},
    )
    assert solved.x is not None, solved.message
    chosen = np.flatnonzero(solved.x > 0.5)
    found[choice.task[chosen]] = choice.width[chosen]
    return found
