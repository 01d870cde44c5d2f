"""Print how many tasks a second the node kernel plays: split tasks on a workstation, and GPU jobs on 1,523 nodes.

One core, after warm-up, processor seconds of the kernel alone: no generating, no sorting, no reading, no writing. Run
from the project's root: python -m benchmarks.node_speed
"""

from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.project import described
from benchmarks.timing import play
from scheduler_sim.engine import Cluster, Simulation, Workload
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.generators.mixed import MixedParameters, generate

PLANNED = ("fcfs+list@eft", "oracle")
FIXED = ("round_robin", "random", "greedy", "fcfs+list@cpu_only")
OLD = ("round_robin", "random", "greedy", "oracle")
JOBS = ("fcfs+list@best_fit", "fcfs@best_fit", "fcfs+list@first_fit", "fcfs+list@fgd", "fcfs+list@weighted_fit")
NODES = 1523


def split_tasks(tasks: int, load: float) -> Workload:
    """Return tasks that may be split, every fifth depending on up to three; the load is of core-seconds on 16 cores."""
    return generate(tasks, MixedParameters(load=load), np.random.default_rng(1))


def gpu_jobs(jobs: int, load: float) -> Workload:
    """Return jobs of 1 to 64 GPUs, most of them small, that ask for `load` of the GPU-seconds of NODES nodes of 8."""
    generator = np.random.default_rng(1)
    gpus = generator.choice([1, 2, 4, 8, 16, 32, 64], jobs, p=[0.6, 0.15, 0.1, 0.1, 0.03, 0.015, 0.005])
    runtime = np.round(generator.lognormal(6.0, 1.5, jobs), 3)
    rate = load * 8 * NODES / float((gpus * runtime).mean())
    arrival = np.round(np.cumsum(generator.standard_exponential(jobs)) / rate, 6)
    return Workload.from_columns(arrival_time=arrival, runtime=runtime, cpus=4 * gpus, gpus=gpus)


def longest_queue(simulation: Simulation) -> int:
    """Return the most tasks that were ready and waited at once, just after an instant."""
    outcome = simulation.outcome()
    ready = np.sort(outcome.ready_time)
    begun = np.searchsorted(np.sort(outcome.start_time), ready, side="right")
    return int((np.searchsorted(ready, ready, side="right") - begun).max())


def main() -> None:
    """Measure and print the tables."""
    parser = described(__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--loads", default="0.5,0.9", help="default %(default)s")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--policies", help="only these, comma-separated")
    arguments = parser.parse_args()
    console = Console()
    workstation, nodes = load_cluster("workstation"), load_cluster(f"dgx-{NODES}")
    table = Table(title=f"{arguments.tasks:,} tasks or jobs, median of {arguments.repeats}")
    for heading in ("cluster", "policy", "load", "million/s", "longest queue"):
        table.add_column(heading, justify="left" if heading in ("cluster", "policy") else "right")
    parts: tuple[tuple[Cluster, tuple[str, ...], Callable[[int, float], Workload]], ...] = (
        (workstation, (*FIXED, *PLANNED), split_tasks),
        (nodes, JOBS, gpu_jobs),
    )
    for cluster, policies, make in parts:
        wanted = arguments.policies.split(",") if arguments.policies else policies
        policies = tuple(policy for policy in policies if policy in wanted)
        warm = make(500, 0.5)
        for policy in policies:
            play(warm, cluster, policy, 1)
        for load in (float(load) for load in arguments.loads.split(",")):
            workload = make(arguments.tasks, load) if policies else warm
            for policy in policies:
                seconds, simulation = play(workload, cluster, policy, arguments.repeats)
                speed = len(workload) / seconds
                row = [cluster.name, policy, f"{load:g}", f"{speed / 1e6:.3f}", f"{longest_queue(simulation):,}"]
                console.print(" ".join(row), style="dim")
                table.add_row(*row)
    console.print(table)
    small = split_tasks(100_000, 0.9)
    if not arguments.policies:
        seconds = sum(play(small, workstation, policy, arguments.repeats)[0] for policy in OLD)
        console.print(f"{', '.join(OLD)} on 100,000 tasks together: {seconds:.2f} s")


if __name__ == "__main__":
    main()
