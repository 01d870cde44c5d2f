"""UNICEP: long waits relative to the estimate win, less so for large tasks."""

import numpy as np

from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order(
    "unicep",
    formula="max w / (r * log2 max(n, 2))",
    source="Tang et al., Fault-aware, utility-based job scheduling on Blue Gene/P systems, CLUSTER 2009",
)
def unicep(context: ScoreContext) -> Scores:
    """Score by -w / (r * log2(max(n, 2))).

    The published formula divides by log2(n), which is 0 for one processor; one processor counts as two.
    """
    slope = 1.0 / (context.positive_estimate * np.log2(np.maximum(context.processors, 2.0)))
    return Scores.by_wait(slope)
