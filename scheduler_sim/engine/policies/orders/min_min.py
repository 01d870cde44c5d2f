"""The task that can complete first, first."""

import numpy as np

from scheduler_sim.engine.codes import MIN_MIN
from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores


def min_min(context: ScoreContext) -> Scores:
    """Choose the ready task with the smallest best completion time, again after each choice."""
    return Scores(base=np.zeros(len(context.workload)), kind=MIN_MIN)


ORDERS.register(
    Order(
        name="min_min",
        formula="best completion time",
        source="Ibarra & Kim, J. ACM 1977",
        scores=min_min,
    )
)
