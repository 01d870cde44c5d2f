"""How a learned order compares with others on sequences that it has not seen."""

from collections.abc import Iterable

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.measuring.metrics import TaskFigures
from scheduler_sim.engine.policies import ORDERS, PLACEMENTS, Policy, parse_policy
from scheduler_sim.engine.policies.order import Order
from scheduler_sim.engine.policies.placement import DEFAULT_PLACEMENT
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload

RESAMPLES = 10_000

FIGURES = {"bsld": "bounded_slowdown", "jct": "job_completion_time", "wait": "wait_time"}
"""The task figure behind each objective."""

LEARNED_ORDERS = ("linear", "mlp")
"""Registered orders that were learned, and so are no yardstick for others."""


def held_out_windows(workload: Workload, count: int, length: int) -> list[Workload]:
    """Cut `count` windows of `length` tasks, evenly spaced; they overlap where that many do not fit side by side."""
    return [workload.take(rows) for rows in held_out_rows(workload, count, length)]


def held_out_rows(workload: Workload, count: int, length: int) -> IntArray:
    """Return the rows of each of these windows, shape (count, length)."""
    offsets = np.linspace(0, len(workload) - length, count).astype(np.int64)
    rows: IntArray = offsets[:, None] + np.arange(length)
    return rows


def window_means(
    order: Order, backfill: str, windows: Iterable[Workload], cluster: Cluster, objective: str = "bsld"
) -> FloatArray:
    """Play each window with `order+backfill` in the simulator that plays every run, and return its mean figure."""
    return np.array([figures.mean() for figures in window_figures(order, backfill, windows, cluster, objective)])


def window_figures(
    order: Order, backfill: str, windows: Iterable[Workload], cluster: Cluster, objective: str = "bsld"
) -> list[FloatArray]:
    """Do the same, and return the figure of every task of each window."""
    policy = Policy(
        order=order, backfill=parse_policy(f"fcfs+{backfill}").backfill, placement=PLACEMENTS[DEFAULT_PLACEMENT]
    )
    return policy_figures(policy, windows, cluster, objective)


def policy_figures(
    policy: Policy, windows: Iterable[Workload], cluster: Cluster, objective: str = "bsld"
) -> list[FloatArray]:
    """Play each window with a policy, and return the figure of every task of each."""
    found = []
    for window in windows:
        simulation = Simulation(workload=window, cluster=cluster, policy=policy)
        simulation.advance()
        found.append(getattr(TaskFigures.of(window, simulation.outcome()), FIGURES[objective]))
    return found


def refusal(policy: Policy, tasks: Workload, cluster: Cluster) -> str:
    """Return why a policy cannot play these tasks on a cluster, empty where nothing speaks against it; play nothing."""
    try:
        Simulation(workload=tasks, cluster=cluster, policy=policy)
    except EngineError as error:
        return str(error)
    return ""


def yardsticks() -> list[Order]:
    """Return the registered orders that were not learned, are not clairvoyant, stop no task and go by no series."""
    return [
        order
        for order in ORDERS
        if not (order.clairvoyant or order.preempts or order.stops or order.goes_by)
        and order.name not in LEARNED_ORDERS
    ]


def paired_interval(
    difference: FloatArray, generator: np.random.Generator, *, blocks: int | None = None
) -> tuple[float, float]:
    """Return the 95% percentile bootstrap interval of the mean difference (Efron & Tibshirani, 1993).

    Args:
        difference: shape (n,), one value a window, in order of time.
        blocks: resample so many runs of neighbouring windows instead of single windows, because windows that overlap
            are not independent (Künsch, Ann. Statist. 1989); None for single windows.
    """
    parts = np.array_split(difference, len(difference) if blocks is None else min(blocks, len(difference)))
    sums = np.array([part.sum() for part in parts])
    sizes = np.array([len(part) for part in parts])
    chosen = generator.integers(0, len(parts), (RESAMPLES, len(parts)))
    means = sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
