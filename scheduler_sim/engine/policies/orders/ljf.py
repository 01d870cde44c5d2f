"""Longest job first."""

from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order("ljf", formula="-r", source="classic")
def ljf(context: ScoreContext) -> Scores:
    """Score by the negative duration estimate."""
    return Scores(base=-context.estimate)
