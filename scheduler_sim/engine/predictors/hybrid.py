"""Predicts the best GPU fraction of a task from what is known when it arrives."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.formulas import even_fraction, hybrid_alone
from scheduler_sim.engine.predictors.regression import Predict, fit
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

FEATURES = ("size", "compute_intensity", "memory_mb", "memory_per_size", "compute_to_memory")
"""Names and order of the features; they are also the columns of stored training data."""


def hybrid_features(*, size: FloatArray, compute_intensity: FloatArray, memory_mb: FloatArray) -> dict[str, FloatArray]:
    """Return the features of n tasks by name, shape (n,) each: the one home of these formulas, training and serving.

    `memory_per_size` = memory_mb / size and `compute_to_memory` = compute_intensity / memory_mb, both 0 where they
    would divide by 0.

    Args:
        size: as known at arrival (`Workload.expected_size`), 0 where it is not.
        compute_intensity, memory_mb: as in `Workload`.
    """
    return {
        "size": size,
        "compute_intensity": compute_intensity,
        "memory_mb": memory_mb,
        "memory_per_size": np.divide(memory_mb, size, out=np.zeros_like(size), where=size > 0),
        "compute_to_memory": np.divide(compute_intensity, memory_mb, out=np.zeros_like(memory_mb), where=memory_mb > 0),
    }


def best_fractions(
    workload: Workload, cluster: Cluster, *, split_model: str = "concurrent"
) -> tuple[FloatArray, FloatArray]:
    """Return the oracle's labels: the fraction with which each task is quickest on free devices, and that time.

    With t0 on cores alone and t1 on the GPU alone, concurrent sides end together at f = t0 / (t0 + t1); one after the
    other, the quicker device alone is best. Devices are those of the cluster's first group that has GPUs.

    Returns:
        Shape (n,) each; fractions 0..1 and seconds, by the true run times.
    """
    group = next((number for number, group in enumerate(cluster.groups) if group.gpus > 0), 0)
    rows = np.arange(len(workload))
    groups = np.full(len(workload), group)
    alone, offloaded = hybrid_alone(workload, rows, workload.runtime, cluster, groups)
    if split_model == "sequential":
        return (offloaded < alone).astype(np.float64), np.minimum(alone, offloaded)
    fraction = even_fraction(alone, offloaded)
    return fraction, fraction * offloaded


def feature_matrix(columns: dict[str, FloatArray]) -> FloatArray:
    """Return named features as a matrix, shape (n, 5), in the order of `FEATURES`."""
    return np.column_stack([columns[name] for name in FEATURES])


def fit_fraction(algorithm: str, columns: dict[str, FloatArray], fraction: FloatArray, *, seed: int) -> str:
    """Fit a regressor of the best fraction and return it as text.

    Args:
        columns: the features by name.
        fraction: shape (n,), the oracle's choices.
    """
    options = {"rounds": 80, "num_leaves": 12, "learning_rate": 0.2} if algorithm == "lightgbm" else None
    return fit(algorithm, feature_matrix(columns), fraction, seed=seed, options=options)


def predict_fraction(predict: Predict, columns: dict[str, FloatArray]) -> FloatArray:
    """Return predicted fractions within 0..1; all tasks at once."""
    return np.clip(predict(feature_matrix(columns)), 0.0, 1.0)


SHIPPED = Path(__file__).parent / "weights" / "hybrid_ml.txt"
"""The regressor behind the ready-made `hybrid_ml` where none has been trained: on the generator `mixed`."""


@lru_cache
def shipped_model() -> str:
    """Read the model that comes with the engine."""
    return SHIPPED.read_text()
