"""The kinds of GPU of a cluster, and how fast each task is on each."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.slices import admits, rated_as
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray
from scheduler_sim.engine.workloads.workload import Workload


@dataclass(frozen=True, eq=False)
class Kinds:
    """k kinds of GPU, in the order of the cluster's node groups; groups of one GPU type and speed are one kind.

    Attributes:
        names: of the GPU types, of the groups where they have none.
        workers: shape (k,), GPUs. rate: shape (n, k), work a second; 0 where a task cannot run.
        work: shape (n,); steps where the workload has throughputs, else seconds at speed 1.
        known_work: shape (n,), as the estimates have it. in_steps: work is counted in whole units.
        nodes: of each kind, the first number of each of its groups' nodes, nodes and GPUs a node.
    """

    names: tuple[str, ...]
    workers: FloatArray
    rate: FloatArray
    work: FloatArray
    known_work: FloatArray
    in_steps: bool
    nodes: tuple[tuple[tuple[int, int, int], ...], ...]

    @classmethod
    def of(cls, workload: Workload, cluster: Cluster, policy: str) -> "Kinds":
        """Read the kinds off the cluster, and the rates off the workload's throughputs or the groups' speeds.

        Cores and memory are never short: a kind is for those tasks only of whose part of them, for each GPU, every node
        has enough.

        Args:
            policy: its name, for the sentences.

        Raises:
            InvalidPolicy: a task that can run on no kind, or that has no throughputs where others have.
        """
        members: dict[tuple[str, float], list[int]] = {}
        for number, group in enumerate(cluster.groups):
            if group.gpus:
                members.setdefault((group.gpu_type or group.name, group.gpu_speed), []).append(number)
        firsts = np.concatenate(([0], np.cumsum([group.count for group in cluster.groups]))).tolist()
        nodes = tuple(
            tuple((firsts[one], cluster.groups[one].count, cluster.groups[one].gpus) for one in group)
            for group in members.values()
        )
        names = tuple(name for name, _ in members)
        workers = np.array([sum(count * gpus for _, count, gpus in kind) for kind in nodes], np.float64)
        rate = np.array([speed for _, speed in members])[None, :].repeat(len(workload), axis=0)
        work, known, in_steps = workload.runtime, workload.duration_estimate, False
        table = workload.throughputs
        if table is not None:
            stand = [rated_as(name, table.kinds) for name in names]
            missing = [name for name, found in zip(names, stand, strict=True) if found is None]
            if missing:
                raise InvalidPolicy(
                    f"The workload's throughputs are of {', '.join(table.kinds)}; cluster {cluster.name} has "
                    f"{', '.join(missing)}."
                )
            rate = table.of(workload.group, workload.gpus)[:, [table.kinds.index(name) for name in stand if name]]
            _refuse_rows(workload, policy, np.isnan(rate).any(1), "have no throughputs")
            work, in_steps = workload.size, True
            known = work * np.divide(known, workload.runtime, out=np.ones(len(work)), where=workload.runtime > 0)
        for kind, numbers in enumerate(members.values()):
            rate[~_holds(workload, cluster, numbers) | (workload.gpus > workers[kind]), kind] = 0.0
        _refuse_rows(workload, policy, ~(rate > 0).any(1), f"can run on no kind of GPU of cluster {cluster.name}")
        return cls(names, workers, rate, np.maximum(work, 1.0 if in_steps else 1e-9), known, in_steps, nodes)

    def places(self) -> tuple[IntArray, IntArray]:
        """Return the node of each GPU, and the device on it, kind by kind, shape (GPUs,)."""
        pairs = [
            (first + place // gpus, place % gpus)
            for kind in self.nodes
            for first, count, gpus in kind
            for place in range(count * gpus)
        ]
        found = np.array(pairs, np.int64).reshape(-1, 2)
        return found[:, 0].copy(), found[:, 1].copy()


def rates_beside(workload: Workload, kinds: tuple[str, ...]) -> tuple[IntArray, FloatArray]:
    """Return the type of each task of one GPU, -1 for all others, and the rates of tasks of t types beside each other.

    Args:
        kinds: of GPU, as clusters call them.

    Returns:
        Types, shape (n,), and rates, shape (t, t, k): of a task of the first type beside one of the second; 0 where
        they are not known.
    """
    table, alone = workload.throughputs, workload.gpus == 1
    if table is None or not table.pairs:
        return np.full(len(workload), -1), np.zeros((0, 0, len(kinds)))
    stand = [rated_as(name, table.kinds) for name in kinds]
    found = table.beside(workload.group.names)
    beside = np.zeros((*found.shape[:2], len(kinds)))
    for place, kind in enumerate(stand):
        if kind is not None:
            beside[:, :, place] = found[:, :, table.kinds.index(kind)]
    return np.where(alone, workload.group.codes, -1), beside


def _holds(workload: Workload, cluster: Cluster, groups: list[int]) -> BoolArray:
    """Tell of which tasks every node of these groups can hold as many as it has GPUs, and whose type of GPU it is."""
    fits = np.ones(len(workload), bool)
    for number in groups:
        group = cluster.groups[number]
        allowed = np.array([admits(name, group.gpu_type) for name in workload.gpu_type.names], bool)
        fits &= allowed[workload.gpu_type.codes] & (workload.cpus / workload.gpus <= group.cores / group.gpus)
        if group.memory_mb is not None:
            fits &= workload.memory_mb / workload.gpus <= group.memory_mb / group.gpus
    return fits


def _refuse_rows(workload: Workload, policy: str, rows: Any, why: str) -> None:
    found: IntArray = workload.task_id[rows]
    if len(found):
        first = ", ".join(map(str, found[:5].tolist()))
        raise InvalidPolicy(f"{policy}: {len(found)} tasks {why}, the first of them {first}.")
