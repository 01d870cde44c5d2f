"""What recording costs on which nodes a task of several is: time of playing, memory while it goes on, bytes stored.

GPU jobs of 1 to 64 GPUs on 1,523 nodes of 8, of which 5% take several nodes, and the same of which all do; played with
and without the record in turn, one core, processor seconds of the kernel and of what takes the record in. Run from the
project's root: python -m benchmarks.gangs
"""

import argparse
import statistics
import time
import tracemalloc

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.node_speed import NODES, gpu_jobs
from scheduler_sim.engine import Cluster, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.gangs import GangLog


def large_jobs(jobs: int, load: float) -> Workload:
    """Return jobs of 16 to 64 GPUs, two to eight nodes each."""
    generator = np.random.default_rng(2)
    gpus = generator.choice([16, 24, 32, 64], jobs)
    runtime = np.round(generator.lognormal(6.0, 1.5, jobs), 3)
    arrival = np.round(np.cumsum(generator.standard_exponential(jobs)) * float((gpus * runtime).mean()) / load / 8, 6)
    return Workload.from_columns(arrival_time=arrival / NODES, runtime=runtime, cpus=4 * gpus, gpus=gpus)


def seconds(workload: Workload, cluster: Cluster, policy: str, log: GangLog | None) -> float:
    """Play to the end and return the processor seconds."""
    simulation = Simulation(workload, cluster, parse_policy(policy), on_pieces=None if log is None else log.add)
    began = time.process_time()
    simulation.advance()
    return time.process_time() - began


def memory(workload: Workload, cluster: Cluster, policy: str) -> tuple[int, int, int]:
    """Return how many spans there are, the bytes that are held at the end, and the most that were beside the kernel."""
    log = GangLog()
    simulation = Simulation(workload, cluster, parse_policy(policy), on_pieces=log.add)
    tracemalloc.start()
    simulation.advance()
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return len(log.gangs()), held, most


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=300_000)
    parser.add_argument("--policies", default="fcfs+list@first_fit,fcfs+easy")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    cluster, table = load_cluster(f"dgx-{NODES}"), Table(title=f"{asked.jobs:,} jobs at a load of 0.7")
    heads = ("jobs", "policy", "without", "with", "difference", "spans", "bytes a span", "most beside")
    for head in heads:
        table.add_column(head, justify="left" if head in heads[:2] else "right")
    for name, make in (("5% on several nodes", gpu_jobs), ("all on several nodes", large_jobs)):
        workload = make(asked.jobs, 0.7)
        for policy in asked.policies.split(","):
            for log in (None, GangLog()):
                seconds(make(500, 0.7), cluster, policy, log)
            pairs = [
                (seconds(workload, cluster, policy, None), seconds(workload, cluster, policy, GangLog()))
                for _ in range(asked.repeats)
            ]
            without, recorded = (statistics.median(column) for column in zip(*pairs, strict=True))
            spans, held, most = memory(workload, cluster, policy)
            table.add_row(
                name,
                policy,
                f"{without:.2f} s",
                f"{recorded:.2f} s",
                f"{recorded / without - 1:+.1%}",
                f"{spans:,}",
                f"{held / max(spans, 1):.1f}",
                f"{most / 2**20:.1f} MB",
            )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
