"""Longest job first."""

from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores


def ljf(context: ScoreContext) -> Scores:
    """Score by the negative duration estimate."""
    return Scores(base=-context.estimate)


ORDERS.register(Order(name="ljf", formula="-r", source="classic", scores=ljf))
