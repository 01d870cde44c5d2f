"""A slow simulator of nodes whose tasks stop and go on, written from docs/model.md.

It is the slow simulator of nodes with attempts: what runs ends, fails, times out or makes room, and waits again with
what is left of it; the whole schedule is built from an empty cluster where waiting tasks may stop running ones.
"""

import copy
from dataclasses import replace
from math import inf, log1p
from types import SimpleNamespace
from typing import Any

import numpy as np

from scheduler_sim.engine.codes import BY_LEFT, LEARNED, MULTIFACTOR, ORACLE, STATIC
from tests.engine.reference_attempts import Attempt, ReferenceRules, TasksUnderWay
from tests.engine.reference_backfill import give
from tests.engine.reference_choice import weighed
from tests.engine.reference_nodes import ReferenceNodes
from tests.engine.reference_tasks import Piece


class ReferenceStopping(ReferenceNodes):
    """One policy playing one workload whose attempts it writes down.

    Args:
        simulation: what is played; its kernel is not looked at.
        rules: those of orders that score; the backfilling and its depth are the simulation's.
    """

    def __init__(self, simulation, rules: ReferenceRules):
        self.rules, self.course = rules, TasksUnderWay([], [], rules)
        n = len(simulation.workload)
        self.costs = [0.0] * n
        super().__init__(simulation)
        self.scores = replace(self.scores, base=self.scores.base.copy())
        self.by_arrival = np.array_equal(self.scores.base, self.w.arrival_time)
        self.work, self.left = self.w.runtime.tolist(), self.w.runtime.tolist()
        self.guess, self.guess_left = self.w.duration_estimate.tolist(), self.w.duration_estimate.tolist()
        known = self.w.estimate_known.tolist()
        self.limit = [guess if ok else inf for guess, ok in zip(self.guess, known, strict=True)]
        self.since_begin, self.service, self.held_seconds = [0.0] * n, [0.0] * n, [0.0] * n
        self.saved, self.tie = [False] * n, list(range(n))
        self.attempts, self.requeues, self.failures = [0] * n, [0] * n, [0] * n
        self.first_start, self.first_ready, self.ending = [None] * n, [None] * n, [None] * n
        self.running: dict[int, Any] = {}
        self.withheld: set[int] = set()
        self.doomed: set[int] = set()
        self.spans: list[Attempt] = []
        for row in range(n):
            self.prepare(row)

    # What an attempt does.

    def prepare(self, row):
        self.runtime[row] = self.left[row]
        if self.rules.limit != "run":
            self.runtime[row] = min(self.left[row], self.limit[row] - self.since_begin[row])
        if self.planned != ORACLE:
            self.estimate[row] = self.guess_left[row]
        self.costs[row] = self.rules.overhead if self.attempts[row] or self.rules.charge_first else 0.0
        self.costs[row] += self.rules.read if self.saved[row] else 0.0

    def sides(self, row, runtime, f, group):
        return tuple(self.costs[row] + self.course.span(seconds) for seconds in super().sides(row, runtime, f, group))

    def begin(self, row, f, pieces, now):
        super().begin(row, f, pieces, now)
        groups = [self.nodes[number].group for number, *_ in pieces]
        factor = self.factors[self.levels_crossed([piece.node for piece in pieces])]
        length = max(max(ReferenceNodes.sides(self, row, self.runtime[row] * factor, f, group)) for group in groups)
        pace = min(self.pace(row, group) for group in groups) / factor
        if self.w.hybrid[row]:
            pace = self.runtime[row] / length if length else 1.0
        self.attempts[row] += 1
        begun = self.start[row]
        self.running[row] = SimpleNamespace(
            begun=begun, progress_from=begun + self.costs[row], left=length, pace=pace, work=self.runtime[row]
        )
        if self.attempts[row] == 1:
            self.first_start[row], self.first_ready[row] = begun, self.ready[row]
        if begun > now and self.rules.preemption != "none":
            self.events.append((begun, row, "awake"))

    def close(self, row, now, reason):
        attempt = self.running.pop(row)
        self.spans.append((row, self.attempts[row], attempt.begun, now, self.node[row], self.device[row], reason))
        self.held_seconds[row] += now - attempt.begun
        self.charge(row, now)
        self.tell(row, attempt.begun, now)
        for node in (self.nodes[piece.node] for piece in self.held[row]):
            node.tasks -= 1
            node.idle_since = now
        give("end", self.nodes, self.held.pop(row))
        self.events = [event for event in self.events if event[1] != row]
        self.doomed.discard(row)
        return attempt

    def wakes(self, row, now):
        """Tell whether a task has its nodes and waits until they are awake, before which nothing stops it."""
        return row in self.running and self.running[row].begun > now

    def stop(self, row, now, reason):
        attempt = self.close(row, now, reason)
        self.now = now
        seconds, kept = self.course.progress(attempt, now)
        if reason == "suspended":
            kept = seconds
            self.since_begin[row] += kept * attempt.pace
        else:
            self.since_begin[row] = 0.0
            self.saved[row] = self.saved[row] or kept > 0
        self.left[row] -= kept * attempt.pace
        self.guess_left[row] = max(self.guess_left[row] - kept * attempt.pace, 0.0)
        self.service[row] += kept
        if reason == "requeued" and self.rules.preemption == "requeue":
            self.start_over(row)
            self.saved[row] = False
        self.lifted = True

    def start_over(self, row):
        self.left[row], self.guess_left[row], self.service[row] = self.work[row], self.guess[row], 0.0

    def leave(self, row, now, ending):
        self.finish[row], self.ending[row] = now, ending

    def put_back(self, rows, now, fails):
        for row in sorted(rows):
            self.node[row] = self.device[row] = -1
            self.prepare(row)
            if not fails and not self.is_open(row, now):
                self.withheld.add(row)
                continue
            if fails and self.rules.requeue_at == "end":
                self.tie[row], self.ready[row] = len(self.w) + self.later_ones, now
                self.later_ones += 1
                if self.by_arrival:
                    self.scores.base[row] = now
            self.queue.append(row)

    def settled_order(self, now):
        if self.scores.kind == LEARNED:
            scores = self.learned_scores(now)
            return sorted(self.queue, key=lambda row: (scores[row], self.tie[row]))
        if self.scores.kind in (STATIC, MULTIFACTOR):
            return sorted(self.queue, key=lambda row: (self.score(row, now), self.tie[row]))
        return super().settled_order(now)

    def score(self, row, now):
        if self.scores.kind != BY_LEFT:
            return super().score(row, now)
        features = self.scores.features
        assert features is not None
        r, n = features[row].tolist()
        attempt, stops, runs_for, runs = self.running.get(row), self.attempts[row], 0.0, 0.0
        left = self.guess_left[row]
        if attempt:
            left = max(left - max(now - attempt.progress_from, 0.0) * attempt.pace, 0.0)
            stops, runs_for, runs = stops - 1, max(now - attempt.begun, 0.0) ** 0.125 / 2.5, 1.0
        left, wait = log1p(left) / 5, max(now - self.ready[row], 0.0) ** 0.125 / 2.5
        x = [r, n, left, left * n, wait, runs, runs * left, runs * n, runs_for, log1p(stops)]
        return weighed(self.parameters, x, [1.0, log1p(len(self.queue)) / 5])

    # Events.

    def play(self):
        failures: list[tuple[float, int, int]] = []
        for begin, over, number in self.rules.outages:
            failures += [(begin, 1, number), (over, 0, number)]
        failures.sort()
        self.now, self.later_ones, self.lifted = -inf, 0, False
        clock = self.arrival[0]
        while any(end == inf for end in self.finish):
            times = self.instants_after(self.now)
            times += [max(failures[0][0], clock)] if failures else []
            times += [time for row in range(len(self.w)) for time in self.turns(row) if time > self.now]
            now = self.now = clock = min(times)
            back = self.end_attempts(now)
            for row in sorted(row for row in self.doomed if not self.wakes(row, now)):
                back += self.fall(row, now)
            while failures and failures[0][0] <= now:
                _, down, number = failures.pop(0)
                self.nodes[number].away += 1 if down else -1
                self.lifted = True
                if down:
                    back += self.fail(number, now)
            self.put_back(back, now, True)
            self.apply_outages_and_arrivals(now)
            self.take_turns(now)
            self.is_capped = False
            if not self.queue:
                continue
            if self.rules.preemption != "none" and self.backfill == "conservative":
                self.build_by_plan(now)
            elif self.rules.preemption != "none":
                self.build(now)
            elif self.planned:
                self.act_planned(now)
            elif self.backfill == "conservative":
                if self.lifted:
                    self.lift(now)
                self.act_conservative(now)
            else:
                self.act_unplanned(now)
        return self

    # Tasks that stop at times of their own.

    def turns(self, row):
        """Return when a task that has not ended may no longer run, and when it may again."""
        if self.scores.openings is None or self.finish[row] < inf:
            return []
        return [time for span in self.openings(row) for time in span if self.offered[row] < time < inf]

    def openings(self, row):
        found = self.scores.openings
        assert found is not None
        spans = slice(found.offsets[row], found.offsets[row + 1])
        return list(zip(found.begins[spans].tolist(), found.ends[spans].tolist(), strict=True))

    def is_open(self, row, now):
        return self.scores.openings is None or any(begin <= now < end for begin, end in self.openings(row))

    def take_turns(self, now):
        """Stop or withhold those that may not run now, and queue those that may again."""
        shut = [row for row in self.running if not self.is_open(row, now)]
        self.events += [(self.running[row].begun, row, "awake") for row in shut if self.wakes(row, now)]
        stops = [row for row in shut if not self.wakes(row, now)]
        for row in sorted(stops):
            self.stop(row, now, "suspended" if self.rules.pausing == "suspend" else "requeued")
        for row in [row for row in self.queue if not self.is_open(row, now)]:
            self.queue.remove(row)
            self.reserved.pop(row, None)
            self.withheld.add(row)
        self.put_back(stops, now, False)
        for row in sorted(row for row in self.withheld if self.is_open(row, now)):
            self.withheld.remove(row)
            self.queue.append(row)

    def lift(self, now):
        """Let all reservations count as missed, so that they are made anew together."""
        self.lifted = False
        self.reserved = {row: (-inf, lengths, pieces) for row, (_, lengths, pieces) in self.reserved.items()}

    def end_attempts(self, now):
        back = []
        ending = [event for event in self.events if event[0] == now]
        for event in sorted(ending, key=lambda event: (event[1], event[2] == "end")):
            _, row, part = event
            if event in self.events:
                self.events.remove(event)
            if part == "awake":
                continue
            if part != "end":
                give(part, self.nodes, self.held[row])
                continue
            attempt = self.running[row]
            if attempt.work >= self.left[row]:
                self.service[row] += attempt.left
                self.close(row, now, "finished")
                self.leave(row, now, "completed")
            elif self.rules.limit == "requeue" and self.requeues[row] < self.rules.max_requeues:
                self.requeues[row] += 1
                self.stop(row, now, "timed_out")
                if not self.saved[row]:
                    self.start_over(row)
                back.append(row)
            else:
                self.service[row] += attempt.left
                self.close(row, now, "timed_out")
                self.leave(row, now, "timed_out")
        return back

    def fail(self, number, now):
        back = []
        for row in sorted(self.held):
            if all(piece.node != number for piece in self.held[row]):
                continue
            if self.wakes(row, now):
                self.doomed.add(row)
                self.events.append((self.running[row].begun, row, "awake"))
            else:
                back += self.fall(row, now)
        return back

    def fall(self, row, now):
        """Stop a task whose node has failed, and return those that are to run again."""
        self.failures[row] += 1
        self.stop(row, now, "failed")
        if self.rules.max_failures is not None and self.failures[row] >= self.rules.max_failures:
            self.leave(row, now, "failed")
            return []
        return [row]

    # The schedule where waiting tasks may stop running ones.

    def build(self, now):
        nodes = copy.deepcopy(self.nodes)
        for row in self.held:
            give("end", nodes, copy.deepcopy(self.held[row]))
        active = self.in_one_order(now)
        undecided, left = [row for row in active if row in self.held], self.power_left()
        begins: list[int] = []
        chosen, stops = {}, []
        blocked, head, shadow, later = False, None, inf, nodes
        for row in active:
            if row in self.held:
                undecided.remove(row)
                if not self.has_room(row, nodes, left, begins):
                    stops.append(row)
                    continue
                self.take(nodes, self.pieces(row))
                left -= self.drawn_by(self.held[row], 0)
                chosen[row] = (self.ends[row][2], self.pieces(row))
                if head is not None and shadow < inf and self.ends[row][2] > shadow:
                    self.take(later, self.pieces(row))
                continue
            if blocked:
                continue
            pieces, lacks_power = self.place(row, undecided, nodes, left, begins)
            if pieces is None:
                blocked = self.backfill == "none"
                if self.backfill == "easy" and head is None:
                    head, (shadow, later) = row, self.shadow_of(row, nodes, chosen, now)
                continue
            end = now + max(self.lengths(row, self.estimate[row], self.fixed[row], pieces))
            if head is not None and shadow < inf and end > shadow:
                trial = copy.deepcopy(later)
                self.take(trial, pieces)
                if not self.could_start(head, trial):
                    continue
                later = trial
            if lacks_power:
                self.is_capped = blocked = True
                continue
            self.take(nodes, pieces)
            left -= self.drawn_by(pieces, 0)
            chosen[row] = (end, pieces)
            begins.append(row)
        self.carry_out(now, chosen, begins, stops)

    def in_one_order(self, now):
        """Return who runs and who waits in one order, first those whose nodes still wake: nobody stops them."""
        active = [*self.held, *self.queue]
        return sorted(active, key=lambda row: (not self.wakes(row, now), self.score(row, now), self.tie[row]))

    def carry_out(self, now, chosen, begins, stops):
        for row in stops:
            self.stop(row, now, "suspended" if self.rules.preemption == "suspend" else "requeued")
        for row in begins:
            self.begin(row, self.fixed[row], chosen[row][1], now)
        self.put_back(stops, now, False)

    def pieces(self, row):
        """Return what a running task holds."""
        return [Piece(held.node, held.cpu, held.memory, held.parts) for held in self.held[row]]

    def place(self, row, undecided, nodes, left, begins):
        """Find a place without stopping anybody if that can be, else stopping those behind, the last first.

        Returns it, and whether power is too little even without them.
        """
        pieces = None
        for last in range(len(undecided), -1, -1):
            trial, power = copy.deepcopy(nodes), left
            for other in undecided[:last]:
                if self.has_room(other, trial, power, begins):
                    self.take(trial, self.pieces(other))
                    power -= self.drawn_by(self.held[other], 0)
            pieces = self.find(row, self.fixed[row], trial, now=True)
            if pieces is not None and self.drawn_by(pieces, 0) <= power:
                return pieces, False
        return pieces, pieces is not None

    def has_room(self, row, nodes, left, begins):
        """Tell whether a running task may go on; power stops nobody where nobody begins."""
        has_power = not begins or self.drawn_by(self.held[row], 0) <= left
        return has_power and self.still_free(nodes, self.pieces(row))

    @staticmethod
    def take(nodes, pieces, sign=1):
        for number, cpu, memory, parts in pieces:
            nodes[number].take(cpu, memory, parts, sign=sign)

    @staticmethod
    def still_free(nodes, pieces):
        return all(
            nodes[number].cpu >= cpu
            and nodes[number].memory >= memory
            and all(nodes[number].devices[device] >= amount for device, amount in parts.items())
            for number, cpu, memory, parts in pieces
        )

    def shadow_of(self, head, nodes, chosen, now):
        """Return when the head fits by the expected ends of those chosen ahead of it, and the nodes then."""
        later = copy.deepcopy(nodes)
        changes = [(max(end, now), pieces) for end, pieces in chosen.values()]
        for time in sorted({*(end for end, _ in changes), *(time for time, *_ in self.outages)}):
            for end, pieces in changes:
                if end == time:
                    self.take(later, pieces, sign=-1)
            for when, number, sign in self.outages:
                if when == time:
                    later[number].away += sign
            if self.could_start(head, later):
                return time, later
        return inf, later

    def build_by_plan(self, now):
        """Plan all in order: who runs holds its place up to the first conflict, others the earliest that lasts."""
        empty = copy.deepcopy(self.nodes)
        for row in self.held:
            give("end", empty, copy.deepcopy(self.held[row]))
        spans: list[tuple[float, float, list[Piece]]] = []
        free, planned, left = copy.deepcopy(empty), 0, self.power_left()
        begins: list[int] = []
        chosen, stops = {}, []

        def state(time):
            nodes = copy.deepcopy(empty)
            for when, number, sign in self.outages:
                nodes[number].away += sign if when <= time else 0
            for begin, end, pieces in spans:
                if begin <= time < end:
                    self.take(nodes, pieces)
            return nodes

        def find_through(row, begin, length):
            inside = {time for span in spans for time in span[:2]} | {time for time, *_ in self.outages}
            least = state(begin)
            for time in sorted(time for time in inside if begin < time < begin + length):
                for node, other in zip(least, state(time), strict=True):
                    node.cpu, node.memory = min(node.cpu, other.cpu), min(node.memory, other.memory)
                    node.away = max(node.away, other.away)
                    node.devices = [min(pair) for pair in zip(node.devices, other.devices, strict=True)]
            return self.find(row, self.fixed[row], least)

        for row in self.in_one_order(now):
            if row in self.held:
                if not self.has_room(row, free, left, begins):
                    stops.append(row)
                    continue
                self.take(free, self.pieces(row))
                left -= self.drawn_by(self.held[row], 0)
                end = max(self.ends[row][2], now)
                points = sorted({now, *(span[0] for span in spans if span[0] > now)})
                until = [time for time in points if time < end and not self.still_free(state(time), self.pieces(row))]
                spans.append((now, min([end, *until]), self.pieces(row)))
                continue
            if planned == self.depth:
                continue
            length = self.longest(row, self.estimate[row], self.fixed[row])
            later = {span[1] for span in spans} | {time for time, *_ in self.outages}
            pieces = None
            for begin in sorted({now, *(time for time in later if time > now)}):
                pieces = find_through(row, begin, length)
                if pieces is not None:
                    break
            if pieces is not None:
                spans.append(
                    (begin, begin + max(self.lengths(row, self.estimate[row], self.fixed[row], pieces)), pieces)
                )
                if begin == now and not self.is_capped and self.still_free(free, pieces):
                    drawn = self.drawn_by(pieces, 0)
                    if drawn <= left:
                        self.take(free, pieces)
                        left -= drawn
                        chosen[row] = (None, pieces)
                        begins.append(row)
                        continue
                    self.is_capped = True
            planned += 1
        self.carry_out(now, chosen, begins, stops)
