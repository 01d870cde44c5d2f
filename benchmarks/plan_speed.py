"""How long HEFT and PEFT take to plan and play one workflow, beside the same rank as an order.

    python -m benchmarks.plan_speed --tasks 1000,10000

Layers of 200 tasks with up to three parents each in the layer before, all arriving at 0, on 64 nodes of four speeds.
Seconds are those of the processor, compilation left out.
"""

import time

import numpy as np

from benchmarks.project import described
from scheduler_sim.engine import Cluster, NodeGroup, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.network import Network

POLICIES = ("heft(plan=insertion)", "peft(plan=insertion)", "heft+list@eft")
WIDTH = 200


def layered(tasks: int, seed: int = 1) -> Workload:
    """Return a workflow of so many tasks."""
    generator = np.random.default_rng(seed)
    parents: list[list[int]] = []
    for row in range(tasks):
        layer = row // WIDTH
        drawn = generator.integers((layer - 1) * WIDTH, layer * WIDTH, 3) + 1 if layer else ()
        parents.append(sorted({int(parent) for parent in drawn}))
    return Workload.from_columns(
        arrival_time=np.zeros(tasks),
        runtime=generator.exponential(100, tasks),
        cpus=generator.integers(1, 9, tasks),
        dependencies=parents,
        dependency_mb=[generator.integers(1, 500, len(several)).astype(float).tolist() for several in parents],
    )


def main() -> None:
    """Print a line a size and policy."""
    parser = described(__doc__)
    parser.add_argument("--tasks", default="1000,10000", help="comma-separated, default %(default)s")
    sizes = [int(size) for size in parser.parse_args().tasks.split(",")]
    groups = tuple(NodeGroup(f"k{kind}", count=16, cores=32, cpu_speed=1 + kind / 2) for kind in range(4))
    cluster = Cluster("four kinds", groups, network=Network(100.0, 0.01))
    print("| tasks | policy | processor, s | makespan, s |\n|---|---|---|---|")
    for size in (50, *sizes):
        workload = layered(size)
        for policy in POLICIES:
            begun = time.process_time()
            simulation = Simulation(workload, cluster, parse_policy(policy))
            simulation.advance()
            spent = time.process_time() - begun
            if size != 50:  # The first ones compile.
                print(
                    f"| {size:,} | `{policy}` | {spent:.2f} | {simulation.outcome().finish_time.max():,.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
