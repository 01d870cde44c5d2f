"""F2: a score learned from simulated queues; estimate by its square root."""

import numpy as np

from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores


def f2(context: ScoreContext) -> Scores:
    """Score by sqrt(r) * n + 25600 * log10(s), with s at least 1 and an estimate of zero as 1 s."""
    return Scores(
        base=np.sqrt(context.positive_estimate) * context.processors + 25600.0 * np.log10(context.submit_time)
    )


ORDERS.register(
    Order(
        name="f2",
        formula="sqrt(r) * n + 25600 * log10(s)",
        source="Carastan-Santos & de Camargo, Obtaining dynamic scheduling policies with simulation and machine "
        "learning, SC 2017",
        scores=f2,
    )
)
