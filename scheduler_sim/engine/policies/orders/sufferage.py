"""The task that would suffer most, first."""

from scheduler_sim.engine.codes import SUFFERAGE
from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order(
    "sufferage",
    formula="max second best - best completion time",
    source="Maheswaran et al., J. Parallel Distrib. Comput. 1999",
)
def sufferage(context: ScoreContext) -> Scores:
    """Choose the ready task with the largest gap between second best and best completion, again after each choice."""
    return Scores.by_rule(SUFFERAGE, context)
