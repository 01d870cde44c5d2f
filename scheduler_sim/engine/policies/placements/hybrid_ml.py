"""The predicted GPU fraction, of a stored regressor or of the one that comes with the engine."""

from dataclasses import replace
from functools import partial

from scheduler_sim.engine.codes import FIRST_FIT, PREDICTED
from scheduler_sim.engine.policies.placement import PLACEMENTS, ChoiceContext, Choices, Placement, placement
from scheduler_sim.engine.predictors.hybrid import hybrid_features, predict_fraction, shipped_model
from scheduler_sim.engine.predictors.regression import load


def hybrid_placement(text: str, *, model_version: int | None = None) -> Placement:
    """Return the placement that splits tasks as a stored regressor predicts, instead of the one of the engine."""
    return replace(PLACEMENTS["hybrid_ml"], choices=partial(predicted, text=text), model_version=model_version)


@placement(
    "hybrid_ml",
    FIRST_FIT,
    rule="The node, and of the predicted gpu_fraction, 0 and 1 the one, with the earliest expected finish.",
    source="gradient boosting: Ke et al., LightGBM, NIPS 2017",
    planned=PREDICTED,
    uses_estimates=True,
)
def predicted(context: ChoiceContext, *, text: str | None = None) -> Choices:
    """Take the fraction that a regressor predicts; without its `text`, the one that comes with the engine.

    A task takes the node and whichever of the predicted fraction, cores alone and GPU alone is expected to finish
    first, as `oracle` does with the exact fraction and the true times.
    """
    workload = context.workload
    columns = hybrid_features(
        size=workload.expected_size, compute_intensity=workload.compute_intensity, memory_mb=workload.memory_mb
    )
    if not workload.hybrid.any():
        return Choices(fraction=workload.compute_intensity)
    return Choices(fraction=predict_fraction(load(text or shipped_model()), columns))
