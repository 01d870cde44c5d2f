"""Print how many tasks a second each kind of policy of one's own plays, beside the shipped one that it imitates.

Jobs of the Lublin-Feitelson model on 256 processors, and tasks of one core on 64 nodes; the kinds alternate with what
they imitate, in processor seconds of the loop alone, those of a program included. Classes and programs play fewer
tasks, and so does then what they imitate. Run from the project's root: python -m benchmarks.own_policies
"""

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.engine_speed import POOL, make_jobs
from scheduler_sim import engine as sim

NODES = sim.Cluster("64 nodes", (sim.NodeGroup("n", count=64, cores=4),))


@sim.scoring("array_sjf")
def array_sjf(context: Any) -> Any:
    """Score all tasks at once."""
    return context.estimate


@sim.scoring("array_fcfs")
def array_fcfs(context: Any) -> Any:
    """Score all tasks at once."""
    return context.workload.arrival_time


# Of a task, and of a task that waits.
sim.compiled("compiled_sjf")(lambda task: task.estimate)
sim.compiled("asked_sjf")(lambda task, _: task.estimate)
sim.compiled("compiled_fcfs")(lambda task: task.arrival_time)
sim.compiled("asked_fcfs")(lambda task, _: task.arrival_time)


@sim.compiled("compiled_wfp3")
def compiled_wfp3(task: Any) -> Any:
    """Say by how much the score of a task falls with its wait."""
    return 0.0, np.cbrt(task.processors) / (task.estimate if task.estimate > 0 else 1.0)


@sim.compiled("asked_wfp3")
def asked_wfp3(task: Any, _: Any) -> Any:
    """Score a task that waits, by its wait."""
    return -(np.cbrt(task.processors) / (task.estimate if task.estimate > 0 else 1.0) * task.wait_time)


@sim.deciding("class_sjf_easy")
class ShortestFirstWithEasy:
    """Decides as sjf+easy does, on one node."""

    def decide(self, state: Any) -> Any:
        """Yield the rows that start."""
        queue = sorted(state.queue, key=lambda row: state.estimate[row])
        ends = {row: max(state.expected_end_time[row], state.time) for row in state.running}
        free = state.free_cores[0]
        while queue and state.cpus[queue[0]] <= free:
            row = queue.pop(0)
            free -= state.cpus[row]
            ends[row] = state.time + state.estimate[row]
            yield row
        if not queue:
            return
        head, extra, shadow = queue.pop(0), free, state.time
        for end, row in sorted((end, row) for row, end in ends.items()):
            if extra >= state.cpus[head] and end > shadow:
                break
            extra, shadow = extra + state.cpus[row], end
        extra -= state.cpus[head]
        for row in queue:
            in_time = state.time + state.estimate[row] <= shadow
            if state.cpus[row] <= (free if in_time else min(free, extra)):
                free -= state.cpus[row]
                extra -= 0 if in_time else state.cpus[row]
                yield row


@sim.deciding("class_fcfs_best_fit")
class FirstComeBestFit:
    """Decides as fcfs@best_fit does, where cores are all that is asked for."""

    def decide(self, state: Any) -> Any:
        """Yield pairs of row and node."""
        free = state.free_cores.copy()
        for row in state.queue:
            fitting = np.flatnonzero(free >= state.cpus[row])
            if not len(fitting):
                return
            node = fitting[np.argmin(free[fitting])]
            free[node] -= state.cpus[row]
            yield row, node


PROGRAMS = ("shortest_first_with_easy", "first_come_best_fit")

POOLED, NODAL = ("sjf+easy", "pool"), ("fcfs@best_fit", "nodes")

PAIRS = (
    ("array_sjf+easy", *POOLED),
    ("compiled_sjf+easy", *POOLED),
    ("asked_sjf+easy", *POOLED),
    ("compiled_wfp3+easy", "wfp3+easy", "pool"),
    ("asked_wfp3+easy", "wfp3+easy", "pool"),
    ("array_fcfs@best_fit", *NODAL),
    ("compiled_fcfs@best_fit", *NODAL),
    ("asked_fcfs@best_fit", *NODAL),
)

SLOW_PAIRS = (
    ("class_sjf_easy", *POOLED),
    ("program_sjf_easy", *POOLED),
    ("class_fcfs_best_fit", *NODAL),
    ("program_fcfs_best_fit", *NODAL),
)


def processor_seconds() -> float:
    """Return those of this process and of the programs that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def timed(workload: sim.Workload, cluster: sim.Cluster, policy: str, clock: Callable[[], float]) -> tuple[float, Any]:
    """Return the seconds of the loop and when tasks started."""
    simulation = sim.Simulation(workload, cluster, sim.parse_policy(policy))
    began = clock()
    simulation.advance()
    return clock() - began, simulation.outcome().start_time


def measure(
    own: str, shipped: str, workload: sim.Workload, cluster: sim.Cluster, *, repeats: int, clock: Callable[[], float]
) -> tuple[float, float]:
    """Return the tasks a second of both, medians of alternating plays after one that compiles."""
    for policy in (own, shipped):
        timed(workload.head(100), cluster, policy, clock)
    seconds: dict[str, list[float]] = {own: [], shipped: []}
    for _ in range(repeats):
        starts = []
        for policy, taken in seconds.items():
            found, start = timed(workload, cluster, policy, clock)
            taken.append(found)
            starts.append(start)
        if not np.array_equal(*starts):
            raise SystemExit(f"{own} plays otherwise than {shipped}.")
    mine, theirs = (len(workload) / statistics.median(taken) for taken in seconds.values())
    return mine, theirs


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=int, default=300_000)
    parser.add_argument("--loads", default="0.7,0.9", help="offered loads (default %(default)s)")
    parser.add_argument("--slow-tasks", type=int, default=5_000, help="of classes and programs (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    for name in PROGRAMS:
        sim.program([sys.executable, f"examples/{name}.py"])
    table = Table(title=f"Tasks a second, {given.tasks:,} tasks")
    for heading in ("policy", "load", "tasks/s", "imitates", "tasks/s", "ratio"):
        table.add_column(heading, justify="left" if heading in ("policy", "imitates") else "right")
    for load in given.loads.split(","):
        jobs = make_jobs(given.tasks, float(load))
        single = sim.Workload.from_columns(
            arrival_time=jobs.arrival_time, runtime=jobs.runtime, cpus=np.minimum(jobs.cpus, 4.0)
        )
        for own, shipped, ground in (*PAIRS, *SLOW_PAIRS):
            workload, cluster = (jobs, POOL) if ground == "pool" else (single, NODES)
            if (own, shipped, ground) in SLOW_PAIRS:
                workload = workload.head(given.slow_tasks)
            mine, theirs = measure(own, shipped, workload, cluster, repeats=given.repeats, clock=processor_seconds)
            table.add_row(own, load, f"{mine:,.0f}", shipped, f"{theirs:,.0f}", f"{mine / theirs:.4f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
