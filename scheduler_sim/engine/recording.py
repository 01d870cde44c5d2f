"""Whether a cluster can hold the tasks that a trace recorded, when it recorded them: a necessary condition."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.cluster import Cluster
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.columns import BoolArray, FloatArray, IntArray
from scheduler_sim.engine.demand import KIB_PER_MB, UNLIMITED, Demands, NodeGroups, demands
from scheduler_sim.engine.workload import Workload

LOG_RESOLUTION = 1.0
"""Seconds: logs state whole ones, so that what lies no further apart than this is the same instant."""


@dataclass(frozen=True, eq=False)
class Overfull:
    """A part of the cluster of which the recorded schedule holds more than there is.

    Attributes:
        resource: `cores`, `GPUs` or `MB`.
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


def overfull(workload: Workload, cluster: Cluster) -> list[Overfull]:
    """Return the parts of the cluster that are too small for the recorded schedule, the earliest first.

    At every recorded start s the tasks with r <= s < r + runtime, r their recorded start, must fit, in sum: on all
    nodes; on the nodes with the GPUs that they ask for; and on the nodes that are large enough for them. That is
    necessary, not sufficient: tasks may still find no single node with room. Tasks that may be split between CPU and
    GPU, and tasks that do not fit the empty cluster, are not counted. What ends within `LOG_RESOLUTION` after a start
    counts as ended, because logs round. Outages are not looked at.
    """
    asked, groups = demands(workload, cluster), NodeGroups.of(cluster)
    start = workload.recorded_start_time
    end = start + workload.runtime - LOG_RESOLUTION
    counted = ~np.isnan(start) & (end > start) & ~workload.hybrid & asked.fits
    rows = np.flatnonzero(counted)
    sweep = _Sweep.of(rows, start[rows], end[rows])
    found = []
    for part in _parts(workload, asked, groups):
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
    for text, allowed in zip(workload.gpu_type.names, asked.allowed, strict=True):
        within = needs_gpus & ~(asked.allowed & ~allowed).any(axis=1)[workload.gpu_type.codes]
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
