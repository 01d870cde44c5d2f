"""Tasks that can never fit a cluster: found before anything runs, then refused, left out or cut to size."""

from dataclasses import replace

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.demand import KIB_PER_MB, NodeGroups, demands, in_units
from scheduler_sim.engine.clusters.slices import admits
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.errors import InvalidWorkload, OversizedTasks
from scheduler_sim.engine.workloads.workload import BoolArray, IntArray, Labels, Workload

ON_OVERSIZE = ("drop", "clamp", "fail")


def oversized(workload: Workload, cluster: Cluster) -> IntArray:
    """Return the rows of tasks that could not start even on the empty cluster, ascending."""
    if cluster.is_pool and not (workload.gpus.any() or workload.hybrid.any()):
        return np.flatnonzero(in_units(workload.cpus, MILLI) > cluster.cores * MILLI)
    return np.flatnonzero(~demands(workload, cluster).fits)


def fit_workload(workload: Workload, cluster: Cluster, *, on_oversize: str = "fail") -> tuple[Workload, IntArray]:
    """Return tasks that all fit `cluster`, and their row numbers in `workload`.

    Args:
        on_oversize: `fail` refuses them, `drop` leaves them out (and their children no longer wait for them), `clamp`
            cuts what they ask for to what the cluster has.

    Raises:
        OversizedTasks: `fail` was asked for and there are some.
        InvalidWorkload: `on_oversize` is none of the three.
    """
    if on_oversize not in ON_OVERSIZE:
        raise InvalidWorkload(f"on-oversize is {on_oversize!r}, not one of {', '.join(ON_OVERSIZE)}.")
    too_large = oversized(workload, cluster)
    everything = np.arange(len(workload), dtype=np.int64)
    if not len(too_large):
        return workload, everything
    if on_oversize == "drop":
        kept = np.setdiff1d(everything, too_large)
        return workload.take(kept), kept
    if on_oversize == "clamp":
        return clamp(workload, cluster, too_large), everything
    numbers = tuple(workload.task_id[too_large[:5]].tolist())
    shown = ", ".join(str(number) for number in numbers)
    raise OversizedTasks(
        f"{len(too_large)} of {len(workload)} tasks are larger than cluster {cluster.name} "
        f"(task_id {shown}{', ...' if len(too_large) > len(numbers) else ''}); "
        "on_oversize drop leaves them out, clamp cuts them to the cluster.",
        count=len(too_large),
        task_ids=numbers,
    )


def clamp(workload: Workload, cluster: Cluster, rows: IntArray) -> Workload:
    """Return `workload` with the requests of `rows` cut until they fit.

    First a GPU type that the cluster lacks is forgotten (any slice will do where there are no whole GPUs); then cores,
    GPUs and memory are cut to those of the largest node; what still does not fit is cut to the node with the most GPUs,
    or without GPUs the most cores.
    """
    groups = NodeGroups.of(cluster)
    cpus, gpus, memory = workload.cpus.copy(), workload.gpus.copy(), workload.memory_mb.copy()
    types = workload.gpu_type.texts()
    kinds = dict.fromkeys(group.gpu_type for group in cluster.groups if group.gpus)
    any_kind = "" if any(admits("", kind) for kind in kinds) else "|".join(kinds)
    asked = demands(workload, cluster)
    known: BoolArray = np.asarray(asked.allowed.any(axis=1))
    types[rows] = np.where(known[asked.kinds.codes[rows]], types[rows], any_kind)
    changed = replace(workload, gpu_type=Labels.from_texts(types))
    largest = int(np.lexsort((groups.cpu, groups.gpus))[-1])
    for cores_limit, gpu_limit, memory_limit in (
        (groups.cpu.max(), groups.gpus.max(), groups.memory.max()),
        (groups.cpu[largest], groups.gpus[largest], groups.memory[largest]),
    ):
        left = rows[~demands(changed, cluster).fits[rows]]
        if len(left) == 0:
            return changed
        cpus[left] = np.minimum(cpus[left], cores_limit / MILLI)
        gpus[left] = np.minimum(gpus[left], gpu_limit)
        memory[left] = np.minimum(memory[left], memory_limit / KIB_PER_MB)
        idle = left[(cpus[left] == 0) & (gpus[left] == 0)]
        cpus[idle] = min(1.0, cores_limit / MILLI)
        changed = replace(changed, cpus=cpus.copy(), gpus=gpus.copy(), memory_mb=memory.copy())
    left = rows[~demands(changed, cluster).fits[rows]]
    types = changed.gpu_type.texts()
    types[left] = any_kind
    changed = replace(changed, gpu_type=Labels.from_texts(types))
    left = rows[~demands(changed, cluster).fits[rows]]
    if len(left):
        raise OversizedTasks(
            f"{len(left)} tasks cannot be cut to fit cluster {cluster.name}.",
            count=len(left),
            task_ids=tuple(workload.task_id[left[:5]].tolist()),
        )
    return changed
