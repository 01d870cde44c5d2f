"""HEFT's upward rank."""

from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores
from scheduler_sim.engine.policies.upward import upward_rank


def heft(context: ScoreContext) -> Scores:
    """Score by minus the upward rank; `heft+list@eft` adds the choice of the earliest finish."""
    return Scores(base=-upward_rank(context))


ORDERS.register(
    Order(
        name="heft",
        formula="max upward rank",
        source="Topcuoglu et al., IEEE TPDS 2002",
        scores=heft,
        looks_ahead=True,
    )
)
