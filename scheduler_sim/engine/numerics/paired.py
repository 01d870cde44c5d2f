"""Two policies on the same tasks: the difference task by task, with a confidence interval."""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.workloads.workload import FloatArray

BATCHES = 30
"""Waits of neighbouring tasks depend on each other, so the interval is computed over means of so many spans."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class TaskDifference:
    """How one policy differs from another on the n tasks that both finished; differences in seconds.

    Attributes:
        mean, low, high: mean difference and its 95% interval, None where there are too few tasks.
        median: of the differences.
        sooner, later, same: how many tasks finish sooner, later, at the same instant.
        tasks: n.
    """

    mean: float | None
    low: float | None
    high: float | None
    median: float | None
    sooner: int
    later: int
    same: int
    tasks: int

    @property
    def clear(self) -> bool:
        """True when the interval holds no zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    @property
    def verdict(self) -> str:
        """Whether it is clearly `better` (sooner) or `worse`, empty where it is not clear."""
        if self.mean is None or not self.clear:
            return ""
        return "better" if self.mean < 0 else "worse"


def task_difference(base: FloatArray, other: FloatArray) -> TaskDifference:
    """Compare the completion times of the same tasks, in order of arrival.

    The interval is that of the method of batch means (Law, Simulation Modeling and Analysis, 2015, section 9.5.3): the
    tasks are cut into 30 spans of arrivals, and Student's t is taken over the spans' means.
    """
    from scipy.special import stdtrit  # What `stats.t.ppf` calls, without the two seconds that `stats` takes to load.

    difference = other - base
    count = len(difference)
    mean = float(difference.mean()) if count else None
    low = high = None
    if mean is not None and count >= 2 * BATCHES:
        # All spans of one length at once: each call on many values lets other threads of a server go first.
        size, longer = divmod(count, BATCHES)
        first = difference[: longer * (size + 1)].reshape(longer, size + 1)
        others = difference[longer * (size + 1) :].reshape(BATCHES - longer, size)
        means = np.concatenate([first.mean(axis=1), others.mean(axis=1)])
        half = float(stdtrit(BATCHES - 1, (1 + CONFIDENCE) / 2) * means.std(ddof=1) / np.sqrt(BATCHES))
        low, high = mean - half, mean + half
    return TaskDifference(
        mean=mean,
        low=low,
        high=high,
        median=float(np.median(difference)) if count else None,
        sooner=int((difference < 0).sum()),
        later=int((difference > 0).sum()),
        same=int((difference == 0).sum()),
        tasks=count,
    )
