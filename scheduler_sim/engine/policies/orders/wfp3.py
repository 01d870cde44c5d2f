"""WFP3: long waits relative to the estimate win, more so for large tasks."""

import numpy as np

from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order(
    "wfp3",
    formula="max (w / r)^3 * n",
    source="Tang et al., Fault-aware, utility-based job scheduling on Blue Gene/P systems, CLUSTER 2009",
)
def wfp3(context: ScoreContext) -> Scores:
    """Score by -(w / r) * cbrt(n), which ranks as -(w / r)^3 * n does.

    The cube root is strictly increasing, so the ranking is that of the published score while the score
    itself stays linear in the wait.
    """
    slope = np.cbrt(context.processors) / context.positive_estimate
    return Scores.by_wait(slope)
