"""How alike two workloads are: distances of their distributions, and figures of one beside intervals of the other.

Intervals are percentiles of a bootstrap of days: whole weeks in a row are drawn, days where the record is shorter than
two weeks, so that tasks of one day or week are not taken for independent ones (circular blocks: D. N. Politis and J. P.
Romano, JASA 89(428), 1994).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray
from scheduler_sim.engine.workloads.workload import Workload

DAY, HOUR = 86_400.0, 3600.0
WEEK = 7
CONFIDENCE = 0.95
RESAMPLES = 200
FEWEST_DAYS = 3


@dataclass(frozen=True)
class Distance:
    """How far apart two distributions are.

    Attributes:
        name: of what. unit: in which it is counted.
        kolmogorov_smirnov: the largest difference of their distribution functions, 0 to 1.
        wasserstein: the mean way from one to the other, in `unit`. relative: that by the mean of the first.
    """

    name: str
    unit: str
    kolmogorov_smirnov: float
    wasserstein: float
    relative: float


@dataclass(frozen=True)
class Marginal:
    """One figure of both.

    Attributes:
        name, unit: what it is.
        value: of the first. low, high: its interval, where the first is what it might as well have been.
        other: of the second.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    other: float

    @property
    def inside(self) -> bool:
        """True where the second is what the first might as well have been."""
        return bool(self.low <= self.other <= self.high)


@dataclass(frozen=True)
class Likeness:
    """How alike two workloads are.

    Attributes:
        distances: of the distributions of tasks' properties.
        marginals: figures of the first with intervals, beside those of the second.
    """

    distances: tuple[Distance, ...]
    marginals: tuple[Marginal, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "distances": [asdict(one) for one in self.distances],
            "marginals": [{**asdict(one), "inside": one.inside} for one in self.marginals],
        }


def compare_workloads(first: Workload, second: Workload, *, seed: int = 0) -> Likeness:
    """Compare the tasks of two workloads; the first is the one that the second is to resemble.

    Args:
        seed: of the resampling; the same workloads and seed give the same intervals.

    Raises:
        InvalidParameter: one of them is shorter than three days.
    """
    return Original.of(first, seed=seed).beside(second)


@dataclass(frozen=True)
class Original:
    """A workload that others are held beside.

    Attributes:
        sample: its tasks.
        figures: shape (figures,). drawn: shape (resamples, figures), what they might as well have been.
    """

    sample: "_Sample"
    figures: FloatArray
    drawn: FloatArray

    @classmethod
    def of(cls, workload: Workload, *, seed: int = 0) -> "Original":
        """Work out the intervals of its figures; arguments and errors as of `compare_workloads`."""
        sample = _Sample.of(workload)
        return cls(sample, np.array(_figures(sample)), _drawn_figures(sample, np.random.default_rng(seed)))

    def beside(self, workload: Workload) -> Likeness:
        """Compare it with another one."""
        other = _Sample.of(workload)
        return Likeness(distances=_distances(self.sample, other), marginals=self._marginals(_figures(other)))

    def _marginals(self, others: list[float]) -> tuple[Marginal, ...]:
        found = []
        for (name, unit, _), value, values, other in zip(
            _FIGURES, self.figures.tolist(), self.drawn.T, others, strict=True
        ):
            if np.isnan([value, other]).any() or np.isnan(values).any():
                continue
            low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
            found.append(Marginal(name, unit, value, min(low, value), max(high, value), other))
        return tuple(found)


