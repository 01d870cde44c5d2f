"""How long tasks take, how much they were slowed down, what they use and cost: the only home of these formulas.

Plain functions take NumPy columns; those that end in `_compiled` are the same for one task at a time in the kernels.
`docs/model.md` says them in words.
"""

from typing import NamedTuple, TypeVar

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.units import SECONDS_PER_HOUR
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Workload

Number = TypeVar("Number", float, FloatArray)
"""One figure, or a column of them."""

GPU_SPEEDUP = 3.0
"""A fully compute-bound hybrid task runs 1 + 3 times as fast on a GPU of speed 1 as on a core of speed 1."""

SHORTEST_RUN = 10.0
"""Seconds below which a run counts as this long in the bounded slowdown (Feitelson, 2001: the usual threshold)."""


TENTHS = np.arange(11) / 10.0
"""The GPU fractions that placements try."""


def played_runtime(workload: Workload, *, kill_at_estimate: bool) -> FloatArray:
    """Return the seconds of work that tasks do before they end, shape (n,); only a stated estimate ends one early."""
    if kill_at_estimate:
        return np.minimum(workload.runtime, np.where(workload.estimate_known, workload.duration_estimate, np.inf))
    return workload.runtime


def rigid_time(runtime: FloatArray, on_gpu: BoolArray, cpu_speed: float | FloatArray, gpu_speed: Number) -> FloatArray:
    """Return the seconds that rigid tasks take: runtime / speed, that of GPUs (see `Paces`) where they hold some."""
    return runtime / np.where(on_gpu, gpu_speed, cpu_speed)


@bare_kernel
def rigid_time_compiled(runtime: float, on_gpu: bool, cpu_speed: float, gpu_speed: float) -> float:
    """Return `rigid_time` of one task."""
    return runtime / (gpu_speed if on_gpu else cpu_speed)


def cpu_alone(runtime: Number, cpu_speed: Number) -> Number:
    """Return the seconds that a hybrid task takes on cores alone: runtime / s_cpu."""
    return runtime / cpu_speed


def gpu_alone(runtime: Number, intensity: Number, memory_mb: Number, gpu_speed: Number, bandwidth: Number) -> Number:
    """Return the seconds that a hybrid task takes on GPUs alone: t_gpu + x.

    t_gpu = runtime / (s_gpu * (1 + 3 * compute_intensity)), x = memory_mb / bandwidth.
    """
    return runtime / (gpu_speed * (1.0 + GPU_SPEEDUP * intensity)) + memory_mb / bandwidth


def cpu_side(alone: Number, fraction: Number) -> Number:
    """Return the seconds of the CPU side of a task that takes `alone` on cores: (1 - f) * alone."""
    return (1.0 - fraction) * alone


def gpu_side(alone: Number, fraction: Number) -> Number:
    """Return the seconds of the GPU side of a task that takes `alone` on GPUs: f * alone."""
    return fraction * alone


cpu_alone_compiled = bare_kernel(cpu_alone)
gpu_alone_compiled = bare_kernel(gpu_alone)
cpu_side_compiled = bare_kernel(cpu_side)
gpu_side_compiled = bare_kernel(gpu_side)


def split_time(cpu_seconds: FloatArray, gpu_seconds: FloatArray, split_model: str) -> FloatArray:
    """Return how long hybrid tasks of these sides take: the longer of them, or their sum when sequential."""
    if split_model == "sequential":
        return gpu_seconds + cpu_seconds
    return np.maximum(cpu_seconds, gpu_seconds)


@bare_kernel
def split_time_compiled(cpu_seconds: float, gpu_seconds: float, sequential: bool) -> float:
    """Return `split_time` of one task."""
    return gpu_seconds + cpu_seconds if sequential else max(cpu_seconds, gpu_seconds)


def data_time(
    length: FloatArray, cpu_seconds: FloatArray, gpu_seconds: FloatArray, split_model: str, cluster: Cluster
) -> FloatArray:
    """Return for how long data came to hybrid tasks of these sides that took `length`: both sides wait for it."""
    if cluster.network is None:
        return np.zeros(len(length))
    return np.maximum(length - split_time(cpu_seconds, gpu_seconds, split_model), 0.0)


def even_fraction(cpu_seconds: FloatArray, gpu_seconds: FloatArray) -> FloatArray:
    """Return the GPU fraction at which both sides end together: a / (a + b) of the times on one kind of device alone.

    0 where a task takes no time.
    """
    both = cpu_seconds + gpu_seconds
    return np.divide(cpu_seconds, both, out=np.zeros_like(both), where=both > 0)


@bare_kernel
def even_fraction_compiled(cpu_seconds: float, gpu_seconds: float) -> float:
    """Return `even_fraction` of one task."""
    return cpu_seconds / (cpu_seconds + gpu_seconds) if cpu_seconds + gpu_seconds > 0.0 else 0.0


@bare_kernel
def held_times_compiled(
    runtime: float,
    fraction: float,
    intensity: float,
    memory_mb: float,
    hybrid: bool,
    on_gpu: bool,
    cpu_speed: float,
    gpu_speed: float,
    bandwidth: float,
    sequential: bool,
) -> tuple[float, float]:
    """Return for how many seconds one task holds its cores and its GPUs."""
    if not hybrid:
        length = rigid_time_compiled(runtime, on_gpu, cpu_speed, gpu_speed)
        return length, length
    cpu = cpu_side_compiled(cpu_alone_compiled(runtime, cpu_speed), fraction)
    gpu = gpu_side_compiled(gpu_alone_compiled(runtime, intensity, memory_mb, gpu_speed, bandwidth), fraction)
    if sequential:
        return gpu + cpu, gpu + cpu
    return cpu, gpu


