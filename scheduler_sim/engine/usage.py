"""What the tasks of a schedule held of the cluster, and what that took in energy and money."""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.cluster import Cluster
from scheduler_sim.engine.simulation import Outcome
from scheduler_sim.engine.spans import held_by_window
from scheduler_sim.engine.workload import FloatArray, Workload

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, eq=False)
class Usage:
    """Spans in which m started tasks held devices, and what the cluster has.

    Attributes:
        start, core_end, gpu_end: shape (m,), seconds; the two sides of a split task may end at different times.
        held_cores, held_gpus: shape (m,).
        core_watts, gpu_watts, core_idle_watts, gpu_idle_watts: shape (m,), of one device where the task ran.
        core_price, gpu_price: shape (m,), USD for one device and second where the task ran.
        cores, gpus: of the cluster.
        idle_watts: of the whole cluster when nothing runs.
    """

    start: FloatArray
    core_end: FloatArray
    gpu_end: FloatArray
    held_cores: FloatArray
    held_gpus: FloatArray
    core_watts: FloatArray
    gpu_watts: FloatArray
    core_idle_watts: FloatArray
    gpu_idle_watts: FloatArray
    core_price: FloatArray
    gpu_price: FloatArray
    cores: int
    gpus: int
    idle_watts: float

    @classmethod
    def of(cls, workload: Workload, cluster: Cluster, outcome: Outcome) -> "Usage":
        """Read from a schedule what each task that has started and finished held."""
        rows = np.flatnonzero(~np.isnan(outcome.finish_time))
        group = np.repeat(np.arange(len(cluster.groups)), [group.count for group in cluster.groups])[outcome.node[rows]]

        def of_group(name: str) -> FloatArray:
            values: FloatArray = np.array([getattr(item, name) for item in cluster.groups], np.float64)[group]
            return values

        return cls(
            start=outcome.start_time[rows],
            core_end=outcome.finish_time[rows],
            gpu_end=outcome.finish_time[rows],
            held_cores=workload.cpus[rows],
            held_gpus=workload.gpus[rows],
            core_watts=of_group("cpu_busy_watts"),
            gpu_watts=of_group("gpu_busy_watts"),
            core_idle_watts=of_group("cpu_idle_watts"),
            gpu_idle_watts=of_group("gpu_idle_watts"),
            core_price=of_group("usd_per_core_hour") / SECONDS_PER_HOUR,
            gpu_price=of_group("usd_per_gpu_hour") / SECONDS_PER_HOUR,
            cores=cluster.cores,
            gpus=cluster.gpus,
            idle_watts=sum(
                item.count * (item.cores * item.cpu_idle_watts + item.gpus * item.gpu_idle_watts)
                for item in cluster.groups
            ),
        )

    def core_spans(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return start, end and cores held."""
        return self.start, self.core_end, self.held_cores

    def gpu_spans(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return start, end and GPUs held."""
        return self.start, self.gpu_end, self.held_gpus

    def energy_by_window(self, edges: FloatArray) -> FloatArray:
        """Return the joules of what tasks held: busy watts x device-seconds."""
        return self._weighted(self.core_watts, self.gpu_watts, edges)

    def idle_energy_by_window(self, edges: FloatArray) -> FloatArray:
        """Return the joules of devices that nothing held: idle watts x device-seconds left over."""
        taken = self._weighted(self.core_idle_watts, self.gpu_idle_watts, edges)
        idle: FloatArray = np.maximum(self.idle_watts * np.diff(edges) - taken, 0.0)
        return idle

    def cost_by_window(self, edges: FloatArray) -> FloatArray:
        """Return the USD of what tasks held: price x device-seconds."""
        return self._weighted(self.core_price, self.gpu_price, edges)

    def _weighted(self, of_core: FloatArray, of_gpu: FloatArray, edges: FloatArray) -> FloatArray:
        on_cores = held_by_window(self.start, self.core_end, self.held_cores * of_core, edges)
        return on_cores + held_by_window(self.start, self.gpu_end, self.held_gpus * of_gpu, edges)
