"""How much faster a task is on more devices: speed-up models as people write them in a column.

A model gives the speed on w devices beside that on one, w = 1, 2, ...; only the ratios between widths count.
"""

import math
from collections.abc import Callable
from dataclasses import fields
from functools import lru_cache

import numpy as np

from scheduler_sim.engine.errors import EngineError, InvalidWorkload
from scheduler_sim.engine.pairs import read_pairs
from scheduler_sim.engine.workloads.columns import FloatArray
from scheduler_sim.engine.workloads.goodput import Goodput

ELASTICITIES = ("rigid", "moldable", "malleable")
"""Classes of tasks: one width; a width chosen at the start; a width that may change while it runs (Feitelson and
Rudolph, Toward convergence in job schedulers for parallel supercomputers, JSSPP 1996)."""

SHAPES = "amdahl(p), power(a), downey(A,sigma), table(1:1/2:1.9/4:3.5) or goodput(alpha_compute=...,...)"

Speeds = Callable[[FloatArray, int], FloatArray]
"""Takes widths and the devices of a node, and returns speeds; shape (m,) both."""


@lru_cache(maxsize=4096)
def read_speedup(text: str) -> Speeds:
    """Read a speed-up model; the empty text is a task that is w times as fast on w devices.

    `amdahl(p)`: 1 / (1 - p + p / w), the part p being parallel (Amdahl, 1967). `power(a)`: w^a. `downey(A,sigma)`: of
    average parallelism A and its variation (Downey, A model for speedup of parallel programs, 1997). `table(...)`:
    speeds by width, straight lines between them and from none at 0 to the first, level after the last.
    `goodput(...)`: Pollux's (`goodput.Goodput`), at its best batch, on as few nodes as can be.

    Raises:
        InvalidWorkload: no such model, or values that mean nothing.
    """
    name, bracket, inside = text.strip().partition("(")
    if not name and not bracket:
        return _linear
    try:
        if name not in _READERS or not inside.endswith(")"):
            raise ValueError
        return _READERS[name](inside[:-1])
    except (ValueError, TypeError, EngineError) as error:
        why = f" {error}" if isinstance(error, EngineError) else ""
        raise InvalidWorkload(f"{text!r} is not a speed-up; write {SHAPES}.{why}") from error


def _linear(width: FloatArray, per_node: int) -> FloatArray:  # noqa: ARG001
    return width


def _number(text: str, least: float, most: float = math.inf) -> float:
    value = float(text)
    if not (math.isfinite(value) and least <= value <= most):
        raise ValueError
    return value


def _amdahl(inside: str) -> Speeds:
    parallel = _number(inside, 0.0, 1.0)
    return lambda width, _: 1.0 / (1.0 - parallel + parallel / width)


def _power(inside: str) -> Speeds:
    exponent = _number(inside, 0.0, 1.0)
    return lambda width, _: width**exponent


def _downey(inside: str) -> Speeds:
    average, sigma = inside.split(",")
    a, s = _number(average, 1.0), _number(sigma, 0.0)

    def speeds(width: FloatArray, per_node: int) -> FloatArray:  # noqa: ARG001
        if s > 1.0:
            rising = width * a * (s + 1.0) / (s * (width + a - 1.0) + a)
            return np.where(width < a + a * s - s, rising, a)
        below = a * width / (a + s / 2.0 * (width - 1.0))
        above = a * width / (s * (a - 0.5) + width * (1.0 - s / 2.0))
        return np.where(width <= a, below, np.where(width < 2.0 * a - 1.0, above, a))

    return speeds


def _table(inside: str) -> Speeds:
    pairs = [tuple(float(number) for number in entry.split(":")) for entry in inside.split("/")]
    widths, speeds = np.array([(0.0, 0.0), *pairs]).T
    if not np.isfinite(pairs).all() or (np.diff(widths) <= 0).any() or (speeds[1:] <= 0).any():
        raise ValueError
    return lambda width, _: np.interp(width, widths, speeds)


def _goodput(inside: str) -> Speeds:
    values = read_pairs(inside, malformed=ValueError, repeated=ValueError)
    unknown = set(values) - {item.name for item in fields(Goodput)}
    if unknown:
        raise ValueError
    accumulates = bool(float(values.pop("accumulates", "0")))
    model = Goodput(**{name: float(text) for name, text in values.items()}, accumulates=accumulates)
    model.best_batch(1, 1)

    def speeds(width: FloatArray, per_node: int) -> FloatArray:
        return np.array([_best(model, -(-one // per_node), one) for one in width.astype(int).tolist()])

    return speeds


def _best(model: Goodput, nodes: int, replicas: int) -> float:
    """Return the best goodput, 0 where no batch is large enough for so many replicas."""
    if max(model.initial_batch, model.least_local * replicas) > model.most_batch:
        return 0.0
    return model.best_batch(nodes, replicas)[0]


_READERS: dict[str, Callable[[str], Speeds]] = {
    "amdahl": _amdahl,
    "power": _power,
    "downey": _downey,
    "table": _table,
    "goodput": _goodput,
}
