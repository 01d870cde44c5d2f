"""The distinct kinds of asks, as records that compiled code reads, and the nodes that each may use."""

from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.demand import KIB_PER_MB, UNLIMITED, NodeGroups
from scheduler_sim.engine.clusters.slices import admits
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.errors import InvalidCluster, InvalidWorkload
from scheduler_sim.engine.kernels.site.dealing import dealt_cores
from scheduler_sim.engine.kernels.site.features import satisfies
from scheduler_sim.engine.kernels.site.reasons import CODES, NO_REASON
from scheduler_sim.engine.sites import Partition, Site
from scheduler_sim.engine.workloads.columns import BoolArray, IntArray
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Workload

WORD = 64
"""Nodes in one word of a set of nodes."""

ANY_NUMBER = 2**31
"""Of nodes, where a task limits them not."""

KIND = np.dtype(
    [
        ("part", "i8"), ("units", "i8"), ("size", "i8"), ("grain", "i8"), ("memory", "i8"), ("gpu", "i8"),
        ("per_node", "i8"), ("each", "i8"), ("least", "i8"), ("wanted", "i8"), ("most", "i8"), ("whole", "i8"),
        ("each_memory", "i8"), ("each_gpus", "i8"), ("most_cpu", "i8"), ("counts_nodes", "i8"), ("dealt", "i8"),
        ("offer", "i8"), ("must", "i8"), ("must_offer", "i8"),
    ]
)  # fmt: skip
"""What a task asks for in a partition: `units` processes of `size` grains; a grain is `grain` thousandths of cores,
`memory` KiB and `gpu` GPUs. Just `per_node` processes lie on each node where that is not 0, on `least` nodes, better
`wanted`, at most `most`; with `whole` for it alone. On each node it takes besides `each_memory` KiB and `each_gpus`
GPUs. A node that has not `each` grains is of no use; `most_cpu` is the most of its cores that the partition may
hold. By `counts_nodes` it is enough that `least` nodes are of use. From `dealt` on lies how many grains it takes of
each of its nodes, where that is known; else it is -1. To kinds with the same `offer` every node offers the same at
any time. No node is chosen that offers less than `must` grains, since on `most` nodes of the others that would not
do; `must_offer` is as `offer`, of nodes with so much."""

_FIELDS = tuple(KIND.fields or ())[1:]


