"""Print whether years that a fitted model makes are like the log they are fitted to, and whether policies rank alike.

For each model: for every figure of the log its interval, the mean over the years and how many years lie inside; and
Kendall's tau between the order of policies by mean bounded slowdown on the log and on each year, with an interval of
95 % for the mean. Not every pair of policies is told apart by the log itself: `pairs_of` says which, and tau is printed
of those pairs too, beside how far the log agrees with itself. Jann's model states no estimates, so Tsafrir's are taken.
Run from the project's root: python -m benchmarks.fitted_years ../shared/traces/KTH-SP2.swf.gz
GPU jobs are played on nodes of 8 GPUs; a table names its columns where they are not called as a workload's:
python -m benchmarks.fitted_years ../shared/traces/helios-derived.csv.gz --gpu-nodes 90 --from-day 110 --days 84 \
  --columns arrival_time=arrival_s,runtime=service_sec,gpus=gpu_count --models fitted \
  --policies fcfs,ljf+easy,sjf,fcfs+easy,'fcfs+easy(order=sjf)',wfp3+easy,saf+easy,sjf+easy
"""

import argparse
import time
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmarks.project import described
from scheduler_sim import engine as sim
from scheduler_sim.engine.errors import InvalidWorkload
from scheduler_sim.engine.measuring.likeness import DAY, WEEK, Original
from scheduler_sim.engine.measuring.metrics import TaskFigures
from scheduler_sim.engine.numerics.statistics import CONFIDENCE, mean_interval
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray

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
FIGURE = "mean bounded slowdown"
RESAMPLES = 500


@dataclass(frozen=True)
class Pair:
    """Two policies on the log.

    Attributes:
        better, worse: their numbers.
        difference, low, high: how much lower the mean bounded slowdown of the better one is, with its interval.
    """

    better: int
    worse: int
    difference: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        """True where the log tells which of them is the better."""
        return bool(self.low > 0)

    def kept(self, figures: FloatArray) -> bool:
        """Tell whether figures of the policies, shape (policies,), put them in the same order."""
        return bool(figures[self.better] < figures[self.worse])


def spans_of(arrival: FloatArray) -> IntArray:
    """Return in which week each task arrives, from the first arrival on; in which day, of less than two weeks."""
    since = (arrival - arrival[0]) / DAY
    found: IntArray = np.floor(since / (WEEK if since[-1] >= 2 * WEEK else 1)).astype(np.int64)
    return found


def pairs_of(slowdowns: FloatArray, span: IntArray) -> list[Pair]:
    """Return all pairs of policies.

    Tasks of one span wait for each other, so the interval of a mean difference is that of batch means: Student's t over
    spans, as independent clusters of unequal size (W. G. Cochran, Sampling Techniques, 1977, section 9A.1).

    Args:
        slowdowns: shape (policies, tasks). span: of each task.

    Raises:
        InvalidWorkload: all tasks lie in one span, which tells no interval.
    """
    found = []
    spans = int(span.max()) + 1
    if spans < 2:
        raise InvalidWorkload("The log is too short: which policy is the better is told from two days or more.")
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, spans - 1)) * np.sqrt(spans / (spans - 1))
    for better, worse in combinations(np.argsort(slowdowns.mean(axis=1)).tolist(), 2):
        each = slowdowns[worse] - slowdowns[better]
        mean = float(each.mean())
        half = reach * float(np.sqrt((np.bincount(span, weights=each - mean) ** 2).sum())) / len(each)
        found.append(Pair(better, worse, mean, mean - half, mean + half))
    return found


def agreement(slowdowns: FloatArray, span: IntArray) -> tuple[float, list[float]]:
    """Return how far a log's order of policies agrees with its own: tau of both halves, and of spans drawn anew.

    The others are Kendall's tau between the log and as many of its spans, drawn with replacement, once for each of
    `RESAMPLES`. NaN where all policies are alike, because no task of a part waits.
    """
    spans = int(span.max()) + 1
    counts = np.bincount(span)
    sums = np.array([np.bincount(span, weights=one) for one in slowdowns])
    early = np.arange(spans) < spans // 2
    halves = [sums[:, part].sum(axis=1) / counts[part].sum() for part in (early, ~early)]
    drawn = np.random.default_rng(0).integers(0, spans, (RESAMPLES, spans))
    anew = sums[:, drawn].sum(axis=2) / counts[drawn].sum(axis=1)
    mean = slowdowns.mean(axis=1)
    return tau(*halves), [tau(mean, one) for one in anew.T]


def tau(one: FloatArray, other: FloatArray) -> float:
    """Return Kendall's tau between two orders of policies, NaN where all are alike in one."""
    return float(stats.kendalltau(one, other).statistic)


def mean_told(taus: list[float], behind: str = "") -> str:
    """Return the mean of those that there are, with what stands `behind` it, and how many are left out."""
    known = [one for one in taus if not np.isnan(one)]
    if not known:
        return "none (all policies are alike)"
    left_out = len(taus) - len(known)
    told = f"{np.mean(known):.3f}{behind}"
    return f"{told}, {left_out} of {len(taus)} left out, where all policies are alike" if left_out else told


def slowdowns_of(
    workload: sim.Workload, cluster: sim.Cluster | str, policies: list[str]
) -> tuple[sim.Workload, FloatArray]:
    """Return the tasks that were played and their bounded slowdowns under each policy, shape (policies, tasks)."""
    played = sim.play(workload, cluster, policies, on_oversize="drop", workers=1)
    each = [TaskFigures.of(one.workload, one.outcome()) for one in played.simulations.values()]
    return played.workload, np.array([one.bounded_slowdown for one in each])


