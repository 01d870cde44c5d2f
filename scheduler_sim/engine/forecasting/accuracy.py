"""How good forecasts were: what really happened beside them, and beside Slurm's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    """

    at: float
    job: str
    started_at: float
    start_at: float
    earliest_at: float
    latest_at: float
    slurm_start_at: float | None


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
            )
        )
    return found
