"""How fast a task runs on the GPUs of each node group, and on which it can: by its rates, else by their speed."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.slices import admits, rated_as
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray, Labels
from scheduler_sim.engine.workloads.workload import Workload


@dataclass(frozen=True, eq=False)
class Paces:
    """Seconds of a task's run time that pass in one second on the GPUs of each node group.

    A task whose type has rates takes work / rate on a kind of GPU, whatever its run time is of; it has none on a kind
    of which its rate is 0 or not known. All others take run time / `gpu_speed`, and so do split tasks.

    Attributes:
        gpu: shape (k, groups), above 0 also where a task cannot run.
        possible: shape (k, groups), where it can as far as its rates go.
        row: shape (n,), the row of each task in both.
        rated: shape (n,), tasks whose rates count.
    """

    gpu: FloatArray
    possible: BoolArray
    row: IntArray
    rated: BoolArray

    @classmethod
    def of(cls, workload: Workload, cluster: Cluster) -> Self:
        """Read them from a workload's throughputs; a cluster without any of their kinds goes by `gpu_speed` alone."""
        n, speed = len(workload), cluster.of_groups("gpu_speed")
        table = workload.throughputs
        known = () if table is None else table.kinds
        kinds = [rated_as(group.gpu_type or group.name, known) if group.gpus else None for group in cluster.groups]
        rated = np.zeros(n, bool)
        if table is None or not any(kinds):
            every = np.ones((1, len(kinds)), bool)
            return cls(speed[None, :], every, np.zeros(n, np.int64), rated)
        found = table.of(workload.group, workload.gpus)
        rated = ~np.isnan(found).all(1) & ~workload.hybrid & (workload.size > 0) & (workload.runtime > 0)
        place = [-1 if kind is None else table.kinds.index(kind) for kind in kinds]
        # Behind the known kinds one that nobody has a rate on.
        rate = np.nan_to_num(np.column_stack([found, np.zeros(n)])[:, place])
        possible = (rate > 0) | ~rated[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            pace = rate * (workload.runtime / workload.size)[:, None]
        pace = np.where(rated[:, None] & possible, pace, speed)
        distinct, row = np.unique(np.column_stack([pace, possible]), axis=0, return_inverse=True)
        gpu, allowed = np.split(distinct, 2, axis=1)
        return cls(np.ascontiguousarray(gpu), allowed > 0, row.reshape(-1).astype(np.int64), rated)

    def on(self, group: int) -> FloatArray:
        """Return the pace of each task on the GPUs of one node group, shape (n,)."""
        pace: FloatArray = self.gpu[self.row, group]
        return pace


def kinds_allowed(workload: Workload, cluster: Cluster) -> tuple[Labels, BoolArray]:
    """Return what kinds of GPU each task may use: labels, and for each of these which node groups have such.

    A task names them as `A|B`, an empty text allows all whole GPUs; its rates may allow fewer.

    Returns:
        Labels of shape (n,), and admission of shape (labels, groups).
    """
    rows = [
        [group.gpus > 0 and admits(text, group.gpu_type) for group in cluster.groups]
        for text in workload.gpu_type.names
    ]
    named = np.array(rows, bool).reshape(len(rows), len(cluster.groups))
    paces = Paces.of(workload, cluster)
    if not paces.rated.any():
        return workload.gpu_type, named
    allowed = named[workload.gpu_type.codes] & paces.possible[paces.row]
    pairs = np.column_stack([workload.gpu_type.codes, allowed])
    distinct, label = np.unique(pairs, axis=0, return_inverse=True)
    admission = distinct[:, 1:] > 0
    types = np.array([group.gpu_type or group.name for group in cluster.groups], object)
    texts = tuple("|".join(dict.fromkeys(types[row])) for row in admission)
    return Labels(codes=label.reshape(-1).astype(np.int64), names=texts), admission
