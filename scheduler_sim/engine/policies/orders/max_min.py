"""The task whose best completion is last, first."""

from scheduler_sim.engine.codes import MAX_MIN
from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order("max_min", formula="max best completion time", source="Ibarra & Kim, J. ACM 1977")
def max_min(context: ScoreContext) -> Scores:
    """Choose the ready task with the largest best completion time, again after each choice."""
    return Scores.by_rule(MAX_MIN, context)
