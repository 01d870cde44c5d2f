"""Print how many tasks a second each kind of policy of one's own plays, beside the shipped one that it imitates.

Jobs of the Lublin-Feitelson model on 256 processors, and tasks of one core on 64 nodes; the kinds alternate with what
they imitate, in processor seconds of the loop alone (a process that decides: seconds by the clock). Run from the
project's root: python -m benchmarks.own_policies
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.engine_speed import POOL, make_jobs
from scheduler_sim import engine as sim

NODES = sim.Cluster("64 nodes", (sim.NodeGroup("n", count=64, cores=4),))


@sim.scoring("array_sjf")
def array_sjf(context: Any) -> Any:
    """Score all tasks at once."""
    return context.estimate


@sim.scoring("array_fcfs")
def array_fcfs(context: Any) -> Any:
    """Score all tasks at once."""
    return context.workload.arrival_time


@sim.compiled("compiled_sjf")
def compiled_sjf(task: Any, _: Any) -> Any:
    """Score a task that waits."""
    return task.estimate


@sim.compiled("compiled_wfp3")
def compiled_wfp3(task: Any, _: Any) -> Any:
    """Score a task that waits, by its wait."""
    return -(np.cbrt(task.processors) / (task.estimate if task.estimate > 0 else 1.0) * task.wait_time)


@sim.compiled("compiled_fcfs")
def compiled_fcfs(task: Any, _: Any) -> Any:
    """Score a task that waits."""
    return task.arrival_time


PAIRS = (
    ("array_sjf+easy", "sjf+easy", "pool"),
    ("compiled_sjf+easy", "sjf+easy", "pool"),
    ("compiled_wfp3+easy", "wfp3+easy", "pool"),
    ("array_fcfs@best_fit", "fcfs@best_fit", "nodes"),
    ("compiled_fcfs@best_fit", "fcfs@best_fit", "nodes"),
)


def timed(workload: sim.Workload, cluster: sim.Cluster, policy: str, clock: Callable[[], float]) -> tuple[float, Any]:
    """Return the seconds of the loop and when tasks started."""
    simulation = sim.Simulation(workload, cluster, sim.parse_policy(policy))
    began = clock()
    simulation.advance()
    return clock() - began, simulation.outcome().start_time


def measure(
    own: str, shipped: str, workload: sim.Workload, cluster: sim.Cluster, *, repeats: int, clock: Callable[[], float]
) -> tuple[float, float]:
    """Return the tasks a second of both, medians of alternating plays after one that compiles."""
    for policy in (own, shipped):
        timed(workload.head(200), cluster, policy, clock)
    seconds: dict[str, list[float]] = {own: [], shipped: []}
    for _ in range(repeats):
        starts = []
        for policy, taken in seconds.items():
            found, start = timed(workload, cluster, policy, clock)
            taken.append(found)
            starts.append(start)
        if not np.array_equal(*starts):
            raise SystemExit(f"{own} plays otherwise than {shipped}.")
    mine, theirs = (len(workload) / statistics.median(taken) for taken in seconds.values())
    return mine, theirs


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=int, default=300_000)
    parser.add_argument("--loads", default="0.7,0.9", help="offered loads (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    table = Table(title=f"Tasks a second, {given.tasks:,} tasks")
    for heading in ("policy", "load", "tasks/s", "imitates", "tasks/s", "ratio"):
        table.add_column(heading, justify="left" if heading in ("policy", "imitates") else "right")
    for load in given.loads.split(","):
        jobs = make_jobs(given.tasks, float(load))
        single = sim.Workload.from_columns(
            arrival_time=jobs.arrival_time, runtime=jobs.runtime, cpus=np.minimum(jobs.cpus, 4.0)
        )
        for own, shipped, ground in PAIRS:
            workload, cluster = (jobs, POOL) if ground == "pool" else (single, NODES)
            mine, theirs = measure(own, shipped, workload, cluster, repeats=given.repeats, clock=time.process_time)
            table.add_row(own, load, f"{mine:,.0f}", shipped, f"{theirs:,.0f}", f"{mine / theirs:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
