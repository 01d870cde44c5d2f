"""EASY-SJBF told estimates, the mean of the user's last two runs, or what a regression learns on the way.

    python -m benchmarks.learning_online ../shared/traces/KTH-SP2-sc15.swf.gz --processors 100

Prints the mean bounded slowdown of all jobs, of the first and of the second half by arrival, and processor seconds. The
regression was chosen on the first half of KTH-SP2: only what it does elsewhere says how good it is.
"""

import time
from pathlib import Path

from benchmarks.project import described
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import pool
from scheduler_sim.engine.measuring.metrics import TaskFigures
from scheduler_sim.engine.traces import read_trace

POLICIES = (
    "fcfs+easy",
    "fcfs+easy(order=sjf)",
    "fcfs+easy(order=sjf,predict=last_two)",
    "fcfs+easy(order=sjf,predict=regression)",
    "fcfs+easy(predict=regression)",
)


def main() -> None:
    """Play each policy twice, since the first time compiles, and print a row of a table for it."""
    parser = described(__doc__)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--processors", type=int, required=True)
    options = parser.parse_args()
    workload = read_trace(options.trace).workload
    half = len(workload) // 2
    print("| policy | all | first half | second half | processor seconds |\n|---|---|---|---|---|")
    for policy in engine.parse_policies(",".join(POLICIES)):
        for _ in range(2):
            simulation = engine.Simulation(workload=workload, cluster=pool(options.processors), policy=policy)
            began = time.process_time()
            simulation.advance()
            seconds = time.process_time() - began
        slowdown = TaskFigures.of(workload, simulation.outcome()).bounded_slowdown
        halves = slowdown[:half].mean(), slowdown[half:].mean()
        print(
            f"| {policy.name} | {slowdown.mean():.2f} | {halves[0]:.2f} | {halves[1]:.2f} | {seconds:.3f} |", flush=True
        )


if __name__ == "__main__":
    main()
