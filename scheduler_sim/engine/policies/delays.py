"""When a task starts at the earliest that may be delayed until electricity is cleaner, by the steps of a forecast.

A plan is made once for each task, when it arrives, from the steps behind that instant. The integral of a step function
over a span of fixed length bends only where one of the span's ends meets a step, so that looking at those instants
finds the best start of all.
"""

import numpy as np

from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.series import StepSeries
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray

LEAST_CARBON, MOST_SAVED_A_SECOND = 0, 1
"""What a span is chosen by: the least integral, or the largest saving against starting at once for each second until
its end."""

_CLEAR = 1e-9
"""Part by which a later start must be better than one before it: sums of many steps end a rounding apart."""


@counting_kernel
def lowest_step(times: FloatArray, values: FloatArray, arrival: FloatArray, allowed: FloatArray) -> FloatArray:
    """Return the begin of the lowest step that begins within the allowed delay, or the arrival where that is as low.

    Args:
        times, values: shape (steps,), a step function that has a value at each arrival.
        arrival, allowed: shape (n,), seconds.
    """
    start = arrival.copy()
    for row in range(len(arrival)):
        step = np.searchsorted(times, arrival[row], side="right") - 1
        least = values[step]
        step += 1
        while step < len(times) and times[step] <= arrival[row] + allowed[row]:
            if values[step] < least:
                least, start[row] = values[step], times[step]
            step += 1
    return start


@counting_kernel
def best_span(
    times: FloatArray,
    sums: FloatArray,
    values: FloatArray,
    end: float,
    arrival: FloatArray,
    allowed: FloatArray,
    length: FloatArray,
    aim: int,
) -> FloatArray:
    """Return the start of the best span of each task's length within the allowed delay, the earliest of equals.

    A span that goes beyond `end` is not looked at; a task for which there is no other starts at once.

    Args:
        times, values: shape (steps,), a step function that has a value at each arrival, until `end`.
        sums: shape (steps,), its integral from the first time to each.
        arrival, allowed, length: shape (n,), seconds.
        aim: one of the two above.
    """
    start = arrival.copy()
    for row in range(len(arrival)):
        begin, long = arrival[row], length[row]
        # The last of all is a candidate too: it ends with the series, if not before.
        last = min(begin + allowed[row], end - long)
        first = _integral(times, sums, values, begin, begin + long)
        best = first if aim == LEAST_CARBON else 0.0
        if begin + long > end or allowed[row] <= 0:
            continue
        # Candidates in ascending order: begins of steps, and starts whose ends are begins of steps.
        ahead = np.searchsorted(times, begin, side="right")
        behind = np.searchsorted(times, begin + long, side="right")
        at = begin
        while at < last:
            at = last
            if ahead < len(times):
                at = min(at, times[ahead])
            if behind < len(times):
                at = min(at, times[behind] - long)
            if ahead < len(times) and times[ahead] <= at:
                ahead += 1
            if behind < len(times) and times[behind] - long <= at:
                behind += 1
            whole = _integral(times, sums, values, at, at + long)
            if aim == LEAST_CARBON:
                if whole < best - _CLEAR * abs(best):
                    best, start[row] = whole, at
            else:
                saved = (first - whole) / max(at - begin + long, 1e-9)
                if first - whole > _CLEAR * abs(first) and saved > best * (1 + _CLEAR):
                    best, start[row] = saved, at
    return start


@counting_kernel
def _integral(times: FloatArray, sums: FloatArray, values: FloatArray, begin: float, end: float) -> float:
    one = max(int(np.searchsorted(times, begin, side="right")) - 1, 0)
    two = max(int(np.searchsorted(times, end, side="right")) - 1, 0)
    upto = sums[two] + values[two] * (end - times[two])
    return float(upto - (sums[one] + values[one] * (begin - times[one])))


def integrals(steps: StepSeries) -> FloatArray:
    """Return the integral of a series from its beginning to the beginning of each step, shape (steps,)."""
    lengths = np.diff(steps.times)
    return np.concatenate(([0.0], np.cumsum(steps.values[:-1] * lengths)))


def thresholds(
    times: FloatArray,
    known: FloatArray,
    foreseen: FloatArray,
    quantiles: tuple[float, ...],
    *,
    span: float,
    ahead: bool,
    asked: slice = slice(None),
) -> FloatArray:
    """Return quantiles of the steps around each step, shape (quantiles, steps), linear between order statistics.

    Args:
        known: what is. foreseen: what is forecast of the steps to come. Both shape (steps,).
        span: seconds. ahead: the steps that begin less than `span` after this one, itself with its true value among
            them; else those that began less than `span` before.
        asked: the steps that are asked for, all by default.
    """
    steps = np.arange(len(times))[asked]
    found = np.empty((len(quantiles), len(steps)))
    bounds = np.searchsorted(times, times[steps] + span, side="left")
    if not ahead:
        bounds = np.searchsorted(times, times[steps] - span, side="right")
    for place, (step, bound) in enumerate(zip(steps.tolist(), bounds.tolist(), strict=True)):
        around = np.append(foreseen[step + 1 : bound], known[step]) if ahead else known[bound : step + 1]
        found[:, place] = np.quantile(around, quantiles)
    return found


def first_open(times: FloatArray, is_open: BoolArray, arrival: FloatArray, allowed: FloatArray) -> FloatArray:
    """Return the first time from each arrival on at which the step is open, the end of the allowed delay at latest.

    Args:
        is_open: shape (steps,), whether tasks may start in the step.
    """
    following = np.append(times, np.inf)
    place = np.arange(len(times) + 1)
    place[:-1][~is_open] = len(times)
    next_open = np.minimum.accumulate(place[::-1])[::-1]
    step = np.searchsorted(times, arrival, side="right") - 1
    opens = np.maximum(following[next_open[np.maximum(step, 0)]], arrival)
    found: FloatArray = np.minimum(opens, arrival + allowed)
    return found
