"""How the loops that go by choices from outside pass from one instant to the next."""

from typing import Any

from scheduler_sim.engine.codes import FINISHED, RUNNING
from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.kernels.pool.loop import next_instant
from scheduler_sim.engine.kernels.structures.heap import heap_pop


@bare_kernel
def begin_instant(p: Any) -> float:
    """Put the clock to the next arrival or end, infinity where none is to come, and return it.

    Args:
        p: a record with `arrival`, `counts`, `clock` and the heap of what runs, as here everywhere.
    """
    p.clock[0] = next_instant(p.arrival, p.counts, p.end_times)
    return float(p.clock[0])


@bare_kernel
def end_first(p: Any) -> int:
    """Take what ends first off the heap, count it as finished, and return its row."""
    row = p.end_rows[0]
    heap_pop(p.end_times, p.end_rows, p.counts[RUNNING])
    p.counts[RUNNING] -= 1
    p.counts[FINISHED] += 1
    return int(row)
