"""What tasks ask of nodes, as whole numbers, so that nothing drifts while it is taken and given back."""

from dataclasses import dataclass, replace

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.paces import kinds_allowed
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.errors import InvalidWorkload, OversizedTasks
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Labels, Workload

KIB_PER_MB = 1024
"""Memory is counted in KiB; a MB is a MiB here, as in Slurm and Kubernetes."""

UNLIMITED = 2**62
"""The memory of a node that does not limit it, in KiB."""

_LARGEST = 2**44
"""Demands beyond this are cut here: no cluster has as much, and products stay within 64 bits."""

_ROUNDING = 1e-6
"""A product such as 0.1 * 1000 may exceed the whole number by a rounding error; it must not cost a thousandth."""


@dataclass(frozen=True, eq=False)
class NodeGroups:
    """The node groups as columns, shape (groups,): thousandths of cores, GPUs, KiB of memory, first node, count."""

    cpu: IntArray
    gpus: IntArray
    memory: IntArray
    first: IntArray
    count: IntArray

    @classmethod
    def of(cls, cluster: Cluster) -> "NodeGroups":
        """Read the columns from a cluster."""
        count = np.array([group.count for group in cluster.groups], np.int64)
        memory = [
            UNLIMITED if group.memory_mb is None else int(min(group.memory_mb * KIB_PER_MB, 2 * _LARGEST))
            for group in cluster.groups
        ]
        return cls(
            cpu=np.array([group.cores * MILLI for group in cluster.groups], np.int64),
            gpus=np.array([group.gpus for group in cluster.groups], np.int64),
            memory=np.array(memory, np.int64),
            first=np.concatenate(([0], np.cumsum(count)[:-1])).astype(np.int64),
            count=count,
        )


@dataclass(frozen=True, eq=False)
class Demands:
    """What n tasks ask for, shape (n,).

    Attributes:
        cpu: thousandths of cores.
        gpu: thousandths of GPUs.
        memory: KiB.
        full_nodes: how many whole nodes a gang takes, 0 for a task that one node holds.
        full_cpu, full_gpus, full_memory: what a gang takes on each of them (GPUs as a count).
        cpu_gang: a gang without GPUs, which takes whole nodes by their cores.
        last_cpu, last_gpu, last_memory: what it takes on the remaining node; all of it for a task on one node.
        kinds: labels of the kinds of GPU that each may use. allowed: shape (labels, groups); which groups have such.
        fits: it can start on the empty cluster.
        cpu_usable, gpu_usable, both_usable: a hybrid task can run its CPU side, its GPU side, both on one node.
    """

    cpu: IntArray
    gpu: IntArray
    memory: IntArray
    full_nodes: IntArray
    full_cpu: IntArray
    full_gpus: IntArray
    full_memory: IntArray
    cpu_gang: BoolArray
    last_cpu: IntArray
    last_gpu: IntArray
    last_memory: IntArray
    kinds: Labels
    allowed: BoolArray
    fits: BoolArray
    cpu_usable: BoolArray
    gpu_usable: BoolArray
    both_usable: BoolArray


def in_units(values: FloatArray, unit: int) -> IntArray:
    """Return `values` in 1/unit, rounded up."""
    return np.minimum(np.ceil(np.maximum(values * unit - _ROUNDING, 0.0)), _LARGEST).astype(np.int64)


