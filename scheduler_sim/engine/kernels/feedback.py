"""A closed loop: tasks that come their think time after another one has ended.

The event loop stops after every instant; tasks whose predecessor ended there get their arrival and are put among those
still to come. Whose think time is 0 comes in a further round of the same instant, when nothing else happens at it.
Compiled code is the same as without: it walks a list of tasks that come, and one that nobody knows of yet is not in it.
"""

from bisect import bisect_left
from collections.abc import Callable

import numpy as np

from scheduler_sim.engine.codes import ARRIVED
from scheduler_sim.engine.kernels.base import OuterKernel
from scheduler_sim.engine.kernels.cluster.kernel import ClusterKernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload


class FeedbackKernel(OuterKernel):
    """A kernel whose tasks wait for their users' thinking.

    Args:
        inner: what plays; no task has a rank among all before it has come.
        workload: what is played; the instants at which tasks come, and their deadlines, are written into it.
        rows, thinks: as `feedback.predecessors` has them.
        base: the score of a row that comes at an instant; None where scores do not depend on it.
    """

    def __init__(
        self,
        *,
        inner: ClusterKernel,
        workload: Workload,
        rows: IntArray,
        thinks: FloatArray,
        base: Callable[[int, float], float] | None,
    ) -> None:
        super().__init__(inner)
        self._workload, self._thinks, self._base = workload, thinks, base
        self._tasks, self._arrivals = inner._sim.tasks, inner._sim.arrivals
        followers = np.flatnonzero(rows >= 0)
        self._followers = followers[np.argsort(rows[followers], kind="stable")]
        self._first = np.searchsorted(rows[self._followers], np.arange(len(rows) + 1))
        self._unknown = len(followers)
        # Known tasks lie at the end of the list, the next one where the count of those that came points at; a further
        # one moves those that come before it one place towards the beginning.
        self._arrivals[len(followers) :] = self._arrivals[rows[self._arrivals] < 0]
        self._counts[ARRIVED] = len(followers)
        self._seen = 0

    def _play(self, until_time: float, max_events: int) -> None:
        inner, applied = self._inner, 0
        while True:
            before = self._events()
            # Where nobody is waited for any more, the rest is an open loop.
            inner.advance(until_time=until_time, max_events=1 if self._unknown else max(max_events - applied, 1))
            happened = self._events() - before
            applied += happened
            further = self._learn()
            if inner.full or not (happened or further) or (applied >= max_events and not further):
                return

    def _events(self) -> int:
        return self._inner.finished + int(self._counts[ARRIVED])

    def _learn(self) -> bool:
        """Let those come whose predecessors ended, and tell whether one of them comes at this very instant."""
        finished, at_once = self._inner.finished, False
        if finished > self._seen and self._unknown:
            outcome = self._inner.outcome()
            for row in outcome.completion_order[self._seen : finished].tolist():
                for follower in self._followers[self._first[row] : self._first[row + 1]].tolist():
                    instant = float(outcome.finish_time[row]) + float(self._thinks[follower])
                    self._come(follower, instant)
                    at_once |= instant <= self._inner.clock
        self._seen = finished
        return at_once

    def _come(self, row: int, instant: float) -> None:
        """Put a task among those that come, by instant and row."""
        task, tasks = self._tasks[row], self._tasks["offered"]
        self._workload.deadline_time[row] += instant - self._workload.arrival_time[row]
        self._workload.arrival_time[row] = instant
        task["arrival"] = task["ready"] = task["offered"] = instant
        if self._base is not None:
            task["base"] = self._base(row, instant)
        first = int(self._counts[ARRIVED])
        place = bisect_left(self._arrivals, (instant, row), lo=first, key=lambda other: (tasks[other], other))
        self._arrivals[first - 1 : place - 1] = self._arrivals[first:place].copy()
        self._arrivals[place - 1] = row
        self._counts[ARRIVED] = first - 1
        self._unknown -= 1
