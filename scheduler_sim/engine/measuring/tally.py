"""Figures of a simulation that still goes on, kept up to date at a few nanoseconds a task.

They mean what `metrics` defines and agree with it once every task has finished.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.numerics.histogram import BINS, EDGES, LogHistogram
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

POLICIES_A_WORD = 64


class Tally:
    """Completion times of one policy, task by task as they finish, and which of its tasks run.

    Args:
        arrival, start, finish: shape (n,), seconds; the last two may be views that the simulation goes on writing,
            NaN for a task that has not started. So may the first one be, of a closed loop.
        by_arrival: whether the tasks come in the order of their rows.
    """

    def __init__(self, *, arrival: FloatArray, start: FloatArray, finish: FloatArray, by_arrival: bool = True) -> None:
        self._arrival, self._start, self._finish, self._by_arrival = arrival, start, finish, by_arrival
        self._counts = np.zeros(BINS, np.int64)
        self._total = np.zeros(1)
        self._longest = np.zeros(1)
        self._lowest_open = 0
        self.finished = 0

    def add(self, rows: IntArray) -> None:
        """Count tasks that have finished; each may be given once."""
        _add(rows, self._arrival, self._finish, EDGES, self._counts, self._total, self._longest)
        self.finished += len(rows)

    @property
    def mean_job_completion_time(self) -> float:
        """The mean of the tasks counted, NaN for none."""
        return float(self._total[0] / self.finished) if self.finished else float("nan")

    @property
    def completion_times(self) -> LogHistogram:
        """The completion times of the tasks counted."""
        return LogHistogram(counts=self._counts.copy())

    def completion_time_percentile(self, percent: float) -> float:
        """Return a percentile of the completion times counted, at most 2.8% off and never above the longest of them."""
        return min(self.completion_times.percentile(percent), float(self._longest[0]))

    def running_at(self, clock_time: float) -> IntArray:
        """Return the rows that have started and not finished at `clock_time`, which never goes back between calls."""
        arrived = len(self._arrival)
        if self._by_arrival:
            arrived = int(np.searchsorted(self._arrival, clock_time, side="right"))
        self._lowest_open, rows = _running(self._lowest_open, arrived, clock_time, self._start, self._finish)
        return rows


@dataclass(eq=False)
class WinTally:
    """How many tasks each of several policies has finished first so far; those that tie share the win.

    A task counts from its first finish on. Policies may be counted in any order and at different clocks: a finish
    that turns out to be lower takes the win away again.

    Attributes:
        wins: shape (policies,), int64.
    """

    wins: IntArray
    _best: FloatArray
    _holders: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, *, policies: int, tasks: int) -> "WinTally":
        """Start with nothing finished."""
        words = -(-policies // POLICIES_A_WORD)
        return cls(
            wins=np.zeros(policies, np.int64),
            _best=np.full(tasks, np.inf),
            _holders=np.zeros((tasks, words), np.uint64),
        )

    def add(self, policy: int, rows: IntArray, finish: FloatArray) -> None:
        """Count tasks that `policy` has finished; each may be given once.

        Args:
            finish: shape (n,), finish times of all tasks under that policy.
        """
        _count_wins(rows, finish, policy, self._best, self._holders, self.wins)


@counting_kernel
def _add(
    rows: IntArray,
    arrival: FloatArray,
    finish: FloatArray,
    edges: FloatArray,
    counts: IntArray,
    total: FloatArray,
    longest: FloatArray,
) -> None:
    lowest = np.log(edges[0])
    bins_a_unit = (len(edges) - 1) / (np.log(edges[-1]) - lowest)
    for row in rows:
        completion = finish[row] - arrival[row]
        bin_ = 0
        if completion >= edges[0]:
            bin_ = min(int((np.log(completion) - lowest) * bins_a_unit) + 1, len(edges))
            # The logarithm may be off by a rounding at an edge, where the edges themselves decide.
            while bin_ < len(edges) and completion >= edges[bin_]:
                bin_ += 1
            while bin_ > 0 and completion < edges[bin_ - 1]:
                bin_ -= 1
        counts[bin_] += 1
        total[0] += completion
        longest[0] = max(longest[0], completion)


@counting_kernel
def _running(
    lowest_open: int, arrived: int, clock: float, start: FloatArray, finish: FloatArray
) -> tuple[int, IntArray]:
    """Return the first row that has not finished by `clock`, and the rows that run.

    NaN compares false, so that what has not started counts neither as running nor as finished.
    """
    while lowest_open < arrived and finish[lowest_open] <= clock:
        lowest_open += 1
    rows = np.empty(arrived - lowest_open, np.int64)
    count = 0
    for row in range(lowest_open, arrived):
        if start[row] <= clock and finish[row] > clock:
            rows[count] = row
            count += 1
    return lowest_open, rows[:count]


@counting_kernel
def _count_wins(
    rows: IntArray,
    finish: FloatArray,
    policy: int,
    best: FloatArray,
    holders: npt.NDArray[np.uint64],
    wins: IntArray,
) -> None:
    word, bit = policy // POLICIES_A_WORD, np.uint64(policy % POLICIES_A_WORD)
    for row in rows:
        if finish[row] > best[row]:
            continue
        if finish[row] < best[row]:
            for other in range(len(wins)):
                mask = np.uint64(1) << np.uint64(other % POLICIES_A_WORD)
                if holders[row, other // POLICIES_A_WORD] & mask:
                    wins[other] -= 1
            holders[row, :] = 0
            best[row] = finish[row]
        holders[row, word] |= np.uint64(1) << bit
        wins[policy] += 1
