"""Dominant resource fairness."""

import numpy as np

from scheduler_sim.engine.codes import DRF
from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores


def drf(context: ScoreContext) -> Scores:
    """Serve the user whose largest share of cores, GPUs or memory is smallest, again after each start."""
    return Scores(base=np.zeros(len(context.workload)), kind=DRF)


ORDERS.register(
    Order(
        name="drf",
        formula="dominant share of the user",
        source="Ghodsi et al., Dominant resource fairness, NSDI 2011",
        scores=drf,
        uses_estimates=False,
    )
)
