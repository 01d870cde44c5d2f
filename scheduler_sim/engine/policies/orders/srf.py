"""Smallest ratio of estimate to processors first."""

from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores


def srf(context: ScoreContext) -> Scores:
    """Score by estimate divided by processors."""
    return Scores(base=context.estimate / context.processors)


ORDERS.register(Order(name="srf", formula="r / n", source="Carastan-Santos et al., CCGrid 2019", scores=srf))
