"""Conservative backfilling on nodes with deep queues: tasks a second, beside how many wait.

    python -m benchmarks.node_reservations [--nodes 1523] [--queues 100,1000,5000] [--gangs 0.05] [--estimates long]

So many jobs as run at once, and the queue behind them, are there from the beginning; each later one comes when one
more has ended, so that as many wait all the time. Jobs ask for 1 to 8 GPUs, a share of them for whole nodes, and are
expected to run as long as they do, or with `long` one to ten times as long, so that nearly every end comes early.

Processor seconds of the kernel alone, and a checksum of starts and nodes to compare versions by.
"""

import hashlib
import time

import numpy as np

from benchmarks.project import described
from scheduler_sim.engine import Cluster, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.workloads.workload import FloatArray


def jobs(cluster: Cluster, queued: int, more: int, gangs: float, *, exact: bool) -> Workload:
    """Return jobs of which so many wait at the beginning, and `more` that come later, one at each start.

    When one starts is that of a queue of the same jobs that never ends, under fcfs+list@first_fit.
    """
    generator = np.random.default_rng(1)
    n = 8 * cluster.nodes + queued + more
    gpus = generator.choice([1, 2, 4, 8], n, p=[0.6, 0.2, 0.1, 0.1])
    gpus = np.where(generator.random(n) < gangs, generator.choice([16, 32, 64], n), gpus)
    runtime = np.round(generator.lognormal(6.0, 1.5, n), 3)
    estimate = runtime if exact else np.round(runtime * generator.uniform(1.0, 10.0, n), 3)

    def first(count: int, arrivals: FloatArray) -> Workload:
        return Workload.from_columns(
            arrival_time=arrivals,
            runtime=runtime[:count],
            duration_estimate=estimate[:count],
            cpus=4 * gpus[:count],
            gpus=gpus[:count],
        )

    simulation = Simulation(first(n, np.zeros(n)), cluster, parse_policy("fcfs+list@first_fit"))
    simulation.advance()
    starts = np.sort(simulation.outcome().start_time)
    running = int((starts == 0.0).sum())
    arrivals = np.concatenate([np.zeros(running + queued), np.round(starts[running : running + more], 6)])
    return first(len(arrivals), arrivals)


def main() -> None:
    """Play and print a line a queue."""
    parser = described(__doc__)
    parser.add_argument("--nodes", type=int, default=1523)
    parser.add_argument("--queues", default="100,1000,5000")
    parser.add_argument("--more", type=int, default=10_000, help="jobs that come later, default %(default)s")
    parser.add_argument("--gangs", type=float, default=0.0, help="share of jobs on 2 to 8 whole nodes")
    parser.add_argument("--estimates", choices=("exact", "long"), default="exact")
    parser.add_argument("--policy", default="fcfs+conservative")
    options = parser.parse_args()
    cluster, policy = load_cluster(f"dgx-{options.nodes}"), parse_policy(options.policy)
    print("| queued | s for the first plan | tasks/s after it | least that waited | checksum |\n|---|---|---|---|---|")
    for queued in [0, *(int(text) for text in options.queues.split(","))]:
        more = options.more if queued else 10
        workload = jobs(cluster, queued, more, options.gangs, exact=options.estimates == "exact")
        simulation = Simulation(workload, cluster, policy)
        began = time.process_time()
        simulation.advance(until_time=0.0)
        planned, seconds = time.process_time() - began, 0.0
        least, finished = queued, simulation.finished
        for until in np.quantile(workload.arrival_time[-more:], np.linspace(0.1, 1.0, 10)):
            began = time.process_time()
            simulation.advance(until_time=float(until))
            seconds += time.process_time() - began
            waiting = (workload.arrival_time <= until) & np.isnan(simulation.outcome().start_time)
            least = min(least, int(waiting.sum()))
        outcome = simulation.outcome()
        digest = hashlib.sha256(outcome.start_time.tobytes() + outcome.node.tobytes()).hexdigest()[:12]
        if queued:  # The first one compiles.
            speed = (simulation.finished - finished) / seconds
            print(f"| {queued:,} | {planned:.2f} | {speed:,.0f} | {least:,} | {digest} |", flush=True)


if __name__ == "__main__":
    main()
