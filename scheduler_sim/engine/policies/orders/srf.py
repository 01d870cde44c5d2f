"""Smallest ratio of estimate to processors first."""

from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order("srf", formula="r / n", source="Carastan-Santos et al., CCGrid 2019")
def srf(context: ScoreContext) -> Scores:
    """Score by estimate divided by processors."""
    return Scores(base=context.estimate / context.processors)
