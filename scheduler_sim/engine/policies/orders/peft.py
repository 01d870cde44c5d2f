"""PEFT's optimistic cost rank."""

from scheduler_sim.engine.policies.order import ScoreContext, Scores, order
from scheduler_sim.engine.policies.upward import optimistic_cost


@order("peft", formula="max optimistic cost", source="Arabnejad & Barbosa, IEEE TPDS 2014", looks_ahead=True)
def peft(context: ScoreContext) -> Scores:
    """Score by minus the optimistic cost; `peft+list@eft` adds the choice of the earliest finish."""
    return Scores(base=-optimistic_cost(context))
