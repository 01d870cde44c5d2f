"""The instants of a schedule at which something happens."""

import numpy as np

from scheduler_sim.engine.instant.standing import Schedule
from scheduler_sim.engine.workloads.workload import FloatArray


def happened(schedule: Schedule) -> FloatArray:
    """Return when tasks arrive, are ready, start, stop or end, seconds, in no order and some more than once.

    Of a schedule that is known from some instant on, those before it are not all.
    """
    outcome, attempts = schedule.outcome, schedule.attempts
    several = (attempts.start_time, attempts.end_time)
    return np.concatenate(
        (schedule.workload.arrival_time, outcome.ready_time, outcome.start_time, outcome.finish_time, *several)
    )


def event_times(schedule: Schedule) -> FloatArray:
    """Return the same, ascending and each once."""
    return np.unique(happened(schedule))
