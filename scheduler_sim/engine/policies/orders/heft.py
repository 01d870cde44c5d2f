"""HEFT's upward rank."""

from scheduler_sim.engine.policies.order import ScoreContext, Scores, order
from scheduler_sim.engine.policies.upward import upward_rank


@order("heft", formula="max upward rank", source="Topcuoglu et al., IEEE TPDS 2002", looks_ahead=True)
def heft(context: ScoreContext) -> Scores:
    """Score by minus the upward rank; `heft+list@eft` adds the choice of the earliest finish."""
    return Scores(base=-upward_rank(context))
