"""Hold the twin of Slurm beside recorded Slurm clusters: starts and waits over many phases of its loops.

Each seed draws other phases. A folder has what one recorded cluster had and did, as `tests/engine/slurm_cases.py` reads
it. `--defaults` plays with Slurm's own default parameters, `--no-backfill` without the backfill loop. Run from the
project's root:

    python -m benchmarks.slurm_twin --seeds 200 ../shared/slurm/S1A ../shared/slurm/S3
"""

import argparse
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from scheduler_sim.engine import Options, Simulation, parse_policy
from scheduler_sim.engine.sites import Scheduling, Site
from scheduler_sim.engine.workloads.columns import FloatArray
from tests.engine.slurm_cases import Recorded, read_recorded


def compare(recorded: Recorded, site: Site, seed: int) -> FloatArray:
    """Return the shares of starts within 2, 5 and 30 s, the mean absolute difference and the mean wait of one run."""
    simulation = Simulation(
        recorded.workload,
        site.cluster,
        parse_policy(f"slurm(epoch={recorded.epoch:.0f})"),
        site=site,
        seed=seed,
        options=Options(kill_at_estimate=True),
    )
    simulation.advance()
    start = simulation.outcome().start_time
    both = ~np.isnan(start) & ~np.isnan(recorded.start)
    apart = np.abs(start - recorded.start)[both]
    wait = (start - recorded.workload.arrival_time)[both].mean()
    return np.array([*(np.mean(apart <= bound) for bound in (2, 5, 30)), apart.mean(), wait])


def main() -> None:
    """Print one row for each folder."""
    parser = argparse.ArgumentParser(description="Hold the twin of Slurm beside recorded Slurm clusters.")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--defaults", action="store_true", help="Slurm's default scheduler parameters")
    parser.add_argument("--no-backfill", action="store_true")
    asked = parser.parse_args()
    table = Table("recorded", "jobs", "within 2 / 5 / 30 s", "mean difference", "mean wait", "really")
    for folder in asked.folders:
        recorded = read_recorded(lambda name: folder.parent / name, folder.name)  # noqa: B023
        scheduling = Scheduling() if asked.defaults else recorded.site.scheduling
        scheduling = msgspec.structs.replace(scheduling, backfill=scheduling.backfill and not asked.no_backfill)
        site = msgspec.structs.replace(recorded.site, scheduling=scheduling)
        runs = np.array([compare(recorded, site, seed) for seed in range(asked.seeds)])
        mean = runs.mean(axis=0)
        begun = ~np.isnan(recorded.start)
        really = float((recorded.start - recorded.workload.arrival_time)[begun].mean())
        table.add_row(
            folder.name,
            str(int(begun.sum())),
            " / ".join(f"{100 * share:.0f}" for share in mean[:3]) + " %",
            *(f"{of.mean():.1f} s ({of.min():.1f} to {of.max():.1f})" for of in (runs[:, 3], runs[:, 4])),
            f"{really:.1f} s",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
