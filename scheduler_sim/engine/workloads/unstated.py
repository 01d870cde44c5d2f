"""What stands in for an estimate that a trace does not state.

A log without any estimates is played as if users knew their run times, as published comparisons do: perfect estimates
are assumed, and wherever a figure depends on that it says so. Where some tasks state one, a hole that were filled with
the true run time would tell policies of that task what they are not told of others, so it is filled as a site does that
gives a default limit: with the largest limit seen.
"""

import numpy as np
import numpy.typing as npt


def stand_ins(
    stated: npt.NDArray[np.float64], runtime: npt.NDArray[np.float64], queue: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return what policies are told of n durations, shape (n,).

    Args:
        stated: estimates, NaN where there is none.
        runtime: true run times.
        queue: codes of the tasks' queues, from 0.

    Returns:
        What is stated; else the largest estimate stated in the task's queue, or where that states none in the
        workload; the run times where no task states any.
    """
    known = ~np.isnan(stated)
    if known.all():
        return stated
    if not known.any():
        return runtime.copy()
    largest = np.full(int(queue.max()) + 1, -1.0)
    np.maximum.at(largest, queue[known], stated[known])
    default = np.where(largest < 0, largest.max(), largest)
    return np.where(known, stated, default[queue])