class Builder:
    """Collects the distinct kinds of asks."""

    def __init__(self, site: Site) -> None:
        self.site = site
        groups, group = NodeGroups.of(site.cluster), site.cluster.group_of_nodes()
        self.cpu, self.gpus, self.memory = groups.cpu[group], groups.gpus[group], groups.memory[group]
        self.group = group
        self.nodes = [self._set(one.hosts) for one in site.partitions]
        self.kinds: list[tuple[int, ...]] = []
        self.masks: list[BoolArray] = []
        self.suits: list[BoolArray] = []
        self.within: list[float] = []
        self._number: dict[tuple[Any, ...], tuple[int, int]] = {}
        self.dealings: dict[int, IntArray] = {}
        self.dealt: list[int] = []
        self._offers: dict[tuple[int, ...], int] = {}
        self._reserved: dict[str, list[tuple[BoolArray, float]]] = {}

    def words(self, sets: list[BoolArray]) -> IntArray:
        """Return sets of nodes as words of 64 bits, shape (sets, words)."""
        return as_words(np.array(sets, bool).reshape(len(sets), len(self.group)))

    def entries(self, ask: dict[str, int], said: dict[str, str]) -> tuple[list[int], int]:
        """Return the kinds of an ask in the partitions that take it, and why none does."""
        if ask["refusal"]:
            return [], ask["refusal"]
        numbers = self.site.partitions_asked(said["partitions"] or said["queue"])
        if not numbers:
            return [], CODES["InvalidPartition"]
        found, why = [], NO_REASON
        for number in numbers:
            kind, reason = self._entry(number, ask, said)
            if reason == NO_REASON:
                found.append(kind)
            why = why or reason
        if said["recorded_nodes"]:
            # Where they are not free, or not in one partition, any that fit will do: seconds are cut off in logs.
            others, why = self.entries(ask, {**said, "recorded_nodes": ""})
            found += others
        return found, NO_REASON if found else why

    def _entry(self, number: int, ask: dict[str, int], said: dict[str, str]) -> tuple[int, int]:
        partition = self.site.partitions[number]
        reason = _not_taken(partition, said["account"], self.site.qos[ask["qos"]].name if ask["qos"] >= 0 else "")
        if reason != NO_REASON:
            return -1, reason
        if said["reservation"] and not self.site.reservations_called(said["reservation"]):
            return -1, CODES["ReservationDeleted"]
        key = (*(said[name] for name in _SAID), number, *(ask[name] for name in _SHAPE))
        if key not in self._number:
            self._number[key] = self._add(number, partition, ask, said)
        return self._number[key]

    def _add(self, number: int, partition: Partition, ask: dict[str, int], said: dict[str, str]) -> tuple[int, int]:
        """Add a kind; return its number and why it could never start."""
        allowed = self.nodes[number].copy()
        if said["features"]:
            try:
                fits = np.array([satisfies(one.features, said["features"]) for one in self.site.nodes], bool)
            except InvalidWorkload:
                # Features by numbers of nodes and the like: nothing is known that this task could run on.
                return -1, CODES["BadConstraints"]
            allowed &= fits[self.group]
        suits = allowed.copy()
        if ask["gpus"] or ask["node_gpus"]:
            typed = [one.gpus > 0 and admits(said["gpu_type"], one.gpu_type) for one in self.site.cluster.groups]
            allowed &= np.array(typed, bool)[self.group]
            if said["rated"]:
                allowed &= np.array([one == "1" for one in said["rated"]])[self.group]
        reserved = self._times(said["reservation"])
        if said["reservation"]:
            allowed &= np.logical_or.reduce([members for members, _ in reserved])
        recorded = self._members(said["recorded_nodes"])
        if recorded is not None:
            if (recorded & ~self.nodes[number]).any():
                return -1, CODES["BadConstraints"]
            allowed, suits = recorded, suits & recorded
            if ask["dealing"]:
                ask = {**ask, "nodes": int(recorded.sum()), "most": int(recorded.sum()), "per_node": 0}
                ask |= {"tasks": ask["cpus"] // MILLI, "cores": 1}
                if ask["core_memory"] < 0 and ask["node_memory"] < 0 and ask["memory"] > 0:
                    ask["core_memory"] = ask["memory"] // ask["tasks"]
        if not allowed.any():
            return -1, CODES["BadConstraints"]
        shape = self._shape(partition, ask, allowed)
        room = self._room(shape)
        usable = allowed & (room > 0)
        if partition.max_nodes is not None and shape["least"] > partition.max_nodes:
            return -1, CODES["PartitionNodeLimit"]
        if shape["most"] < shape["least"]:
            return -1, CODES["PartitionNodeLimit"]
        if not _hold(room[usable], shape):
            return -1, CODES["BadConstraints"]
        shape["dealt"] = -1
        if recorded is not None and ask["dealing"]:
            shape["dealt"] = len(self.dealt)
            self.dealt.extend(self.dealings[ask["dealing"] - 1].tolist())
        shape["must"] = shape["each"]
        if shape["dealt"] < 0:
            others = (min(shape["most"], ANY_NUMBER) - 1) * int(room[usable].max())
            shape["must"] = max(shape["each"], shape["units"] * shape["size"] - others)
        shape["offer"] = self._offer(number, shape, shape["each"])
        shape["must_offer"] = self._offer(number, shape, shape["must"])
        self.masks.append(usable)
        lasting = [seconds for members, seconds in reserved if _hold(room[usable & members], shape)]
        self.within.append(max(lasting, default=-1.0) if said["reservation"] else np.inf)
        least = np.minimum(shape["size"], ANY_NUMBER) * max(shape["per_node"], 1) * shape["grain"]
        self.suits.append(suits & (self.cpu >= least) & (self.memory >= max(shape["memory"], shape["each_memory"])))
        self.kinds.append((number, *(shape[name] for name in _FIELDS)))
        return len(self.kinds) - 1, NO_REASON

    def _times(self, name: str) -> list[tuple[BoolArray, float]]:
        """Return the nodes and the seconds of each time of a reservation, one for those that repeat; none of none."""
        if name not in self._reserved:
            found = self.site.reservations_called(name) if name else ()
            sets = {hosts: self._set(hosts) for hosts in {one.hosts for one in found}}
            times = {(one.hosts, one.end_time - one.start_time) for one in found}
            self._reserved[name] = [(sets[hosts], seconds) for hosts, seconds in times]
        return self._reserved[name]

    def _set(self, hosts: str) -> BoolArray:
        """Return the nodes of a host list, shape (nodes,)."""
        members = np.zeros(len(self.group), bool)
        members[list(self.site.numbers(hosts))] = True
        return members

    def _offer(self, part: int, shape: dict[str, int], each: int) -> int:
        """Return the number of what decides how much a node offers; tasks of a partition count where it is limited."""
        key = (each, *(shape[name] for name in _OFFERED), part if shape["most_cpu"] < UNLIMITED else -1)
        return self._offers.setdefault(key, len(self._offers))

    def as_dealt(self, workload: Workload, wanted: Requests) -> dict[int, IntArray]:
        """Return how many cores each task had on each of several nodes, by row."""
        sets = [self._members(name) for name in wanted.recorded_nodes.names]
        numbers = [None if members is None else np.flatnonzero(members) for members in sets]
        nodes = [numbers[code] for code in wanted.recorded_nodes.codes.tolist()]
        owning = {one.name for one in self.site.partitions if one.exclusive}
        by_queue = np.array([name in owning for name in workload.queue.names])[workload.queue.codes]
        whole = wanted.exclusive | by_queue | (self.site.placement == "nodes")
        return dealt_cores(workload, wanted, self.site, nodes, whole.tolist())

    def _members(self, hosts: str) -> BoolArray | None:
        """Return the set of nodes of a host list, None for none and for nodes that the site does not have."""
        if not hosts:
            return None
        try:
            return self._set(hosts)
        except InvalidCluster:
            # The log is of another machine: its nodes say nothing here.
            return None

    def _shape(self, partition: Partition, ask: dict[str, int], allowed: BoolArray) -> dict[str, int]:
        """Return the fields of `KIND` beside the partition."""
        whole = bool(ask["exclusive"]) or partition.exclusive or self.site.placement == "nodes"
        shape = {"gpu": 0, "per_node": 0, "each_memory": 0, "each_gpus": 0, "memory": 0}
        if ask["nodes"] or ask["tasks"] or ask["per_node"]:
            shape |= self._as_asked(ask, allowed)
        else:
            shape |= self._compact(ask, allowed)
        shape["whole"] = int(whole)
        shape["least"] = max(shape["least"], partition.min_nodes)
        if partition.max_nodes is not None and shape["least"] <= partition.max_nodes:
            shape["most"] = min(shape["most"], partition.max_nodes)
        if not ask["nodes"]:
            # Each node holds a process at least.
            shape["most"] = max(min(shape["most"], shape["units"], len(self.cpu)), shape["least"])
        shape["wanted"] = shape["most"] if ask["nodes"] else shape["least"]
        shape["most_cpu"] = UNLIMITED
        if partition.max_cores_per_node is not None:
            shape["most_cpu"] = partition.max_cores_per_node * MILLI
        self._ask_memory(shape, partition, ask)
        grains, alone = shape["units"] * shape["size"], shape["least"] == shape["most"]
        shape["each"] = grains if shape["most"] == 1 else max(shape["per_node"], 1) * shape["size"]
        shape["counts_nodes"] = int(alone and (shape["most"] == 1 or shape["units"] <= shape["least"]))
        shape["counts_nodes"] |= int(shape["per_node"] > 0 and shape["wanted"] == shape["least"])
        if self.site.placement == "nodes":
            smallest = int(self.cpu[allowed].min()) // MILLI
            shape["counts_nodes"] = int(shape["wanted"] == shape["least"] and grains <= shape["least"] * smallest)
            shape["each"] = 1
        return shape

    def _room(self, shape: dict[str, int]) -> IntArray:
        """Return how many grains each node would offer if it were empty, shape (nodes,)."""
        room = np.full(len(self.cpu), ANY_NUMBER, np.int64)
        if shape["grain"]:
            room = np.minimum(self.cpu, shape["most_cpu"]) // shape["grain"]
        whole = self.cpu // max(shape["grain"], 1) * shape["memory"] if shape["whole"] else 0
        if shape["memory"] and not shape["whole"]:
            room = np.minimum(room, (self.memory - shape["each_memory"]) // shape["memory"])
        if shape["gpu"]:
            room = np.minimum(room, (self.gpus - shape["each_gpus"]) // shape["gpu"])
        if shape["memory"]:
            room -= room % shape["size"]
        short = (self.memory < shape["each_memory"] + whole) | (self.gpus < shape["each_gpus"])
        if self.site.placement == "nodes":
            room = self.cpu // MILLI
        return np.where(short | (room < shape["each"]), 0, room)

    def _as_asked(self, ask: dict[str, int], allowed: BoolArray) -> dict[str, int]:
        """Read what Slurm's options say: -N, -n, -c, --ntasks-per-node, --gpus-per-node."""
        nodes, per_node, cores = ask["nodes"], ask["per_node"], max(ask["cores"], 1)
        tasks = ask["tasks"] or per_node * nodes or max(nodes, -(-ask["cpus"] // (MILLI * cores)), 1)
        least = max(nodes, -(-tasks // per_node) if per_node else 1, 1)
        shape = {
            "units": tasks,
            "size": cores,
            "grain": MILLI,
            "per_node": per_node,
            "least": least,
            "most": ask["most"] or (least if nodes else ANY_NUMBER),
            "each_gpus": ask["node_gpus"],
        }
        if ask["gpus"] and not ask["node_gpus"]:
            most_gpus = int(self.gpus[allowed].max())
            if nodes:
                shape["each_gpus"] = -(-ask["gpus"] // nodes)
            elif ask["gpus"] <= most_gpus:
                shape |= {"each_gpus": ask["gpus"], "most": 1}
            else:
                return self._compact(ask, allowed)
        return shape

    def _compact(self, ask: dict[str, int], allowed: BoolArray) -> dict[str, int]:
        """Put a task on one node where some could hold it, else on as few as its GPUs need, or spread its cores."""
        gpus, cpu = ask["gpus"] or ask["node_gpus"], ask["cpus"]
        most_gpus, most_cpu = int(self.gpus[allowed].max()), int(self.cpu[allowed].max())
        if gpus > most_gpus > 0:
            nodes = -(-gpus // most_gpus)
            return {"units": gpus, "size": 1, "grain": cpu // gpus, "gpu": 1, "least": nodes, "most": nodes}
        if not gpus and cpu > most_cpu:
            return {"units": -(-cpu // MILLI), "size": 1, "grain": MILLI, "least": 1, "most": ANY_NUMBER}
        return {"units": 1, "size": 1, "grain": cpu, "least": 1, "most": 1, "each_gpus": gpus}

    def _ask_memory(self, shape: dict[str, int], partition: Partition, ask: dict[str, int]) -> None:
        """Say how much memory a process and a node take: as asked, else of the whole task, else by default."""
        site = self.site
        if not site.is_memory_shared_out:
            return
        if ask["node_memory"] >= 0:
            shape["each_memory"] = ask["node_memory"]
        elif ask["core_memory"] >= 0:
            shape["memory"] = _of_grain(ask["core_memory"], shape)
        elif ask["memory"] > 0 and shape["most"] > shape["least"] and not ask["nodes"]:
            # On how many nodes it will be is not known: with each grain goes its part.
            shape["memory"] = -(-ask["memory"] // (shape["units"] * shape["size"]))
        elif ask["memory"] > 0:
            shape["each_memory"] = -(-ask["memory"] // shape["least"])
        else:
            per_core = partition.default_memory_mb_per_core
            per_node = partition.default_memory_mb_per_node
            if per_core is None and per_node is None:
                per_core, per_node = site.default_memory_mb_per_core, site.default_memory_mb_per_node
            if per_core is not None:
                shape["memory"] = _of_grain(int(per_core * KIB_PER_MB), shape)
            elif per_node is not None:
                shape["each_memory"] = int(per_node * KIB_PER_MB)


def _of_grain(kib: int, shape: dict[str, int]) -> int:
    """Return the memory of one grain from that of a core."""
    return kib * shape["grain"] // MILLI


_OFFERED = ("size", "grain", "memory", "gpu", "whole", "each_memory", "each_gpus", "most_cpu")

_SAID = ("features", "gpu_type", "rated", "reservation", "recorded_nodes")

_SHAPE = (
    "cpus", "gpus", "memory", "nodes", "most", "tasks", "cores", "per_node", "node_gpus", "core_memory",
    "node_memory", "exclusive", "dealing",
)  # fmt: skip


def _hold(room: IntArray, shape: dict[str, int]) -> bool:
    """Tell whether nodes, which are empty and offer `room` grains each, could hold a task."""
    largest = np.sort(room)[::-1][: shape["most"]]
    return len(room) >= shape["least"] and int(largest.sum()) >= shape["units"] * shape["size"]


def _not_taken(partition: Partition, account: str, qos: str) -> int:
    """Return why a partition takes no task of an account and QOS, 0 where it does."""
    if partition.state in ("down", "drain"):
        return CODES["PartitionDown"]
    if partition.state == "inactive":
        return CODES["PartitionInactive"]
    if partition.allowed_accounts is not None and account not in partition.allowed_accounts:
        return CODES["AccountNotAllowed"]
    if account in partition.denied_accounts:
        return CODES["AccountNotAllowed"]
    if partition.allowed_qos is not None and qos not in partition.allowed_qos:
        return CODES["QOSNotAllowed"]
    if qos in partition.denied_qos:
        return CODES["QOSNotAllowed"]
    return NO_REASON


def as_words(members: BoolArray) -> IntArray:
    """Return sets of nodes, shape (k, nodes), as words of 64 bits each, shape (k, words)."""
    count, nodes = members.shape
    words = max(-(-nodes // WORD), 1)
    padded = np.zeros((count, words * WORD), bool)
    padded[:, :nodes] = members
    return np.packbits(padded, axis=1, bitorder="little").view(np.int64).reshape(count, words)
