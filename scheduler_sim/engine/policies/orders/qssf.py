"""Quasi-shortest service first."""

import numpy as np

from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order(
    "qssf",
    formula="predicted duration * n",
    source="Hu et al., Characterization and prediction of deep learning workloads, SC 2021",
)
def qssf(context: ScoreContext) -> Scores:
    """Score by predicted duration times GPUs; the estimate stands in for a missing prediction, cores for no GPUs."""
    predicted = context.workload.predicted_duration
    duration = np.where(np.isnan(predicted), context.estimate, predicted)
    return Scores(base=duration * context.processors)
