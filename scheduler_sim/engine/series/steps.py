"""Step functions of time: each value holds from its time stamp to the next one's."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.workloads.columns import FloatArray

BEYOND = ("refuse", "hold", "repeat")
"""What a series says before its first time stamp and after its last step: nothing, its first and last value, or itself
over and over."""

_MOST_STEPS = 5_000_000


@dataclass(frozen=True, eq=False)
class StepSeries:
    """A step function.

    Attributes:
        times: shape (n,), seconds, ascending.
        values: shape (n,), finite; each holds from its time to the next.
        end: until when the last value holds.
        beyond: one of `BEYOND`.

    Raises:
        InvalidParameter: no value, times that do not ascend, or values that are not finite.
    """

    times: FloatArray
    values: FloatArray
    end: float
    beyond: str = "refuse"

    def __post_init__(self) -> None:
        if not len(self.times) or len(self.times) != len(self.values):
            raise InvalidParameter("A series needs as many values as times, and one at least.")
        if not (np.isfinite(self.times).all() and np.isfinite(self.values).all()):
            raise InvalidParameter("A series holds a time or a value that is not finite.")
        if (np.diff(self.times) <= 0).any() or not self.times[-1] < self.end < np.inf:
            raise InvalidParameter("The times of a series do not ascend.")
        if self.beyond not in BEYOND:
            raise InvalidParameter(f"Beyond its span a series is one of {', '.join(BEYOND)}, not {self.beyond!r}.")

    @property
    def begin(self) -> float:
        """When its first value begins to hold."""
        return float(self.times[0])

    @property
    def span(self) -> float:
        """For how many seconds it has values of its own."""
        return self.end - self.begin

    def moved(self, seconds: float) -> "StepSeries":
        """Return the series on a clock on which each of its times is so many seconds later."""
        return StepSeries(self.times + seconds, self.values, self.end + seconds, self.beyond)

    def covers(self, begin: float, end: float) -> bool:
        """Tell whether it has a value at every time from `begin` up to `end`."""
        return self.beyond != "refuse" or (self.begin <= begin and end <= self.end)

    def known_between(self, begin: float, end: float) -> tuple[float, float]:
        """Return the part of a span in which it has values: a begin that is not below the end where there is none."""
        return (begin, end) if self.beyond != "refuse" else (max(begin, self.begin), min(end, self.end))

    def at(self, times: FloatArray) -> FloatArray:
        """Return the value at each time, NaN where there is none."""
        times = np.asarray(times, np.float64)
        if self.beyond == "repeat":
            found: FloatArray = self.values[np.mod(self._number_repeated(times), len(self.times)).astype(np.int64)]
            return found
        place = np.searchsorted(self.times, times, side="right") - 1
        found = self.values[np.clip(place, 0, len(self.values) - 1)]
        if self.beyond == "refuse":
            found = np.where((times >= self.begin) & (times < self.end), found, np.nan)
        return found

    def step_begin(self, time: float) -> float:
        """Return when the step that holds at a time began; before the first step of a held series, the time itself."""
        if self.beyond == "repeat":
            return float(self._begin_of(self._number_repeated(np.array([time])))[0])
        begun = np.append(self.times, self.end) if self.beyond == "hold" else self.times
        place = int(np.searchsorted(begun, time, side="right")) - 1
        return float(begun[place]) if place >= 0 else time

    def cuts(self, begin: float, end: float) -> FloatArray:
        """Return the times strictly between `begin` and `end` at which a step may begin or end, ascending.

        Raises:
            InvalidParameter: it would repeat so often that there are more than 5,000,000 of them.
        """
        own = np.append(self.times, self.end)
        if self.beyond == "repeat" and end > begin:
            first = np.floor((begin - self.begin) / self.span)
            last = np.floor((end - self.begin) / self.span)
            if (last - first + 1) * len(own) > _MOST_STEPS:
                raise InvalidParameter(
                    f"A series of {self.span:,.15g} s would repeat {last - first:,.0f} times over {end - begin:,.15g} "
                    "s; take a longer one."
                )
            own = self._begin_of(np.arange(first * len(self.times), (last + 1) * len(self.times)))
        return own[(own > begin) & (own < end)]

    def over(self, begin: float, end: float) -> "StepSeries":
        """Return what it is from `begin` to `end`, and nothing beyond; where it has no value, it ends or begins later.

        Raises:
            InvalidParameter: as `cuts`; or it has no value at all between them.
        """
        begin, end = self.known_between(begin, end)
        if not begin < end:
            raise InvalidParameter("A series has no value in the span that is asked for.")
        times = np.concatenate(([begin], self.cuts(begin, end)))
        return StepSeries(times, self.at(times), end)

    def integral(self, start: FloatArray, end: FloatArray) -> FloatArray:
        """Return the integral of the value over each span, shape as given; NaN where a span goes beyond its values."""
        return self._from_begin(np.asarray(end, np.float64)) - self._from_begin(np.asarray(start, np.float64))

    def times_of(self, other: "StepSeries", begin: float, end: float) -> "StepSeries":
        """Return the product of both from `begin` to `end`, where both have values."""
        one, two = self.over(begin, end), other.over(begin, end)
        times = np.unique(np.concatenate((one.times, two.times)))
        values = one.at(times) * two.at(times)
        known = ~np.isnan(values)
        return StepSeries(times[known], values[known], min(one.end, two.end))

    def _begin_of(self, number: FloatArray) -> FloatArray:
        """Return when steps of a series that repeats begin, numbered on from 0, the first of its own."""
        rounds, place = np.divmod(number, len(self.times))
        return rounds * self.span + self.times[place.astype(np.int64)]

    def _number_repeated(self, times: FloatArray) -> FloatArray:
        """Return which of its steps a series that repeats is in at each time, numbered as `_begin_of` does.

        A time is laid into the span by a rounding, which may put the begin of a step before it: the begins that `cuts`
        tells decide.
        """
        rounds = np.floor((times - self.begin) / self.span)
        place = np.searchsorted(self.times, times - rounds * self.span, side="right") - 1
        number: FloatArray = rounds * len(self.times) + place
        number = number - (times < self._begin_of(number))
        return number + (times >= self._begin_of(number + 1))

    def _from_begin(self, times: FloatArray) -> FloatArray:
        """Return the integral from the beginning of the series to each time; before it, less than nothing."""
        lengths = np.diff(np.append(self.times, self.end))
        sums = np.concatenate(([0.0], np.cumsum(self.values * lengths)))
        rounds = np.zeros_like(times)
        if self.beyond == "repeat":
            rounds = np.floor((times - self.begin) / self.span)
            times = times - rounds * self.span
        place = np.clip(np.searchsorted(self.times, times, side="right") - 1, 0, len(self.times) - 1)
        found: FloatArray = rounds * sums[-1] + sums[place] + self.values[place] * (times - self.times[place])
        if self.beyond == "refuse":
            found = np.where((times >= self.begin) & (times <= self.end), found, np.nan)
        return found


def by_window(amounts: FloatArray, cuts: FloatArray, factors: Iterable[StepSeries], edges: FloatArray) -> FloatArray:
    """Return for each window the sum of the amounts of its pieces, each times what the series are in it.

    Args:
        amounts: shape (len(cuts) - 1,), of the pieces between `cuts`, in which every series stays what it is.
        edges: shape (k + 1,), window limits, all among `cuts`.
    """
    weighed = amounts.copy()
    for one in factors:
        weighed = weighed * one.at(cuts[:-1])
    window = np.searchsorted(edges, cuts[:-1], side="right") - 1
    return np.bincount(window, weighed, minlength=len(edges) - 1).astype(np.float64)


def cut(edges: FloatArray, factors: Iterable[StepSeries]) -> FloatArray:
    """Return the window limits and all times between them at which one of the series may change, ascending."""
    return np.unique(np.concatenate([edges, *(one.cuts(edges[0], edges[-1]) for one in factors)]))
