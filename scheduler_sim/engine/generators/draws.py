"""What several models share: who submits, and instants that follow a cycle of busy and quiet hours."""

from collections.abc import Callable

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

_STEPS = 60
_MOST_DOUBLED = 2.0**60


def zipf(length: int, choices: int, generator: np.random.Generator) -> IntArray:
    """Draw `length` numbers from 0 below `choices`, the k-th of them (from 1) in proportion to 1/k."""
    shares = 1.0 / np.arange(1, choices + 1)
    ends = np.cumsum(shares) / shares.sum()
    codes = np.minimum(np.searchsorted(ends, generator.random(length), side="right"), choices - 1)
    return codes.astype(np.int64)


def numbered(word: str, count: int) -> tuple[str, ...]:
    """Return names that count up from 1, all of one length."""
    width = len(str(count))
    return tuple(f"{word}{number:0{width}d}" for number in range(1, count + 1))


def through_cycle(points: FloatArray, weights: FloatArray, bucket_seconds: float) -> FloatArray:
    """Turn seconds of a mean hour into instants of a cycle that repeats.

    A bucket of weight w lets w times `bucket_seconds` points pass; the instant is where the points are used up.

    Args:
        points: ascending, shape (n,).
        weights: of the buckets of one cycle, mean 1.
        bucket_seconds: the length of a bucket.
    """
    ends = np.cumsum(weights)
    cycle = len(weights) * bucket_seconds
    cycles, rest = np.divmod(points, cycle)
    rest /= bucket_seconds
    buckets = np.minimum(np.searchsorted(ends, rest), len(weights) - 1)
    before = ends[buckets] - weights[buckets]
    within = np.clip((rest - before) / np.maximum(weights[buckets], 1e-300), 0.0, 1.0)
    return cycles * cycle + (buckets + within) * bucket_seconds


def scale_to_load(arrivals: FloatArray, work: FloatArray, capacity: float) -> float:
    """Return the factor on arrivals with which they bring `work`, device-seconds each, to so many devices on average.

    Raises:
        InvalidParameter: all arrive at once.
    """
    span = float(arrivals[-1] - arrivals[0])
    if span <= 0:
        raise InvalidParameter("A load needs at least two tasks that arrive at different instants.")
    return float(work.sum()) / (capacity * span)


def scale_to_span(points: FloatArray, span: float, arrive: Callable[[FloatArray], FloatArray], load: float) -> float:
    """Find the factor on points with which the last arrives `span` seconds after the first.

    The span grows with the factor, so halving an interval finds it; the steps are fixed in number to give
    the same factor everywhere.

    Args:
        points: ascending, shape (n,).
        span: seconds.
        arrive: turns points into instants.
        load: what is asked for, for the message.

    Raises:
        InvalidParameter: all points are one, or no factor is large enough.
    """
    ends = points[[0, -1]]
    if ends[1] <= ends[0]:
        raise InvalidParameter("A load needs at least two jobs that arrive at different instants.")

    def span_at(scale: float) -> float:
        first, last = arrive(ends * scale).tolist()
        return float(last - first)

    low, high = 0.0, 1.0
    while span_at(high) < span:
        high *= 2.0
        if high > _MOST_DOUBLED:
            raise InvalidParameter(f"The load {load} cannot be reached.")
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if span_at(middle) < span else (low, middle)
    return high
