"""Intervals, paired differences, corrections and ranks over replications of an experiment.

SciPy does the computing where it has the method; here stand the choices between them. Replications differ in their
seed, so they are independent; within one replication policies share the workload, so they are paired. Where all
give the same value, as where nothing is drawn, there is no interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.workloads.workload import FloatArray

CONFIDENCE = 0.95
RESAMPLES = 2000
SMALLEST_BOOTSTRAP = 5
"""Below so many values a bootstrap draws from too little, and the t interval is given."""


@dataclass(frozen=True)
class Interval:
    """A mean and where it lies with the confidence asked for.

    Attributes:
        mean: of the values, NaN for none.
        low, high: the bounds, NaN when fewer than two different values were given.
        count: how many values.
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def is_bounded(self) -> bool:
        """Tell whether there are bounds: no value, one, or equal ones have none."""
        return not math.isnan(self.low)

    @property
    def why_unbounded(self) -> str:
        """What stands in place of bounds where there are none."""
        return "one seed" if self.count == 1 else "none"

    @property
    def half_width(self) -> float:
        """Half the distance of the bounds."""
        return (self.high - self.low) / 2

    def within(self, lowest: float, highest: float) -> "Interval":
        """Return the same interval without what the figure cannot be; the mean stays, and so does the coverage."""
        if not self.is_bounded:
            return self
        return Interval(self.mean, max(self.low, lowest), min(self.high, highest), self.count)

    def is_narrow(self, relative_width: float) -> bool:
        """Tell whether the half width is at most `relative_width` of the mean's size."""
        return bool(self.half_width <= relative_width * abs(self.mean))


@dataclass(frozen=True)
class Difference:
    """A policy against a base on the same replications.

    Attributes:
        interval: of value - base.
        p_value: of the paired t test that the mean difference is 0, NaN for fewer than two different pairs.
        adjusted: the p-value after the correction for many comparisons (Holm).
    """

    interval: Interval
    p_value: float
    adjusted: float = math.nan

    @property
    def is_clear(self) -> bool:
        """Tell whether the difference is significant after the correction."""
        return bool(self.adjusted < 1 - CONFIDENCE)


def mean_interval(values: npt.ArrayLike, *, confidence: float = CONFIDENCE) -> Interval:
    """Return the mean of independent replications with its Student t interval.

    mean +- t(n - 1, (1 + confidence) / 2) * s / sqrt(n) (Student, "The probable error of a mean", Biometrika 6,
    1908); exact for normal values, and good for means of long runs by the central limit theorem.

    Args:
        values: shape (n,), one value a replication; NaN is left out.
    """
    known = _known(values)
    if not _varies(known):
        return Interval(float(known[0]) if len(known) else math.nan, math.nan, math.nan, len(known))
    mean = float(known.mean())
    error = float(known.std(ddof=1)) / math.sqrt(len(known))
    from scipy import stats

    reach = float(stats.t.ppf((1 + confidence) / 2, len(known) - 1)) * error
    return Interval(mean, mean - reach, mean + reach, len(known))


