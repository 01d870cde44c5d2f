"""HEFT's upward rank."""

from scheduler_sim.engine.codes import BY_PLAN, STATIC
from scheduler_sim.engine.policies.order import ScoreContext, Scores, order
from scheduler_sim.engine.policies.upward import PLAN, is_planned, upward_rank


@order(
    "heft", formula="max upward rank", source="Topcuoglu et al., IEEE TPDS 2002", looks_ahead=True, parameters=(PLAN,)
)
def heft(context: ScoreContext) -> Scores:
    """Score by minus the upward rank; `heft(plan=insertion)` is the published algorithm."""
    return Scores(base=-upward_rank(context), kind=BY_PLAN if is_planned(context) else STATIC)