def demands(workload: Workload, cluster: Cluster) -> Demands:
    """Work out what every task asks for and whether the empty cluster could start it."""
    groups = NodeGroups.of(cluster)
    cpu, gpu = in_units(workload.cpus, MILLI), in_units(workload.gpus, MILLI)
    memory = in_units(workload.memory_mb, KIB_PER_MB)
    kinds, allowed = kinds_allowed(workload, cluster)
    label = kinds.codes
    of_label = np.where(allowed, groups.gpus, 0).max(axis=1)
    largest_gpus = of_label[label] if len(label) else np.zeros(0, np.int64)
    largest_cpu = int(groups.cpu.max())
    rigid = ~workload.hybrid
    gpu_gang = rigid & (gpu > largest_gpus * MILLI) & (largest_gpus > 0)
    cpu_gang = rigid & (gpu == 0) & (cpu > largest_cpu) & (largest_cpu > 0)
    full_gpus = np.where(gpu_gang, largest_gpus, 0)
    unit = np.where(gpu_gang, full_gpus * MILLI, largest_cpu)
    whole = np.where(gpu_gang, gpu, cpu)
    gang = gpu_gang | cpu_gang
    full_nodes = np.where(gang, whole // np.maximum(unit, 1), 0)
    rest = np.where(gang, whole - full_nodes * unit, whole)

    def share(amount: IntArray, part: IntArray) -> IntArray:
        # amount * part / whole in two steps, rounded up, so that the product stays within 64 bits.
        safe = np.maximum(whole, 1)
        quotient, remainder = amount // safe, amount % safe
        return quotient * part + -(-(remainder * np.minimum(part, _LARGEST)) // safe)

    small = whole < 2**31
    full_cpu = np.where(gang & small, share(cpu, unit), 0)
    full_memory = np.where(gang & small, share(memory, unit), 0)
    last_cpu = np.where(gang & small, share(cpu, rest), cpu)
    last_memory = np.where(gang & small, share(memory, rest), memory)
    last_gpu = np.where(gpu_gang, rest, gpu)
    full_cpu = np.where(cpu_gang, largest_cpu, full_cpu)
    last_cpu = np.where(cpu_gang, rest, last_cpu)

    def holds(group: int, need_cpu: IntArray, need_gpu: IntArray, need_memory: IntArray) -> BoolArray:
        typed = (need_gpu == 0) | allowed[label, group]
        held: BoolArray = (
            typed
            & (need_cpu <= groups.cpu[group])
            & (need_gpu <= groups.gpus[group] * MILLI)
            & (need_memory <= groups.memory[group])
        )
        return held

    nothing = np.zeros(len(workload), np.int64)
    open_nodes, single = nothing.copy(), np.zeros(len(workload), bool)
    last_fits = np.zeros(len(workload), bool)
    cpu_usable, gpu_usable, both_usable = single.copy(), single.copy(), single.copy()
    for group in range(len(cluster.groups)):
        single |= holds(group, cpu, gpu, memory)
        whole_node = np.where(gpu_gang, groups.gpus[group] == full_gpus, groups.cpu[group] == largest_cpu)
        qualifies = whole_node & holds(group, full_cpu, full_gpus * MILLI, full_memory)
        taken = np.where(qualifies, np.clip(full_nodes - open_nodes, 0, groups.count[group]), 0)
        last_fits |= (taken < groups.count[group]) & holds(group, last_cpu, last_gpu, last_memory)
        open_nodes += np.where(qualifies, groups.count[group], 0)
        if workload.hybrid.any():
            cpu_usable |= (cpu > 0) & holds(group, cpu, nothing, memory)
            gpu_usable |= (gpu > 0) & holds(group, nothing, gpu, memory)
            both_usable |= (cpu > 0) & (gpu > 0) & holds(group, cpu, gpu, memory)
    fits_gang = small & (open_nodes >= full_nodes) & (last_fits | (rest == 0))
    fits = np.where(workload.hybrid, cpu_usable | gpu_usable, np.where(gang, fits_gang, single))
    return Demands(
        cpu=cpu,
        gpu=gpu,
        memory=memory,
        full_nodes=full_nodes,
        full_cpu=full_cpu,
        full_gpus=full_gpus,
        full_memory=full_memory,
        cpu_gang=cpu_gang,
        last_cpu=last_cpu,
        last_gpu=last_gpu,
        last_memory=last_memory,
        kinds=kinds,
        allowed=allowed,
        fits=fits,
        cpu_usable=cpu_usable & workload.hybrid,
        gpu_usable=gpu_usable & workload.hybrid,
        both_usable=both_usable & workload.hybrid,
    )


def not_for_pool(workload: Workload) -> str | None:
    """Return the sentence that says why a pool of processors cannot play a workload, None where it can."""
    if workload.parents.count or workload.hybrid.any() or workload.gpus.any():
        return "A pool of processors plays rigid tasks without GPUs and dependencies only."
    if (workload.cpus != np.floor(workload.cpus)).any():
        return "A pool of processors plays tasks that need whole processors only."
    return None


def check_pool(workload: Workload, processors: int) -> None:
    """Refuse tasks that a pool of `processors` cannot play.

    Raises:
        InvalidWorkload: dependencies, GPUs, fractions of processors, or tasks larger than the pool.
    """
    refusal = not_for_pool(workload)
    if refusal is None and len(workload) and workload.cpus.max() > processors:
        refusal = f"A task needs {workload.cpus.max():.0f} processors and the pool has {processors}."
    if refusal is not None:
        raise InvalidWorkload(refusal)


def refuse_oversized(workload: Workload, cluster: Cluster, asked: Demands) -> None:
    """Refuse tasks that the empty cluster could not start.

    Raises:
        OversizedTasks: there are such tasks; the first numbers are named.
    """
    if not asked.fits.all():
        rows = np.flatnonzero(~asked.fits)
        numbers = tuple(workload.task_id[rows[:5]].tolist())
        raise OversizedTasks(f"{len(rows)} tasks do not fit cluster {cluster.name}.", count=len(rows), task_ids=numbers)


def possible_fractions(
    fraction: FloatArray,
    hybrid: BoolArray,
    on_gpu: BoolArray,
    cpu_usable: BoolArray,
    gpu_usable: BoolArray,
    both_usable: BoolArray,
) -> FloatArray:
    """Return the GPU fractions that tasks really take when `fraction` is wanted, shape (n,) as all that is given.

    Where no node can hold the GPU side it is 0, where none can hold the CPU side 1; where none can hold both, 0.5 and
    more become 1 and less 0 (`Demands` says what is usable). Of rigid tasks it is 1 when they hold GPUs and else 0.
    """
    taken = fraction.copy()
    taken[(taken > 0) & ~gpu_usable] = 0.0
    taken[(taken < 1) & ~cpu_usable] = 1.0
    apart = (taken > 0) & (taken < 1) & ~both_usable
    taken[apart] = np.where(taken[apart] >= 0.5, 1.0, 0.0)
    return np.where(hybrid, taken, on_gpu)


def task_kinds(*asked: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Number the kinds of tasks that ask for the same in every column of `asked`, shape (n,) each.

    Returns:
        The kind of each task, shape (n,), counted from 0 in ascending order of the columns; and of each kind its first
        row and how many tasks are of it.
    """
    code = np.zeros(len(asked[0]), np.int64)
    for column in asked:
        # Small numbers in the order of the rows so far: far quicker to sort than the rows themselves.
        values, number = np.unique(column, return_inverse=True)
        code = np.unique(code * len(values) + number, return_inverse=True)[1]
    _, rows, kinds, counts = np.unique(code, return_index=True, return_inverse=True, return_counts=True)
    return kinds, rows, counts


@dataclass(frozen=True, eq=False)
class GpuNeeds:
    """What tasks need of GPUs, as fragmentation counts it: every kind of task, however rare.

    Tasks with one need differ in their cores only, so that one look at a node's GPUs does for all of them; those
    without GPUs are one need.

    Attributes:
        needs: shape (k, 5): whole GPUs, thousandths of a shared one, a number for the set of nodes that admit them,
            and where their part of the next two begins and ends.
        cores: thousandths of cores asked for, ascending in each part.
        tasks: how many tasks of the need ask for at most that.
    """

    needs: IntArray
    cores: IntArray
    tasks: IntArray

    @classmethod
    def of(cls, cpu: IntArray, gpu: IntArray, nodes: IntArray) -> "GpuNeeds":
        """Sort n tasks by what they ask for: thousandths of cores and GPUs, and the number of a set of nodes."""
        _, rows, counts = task_kinds(gpu, nodes, cpu)
        first = np.ones(len(rows), bool)
        first[1:] = (gpu[rows[1:]] != gpu[rows[:-1]]) | (nodes[rows[1:]] != nodes[rows[:-1]])
        begins = np.flatnonzero(first)
        ends = np.append(begins[1:], len(rows))[: len(begins)]
        up_to = np.cumsum(counts)
        before = np.repeat(up_to[begins] - counts[begins], ends - begins)
        kinds = rows[begins]
        needs = np.column_stack([gpu[kinds] // MILLI, gpu[kinds] % MILLI, nodes[kinds], begins, ends])
        return cls(needs.astype(np.int64), cpu[rows], up_to - before)

    def lost_without_gpus(self) -> "GpuNeeds":
        """Return the needs with tasks without GPUs fitting nowhere, so that all idle GPUs are lost to them."""
        without = (self.needs[:, :2] == 0).all(axis=1)
        sizes = self.needs[:, 4] - self.needs[:, 3]
        return replace(self, cores=np.where(np.repeat(without, sizes), UNLIMITED, self.cores))


def most_pieces(cluster: Cluster, asked: Demands) -> tuple[int, int]:
    """Return bounds on how many pieces of running tasks there are at once in the cluster, and on one node."""
    groups = NodeGroups.of(cluster)

    def smallest(*columns: IntArray) -> int:
        values = [int(column[column > 0].min()) for column in columns if (column > 0).any()]
        return min(values, default=2**62)

    cpu, gpu = smallest(asked.cpu, asked.last_cpu), smallest(asked.gpu, asked.last_gpu)
    here = groups.cpu // cpu + groups.gpus * MILLI // gpu
    total = int((here * groups.count).sum()) + cluster.nodes
    everything = len(asked.cpu) + int(asked.full_nodes.sum())
    return min(total, everything) + 1, min(int(here.max()) + 1, everything)
