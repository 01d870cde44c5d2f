"""Part of a workload, drawn by a seed, so that one recorded trace gives many replications."""

from typing import Literal

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.whatif import at_arrivals
from scheduler_sim.engine.workloads.columns import FloatArray
from scheduler_sim.engine.workloads.workload import Workload

Draw = Literal["window", "tasks"]
Arrivals = Literal["trace", "poisson"]


def sample_tasks(workload: Workload, *, tasks: int, draw: Draw, arrivals: Arrivals, seed: int) -> Workload:
    """Return some tasks of a workload, the first of which arrives at 0 s; their numbers and order stay.

    What a sample asks for in a second is on average what the workload asks for: where tasks are drawn one by one their
    arrivals are moved together by (tasks drawn) / (tasks there are).

    Args:
        tasks: how many.
        draw: `window`, so many in a row from a drawn one on, all equally likely; `tasks`, each drawn by itself, none
            twice.
        arrivals: `trace`, as recorded; `poisson`, with exponential gaps whose mean is that of the workload's.
        seed: of the draws.

    Raises:
        InvalidParameter: the workload has fewer tasks, or tasks of it depend on each other.
    """
    there = len(workload)
    if not 1 <= tasks <= there:
        raise InvalidParameter(f"A sample of {tasks:,} tasks cannot be drawn of {there:,}.")
    if workload.parents.count:
        raise InvalidParameter("Tasks that depend on each other cannot be sampled: some would lose their parents.")
    random = np.random.default_rng(seed)
    if draw == "window":
        first = int(random.integers(0, there - tasks + 1))
        rows = np.arange(first, first + tasks)
    else:
        rows = np.sort(random.choice(there, tasks, replace=False))
    found = workload.take(rows)
    if arrivals == "poisson":
        gap = float(workload.arrival_time[-1] - workload.arrival_time[0]) / max(1, there - 1)
        at: FloatArray = np.concatenate([[0.0], np.cumsum(random.exponential(gap, tasks - 1))])
    else:
        at = found.arrival_time - found.arrival_time[0]
        at = at if draw == "window" else at * (tasks / there)
    return at_arrivals(found, at)
