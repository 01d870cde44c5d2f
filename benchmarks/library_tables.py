"""What asking for the placements of a play as tables adds to the memory of the process.

    python -m benchmarks.library_tables [--tasks 1000000]

Eight policies of Lublin-Feitelson jobs are played, and all placements are asked for as Arrow, polars and pandas tables,
which are held at the same time. Columns that the simulation holds must lie where they lie there.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.library_play import POLICIES, PROCESSORS
from scheduler_sim import engine as sim
from scheduler_sim.engine.generators.lublin import LublinParameters, generate
from scheduler_sim.engine.library.tables import Kind

HELD = (
    "task_id",
    "arrival_time",
    "ready_time",
    "start_time",
    "finish_time",
    "cpus",
    "gpus",
    "node",
    "device",
    "gpu_fraction",
)
"""Columns of numbers that the simulation holds; the others are figures that are worked out when they are asked for."""


def memory_mb() -> float:
    """Return how much of this process is in memory, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def address(table: Any, kind: str, column: str) -> int:
    """Return where the values of a column lie."""
    if kind == "arrow":
        return int(table[column].chunk(0).buffers()[1].address)
    if kind == "polars":
        return int(table[column].to_numpy(allow_copy=False).ctypes.data)
    return int(table[column].to_numpy().ctypes.data)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=1_000_000)
    tasks = parser.parse_args().tasks
    workload = generate(tasks, LublinParameters(processors=PROCESSORS, load=0.9), np.random.default_rng(1))
    small = sim.play(workload.head(500), f"hpc-{PROCESSORS}", POLICIES)
    kinds: tuple[Kind, ...] = ("arrow", "polars", "pandas")
    for kind in kinds:
        small.placements(small.policies[0], kind=kind)
    before = memory_mb()
    result = sim.play(workload, f"hpc-{PROCESSORS}", POLICIES)
    print(f"{tasks:,} tasks: {before:,.0f} MB before, {memory_mb():,.0f} MB after the play of {len(result.policies)}")
    kept = []
    for kind in kinds:
        before, same = memory_mb(), 0
        tables = [result.placements(policy, kind=kind) for policy in result.policies]
        kept.append(tables)
        added, wide = memory_mb() - before, tables[0].shape[1]
        for policy, table in zip(result.policies, tables, strict=True):
            held = result.placements(policy, kind="numpy")
            same += sum(address(table, kind, name) == held[name].ctypes.data for name in HELD)
        figures = wide - len(HELD)
        print(
            f"{kind}: {len(tables)} tables of {wide} columns add {added:,.0f} MB; the {figures} figures in them have "
            f"{figures * 8 * tasks * len(tables) / 1e6:,.0f} MB, and {same} of {len(HELD) * len(tables)} other columns "
            "lie where the simulation's do"
        )


if __name__ == "__main__":
    main()
