"""Rounds in which two jobs may have one GPU together, each at the rate that it has beside the other.

The rounds are those of `mechanism`; what is due a share is a job, or a pair of jobs for which sharing pays
(`packing`). On each kind of GPU the jobs and pairs are taken by the same rule, who is taken already is passed over, and
a pair is taken only where it has a share. A pair has its rates until its round ends, also when one of them is done
earlier.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.codes import ARRIVED, COMMON, FINISHED, MILLI
from scheduler_sim.engine.contract import ENDINGS, REASONS, Pieces
from scheduler_sim.engine.kernels.attempts import attempt_type
from scheduler_sim.engine.kernels.rounds.allocations import Instant, NoAllocation
from scheduler_sim.engine.kernels.rounds.mechanism import known_left
from scheduler_sim.engine.kernels.rounds.packing import Pairs, packed_shares
from scheduler_sim.engine.kernels.rounds.state import HALF_ROUND, Jobs
from scheduler_sim.engine.kernels.structures.gang_buffer import PIECE
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray

ENDED, STOPPED, MOVED = (REASONS.index(name) for name in ("finished", "suspended", "moved"))
COMPLETED = ENDINGS.index("completed")

NEVER_HAD = 1e9
"""What a share is multiplied with where a job or pair has had nothing of a kind."""

SHARED = 0.5
"""The part of its GPU, and of the cores that go with it, that a job of a pair counts as holding."""

TASK = np.dtype(
    [
        *((name, "f8") for name in ("work_left", "start", "finish", "begun", "until", "done_time")),
        *((name, "f8") for name in ("service", "held", "area", "part")),
        *((name, "i8") for name in ("kind", "partner", "ran_on", "ran_with", "node", "device")),
        *((name, "i8") for name in ("attempts", "ending", "is_done", "has_share")),
    ]
)
"""A job: what it holds (`kind`, -1 for nothing, with its `partner`, -1 for none, and the `part` of what it asks for),
what it held in the round that was found last (`ran_on`, `ran_with`), and the sum of seconds times parts (`area`)."""

ATTEMPT = attempt_type(("part", "f8"))


class PackedState(NamedTuple):
    """What is known of n jobs, and of the simulation: see `Outcome` and `BaseKernel`."""

    tasks: npt.NDArray[np.void]
    order: IntArray
    counts: IntArray
    clock: FloatArray


class Run(NamedTuple):
    """What a job does in a round: where, with whom (-1 for nobody), until when, for how long, and if it ends it."""

    row: int
    kind: int
    partner: int
    end: float
    done_time: float
    is_done: bool


@dataclass
class Due:
    """What p pairs have and have had, shape (p, k); their rows, shape (p,), and rates, shape (p, k, 2)."""

    first: IntArray
    second: IntArray
    rate: FloatArray
    share: FloatArray
    had: FloatArray
    deficit: FloatArray

    @classmethod
    def none(cls, kinds: int) -> "Due":
        """Return no pairs."""
        rows, real = np.zeros(0, np.int64), np.zeros((0, kinds))
        return cls(rows, rows, np.zeros((0, kinds, 2)), real, real, real)

    def without(self, rows: list[int]) -> "Due":
        """Return the pairs that none of these jobs is in."""
        kept = ~(np.isin(self.first, rows) | np.isin(self.second, rows))
        return Due(*(values[kept] for values in vars(self).values()))


@dataclass
class Packing:
    """The rounds of one programme of shares.

    Attributes:
        jobs: all of them. job_type: shape (n,), -1 for jobs that share with nobody. beside: see `Pairs.of`.
        programme: its name. round_time: seconds. least_reset_time: seconds between two settlements.
    """

    jobs: Jobs
    job_type: IntArray
    beside: FloatArray
    programme: str
    round_time: float = 360.0
    least_reset_time: float = 1920.0
    state: PackedState = field(init=False)

    def __post_init__(self) -> None:
        n, kinds = self.jobs.rate.shape
        tasks = np.zeros(n, TASK)
        tasks["work_left"], tasks["part"] = self.jobs.work, 1.0
        for name in ("start", "finish", "begun"):
            tasks[name] = np.nan
        for name in ("kind", "partner", "ran_on", "ran_with", "device", "ending"):
            tasks[name] = -1
        first = float(self.jobs.arrival_time[0]) if n else 0.0
        self.state = PackedState(tasks, np.zeros(n, np.int64), np.zeros(COMMON, np.int64), np.full(2, first))
        self.share, self.deficit = np.zeros((n, kinds)), np.zeros((n, kinds))
        self.had = np.full((n, kinds), HALF_ROUND)
        self.pairs = Due.none(kinds)
        self.total = np.zeros(kinds)
        self.active: list[int] = []
        self.now, self.previous_end, self.last_reset = max(first, 0.0), 0.0, 0.0
        self.is_stale = False
        self.arrived = 0
        self._next: tuple[float, list[Run]] | None = None
        self._playing: list[Run] = []
        self._ends: list[Run] = []
        self._written: list[tuple[float, ...]] = []
        self._pieces: list[tuple[float, ...]] = []
        self._spans = 0
        self._firsts = np.concatenate(([0], np.cumsum(self.jobs.workers.astype(np.int64)))).tolist()
        self._holders = np.zeros(self._firsts[-1], np.int64)
        self._places: dict[int, IntArray] = {}

    def advance(self, until_time: float, max_events: int) -> None:
        """Play whole instants up to and including `until_time`, and stop after at least `max_events` events.

        Raises:
            NoAllocation: jobs are there, none is to come, and none of them can run.
        """
        clock, events = self.state.clock, 0
        while events < max_events:
            if self._next is None:
                self._next = self._find_round()
            start, found = self._next
            instant = self._ends[0].end if self._ends else np.inf
            if instant <= start and self._ends:
                if instant > until_time:
                    break
                while self._ends and self._ends[0].end == instant:
                    self._end(self._ends.pop(0))
                    events += 1
            elif start > until_time or not found:
                break
            else:
                instant = start
                self._begin(start, found)
                events += 1
            clock[0] = instant
        if events >= max_events:
            until_time = clock[0]
        if until_time < np.inf:
            clock[1] = max(clock[1], until_time)

    def drain(self) -> npt.NDArray[np.void]:
        """Return the attempts that have ended since the last call, of `ATTEMPT`."""
        found = np.array(self._written, ATTEMPT)
        self._written.clear()
        return found

    def drain_pieces(self) -> Pieces:
        """Return what jobs on several nodes held of each, of the spans that ended since the last call."""
        found = np.array(self._pieces, PIECE)
        self._pieces.clear()
        return Pieces.of_records(found) if len(found) else Pieces.none()

    def _find_round(self) -> tuple[float, list[Run]]:
        """Return when the next round begins and what runs in it, nothing where all is done."""
        arrivals, n = self.jobs.arrival_time, len(self.jobs.work)
        is_last_try = False
        while self.active or self.arrived < n:
            while self.arrived < n and arrivals[self.arrived] <= self.now:
                self.active.append(self.arrived)
                self.arrived += 1
                self.is_stale = True
            since = self.now - self.last_reset
            if self.is_stale and (since >= self.least_reset_time or self.last_reset == 0.0):
                self._settle()
            start, found = self.now, self._choose()
            if found:
                self._book(found)
                return start, found
            if self.arrived < n:
                self.now = float(arrivals[self.arrived])
            elif is_last_try:
                raise NoAllocation(f"None of {len(self.active)} jobs can run at {start:g} s, and no job is to come.")
            else:
                is_last_try, self.last_reset, self.is_stale = True, 0.0, True
        return np.inf, []

    def _settle(self) -> None:
        """Settle shares anew, and count what each job and pair is owed from before."""
        rows, pairs, since = np.array(self.active, np.int64), self.pairs, self.now - self.last_reset
        self.deficit[rows] += self.share[rows] * since - (self.had[rows] - HALF_ROUND)
        self.had[rows] = HALF_ROUND
        owed = pairs.deficit + pairs.share * since - (pairs.had - HALF_ROUND)
        self.last_reset, self.is_stale = self.now, False
        self.total[:] = HALF_ROUND * len(rows)
        if not len(rows):
            self.pairs = Due.none(len(self.total))
            return
        found = Pairs.of(self.jobs.rate[rows], self.job_type[rows], self.beside)
        self.share[rows], shared = packed_shares(self.programme, self._instant(rows), found)
        self.state.tasks["has_share"][rows] = 1
        # Who is owed something stays a pair without a share, so that it is still owed when it has one again.
        known = {(i, j): one for one, (i, j) in enumerate(zip(pairs.first, pairs.second, strict=True))}
        first, second = rows[found.first], rows[found.second]
        before = np.array([known.get(pair, -1) for pair in zip(first, second, strict=True)], np.int64)
        debt = np.zeros(shared.shape)
        debt[before >= 0] = owed[before[before >= 0]]
        kept = (shared > 0).any(1) | (debt != 0).any(1)
        self.pairs = Due(
            first[kept],
            second[kept],
            found.rate[kept],
            shared[kept],
            np.full(shared[kept].shape, HALF_ROUND),
            debt[kept],
        )
        self.total += HALF_ROUND * int(kept.sum())

    def _instant(self, rows: IntArray) -> Instant:
        jobs, nothing = self.jobs, np.zeros(len(rows))
        left = known_left(jobs, rows, self.state.tasks["work_left"][rows])
        return Instant.of(jobs, rows, left=left, age_time=nothing, alone_time=nothing, had_share=self.share[rows])

    def _choose(self) -> list[Run]:
        """Choose who runs on which kind from now on, alone or in a pair; jobs in the order of their arrival."""
        rows, pairs, taken = np.array(self.active, np.int64), self.pairs, set[int]()
        chosen: list[tuple[int, int, int]] = []
        for kind, free in enumerate(self.jobs.workers.tolist()):
            alone = rows[self.jobs.rate[rows, kind] > 0]
            due = np.flatnonzero(pairs.share[:, kind] > 0)
            first, second = np.append(alone, pairs.first[due]), np.append(np.full(len(alone), -1), pairs.second[due])
            share = np.append(self.share[alone, kind], pairs.share[due, kind])
            had = np.append(self.had[alone, kind], pairs.had[due, kind]) / max(self.total[kind], 1.0)
            owed = np.append(self.deficit[alone, kind], pairs.deficit[due, kind])
            priority = np.where(had > 0, share / np.where(had > 0, had, 1.0), share * NEVER_HAD)
            for place in np.lexsort((-share, -owed, -priority)).tolist():
                one, other = int(first[place]), int(second[place])
                if free <= 0:
                    break
                if one in taken or other in taken or self.jobs.gpus[one] > free:
                    continue
                free -= self.jobs.gpus[one]
                taken.add(one)
                chosen.append((one, kind, other))
                if other >= 0:
                    taken.add(other)
                    chosen.append((other, kind, one))
        has_share = self.state.tasks["has_share"]
        return [self._run(*each) for each in sorted(chosen) if has_share[each[0]]]

    def _run(self, row: int, kind: int, partner: int) -> Run:
        jobs, task = self.jobs, self.state.tasks[row]
        speed = self._speed(row, kind, partner)
        lost = 0.0 if (task["ran_on"], task["ran_with"]) == (kind, partner) else float(jobs.overhead[row])
        done = speed * max(self.round_time - lost, 0.0)
        if jobs.in_steps:
            done = max(np.floor(done), 1.0)
        done = min(done, float(task["work_left"]))
        task["work_left"] -= done
        return Run(row, kind, partner, self.now + lost + done / speed, done / speed, bool(task["work_left"] <= 0))

    def _speed(self, row: int, kind: int, partner: int) -> float:
        if partner < 0:
            return float(self.jobs.rate[row, kind])
        return float(self.beside[self.job_type[row], self.job_type[partner], kind])

    def _book(self, found: list[Run]) -> None:
        """Count the time that jobs and pairs have had with the next round, and let those go that are done."""
        tasks, pairs = self.state.tasks, self.pairs
        tasks["ran_on"] = -1
        self.now = max(run.end for run in found)
        ends = {run.row: run.end for run in found}
        for run in found:
            tasks["ran_on"][run.row], tasks["ran_with"][run.row] = run.kind, run.partner
            if run.partner < 0:
                spent = run.end - self.previous_end
                self.had[run.row, run.kind] += spent
            elif run.row < run.partner:
                spent = max(run.end, ends[run.partner]) - self.previous_end
                pairs.had[(pairs.first == run.row) & (pairs.second == run.partner), run.kind] += spent
            else:
                continue
            self.total[run.kind] += spent
        self.previous_end = self.now
        done = [run.row for run in found if run.is_done]
        if done:
            self.active = [row for row in self.active if row not in done]
            self.pairs, self.is_stale = pairs.without(done), True

    def _begin(self, now: float, found: list[Run]) -> None:
        """Hand GPUs out for a round, and take back those of who does not go on alone or with the same other."""
        tasks, wanted = self.state.tasks, {run.row: run for run in found}
        for run in self._playing:
            task = tasks[run.row]
            if run.is_done:
                continue
            task["service"] += run.done_time
            after = wanted.get(run.row)
            if after is None or (after.kind, after.partner) != (run.kind, run.partner):
                moved = after is not None and task["until"] == now
                self._close(run.row, float(task["until"]), MOVED if moved else STOPPED)
                task["finish"] = np.nan
        for run in found:
            task = tasks[run.row]
            if task["kind"] < 0:
                self._open(run, now)
            task["until"] = run.end
            task["finish"] = run.end + task["work_left"] / self._speed(run.row, run.kind, run.partner)
        self._playing, self._next = found, None
        self._ends = sorted((run for run in found if run.is_done), key=lambda run: run.end)

    def _open(self, run: Run, now: float) -> None:
        """Begin an attempt on the lowest free GPUs of a kind, or on that of its partner."""
        task, first = self.state.tasks[run.row], self._firsts[run.kind]
        if run.partner in self._places and self.state.tasks["kind"][run.partner] == run.kind:
            places = self._places[run.partner]
        else:
            free = np.flatnonzero(self._holders[first : self._firsts[run.kind + 1]] == 0)
            places = first + free[: int(self.jobs.gpus[run.row])]
        self._places[run.row] = places
        self._holders[places] += 1
        task["kind"], task["partner"], task["part"] = run.kind, run.partner, SHARED if run.partner >= 0 else 1.0
        task["attempts"] += 1
        task["begun"] = now
        task["node"], task["device"] = self.jobs.nodes[places[0]], self.jobs.devices[places[0]]
        if task["attempts"] == 1:
            task["start"] = now

    def _close(self, row: int, end: float, reason: int) -> None:
        """End the attempt of a job, and write it."""
        task = self.state.tasks[row]
        task["held"] += end - task["begun"]
        task["area"] += (end - task["begun"]) * task["part"]
        places = self._places.pop(row)
        self._holders[places] -= 1
        self._keep_pieces(row, float(task["begun"]), end, places)
        task["kind"] = task["partner"] = -1
        where = (task["node"], task["device"], reason, task["part"])
        self._written.append((row, task["attempts"], task["begun"], end, *where))

    def _keep_pieces(self, row: int, begun: float, end: float, places: IntArray) -> None:
        nodes = self.jobs.nodes[places].tolist()
        if len(set(nodes)) == 1:
            return
        self._spans += 1
        for node, device in zip(nodes, self.jobs.devices[places].tolist(), strict=True):
            self._pieces.append((self._spans, row, begun, end, node, 0, MILLI, 1 << device))

    def _end(self, run: Run) -> None:
        task, counts = self.state.tasks[run.row], self.state.counts
        task["service"] += run.done_time
        self._close(run.row, run.end, ENDED)
        task["service"] = min(task["service"], task["held"])
        task["ending"], task["finish"] = COMPLETED, run.end
        self.state.order[counts[FINISHED]] = run.row
        counts[FINISHED] += 1
        counts[ARRIVED] = self.arrived
