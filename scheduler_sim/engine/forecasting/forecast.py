"""When each waiting task will start: the state of an instant played on many times with drawn run times and arrivals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.forecasting.future import Future, Past
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.traces.slurm_snapshots import QueuedJob
from scheduler_sim.engine.workloads.columns import FloatArray

REPLICAS = 100
DECILES = tuple(tenth / 10 for tenth in range(1, 10))
"""The quantiles that are told; between the first and the last lies the interval of 80 %."""

WIDENED = 1.75
"""By what the bounds lie further from the median than they were played: what is drawn differs less from future to
future than the world does. Found on the recorded clusters S1A and S4; docs/forecast.md has what it does on others."""


@dataclass(frozen=True)
class Expected:
    """What is expected of one job that waits; instants are seconds since 1970.

    Attributes:
        job, user, partition: its number, who submitted it, and where.
        reason: why it waits, in Slurm's words.
        kind: `expected`, `never` (it can never start as things are) or `held` (somebody must release it first).
        slurm_start_at: when Slurm itself expects it to start, None where squeue does not say.
        deciles: by when it will have started with a chance of 10, 20, ... 90 %; None where it did not start up to the
            horizon in so many of the futures that were played. Jobs of other kinds than `expected` have none.
    """

    job: str
    user: str
    partition: str
    reason: str
    kind: str
    slurm_start_at: float | None = None
    deciles: tuple[float | None, ...] = ()

    @property
    def start_at(self) -> float | None:
        """The median of the starts that were played."""
        return self.deciles[4] if self.deciles else None

    @property
    def earliest_at(self) -> float | None:
        """Where the interval of 80 % begins."""
        return self.deciles[0] if self.deciles else None

    @property
    def latest_at(self) -> float | None:
        """Where the interval of 80 % ends, None where that is not known."""
        return self.deciles[-1] if self.deciles else None


@dataclass(frozen=True)
class Forecast:
    """What is expected of the jobs of a queue.

    Attributes:
        at: the instant, seconds since 1970.
        jobs: those that wait, in the order in which they are expected to start, then those that can not.
        replicas: how often the future was played. seed: of all that was drawn.
        running: how many jobs run. learned: how many that ended before told how long jobs run.
        horizon_at: up to when the future was played.
        moved, left_out: see `Present`.
    """

    at: float
    jobs: tuple[Expected, ...]
    replicas: int
    seed: int
    running: int
    learned: int
    horizon_at: float
    moved: tuple[str, ...]
    left_out: tuple[str, ...]


def forecast(
    jobs: Sequence[QueuedJob],
    site: Site,
    *,
    at: float | None = None,
    past: Past | None = None,
    replicas: int = REPLICAS,
    seed: int = 0,
    on_replica: Callable[[int], None] | None = None,
) -> Forecast:
    """Say when each job of a queue that waits will start.

    Args:
        jobs: as `read_queue` returns them.
        at: when they were printed, in seconds since 1970; None to tell it by what runs.
        past: what ran before; without it nothing is known of run times but their limits, and nothing arrives.
        replicas: how often to play.
        on_replica: called after each with how many were played.

    Raises:
        InvalidParameter: fewer than 10 replicas.
        InvalidTrace: nothing that runs or waits, or nothing that tells the instant.
        InvalidPolicy, InvalidWorkload: what is not played on a site.
    """
    if replicas < 10:
        raise InvalidParameter(f"replicas is {replicas}; an interval of 80 % needs 10 at least.")
    future = Future.of(jobs, site, at=at, past=past)
    starts = future.starts(replicas, seed, on_replica)
    return _told(future, starts, jobs, seed)


def deciles(starts: FloatArray, now: float) -> FloatArray:
    """Return the deciles of n starts that were played of each of m tasks, shape (m, n), as (9, m).

    The p-quantile is the start of rank p (n + 1), rounded down below the median and up above it: one start more, drawn
    alike, lies between the first and the last in 80 % of all cases at least. They are then moved away from the median,
    see `WIDENED`, but not before `now`.
    """
    ordered, number = np.sort(starts, axis=1), starts.shape[1]
    middle = ordered[:, (number - 1) // 2]
    known = np.where(middle < np.inf, middle, 0.0)
    found = []
    for tenth in range(1, len(DECILES) + 1):
        # In whole numbers: 0.1 * 11 is no more than 1 by chance of rounding.
        rank = tenth * (number + 1) // 10 if tenth < 5 else -(-tenth * (number + 1) // 10)
        value = ordered[:, min(max(rank, 1), number) - 1]
        if tenth == 5:
            value = middle
        elif tenth < 5:
            widened = np.maximum(known - WIDENED * (known - value), np.minimum(now, value))
            value = np.where(middle < np.inf, widened, value)
        else:
            value = np.where(value < np.inf, known + WIDENED * (value - known), value)
        found.append(value)
    return np.array(found)


def _told(future: Future, starts: FloatArray, jobs: Sequence[QueuedJob], seed: int) -> Forecast:
    """Summarise the starts of the tasks that wait, shape (waiting, replicas), infinite for those that did not start."""
    now, by_name = future.present, {job.job: job for job in jobs}
    bounds = deciles(starts, now.now) + future.zero_at

    def expected(name: str, kind: str, reason: str = "", deciles: tuple[float | None, ...] = ()) -> Expected:
        job = by_name[name]
        return Expected(
            job=name,
            user=job.user,
            partition=job.partition,
            reason=reason or job.reason or "None",
            kind=kind,
            slurm_start_at=job.started,
            deciles=deciles,
        )

    found = []
    for name, row in zip(now.workload.external_id[now.running :].tolist(), bounds.T.tolist(), strict=True):
        told = tuple(None if value == np.inf else value for value in row)
        found.append(expected(name, "expected", deciles=told))
    found.sort(key=lambda one: (one.start_at is None, one.start_at or 0.0))
    found += [expected(name, "never", reason) for name, reason in sorted(now.never.items())]
    found += [expected(name, "held") for name in now.held]
    return Forecast(
        at=now.now + future.zero_at,
        jobs=tuple(found),
        replicas=starts.shape[1],
        seed=seed,
        running=now.running,
        learned=future.learned,
        horizon_at=future.horizon + future.zero_at,
        moved=now.moved,
        left_out=now.left_out,
    )
