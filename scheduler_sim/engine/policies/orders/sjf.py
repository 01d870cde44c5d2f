"""Shortest job first."""

from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores


def sjf(context: ScoreContext) -> Scores:
    """Score by the duration estimate."""
    return Scores(base=context.estimate)


ORDERS.register(Order(name="sjf", formula="r", source="classic", scores=sjf))
