"""Which policy for kinds of GPU wins on what: completion times, their tail, fairness and makespan, with intervals.

python -m benchmarks.rounds_policies THROUGHPUTS [--trace TRACE] [--jobs 500] [--gpus 36] [--load 0.9] [--seeds 5]
                                     [--one-kind] [--policies P,...]

THROUGHPUTS is Gavel's simulation_throughputs.json; each seed draws jobs of its own, the same for all policies. With
TRACE, one of Gavel's, the jobs are dealt out to the seeds in turn, and arrivals made denser or rarer to the load.
The last column is the difference of the mean completion time from the first policy on the same jobs.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.project import described, with_half_width
from benchmarks.rounds_speed import KINDS, draw, ours
from scheduler_sim.engine import Cluster, NodeGroup, Workload
from scheduler_sim.engine.clusters.cluster import LARGEST_GPUS_PER_NODE
from scheduler_sim.engine.measuring.metrics import summarise, whole_run
from scheduler_sim.engine.numerics.statistics import mean_interval
from scheduler_sim.engine.traces import ReadOptions, read_kinds, read_throughputs, read_trace
from scheduler_sim.engine.units import SECONDS_PER_HOUR
from scheduler_sim.engine.workloads.throughputs import Throughputs

POLICIES = (
    "fifo_perf",
    "fcfs+list",
    "fcfs+list@eft",
    "gandiva_fair",
    "max_min_fairness",
    "max_min_fairness_perf",
    "finish_time_fairness_perf",
    "min_total_duration_perf",
    "max_sum_throughput_perf",
)
ONE_KIND = ("fifo", "gandiva_fair", "max_min_fairness", "finish_time_fairness", "las", "srtf")
FIGURES = {
    "mean_job_completion_time": ("mean JCT h", SECONDS_PER_HOUR),
    "p95_job_completion_time": ("p95 JCT h", SECONDS_PER_HOUR),
    "p95_rho": ("p95 rho", 1.0),
    "unfair_share": ("rho above 1, %", 0.01),
    "share_fairness": ("share fairness", 1.0),
    "makespan": ("makespan d", 24 * SECONDS_PER_HOUR),
}


def dealt(trace: Path, throughputs: Path, table: Throughputs, count: int, *, gpus: int, load: float) -> list[Workload]:
    """Return a trace's jobs dealt out in turn to `count` workloads, each of which asks for `load` of `gpus` GPUs."""
    options = ReadOptions(throughputs=read_throughputs(throughputs, KINDS[0]), kinds=table)
    whole = read_trace(trace, options=options).workload
    columns = np.array([table.kinds.index(kind) for kind in KINDS])
    found = []
    for number in range(count):
        part = whole.take(np.arange(number, len(whole), count))
        rates = table.of(part.group, part.gpus)[:, columns]
        work = float((part.size / np.nanmean(np.where(rates > 0, rates, np.nan), axis=1) * part.gpus).sum())
        since = part.arrival_time - part.arrival_time[0]
        found.append(replace(part, arrival_time=np.round(since * work / (gpus * load * float(since[-1])), 3)))
    return found


def main() -> None:
    """Print a table of means and 95 % intervals over the seeds."""
    parser = described(__doc__)
    parser.add_argument("throughputs", type=Path)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--gpus", type=int, default=36, help="of each kind")
    parser.add_argument("--load", type=float, default=0.9)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trace", type=Path, help="one of Gavel's, instead of jobs that are drawn")
    parser.add_argument("--one-kind", action="store_true", help=f"all GPUs are {KINDS[0]}")
    parser.add_argument("--policies", help="comma-separated; the first is the one to compare with")
    asked = parser.parse_args()
    table = read_kinds(asked.throughputs)
    if table is None:
        sys.exit(f"{asked.throughputs} has no rates by kind of GPU.")
    # Gangs lie on several nodes in rounds alone, so that all policies get one node a kind that holds any of them.
    each = min(asked.gpus, LARGEST_GPUS_PER_NODE)
    kinds = KINDS[:1] if asked.one_kind else KINDS
    nodes = asked.gpus // each
    cluster = Cluster("kinds", tuple(NodeGroup(kind, nodes, each, gpus=each, gpu_type=kind) for kind in kinds))
    if asked.trace is not None:
        workloads = dealt(asked.trace, asked.throughputs, table, asked.seeds, gpus=cluster.gpus, load=asked.load)
    else:
        workloads = [
            draw(table, asked.jobs, cluster.gpus, load=asked.load, seed=seed) for seed in range(1, asked.seeds + 1)
        ]
    print("| policy |", " | ".join(label for label, _ in FIGURES.values()), "| mean JCT beside the first, % |")
    policies = asked.policies.split(",") if asked.policies else ONE_KIND if asked.one_kind else POLICIES
    base = np.zeros(len(workloads))
    for policy in policies:
        found = []
        for workload in workloads:
            _, simulation = ours(workload, cluster, policy)
            edges = np.array(whole_run(workload, [simulation.outcome()]))
            row = summarise(simulation, edges=edges).row()
            found.append([float(row[name] or 0.0) / unit for name, (_, unit) in FIGURES.items()])
        columns = np.transpose(found)
        base = columns[0] if policy == policies[0] else base
        intervals = [mean_interval(column) for column in (*columns, 100.0 * (columns[0] / base - 1.0))]
        print("|", policy, "|", " | ".join(with_half_width(one) for one in intervals), "|", flush=True)


if __name__ == "__main__":
    main()
