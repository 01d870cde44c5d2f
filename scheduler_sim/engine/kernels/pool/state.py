"""The state of a pool simulation: its arrays, and where the counters lie in its integer vector.

All state of a run is arrays plus this vector, so that a kernel can stop after any instant and be called again.
"""

from typing import NamedTuple

from scheduler_sim.engine.codes import COMMON
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

FREE, UNSORTED, HEAD, EXTRA = range(COMMON, COMMON + 4)
"""Places in the vector of counts beside the common ones: processors that no task holds; 1 when tasks that finished at
one instant were appended out of row order; what a queue structure remembers of the blocked head, -1 for nothing; and
processors that the head's reservation leaves over at its shadow time. Rows below `counts[ARRIVED]` have arrived."""

FIELDS = 16


class Tasks(NamedTuple):
    """The tasks of a pool simulation, shape (n,) each, in canonical order.

    Attributes:
        arrival: seconds.
        duration: true seconds on this pool.
        expected: seconds that the policy is told.
        cpus: processors held.
        base, slope: the score is `base - slope * (now - arrival)`.
    """

    arrival: FloatArray
    duration: FloatArray
    expected: FloatArray
    cpus: IntArray
    base: FloatArray
    slope: FloatArray


class Run(NamedTuple):
    """The state that every pool kernel has.

    A kernel unpacks it once: arrays taken out of a tuple in an inner function cost a reference count each time.

    Attributes:
        counts: see the places above.
        clock: the last instant that was applied, and the time up to which nothing more happens; seconds.
        start, finish: shape (n,), NaN until the task has started.
        order: shape (n,), rows by finish.
        end_times, end_rows: heap of what runs by finish.
    """

    counts: IntArray
    clock: FloatArray
    start: FloatArray
    finish: FloatArray
    order: IntArray
    end_times: FloatArray
    end_rows: IntArray
