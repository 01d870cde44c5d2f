"""Whether a cluster can hold the tasks that a trace recorded, when it recorded them: a necessary condition."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.demand import KIB_PER_MB, UNLIMITED, Demands, NodeGroups, demands, in_units
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.sites import Partition, Site
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Workload

LOG_RESOLUTION = 1.0
"""Seconds: logs state whole ones, so that what lies no further apart than this is the same instant."""


@dataclass(frozen=True, eq=False)
class Overfull:
    """A part of the cluster of which the recorded schedule holds more than there is.

    Attributes:
        resource: `cores`, `GPUs`, `MB` or `nodes`.
        where: which nodes, as the end of a sentence; empty for all.
        time: the first instant at which too much is held. held, there: how much then, and how much there is.
        rows: the tasks that were recorded to start while too much was held, by that start.
    """

    resource: str
    where: str
    time: float
    held: float
    there: float
    rows: IntArray


def overfull(workload: Workload, ground: Cluster | Site) -> list[Overfull]:
    """Return the parts of the cluster that are too small for the recorded schedule, the earliest first.

    At every recorded start s the tasks with r <= s < r + runtime, r their recorded start, must fit, in sum: on all
    nodes; on the nodes with the GPUs that they ask for; and on the nodes that are large enough for them. That is
    necessary, not sufficient: tasks may still find no single node with room. Tasks that may be split between CPU and
    GPU, and tasks that do not fit the empty cluster, are not counted. What ends within `LOG_RESOLUTION` after a start
    counts as ended, because logs round. Outages are not looked at.

    On a site the sums are over the nodes of the partitions that tasks name: cores, GPUs, memory
    where it is shared out, and nodes of tasks that have theirs for themselves. Tasks in partitions that the site does
    not have are not counted, and neither are cores of partitions that let several jobs share one.
    """
    groups = NodeGroups.of(ground.cluster if isinstance(ground, Site) else ground)
    start = workload.recorded_start_time
    end = start + workload.runtime - LOG_RESOLUTION
    counted = ~np.isnan(start) & (end > start) & ~workload.hybrid
    if isinstance(ground, Site):
        parts = _parts_of_site(workload, ground, groups)
    else:
        asked = demands(workload, ground)
        counted &= asked.fits
        parts = _parts(workload, asked, groups)
    rows = np.flatnonzero(counted)
    sweep = _Sweep.of(rows, start[rows], end[rows])
    found = []
    for part in parts:
        over = sweep.over(part.amount[rows] * part.chosen[rows], part.there)
        if over is not None:
            time, held, late = over
            found.append(Overfull(part.resource, part.where, time, held / part.unit, part.there / part.unit, late))
    return sorted(found, key=lambda one: one.time)


@dataclass(frozen=True, eq=False)
class _Part:
    """A sum that must hold: what the chosen tasks hold of a resource is at most `there`, in 1/unit."""

    resource: str
    where: str
    amount: IntArray
    chosen: BoolArray
    there: int
    unit: int


def _parts(workload: Workload, asked: Demands, groups: NodeGroups) -> Iterator[_Part]:
    every, every_group = np.ones(len(workload), bool), np.ones(len(groups.cpu), bool).tobytes()
    cores, gpus = groups.cpu * groups.count, groups.gpus * groups.count
    yield _Part("cores", "", asked.cpu, every, int(cores.sum()), MILLI)
    yield _Part("GPUs", "", asked.gpu, every, int(gpus.sum()) * MILLI, MILLI)
    if (groups.memory < UNLIMITED).all():
        yield _Part("MB", "", asked.memory, every, int((groups.memory * groups.count).sum()), KIB_PER_MB)
    # Tasks whose GPUs lie in some node groups can only use those, and so can all that are bound to fewer of them.
    needs_gpus, seen = asked.gpu > 0, {every_group}
    for text, allowed in zip(asked.kinds.names, asked.allowed, strict=True):
        within = needs_gpus & ~(asked.allowed & ~allowed).any(axis=1)[asked.kinds.codes]
        if not within.any() or allowed.tobytes() in seen:
            continue
        seen.add(allowed.tobytes())
        where = f"on nodes with {text.replace('|', ' or ')} GPUs" if text else "on nodes with GPUs"
        yield _Part("GPUs", where, asked.gpu, within, int(gpus[allowed].sum()) * MILLI, MILLI)
        yield _Part("cores", where, asked.cpu, within, int(cores[allowed].sum()), MILLI)
    # Whole nodes for tasks over several, all of it for the others.
    on_one_node = np.where(asked.full_nodes > 0, asked.full_cpu, asked.cpu)
    for size in np.unique(groups.cpu)[:-1].tolist():
        larger = groups.cpu > size
        where = f"on nodes of more than {size // MILLI:,} cores"
        held = np.where(asked.full_nodes > 0, asked.full_nodes * asked.full_cpu, asked.cpu)
        yield _Part("cores", where, held, on_one_node > size, int(cores[larger].sum()), MILLI)


def _parts_of_site(workload: Workload, site: Site, groups: NodeGroups) -> Iterator[_Part]:
    wanted = workload.requests if workload.requests is not None else Requests.blank(len(workload))
    group = np.repeat(np.arange(len(groups.cpu)), groups.count)
    cpu, gpu = in_units(workload.cpus, MILLI), in_units(workload.gpus, MILLI)
    memory = in_units(workload.memory_mb, KIB_PER_MB)
    # Each pair of a queue and a list of partitions that occurs is one way of naming partitions.
    lists = wanted.partitions.names
    pairs, named = np.unique(workload.queue.codes * len(lists) + wanted.partitions.codes, return_inverse=True)
    texts = [lists[pair % len(lists)] or workload.queue.names[pair // len(lists)] for pair in pairs.tolist()]
    choices = [_partitions(site, text) for text in texts]
    nodes = [_nodes_of(site, chosen) for chosen in choices]
    seen = set()
    for chosen, mask in zip(choices, nodes, strict=True):
        if not chosen or mask.tobytes() in seen:
            continue
        seen.add(mask.tobytes())
        within = np.array(
            [bool(theirs) and not (own & ~mask).any() for theirs, own in zip(choices, nodes, strict=True)]
        )
        alone = np.array([site.placement == "nodes" or all(one.exclusive for one in theirs) for theirs in choices])
        shared = np.array([any(one.oversubscribe > 1 for one in theirs) for theirs in choices])
        inside, there = within[named], group[mask]
        where = f"in {'partition' if len(chosen) == 1 else 'partitions'} {', '.join(one.name for one in chosen)}"
        if not shared[within].any():
            yield _Part("cores", where, cpu, inside, int(groups.cpu[there].sum()), MILLI)
        yield _Part("GPUs", where, gpu, inside, int(groups.gpus[there].sum()) * MILLI, MILLI)
        if site.is_memory_shared_out and (groups.memory[there] < UNLIMITED).all():
            yield _Part("MB", where, memory, inside, int(groups.memory[there].sum()), KIB_PER_MB)
        largest = max(int(groups.cpu[there].max()), 1)
        least = np.maximum(np.maximum(wanted.nodes, -(-cpu // largest)), 1)
        yield _Part("nodes", where, least, inside & (alone[named] | wanted.exclusive), int(mask.sum()), 1)


def _partitions(site: Site, names: str) -> tuple[Partition, ...]:
    """Return the partitions that names with commas between them stand for, by default the site's; none if unknown."""
    if not names:
        return tuple(one for one in site.partitions if one.is_default)
    known = {one.name: one for one in site.partitions}
    wanted = [name.strip() for name in names.split(",")]
    return tuple(known[name] for name in wanted) if all(name in known for name in wanted) else ()


