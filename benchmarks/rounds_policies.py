"""Which policy for kinds of GPU wins on what: completion times, their tail, fairness and makespan, with intervals.

python -m benchmarks.rounds_policies THROUGHPUTS [--jobs 500] [--gpus 36] [--load 0.9] [--seeds 5]

THROUGHPUTS is Gavel's simulation_throughputs.json; each seed draws jobs of its own, the same for all policies.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.rounds_speed import KINDS, draw, ours
from scheduler_sim.engine import Cluster, NodeGroup
from scheduler_sim.engine.metrics import summarise, whole_run
from scheduler_sim.engine.statistics import mean_interval
from scheduler_sim.engine.traces import read_kinds
from scheduler_sim.engine.units import SECONDS_PER_HOUR

POLICIES = (
    "fifo_perf",
    "gandiva_fair",
    "max_min_fairness",
    "max_min_fairness_perf",
    "finish_time_fairness_perf",
    "min_total_duration_perf",
    "max_sum_throughput_perf",
)
FIGURES = {
    "mean_job_completion_time": ("mean JCT h", SECONDS_PER_HOUR),
    "p95_job_completion_time": ("p95 JCT h", SECONDS_PER_HOUR),
    "p95_rho": ("p95 rho", 1.0),
    "unfair_share": ("rho above 1, %", 0.01),
    "share_fairness": ("share fairness", 1.0),
    "makespan": ("makespan d", 24 * SECONDS_PER_HOUR),
}


def main() -> None:
    """Print a table of means and 95 % intervals over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("throughputs", type=Path)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--gpus", type=int, default=36, help="of each kind")
    parser.add_argument("--load", type=float, default=0.9)
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    table = read_kinds(asked.throughputs)
    if table is None:
        sys.exit(f"{asked.throughputs} has no rates by kind of GPU.")
    cluster = Cluster("kinds", tuple(NodeGroup(kind, asked.gpus, 1, gpus=1, gpu_type=kind) for kind in KINDS))
    workloads = [
        draw(table, asked.jobs, len(KINDS) * asked.gpus, load=asked.load, seed=seed)
        for seed in range(1, asked.seeds + 1)
    ]
    print("| policy |", " | ".join(label for label, _ in FIGURES.values()), "|")
    for policy in POLICIES:
        found = []
        for workload in workloads:
            _, simulation = ours(workload, cluster, policy)
            edges = np.array(whole_run(workload, [simulation.outcome()]))
            row = summarise(simulation, edges=edges).row()
            found.append([float(row[name] or 0.0) / unit for name, (_, unit) in FIGURES.items()])
        intervals = [mean_interval(column) for column in np.transpose(found)]
        print(
            "|", policy, "|", " | ".join(f"{one.mean:.3g} ± {one.half_width:.2g}" for one in intervals), "|", flush=True
        )


if __name__ == "__main__":
    main()
