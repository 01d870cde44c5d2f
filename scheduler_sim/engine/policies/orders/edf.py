"""Earliest deadline first."""

import numpy as np

from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order("edf", formula="deadline", source="Jackson, 1955; classic", uses_estimates=False)
def edf(context: ScoreContext) -> Scores:
    """Score by the deadline; tasks without one come last."""
    deadline = context.workload.deadline_time
    return Scores(base=np.where(np.isnan(deadline), np.inf, deadline))
