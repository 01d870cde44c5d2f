"""A slow simulator of nodes, written from docs/model.md; the node kernel must agree with it exactly.

Nothing here is clever: every node is looked at for every choice, the queue is sorted anew at each instant, and plans
are lists that are rebuilt. Amounts are whole numbers: thousandths of cores and of GPUs, KiB of memory.
"""

from math import inf

from reference_agent import Agent
from reference_backfill import Backfilling
from reference_choice import Choice
from reference_orders import Orders
from reference_plans import Plans, predicted_fraction
from reference_tasks import Node, Tasks, units

from scheduler_sim.engine import Simulation
from scheduler_sim.engine.codes import DRF, FGD, MAX_MIN, MIN_MIN, NOT_PLANNED, PREDICTED, SUFFERAGE


class ReferenceNodes(Tasks, Choice, Orders, Backfilling, Plans):
    """One policy playing one workload; `start`, `finish`, `node`, `device` and `fraction` are lists by row."""

    def __init__(self, simulation: Simulation):
        self.sim, self.w = simulation, simulation.workload
        n = len(self.w)
        policy = simulation.policy
        self.rule, self.planned = policy.placement.code, policy.placement.planned
        self.in_turn, self.backfill = policy.placement.in_turn, policy.backfill.name
        self.scores, self.choices = simulation.scores(), simulation.choices()
        self.sequential = simulation.options.split_model == "sequential"
        self.nodes = []
        for g, group in enumerate(simulation.cluster.groups):
            self.nodes += [Node(len(self.nodes) + i, g, group) for i in range(group.count)]
        self.turn = [0] * len(self.nodes)
        types = self.w.gpu_type.texts()
        self.types = [{t for t in text.split("|") if t} for text in types]
        self.cpu = [units(v, 1000) for v in self.w.cpus.tolist()]
        self.gpu = [units(v, 1000) for v in self.w.gpus.tolist()]
        self.mem = [units(v, 1024) for v in self.w.memory_mb.tolist()]
        est = self.w.duration_estimate.tolist()
        self.runtime = self.w.runtime.tolist()
        if simulation.options.kill_at_estimate:
            self.runtime = [min(pair) for pair in zip(self.runtime, est, strict=True)]
        self.estimate = self.runtime if policy.placement.name == "oracle" else est
        wanted = self.choices.fraction.tolist()
        if self.planned == PREDICTED:
            wanted = [predicted_fraction(self.w, row) for row in range(n)]
        self.fixed = [self.settle(row, wanted[row]) for row in range(n)]
        self.agent = None if self.choices.learner is None else Agent(self.choices.learner)
        self.start, self.finish = [None] * n, [None] * n
        self.node, self.device, self.fraction = [-1] * n, [-1] * n, [None] * n
        self.ready = self.w.arrival_time.tolist()
        self.held, self.ends = {}, {}
        self.events, self.queue = [], []
        self.reserved, self.overran = {}, False
        depth = simulation.options.conservative_depth
        self.depth = n if depth is None else depth
        self.charged, self.charged_in_all = {}, 0.0
        self.classes = self.make_classes() if self.rule == FGD else []
        self.in_percent = self.rule == FGD and simulation.policy.placement.value("gain") == "percent"
        self.pick_scores = self.scores.kind in (DRF, MIN_MIN, MAX_MIN, SUFFERAGE)

    def begin(self, row, f, pieces, now):
        self.queue.remove(row)
        cpu, gpu = self.lengths(row, self.runtime[row], f, pieces)
        cpu_hope, gpu_hope = self.lengths(row, self.estimate[row], f, pieces)
        self.start[row], self.fraction[row] = now, f
        self.ends[row] = (now + cpu_hope, now + gpu_hope, now + max(cpu_hope, gpu_hope))
        self.held[row] = [[number, c, m, dict(parts)] for number, c, m, parts in pieces]
        for number, c, m, parts in pieces:
            self.nodes[number].take(c, m, parts)
            if self.in_turn and parts:
                turn = self.turn[number]
                last = max(parts, key=lambda d: (d < turn, d))
                self.turn[number] = (last + 1) % len(self.nodes[number].devices)
        self.node[row], parts = min((number, sorted(parts)) for number, _, _, parts in pieces)
        self.device[row] = parts[0] if parts else -1
        if self.w.hybrid[row] and 0 < f < 1 and cpu != gpu:
            self.events.append((now + min(cpu, gpu), row, "cpu" if cpu < gpu else "gpu"))
        self.events.append((now + max(cpu, gpu), row, "end"))

    def give(self, row, part, nodes, held):
        for piece in held:
            node = nodes[piece[0]]
            if part in ("cpu", "end"):
                node.cpu += piece[1]
                piece[1] = 0
            if part in ("gpu", "end"):
                node.take(0, 0, piece[3], sign=-1)
                piece[3] = {}
            if part == "end":
                node.memory += piece[2]
                piece[2] = 0

    def play(self):
        n = len(self.w)
        parents = [
            set(self.w.parents.rows[self.w.parents.offsets[i] : self.w.parents.offsets[i + 1]].tolist())
            for i in range(n)
        ]
        arrival = self.w.arrival_time.tolist()
        offered = arrival
        if self.scores.not_before is not None:
            offered = [max(pair) for pair in zip(arrival, self.scores.not_before.tolist(), strict=True)]
        waiting = set(range(n))
        self.outages = []
        for g, group in enumerate(self.sim.cluster.groups):
            mine = [node for node in self.nodes if node.group_number == g]
            for outage in group.outages:
                for node in mine[len(mine) - outage.nodes :]:
                    self.outages += [(outage.start_time, node.number, 1), (outage.end_time, node.number, -1)]
        while any(end is None for end in self.finish):
            times = [time for time, *_ in self.events] + [time for time, *_ in self.outages]
            times += [offered[row] for row in waiting if offered[row] > getattr(self, "now", -inf)]
            if self.backfill == "conservative" and not self.overran:
                times += [time for time, *_ in self.reserved.values() if time > getattr(self, "now", -inf)]
            now = self.now = min(times)
            # Both sides of a task may end at one instant; its own end comes last.
            ending = [event for event in self.events if event[0] == now]
            for event in sorted(ending, key=lambda event: (event[1], event[2] == "end")):
                self.events.remove(event)
                _, row, part = event
                self.give(row, part, self.nodes, self.held[row])
                if part == "end":
                    del self.held[row]
                    self.finish[row] = now
                    self.charge(row, now)
            for event in [event for event in self.outages if event[0] == now]:
                self.outages.remove(event)
                self.nodes[event[1]].away += event[2]
            newcomers = [
                row
                for row in sorted(waiting)
                if offered[row] <= now and all(self.finish[parent] is not None for parent in parents[row])
            ]
            for row in newcomers:
                waiting.remove(row)
                self.ready[row] = max([arrival[row], *(self.finish[parent] for parent in parents[row])])
                self.queue.append(row)
            if self.agent:
                ended = {row for _, row, part in ending if part == "end"}
                self.let_learn(sorted(ended))
                # What waited for a parent comes first, as its last parent ended, then what arrives now.
                last = {row: n if offered[row] == now else max(parents[row] & ended) for row in newcomers}
                self.let_choose(sorted(newcomers, key=lambda row: (last[row], row)))
            if self.planned != NOT_PLANNED:
                self.act_planned(now)
            elif self.backfill == "conservative":
                self.act_conservative(now)
            else:
                self.act_unplanned(now)
        return self

    def let_learn(self, finished):
        for row in finished:
            if row in self.agent.chosen:
                group = self.nodes[self.node[row]].group
                cpu, gpu = self.sides(row, self.runtime[row], self.fraction[row], group)
                unit = max(self.estimate[row] / group.cpu_speed, 1e-9)
                held = (self.cpu[row] / 1000, cpu), (self.gpu[row] / 1000, gpu)
                self.agent.learn(row, self.finish[row] - self.ready[row], *held, unit)

    def let_choose(self, newcomers):
        free = sum(node.cpu for node in self.nodes), sum(sum(node.devices) for node in self.nodes)
        for row in newcomers:
            if self.w.hybrid[row]:
                on_cpu, on_gpu, both = self.sides_possible(row)
                intensity = float(self.w.compute_intensity[row])
                context = self.agent.context(intensity, self.cpu[row], self.gpu[row], *free)
                self.fixed[row] = self.agent.choose(row, context, [on_cpu, *[both] * 9, on_gpu])
