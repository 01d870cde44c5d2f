"""How the loops of a pool that ask for scores at each instant go from one to the next."""

import numpy as np

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.kernels.pool.loop import next_instant
from scheduler_sim.engine.kernels.structures.instants import go_to
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


@bare_kernel
def goes_on(arrival: FloatArray, counts: IntArray, end_times: FloatArray, until: float, clock: FloatArray) -> bool:
    """Put the clock to the next arrival or completion, and tell whether there is one up to `until`; see `go_to`."""
    return bool(go_to(next_instant(arrival, counts, end_times), until, False, clock) < np.inf)
