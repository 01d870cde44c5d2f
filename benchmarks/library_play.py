"""How many cores `play` of the library uses, and what it adds to the bare kernels.

    python -m benchmarks.library_play [--tasks 1000000] [--workers 1,2] [--repeats 3]

Eight policies of Lublin-Feitelson jobs on a pool of 256 processors at load 0.9. Wall times tell something where nothing
else runs; processor seconds do on a busy machine too, and with them the seconds of the calling thread that no other
thread can share, so that at most (those + others / cores) is left. The least of all repeats counts.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from scheduler_sim import engine as sim
from scheduler_sim.engine.crew import Crew
from scheduler_sim.engine.generators.lublin import LublinParameters, generate
from scheduler_sim.engine.policies import parse_policies

PROCESSORS = 256
POLICIES = "fcfs,sjf,saf,wfp3,fcfs+easy,sjf+easy,saf+easy,wfp3+easy"

shared_out = [0.0]
"""Processor seconds of the calling thread that others could have worked instead."""


def watch_crews() -> None:
    """Count what the calling thread does in turn with others."""
    each = Crew.each

    def counted(crew: Crew, work: Callable[..., Any], things: Any, /) -> list[Any]:
        began = time.thread_time()
        try:
            return each(crew, work, things)
        finally:
            shared_out[0] += time.thread_time() - began

    Crew.each = counted  # type: ignore[method-assign]


def timed(work: Callable[[], Any]) -> tuple[tuple[float, float, float], Any]:
    """Return wall seconds, processor seconds and those of the calling thread alone, and what the work returned."""
    shared_out[0] = 0.0
    wall, processor, own = time.perf_counter(), time.process_time(), time.thread_time()
    found = work()
    own = time.thread_time() - own - shared_out[0]
    return (time.perf_counter() - wall, time.process_time() - processor, own), found


def bare_kernels(workload: sim.Workload, cluster: sim.Cluster, policies: str, repeats: int) -> float:
    """Return the processor seconds of the event loops alone, everything being ready."""
    total = 0.0
    for policy in parse_policies(policies):
        took = []
        for _ in range(repeats):
            simulation = sim.Simulation(workload, cluster, policy)
            began = time.thread_time()
            simulation.advance()
            took.append(time.thread_time() - began)
        total += min(took)
    return total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--workers", default="1,2", help="how many threads, comma-separated")
    parser.add_argument("--policies", default=POLICIES)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    jobs = LublinParameters(processors=PROCESSORS, load=0.9)
    workload = generate(arguments.tasks, jobs, np.random.default_rng(1))
    cluster = sim.load_cluster(f"hpc-{PROCESSORS}")
    sim.play(workload.head(500), cluster, arguments.policies).figures()
    watch_crews()
    bare = bare_kernels(workload, cluster, arguments.policies, arguments.repeats)
    print(f"{arguments.tasks:,} tasks x {len(parse_policies(arguments.policies))} policies")
    print(f"bare kernels: {bare:.2f} processor s; load of the machine {os.getloadavg()[0]:.1f}")
    for workers in map(int, arguments.workers.split(",")):
        played, figured = [], []
        play = partial(sim.play, workload, cluster, arguments.policies, workers=workers)
        for _ in range(arguments.repeats):
            took, result = timed(play)
            played.append(took)
            figured.append(timed(result.figures)[0])
            del result
        for name, rows in (("play", played), ("figures", figured)):
            wall, processor, own = np.min(rows, axis=0)
            over = f", {processor / bare - 1:+.0%} over the kernels" if name == "play" else ""
            print(
                f"workers {workers}, {name}: wall {wall:.2f} s, processor {processor:.2f} s{over}, "
                f"not shared {own:.3f} s, at best {own + (processor - own) / workers:.2f} s"
            )
    print(f"load of the machine {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
