"""Run times that are predicted while a simulation goes on: each task at its arrival, from what has finished by then.

Before every instant at which tasks arrive the event loop stops, the predictor learns what has finished, and the kernel
is told what became known of the newcomers: their estimates, and the scores and choices that follow from these.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from scheduler_sim.engine.contract import Attempts, Kernel, News, Outcome, Predictions
from scheduler_sim.engine.estimates import told_to_all
from scheduler_sim.engine.workload import IntArray, Workload

UNTOLD = 1.0
"""Stands where a task that has not arrived has no estimate; nothing looks at it."""


def untold(workload: Workload) -> Workload:
    """Return the workload before any of its run times is predicted, with arrays of its own to write them to."""
    columns = (np.full(len(workload), UNTOLD) for _ in range(2))
    return replace(told_to_all(workload, next(columns)), predicted_duration=next(columns))


@dataclass
class PredictingKernel:
    """A kernel that is told estimates as tasks arrive.

    Attributes:
        inner: what plays.
        workload: what is played; the predictions are written into it.
        predictions: of the run times.
        news: works out the scores and choices of rows that arrive, given all rows that these depend on.
        looks_ahead: scores depend on the tasks behind those that arrive; their run times are guessed then.
    """

    inner: Kernel
    workload: Workload
    predictions: Predictions
    news: Callable[[IntArray, IntArray], News]
    looks_ahead: bool

    def __post_init__(self) -> None:
        self.agent = self.inner.agent
        self._played = np.zeros(len(self.workload))
        self._told = 0
        self._learned = 0
        self._child_offsets, self._children = self.workload.parents.children()

    @property
    def clock(self) -> float:
        """The simulated time up to which all events are applied."""
        return self.inner.clock

    @property
    def finished(self) -> int:
        """How many tasks have finished."""
        return self.inner.finished

    @property
    def queued(self) -> int:
        """How many tasks are ready and have not started."""
        return self.inner.queued

    @property
    def running(self) -> int:
        """How many tasks have started and not finished."""
        return self.inner.running

    def advance(self, *, until_time: float, max_events: int) -> None:
        """Apply whole instants up to and including `until_time`, and stop after at least `max_events` events."""
        arrival = self.workload.arrival_time
        enough = self.inner.finished + self._told + max_events
        while True:
            arriving = self._told < len(arrival) and arrival[self._told] <= until_time
            limit = float(np.nextafter(arrival[self._told], -np.inf)) if arriving else until_time
            left = enough - self.inner.finished - self._told
            self.inner.advance(until_time=limit, max_events=max(left, 1))
            if not arriving or self.inner.finished + self._told >= enough:
                return
            if self.inner.clock >= limit:
                self._tell(arrival[self._told])

    @property
    def full(self) -> bool:
        """True when `advance` stopped because the buffer of attempts is full."""
        return self.inner.full

    def drain(self) -> Attempts:
        """Return the attempts written since the last call."""
        return self.inner.drain()

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        return self.inner.outcome()

    def tell(self, news: News) -> None:
        """Take what became known of tasks that are about to arrive."""
        self.inner.tell(news)

    def _tell(self, instant: float) -> None:
        """Predict the tasks that arrive at `instant`."""
        if self.inner.finished > self._learned:
            done = self.inner.outcome().completion_order[self._learned : self.inner.finished].copy()
            self.predictions.finish(done, self._played[done])
            self._learned += len(done)
        last = int(np.searchsorted(self.workload.arrival_time, instant, side="right"))
        rows = np.arange(self._told, last)
        needed = self._with_descendants(rows) if self.looks_ahead else rows
        # What was said of a task at its arrival stands; of one yet to arrive it is a guess until then.
        foretold = needed[needed >= self._told]
        self._told = last
        seconds = self.predictions.durations(foretold)
        self.workload.duration_estimate[foretold] = seconds
        self.workload.predicted_duration[foretold] = seconds
        news = self.news(rows, needed)
        self._played[rows] = news.runtime
        self.inner.tell(news)

    def _with_descendants(self, rows: IntArray) -> IntArray:
        """Return `rows` and every task behind them, ascending."""
        found = set(rows.tolist())
        waiting = list(found)
        while waiting:
            row = waiting.pop()
            first, last = self._child_offsets[row : row + 2].tolist()
            for child in self._children[first:last].tolist():
                if child not in found:
                    found.add(child)
                    waiting.append(child)
        return np.array(sorted(found), np.int64)
