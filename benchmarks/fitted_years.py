"""Print whether years that a fitted model makes are like the log they are fitted to, and whether policies rank alike.

For each model: for every figure of the log its interval, the mean over the years and how many years lie inside; and
Kendall's tau between the order of policies by mean bounded slowdown on the log and on each year, with an interval of
95 % for the mean. Jann's model states no estimates, so Tsafrir's stand for them.
Run from the project's root: python -m benchmarks.fitted_years ../shared/traces/KTH-SP2.swf.gz
A table of GPU jobs with the columns arrival_s, service_sec and gpu_count is played on nodes of 8 GPUs:
python -m benchmarks.fitted_years ../shared/traces/helios-derived.csv.gz --models fitted --gpu-nodes 90 --from-day 14 \
  --days 180 --policies fcfs,ljf+easy,sjf,fcfs+easy,'fcfs+easy(order=sjf)',wfp3+easy,saf+easy,sjf+easy
"""

import argparse
import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from scheduler_sim import engine as sim
from scheduler_sim.engine.measuring.likeness import compare_workloads
from scheduler_sim.engine.numerics.statistics import mean_interval

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


GPU_COLUMNS = {"arrival_time": "arrival_s", "runtime": "service_sec", "gpus": "gpu_count", "external_id": "job_id"}


def figures(workload: sim.Workload, cluster: sim.Cluster | str, policies: list[str]) -> list[float]:
    """Return the mean bounded slowdown under each policy."""
    played = sim.play(workload, cluster, policies, on_oversize="drop", workers=1)
    return [float(played.figure(FIGURE, name)) for name in played.policies]


def read(arguments: argparse.Namespace) -> tuple[sim.Workload, sim.Cluster | str]:
    """Return the tasks of the log, and the machine that they are played on."""
    if not arguments.gpu_nodes:
        log = sim.read(arguments.trace)
        return log.workload, f"hpc-{log.processors}"
    tasks = sim.read(arguments.trace, format="csv", columns=GPU_COLUMNS).workload
    tasks = tasks.take(np.flatnonzero(tasks.arrival_time >= tasks.arrival_time[0] + arguments.from_day * 86_400.0))
    group = sim.NodeGroup(name="gpu", count=arguments.gpu_nodes, cores=96, gpus=8)
    return tasks, sim.Cluster(name="gpu", groups=(group,))


def main() -> None:
    """Fit the models, make their years, and print both tables of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", help="a log, such as KTH-SP2.swf.gz")
    parser.add_argument("--years", type=int, default=20, help="how many, default %(default)s")
    parser.add_argument("--days", type=int, default=365, help="of a year, default %(default)s")
    parser.add_argument("--models", default="fitted,jann", help="default %(default)s")
    parser.add_argument("--policies", default=",".join(POLICIES), help="default %(default)s")
    parser.add_argument("--gpu-nodes", type=int, default=0, help="the trace is a table of GPU jobs: nodes of 8 GPUs")
    parser.add_argument("--from-day", type=int, default=0, help="leave out a table's first days")
    arguments = parser.parse_args()
    policies = arguments.policies.split(",")
    began = time.process_time()
    log, cluster = read(arguments)
    recorded = figures(log, cluster, policies)
    console = Console(width=150)
    for model in arguments.models.split(","):
        parameters: dict[str, Any] = {"days": arguments.days}
        if model == "jann":
            parameters["estimates"] = "tsafrir"
        years = [sim.generate(model, like=log, seed=seed, **parameters) for seed in range(1, arguments.years + 1)]
        console.print(_likeness(log, [year.workload for year in years], model))
        found = [figures(year.workload, cluster, policies) for year in years]
        console.print(_ranking(policies, recorded, found, model))
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


def _ranking(policies: list[str], recorded: list[float], years: list[list[float]], model: str) -> Table:
    taus = [float(stats.kendalltau(recorded, year).statistic) for year in years]
    interval = mean_interval(taus)
    table = Table(title=f"{model}: {FIGURE} of {len(policies)} policies")
    for heading in ("policy", "log", "mean of years", "interval"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    for number in np.argsort(recorded).tolist():
        one = mean_interval([year[number] for year in years])
        values = (f"{recorded[number]:,.1f}", f"{one.mean:,.1f}", f"{one.low:,.1f} to {one.high:,.1f}")
        table.add_row(policies[number], *values)
    table.caption = (
        f"Kendall's tau {interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f}), "
        f"least {min(taus):.3f}, {sum(tau == 1 for tau in taus)} of {len(taus)} years in the very order; "
        f"of the mean over years {stats.kendalltau(recorded, np.mean(years, axis=0)).statistic:.3f}"
    )
    return table


if __name__ == "__main__":
    main()
