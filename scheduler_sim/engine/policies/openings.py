"""When tasks may run that also stop while electricity is dear: spans of time, settled when each task arrives.

A task that has started runs in its spans and stops between them; from the begin of its last span on nothing stops it,
so that a task that is behind, because room was short or its estimate was, goes on until it is done.
"""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray

_CLEAR = 1e-9
"""Part of a length that rounding may leave over; no span is as short as that."""

MOST_STOPS = 5_000_000
"""How often all tasks together may stop: each stop and going on is kept, and is an event of the play."""
MOST_STEPS = 1_000_000_000
"""How many steps of a series may lie in the reach of tasks, summed over these: so many are looked at, or sorted."""


@dataclass(frozen=True, eq=False)
class Openings:
    """The spans in which n tasks may run.

    Attributes:
        offsets: shape (n + 1,), where the spans of each task begin; each has one or more.
        begins, ends: shape (m,), seconds on the workload's clock, those of a task ascending and apart from each other;
            the last end of each task is infinity.
    """

    offsets: IntArray
    begins: FloatArray
    ends: FloatArray

    @property
    def first(self) -> FloatArray:
        """When each task may start at the earliest, shape (n,)."""
        return self.begins[self.offsets[:-1]]

    def open_from(self, time: float) -> FloatArray:
        """Return when each task may run from `time` on: then, or at the begin of its next span; shape (n,)."""
        row = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        place = self.offsets[:-1] + np.bincount(row, self.ends <= time, len(self.offsets) - 1).astype(np.int64)
        found: FloatArray = np.maximum(self.begins[place], time)
        return found

    def turns(self) -> tuple[FloatArray, IntArray, IntArray]:
        """Return times, rows and whether the task may run from then on, for all begins but the first and all ends.

        In order of time, then of row.
        """
        row = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        later = np.ones(len(self.begins), bool)
        later[self.offsets[:-1]] = False
        over = np.isfinite(self.ends)
        times = np.concatenate((self.begins[later], self.ends[over]))
        rows = np.concatenate((row[later], row[over])).astype(np.int64)
        opens = np.concatenate((np.ones(int(later.sum()), np.int64), np.zeros(int(over.sum()), np.int64)))
        sequence = np.lexsort((rows, times))
        return times[sequence], rows[sequence], opens[sequence]


def cleanest(
    times: FloatArray, values: FloatArray, end: float, arrival: FloatArray, allowed: FloatArray, length: FloatArray
) -> Openings:
    """Return the spans of each task's length with the least integral in [arrival, arrival + length + allowed].

    Of equals the earliest; of the dearest step that is needed in part, the part that lies beside a step that is taken
    whole, its begin where both do or none does. A task for which nothing is known until arrival + length, or that may
    not be delayed, may run from its arrival on.

    Args:
        times, values: shape (steps,), a step function that has a value at each arrival, until `end`.
        arrival, allowed, length: shape (n,), seconds.

    Raises:
        InvalidPolicy: tasks would stop more often than `MOST_STOPS`, or reach over more steps than `MOST_STEPS`.
    """
    _refuse_reach(times, arrival, allowed, np.minimum(arrival + allowed + length, end))
    return _within(*_cleanest(times, values, end, arrival, allowed, length, MOST_STOPS))


def while_open(
    times: FloatArray, is_open: BoolArray, kind: IntArray, arrival: FloatArray, allowed: FloatArray, length: FloatArray
) -> Openings:
    """Return the open steps from each arrival on, until a task was held so long as is allowed or has had its length.

    Args:
        times: shape (steps,). is_open: shape (kinds, steps), whether tasks of a kind may run in the step.
        kind: shape (n,). arrival, allowed, length: shape (n,), seconds.

    Raises:
        InvalidPolicy: as of `cleanest`.
    """
    _refuse_reach(times, arrival, allowed, arrival + allowed + length)
    return _within(*_while_open(times, is_open, kind, arrival, allowed, length, MOST_STOPS))


def _refuse_reach(times: FloatArray, arrival: FloatArray, allowed: FloatArray, last: FloatArray) -> None:
    steps = np.searchsorted(times, last) - np.searchsorted(times, arrival)
    looked_at = int(steps[allowed > 0].sum())
    if looked_at > MOST_STEPS:
        raise InvalidPolicy(
            f"Tasks that may be held back reach over {looked_at:,} steps of the series in all, more than "
            f"{MOST_STEPS:,}; take a shorter delay or a series of longer steps."
        )


