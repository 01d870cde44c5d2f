"""How times and sizes are shown to whoever chooses: numbers near -1 to 1, one task at a time."""

import numpy as np

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.policies.choice_scoring import wait_of
from scheduler_sim.engine.workloads.workload import FloatArray


@bare_kernel
def wait_seen(seconds: float) -> float:
    """Return the scaled eighth root of how long something has lasted."""
    return wait_of(seconds) - 1.0


@bare_kernel
def width_seen(cpus: int, processors: int) -> float:
    """Return n of `scoring.task_features`."""
    return float(2.0 * np.log2(max(float(cpus), 1.0)) / np.log2(max(float(processors), 2.0)) - 1.0)


@bare_kernel
def keep_within(seen: FloatArray) -> None:
    """Cut what is seen at -10 and 10, the bounds of every observation."""
    for i in range(len(seen)):
        seen[i] = min(max(seen[i], -10.0), 10.0)
