"""The task that can complete first, first."""

from scheduler_sim.engine.codes import MIN_MIN
from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order("min_min", formula="best completion time", source="Ibarra & Kim, J. ACM 1977")
def min_min(context: ScoreContext) -> Scores:
    """Choose the ready task with the smallest best completion time, again after each choice."""
    return Scores.by_rule(MIN_MIN, context)
