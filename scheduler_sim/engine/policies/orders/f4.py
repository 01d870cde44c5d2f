"""F4: a score learned from simulated queues; processors by their square root."""

import numpy as np

from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores


def f4(context: ScoreContext) -> Scores:
    """Score by r * sqrt(n) + 5.3e5 * log10(s), with s at least 1 and an estimate of zero as 1 s."""
    return Scores(base=context.positive_estimate * np.sqrt(context.processors) + 5.3e5 * np.log10(context.submit_time))


ORDERS.register(
    Order(
        name="f4",
        formula="r * sqrt(n) + 5.3e5 * log10(s)",
        source="Carastan-Santos & de Camargo, Obtaining dynamic scheduling policies with simulation and machine "
        "learning, SC 2017",
        scores=f4,
    )
)
