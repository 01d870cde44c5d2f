"""F1 to F4: scores that were fitted to simulated queues; s is at least 1, and an estimate of zero counts as 1 s."""

import numpy as np

from scheduler_sim.engine.policies.order import ScoreContext, Scores, order

SOURCE = (
    "Carastan-Santos & de Camargo, Obtaining dynamic scheduling policies with simulation and machine learning, SC 2017"
)


@order("f1", formula="log10(r) * n + 870 * log10(s)", source=SOURCE)
def f1(context: ScoreContext) -> Scores:
    """Score by the estimate's logarithm times processors."""
    return Scores(base=np.log10(context.positive_estimate) * context.processors + 870.0 * np.log10(context.submit_time))


@order("f2", formula="sqrt(r) * n + 25600 * log10(s)", source=SOURCE)
def f2(context: ScoreContext) -> Scores:
    """Score by the estimate's square root times processors."""
    area = np.sqrt(context.positive_estimate) * context.processors
    return Scores(base=area + 25600.0 * np.log10(context.submit_time))


@order("f3", formula="r * n + 6.86e6 * log10(s)", source=SOURCE)
def f3(context: ScoreContext) -> Scores:
    """Score by the area."""
    return Scores(base=context.positive_estimate * context.processors + 6.86e6 * np.log10(context.submit_time))


@order("f4", formula="r * sqrt(n) + 5.3e5 * log10(s)", source=SOURCE)
def f4(context: ScoreContext) -> Scores:
    """Score by the estimate times the square root of processors."""
    return Scores(base=context.positive_estimate * np.sqrt(context.processors) + 5.3e5 * np.log10(context.submit_time))