def hybrid_alone(
    workload: Workload, rows: IntArray, runtime: FloatArray, cluster: Cluster, group: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return the seconds that hybrid tasks `rows` take on cores alone and on GPUs alone of node groups `group`."""
    cpu_speed, gpu_speed, bandwidth = (
        cluster.of_groups(name)[group] for name in ("cpu_speed", "gpu_speed", "bandwidth_mb_per_second")
    )
    intensity, memory_mb = workload.compute_intensity[rows], workload.memory_mb[rows]
    return cpu_alone(runtime, cpu_speed), gpu_alone(runtime, intensity, memory_mb, gpu_speed, bandwidth)


def hybrid_sides(
    workload: Workload, rows: IntArray, runtime: FloatArray, fraction: FloatArray, cluster: Cluster, group: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return the seconds of the CPU side and of the GPU side of hybrid tasks `rows` on node groups `group`."""
    cpu, gpu = hybrid_alone(workload, rows, runtime, cluster, group)
    return cpu_side(cpu, fraction), gpu_side(gpu, fraction)


def bounded_slowdown(completion: FloatArray, actual: FloatArray) -> FloatArray:
    """Return max(1, completion time / max(actual time, 10 s)) (Feitelson, 2001)."""
    return np.maximum(1.0, completion / np.maximum(actual, SHORTEST_RUN))


@bare_kernel
def bounded_slowdown_compiled(completion: float, actual: float) -> float:
    """Return `bounded_slowdown` of one task."""
    return max(1.0, completion / max(actual, SHORTEST_RUN))


class Holdings(NamedTuple):
    """What m tasks held, shape (m,) each.

    Attributes:
        cores, gpus: how many.
        cpu_busy, gpu_busy: seconds for which they worked.
        cpu_held, gpu_held: seconds for which nobody else could have them.
    """

    cores: FloatArray
    gpus: FloatArray
    cpu_busy: FloatArray
    gpu_busy: FloatArray
    cpu_held: FloatArray
    gpu_held: FloatArray

    @classmethod
    def of(
        cls,
        workload: Workload,
        rows: IntArray,
        *,
        length: FloatArray,
        fraction: FloatArray,
        runtime: FloatArray,
        cluster: Cluster,
        group: IntArray,
        split_model: str,
        one_sided: bool = False,
    ) -> "Holdings":
        """Return what tasks `rows` hold that take `length` seconds on node groups `group`, shape (m,) each.

        Args:
            fraction: on the GPU; read of hybrid tasks only.
            runtime: seconds of work; read of hybrid tasks only.
            split_model: sequential sides hold both kinds of devices until the task ends.
            one_sided: no task is really split, so that its devices work for all of its length.
        """
        cores, gpus = workload.cpus[rows].copy(), workload.gpus[rows].copy()
        cpu_busy, gpu_busy, cpu_held, gpu_held = length.copy(), length.copy(), length.copy(), length.copy()
        split = np.flatnonzero(workload.hybrid[rows])
        if len(split):
            part = fraction[split]
            cores[split] = np.where(part < 1.0, cores[split], 0.0)
            gpus[split] = np.where(part > 0.0, gpus[split], 0.0)
        if len(split) and not one_sided:
            cpu, gpu = hybrid_sides(workload, rows[split], runtime[split], part, cluster, group[split])
            late = data_time(length[split], cpu, gpu, split_model, cluster)
            if split_model == "concurrent":
                cpu, gpu = cpu + late, gpu + late
                cpu_held[split], gpu_held[split] = cpu, gpu
            else:
                # What works first has the data to wait for.
                cpu, gpu = cpu + np.where(part > 0.0, 0.0, late), gpu + np.where(part > 0.0, late, 0.0)
            cpu_busy[split], gpu_busy[split] = cpu, gpu
        return cls(cores, gpus, cpu_busy, gpu_busy, cpu_held, gpu_held)


def task_energy(cluster: Cluster, group: IntArray, held: Holdings) -> FloatArray:
    """Return joules: busy watts x busy seconds of the cores and GPUs that tasks held on node groups `group`."""
    core_watts, gpu_watts = (cluster.of_groups(name)[group] for name in ("cpu_busy_watts", "gpu_busy_watts"))
    return energy_at(core_watts, gpu_watts, held)


def energy_at(core_watts: FloatArray, gpu_watts: FloatArray, held: Holdings) -> FloatArray:
    """Return joules of what tasks held whose cores and GPUs drew so many watts each."""
    return core_watts * held.cores * held.cpu_busy + gpu_watts * held.gpus * held.gpu_busy


def task_cost(cluster: Cluster, group: IntArray, held: Holdings) -> FloatArray:
    """Return USD: price x held seconds of the cores and GPUs that tasks held on node groups `group`."""
    core_price, gpu_price = (cluster.of_groups(name)[group] for name in ("usd_per_core_hour", "usd_per_gpu_hour"))
    return (core_price * held.cores * held.cpu_held + gpu_price * held.gpus * held.gpu_held) / SECONDS_PER_HOUR


def arrivals_at_load(arrival: FloatArray, first: FloatArray | float, factor: FloatArray | float) -> FloatArray:
    """Return arrivals `factor` times as dense, which multiplies the offered load by `factor`."""
    return first + (arrival - first) / factor
