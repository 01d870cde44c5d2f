"""What stopping cost the tasks of a schedule: restarts, hours lost, and how much of what was held made progress."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.overheads import daly_efficiency
from scheduler_sim.engine.contract import REASONS, Options
from scheduler_sim.engine.measuring.usage import holdings
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.units import SECONDS_PER_HOUR
from scheduler_sim.engine.workloads.workload import BoolArray


@dataclass(frozen=True)
class Interruptions:
    """Sums over the finished tasks of one policy.

    Attributes:
        restarts: attempts after the first that did not go on elsewhere at once.
        lost_core_hours, lost_gpu_hours: held without progress that lasted.
        efficiency: progress that lasted / time held, in device-seconds: GPUs of tasks that hold some, cores of the
            others. None where nothing was held.
        ideal_efficiency: see `ideal_efficiency`.
    """

    restarts: int
    lost_core_hours: float
    lost_gpu_hours: float
    efficiency: float | None
    ideal_efficiency: float | None

    @classmethod
    def of(cls, simulation: Simulation, scored: BoolArray | None = None) -> "Interruptions | None":
        """Read them from a simulation; None where its tasks each run once.

        Args:
            scored: tasks that count, shape (n,); all by default.
        """
        outcome = simulation.outcome()
        if outcome.history is None:
            return None
        counted = outcome.history.ending >= 0
        rows = np.flatnonzero(counted if scored is None else counted & scored)
        history, held = simulation.history(rows), holdings(simulation, rows)
        served = np.ones(len(rows))
        np.divide(history.service_time, history.held_time, out=served, where=history.held_time > 0)
        lost = np.clip(1.0 - served, 0.0, 1.0)
        attempts = simulation.attempts()
        moves = np.bincount(attempts.row[attempts.reason == REASONS.index("moved")], minlength=len(counted))[rows]
        cores, gpus = held.cores * held.cpu_held, held.gpus * held.gpu_held
        devices = np.where(held.gpus > 0, gpus, cores)
        return cls(
            restarts=int(np.maximum(history.attempts - 1 - moves, 0).sum()),
            lost_core_hours=float((cores * lost).sum()) / SECONDS_PER_HOUR,
            lost_gpu_hours=float((gpus * lost).sum()) / SECONDS_PER_HOUR,
            efficiency=float((devices * (1.0 - lost)).sum() / devices.sum()) if devices.sum() > 0 else None,
            ideal_efficiency=ideal_efficiency(simulation.cluster, simulation.options),
        )

    def as_json(self) -> dict[str, Any]:
        """Return them by name."""
        return asdict(self)


def ideal_efficiency(cluster: Cluster, options: Options) -> float | None:
    """Return the part of the held time that makes progress of a long task on one node that only failures stop.

    Under exponential failures it is Daly's (2006, eq. 20), without any failure interval / (interval + writing). None
    without checkpoints or with growing intervals, and where failures are listed, of several kinds or of another
    distribution: then no formula is known. An overhead by devices counts as that of one device.
    """
    points = options.checkpoints
    if points is None or points.growth != 1.0 or options.failures:
        return None
    if any(outage.kill for group in cluster.groups for outage in group.outages):
        return None
    models = {group.failures for group in cluster.groups}
    if models == {None}:
        return points.interval / (points.interval + points.write)
    (model, *others) = models
    if others or model is None or model.distribution != "exponential":
        return None
    restart = points.read + float(options.restart_overhead.seconds(np.ones(1))[0])
    return daly_efficiency(model.mean_hours * SECONDS_PER_HOUR, points.interval, points.write, restart)
