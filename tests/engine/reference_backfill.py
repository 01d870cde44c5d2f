"""What may start before a task that waits: none, list, easy and conservative in the slow simulator."""

import copy
from math import inf

from scheduler_sim.engine.codes import FIRST_FIT


class Backfilling:
    """Policies whose fractions are settled before."""

    def act_unplanned(self, now):
        self.plans = {}
        head = shadow = None
        waiting = iter(self.in_order(now))
        while (row := next(waiting, None)) is not None:
            pieces = self.find(row, self.fixed[row], self.nodes)
            if pieces is None:
                if self.backfill == "none":
                    return
                if self.backfill == "easy" and head is None:
                    head, (shadow, self.later) = row, self.find_shadow(row, now)
                    if self.scores.backfill is not None:
                        waiting = iter(self.backfilling_order(head, now))
                continue
            if head is not None and shadow < inf:
                trial = copy.deepcopy(self.later)
                cpu, gpu = self.lengths(row, self.estimate[row], self.fixed[row], pieces)
                for number, c, m, parts in pieces:
                    trial[number].take(
                        c if now + cpu > shadow else 0,
                        m if now + max(cpu, gpu) > shadow else 0,
                        parts if now + gpu > shadow else {},
                    )
                if not self.could_start(head, trial):
                    continue
                self.later = trial
            self.begin(row, self.fixed[row], pieces, now)
            self.note_start(row)

    def could_start(self, row, nodes):
        rule, self.rule = self.rule, FIRST_FIT
        found = self.find(row, self.fixed[row], nodes)
        self.rule = rule
        return found is not None

    def find_shadow(self, head, now):
        nodes, held = copy.deepcopy(self.nodes), copy.deepcopy(self.held)
        events = [(time, node, sign) for time, node, sign in self.outages]
        for row, (cpu, gpu, end) in ((row, self.ends[row]) for row in held):
            events += [(max(cpu, now), row, "cpu"), (max(gpu, now), row, "gpu"), (max(end, now), row, "end")]
        for time in sorted({event[0] for event in events}):
            for event in events:
                if event[0] == time and isinstance(event[2], int):
                    nodes[event[1]].away += event[2]
                elif event[0] == time:
                    self.give(event[1], event[2], nodes, held[event[1]])
            if self.could_start(head, nodes):
                return time, nodes
        return inf, nodes

    # Conservative: every queued task holds pieces of nodes from some time on.

    def act_conservative(self, now):
        walk = self.settled_order(now)[: self.depth]
        self.reserved = {row: kept for row, kept in self.reserved.items() if row in walk}
        missed = any(time < now for time, *_ in self.reserved.values())
        self.overran = any(self.ends[row][2] <= now for row in self.held)
        if missed or self.overran:
            again = [row for row in walk if row in self.reserved]
            self.reserved = {}
            for row in again:
                self.reserve(row, now, inf)
        else:
            for row in walk:
                if row in self.reserved:
                    self.reserve(row, now, self.reserved[row][0])
        while True:
            for row in walk:
                if row not in self.reserved:
                    self.reserve(row, now, inf)
            due = [row for row in walk if self.reserved[row][0] == now]
            started = False
            for row in due:
                pieces = self.reserved[row][2]
                if self.really_free(pieces):
                    del self.reserved[row]
                    self.begin(row, self.fixed[row], pieces, now)
                    started = True
            if not started or self.depth >= len(self.w):
                return
            walk = self.settled_order(now)[: self.depth]
            if all(row in self.reserved for row in walk):
                return

    def really_free(self, pieces):
        return all(
            not self.nodes[number].away
            and self.nodes[number].cpu >= cpu
            and self.nodes[number].memory >= mem
            and all(self.nodes[number].devices[device] >= amount for device, amount in parts.items())
            for number, cpu, mem, parts in pieces
        )

    def reserve(self, row, now, latest):
        """Hold the first pieces that stay free through the task's length, not later than `latest`."""
        length = max(max(self.sides(row, self.estimate[row], self.fixed[row], g)) for g in self.sim.cluster.groups)
        changes = self.planned_changes(row, now)
        for begin in sorted({now, *(time for time, gives, _ in changes if gives and time > now)}):
            if begin > latest:
                return
            nodes = self.state_after(changes, lambda time, at=begin: time <= at)
            least = copy.deepcopy(nodes)
            later = sorted({time for time, *_ in changes if begin < time < begin + length})
            for time in later:
                for node, other in zip(least, self.state_after(changes, lambda when, at=time: when <= at), strict=True):
                    node.cpu, node.memory = min(node.cpu, other.cpu), min(node.memory, other.memory)
                    node.away = max(node.away, other.away)
                    node.devices = [min(pair) for pair in zip(node.devices, other.devices, strict=True)]
            pieces = self.find(row, self.fixed[row], least)
            if pieces is not None:
                self.reserved[row] = (begin, self.lengths(row, self.estimate[row], self.fixed[row], pieces), pieces)
                return
        if latest == inf:
            self.reserved[row] = (inf, (0.0, 0.0), [])

    def planned_changes(self, row, now):
        """Return (time, gives back, change of the nodes) of what runs, of others' reservations and of outages."""
        changes = []

        def change(time, pieces, part, sign):
            def apply(nodes):
                for number, cpu, mem, parts in pieces:
                    nodes[number].take(
                        cpu if part == 0 else 0, mem if part == 2 else 0, parts if part == 1 else {}, sign=sign
                    )

            changes.append((time, sign < 0, apply))

        for other, held in self.held.items():
            cpu, gpu, end = (max(time, now) for time in self.ends[other])
            for part, time in enumerate((cpu, gpu, end)):
                change(time, held, part, -1)
        for other, (begin, (cpu, gpu), pieces) in self.reserved.items():
            if other != row and begin < inf:
                for part, length in enumerate((cpu, gpu, max(cpu, gpu))):
                    if length > 0:
                        change(begin, pieces, part, 1)
                        change(begin + length, pieces, part, -1)
        for time, number, sign in self.outages:

            def away(nodes, number=number, sign=sign):
                nodes[number].away += sign

            changes.append((time, True, away))
        return changes

    def state_after(self, changes, applies):
        nodes = copy.deepcopy(self.nodes)
        for time, _, apply in changes:
            if applies(time):
                apply(nodes)
        return nodes
