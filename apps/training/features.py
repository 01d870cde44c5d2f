"""What a learned placement sees of a task: the one home of these formulas."""

import numpy as np

from scheduler_sim.engine.workload import FloatArray

FEATURES = ("size", "compute_intensity", "memory_mb", "memory_per_size", "compute_to_memory")
"""Names and order of the features, as columns of `TrainingData`."""


def task_features(*, size: FloatArray, compute_intensity: FloatArray, memory_mb: FloatArray) -> dict[str, FloatArray]:
    """Return the features of n tasks by name, shape (n,) each.

    `memory_per_size` = memory_mb / size and `compute_to_memory` = compute_intensity / memory_mb, both 0 where they
    would divide by 0.
    """
    return {
        "size": size,
        "compute_intensity": compute_intensity,
        "memory_mb": memory_mb,
        "memory_per_size": np.divide(memory_mb, size, out=np.zeros_like(size), where=size > 0),
        "compute_to_memory": np.divide(compute_intensity, memory_mb, out=np.zeros_like(memory_mb), where=memory_mb > 0),
    }
