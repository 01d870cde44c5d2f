"""Elastic policies beside rigid ones on one workload: completion times, tails, use, makespan, with intervals.

python -m benchmarks.elastic_policies [--tasks 150] [--nodes 8] [--load 0.8] [--seeds 5]

Each seed draws tasks of its own by the `elastic` generator, the same for all policies; nodes have 8 GPUs.
"""

import numpy as np

from benchmarks.project import described, with_half_width
from scheduler_sim.engine import Cluster, NodeGroup, Simulation, parse_policy
from scheduler_sim.engine.generators import generate_workload
from scheduler_sim.engine.measuring.bounds import lower_bounds
from scheduler_sim.engine.measuring.metrics import summarise, whole_run
from scheduler_sim.engine.numerics.statistics import mean_interval
from scheduler_sim.engine.units import SECONDS_PER_HOUR

POLICIES = ("fcfs", "fcfs+easy", "srtf", "equal_share", "expand_shrink", "pollux", "sia")
GPUS = 8
HEADS = ("mean JCT h", "p95 JCT h", "mean wait h", "GPUs held %", "lost %", "attempts", "makespan / bound")


def figures(simulation: Simulation) -> list[float]:
    """Return the figures of one simulation, in the order of `HEADS`."""
    workload, cluster = simulation.workload, simulation.cluster
    edges = np.array(whole_run(workload, [simulation.outcome()]))
    row = {name: float(value or 0.0) for name, value in summarise(simulation, edges=edges).row().items()}
    history = simulation.history()
    return [
        row["mean_job_completion_time"] / SECONDS_PER_HOUR,
        row["p95_job_completion_time"] / SECONDS_PER_HOUR,
        row["mean_wait_time"] / SECONDS_PER_HOUR,
        100 * row["gpu_utilisation"],
        100 * float(history.lost_time.sum() / history.held_time.sum()),
        float(history.attempts.mean()),
        row["makespan"] / lower_bounds(workload, cluster).makespan,
    ]


def main() -> None:
    """Print a table of means and 95 % intervals over the seeds."""
    parser = described(__doc__)
    parser.add_argument("--tasks", type=int, default=150)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--load", type=float, default=0.8)
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    cluster = Cluster("gpus", (NodeGroup("node", asked.nodes, 8 * GPUS, gpus=GPUS),))
    parameters = {"devices": asked.nodes * GPUS, "load": asked.load}
    workloads = [
        generate_workload("elastic", tasks=asked.tasks, seed=seed, parameters=parameters).workload
        for seed in range(1, asked.seeds + 1)
    ]
    print("| policy |", " | ".join(HEADS), "|")
    for policy in POLICIES:
        found = []
        for workload in workloads:
            simulation = Simulation(workload, cluster, parse_policy(policy))
            simulation.advance()
            found.append(figures(simulation))
        intervals = [mean_interval(column) for column in np.transpose(found)]
        print("|", policy, "|", " | ".join(with_half_width(one) for one in intervals), "|", flush=True)


if __name__ == "__main__":
    main()
