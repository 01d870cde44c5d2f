"""PEFT's optimistic cost rank."""

from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores
from scheduler_sim.engine.policies.upward import optimistic_cost


def peft(context: ScoreContext) -> Scores:
    """Score by minus the optimistic cost; `peft+list@eft` adds the choice of the earliest finish."""
    return Scores(base=-optimistic_cost(context))


ORDERS.register(
    Order(
        name="peft",
        formula="max optimistic cost",
        source="Arabnejad & Barbosa, IEEE TPDS 2014",
        scores=peft,
        looks_ahead=True,
    )
)
