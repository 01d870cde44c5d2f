"""Rounds that bring shares about: in each, who has had least of what is due to it runs (Gavel, OSDI 2020).

A round lasts until the last of its jobs has done what it can do in the round's length, in whole steps where work is
counted in steps; the GPUs of a job that is done earlier idle until then. Shares are settled anew when jobs came or
went, but not more often than every `least_reset_time` seconds; a job that came since then has no share and does not
run.
"""

import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.contract import Pieces
from scheduler_sim.engine.kernels.rounds.allocations import Instant, NoAllocation, equal_shares
from scheduler_sim.engine.kernels.rounds.loop import play
from scheduler_sim.engine.kernels.rounds.state import (
    ACTIVE,
    EVENTS,
    HALF_ROUND,
    LAST_RESET,
    NOBODY,
    NOW,
    ORDERS,
    ORDERS_TAKEN,
    PLAYED,
    STALE,
    TO_ORDER,
    TO_SETTLE,
    WRITTEN,
    Jobs,
    Rules,
    State,
)
from scheduler_sim.engine.kernels.structures.gang_buffer import GangBuffer
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray

NEARLY_DONE = 1e-3
"""Seconds of work: with less left of what was known of it, a job counts as having one second left."""

Sharing = Callable[[Instant], FloatArray]


class Mechanism:
    """The rounds of some jobs.

    Args:
        jobs: all of them. sharing: settles shares at an instant. rules: how rounds go on.
    """

    def __init__(self, jobs: Jobs, sharing: Sharing, rules: Rules) -> None:
        self.jobs, self.sharing, self.rules = jobs, sharing, rules
        self.state = State.of(jobs, rules)
        self.alone_time = np.zeros(len(jobs.work))
        self.alone_rate = np.ones(len(jobs.work))
        self.resets: list[float] = []
        self._written: list[npt.NDArray[np.void]] = []
        self._pieces: list[Pieces] = []
        self._shuffler = random.Random(rules.seed + 5)  # noqa: S311

    @property
    def now(self) -> float:
        """When shares are settled, or the next round begins."""
        return float(self.state.reals[NOW])

    @property
    def active(self) -> IntArray:
        """The jobs that have come and are not done with the rounds that are found."""
        return self.state.active[: self.state.counts[ACTIVE]]

    def advance(self, until_time: float, max_events: int) -> None:
        """Play whole instants up to and including `until_time`, and stop after at least `max_events` events.

        Raises:
            NoAllocation: jobs are there, none is to come, and none of them can run.
        """
        state = self.state
        state.counts[EVENTS] = 0
        while (why := play(state, until_time, max_events)) != PLAYED:
            if why == TO_SETTLE:
                self._settle()
            elif why == TO_ORDER:
                self._draw_orders()
            elif why == NOBODY:
                jobs = len(self.active)
                raise NoAllocation(f"None of {jobs} jobs can run at {self.now:g} s, and no job is to come.")
            else:
                self._empty_buffer()

    def drain(self) -> npt.NDArray[np.void]:
        """Return the attempts that have ended since the last call, of `ATTEMPT`."""
        self._empty_buffer()
        found = np.concatenate(self._written)
        self._written.clear()
        return found

    def drain_pieces(self) -> Pieces:
        """Return what jobs on several nodes held of each, of the spans that ended since the last call."""
        self._empty_buffer()
        found = Pieces.joined(self._pieces)
        self._pieces.clear()
        return found

    def _empty_buffer(self) -> None:
        size = int(self.state.counts[WRITTEN])
        self._written.append(self.state.buffer[:size].copy())
        self.state.counts[WRITTEN] = 0
        self._pieces.append(GangBuffer(self.state.gang_pieces, self.state.gang_counts).drain())

    def _draw_orders(self) -> None:
        kinds = list(range(len(self.jobs.workers)))
        for turn in range(ORDERS):
            order = kinds.copy()
            self._shuffler.shuffle(order)
            self.state.kinds_order[turn] = order
        self.state.counts[ORDERS_TAKEN] = 0

    def _settle(self) -> None:
        """Settle shares anew, and count what each job is owed from before.

        That nobody is there is settled too, as in Gavel: who comes soon after has no share.
        """
        rows, jobs, state = self.active, self.jobs, self.state
        since = self.now - state.reals[LAST_RESET]
        state.deficit[rows] += state.share[rows] * since - (state.had[rows] - HALF_ROUND)
        state.had[rows] = HALF_ROUND
        state.total[:] = HALF_ROUND * len(rows)
        state.reals[LAST_RESET], state.counts[STALE] = self.now, 0
        self.resets.append(self.now)
        if not len(rows):
            return
        done = state.tasks["done_since"]
        self.alone_time[rows] += done[rows] / self.alone_rate[rows]
        done[rows] = 0.0
        instant = self.instant()
        self.alone_rate[rows] = (jobs.rate[rows] * equal_shares(instant)).sum(1)
        state.share[rows] = self.sharing(instant)
        state.tasks["has_share"][rows] = 1

    def instant(self) -> Instant:
        """Return what is known of the active jobs."""
        rows, jobs = self.active, self.jobs
        return Instant.of(
            jobs,
            rows,
            left=known_left(jobs, rows, self.state.tasks["work_left"][rows]),
            age_time=self.now - jobs.arrival_time[rows],
            alone_time=self.alone_time[rows],
            had_share=self.state.share[rows],
        )


def known_left(jobs: Jobs, rows: IntArray, work_left: FloatArray) -> FloatArray:
    """Return what policies are told is left of the work of some jobs, which have `work_left` of it."""
    second = jobs.rate[rows].max(1)
    left = jobs.known_work[rows] - (jobs.work[rows] - work_left)
    known: FloatArray = np.where(left > NEARLY_DONE * second, left, second)
    return known
