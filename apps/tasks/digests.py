"""The digest of a workload's tasks."""

import json
from dataclasses import fields
from typing import Any

import numpy as np

from scheduler_sim import engine
from scheduler_sim.columnar.digests import columns_digest
from scheduler_sim.engine.workloads.requests import LATER
from scheduler_sim.engine.workloads.workload import Labels, Parents, Requests


def tasks_digest(tasks: engine.Workload) -> str:
    """Return the SHA-256 of all that is stored of tasks, in canonical order; no primary keys.

    What tasks ask of a site is part of it where they ask for something, and so are rates on kinds of GPU.
    """
    named: dict[str, Any] = {field.name: getattr(tasks, field.name) for field in fields(tasks)}
    requests: Requests | None = named.pop("requests")
    throughputs = named.pop("throughputs")
    if throughputs is not None:
        named["throughputs"] = np.array([json.dumps(throughputs.as_json())], object)
    if requests is not None:
        stated = requests.stated()
        # Workloads of tasks of one width keep the digests that they had before there were others.
        named |= {
            f"requests.{name}": values
            for name, values in requests.columns().items()
            if name in stated or name not in LATER
        }
    columns: dict[str, np.ndarray] = {}
    for name, values in named.items():
        if isinstance(values, Labels):
            columns |= {f"{name}.names": np.array([*values.names], object), name: values.codes}
        elif isinstance(values, Parents):
            columns |= {f"{name}.offsets": values.offsets, name: values.rows}
            if values.mb is not None:
                columns[f"{name}.mb"] = values.mb
        else:
            columns[name] = values
    # What stands in for an estimate is not stored.
    columns["duration_estimate"] = np.where(tasks.estimate_known, tasks.duration_estimate, np.nan)
    return columns_digest(columns)
