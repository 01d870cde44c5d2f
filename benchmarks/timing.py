"""What the measurements of kernels share: their arguments, and how one is timed."""

import argparse
import statistics
import time

from scheduler_sim.engine import Cluster, Simulation, Workload, parse_policy


def read_arguments(description: str | None, policies: str) -> argparse.Namespace:
    """Return `tasks`, `policies`, `loads` and `repeats` as they were asked for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--policies", default=policies, help="comma-separated, default %(default)s")
    parser.add_argument("--loads", default="0.7,0.95,1.2")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def play(workload: Workload, cluster: Cluster, policy: str, repeats: int) -> tuple[float, Simulation]:
    """Return the median seconds of the kernel and the last simulation."""
    seconds = []
    for _ in range(repeats):
        simulation = Simulation(workload, cluster, parse_policy(policy))
        began = time.process_time()
        simulation.advance()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds), simulation
