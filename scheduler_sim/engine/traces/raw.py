"""What a reader hands over: columns as a file holds them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Labels

RawRequests = Mapping[str, FloatArray | Labels]
"""Columns of `Requests` that a file has, shape (n,): texts as labels, all others floats in which NaN is not stated.

A flag is 1 or 0. Times are seconds on the clock of the arrivals.
"""


@dataclass
class RawTasks:
    """Columns as a format holds them, one value a task, in the order of the file.

    Attributes:
        where: line (or row) numbers from 1, for messages.
        arrival_time, runtime: seconds; needed.
        task_id: the trace's numbers; None where it has none, and the tasks are numbered from 1 by
            arrival, external_id and content, so that the order of the lines does not matter.
        id_text: the identifiers as the trace writes them, where some are no numbers or lie beyond 2**53.
        cpus, gpus: held resources; a task needs one of them above 0.
        dependencies: for each task its parents: numbers, or identifiers as `id_text` holds them.
        dependency_mb: MB that each of these sends, in their order; an empty list where nothing is sent.
        incomplete: tasks may depend on some that the trace leaves out; else those are refused.
        recorded_end_time: when the trace says it ended, NaN where unknown; compared with the run time.
        requests: what tasks ask of a site, by column of `Requests`, those that the file has (see `RawRequests`). Cores,
            GPUs and memory that are not known are taken from it.

    The others are as in `Workload`.
    """

    where: IntArray
    arrival_time: FloatArray
    runtime: FloatArray
    task_id: FloatArray | None = None
    duration_estimate: FloatArray | None = None
    size: FloatArray | None = None
    compute_intensity: FloatArray | None = None
    memory_mb: FloatArray | None = None
    cpus: FloatArray | None = None
    gpus: FloatArray | None = None
    gpu_type: Labels | None = None
    user: Labels | None = None
    group: Labels | None = None
    queue: Labels | None = None
    hybrid: BoolArray | None = None
    deadline_time: FloatArray | None = None
    predicted_duration: FloatArray | None = None
    recorded_start_time: FloatArray | None = None
    external_id: npt.NDArray[np.object_] | None = None
    dependencies: Sequence[Sequence[int | str]] | None = None
    dependency_mb: Sequence[Sequence[float]] | None = None
    incomplete: bool = False
    id_text: npt.NDArray[np.object_] | None = None
    recorded_end_time: FloatArray | None = None
    requests: RawRequests | None = None

    def __len__(self) -> int:
        return len(self.where)

    def keep(self, kept: BoolArray) -> "RawTasks":
        """Drop the rows for which `kept` does not hold, a column at a time, and return these tasks."""
        if kept.all():
            return self
        rows = np.flatnonzero(kept)
        for field in fields(self):
            column = getattr(self, field.name)
            if isinstance(column, Labels):
                setattr(self, field.name, column.take(rows))
            elif isinstance(column, np.ndarray):
                setattr(self, field.name, column[rows])
            elif field.name == "requests" and column is not None:
                self.requests = {
                    name: values.take(rows) if isinstance(values, Labels) else values[rows]
                    for name, values in column.items()
                }
            elif column is not None and not isinstance(column, bool):
                setattr(self, field.name, [column[row] for row in rows.tolist()])
        return self
