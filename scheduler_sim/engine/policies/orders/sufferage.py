"""The task that would suffer most, first."""

import numpy as np

from scheduler_sim.engine.codes import SUFFERAGE
from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores


def sufferage(context: ScoreContext) -> Scores:
    """Choose the ready task with the largest gap between second best and best completion, again after each choice."""
    return Scores(base=np.zeros(len(context.workload)), kind=SUFFERAGE)


ORDERS.register(
    Order(
        name="sufferage",
        formula="max second best - best completion time",
        source="Maheswaran et al., J. Parallel Distrib. Comput. 1999",
        scores=sufferage,
    )
)
