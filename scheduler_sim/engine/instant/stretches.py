"""The clock of a schedule cut into stretches, each with the tasks that were in the system during it.

The tasks of an instant are among those of its stretch. A stretch begins when as many tasks have arrived as were in the
system at the beginning of the one before, so that all stretches together name each task about twice, and one names at
most about twice as many as wait and run at a time (time slices over an interval stabbing query, after Chazelle,
Filtering search, SIAM J. Comput. 15(3), 1986).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

LEAST_ARRIVALS = 512
"""A stretch holds at least so many arrivals, except the last."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """From one instant until the next stretch begins.

    Attributes:
        from_time: seconds; before that of the first stretch nothing has arrived.
        rows: ascending, every task that arrives before the end of the stretch and finishes at its beginning or later.
    """

    from_time: float
    rows: IntArray


def stretches(arrival: FloatArray, finish: FloatArray, *, least: int = LEAST_ARRIVALS) -> Iterator[Stretch]:
    """Cut the clock of n tasks, shape (n,) each, the arrivals ascending; tasks of one arrival are never cut apart."""
    length, first = len(arrival), 0
    inside = np.zeros(0, np.int64)
    while first < length:
        from_time = float(arrival[first])
        inside = inside[finish[inside] >= from_time]
        last = min(first + max(least, len(inside)), length)
        last = int(np.searchsorted(arrival, arrival[last - 1], side="right"))
        inside = np.concatenate((inside, np.arange(first, last)))
        yield Stretch(from_time, inside)
        first = last
