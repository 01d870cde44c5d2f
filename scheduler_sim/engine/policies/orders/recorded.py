"""The schedule that the trace recorded."""

import numpy as np

from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order("recorded", formula="recorded start", source="the trace itself", clairvoyant=True, uses_estimates=False)
def recorded(context: ScoreContext) -> Scores:
    """Offer each task at its recorded start, the earliest recorded first.

    Raises:
        InvalidPolicy: tasks whose start the trace did not record.
    """
    start = context.workload.recorded_start_time
    unknown = np.flatnonzero(np.isnan(start))
    if len(unknown):
        raise InvalidPolicy(
            f"recorded replays the starts of the trace, and {len(unknown)} of {len(start)} tasks have none "
            f"(first task_id {context.workload.task_id[unknown[0]]})."
        )
    return Scores(base=start, not_before=start)
