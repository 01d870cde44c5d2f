"""How the loops of a pool go from one instant to the next."""

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, RUNNING
from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.kernels.pool.loop import instant_after
from scheduler_sim.engine.kernels.structures.instants import go_to
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


@bare_kernel
def comes(
    arrived: int, arrival: FloatArray, running: int, end_times: FloatArray, until: float, clock: FloatArray
) -> bool:
    """Put the clock to the next arrival or completion, and tell whether there is one up to `until`; see `go_to`."""
    return bool(go_to(instant_after(arrived, arrival, running, end_times), until, False, clock) < np.inf)


@bare_kernel
def goes_on(arrival: FloatArray, counts: IntArray, end_times: FloatArray, until: float, clock: FloatArray) -> bool:
    """Do as `comes` where the counts say how many have arrived and run."""
    return bool(comes(counts[ARRIVED], arrival, counts[RUNNING], end_times, until, clock))
