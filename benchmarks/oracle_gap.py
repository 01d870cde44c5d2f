"""Print how far each placement is from the oracle on a workstation, with dependencies and contention, over seeds.

Every placement plays the same order, fcfs with list, on tasks of the mixed model; what is compared is the mean job
completion time. The oracle is greedy, task by task, so that it can be beaten; the table says how often and by how much.
Run from the project's root: python -m benchmarks.oracle_gap
"""

import statistics

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.project import described
from scheduler_sim.engine import Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.presets import workstation
from scheduler_sim.engine.generators.mixed import MixedParameters, generate
from scheduler_sim.engine.workloads.estimates import replace_estimates

PLACEMENTS = ("round_robin", "random", "greedy", "cpu_only", "gpu_only", "min_energy", "eft")


def mean_completion_time(workload: Workload, placement: str, seed: int) -> float:
    """Return the mean job completion time in seconds."""
    simulation = Simulation(workload, workstation(), parse_policy(f"fcfs+list@{placement}"), seed=seed)
    simulation.advance()
    return float((simulation.outcome().finish_time - workload.arrival_time).mean())


def main() -> None:
    """Play every placement and the oracle over all seeds and loads and print the regrets."""
    parser = described(__doc__)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--loads", default="0.5,0.9,1.2", help="core-seconds over 16 cores, default %(default)s")
    parser.add_argument("--estimates", default="trace", help="as of runsimulation, default %(default)s")
    arguments = parser.parse_args()
    table = Table(title=f"Regret in mean JCT (%), {arguments.seeds} seeds of {arguments.tasks:,} tasks")
    for heading in ("load", "placement", "median", "least", "most", "seeds that beat the oracle"):
        table.add_column(heading, justify="left" if heading == "placement" else "right")
    for load in (float(load) for load in arguments.loads.split(",")):
        regrets: dict[str, list[float]] = {placement: [] for placement in PLACEMENTS}
        for seed in range(arguments.seeds):
            workload = generate(arguments.tasks, MixedParameters(load=load), np.random.default_rng(seed))
            workload = replace_estimates(workload, arguments.estimates, np.random.default_rng(seed))
            best = mean_completion_time(workload, "oracle", seed)
            for placement in PLACEMENTS:
                regrets[placement].append(mean_completion_time(workload, placement, seed) / best - 1.0)
        for placement, values in regrets.items():
            cells = [f"{100 * value:.2f}" for value in (statistics.median(values), min(values), max(values))]
            table.add_row(f"{load:g}", placement, *cells, str(sum(value < 0 for value in values)))
    Console().print(table)


if __name__ == "__main__":
    main()
