"""What a class that decides may look at."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


class State:
    """The cluster and its tasks at one instant, as a scheduler knows them. All arrays are read-only.

    What is told of tasks has shape (n,), by row, n being all that ever come; rows of tasks that have not arrived hold
    NaN, empty texts, or -1 as `task_id`.

    Attributes:
        time: seconds.
        queue: rows that are ready and wait, by arrival. running: rows that run, by their start.
        task_id: the workload's own numbers.
        arrival_time, ready_time, estimate: seconds; `estimate` is what the duration is estimated to be.
        cpus, gpus, memory_mb: what each asks for.
        user, group, partition: texts.
        start_time: NaN of those that have not started. expected_end_time: start and estimate by the node's speed; NaN
            of those that do not run. node: -1 of those that have not started.
        free_cores, free_gpus, free_memory_mb: shape (nodes,); memory is infinite where a node does not limit it.
        runtime: seconds on a device of speed 1; only for clairvoyant policies, for others NaN.
    """

    time: float
    queue: IntArray
    running: IntArray
    task_id: IntArray
    arrival_time: FloatArray
    ready_time: FloatArray
    estimate: FloatArray
    cpus: FloatArray
    gpus: FloatArray
    memory_mb: FloatArray
    user: npt.NDArray[np.object_]
    group: npt.NDArray[np.object_]
    partition: npt.NDArray[np.object_]
    start_time: FloatArray
    expected_end_time: FloatArray
    node: IntArray
    free_cores: FloatArray
    free_gpus: FloatArray
    free_memory_mb: FloatArray
    runtime: FloatArray

    def __init__(
        self,
        arrays: dict[str, npt.NDArray[Any]],
        fits: Callable[[int], IntArray],
        admitting: Callable[[int], IntArray],
    ) -> None:
        """Show arrays that the kernel changes as time goes on, and where tasks can start now, and ever."""
        for name, array in arrays.items():
            shown = array.view()
            shown.flags.writeable = False
            setattr(self, name, shown)
        self._fits, self._admitting = fits, admitting

    def wait_time(self, row: int) -> float:
        """Return for how many seconds a task has been ready."""
        return float(self.time - self.ready_time[row])

    def fits(self, row: int) -> IntArray:
        """Return the numbers of the nodes on which a task could start now, ascending."""
        return self._fits(row)

    def admitting(self, row: int) -> IntArray:
        """Return the numbers of the nodes whose GPUs a task may use, all where it asks for none, ascending."""
        return self._admitting(row)

    def when(self) -> str:
        """Return the instant, and whom it is about, for a sentence."""
        first = f", first task {self.task_id[self.queue[0]]}" if len(self.queue) else ""
        return f"at {self.time:,.15g} s, asked about {len(self.queue):,} waiting tasks{first}"