def _nodes_of(site: Site, partitions: tuple[Partition, ...]) -> BoolArray:
    mask = np.zeros(site.cluster.nodes, bool)
    for one in partitions:
        mask[list(site.numbers(one.hosts))] = True
    return mask


@dataclass(frozen=True, eq=False)
class _Sweep:
    """Starts and ends of tasks in the order of time, ends first.

    Attributes:
        rows: the tasks. order: of starts, then ends, one array after the other.
        times: of the events in order. starts: which of them are starts.
    """

    rows: IntArray
    order: IntArray
    times: FloatArray
    starts: BoolArray

    @classmethod
    def of(cls, rows: IntArray, start: FloatArray, end: FloatArray) -> "_Sweep":
        times = np.concatenate((end, start))
        is_start = np.arange(len(times)) >= len(end)
        order = np.lexsort((is_start, times))
        return cls(rows=rows, order=order, times=times[order], starts=is_start[order])

    def over(self, amount: IntArray, there: int) -> tuple[float, int, IntArray] | None:
        """Return the first instant with more than `there`, how much that is, and the tasks that start while it is so.

        What starts at one instant starts together: the amount is that after all of it.
        """
        level = np.cumsum(np.concatenate((-amount, amount))[self.order])
        settled = np.append(self.times[1:] != self.times[:-1], True) if len(self.times) else np.zeros(0, bool)
        places = np.flatnonzero(settled & (level > there))
        if not len(places):
            return None
        # A start that takes the level above what is there, and all that start while it is above.
        late = self.order[self.starts & (level > there)] - len(amount)
        late = late[amount[late] > 0]
        return float(self.times[places[0]]), int(level[places[0]]), self.rows[late]
