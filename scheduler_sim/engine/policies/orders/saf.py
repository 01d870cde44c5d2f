"""Smallest area first."""

from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order("saf", formula="r * n", source="Carastan-Santos et al., CCGrid 2019")
def saf(context: ScoreContext) -> Scores:
    """Score by estimate times processors."""
    return Scores(base=context.estimate * context.processors)
