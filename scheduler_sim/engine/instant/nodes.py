"""One step of none, list or easy on a cluster of nodes, in plain Python: what is tried when, and why it waits.

The state is that of the stored schedule: what runs, on which nodes and devices. Tasks that started are put where they
ran; of the others it is looked whether they fit, and under EASY by how much they would delay the head.
"""

from collections.abc import Iterator

import numpy as np

from scheduler_sim.engine.codes import COMPACT, EASY, NONE
from scheduler_sim.engine.instant.decision import Decision, Decisions, NotExplained
from scheduler_sim.engine.instant.holdings import Holdings
from scheduler_sim.engine.instant.room import SETTLED, Asked, Piece, Room
from scheduler_sim.engine.instant.scores import order_at, scores_at
from scheduler_sim.engine.instant.standing import Schedule
from scheduler_sim.engine.policies import ORDERS
from scheduler_sim.engine.workloads.workload import IntArray


class NodesStep:
    """One step on nodes.

    Args:
        schedule: all tasks that wait or run at `time`.
        running: rows that have begun before and go on.
    """

    def __init__(self, schedule: Schedule, time: float, running: IntArray, holdings: Holdings) -> None:
        self.schedule, self.time, self.holdings = schedule, time, holdings
        self.policy, self.outcome = schedule.policy, schedule.outcome
        self.code = schedule.policy.backfill.code
        self.room, self.held = holdings.room_beside(running, time)
        self.begun = dict(zip(running.tolist(), schedule.outcome.start_time[running].tolist(), strict=True))
        self.verdicts: dict[int, Decision] = {}
        self.head, self.shadow = -1, np.nan
        self.plan = self.room
        self.later: list[tuple[float, int, int]] = []
        self.free_side: dict[int, tuple[bool, bool]] = {}
        self.begun_before = set(np.flatnonzero(self.outcome.start_time < time).tolist())

    def act(self, queue: IntArray) -> Decisions:
        """Let the policy act; where tasks of no length start, it acts once more when they have ended."""
        tried: list[int] = []
        waiting = sorted(queue.tolist())
        gone: set[int] = set()
        while True:
            self.head, self.shadow = -1, np.nan
            started = self._round([row for row in waiting if self._is_ready(row, gone)])
            tried += started
            waiting = [row for row in waiting if row not in self.held]
            ended = [row for row in started if self.outcome.finish_time[row] == self.time]
            if not ended:
                break
            for row in ended:
                gone.add(row)
                del self.begun[row]
                for piece in self.held[row]:
                    self.room.take(piece, back=-1)
        order = [row for row in self.verdicts if row not in set(tried)]
        found = tuple(self.verdicts[row] for row in (*tried, *order))
        return Decisions(self.time, found, self.head, self.shadow)

    def _is_ready(self, row: int, gone: set[int]) -> bool:
        """Tell whether no parent of a task has yet to start and end at the instant."""
        parents = self.schedule.workload.parents
        mine = parents.rows[parents.offsets[row] : parents.offsets[row + 1]].tolist()
        return all(one in gone or one in self.begun_before for one in mine)

    def _round(self, ready: list[int]) -> list[int]:
        started: list[int] = []
        walk = self._walk(ready)
        unfit: set[tuple[object, ...]] = set()
        while (found := next(walk, None)) is not None:
            row, score = found
            asked = self.holdings.asked(row)
            blocked = self.code == NONE and self.head >= 0
            if not blocked and self.outcome.start_time[row] == self.time and self._start(row, score, asked):
                started.append(row)
                continue
            key = (asked.full_count, asked.full, asked.last, id(asked.allowed))
            if blocked:
                self._say(row, score, "blocked")
            elif key in unfit or self.room.find(asked) is None:
                unfit.add(key)
                self._say(row, score, "resources", lacks=self.room.lacks(asked))
                if self.head < 0:
                    self.head = row
                    if self.code == EASY:
                        self._reserve(row)
                        walk = self._behind(walk, [one for one in ready if one not in self.held and one != row])
            elif self.code == EASY and self.head >= 0 and self.shadow < np.inf:
                self._say(row, score, "delays", delay=self._delay(row, asked))
            else:
                raise self._not_as_played(row, "fits and was not started")
        return started

    def _walk(self, ready: list[int]) -> Iterator[tuple[int, float]]:
        return order_at(self.schedule, np.array(ready, np.int64), self.time, self.room, self.holdings, self.held)

    def _behind(self, walk: Iterator[tuple[int, float]], rest: list[int]) -> Iterator[tuple[int, float]]:
        """Return the order in which what waits behind the head is tried."""
        name = self.policy.backfill.order
        if name is None:
            return walk
        rows = np.array(sorted(rest), np.int64)
        values = scores_at(self.schedule, rows, self.time, ORDERS[name])
        return iter([(int(rows[at]), float(values[at])) for at in np.argsort(values, kind="stable")])

    def _say(self, row: int, score: float, verdict: str, *, delay: float = np.nan, lacks: tuple[str, ...] = ()) -> None:
        free, gpus = self.room.free_cores, self.room.free_gpus
        self.verdicts[row] = Decision(row, score, verdict, free, delay, free_gpus=gpus, lacks=lacks)

    def _start(self, row: int, score: float, asked: Asked) -> bool:
        """Put a task where it ran, and tell whether that is possible: it has to fit, and not to delay the head."""
        if asked.full_count and not self.holdings.knows_gang(row, self.time):
            if not self._settles(asked):
                raise NotExplained(
                    f"Of a task on several nodes that {self.policy.placement.name} chooses the lowest is stored, so "
                    "that it is not known what the others have left."
                )
            pieces = self.room.find(asked, self._rule)
        else:
            held = self.holdings.pieces(row, self.time)
            pieces = held if self.room.holds(asked, held) else None
        if pieces is None or min(piece.node for piece in pieces) != self.outcome.node[row]:
            return False
        passes = self.head >= 0 and self.code == EASY and self.shadow < np.inf
        if passes and not self._leaves_the_head(row, pieces):
            return False
        self._say(row, score, "backfilled" if self.head >= 0 else "started")
        for piece in pieces:
            self.room.take(piece)
        self.held[row], self.begun[row] = pieces, self.time
        return True

    def _settles(self, asked: Asked) -> bool:
        """Tell whether the nodes that a task would take follow from what is left."""
        if self._rule == COMPACT and asked.full_count and self.schedule.cluster.topology is not None:
            return False
        return self._rule in SETTLED or asked.pieces == asked.full_count

    def _not_as_played(self, row: int, what: str) -> NotExplained:
        number = self.schedule.workload.task_id[row]
        return NotExplained(
            f"Made again, task {number} {what} at {self.time:.12g}; the step of {self.policy.name} is not explained."
        )

    @property
    def _rule(self) -> int:
        return self.policy.placement.code

    # EASY: the head's reservation, and who would delay it.

    def _ends(self, row: int, pieces: list[Piece]) -> tuple[float, float, float]:
        """Return when a task that runs is expected to give its cores and its GPUs back, and to end."""
        estimate = float(self.schedule.workload.duration_estimate[row])
        ends = self.holdings.ends(row, self.begun[row], estimate, [piece.node for piece in pieces])
        cpu, gpu, end = (max(one, self.time) for one in ends)
        return cpu, gpu, end

    def _changes(self) -> list[tuple[float, int, int]]:
        """Return what changes later: when, of which row, or of -1 - node an outage, and which part or sign."""
        changes: list[tuple[float, int, int]] = []
        for row in self.begun:
            changes += [(end, row, part) for part, end in enumerate(self._ends(row, self.held[row]))]
        changes += [(when, -1 - node, sign) for when, node, sign in self.holdings.outages() if when > self.time]
        return sorted(changes)

    def _reserve(self, head: int) -> None:
        """Find the head's reservation by the estimates of what runs, and keep what the nodes have left then."""
        self.plan = self.room.copy()
        self.later = self._changes()
        # A side that has ended is free already.
        self.free_side = {row: self._free_sides(row) for row in self.begun}
        self.shadow, place = self._first_fit(self.plan, 0, head)
        self.later = self.later[place:]

    def _free_sides(self, row: int) -> tuple[bool, bool]:
        workload, holdings = self.schedule.workload, self.holdings
        if not (workload.hybrid[row] and 0.0 < holdings.fraction[row] < 1.0):
            return False, False
        nodes = [piece.node for piece in self.held[row]]
        cpu, gpu, _ = holdings.ends(row, self.begun[row], float(holdings.played[row]), nodes)
        return cpu <= self.time, gpu <= self.time

    def _first_fit(
        self, room: Room, place: int, head: int, more: "tuple[tuple[float, int], ...]" = ()
    ) -> tuple[float, int]:
        """Let the changes from `place` on happen until the head fits; return when, and the place behind them."""
        asked = self.holdings.asked(head)
        while place < len(self.later):
            time = self.later[place][0]
            while place < len(self.later) and self.later[place][0] == time:
                self._happen(room, self.later[place])
                place += 1
            if room.find(asked) is not None:
                return time, place
        return np.inf, place

    def _happen(self, room: Room, change: tuple[float, int, int]) -> None:
        _, row, part = change
        if row < 0:
            room.away[-1 - row] += part
            return
        cores_free, gpus_free = self.free_side.get(row, (False, False))
        for piece in self.held[row]:
            cores, gpus = part == 0 and not cores_free, part == 1 and not gpus_free
            room.take(piece, cores=cores, gpus=gpus, memory=part == 2, back=-1)

    def _kept(self, row: int, pieces: list[Piece]) -> tuple[float, float, float]:
        """Return when a task that would start gives its cores, its GPUs and its memory back."""
        estimate = float(self.schedule.workload.duration_estimate[row])
        return self.holdings.ends(row, self.time, estimate, [piece.node for piece in pieces])

    def _leaves_the_head(self, row: int, pieces: list[Piece]) -> bool:
        """Tell whether the head can still start at its shadow time if a task starts; then its pieces stay taken."""
        cpu, gpu, end = self._kept(row, pieces)
        if end <= self.shadow:
            return True
        trial = self.plan.copy()
        for piece in pieces:
            trial.take(piece, cores=cpu > self.shadow, gpus=gpu > self.shadow, memory=True)
        if trial.find(self.holdings.asked(self.head)) is None:
            return False
        self.plan = trial
        self.later = sorted(
            [*self.later, *((when, row, part) for part, when in enumerate((cpu, gpu, end)) if when > self.shadow)]
        )
        self.held[row] = pieces
        return True

    def _delay(self, row: int, asked: Asked) -> float:
        """Return by how much a task would delay the head; NaN where its node is drawn or weighed."""
        if self.holdings.waits_for_data(row):
            return np.nan
        settled = self._settles(asked)
        found = self.room.find(asked, self._rule)
        if settled:
            choices = [] if found is None else [found]
        else:
            choices = self.room.fitting_each(asked) if not asked.full_count else []
        delays = [delay for pieces in choices if (delay := self._delay_by(row, pieces)) > 0.0]
        if settled and not delays:
            raise self._not_as_played(row, "could have been backfilled and was not")
        return delays[0] if settled or (delays and len(set(delays)) == 1) else np.nan

    def _delay_by(self, row: int, pieces: list[Piece]) -> float:
        cpu, gpu, end = self._kept(row, pieces)
        if end <= self.shadow:
            return 0.0
        trial = self.plan.copy()
        for piece in pieces:
            trial.take(piece, cores=cpu > self.shadow, gpus=gpu > self.shadow, memory=True)
        if trial.find(self.holdings.asked(self.head)) is not None:
            return 0.0
        mine = [(when, row, part) for part, when in enumerate((cpu, gpu, end)) if when > self.shadow]
        kept, before = self.later, self.held.get(row)
        self.later, self.held[row] = sorted([*self.later, *mine]), pieces
        try:
            when, _ = self._first_fit(trial, 0, self.head)
        finally:
            self.later = kept
            del self.held[row]
            if before is not None:
                self.held[row] = before
        return when - self.shadow
