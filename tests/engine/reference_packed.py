"""Rounds in which two jobs may share a GPU, slowly and plainly: a round after another, a job or pair after another.

The rounds are those of `reference_rounds`; what is due a share is a unit, one job or two. Shares come from the engine.
"""

from dataclasses import dataclass, field

import numpy as np

from scheduler_sim.engine.kernels.rounds.allocations import Instant
from scheduler_sim.engine.kernels.rounds.packing import Pairs, packed_shares
from scheduler_sim.engine.kernels.rounds.state import Jobs
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray
from tests.engine.reference_rounds import HALF_ROUND, NEARLY_DONE, NEVER_HAD

Unit = tuple[int, ...]


@dataclass
class Due:
    """What a unit has and has had of each kind."""

    share: list[float]
    had: list[float]
    deficit: list[float]

    @classmethod
    def nothing(cls, kinds: int) -> "Due":
        return cls([0.0] * kinds, [HALF_ROUND] * kinds, [0.0] * kinds)


@dataclass
class Turn:
    """What a job does in a round."""

    row: int
    kind: int
    unit: Unit
    end: float
    seconds: float
    is_done: bool


@dataclass
class PlainPacking:
    """All rounds of some jobs; `spans` are (row, start, end, kind, part, reason) of all attempts."""

    jobs: Jobs
    job_type: IntArray
    beside: FloatArray
    programme: str
    round_time: float
    least_reset_time: float
    spans: list[tuple[int, float, float, int, float, str]] = field(default_factory=list)

    def play(self) -> None:
        """Play to the end."""
        jobs, n = self.jobs, len(self.jobs.work)
        self.kinds = list(range(len(jobs.workers)))
        self.left, self.service = jobs.work.tolist(), [0.0] * n
        self.due: dict[Unit, Due] = {(row,): Due.nothing(len(self.kinds)) for row in range(n)}
        self.total = [0.0 for _ in self.kinds]
        self.last: dict[int, tuple[int, Unit]] = {}
        self.settled: set[int] = set()
        self.present: list[int] = []
        self.now, self.last_reset, previous_end = float(jobs.arrival_time[0]), 0.0, 0.0
        coming, stale, tried = list(range(n)), False, False
        playing: dict[int, tuple[Turn, float]] = {}
        while coming or self.present:
            while coming and jobs.arrival_time[coming[0]] <= self.now:
                self.present.append(coming.pop(0))
                stale = True
            if stale and (self.last_reset == 0.0 or self.now - self.last_reset >= self.least_reset_time):
                self.settle()
                stale = False
            turns = [self.turn(*one) for one in self.choose()]
            if not turns:
                assert coming or not tried
                tried = not coming
                if coming:
                    self.now = float(jobs.arrival_time[coming[0]])
                else:
                    self.last_reset, stale = 0.0, True
                continue
            tried = False
            playing = self.hand_out(turns, playing)
            self.last = {one.row: (one.kind, one.unit) for one in turns}
            for unit, kind in {(one.unit, one.kind) for one in turns}:
                spent = max(one.end for one in turns if one.unit == unit) - previous_end
                self.due[unit].had[kind] += spent
                self.total[kind] += spent
            self.now = previous_end = max(one.end for one in turns)
            for one in turns:
                if one.is_done:
                    self.present.remove(one.row)
                    self.due = {unit: due for unit, due in self.due.items() if len(unit) == 1 or one.row not in unit}
                    stale = True

    def settle(self) -> None:
        """Settle shares anew, and count what each unit is owed from before."""
        jobs, since = self.jobs, self.now - self.last_reset
        for unit, due in self.due.items():
            if len(unit) == 2 or unit[0] in self.present:
                for kind in self.kinds:
                    due.deficit[kind] += due.share[kind] * since - (due.had[kind] - HALF_ROUND)
                    due.had[kind] = HALF_ROUND
        self.last_reset = self.now
        self.total = [HALF_ROUND * len(self.present) for _ in self.kinds]
        if not self.present:
            return
        rows = np.array(self.present)
        pairs = Pairs.of(jobs.rate[rows], self.job_type[rows], self.beside)
        alone, shared = packed_shares(self.programme, self.instant(rows), pairs)
        for row, share in zip(self.present, alone.tolist(), strict=True):
            self.due[row,].share = share
        self.settled |= set(self.present)
        units: dict[Unit, Due] = {unit: due for unit, due in self.due.items() if len(unit) == 1}
        for one, other, share in zip(rows[pairs.first], rows[pairs.second], shared.tolist(), strict=True):
            pair: Unit = (int(one), int(other))
            due = self.due.get(pair, Due.nothing(len(self.kinds)))
            due.share = share
            if any(share) or any(due.deficit):
                units[pair] = due
                self.total = [there + HALF_ROUND for there in self.total]
        self.due = units

    def instant(self, rows: IntArray) -> Instant:
        """Return what is known of the jobs that are there."""
        jobs, nothing = self.jobs, np.zeros(len(rows))
        known = []
        for row in rows.tolist():
            second = float(jobs.rate[row].max())
            left = float(jobs.known_work[row] - (jobs.work[row] - self.left[row]))
            known.append(left if left > NEARLY_DONE * second else second)
        had = np.array([self.due[row,].share for row in rows.tolist()])
        return Instant(
            jobs.gpus[rows], jobs.weight[rows], jobs.rate[rows], np.array(known), nothing, nothing, had, jobs.workers,
            jobs.names,
        )  # fmt: skip

    def choose(self) -> list[tuple[int, int, Unit]]:
        """Return who runs on which kind and as which unit, in the order of rows."""
        taken: dict[int, tuple[int, Unit]] = {}
        for kind in self.kinds:
            able: list[Unit] = [(row,) for row in self.present if self.jobs.rate[row, kind] > 0]
            able += [unit for unit, due in self.due.items() if len(unit) == 2 and due.share[kind] > 0]
            free = self.jobs.workers[kind]
            for unit in sorted(able, key=lambda unit: self.rank(unit, kind), reverse=True):
                gpus = self.jobs.gpus[unit[0]]
                if gpus <= free and not any(row in taken for row in unit):
                    free -= gpus
                    taken |= dict.fromkeys(unit, (kind, unit))
        return [(row, *taken[row]) for row in sorted(taken) if row in self.settled]

    def rank(self, unit: Unit, kind: int) -> tuple[float, ...]:
        """Return what units are taken by, highest first; equals in the order of arrival, jobs before pairs."""
        due = self.due[unit]
        fraction = due.had[kind] / max(self.total[kind], 1.0)
        priority = due.share[kind] / fraction if fraction > 0 else due.share[kind] * NEVER_HAD
        return (priority, due.deficit[kind], due.share[kind], -len(unit), *(-row for row in unit))

    def turn(self, row: int, kind: int, unit: Unit) -> Turn:
        """Let a job do what it can do in a round."""
        speed, lost = self.speed(row, kind, unit), 0.0
        if self.last.get(row) != (kind, unit):
            lost = float(self.jobs.overhead[row])
        done = speed * max(self.round_time - lost, 0.0)
        if self.jobs.in_steps:
            done = max(float(np.floor(done)), 1.0)
        done = min(done, self.left[row])
        self.left[row] -= done
        return Turn(row, kind, unit, self.now + lost + done / speed, done / speed, self.left[row] <= 0)

    def speed(self, row: int, kind: int, unit: Unit) -> float:
        """Return the rate of a job alone, or beside the other of its unit."""
        others = [one for one in unit if one != row]
        if not others:
            return float(self.jobs.rate[row, kind])
        return float(self.beside[self.job_type[row], self.job_type[others[0]], kind])

    def hand_out(self, turns: list[Turn], playing: dict[int, tuple[Turn, float]]) -> dict[int, tuple[Turn, float]]:
        """Return the turn of each job that is at work, and when its attempt began; close those that end."""
        wanted = {one.row: one for one in turns}
        going: dict[int, tuple[Turn, float]] = {}
        for row, (before, begun) in playing.items():
            self.service[row] += before.seconds
            after = wanted.get(row)
            if after is not None and (after.kind, after.unit) == (before.kind, before.unit):
                going[row] = (after, begun)
            else:
                reason = "moved" if after is not None and before.end == self.now else "suspended"
                self.close(before, begun, reason)
        for one in turns:
            begun = going.get(one.row, (one, self.now))[1]
            going[one.row] = (one, begun)
            if one.is_done:
                self.service[one.row] += one.seconds
                self.close(one, begun, "finished")
                del going[one.row]
        return going

    def close(self, turn: Turn, begun: float, reason: str) -> None:
        """Write an attempt down."""
        part = 1.0 if len(turn.unit) == 1 else 0.5
        self.spans.append((turn.row, begun, turn.end, turn.kind, part, reason))
