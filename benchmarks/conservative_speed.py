"""Conservative backfilling with deep queues: a whole overloaded workload, and an event's cost by the queue's length.

    python -m benchmarks.conservative_speed [--tasks 20000] [--queues 1000,10000,100000]

The workload: exponential arrivals, 600 s on average, twice as much work as 1,000 processors can do, so that the queue
grows without end; estimates one to ten times too long, so that nearly every completion comes early and moves
reservations; `--exceed 0.01` lets that share of tasks run beyond their estimate, whereupon all is planned anew. For the
queue lengths so many tasks of the same kind are there from the beginning, and the first completions are played
(`--events`).

Processor seconds, and a checksum of the starts to compare versions by.
"""

import hashlib
import time

import numpy as np

from benchmarks.project import described
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import pool

PROCESSORS, BETWEEN, LOAD = 1_000, 600.0, 2.0


def workload(tasks: int, *, together: bool, exceed: float) -> engine.Workload:
    """Return tasks that arrive one after the other, or all `together` at the beginning."""
    generator = np.random.default_rng(0)
    arrival = np.floor(np.cumsum(generator.exponential(BETWEEN, tasks)))
    cpus = 2 ** generator.integers(0, 7, tasks) * generator.integers(1, 3, tasks)
    runtime = generator.lognormal(8.0, 1.5, tasks)
    runtime = 1.0 + np.floor(runtime * LOAD * BETWEEN * PROCESSORS / (runtime * cpus).mean())
    estimate = np.ceil(runtime * generator.uniform(1.0, 10.0, tasks))
    estimate[generator.random(tasks) < exceed] *= 0.1
    return engine.Workload.from_columns(
        arrival_time=np.zeros(tasks) if together else arrival,
        runtime=runtime,
        duration_estimate=np.maximum(estimate, 1.0),
        cpus=cpus,
    )


def simulation(tasks: engine.Workload) -> engine.Simulation:
    """Return the tasks under fcfs+conservative, not yet played."""
    return engine.Simulation(tasks, pool(PROCESSORS), engine.parse_policy("fcfs+conservative"))


def main() -> None:
    """Play and print."""
    parser = described(__doc__)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--queues", default="1000,3000,10000,30000,100000")
    parser.add_argument("--events", type=int, default=300, help="completions played with each queue")
    parser.add_argument("--exceed", type=float, default=0.0, help="share of tasks that run beyond their estimate")
    options = parser.parse_args()
    simulation(workload(50, together=False, exceed=0.1)).advance()
    if options.tasks:
        whole = simulation(workload(options.tasks, together=False, exceed=options.exceed))
        began = time.process_time()
        whole.advance()
        seconds = time.process_time() - began
        checksum = hashlib.sha256(whole.outcome().start_time.tobytes()).hexdigest()[:12]
        print(f"{options.tasks:,} tasks at load {LOAD:g}: {seconds:.1f} s of processor; starts {checksum}", flush=True)
    print("| queued | s for the first plan | ms a completion |\n|---|---|---|")
    for queued in [int(text) for text in options.queues.split(",") if text]:
        deep = simulation(workload(queued, together=True, exceed=options.exceed))
        began = time.process_time()
        deep.advance(max_events=1)
        planned, finished = time.process_time(), deep.finished
        deep.advance(max_events=options.events)
        milliseconds = 1e3 * (time.process_time() - planned) / max(deep.finished - finished, 1)
        print(f"| {queued:,} | {planned - began:.2f} | {milliseconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
