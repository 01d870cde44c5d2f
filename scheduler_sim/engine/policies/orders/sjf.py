"""Shortest job first."""

from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order("sjf", formula="r", source="classic")
def sjf(context: ScoreContext) -> Scores:
    """Score by the duration estimate."""
    return Scores(base=context.estimate)
