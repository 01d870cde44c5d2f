"""The digest of a workload's tasks."""

from dataclasses import fields

import numpy as np

from scheduler_sim import engine
from scheduler_sim.columnar.digests import columns_digest
from scheduler_sim.engine.workload import Labels, Parents


def tasks_digest(tasks: engine.Workload) -> str:
    """Return the SHA-256 of all that is stored of tasks, in canonical order; no primary keys."""
    columns: dict[str, np.ndarray] = {}
    for field in fields(tasks):
        values = getattr(tasks, field.name)
        if isinstance(values, Labels):
            columns |= {f"{field.name}.names": np.array([*values.names], object), field.name: values.codes}
        elif isinstance(values, Parents):
            columns |= {f"{field.name}.offsets": values.offsets, field.name: values.rows}
        else:
            columns[field.name] = values
    # What stands in for an estimate is not stored.
    columns["duration_estimate"] = np.where(tasks.estimate_known, tasks.duration_estimate, np.nan)
    return columns_digest(columns)
