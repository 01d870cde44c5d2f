"""Print how many jobs a second the pool kernel plays, beside a C program that does the same.

Synthetic jobs of the Lublin-Feitelson model on 256 processors; one core, after warm-up, processor seconds of the
kernel alone (no sorting,
no reading, no writing). Run from the project's root: python -m benchmarks.engine_speed
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.timing import play, read_arguments
from scheduler_sim.engine import Cluster, NodeGroup, Simulation, Workload, parse_policies
from scheduler_sim.engine.generators.lublin import LublinParameters, generate

PROCESSORS = 256
POOL = Cluster(f"hpc-{PROCESSORS}", (NodeGroup("pool", count=1, cores=PROCESSORS),))
YARDSTICK = ("fcfs", "sjf", "fcfs+easy")
DEFAULT = "fcfs,sjf,f1,wfp3,unicep,fcfs+easy,sjf+easy,wfp3+easy,fcfs+conservative"


def make_jobs(tasks: int, load: float) -> Workload:
    """Return `tasks` Lublin-Feitelson jobs at an offered load."""
    return generate(tasks, LublinParameters(processors=PROCESSORS, load=load), np.random.default_rng(1))


def longest_queue(simulation: Simulation) -> int:
    """Return the most tasks that ever waited just after an instant."""
    arrivals = simulation.workload.arrival_time
    begun = np.searchsorted(np.sort(simulation.outcome().start_time), arrivals, side="right")
    return int((np.searchsorted(arrivals, arrivals, side="right") - begun).max())


def build_yardstick(folder: Path) -> Path | None:
    """Compile the C program; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    program = folder / "yardstick"
    source = Path(__file__).with_name("yardstick.c")
    subprocess.run([compiler, "-O3", "-o", str(program), str(source), "-lm"], check=True)
    return program


def run_yardstick(program: Path, workload: Workload, policy: str, repeats: int) -> tuple[float, float]:
    """Return the median seconds of the C program and the sum of its starts."""
    jobs = [np.int64(len(workload)), workload.arrival_time, workload.runtime, workload.cpus.astype(np.int64)]
    finished = subprocess.run(
        [str(program), policy, str(PROCESSORS), str(repeats)],
        input=b"".join(column.tobytes() for column in jobs),
        capture_output=True,
        check=True,
    )
    seconds, starts = finished.stdout.split()
    return float(seconds), float(starts)


def main() -> None:
    """Measure and print the table."""
    arguments = read_arguments(__doc__, DEFAULT)
    policies = [policy.name for policy in parse_policies(arguments.policies)]
    loads = [float(load) for load in arguments.loads.split(",")]
    console = Console()
    table = Table(title=f"Million jobs/s, {arguments.tasks:,} jobs on {PROCESSORS} processors")
    table.add_column("policy")
    for load in loads:
        for heading in (f"load {load}", "C", "time / C", "longest queue"):
            table.add_column(heading, justify="right")
    rows: dict[str, list[str]] = {policy: [policy] for policy in policies}
    with tempfile.TemporaryDirectory() as folder:
        program = build_yardstick(Path(folder))
        warm = make_jobs(500, 0.9)
        for load in loads:
            workload = make_jobs(arguments.tasks, load)
            for policy in policies:
                if "conservative" in policy and load > 1:
                    rows[policy] += ["-"] * 4
                    continue
                play(warm, POOL, policy, 1)
                seconds, simulation = play(workload, POOL, policy, arguments.repeats)
                cells = [f"{arguments.tasks / seconds / 1e6:.2f}", "-", "-", f"{longest_queue(simulation):,}"]
                if program and policy in YARDSTICK and not (policy == "fcfs+easy" and load > 1):
                    c_seconds, starts = run_yardstick(program, workload, policy, arguments.repeats)
                    if not np.isclose(starts, simulation.outcome().start_time.sum(), rtol=1e-12):
                        raise SystemExit(f"The C program plays {policy} differently: sum of starts {starts}.")
                    cells[1:3] = [f"{arguments.tasks / c_seconds / 1e6:.2f}", f"{seconds / c_seconds:.2f}"]
                rows[policy] += cells
                console.print(
                    f"load {load} {policy}: {cells[0]} M/s, C {cells[1]}, longest queue {cells[3]}", style="dim"
                )
    for row in rows.values():
        table.add_row(*row)
    if program is None:
        console.print("No C compiler was found, so that the yardstick is left out.")
    console.print(table)


if __name__ == "__main__":
    main()
