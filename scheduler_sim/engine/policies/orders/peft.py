"""PEFT's optimistic cost rank."""

from scheduler_sim.engine.codes import BY_PLAN
from scheduler_sim.engine.policies.order import ScoreContext, Scores, order
from scheduler_sim.engine.policies.upward import PLAN, is_planned, optimistic_cost, optimistic_costs


@order(
    "peft",
    formula="max optimistic cost",
    source="Arabnejad & Barbosa, IEEE TPDS 2014",
    looks_ahead=True,
    parameters=(PLAN,),
)
def peft(context: ScoreContext) -> Scores:
    """Score by minus the mean optimistic cost; `peft(plan=insertion)` is the published algorithm."""
    rank = -optimistic_cost(context)
    return (
        Scores(base=rank, kind=BY_PLAN, ahead=optimistic_costs(context)) if is_planned(context) else Scores(base=rank)
    )
