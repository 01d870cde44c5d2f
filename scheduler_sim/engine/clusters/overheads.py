"""What a task pays beside its work: seconds before it goes on, and checkpoints."""

import math
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.workloads.workload import FloatArray

CHECKPOINT_RULES = ("young", "daly")
"""Rules for the interval between checkpoints, by the mean time between failures and the cost of writing."""


@dataclass(frozen=True)
class Overhead:
    """Seconds that a start holds devices without progress, by how many GPUs it holds, processors where none.

    Attributes:
        steps: (most devices, seconds), the first ascending; the last one's most is infinity.
    """

    steps: tuple[tuple[float, float], ...] = ((math.inf, 0.0),)

    @classmethod
    def read(cls, text: str) -> "Overhead":
        """Read seconds, `30`, or steps, `1:7/8:30/60`: 7 s for one device, 30 s for up to 8, 60 s for more.

        Raises:
            ValueError: anything else, negative or infinite seconds, sizes that do not ascend.
        """
        *parts, last = text.split("/")
        steps = [tuple(float(number) for number in part.split(":")) for part in parts] + [(math.inf, float(last))]
        sizes = [step[0] for step in steps]
        if any(len(step) != 2 or not math.isfinite(step[1]) or step[1] < 0 for step in steps):
            raise ValueError
        if any(math.isnan(size) or size <= 0 for size in sizes) or sorted(set(sizes)) != sizes:
            raise ValueError
        return cls(tuple((size, seconds) for size, seconds in steps))

    def __str__(self) -> str:
        parts = [
            _short(seconds) if size == math.inf else f"{_short(size)}:{_short(seconds)}" for size, seconds in self.steps
        ]
        return "/".join(parts)

    def seconds(self, devices: FloatArray) -> FloatArray:
        """Return the seconds of tasks that hold so many devices, shape (n,)."""
        sizes, seconds = np.array(self.steps).T
        found: FloatArray = seconds[np.searchsorted(sizes, devices, side="left")]
        return found


NO_OVERHEAD = Overhead()


@dataclass(frozen=True)
class Checkpoints:
    """Progress that is written now and then, so that a failure does not take it.

    Attributes:
        interval: seconds of work after which a checkpoint is written; none is written where the work ends.
        write: seconds that writing one takes; the task holds its devices and makes no progress.
        read: seconds that going on from one takes.
        growth: each interval of an attempt is so many times the one before, in whole milliseconds.

    Raises:
        InvalidParameter: values that are negative, not finite, or an interval of nothing.
    """

    interval: float
    write: float = 0.0
    read: float = 0.0
    growth: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("interval", 0.001), ("write", 0.0), ("read", 0.0), ("growth", 1.0)):
            value = getattr(self, name)
            if not math.isfinite(value) or value < least:
                raise InvalidParameter(f"Checkpoints: {name} is {value!r}, not a number from {least:g} up.")

    @classmethod
    def by_rule(cls, rule: str, *, mean_time: float, write: float, read: float = 0.0) -> "Checkpoints":
        """Return checkpoints at the interval that Young or Daly advise.

        Raises:
            InvalidParameter: another rule, a mean time between failures that is not above 0, or writing that costs
                nothing, for which no interval is best.
        """
        if rule not in CHECKPOINT_RULES:
            raise InvalidParameter(f"There is no rule for checkpoints called {rule!r}. Valid: young, daly.")
        if not (math.isfinite(mean_time) and mean_time > 0 and math.isfinite(write) and write > 0):
            raise InvalidParameter(f"Checkpoints by {rule} need a mean time between failures and a cost of writing.")
        interval = young_interval(mean_time, write) if rule == "young" else daly_interval(mean_time, write)
        return cls(interval=interval, write=write, read=read)


def young_interval(mean_time: float, write: float) -> float:
    """Return sqrt(2 M d) (Young, Commun. ACM 17, 1974)."""
    return math.sqrt(2.0 * mean_time * write)


def daly_interval(mean_time: float, write: float) -> float:
    """Return the higher-order estimate of the best interval (Daly, Future Gener. Comput. Syst. 22, 2006, eq. 37)."""
    if write >= 2.0 * mean_time:
        return mean_time
    x = write / (2.0 * mean_time)
    return math.sqrt(2.0 * write * mean_time) * (1.0 + math.sqrt(x) / 3.0 + x / 9.0) - write


def daly_efficiency(mean_time: float, interval: float, write: float, restart: float) -> float:
    """Return the expected part of the time that makes progress under exponential failures (Daly, 2006, eq. 20).

    Work / wall time = tau / (M exp(R / M) (exp((tau + d) / M) - 1)), for work much longer than the interval.
    """
    return interval / (mean_time * math.exp(restart / mean_time) * math.expm1((interval + write) / mean_time))


def _short(value: float) -> str:
    return str(int(value)) if value.is_integer() else str(value)
