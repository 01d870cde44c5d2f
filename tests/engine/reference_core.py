"""A slow simulator of tasks that stop and go on, written from docs/model.md; the event core must agree with it exactly.

Nothing here is clever: every list is sorted anew at each instant, every running task is asked what it has done, and the
whole schedule is built from an empty cluster. Cores and GPUs are whole numbers.
"""

from collections.abc import Sequence
from math import ceil, inf
from typing import Self

from tests.engine.reference_attempts import ReferenceRules, TasksUnderWay
from tests.engine.reference_machine import AWAITED, DONE, RUNNING, SUSPENDED, Piece, Task, place_of


class ReferenceCore(TasksUnderWay):
    """One policy playing tasks whose attempts it writes down."""

    def __init__(self, tasks: list[Task], nodes: list[tuple[int, int]], rules: ReferenceRules) -> None:
        super().__init__(tasks, nodes, rules)
        self.outages = sorted(
            [(start, 1, node) for start, _, node in rules.outages] + [(end, 0, node) for _, end, node in rules.outages]
        )
        # The blocked head of easy backfilling, when it should start, and what is left over then.
        self.head: Task | None = None
        self.shadow, self.extra = inf, 0

    # Events.

    def next_instant(self) -> float:
        times = [task.finish for task in self.tasks if task.state == RUNNING]
        times += [
            task.arrival
            for task in self.tasks
            if task.state == AWAITED and (task.arrival > self.now or not task.parents)
        ]
        if any(task.state != DONE for task in self.tasks):
            times += [event[0] for event in self.outages[:1]]
        if self.rules.discipline == "las":
            times += [self.demotion(task) for task in self.tasks if task.state == RUNNING]
            if self.rules.promote is not None:
                times += [self.promotion(task) for task in self.tasks if task.state == SUSPENDED]
        if self.rules.discipline == "rr":
            times += [task.slice_end for task in self.tasks if task.state == RUNNING]
        return max(min(times, default=inf), self.now)

    def demotion(self, task: Task) -> float:
        if task.queue >= len(self.rules.limits):
            return inf
        return task.start + (ceil(self.rules.limits[task.queue] / task.size) - task.attained)

    def promotion(self, task: Task) -> float:
        if self.rules.promote is None or task.queue == 0 or task.executed == 0:
            return inf
        return task.waiting_since + self.rules.promote * task.executed

    def play(self) -> Self:
        """Play everything."""
        while any(task.state != DONE for task in self.tasks):
            self.now = self.next_instant()
            assert self.now < inf, "nothing can go on"
            while True:
                self.apply()
                self.build()
                if not any(task.state == RUNNING and task.finish <= self.now for task in self.tasks):
                    break
        return self

    def apply(self) -> None:
        ended = [task for task in self.tasks if task.state == RUNNING and task.finish <= self.now]
        back: list[Task] = []
        for task in ended:
            if task.attempt_work >= task.left:
                self.finish(task, "completed")
            elif self.rules.limit == "requeue" and task.requeues < self.rules.max_requeues:
                task.requeues += 1
                self.stop(task, "timed_out")
                if not task.saved:
                    task.left, task.estimate_left, task.service = task.work, task.estimate, 0.0
                back.append(task)
            else:
                self.finish(task, "timed_out")
        while self.outages and self.outages[0][0] <= self.now:
            _, down, node = self.outages.pop(0)
            self.machine.away[node] += 1 if down else -1
            if down:
                hit = [t for t in self.tasks if t.state == RUNNING and any(piece[0] == node for piece in t.pieces)]
                for task in hit:
                    task.failures += 1
                    self.stop(task, "failed")
                    if self.rules.max_failures is not None and task.failures >= self.rules.max_failures:
                        self.finish(task, "failed")
                    else:
                        back.append(task)
        places = {id(task): place for place, task in enumerate(self.in_list())}
        self.put_back(sorted(back, key=lambda task: places[id(task)]))
        done = {task.row for task in self.tasks if task.state == DONE}
        for task in self.tasks:
            if task.state == AWAITED and task.arrival <= self.now and task.parents <= done:
                self.add(task)
        # Who waits for a parent that has ended has no arrival to come: it is taken above at the parent's end.
        for task in self.tasks:
            task.parents -= done
        if self.rules.discipline == "las":
            self.demote()
        if self.rules.discipline == "rr":
            for task in [task for task in self.list if task.state == RUNNING and task.slice_end <= self.now]:
                self.list.remove(task)
                self.list.append(task)
                task.slice_end = self.now + self.rules.quantum

    def in_list(self) -> list[Task]:
        return [task for queue in self.queues for task in queue] if self.rules.discipline == "las" else self.list

    def demote(self) -> None:
        if self.rules.promote is not None:
            for task in [task for queue in self.queues[1:] for task in queue]:
                if task.state == SUSPENDED and self.promotion(task) <= self.now:
                    self.queues[task.queue].remove(task)
                    task.queue, task.attained, task.executed = 0, 0.0, 0.0
                    self.queues[0].append(task)
        moved: list[Task] = []
        for number, limit in enumerate(self.rules.limits):
            for task in list(self.queues[number]):
                if task.state != RUNNING or task in moved:
                    continue
                seconds = task.attained + (self.now - task.start)
                if seconds * task.size >= limit or self.demotion(task) <= self.now:
                    self.queues[number].remove(task)
                    self.queues[number + 1].append(task)
                    task.queue = number + 1
                    moved.append(task)

    # The schedule.

    def build(self) -> None:
        machine = self.machine
        machine.reset()
        walk = self.in_order()
        if self.rules.backfill == "conservative":
            self.carry_out(walk, self.plan(walk))
            return
        if not self.preempts:
            walk = [t for t in walk if t.state == RUNNING] + [t for t in walk if t.state != RUNNING]
        chosen: dict[int, list[Piece]] = {}
        blocked = False
        self.head = None
        undecided = [task for task in walk if task.state == RUNNING]
        skip = self.rules.discipline != "score" or self.rules.backfill == "list"
        for place, task in enumerate(walk):
            if task.state == RUNNING:
                undecided.remove(task)
                pieces = self.again(task)
                if pieces is not None:
                    machine.take(pieces)
                    chosen[task.row] = pieces
                    if self.head and task.expected_end > self.shadow:
                        self.extra -= task.cpus
                continue
            if blocked:
                continue
            pieces = self.place(task, undecided)
            if self.rules.backfill == "easy" and self.head:
                if pieces is None:
                    continue
                late = self.now + self.overhead_of(task) + self.span(task.estimate_left) > self.shadow
                if late and task.cpus > self.extra:
                    continue
                if late:
                    self.extra -= task.cpus
            elif pieces is None:
                if self.rules.backfill == "easy":
                    self.head = task
                    self.reserve(task, walk[:place], chosen)
                elif not skip:
                    blocked = True
                continue
            machine.take(pieces)
            chosen[task.row] = pieces
        if self.rules.spread:
            self.settle(walk, chosen)
        self.carry_out(walk, chosen)

    def plan(self, walk: list[Task]) -> dict[int, list[Piece]]:
        """Plan all in order on a pool: who runs holds its processors up to the first conflict, others the earliest."""
        capacity = free = sum(self.machine.cores)
        held: list[tuple[float, float, int]] = []
        chosen: dict[int, list[Piece]] = {}
        planned = 0

        def used(time: float) -> int:
            return sum(cpus for begin, end, cpus in held if begin <= time < end)

        def room(begin: float, length: float, cpus: int) -> bool:
            points = [begin, *(first for first, _, _ in held if begin < first < begin + length)]
            return all(used(point) + cpus <= capacity for point in points)

        for task in walk:
            if task.state == RUNNING:
                if task.cpus > free:
                    continue
                free -= task.cpus
                chosen[task.row] = task.pieces
                end = max(task.expected_end, self.now)
                points = sorted({self.now, *(first for first, _, _ in held)})
                full = [point for point in points if self.now <= point < end and used(point) + task.cpus > capacity]
                held.append((self.now, min([end, *full]), task.cpus))
                continue
            if planned == self.rules.depth:
                continue
            length = self.overhead_of(task) + self.span(task.estimate_left)
            times = sorted({self.now, *(end for _, end, _ in held if end > self.now)})
            begin = next((time for time in times if room(time, length, task.cpus)), inf)
            if begin < inf:
                held.append((begin, begin + length, task.cpus))
            if begin == self.now and task.cpus <= free:
                free -= task.cpus
                chosen[task.row] = [Piece(0, task.cpus, set())]
            else:
                planned += 1
        return chosen

    def carry_out(self, walk: list[Task], chosen: dict[int, list[Piece]]) -> None:
        """Stop and start what the walk says."""
        for task in walk:
            if task.state == RUNNING and task.row not in chosen:
                assert self.preempts
                self.stop(task, "requeued" if self.rules.preemption in ("requeue", "checkpoint") else "suspended")
        for task in walk:
            if task.row not in chosen:
                continue
            if task.state != RUNNING:
                self.begin(task, chosen[task.row])
            else:
                if place_of(task.pieces) != place_of(chosen[task.row]):
                    node, device = place_of(task.pieces)
                    self.attempts.append((task.row, task.attempts, task.start, self.now, node, device, "moved"))
                    self.move(task)
                if sorted(map(str, task.pieces)) != sorted(map(str, chosen[task.row])):
                    self.tell(task)
                    task.there_since = self.now
                task.pieces = chosen[task.row]
        if self.rules.discipline == "las":
            for number, queue in enumerate(self.queues):
                self.queues[number] = [t for t in queue if t.state == RUNNING] + [
                    t for t in queue if t.state != RUNNING
                ]

    def move(self, task: Task) -> None:
        """Go on elsewhere: a new attempt that pays nothing and keeps its course."""
        held = self.now - task.start
        task.held_seconds += held
        task.attained += held
        task.executed += held
        task.start = self.now
        task.attempts += 1

    def again(self, task: Task) -> list[Piece] | None:
        """Return the pieces on which a running task goes on, None if it must stop."""
        if self.rules.spread:
            return self.machine.spread(task)
        if self.rules.in_place or not self.preempts:
            return task.pieces if self.machine.still_free(task.pieces) else None
        return self.machine.place_on_nodes(task)

    def place(self, task: Task, undecided: list[Task]) -> list[Piece] | None:
        if self.rules.spread:
            return self.machine.spread(task)
        if not self.rules.in_place:
            return self.machine.place_on_nodes(task)
        # Without stopping anybody if that can be, else stopping those behind it, the last first.
        cores, gpus = list(self.machine.cores), [set(free) for free in self.machine.gpus]
        pieces = None
        for last in range(len(undecided), -1, -1):
            for other in undecided[:last]:
                if self.machine.still_free(other.pieces):
                    self.machine.take(other.pieces)
            pieces = self.machine.place_on_nodes(task)
            self.machine.cores, self.machine.gpus = list(cores), [set(free) for free in gpus]
            if pieces is not None:
                break
        return pieces

    def settle(self, walk: list[Task], chosen: dict[int, list[Piece]]) -> None:
        """Give out cores and GPUs where only counts matter: who runs on keeps them, the others get the lowest."""
        self.machine.reset()
        for task in walk:
            if task.row in chosen and task.state == RUNNING:
                chosen[task.row] = task.pieces
                self.machine.take(task.pieces)
        for task in walk:
            if task.row in chosen and task.state != RUNNING:
                pieces = self.machine.spread(task)
                assert pieces is not None, "what is chosen fits"
                chosen[task.row] = pieces
                self.machine.take(pieces)

    def reserve(self, head: Task, ahead: Sequence[Task], chosen: dict[int, list[Piece]]) -> None:
        """Find when the head fits by the expected ends of the tasks ahead that are chosen, and what is left then."""
        ends = []
        for task in ahead:
            if task.row in chosen:
                end = task.expected_end
                if task.state != RUNNING:
                    end = self.now + self.overhead_of(task) + self.span(task.estimate_left)
                ends.append((max(end, self.now), task.cpus))
        free = sum(self.machine.cores)
        shadow, released = inf, 0
        for shadow in sorted(end for end, _ in ends):
            released = sum(cpus for end, cpus in ends if end <= shadow)
            if free + released >= head.cpus:
                break
        self.shadow, self.extra = shadow, free + released - head.cpus
