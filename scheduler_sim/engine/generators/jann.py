"""The workload model of Jann and others for parallel machines, fitted to a workload.

Source: J. Jann, P. Pattnaik, H. Franke, F. Wang, J. Skovira and J. Riordan, "Modeling of workload in MPPs", JSSPP 1997.
Tasks fall into classes by the power of two next to their size. In each class the times between arrivals and the run
times are hyper-Erlang of common order: with probability p an Erlang time of n phases and one rate, else one of n phases
and another rate, of the least order n by which the first three moments are met. The paper tabulates these numbers for
one machine; here they are those of the workload that is given, by the same rule. The two rates follow from the moments
in closed form (M. A. Johnson and M. R. Taaffe, "Matching moments to phase distributions: mixtures of Erlang
distributions of common order", Stochastic Models 5(4), 1989).

Within a class sizes are drawn from those recorded. Classes of fewer than thirty tasks are taken together with the next.
Days are not told apart, and nobody submits. The model draws class by class: times between arrivals, run times, sizes.
"""

import math
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.generators.registry import MOST_TASKS, Fitted, Parameters, parameter, register_fitted
from scheduler_sim.engine.workloads.columns import FloatArray
from scheduler_sim.engine.workloads.workload import Workload

DAY = 86_400.0
FEWEST = 30
HIGHEST_ORDER = 1000
"""Values that need a higher order are taken to be two, without phases."""

_LEAST = 1e-12
"""Differences that are a smaller part are rounding."""


@dataclass(frozen=True)
class JannParameters(Parameters):
    """How long."""

    days: int = parameter(30, "how many days are made", kind=int, low=1, high=36_500)


@dataclass(frozen=True)
class HyperErlang:
    """A mixture of two Erlang distributions of one order.

    Attributes:
        order: how many exponential phases a value has; 0 for values that are `first` or `second` themselves.
        share: of values with phases of the mean `first`; the others have phases of the mean `second`, seconds.
    """

    order: int
    share: float
    first: float
    second: float

    @classmethod
    def of(cls, values: FloatArray) -> "HyperErlang":
        """Return the distribution of least order with the first three moments of the values, shape (n,), 0 or more."""
        moments = [float(np.mean(values**power)) for power in (1, 2, 3)]
        return cls.of_moments(*moments)

    @classmethod
    def of_moments(cls, mean: float, square: float, cube: float) -> "HyperErlang":
        """Return the distribution of least order with these first three moments.

        The means of the phases are the two values y of a distribution whose moments are those asked for by
        n, n(n + 1) and n(n + 1)(n + 2), above 0. They are where m2 > m1^2 and m1 m3 > m2^2, sooner or later.
        """
        for order in range(1, HIGHEST_ORDER + 1):
            m1 = mean / order
            m2 = square / (order * (order + 1))
            m3 = cube / (order * (order + 1) * (order + 2))
            if m2 - m1 * m1 > _LEAST * m2 and m3 * m1 - m2 * m2 > _LEAST * m2 * m2:
                return cls(order, *_two_values(m1, m2, m3))
        return cls(0, *_two_values(mean, square, cube))

    def draw(self, count: int, generator: np.random.Generator) -> FloatArray:
        """Draw so many values, seconds."""
        if self.order == 0:
            return np.where(generator.random(count) < self.share, self.first, self.second)
        means = np.where(generator.random(count) < self.share, self.first, self.second)
        return means * generator.standard_gamma(self.order, count)


def _two_values(m1: float, m2: float, m3: float) -> tuple[float, float, float]:
    """Return the part of the first of two values and both, of the distribution on two that has these moments.

    The values are the roots of y^2 - s y + q, where s = (m3 - m1 m2) / (m2 - m1^2) and q = s m1 - m2.
    """
    spread = m2 - m1 * m1
    if spread <= _LEAST * m2:
        return 1.0, m1, m1
    total = (m3 - m1 * m2) / spread
    product = max(total * m1 - m2, 0.0)
    second = (total + math.sqrt(max(total * total - 4.0 * product, 0.0))) / 2.0
    first = product / second
    return (second - m1) / (second - first), first, second


@dataclass(frozen=True)
class SizeClass:
    """What is known of tasks of about one size.

    Attributes:
        sizes: those recorded, shape (n,), ascending.
        gaps, runtimes: between arrivals in this class, and of its tasks; seconds.
    """

    sizes: FloatArray
    gaps: HyperErlang
    runtimes: HyperErlang


def size_classes(like: Workload) -> list[SizeClass]:
    """Return the classes of a workload, the smallest sizes first.

    Raises:
        InvalidParameter: tasks that hold GPUs, or so few that none of their moments is known.
    """
    if like.gpus.any():
        raise InvalidParameter("Jann's model is of processors, and tasks hold GPUs; the model fitted takes them.")
    if len(like) < FEWEST:
        raise InvalidParameter(f"Jann's model is fitted to {FEWEST} tasks or more, not to {len(like)}.")
    power = np.ceil(np.log2(np.maximum(like.cpus, 1.0))).astype(np.int64)
    counts = np.bincount(power)
    ends, held = [], 0
    for number, count in enumerate(counts.tolist()):
        held += count
        if held >= FEWEST:
            ends.append(number)
            held = 0
    ends[-1] = len(counts) - 1
    found, least = [], 0
    for end in ends:
        rows = np.flatnonzero((power >= least) & (power <= end))
        found.append(
            SizeClass(
                sizes=np.sort(like.cpus[rows]),
                gaps=HyperErlang.of(np.diff(like.arrival_time[rows])),
                runtimes=HyperErlang.of(like.runtime[rows]),
            )
        )
        least = end + 1
    return found


def _generate(like: Workload, parameters: JannParameters, generator: np.random.Generator) -> Workload:
    """Draw rigid tasks of processors, in whole seconds from where `like` begins.

    Raises:
        InvalidParameter: as of `size_classes`, or more tasks than can be made, or none.
    """
    span = parameters.days * DAY
    drawn: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    for one in size_classes(like):
        gaps = _gaps_within(one.gaps, span, generator)
        sizes = one.sizes[generator.integers(0, len(one.sizes), len(gaps))]
        drawn.append((np.cumsum(gaps), one.runtimes.draw(len(gaps), generator), sizes))
    arrivals, runtimes, sizes = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    if not len(arrivals):
        raise InvalidParameter(f"No task arrives within {parameters.days} days.")
    order = np.argsort(arrivals, kind="stable")
    return Workload.from_columns(
        arrival_time=np.floor(like.arrival_time[0] + arrivals[order]),
        runtime=np.round(runtimes[order]),
        cpus=sizes[order],
    )


def _gaps_within(gaps: HyperErlang, span: float, generator: np.random.Generator) -> FloatArray:
    """Draw times between arrivals until they sum to `span` seconds, and leave the last out."""
    mean = max(gaps.order, 1) * (gaps.share * gaps.first + (1.0 - gaps.share) * gaps.second)
    if mean <= 0 or span / mean > MOST_TASKS:
        raise InvalidParameter(f"More than {MOST_TASKS:,} tasks of one class would arrive.")
    found = gaps.draw(max(int(span / mean), 16), generator)
    while found.sum() < span:
        found = np.concatenate([found, gaps.draw(len(found), generator)])
    kept: FloatArray = found[: int(np.searchsorted(np.cumsum(found), span))]
    return kept


JANN = register_fitted(
    Fitted(
        name="jann",
        description="tasks by classes of sizes, hyper-Erlang times of common order (Jann et al., JSSPP 1997)",
        parameters=JannParameters,
        generate=_generate,
    )
)
