"""How every event loop goes from one instant to the next."""

import numpy as np

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workloads.workload import FloatArray


@bare_kernel
def go_to(now: float, until: float, enough: bool, clock: FloatArray) -> float:
    """Put the clock to the next instant and return it; infinity where nothing happens up to `until`.

    With `enough`, only a further round of the present instant is begun.
    """
    if now > until or now == np.inf:
        if now < np.inf:
            clock[1] = until
        return np.inf
    if enough and now > clock[0]:
        return np.inf
    clock[0] = now
    return now
