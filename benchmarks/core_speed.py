"""Print how many tasks a second the event core plays, beside the fast kernel and a C program on the same jobs.

Synthetic jobs of the Lublin-Feitelson model on 256 processors; one core, after warm-up, processor seconds of the
kernel alone, attempts drained and counted. Run from the project's root: python -m benchmarks.core_speed
"""

import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.engine_speed import POOL, build_yardstick, longest_queue, make_jobs, run_yardstick
from benchmarks.timing import read_arguments
from scheduler_sim.engine import Simulation, Workload, parse_policies, parse_policy
from scheduler_sim.engine.contract import Attempts

DEFAULT = "srtf,srsf,las,rr(quantum=3600),sjf~suspend,sjf~requeue"
BESIDE = "sjf"
"""Played by the fast kernel and by the C program, which stop nothing."""


def play(workload: Workload, policy: str, repeats: int) -> tuple[float, int, int, Simulation]:
    """Return the median seconds of the kernel, the attempts written, the largest batch and the last simulation."""
    seconds = []
    for _ in range(repeats):
        sizes: list[int] = []

        def count(batch: Attempts, sizes: list[int] = sizes) -> None:
            sizes.append(len(batch))

        simulation = Simulation(workload, POOL, parse_policy(policy), on_attempts=count)
        began = time.process_time()
        simulation.advance()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds), sum(sizes), max(sizes, default=0), simulation


def main() -> None:
    """Measure and print the table."""
    arguments = read_arguments(__doc__, DEFAULT)
    policies = [policy.name for policy in parse_policies(f"{arguments.policies},{BESIDE}")]
    console = Console()
    table = Table(title=f"{arguments.tasks:,} jobs on {POOL.cores} processors")
    for heading in ("load", "policy", "million jobs/s", "attempts", "largest batch", "longest queue"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    warm = make_jobs(500, 0.9)
    with tempfile.TemporaryDirectory() as folder:
        program = build_yardstick(Path(folder))
        for load in arguments.loads.split(","):
            workload = make_jobs(arguments.tasks, float(load))
            for policy in policies:
                play(warm, policy, 1)
                seconds, attempts, batch, simulation = play(workload, policy, arguments.repeats)
                speed, queue = f"{arguments.tasks / seconds / 1e6:.2f}", f"{longest_queue(simulation):,}"
                table.add_row(load, policy, speed, f"{attempts:,}", f"{batch:,}", queue)
                console.print(f"load {load} {policy}: {speed} M/s, {attempts:,} attempts", style="dim")
            if program:
                seconds, _ = run_yardstick(program, workload, BESIDE, arguments.repeats)
                table.add_row(load, f"{BESIDE}, C", f"{arguments.tasks / seconds / 1e6:.2f}", "-", "-", "-")
    console.print(table)


if __name__ == "__main__":
    main()
