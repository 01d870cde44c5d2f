"""Smallest area first."""

from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores


def saf(context: ScoreContext) -> Scores:
    """Score by estimate times processors."""
    return Scores(base=context.estimate * context.processors)


ORDERS.register(Order(name="saf", formula="r * n", source="Carastan-Santos et al., CCGrid 2019", scores=saf))
