"""Lists of rows whose lengths are counts."""

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.workloads.workload import IntArray


@inner_kernel
def append(rows: IntArray, counts: IntArray, length: int, row: int) -> None:
    """Put `row` behind the others of a list; `length` is the place in `counts` that says how many they are."""
    rows[counts[length]] = row
    counts[length] += 1
