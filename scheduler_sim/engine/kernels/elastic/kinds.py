"""The kinds of device on which tasks of changing width may run: those of each node group."""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster, NodeGroup
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.clusters.slices import admits
from scheduler_sim.engine.contract import Options
from scheduler_sim.engine.elasticity import Elasticity, counts_gpus
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.formulas import rigid_time
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray
from scheduler_sim.engine.workloads.workload import Workload


@dataclass(frozen=True, eq=False)
class Kinds:
    """k kinds of device, GPUs or processors, in the order of the cluster's node groups; n tasks.

    Attributes:
        devices, per_node: shape (k,), of each kind, and of each of its nodes.
        of_kind: the widths of the tasks on each kind, and how fast they are there.
        pace: shape (n, k), by which rates on a kind are multiplied; 0 where a task cannot run. It is 1 on the first
            kind where it can, on which its work is counted.
        work: shape (n,), seconds on what it asks for there.
        nodes, numbers: shape (devices,), where each is, kind by kind; numbers are -1 for processors.
    """

    devices: IntArray
    per_node: IntArray
    of_kind: tuple[Elasticity, ...]
    pace: FloatArray
    work: FloatArray
    nodes: IntArray
    numbers: IntArray

    @classmethod
    def of(cls, workload: Workload, cluster: Cluster, policy: str, options: Options | None = None) -> "Kinds":
        """Read them off the cluster, and how fast tasks are on them off their rates or the groups' speeds.

        Where there are several kinds, a task that asks for more devices than one has may still run there on fewer.

        Args:
            policy: its name, for the sentences. options: say what a change of width costs tasks that do not.

        Raises:
            InvalidPolicy: a task that can run on no kind; the sentence says why.
        """
        on_gpu = counts_gpus(workload)
        of_groups = cluster.of_groups("gpus" if on_gpu else "cores").astype(np.int64)
        # Where no group has such devices, tasks ask for more than there are.
        there = np.flatnonzero(of_groups) if of_groups.any() else np.zeros(1, np.int64)
        groups, per_node = [cluster.groups[place] for place in there], of_groups[there]
        devices = per_node * np.array([one.count for one in groups], np.int64)
        each = np.maximum(per_node, 1)
        of_kind = tuple(
            Elasticity.of(workload, devices=many, per_node=node, options=options, largest_node=int(each.max()))
            for many, node in zip(devices.tolist(), each.tolist(), strict=True)
        )
        paces = Paces.of(workload, cluster)
        speed = paces.gpu[paces.row] if on_gpu else cluster.of_groups("cpu_speed")[None, :].repeat(len(workload), 0)
        can, whys = np.ones((len(workload), len(groups)), bool), list[str]()
        for kind, group in enumerate(groups):
            narrowest = of_kind[kind].asked if len(groups) == 1 else of_kind[kind].least
            lacking = [
                (narrowest > devices[kind], "tasks ask for more devices than there are"),
                *_lacking(workload, group),
                (~paces.possible[paces.row, there[kind]], f"tasks have no rate on the GPUs of cluster {cluster.name}"),
            ]
            for rows, why in lacking:
                can[rows, kind] = False
                whys += [why] if rows.any() else []
        nowhere = workload.task_id[~can.any(1)]
        if len(nowhere):
            first = ", ".join(map(str, nowhere[:5].tolist()))
            raise InvalidPolicy(
                f"{policy}: {whys[0]}."
                if len(groups) == 1
                else f"{policy}: {len(nowhere)} tasks can run on no nodes of cluster {cluster.name}, the first of them "
                f"{first}."
            )
        usual = speed[np.arange(len(workload)), there[can.argmax(1)]]
        firsts = np.concatenate(([0], np.cumsum([one.count for one in cluster.groups])))[there]
        number = np.concatenate([np.arange(many) for many in devices.tolist()])
        of_device = np.repeat(np.arange(len(groups)), devices)
        return cls(
            devices=devices,
            per_node=per_node,
            of_kind=of_kind,
            pace=np.where(can, speed[:, there] / usual[:, None], 0.0),
            work=rigid_time(workload.runtime, workload.gpus > 0, usual, usual),
            nodes=firsts[of_device] + number // each[of_device],
            numbers=number % each[of_device] if on_gpu else np.full(len(number), -1),
        )

    def curves(self) -> IntArray:
        """Return where the rates of each task on each kind begin, the rates of all kinds one after the other."""
        begins = np.concatenate(([0], np.cumsum([len(one.rates) for one in self.of_kind])))
        return np.column_stack([one.curve + begin for one, begin in zip(self.of_kind, begins[:-1], strict=True)])

    def firsts(self) -> IntArray:
        """Return the first device of each kind, shape (k,)."""
        found: IntArray = np.concatenate(([0], np.cumsum(self.devices)))[:-1]
        return found


def _lacking(workload: Workload, group: NodeGroup) -> list[tuple[BoolArray, str]]:
    """Return which tasks the nodes of a group cannot hold, and for want of what."""
    on_gpu = workload.gpus > 0
    asked = np.where(on_gpu, workload.gpus, workload.cpus)
    per_node = max(group.gpus if on_gpu.any() else group.cores, 1)
    wrong_type = np.array([not admits(text, group.gpu_type) for text in workload.gpu_type.names], bool)
    named = f"tasks ask for another type of GPU than {group.gpu_type or 'the one there is'}"
    lacking = [(wrong_type[workload.gpu_type.codes] & on_gpu, named)]
    room: list[tuple[str, FloatArray, float | None]] = [("memory", workload.memory_mb, group.memory_mb)]
    if on_gpu.any():
        room.append(("cores", workload.cpus, float(group.cores)))
    for word, held, there in room:
        if there is not None:
            more = held / asked > there / per_node
            lacking.append((more, f"tasks hold more {word} for each device than a node has for each"))
    return lacking
