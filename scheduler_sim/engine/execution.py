"""How long a task takes, what energy it uses and what it costs: the only home of these formulas.

The formulas are plain expressions, so that the same function serves NumPy columns and, compiled, the kernels.
`docs/model.md` says them in words.
"""

from typing import TYPE_CHECKING

import numpy as np

from scheduler_sim.engine.cluster import Cluster
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.workload import FloatArray, IntArray, Workload

if TYPE_CHECKING:
    from scheduler_sim.engine.simulation import Simulation

GPU_SPEEDUP = 3.0
"""A fully compute-bound hybrid task runs 1 + 3 times as fast on a GPU of speed 1 as on a core of speed 1."""

SECONDS_PER_HOUR = 3600.0

SPLIT_MODELS = ("concurrent", "sequential")


def cpu_side(runtime: float, fraction: float, cpu_speed: float) -> float:
    """Return the seconds that the CPU side of a hybrid task lasts: (1 - f) * runtime / s_cpu."""
    return (1.0 - fraction) * (runtime / cpu_speed)


def gpu_side(
    runtime: float, fraction: float, intensity: float, memory_mb: float, gpu_speed: float, bandwidth: float
) -> float:
    """Return the seconds that the GPU side of a hybrid task lasts: f * (t_gpu + x).

    t_gpu = runtime / (s_gpu * (1 + 3 * compute_intensity)), x = memory_mb / bandwidth.
    """
    return fraction * (runtime / (gpu_speed * (1.0 + GPU_SPEEDUP * intensity)) + memory_mb / bandwidth)


cpu_side_compiled = kernel(cpu_side)
gpu_side_compiled = kernel(gpu_side)


def actual_time(cpu_seconds: FloatArray, gpu_seconds: FloatArray, split_model: str) -> FloatArray:
    """Return how long a hybrid task of these sides takes: the longer of them, or their sum when sequential."""
    if split_model == "sequential":
        return gpu_seconds + cpu_seconds
    return np.maximum(cpu_seconds, gpu_seconds)


def hybrid_sides(
    workload: Workload, rows: IntArray, runtime: FloatArray, fraction: FloatArray, cluster: Cluster, group: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return the seconds of the CPU side and of the GPU side of hybrid tasks `rows` on node groups `group`."""
    cpu_speed, gpu_speed, bandwidth = (
        of_groups(cluster, name)[group] for name in ("cpu_speed", "gpu_speed", "bandwidth_mb_per_second")
    )
    intensity, memory = workload.compute_intensity[rows], workload.memory_mb[rows]
    cpu = (1.0 - fraction) * (runtime / cpu_speed)
    gpu = fraction * (runtime / (gpu_speed * (1.0 + GPU_SPEEDUP * intensity)) + memory / bandwidth)
    return cpu, gpu


def of_groups(cluster: Cluster, name: str) -> FloatArray:
    """Return one figure of every node group, shape (groups,)."""
    return np.array([getattr(group, name) for group in cluster.groups], np.float64)


def group_of_nodes(cluster: Cluster) -> IntArray:
    """Return the group number of every node, shape (nodes,)."""
    return np.repeat(np.arange(len(cluster.groups)), [group.count for group in cluster.groups])


def task_energy(
    cluster: Cluster, group: IntArray, cores: FloatArray, gpus: FloatArray, cpu_busy: FloatArray, gpu_busy: FloatArray
) -> FloatArray:
    """Return joules: busy watts x busy seconds of the cores and GPUs that a task held."""
    core_watts, gpu_watts = (of_groups(cluster, name)[group] for name in ("cpu_busy_watts", "gpu_busy_watts"))
    return core_watts * cores * cpu_busy + gpu_watts * gpus * gpu_busy


def task_cost(
    cluster: Cluster, group: IntArray, cores: FloatArray, gpus: FloatArray, cpu_held: FloatArray, gpu_held: FloatArray
) -> FloatArray:
    """Return USD: price x held time of the cores and GPUs that a task held."""
    core_price, gpu_price = (of_groups(cluster, name)[group] for name in ("usd_per_core_hour", "usd_per_gpu_hour"))
    return (core_price * cores * cpu_held + gpu_price * gpus * gpu_held) / SECONDS_PER_HOUR


def holdings(simulation: "Simulation", rows: IntArray) -> tuple[FloatArray, ...]:
    """Return what finished tasks held: cores, GPUs, then seconds cores were busy, GPUs busy, cores held, GPUs held.

    A gang counts as held on the group of its lowest-numbered node.
    """
    outcome, workload, cluster = simulation.outcome(), simulation.workload, simulation.cluster
    length = outcome.finish_time[rows] - outcome.start_time[rows]
    cores, gpus = workload.cpus[rows].copy(), workload.gpus[rows].copy()
    cpu_busy, gpu_busy, cpu_held, gpu_held = length.copy(), length.copy(), length.copy(), length.copy()
    split = np.flatnonzero(workload.hybrid[rows])
    if len(split):
        chosen = rows[split]
        fraction = outcome.gpu_fraction[chosen]
        runtime = workload.runtime[chosen]
        if simulation.options.kill_at_estimate:
            runtime = np.minimum(runtime, workload.duration_estimate[chosen])
        group = group_of_nodes(cluster)[outcome.node[chosen]]
        cpu, gpu = hybrid_sides(workload, chosen, runtime, fraction, cluster, group)
        cores[split] = np.where(fraction < 1.0, cores[split], 0.0)
        gpus[split] = np.where(fraction > 0.0, gpus[split], 0.0)
        cpu_busy[split], gpu_busy[split] = cpu, gpu
        if simulation.options.split_model == "concurrent":
            cpu_held[split], gpu_held[split] = cpu, gpu
    return cores, gpus, cpu_busy, gpu_busy, cpu_held, gpu_held


def energy_and_cost(simulation: "Simulation", rows: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the joules and the USD of finished tasks `rows`, shape (len(rows),) each."""
    cluster = simulation.cluster
    group = group_of_nodes(cluster)[simulation.outcome().node[rows]]
    cores, gpus, cpu_busy, gpu_busy, cpu_held, gpu_held = holdings(simulation, rows)
    return (
        task_energy(cluster, group, cores, gpus, cpu_busy, gpu_busy),
        task_cost(cluster, group, cores, gpus, cpu_held, gpu_held),
    )


def idle_energy(simulation: "Simulation") -> float:
    """Return the joules that idle devices used between the first arrival and the last finish.

    A device is idle when no task keeps it busy; it draws idle watts also while a sequential split task only holds it.
    """
    outcome, workload, cluster = simulation.outcome(), simulation.workload, simulation.cluster
    rows = np.flatnonzero(~np.isnan(outcome.finish_time))
    if not len(rows):
        return 0.0
    group = group_of_nodes(cluster)[outcome.node[rows]]
    cores, gpus, cpu_busy, gpu_busy, _, _ = holdings(simulation, rows)
    makespan = outcome.finish_time[rows].max() - workload.arrival_time.min()
    core_watts, gpu_watts = (of_groups(cluster, name) for name in ("cpu_idle_watts", "gpu_idle_watts"))
    whole = sum(
        item.count * (item.cores * item.cpu_idle_watts + item.gpus * item.gpu_idle_watts) for item in cluster.groups
    )
    busy = (core_watts[group] * cores * cpu_busy + gpu_watts[group] * gpus * gpu_busy).sum()
    return float(max(whole * makespan - busy, 0.0))
