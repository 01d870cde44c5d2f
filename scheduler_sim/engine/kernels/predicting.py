"""Run times that are predicted while a simulation goes on: each task at its arrival, from what has finished by then.

Before every instant at which tasks arrive the event loop stops, the predictor learns what has finished, and the kernel
is told what became known of the newcomers: their estimates, and the scores and choices that follow from these.
"""

from collections.abc import Callable

import numpy as np

from scheduler_sim.engine.contract import News, Predictions
from scheduler_sim.engine.kernels.base import BaseKernel, OuterKernel
from scheduler_sim.engine.workloads.workload import IntArray, Workload


class PredictingKernel(OuterKernel):
    """A kernel that is told estimates as tasks arrive.

    Args:
        inner: what plays.
        workload: what is played; the predictions are written into it.
        predictions: of the run times.
        news: works out the scores and choices of rows that arrive, given all rows that these depend on.
        looks_ahead: scores depend on the tasks behind those that arrive; their run times are guessed then.
    """

    def __init__(
        self,
        *,
        inner: BaseKernel,
        workload: Workload,
        predictions: Predictions,
        news: Callable[[IntArray, IntArray], News],
        looks_ahead: bool,
    ) -> None:
        super().__init__(inner)
        self._workload, self._predictions = workload, predictions
        self._news, self._looks_ahead = news, looks_ahead
        self._played = np.zeros(len(workload))
        self._told = 0
        self._learned = 0
        self._child_offsets, self._children = workload.parents.children()

    def _play(self, until_time: float, max_events: int) -> None:
        arrival = self._workload.arrival_time
        enough = self._inner.finished + self._told + max_events
        while True:
            arriving = self._told < len(arrival) and arrival[self._told] <= until_time
            limit = float(np.nextafter(arrival[self._told], -np.inf)) if arriving else until_time
            left = enough - self._inner.finished - self._told
            self._inner.advance(until_time=limit, max_events=max(left, 1))
            if self._inner.full or not arriving or self._inner.finished + self._told >= enough:
                return
            if self._inner.clock >= limit:
                self._tell(arrival[self._told])

    def _tell(self, instant: float) -> None:
        """Predict the tasks that arrive at `instant`."""
        if self._inner.finished > self._learned:
            done = self._inner.outcome().completion_order[self._learned : self._inner.finished].copy()
            self._predictions.finish(done, self._played[done])
            self._learned += len(done)
        last = int(np.searchsorted(self._workload.arrival_time, instant, side="right"))
        rows = np.arange(self._told, last)
        needed = self._with_descendants(rows) if self._looks_ahead else rows
        # What was said of a task at its arrival stands; of one yet to arrive it is a guess until then.
        foretold = needed[needed >= self._told]
        self._told = last
        seconds = self._predictions.durations(foretold)
        self._workload.duration_estimate[foretold] = seconds
        self._workload.predicted_duration[foretold] = seconds
        news = self._news(rows, needed)
        self._played[rows] = news.runtime
        self._inner.tell(news)

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
