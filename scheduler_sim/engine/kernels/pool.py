"""One pool of processors playing rigid tasks without dependencies."""

import numpy as np

from scheduler_sim.engine.cluster import Cluster
from scheduler_sim.engine.errors import InvalidWorkload
from scheduler_sim.engine.kernels.plain import advance_plain
from scheduler_sim.engine.kernels.state import ARRIVED, FIELDS, FINISHED, FREE, QUEUED, RUNNING, UNSORTED
from scheduler_sim.engine.policies import Policy, Scores
from scheduler_sim.engine.simulation import Options, Outcome
from scheduler_sim.engine.workload import Workload


class PoolKernel:
    """The event loop of a pool; picks the queue structure that suits the order and the backfill.

    Raises:
        InvalidWorkload: tasks that need GPUs, fractions of a processor, parents, or more processors than there are.
    """

    def __init__(
        self, *, workload: Workload, cluster: Cluster, policy: Policy, scores: Scores, options: Options
    ) -> None:
        _check(workload, cluster)
        n = len(workload)
        speed = cluster.groups[0].cpu_speed
        self._arrival = workload.arrival_time
        self._expected = workload.duration_estimate / speed
        self._duration = workload.runtime / speed
        if options.kill_at_estimate:
            self._duration = np.minimum(self._duration, self._expected)
        self._cpus = workload.cpus.astype(np.int64)
        self._backfill = policy.backfill.code
        self._scores = scores
        self._counts = np.zeros(FIELDS, np.int64)
        self._counts[FREE] = cluster.cores
        self._clock = np.array([workload.arrival_time[0] if n else 0.0])
        self._start = np.full(n, np.nan)
        self._finish = np.full(n, np.nan)
        self._order = np.zeros(n, np.int64)
        most_running = min(n, cluster.cores)
        self._end_times = np.zeros(most_running)
        self._end_rows = np.zeros(most_running, np.int64)
        self._queue = np.zeros(n, np.int64)
        self._slope = np.zeros(n) if scores.slope is None else scores.slope

    @property
    def clock(self) -> float:
        """The simulated time up to which all events are applied."""
        return float(self._clock[0])

    @property
    def finished(self) -> int:
        """How many tasks have finished."""
        return int(self._counts[FINISHED])

    @property
    def queued(self) -> int:
        """How many tasks have arrived and not started."""
        return int(self._counts[QUEUED])

    @property
    def running(self) -> int:
        """How many tasks have started and not finished."""
        return int(self._counts[RUNNING])

    def advance(self, *, until_time: float, max_events: int) -> None:
        """Apply whole instants up to and including `until_time`, and stop after at least `max_events` events."""
        advance_plain(
            self._backfill,
            self._counts,
            self._clock,
            self._arrival,
            self._duration,
            self._expected,
            self._cpus,
            self._scores.base,
            self._slope,
            self._start,
            self._finish,
            self._order,
            self._end_times,
            self._end_rows,
            self._queue,
            until_time,
            max_events,
        )
        if self._counts[UNSORTED]:
            finished = self._order[: self.finished]
            finished[:] = finished[np.lexsort((finished, self._finish[finished]))]
            self._counts[UNSORTED] = 0
        upcoming = self._arrival[self._counts[ARRIVED]] if self._counts[ARRIVED] < len(self._arrival) else np.inf
        if self.running:
            upcoming = min(upcoming, self._end_times[0])
        if until_time < upcoming < np.inf:
            self._clock[0] = max(self._clock[0], until_time)

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        n = len(self._arrival)
        return Outcome(
            ready_time=self._arrival,
            start_time=self._start,
            finish_time=self._finish,
            node=np.where(np.isnan(self._start), -1, 0),
            device=np.full(n, -1),
            gpu_fraction=np.where(np.isnan(self._start), np.nan, 0.0),
            completion_order=self._order[: self.finished],
        )


def _check(workload: Workload, cluster: Cluster) -> None:
    if workload.parents.count or workload.hybrid.any() or workload.gpus.any():
        raise InvalidWorkload("A pool of processors plays rigid tasks without GPUs and dependencies only.")
    if (workload.cpus != np.floor(workload.cpus)).any():
        raise InvalidWorkload("A pool of processors plays tasks that need whole processors only.")
    if len(workload) and workload.cpus.max() > cluster.cores:
        raise InvalidWorkload(f"A task needs {workload.cpus.max():.0f} processors and the pool has {cluster.cores}.")
