"""The predicted GPU fraction, of a stored regressor or of the one that comes with the engine."""

from scheduler_sim.engine.codes import FIRST_FIT, PREDICTED
from scheduler_sim.engine.policies.placement import PLACEMENTS, ChoiceContext, Choices, Placement
from scheduler_sim.engine.predictors.hybrid import hybrid_features, predict_fraction, shipped_model
from scheduler_sim.engine.predictors.regression import load


def hybrid_placement(text: str | None = None, *, model_version: int | None = None) -> Placement:
    """Return the placement that splits tasks as a stored regressor predicts.

    A task takes the node and whichever of the predicted fraction, cores alone and GPU alone is expected to finish
    first, as `oracle` does with the exact fraction and the true times.

    Args:
        text: the regressor; by default the one that comes with the engine, read when a run first needs it.
        model_version: of a stored model.
    """

    def choices(context: ChoiceContext) -> Choices:
        workload = context.workload
        columns = hybrid_features(
            size=workload.expected_size, compute_intensity=workload.compute_intensity, memory_mb=workload.memory_mb
        )
        if not workload.hybrid.any():
            return Choices(fraction=workload.compute_intensity)
        return Choices(fraction=predict_fraction(load(text or shipped_model()), columns))

    return Placement(
        name="hybrid_ml",
        code=FIRST_FIT,
        rule="The node, and of the predicted gpu_fraction, 0 and 1 the one, with the earliest expected finish.",
        source="gradient boosting: Ke et al., LightGBM, NIPS 2017",
        choices=choices,
        planned=PREDICTED,
        uses_estimates=True,
        model_version=model_version,
    )


PLACEMENTS.register(hybrid_placement())
