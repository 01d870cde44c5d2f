"""Predicts the best GPU fraction of a task from what is known when it arrives."""

import numpy as np

from scheduler_sim.engine.learning.regression import Predict, fit, load
from scheduler_sim.engine.policies.placement import FIRST_FIT, ChoiceContext, Choices, Placement
from scheduler_sim.engine.workload import FloatArray

FEATURES = ("size", "compute_intensity", "memory_mb", "memory_per_size", "compute_to_memory")
"""Names and order of the features; they are also the columns of stored training data."""


def hybrid_features(*, size: FloatArray, compute_intensity: FloatArray, memory_mb: FloatArray) -> dict[str, FloatArray]:
    """Return the features of n tasks by name, shape (n,) each: the one home of these formulas, training and serving.

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


def feature_matrix(columns: dict[str, FloatArray]) -> FloatArray:
    """Return named features as a matrix, shape (n, 5), in the order of `FEATURES`."""
    return np.column_stack([columns[name] for name in FEATURES])


def fit_fraction(algorithm: str, columns: dict[str, FloatArray], fraction: FloatArray, *, seed: int) -> str:
    """Fit a regressor of the best fraction and return it as text.

    Args:
        columns: the features by name.
        fraction: shape (n,), the oracle's choices.
    """
    options = {"objective": "l1"} if algorithm == "lightgbm" else None
    return fit(algorithm, feature_matrix(columns), fraction, seed=seed, options=options)


def predict_fraction(predict: Predict, columns: dict[str, FloatArray]) -> FloatArray:
    """Return predicted fractions within 0..1; all tasks at once."""
    return np.clip(predict(feature_matrix(columns)), 0.0, 1.0)


def hybrid_placement(text: str, *, name: str = "hybrid_ml", model_version: int | None = None) -> Placement:
    """Return the placement that takes the fractions a stored regressor predicts."""

    def choices(context: ChoiceContext) -> Choices:
        workload = context.workload
        columns = hybrid_features(
            size=workload.size, compute_intensity=workload.compute_intensity, memory_mb=workload.memory_mb
        )
        return Choices(fraction=predict_fraction(load(text), columns))

    return Placement(
        name=name,
        code=FIRST_FIT,
        rule="Split tasks take the gpu_fraction that a trained model predicts.",
        source="gradient boosting: Ke et al., LightGBM, NIPS 2017",
        choices=choices,
        model_version=model_version,
    )
