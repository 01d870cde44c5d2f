"""Print whether years that a fitted model makes are like the log they are fitted to, and whether policies rank alike.

For each model: for every figure of the log its interval, the mean over the years and how many years lie inside; and
Kendall's tau between the order of policies by mean bounded slowdown on the log and on each year, with an interval of
95 % for the mean. Jann's model states no estimates, so Tsafrir's stand for them.
Run from the project's root: python -m benchmarks.fitted_years ../shared/traces/KTH-SP2.swf.gz
"""

import argparse
import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from scheduler_sim import engine as sim
from scheduler_sim.engine.likeness import compare_workloads
from scheduler_sim.engine.statistics import mean_interval

POLICIES = (
    "fcfs",
    "fcfs+conservative",
    "ljf+easy",
    "fcfs+easy",
    "wfp3+easy",
    "fcfs+easy(order=sjf)",
    "saf+easy",
    "sjf+easy",
)
FIGURE = "mean_bounded_slowdown"


def figures(workload: sim.Workload, cluster: str) -> list[float]:
    """Return the mean bounded slowdown under each policy."""
    played = sim.play(workload, cluster, list(POLICIES), on_oversize="drop", workers=1)
    return [float(played.figure(FIGURE, name)) for name in played.policies]


def main() -> None:
    """Fit the models, make their years, and print both tables of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", help="a log, such as KTH-SP2.swf.gz")
    parser.add_argument("--years", type=int, default=20, help="how many, default %(default)s")
    parser.add_argument("--days", type=int, default=365, help="of a year, default %(default)s")
    parser.add_argument("--models", default="fitted,jann", help="default %(default)s")
    arguments = parser.parse_args()
    began = time.process_time()
    log = sim.read(arguments.trace)
    cluster = f"hpc-{log.processors}"
    recorded = figures(log.workload, cluster)
    console = Console(width=150)
    for model in arguments.models.split(","):
        parameters: dict[str, Any] = {"days": arguments.days}
        if model == "jann":
            parameters["estimates"] = "tsafrir"
        years = [sim.generate(model, like=log, seed=seed, **parameters) for seed in range(1, arguments.years + 1)]
        console.print(_likeness(log.workload, [year.workload for year in years], model))
        console.print(_ranking(recorded, [figures(year.workload, cluster) for year in years], model))
    console.print(f"{time.process_time() - began:,.0f} s of processor time")


def _likeness(log: sim.Workload, years: list[sim.Workload], model: str) -> Table:
    found = [compare_workloads(log, year) for year in years]
    table = Table(title=f"{model}: {len(years)} years beside the log")
    for heading in ("figure", "log", "interval", "mean of years", "inside", "years inside"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    every = [{one.name: one for one in each.marginals} for each in found]
    held = 0
    for name, one in every[0].items():
        others = [each[name].other for each in every if name in each]
        mean = float(np.mean(others))
        held += one.low <= mean <= one.high
        table.add_row(
            f"{name} {one.unit and f'({one.unit})'}",
            f"{one.value:,.4g}",
            f"{one.low:,.4g} to {one.high:,.4g}",
            f"{mean:,.4g}",
            "yes" if one.low <= mean <= one.high else "no",
            f"{sum(one.low <= other <= one.high for other in others)}",
        )
    distances = [max(one.kolmogorov_smirnov for one in each.distances) for each in found]
    table.caption = f"{held} of {len(every[0])} means inside; largest Kolmogorov-Smirnov distance {max(distances):.3f}"
    return table


def _ranking(recorded: list[float], years: list[list[float]], model: str) -> Table:
    taus = [float(stats.kendalltau(recorded, year).statistic) for year in years]
    interval = mean_interval(taus)
    table = Table(title=f"{model}: {FIGURE} of {len(POLICIES)} policies")
    for heading in ("policy", "log", "mean of years", "interval"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    for number in np.argsort(recorded).tolist():
        one = mean_interval([year[number] for year in years])
        values = (f"{recorded[number]:,.1f}", f"{one.mean:,.1f}", f"{one.low:,.1f} to {one.high:,.1f}")
        table.add_row(POLICIES[number], *values)
    table.caption = (
        f"Kendall's tau {interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f}), "
        f"least {min(taus):.3f}, {sum(tau == 1 for tau in taus)} of {len(taus)} years in the very order; "
        f"of the mean over years {stats.kendalltau(recorded, np.mean(years, axis=0)).statistic:.3f}"
    )
    return table


if __name__ == "__main__":
    main()
