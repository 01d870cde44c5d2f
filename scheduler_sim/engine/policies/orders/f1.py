"""F1: a score learned from simulated queues; estimate by its logarithm."""

import numpy as np

from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores


def f1(context: ScoreContext) -> Scores:
    """Score by log10(r) * n + 870 * log10(s), with s at least 1 and an estimate of zero as 1 s."""
    return Scores(base=np.log10(context.positive_estimate) * context.processors + 870.0 * np.log10(context.submit_time))


ORDERS.register(
    Order(
        name="f1",
        formula="log10(r) * n + 870 * log10(s)",
        source="Carastan-Santos & de Camargo, Obtaining dynamic scheduling policies with simulation and machine "
        "learning, SC 2017",
        scores=f1,
    )
)
