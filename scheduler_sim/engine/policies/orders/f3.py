"""F3: a score learned from simulated queues; area against submit time."""

import numpy as np

from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores


def f3(context: ScoreContext) -> Scores:
    """Score by r * n + 6.86e6 * log10(s), with s at least 1 and an estimate of zero as 1 s."""
    return Scores(base=context.positive_estimate * context.processors + 6.86e6 * np.log10(context.submit_time))


ORDERS.register(
    Order(
        name="f3",
        formula="r * n + 6.86e6 * log10(s)",
        source="Carastan-Santos & de Camargo, Obtaining dynamic scheduling policies with simulation and machine "
        "learning, SC 2017",
        scores=f3,
    )
)
