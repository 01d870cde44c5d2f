"""How event loops that can be called again before an instant is over leave their clock."""

import numpy as np

from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.workloads.workload import FloatArray


@counting_kernel
def leave_clock(clock: FloatArray, until: float, enough: bool) -> None:
    """Say that all is applied up to `until`; where the events were `enough`, up to the instant that was played last."""
    if enough:
        until = clock[0]
    if until < np.inf:
        clock[1] = max(clock[1], until)
