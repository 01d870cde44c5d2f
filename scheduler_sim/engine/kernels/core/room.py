"""What the event core's tasks take of what there is: processors of a pool, or cores, GPUs and memory of nodes."""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.demand import NodeGroups, demands, most_pieces, refuse_oversized
from scheduler_sim.engine.errors import OversizedTasks
from scheduler_sim.engine.workloads.workload import IntArray, Workload


@dataclass(frozen=True, eq=False)
class Classes:
    """Kinds of tasks that ask for the same, shape (k,).

    Attributes:
        cpus, gpus, memory: taken on one node; of a gang on the last one.
        full_nodes: how many whole nodes a gang takes; full_cpus, full_gpus, full_memory: on each of them.
    """

    cpus: IntArray
    gpus: IntArray
    memory: IntArray
    full_nodes: IntArray
    full_cpus: IntArray
    full_gpus: IntArray
    full_memory: IntArray


@dataclass(frozen=True, eq=False)
class Room:
    """Demands and capacities in whole numbers.

    Attributes:
        cpus, gpus: of each task in all, shape (n,): processors of a pool, else thousandths of cores, and GPUs.
        kind: the class of each task, shape (n,).
        processors: of a pool, 0 on nodes.
        most_running, most_pieces: bounds on what runs at once.
        node_cpus, node_mask, node_memory: thousandths of cores, mask of GPUs, KiB, shape (nodes,).
    """

    cpus: IntArray
    gpus: IntArray
    kind: IntArray
    classes: Classes
    processors: int
    most_running: int
    most_pieces: int
    node_cpus: IntArray
    node_mask: IntArray
    node_memory: IntArray

    @classmethod
    def of_pool(cls, workload: Workload, processors: int) -> "Room":
        """Return what tasks of whole processors take of a pool.

        Raises:
            OversizedTasks: a task asks for more processors than there are.
        """
        cpus = workload.cpus.astype(np.int64)
        large = np.flatnonzero(cpus > processors)
        if len(large):
            numbers = tuple(workload.task_id[large[:5]].tolist())
            raise OversizedTasks(
                f"{len(large)} tasks need more than the {processors} processors of the pool.",
                count=len(large),
                task_ids=numbers,
            )
        sizes, kind = np.unique(cpus, return_inverse=True)
        none, one = np.zeros(len(sizes), np.int64), np.zeros(1, np.int64)
        return cls(
            cpus=cpus,
            gpus=np.zeros(len(cpus), np.int64),
            kind=kind.astype(np.int64),
            classes=Classes(sizes, none, none, none, none, none, none),
            processors=processors,
            most_running=min(len(cpus), processors),
            most_pieces=0,
            node_cpus=one,
            node_mask=one,
            node_memory=one,
        )

    @classmethod
    def of_nodes(cls, workload: Workload, cluster: Cluster, *, spread: bool) -> "Room":
        """Return what rigid tasks take of nodes.

        Args:
            spread: only what is free in the whole cluster counts, so that a task may be in many pieces.

        Raises:
            OversizedTasks: tasks that the empty cluster could not start.
        """
        asked, groups = demands(workload, cluster), NodeGroups.of(cluster)
        refuse_oversized(workload, cluster, asked)
        gpus = asked.gpu // 1000
        columns = np.column_stack(
            [
                asked.last_cpu,
                asked.last_gpu // 1000,
                asked.last_memory,
                asked.full_nodes,
                asked.full_cpu,
                asked.full_gpus,
                asked.full_memory,
                asked.cpu,
                gpus,
            ]
        ).astype(np.int64)
        kinds, kind = np.unique(columns, axis=0, return_inverse=True)
        running, _ = most_pieces(cluster, asked)
        pieces = running + cluster.nodes + (cluster.gpus + len(workload) if spread else 0)
        group = cluster.group_of_nodes()
        mask = np.array([-1 if count == 64 else (1 << int(count)) - 1 for count in groups.gpus], np.int64)
        return cls(
            cpus=asked.cpu,
            gpus=gpus,
            kind=kind.reshape(-1).astype(np.int64),
            classes=Classes(*(np.ascontiguousarray(column) for column in kinds.T[:7])),
            processors=0,
            most_running=min(len(workload), running),
            most_pieces=pieces + 64,
            node_cpus=groups.cpu[group],
            node_mask=mask[group],
            node_memory=groups.memory[group],
        )
