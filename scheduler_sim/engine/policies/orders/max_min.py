"""The task whose best completion is last, first."""

import numpy as np

from scheduler_sim.engine.codes import MAX_MIN
from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores


def max_min(context: ScoreContext) -> Scores:
    """Choose the ready task with the largest best completion time, again after each choice."""
    return Scores(base=np.zeros(len(context.workload)), kind=MAX_MIN)


ORDERS.register(
    Order(
        name="max_min",
        formula="max best completion time",
        source="Ibarra & Kim, J. ACM 1977",
        scores=max_min,
    )
)