def bootstrap_interval(values: npt.ArrayLike, *, confidence: float = CONFIDENCE, seed: int = 0) -> Interval:
    """Return the mean of replications with its bias-corrected and accelerated bootstrap interval.

    For figures whose replications are far from normal, such as high percentiles (Efron, "Better bootstrap
    confidence intervals", JASA 82, 1987). Below 5 values, or when all are equal, it is as `mean_interval` has it.

    Args:
        values: shape (n,), one value a replication; NaN is left out.
        seed: of the resampling; the same values and seed give the same interval.
    """
    known = _known(values)
    if len(known) < SMALLEST_BOOTSTRAP or not _varies(known):
        return mean_interval(known, confidence=confidence)
    from scipy import stats

    found = stats.bootstrap(
        (known,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(known.mean()), float(found.low), float(found.high), len(known))


def figure_interval(figure: str, values: npt.ArrayLike) -> Interval:
    """Return the interval that suits a figure: bootstrap for percentiles and extremes, t for the others."""
    return bootstrap_interval(values) if is_bootstrapped(figure) else mean_interval(values)


def is_bootstrapped(figure: str) -> bool:
    """Tell whether a figure's interval is a bootstrap one, from `SMALLEST_BOOTSTRAP` values on."""
    return figure.startswith(("p50_", "p95_", "p99_", "max_", "min_"))


def paired_difference(values: npt.ArrayLike, base: npt.ArrayLike, *, confidence: float = CONFIDENCE) -> Difference:
    """Compare two policies on the same replications: the t interval and t test of their differences.

    Pairing removes what the replications have in common (common random numbers; Law, "Simulation Modeling and
    Analysis", 5th edition, section 10.2).

    Args:
        values, base: shape (n,), row i of both from the same replication; pairs with a NaN are left out.
    """
    first, second = np.asarray(values, np.float64), np.asarray(base, np.float64)
    differences = first - second
    pairs = ~np.isnan(differences)
    known = differences[pairs]
    if not _varies(first[pairs]) and not _varies(second[pairs]):
        return Difference(mean_interval(known), math.nan)
    mean, spread = float(known.mean()), float(known.std(ddof=1))
    if spread == 0:
        return Difference(Interval(mean, mean, mean, len(known)), 1.0 if mean == 0 else 0.0)
    interval = mean_interval(known, confidence=confidence)
    from scipy import stats

    statistic = interval.mean / (spread / math.sqrt(len(known)))
    return Difference(interval, float(2 * stats.t.sf(abs(statistic), len(known) - 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for so many comparisons, in the same order; NaN stays and is not counted.

    The k-th smallest of m is multiplied by m - k + 1, never below the one before and never above 1: the chance of
    even one false finding stays below the level (Holm, "A simple sequentially rejective multiple test procedure",
    Scandinavian Journal of Statistics 6, 1979).
    """
    known = [number for number, value in enumerate(p_values) if not math.isnan(value)]
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for place, number in enumerate(sorted(known, key=lambda one: p_values[one])):
        highest = max(highest, min(1.0, p_values[number] * (len(known) - place)))
        adjusted[number] = highest
    return adjusted


def compare_with_base(values: Mapping[str, npt.ArrayLike], base: str) -> dict[str, Difference]:
    """Compare every policy but `base` with it, p-values corrected for as many comparisons (see `holm`).

    Args:
        values: by policy, shape (n,), the same replications in the same order.
    """
    found = {name: paired_difference(row, values[base]) for name, row in values.items() if name != base}
    adjusted = holm([difference.p_value for difference in found.values()])
    return {
        name: Difference(difference.interval, difference.p_value, corrected)
        for (name, difference), corrected in zip(found.items(), adjusted, strict=True)
    }


def mean_ranks(values: Mapping[str, npt.ArrayLike], *, lower_is_better: bool = True) -> dict[str, float]:
    """Return each policy's rank averaged over the replications; 1 is best, ties share the mean of their places.

    Replications that lack a value are left out; without any the ranks are NaN (Friedman, JASA 32, 1937).
    """
    table = _complete(values)
    if not table.size:
        return dict.fromkeys(values, math.nan)
    from scipy import stats

    ranks = stats.rankdata(table if lower_is_better else -table, axis=0)
    return dict(zip(values, ranks.mean(axis=1).tolist(), strict=True))


def friedman_p_value(values: Mapping[str, npt.ArrayLike]) -> float:
    """Return the p-value of Friedman's test that all policies rank alike; NaN for fewer than 3 or no spread."""
    table = _complete(values)
    if len(table) < 3 or not any(_varies(row) for row in table) or (np.ptp(table, axis=0) == 0).all():
        return math.nan
    from scipy import stats

    return float(stats.friedmanchisquare(*table).pvalue)


def enough(values: npt.ArrayLike, *, figure: str, relative_width: float, minimum: int) -> bool:
    """Tell whether replications may stop: at least `minimum`, and a half width of at most that part of the mean.

    A sequential rule in the manner of Chow and Robbins ("On the asymptotic theory of fixed-width sequential
    confidence intervals", Annals of Mathematical Statistics 36, 1965): coverage tends to the level as the width
    shrinks, and is a little below it when few replications were wanted. Values that are all alike are enough: nothing
    was drawn, and nothing will be.
    """
    known = _known(values)
    if len(known) < max(2, minimum):
        return False
    return not _varies(known) or figure_interval(figure, known).is_narrow(relative_width)


def _known(values: npt.ArrayLike) -> FloatArray:
    array = np.asarray(values, np.float64)
    return array[~np.isnan(array)]


def _varies(values: FloatArray) -> bool:
    return len(values) > 1 and bool(np.ptp(values) > 0)


def _complete(values: Mapping[str, npt.ArrayLike]) -> FloatArray:
    """Return policies x replications, without replications that lack a value."""
    table = np.array([np.asarray(row, np.float64) for row in values.values()])
    if not table.size:
        return np.zeros((len(values), 0))
    return np.asarray(table[:, ~np.isnan(table).any(axis=0)])
