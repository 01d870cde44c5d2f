"""Rounds that bring shares about, slowly and plainly: who has had least of what is due to it runs (Gavel, OSDI 2020).

A round lasts until the last of its jobs has done what it can do in the round's length, in whole steps where work is
counted in steps; the GPUs of a job that is done earlier idle until then. Shares are settled anew when jobs came or
went, but not more often than every `least_reset_time` seconds; a job that came since then has no share and does not
run.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.contract import REASONS
from scheduler_sim.engine.kernels.rounds.allocations import Instant, NoAllocation, equal_shares
from scheduler_sim.engine.kernels.rounds.state import Jobs, Rules
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray
from tests.engine.gang_cases import Span, span

HALF_ROUND = 180.0
"""Seconds on each kind that a job counts as having had when shares are settled, so that no fraction is of nothing."""

NEARLY_DONE = 1e-3
"""Seconds of work: with less left of what was known of it, a job counts as having one second left."""

NEVER_HAD = 1e9
"""What a share is multiplied with where a job has had nothing of a kind."""

Sharing = Callable[[Instant], FloatArray]

FINISHED, STOPPED, MOVED = (REASONS.index(name) for name in ("finished", "suspended", "moved"))


@dataclass(frozen=True, eq=False)
class Round:
    """What a round does.

    Attributes:
        start_time, end_time: seconds; the end is that of the last job.
        rows: the jobs that run, ascending. kind: shape (rows,), where. end_time_of: when each is done.
        done_time: shape (rows,), seconds of progress. finished: shape (rows,), whose work is done with it.
    """

    start_time: float
    end_time: float
    rows: IntArray
    kind: IntArray
    end_time_of: FloatArray
    done_time: FloatArray
    finished: BoolArray

    @classmethod
    def empty(cls) -> "Round":
        """Return a round in which nothing runs."""
        none, nothing = np.zeros(0), np.zeros(0, np.int64)
        return cls(0.0, 0.0, nothing, nothing, none, none, np.zeros(0, bool))


class Mechanism:
    """The state between two rounds.

    Args:
        jobs: all of them. sharing: settles shares at an instant. rules: how rounds go on.
    """

    def __init__(self, jobs: Jobs, sharing: Sharing, rules: Rules) -> None:
        self.jobs, self.sharing, self.rules = jobs, sharing, rules
        size, kinds = jobs.rate.shape
        self.left = jobs.work.copy()
        self.active = np.zeros(0, np.int64)
        self.share = np.zeros((size, kinds))
        self.has_share = np.zeros(size, bool)
        self.had = np.full((size, kinds), HALF_ROUND)
        self.deficit = np.zeros((size, kinds))
        self.total = np.zeros(kinds)
        self.alone_time = np.zeros(size)
        self.alone_rate = np.ones(size)
        self.done_since = np.zeros(size)
        self.ran_on = np.full(size, -1)
        self.last_rows = np.zeros(0, np.int64)
        self.arrived = 0
        self.now = float(jobs.arrival_time[0])
        self.previous_end = 0.0
        self.last_reset = 0.0
        self.is_stale = False
        self.resets: list[float] = []
        self._shuffler = random.Random(rules.seed + 5)

    @property
    def next_start(self) -> float:
        """When the next round may begin, infinity when all work is done."""
        if len(self.active):
            return self.now
        return max(self.now, self._next_arrival())

    def play(self) -> Round:
        """Play the next round.

        Raises:
            NoAllocation: jobs are there, none is to come, and none of them can run.
        """
        is_last_try = False
        while True:
            self._admit()
            if self.is_stale and (self.now - self.last_reset >= self.rules.least_reset_time or self.last_reset == 0.0):
                self._settle()
            found = self._round()
            if len(found.rows):
                self._book(found)
                return found
            coming = self._next_arrival()
            if np.isfinite(coming):
                self.now = coming
                continue
            if is_last_try:
                raise NoAllocation(f"None of {len(self.active)} jobs can run at {self.now:g} s, and no job is to come.")
            is_last_try = True
            self.last_reset, self.is_stale = 0.0, True

    def _next_arrival(self) -> float:
        times = self.jobs.arrival_time
        return float(times[self.arrived]) if self.arrived < len(times) else np.inf

    def _admit(self) -> None:
        until = int(np.searchsorted(self.jobs.arrival_time, self.now, side="right"))
        if until > self.arrived:
            self.active = np.concatenate([self.active, np.arange(self.arrived, until)])
            self.arrived, self.is_stale = until, True

    def _settle(self) -> None:
        """Settle shares anew, and count what each job is owed from before."""
        rows, jobs = self.active, self.jobs
        self.deficit[rows] += self.share[rows] * (self.now - self.last_reset) - (self.had[rows] - HALF_ROUND)
        self.had[rows] = HALF_ROUND
        self.total[:] = HALF_ROUND * len(rows)
        self.last_reset, self.is_stale = self.now, False
        self.resets.append(self.now)
        if not len(rows):
            return
        self.alone_time[rows] += self.done_since[rows] / self.alone_rate[rows]
        self.done_since[rows] = 0.0
        instant = self.instant()
        self.alone_rate[rows] = (jobs.rate[rows] * equal_shares(instant)).sum(1)
        self.share[rows] = self.sharing(instant)
        self.has_share[rows] = True

    def instant(self) -> Instant:
        """Return what is known of the active jobs."""
        rows, jobs = self.active, self.jobs
        age_time, alone_time = self.now - jobs.arrival_time[rows], self.alone_time[rows]
        left, had_share = self._known_left(rows), self.share[rows]
        return Instant.of(jobs, rows, left=left, age_time=age_time, alone_time=alone_time, had_share=had_share)

    def _known_left(self, rows: IntArray) -> FloatArray:
        jobs = self.jobs
        second = jobs.rate[rows].max(1)
        left = jobs.known_work[rows] - (jobs.work[rows] - self.left[rows])
        return np.where(left > NEARLY_DONE * second, left, second)

    def _round(self) -> Round:
        rows, jobs = self.active, self.jobs
        order = list(range(len(jobs.workers)))
        if not self.rules.knows_kinds:
            self._shuffler.shuffle(order)
        share, rate = self.share[rows], jobs.rate[rows]
        fraction = self.had[rows] / np.where(self.total > 0, self.total, 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            priority = np.where(fraction > 0, share / fraction, share * NEVER_HAD)
        chosen = np.full(len(rows), -1)
        for column in order:
            wanted = (rate[:, column] > 0) & (chosen < 0)
            if self.rules.in_turn:
                wanted &= priority[:, column] > 0
            candidates = np.flatnonzero(wanted)
            owed = self.deficit[rows[candidates], column]
            keys = (-share[candidates, column], -owed, -priority[candidates, column])
            candidates = candidates[np.lexsort(keys)]
            fill(candidates, jobs.gpus[rows], jobs.workers[column], column, chosen)
        runs = np.flatnonzero((chosen >= 0) & self.has_share[rows])
        kind, rows = chosen[runs], rows[runs]
        speed = jobs.rate[rows, kind]
        lost = np.where(self.ran_on[rows] == kind, 0.0, jobs.overhead[rows])
        done = speed * np.maximum(self.rules.round_time - lost, 0.0)
        if jobs.in_steps:
            done = np.maximum(np.floor(done), 1.0)
        done = np.minimum(done, self.left[rows])
        ends = self.now + lost + done / speed
        self.left[rows] -= done
        self.done_since[rows] += done
        return Round(self.now, float(ends.max(initial=self.now)), rows, kind, ends, done / speed, self.left[rows] <= 0)

    def _book(self, played: Round) -> None:
        rows, kind = played.rows, played.kind
        self.ran_on[self.last_rows] = -1
        self.ran_on[rows], self.last_rows = kind, rows
        spent = played.end_time_of - self.previous_end
        self.had[rows, kind] += spent
        np.add.at(self.total, kind, spent)
        if played.finished.any():
            self.active = self.active[~np.isin(self.active, rows[played.finished])]
            self.is_stale = True
        self.now = self.previous_end = played.end_time


def fill(candidates: IntArray, gpus: FloatArray, free: float, kind: int, chosen: IntArray) -> None:
    """Give the GPUs of a kind to candidates in their order; who does not fit is passed over."""
    for place in candidates:
        if gpus[place] <= free:
            free -= gpus[place]
            chosen[place] = kind
            if free <= 0:
                return


@dataclass
class _Lease:
    """The GPUs that a task has at present, and since when."""

    kind: int
    places: IntArray
    begun: float
    until: float


class SlowRounds:
    """All rounds of a mechanism: what becomes of the jobs, and their attempts.

    A job that runs in two rounds running on one kind keeps its GPUs, and its attempt goes on.
    """

    def __init__(self, mechanism: Mechanism) -> None:
        self._mechanism, self._jobs = mechanism, mechanism.jobs
        n, workers = len(self._jobs.work), self._jobs.workers.astype(int).tolist()
        self._firsts = np.cumsum([0, *workers]).tolist()
        self.start, self.finish, self.begun = np.full((3, n), np.nan)
        self.node, self.device = np.full(n, -1), np.full(n, -1)
        self.attempts, self.ending = np.zeros(n, np.int64), np.full(n, -1, np.int64)
        self.service, self.held = np.zeros(n), np.zeros(n)
        self.order: list[int] = []
        self.written: list[tuple[int, int, float, float, int, int, int]] = []
        self.gangs: list[Span] = []
        self.clock = float(self._jobs.arrival_time[0])
        self._free = [np.arange(count - 1, -1, -1).tolist() for count in workers]
        self._leases: dict[int, _Lease] = {}
        self._upcoming: Round | None = None
        self._playing = Round.empty()
        self._ends: list[tuple[float, int]] = []

    def advance(self, until_time: float = np.inf, max_events: float = np.inf) -> None:
        """Play whole instants up to `until_time`, or until so many events are played."""
        done = 0
        while done < max_events:
            instant = self._next_start()
            if self._ends and self._ends[0][0] <= instant:
                instant = self._ends[0][0]
                if instant > until_time:
                    break
                while self._ends and self._ends[0][0] == instant:
                    self._end(*self._ends.pop(0))
                    done += 1
            elif instant > until_time or self._upcoming is None:
                break
            else:
                self._begin(self._upcoming)
                self._upcoming = None
                done += 1
            self.clock = instant

    def _next_start(self) -> float:
        """Return when the next round begins, infinity for none; what it does is then in `_upcoming`."""
        if self._upcoming is None and np.isfinite(self._mechanism.next_start):
            self._upcoming = self._mechanism.play()
        return np.inf if self._upcoming is None else self._upcoming.start_time

    def _begin(self, played: Round) -> None:
        """Hand GPUs out for a round, and take back those of who does not go on with the same ones."""
        now = played.start_time
        self._credit(~self._playing.finished)
        kind_of = dict(zip(played.rows.tolist(), played.kind.tolist(), strict=True))
        for row in [row for row, lease in self._leases.items() if kind_of.get(row) != lease.kind]:
            lease = self._leases.pop(row)
            moved = row in kind_of and lease.until == now
            self._close(row, lease, lease.until, MOVED if moved else STOPPED)
            self.finish[row] = np.nan
        ends = played.end_time_of.tolist()
        for place, row in enumerate(played.rows.tolist()):
            if row not in self._leases:
                kind = kind_of[row]
                count = int(self._jobs.gpus[row])
                places = np.sort([self._free[kind].pop() for _ in range(count)])
                self._leases[row] = _Lease(kind, places, now, now)
                self.attempts[row] += 1
                self.begun[row] = now
                first = self._firsts[kind] + int(places[0])
                self.node[row], self.device[row] = self._jobs.nodes[first], self._jobs.devices[first]
                if self.attempts[row] == 1:
                    self.start[row] = now
            self._leases[row].until = ends[place]
        self._playing = played
        speed = self._jobs.rate[played.rows, played.kind]
        self.finish[played.rows] = played.end_time_of + self._mechanism.left[played.rows] / speed
        finished = np.flatnonzero(played.finished)
        self._ends = sorted((ends[place], int(played.rows[place])) for place in finished.tolist())

    def _end(self, instant: float, row: int) -> None:
        lease = self._leases.pop(row)
        self._credit(self._playing.rows == row)
        self._close(row, lease, instant, FINISHED)
        self.service[row] = min(self.service[row], self.held[row])
        self.ending[row] = 0
        self.finish[row] = instant
        self.order.append(row)

    def _credit(self, places: BoolArray) -> None:
        """Count what tasks did in the round that ends."""
        self.service[self._playing.rows[places]] += self._playing.done_time[places]

    def _close(self, row: int, lease: _Lease, instant: float, reason: int) -> None:
        self.held[row] += instant - lease.begun
        self._free[lease.kind].extend(lease.places.tolist())
        self._free[lease.kind].sort(reverse=True)
        held: dict[int, dict[int, int]] = {}
        for place in (self._firsts[lease.kind] + lease.places).tolist():
            held.setdefault(int(self._jobs.nodes[place]), {})[int(self._jobs.devices[place])] = 1000
        if len(held) > 1:
            self.gangs.append(span(row, lease.begun, instant, [(node, 0, gpus) for node, gpus in held.items()]))
        number = int(self.attempts[row])
        if reason != FINISHED or number > 1:
            entry = (row, number, lease.begun, instant, int(self.node[row]), int(self.device[row]), reason)
            self.written.append(entry)