def read(arguments: argparse.Namespace) -> tuple[sim.Workload, sim.Cluster | str]:
    """Return the tasks of the log, and the machine that they are played on."""
    columns = dict(pair.split("=") for pair in arguments.columns.split(",") if pair)
    log = sim.read(arguments.trace, format="csv" if columns else None, columns=columns or None)
    tasks = log.workload
    tasks = tasks.take(np.flatnonzero(tasks.arrival_time >= tasks.arrival_time[0] + arguments.from_day * DAY))
    if not arguments.gpu_nodes:
        return tasks, f"hpc-{arguments.processors or log.processors}"
    group = sim.NodeGroup(name="gpu", count=arguments.gpu_nodes, cores=96, gpus=8)
    return tasks, sim.Cluster(name="gpu", groups=(group,))


def main() -> None:
    """Fit the models, make their years, and print both tables of each."""
    parser = described(__doc__)
    parser.add_argument("trace", help="a log, such as KTH-SP2.swf.gz")
    parser.add_argument("--years", type=int, default=20, help="how many, default %(default)s")
    parser.add_argument("--days", type=int, default=365, help="of a year, default %(default)s")
    parser.add_argument(
        "--models", default="fitted,jann", help="default %(default)s; fitted:users and fitted:yes redraw so"
    )
    parser.add_argument("--policies", default=",".join(POLICIES), help="default %(default)s")
    parser.add_argument("--processors", type=int, default=0, help="of the machine, default: what the log states")
    parser.add_argument("--gpu-nodes", type=int, default=0, help="play on so many nodes of 8 GPUs")
    parser.add_argument("--from-day", type=int, default=0, help="leave out the first days")
    parser.add_argument("--columns", default="", help="of a csv table, as runtime=service_sec,gpus=gpu_count")
    arguments = parser.parse_args()
    policies = arguments.policies.split(",")
    began = time.process_time()
    log, cluster = read(arguments)
    console = Console(width=150)
    played, slowdowns = slowdowns_of(log, cluster, policies)
    span = spans_of(played.arrival_time)
    try:
        pairs = pairs_of(slowdowns, span)
    except InvalidWorkload as error:
        raise SystemExit(str(error)) from None
    halves, anew = agreement(slowdowns, span)
    console.print(
        f"{len(played):,} tasks in {span.max() + 1} spans: {sum(pair.decided for pair in pairs)} of {len(pairs)} pairs "
        f"of policies decided; Kendall's tau of the halves {mean_told([halves])}, of spans drawn anew {mean_told(anew)}"
    )
    for model in arguments.models.split(","):
        name, _, redraw = model.partition(":")
        parameters: dict[str, Any] = {"days": arguments.days} | ({"redraw": redraw} if redraw else {})
        if name == "jann":
            parameters["estimates"] = "tsafrir"
        years = [sim.generate(name, like=log, seed=seed, **parameters) for seed in range(1, arguments.years + 1)]
        console.print(_likeness(log, [year.workload for year in years], model))
        found = np.array([slowdowns_of(year.workload, cluster, policies)[1].mean(axis=1) for year in years])
        for table in _ranking(policies, slowdowns.mean(axis=1), pairs, found, model):
            console.print(table)
    console.print(f"{time.process_time() - began:,.0f} s of processor time")


def _likeness(log: sim.Workload, years: list[sim.Workload], model: str) -> Table:
    original = Original.of(log)
    found = [original.beside(year) for year in years]
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


def _ranking(
    policies: list[str], recorded: FloatArray, pairs: list[Pair], years: FloatArray, model: str
) -> list[Table]:
    """Return a table of policies and one of the pairs that any year swaps; `years` is of shape (years, policies)."""
    taus = [tau(recorded, year) for year in years]
    decided = [pair for pair in pairs if pair.decided]
    of_decided = "none decided"
    if decided:
        kept = [2.0 * float(np.mean([pair.kept(year) for pair in decided])) - 1.0 for year in years]
        of_decided = f"of decided pairs {_with_interval(kept)}"
    table = Table(title=f"{model}: {FIGURE} of {len(policies)} policies")
    for heading in ("policy", "log", "mean of years", "interval"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    for number in np.argsort(recorded).tolist():
        one = mean_interval(years[:, number])
        bounds = f"{one.low:,.1f} to {one.high:,.1f}" if one.is_bounded else "-"
        table.add_row(policies[number], f"{recorded[number]:,.1f}", f"{one.mean:,.1f}", bounds)
    table.caption = (
        f"Kendall's tau {_with_interval(taus)}, {of_decided}; of the mean over years "
        f"{mean_told([tau(recorded, years.mean(axis=0))])}"
    )
    swaps = Table(title=f"{model}: pairs that years swap")
    for heading in ("better on the log", "worse", "by", "interval", "decided", "years that swap"):
        swaps.add_column(heading, justify="left" if heading in ("better on the log", "worse") else "right")
    for pair in pairs:
        swapped = sum(not pair.kept(year) for year in years)
        if swapped:
            interval = f"{pair.low:,.1f} to {pair.high:,.1f}"
            names = policies[pair.better], policies[pair.worse]
            swaps.add_row(*names, f"{pair.difference:,.1f}", interval, "yes" if pair.decided else "no", f"{swapped}")
    return [table, swaps]


def _with_interval(values: list[float]) -> str:
    one = mean_interval(values)
    return mean_told(values, f" ({one.low:.3f} to {one.high:.3f})" if one.is_bounded else "")


if __name__ == "__main__":
    main()