@dataclass(frozen=True)
class _Sample:
    """The tasks of whole days.

    Attributes:
        days: how many.
        first: shape (days + 1,), where each day's tasks begin.
        columns: by name, shape (tasks,); NaN where a task has no such value.
    """

    days: int
    first: IntArray
    columns: dict[str, FloatArray]

    @classmethod
    def of(cls, workload: Workload) -> "_Sample":
        arrival = workload.arrival_time
        origin, last = (float(arrival[at]) for at in (0, -1)) if len(workload) else (0.0, 0.0)
        days = int((last - origin) // DAY)
        if days < FEWEST_DAYS:
            raise InvalidParameter(
                f"Workloads of {FEWEST_DAYS} days or more can be compared; {(last - origin) / DAY:.3g} are too few."
            )
        first = np.searchsorted(arrival, origin + DAY * np.arange(days + 1)).astype(np.int64)
        rows = np.arange(first[-1])
        held = np.where(workload.gpus > 0, workload.gpus, workload.cpus)[rows]
        runtime = workload.runtime[rows]
        estimate = np.where(workload.estimate_known, workload.duration_estimate, np.nan)[rows]
        users = np.argsort(np.argsort(-np.bincount(workload.user.codes[rows]), kind="stable"), kind="stable")
        named = len(workload.user.names) > 1
        columns = {
            "gap": np.diff(arrival[rows], prepend=np.nan),
            "runtime": runtime,
            "estimate": estimate,
            "accuracy": np.divide(runtime, estimate, out=np.full(len(rows), np.nan), where=estimate > 0),
            "cpus": _used(workload.cpus)[rows],
            "gpus": _used(workload.gpus)[rows],
            "work": held * runtime / HOUR,
            "hour": (arrival[rows] % DAY) / HOUR,
            "weekday": np.floor(arrival[rows] / DAY) % WEEK,
            "user": users[workload.user.codes[rows]] + 1.0 if named else np.full(len(rows), np.nan),
        }
        return cls(days, first, columns)

    def take(self, days: IntArray) -> "_Sample":
        """Return the tasks of these days, in a row."""
        counts = np.diff(self.first)[days]
        ends = np.cumsum(counts)
        rows = np.arange(int(ends[-1])) - np.repeat(ends - counts - self.first[days], counts)
        return _Sample(
            len(days), np.concatenate(([0], ends)), {name: column[rows] for name, column in self.columns.items()}
        )


def _used(devices: FloatArray) -> FloatArray:
    """Return how many devices each task holds, NaN for all where nobody uses any."""
    return devices if devices.any() else np.full(len(devices), np.nan)


_DISTRIBUTIONS = (
    ("gap", "time between arrivals", "s"),
    ("runtime", "run time", "s"),
    ("estimate", "estimate", "s"),
    ("accuracy", "run time by estimate", ""),
    ("cpus", "processors", ""),
    ("gpus", "GPUs", ""),
    ("work", "work of a task", "device-hours"),
    ("hour", "hour of the day", "h"),
    ("user", "rank of the user", ""),
)


def _quantile(name: str, part: float) -> Callable[[_Sample], float]:
    return lambda sample: _over(sample.columns[name], lambda values: np.quantile(values, part))


def _mean(name: str) -> Callable[[_Sample], float]:
    return lambda sample: _over(sample.columns[name], np.mean)


def _share(name: str, test: Callable[[FloatArray], Any]) -> Callable[[_Sample], float]:
    return lambda sample: _over(sample.columns[name], lambda values: 100.0 * test(values).mean())


def _over(values: FloatArray, figure: Callable[[FloatArray], Any]) -> float:
    known = values[~np.isnan(values)]
    return float(figure(known)) if len(known) else np.nan


_FIGURES: tuple[tuple[str, str, Callable[[_Sample], float]], ...] = (
    ("tasks a day", "", lambda sample: float(sample.first[-1]) / sample.days),
    ("work a day", "device-hours", lambda sample: float(sample.columns["work"].sum()) / sample.days),
    ("variation of times between arrivals", "", lambda s: _over(s.columns["gap"], lambda v: v.std() / v.mean())),
    ("median time between arrivals", "s", _quantile("gap", 0.5)),
    ("mean run time", "s", _mean("runtime")),
    ("median run time", "s", _quantile("runtime", 0.5)),
    ("95th percentile of run times", "s", _quantile("runtime", 0.95)),
    ("mean estimate", "s", _mean("estimate")),
    ("mean run time by estimate", "", _mean("accuracy")),
    ("mean processors", "", _mean("cpus")),
    ("tasks on one processor", "%", _share("cpus", lambda values: values == 1)),
    ("mean GPUs", "", _mean("gpus")),
    ("tasks with several GPUs", "%", _share("gpus", lambda values: values > 1)),
    ("arrivals in the eight quietest hours", "%", lambda s: _quietest(np.floor(s.columns["hour"]), 24, 8)),
    ("arrivals on the two quietest weekdays", "%", lambda s: _quietest(s.columns["weekday"], WEEK, 2)),
    ("tasks of the first user", "%", _share("user", lambda values: values == 1)),
    ("tasks of the first ten users", "%", _share("user", lambda values: values <= 10)),
)


def _quietest(parts: FloatArray, of: int, quiet: int) -> float:
    """Return how many in a hundred tasks arrive in the `quiet` parts of a cycle `of` so many that have the fewest."""
    counts = np.sort(np.bincount(parts.astype(np.int64), minlength=of))
    return float(100.0 * counts[:quiet].sum() / max(counts.sum(), 1))


def _distances(first: _Sample, second: _Sample) -> tuple[Distance, ...]:
    from scipy import stats

    found = []
    for name, title, unit in _DISTRIBUTIONS:
        left, right = (sample.columns[name][~np.isnan(sample.columns[name])] for sample in (first, second))
        if not len(left) or not len(right):
            continue
        way, mean = float(stats.wasserstein_distance(left, right)), float(np.mean(left))
        found.append(Distance(title, unit, _largest_gap(left, right), way, way / mean if mean else np.nan))
    return tuple(found)


def _largest_gap(left: FloatArray, right: FloatArray) -> float:
    """Return the statistic of Kolmogorov and Smirnov; its p-value asks for independent values."""
    points = np.union1d(left, right)
    parts = [np.searchsorted(np.sort(values), points, side="right") / len(values) for values in (left, right)]
    return float(np.abs(parts[0] - parts[1]).max())


def _drawn_figures(sample: _Sample, generator: np.random.Generator) -> FloatArray:
    """Return the figures of what the sample might as well have been, shape (resamples, figures)."""
    length = WEEK if sample.days >= 2 * WEEK else 1
    blocks = -(-sample.days // length)
    drawn = np.empty((RESAMPLES, len(_FIGURES)))
    for resample in drawn:
        begins = generator.integers(0, sample.days, blocks)
        days = ((begins[:, None] + np.arange(length)) % sample.days).ravel()[: sample.days]
        resample[:] = _figures(sample.take(days))
    return drawn


def _figures(sample: _Sample) -> list[float]:
    return [figure(sample) for _, _, figure in _FIGURES]
