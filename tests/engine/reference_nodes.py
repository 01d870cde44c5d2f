"""A slow simulator of nodes, written from docs/model.md; the node kernel must agree with it exactly.

Nothing here is clever: every node is looked at for every choice, the queue is sorted anew at each instant, and plans
are lists that are rebuilt. Amounts are whole numbers: thousandths of cores and of GPUs, KiB of memory.

A class a file, each on top of the one before: tasks, choice, plans, orders, backfill, and the loop here.
"""

from math import inf
from typing import Self

from scheduler_sim.engine import Simulation
from scheduler_sim.engine.codes import NOT_PLANNED
from tests.engine.reference_agent import Agent
from tests.engine.reference_backfill import Backfilling, give


class ReferenceNodes(Backfilling):
    """One policy playing one workload; `start`, `finish`, `node`, `device` and `fraction` are lists by row."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.agent = None if self.choices.learner is None else Agent(self.choices.learner)
        n = len(self.w)
        self.finish = [inf] * n
        offsets = self.w.parents.offsets
        self.parents = [set(self.w.parents.rows[offsets[row] : offsets[row + 1]].tolist()) for row in range(n)]
        self.arrival: list[float] = self.w.arrival_time.tolist()
        self.offered: list[float] = self.arrival
        if self.scores.not_before is not None:
            self.offered = [max(pair) for pair in zip(self.arrival, self.scores.not_before.tolist(), strict=True)]
        self.awaited = set(range(n))
        for g, group in enumerate(self.sim.cluster.groups):
            mine = [node for node in self.nodes if node.group_number == g]
            for outage in group.outages:
                for node in mine[len(mine) - outage.nodes :]:
                    self.outages += [(outage.start_time, node.number, 1), (outage.end_time, node.number, -1)]

    def play(self) -> Self:
        n, now = len(self.w), -inf
        while any(end == inf for end in self.finish):
            now = self.now = min(self.instants_after(now))
            # Both sides of a task may end at one instant; its own end comes last.
            ending = [event for event in self.events if event[0] == now]
            for event in sorted(ending, key=lambda event: (event[1], event[2] == "end")):
                self.events.remove(event)
                _, row, part = event
                if part == "end":
                    self.tell(row, self.start[row], now)
                give(part, self.nodes, self.held[row])
                if part == "end":
                    for node in (self.nodes[piece.node] for piece in self.held[row]):
                        node.tasks -= 1
                        node.idle_since = now
                    del self.held[row]
                    self.finish[row] = now
                    self.charge(row, now)
            newcomers = self.apply_outages_and_arrivals(now)
            if self.agent:
                ended = {row for _, row, part in ending if part == "end"}
                self.let_learn(self.agent, sorted(ended))
                # What waited for a parent comes first, as its last parent ended, then what arrives now.
                last = {row: n if self.offered[row] == now else max(self.parents[row] & ended) for row in newcomers}
                self.let_choose(self.agent, sorted(newcomers, key=lambda row: (last[row], row)))
            self.is_capped = False
            if self.planned != NOT_PLANNED:
                self.act_planned(now)
            elif self.backfill == "conservative":
                self.act_conservative(now)
            else:
                self.act_unplanned(now)
        return self

    def instants_after(self, now: float) -> list[float]:
        """Return when something happens: an end, an outage, an arrival, or the beginning of what is reserved."""
        times = [time for time, *_ in self.events] + [time for time, *_ in self.outages]
        times += [self.offered[row] for row in self.awaited if self.offered[row] > now]
        if self.is_capped and self.cap is not None:
            times += self.cap.cuts(now, now + 2 * self.cap.span + abs(self.cap.begin - now)).tolist()
        if self.backfill == "conservative" and not self.overran:
            times += [time for time, *_ in self.reserved.values() if time > now]
        return times

    def apply_outages_and_arrivals(self, now: float) -> list[int]:
        """Let nodes go and come as announced, queue what is offered and waits for no parent, and return it."""
        for event in [event for event in self.outages if event[0] == now]:
            self.outages.remove(event)
            self.nodes[event[1]].away += event[2]
        newcomers = [
            row
            for row in sorted(self.awaited)
            if self.offered[row] <= now and all(self.finish[parent] < inf for parent in self.parents[row])
        ]
        for row in newcomers:
            self.awaited.remove(row)
            self.ready[row] = max([self.arrival[row], *(self.finish[parent] for parent in self.parents[row])])
            self.queue.append(row)
        return newcomers

    def let_learn(self, agent: Agent, finished: list[int]) -> None:
        for row in finished:
            if row in agent.chosen:
                group = self.nodes[self.node[row]].group
                cpu, gpu = self.sides(row, self.runtime[row], self.fraction[row], group)
                unit = max(self.estimate[row] / group.cpu_speed, 1e-9)
                held = (self.cpu[row] / 1000, cpu), (self.gpu[row] / 1000, gpu)
                agent.learn(row, self.finish[row] - self.ready[row], *held, unit)

    def let_choose(self, agent: Agent, newcomers: list[int]) -> None:
        free = sum(node.cpu for node in self.nodes), sum(sum(node.devices) for node in self.nodes)
        for row in newcomers:
            if self.w.hybrid[row]:
                on_cpu, on_gpu, both = self.sides_possible(row)
                intensity = float(self.w.compute_intensity[row])
                context = agent.context(intensity, self.cpu[row], self.gpu[row], *free)
                self.fixed[row] = agent.choose(row, context, [on_cpu, *[both] * 9, on_gpu])