def _within(offsets: IntArray, begins: FloatArray, ends: FloatArray) -> Openings:
    if not len(offsets):
        raise InvalidPolicy(
            f"Tasks would stop more than {MOST_STOPS:,} times in all; take a shorter delay or a series of longer steps."
        )
    return Openings(offsets, begins, ends)


@counting_kernel
def _longer(column: FloatArray, size: int) -> FloatArray:
    """Return the column with room for `size` entries more."""
    longer = np.empty(2 * (len(column) + size))
    longer[: len(column)] = column
    return longer


@counting_kernel
def _cleanest(
    times: FloatArray,
    values: FloatArray,
    end: float,
    arrival: FloatArray,
    allowed: FloatArray,
    length: FloatArray,
    most_stops: int,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the columns of `Openings`, empty where there would be more stops than so many."""
    n = len(arrival)
    offsets = np.zeros(n + 1, np.int64)
    begins, ends = np.empty(n + 1), np.empty(n + 1)
    m = 0
    for row in range(n):
        begin, long = arrival[row], length[row]
        last = min(begin + allowed[row] + long, end)
        first = int(np.searchsorted(times, begin, side="right")) - 1
        count = int(np.searchsorted(times, last, side="left")) - first
        if m + count + 1 > len(begins):
            begins, ends = _longer(begins, count + 1), _longer(ends, count + 1)
        offsets[row] = m
        if begin + long > end or allowed[row] <= 0 or long <= 0:
            begins[m], ends[m] = begin, np.inf
            m += 1
            continue
        edges = np.empty(count + 1)
        edges[0], edges[count] = begin, last
        for i in range(1, count):
            edges[i] = times[first + i]
        taken = np.zeros(count, np.int64)
        rest, part, partial = long, -1, 0.0
        for i in np.argsort(values[first : first + count], kind="mergesort"):
            whole = edges[i + 1] - edges[i]
            if rest >= whole - _CLEAR * long:
                taken[i] = 1
            else:
                part, partial = i, rest
            rest -= whole
            if rest <= _CLEAR * long:
                break
        for i in range(count):
            if i == part:
                behind = i + 1 < count and taken[i + 1] and not (i > 0 and taken[i - 1])
                one = edges[i + 1] - partial if behind else edges[i]
                two = edges[i + 1] if behind else edges[i] + partial
            elif taken[i]:
                one, two = edges[i], edges[i + 1]
            else:
                continue
            if one >= two:
                continue
            if m > offsets[row] and ends[m - 1] == one:
                ends[m - 1] = two
            else:
                begins[m], ends[m] = one, two
                m += 1
        if m == offsets[row]:
            begins[m] = begin
            m += 1
        ends[m - 1] = np.inf
        if m - row - 1 > most_stops:
            return offsets[:0].copy(), begins[:0].copy(), ends[:0].copy()
    offsets[n] = m
    return offsets, begins[:m].copy(), ends[:m].copy()


@counting_kernel
def _while_open(
    times: FloatArray,
    is_open: BoolArray,
    kind: IntArray,
    arrival: FloatArray,
    allowed: FloatArray,
    length: FloatArray,
    most_stops: int,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the same."""
    n, steps = len(arrival), len(times)
    offsets = np.zeros(n + 1, np.int64)
    begins, ends = np.empty(n + 1), np.empty(n + 1)
    m = 0
    for row in range(n):
        offsets[row] = m
        now, left, rest = arrival[row], allowed[row], length[row]
        step = int(np.searchsorted(times, now, side="right")) - 1
        while True:
            # Held from `now` on, up to the next open step or as long as is allowed.
            while step < steps and not is_open[kind[row], step]:
                following = times[step + 1] if step + 1 < steps else np.inf
                if following - now >= left:
                    now, left = now + left, 0.0
                    break
                left -= following - now
                now = following
                step += 1
            if m + 1 > len(begins):
                begins, ends = _longer(begins, 1), _longer(ends, 1)
            begins[m], ends[m] = now, np.inf
            m += 1
            if left <= 0 or step >= steps:
                break
            while step < steps and is_open[kind[row], step]:
                step += 1
            if step >= steps or times[step] - now >= rest * (1 - _CLEAR):
                break
            ends[m - 1] = times[step]
            rest -= times[step] - now
            now = times[step]
        if m - row - 1 > most_stops:
            return offsets[:0].copy(), begins[:0].copy(), ends[:0].copy()
    offsets[n] = m
    return offsets, begins[:m].copy(), ends[:m].copy()
