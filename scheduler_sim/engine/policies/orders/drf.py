"""Dominant resource fairness."""

from scheduler_sim.engine.codes import DRF
from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order(
    "drf",
    formula="dominant share of the user",
    source="Ghodsi et al., Dominant resource fairness, NSDI 2011",
    uses_estimates=False,
)
def drf(context: ScoreContext) -> Scores:
    """Serve the user whose largest share of cores, GPUs or memory is smallest, again after each start."""
    return Scores.by_rule(DRF, context)
