"""How good forecasts were: what really happened beside them, and beside Slurm's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from scheduler_sim.engine.forecasting.forecast import Forecast


@dataclass(frozen=True)
class Scored:
    """One forecast of one job beside what happened; seconds since 1970.

    Attributes:
        at: the instant of the forecast. job: its number.
        started_at: when it really started.
        start_at, earliest_at, latest_at: infinite where the forecast was beyond its horizon.
        slurm_start_at: Slurm's own forecast, None where it gave none.
        partition: of the job. deciles: see `Expected`, infinite beyond the horizon.
    """

    at: float
    job: str
    started_at: float
    start_at: float
    earliest_at: float
    latest_at: float
    slurm_start_at: float | None
    partition: str = ""
    deciles: tuple[float, ...] = ()


@dataclass(frozen=True)
class Accuracy:
    """The figures of many forecasts.

    Attributes:
        forecasts: how many there are, of jobs that really started. instants: of how many queues.
        covered: the share of real starts within their interval; of 80 % intervals 0.8 is right.
        median_error: median of |start expected - real start|, seconds.
        median_width: of the intervals, seconds.
        compared: forecasts of jobs of which Slurm told a start, too.
        median_error_compared, slurm_median_error: medians over those, of both. mean_error_compared, slurm_mean_error:
            means.
    """

    forecasts: int
    instants: int
    covered: float
    median_error: float
    median_width: float
    compared: int
    median_error_compared: float
    slurm_median_error: float
    mean_error_compared: float
    slurm_mean_error: float

    @classmethod
    def of(cls, scored: Sequence[Scored]) -> "Accuracy":
        """Score n > 0 forecasts."""
        real = np.array([one.started_at for one in scored])
        middle, early, late = (
            np.array([getattr(one, name) for one in scored]) for name in ("start_at", "earliest_at", "latest_at")
        )
        # Accounting has whole seconds.
        covered = (np.floor(early) <= real) & (real <= late)
        error = np.abs(middle - real)
        own = np.array([np.nan if one.slurm_start_at is None else one.slurm_start_at for one in scored])
        both = ~np.isnan(own)
        slurm = np.abs(own - real)[both]

        def median(values: np.ndarray) -> float:
            return float(np.quantile(values, 0.5, method="inverted_cdf")) if len(values) else float("nan")

        def mean(values: np.ndarray) -> float:
            return float(values.mean()) if len(values) else float("nan")

        return cls(
            forecasts=len(scored),
            instants=len({one.at for one in scored}),
            covered=float(covered.mean()),
            median_error=median(error),
            median_width=median(np.array([b - a if b < np.inf else np.inf for a, b in zip(early, late, strict=True)])),
            compared=int(both.sum()),
            median_error_compared=median(error[both]),
            slurm_median_error=median(slurm),
            mean_error_compared=mean(error[both]),
            slurm_mean_error=mean(slurm),
        )


LEADS = (
    *(("under 1 min", 60.0), ("1 to 10 min", 600.0), ("10 min to 1 h", 3600.0)),
    *(("1 to 6 h", 21_600.0), ("6 h to 1 d", 86_400.0), ("over 1 d", np.inf)),
)
"""How long a wait was forecast: names of the classes, and what each lies below."""

RESAMPLED = 1000


def lead(one: Scored) -> str:
    """Return the class of the wait that was forecast."""
    return next((name for name, below in LEADS if one.start_at - one.at < below), LEADS[-1][0])


def realised(scored: Sequence[Scored]) -> list[float]:
    """Return the share of forecasts whose job had really started by each decile; 0.1, 0.2, ... 0.9 are right.

    Accounting has whole seconds, so a start within the second of a decile counts half.
    """
    real = np.array([one.started_at for one in scored])[:, None]
    told = np.array([one.deciles for one in scored])
    with np.errstate(invalid="ignore"):
        within = np.floor(told) == real
    return [float(share) for share in ((real < np.floor(told)) + 0.5 * within).mean(axis=0)]


def chance_of_covering(scored: Sequence[Scored], seed: int = 0) -> tuple[float, float]:
    """Return an interval of 95 % for the share of real starts within their intervals.

    Instants are drawn again, not jobs (cluster bootstrap; Davison and Hinkley 1997, section 3.8): jobs of one instant
    wait for the same nodes.
    """
    counts: dict[float, list[int]] = {}
    for one in scored:
        here = counts.setdefault(one.at, [0, 0])
        here[0] += 1
        here[1] += bool(np.floor(one.earliest_at) <= one.started_at <= one.latest_at)
    table = np.array([counts[at] for at in sorted(counts)])
    generator = np.random.default_rng([seed, crc32(b"forecast accuracy")])
    sums = table[generator.integers(0, len(table), (RESAMPLED, len(table)))].sum(axis=1)
    low, high = np.quantile(sums[:, 1] / sums[:, 0], (0.025, 0.975))
    return float(low), float(high)


def score(forecast: Forecast, started: Mapping[str, Sequence[float]]) -> list[Scored]:
    """Return the forecasts of jobs that really started after the instant.

    Args:
        started: when jobs really started, by number, seconds since 1970; several starts of one that was requeued.
    """
    found = []
    for one in forecast.jobs:
        later = [time for time in started.get(one.job, ()) if time >= forecast.at - 1.0]
        if one.kind != "expected" or not later:
            continue

        def known(value: float | None) -> float:
            return float("inf") if value is None else value

        found.append(
            Scored(
                at=forecast.at,
                job=one.job,
                started_at=min(later),
                start_at=known(one.start_at),
                earliest_at=known(one.earliest_at),
                latest_at=known(one.latest_at),
                slurm_start_at=one.slurm_start_at,
                partition=one.partition,
                deciles=tuple(map(known, one.deciles)),
            )
        )
    return found
