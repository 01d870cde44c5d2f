"""A workload of which no run time is told before it is predicted (see `kernels.predicting`)."""

from dataclasses import replace

import numpy as np

from scheduler_sim.engine.workloads.estimates import told_to_all
from scheduler_sim.engine.workloads.workload import Workload

UNTOLD = 1.0
"""Stands where a task that has not arrived has no estimate; nothing looks at it."""


def untold(workload: Workload) -> Workload:
    """Return the workload before any of its run times is predicted, with arrays of its own to write them to."""
    columns = (np.full(len(workload), UNTOLD) for _ in range(2))
    return replace(told_to_all(workload, next(columns)), predicted_duration=next(columns))
