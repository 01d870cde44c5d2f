"""What sending data between tasks takes on a cluster: nothing on one node, latency + MB / bandwidth between two."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray
from scheduler_sim.engine.workloads.paths import longest_paths_over
from scheduler_sim.engine.workloads.workload import Parents, Workload


@dataclass(frozen=True, eq=False)
class Transfers:
    """What each dependency sends, and how long that takes between nodes of each two groups.

    What a task on several nodes makes lies on the first of them, and what it needs is sent there.

    Attributes:
        parents: of the workload. mb: what each of them sends, shape (edges,).
        latency, per_mb: seconds, and seconds a MB, shape (groups, groups); between different nodes of one group on the
            diagonal.
        counts: shape (groups,), nodes of each group.
    """

    parents: Parents
    mb: FloatArray
    latency: FloatArray
    per_mb: FloatArray
    counts: IntArray

    @classmethod
    def of(cls, workload: Workload, cluster: Cluster) -> Self | None:
        """Return them, None where none takes any time: nothing is sent, there is no network, or only one node."""
        if workload.parents.mb is None or cluster.network is None or cluster.nodes < 2:
            return None
        latency, per_mb = cluster.network.between([group.name for group in cluster.groups])
        counts = np.array([group.count for group in cluster.groups], np.int64)
        return cls(workload.parents, workload.parents.mb, latency, per_mb, counts)

    def seconds(self, edge: int, there: int, here: int) -> float:
        """Return what one dependency takes from a node of the group `there` to another node, of the group `here`."""
        mb = float(self.mb[edge])
        return float(self.latency[there, here] + mb * self.per_mb[there, here]) if mb > 0 else 0.0

    def mean_seconds(self) -> FloatArray:
        """Return what each dependency takes on average over all pairs of different nodes, shape (edges,)."""
        pairs = np.outer(self.counts, self.counts) - np.diag(self.counts)
        latency, per_mb = ((one * pairs).sum() / pairs.sum() for one in (self.latency, self.per_mb))
        seconds: FloatArray = np.where(self.mb > 0, latency + self.mb * per_mb, 0.0)
        return seconds

    def optimistic_costs(self, seconds: FloatArray) -> FloatArray:
        """Return PEFT's table, shape (n, groups): the least from the end of a task in a group to the end of all.

        OCT(i, p) = max over children j of min over processors q of (OCT(j, q) + seconds(j, q) + transfer from p to q)
        (Arabnejad & Barbosa 2014, equation 4). Another node of the same group is never better than the same node, so
        that a column a group says it of every node.

        Args:
            seconds: that each task takes in each group, shape (n, groups), inf where it cannot run.
        """
        offsets, rows = self.parents.offsets, self.parents.rows
        children = np.bincount(rows, minlength=len(seconds))
        found: FloatArray = longest_paths_over(
            np.zeros(len(seconds)), seconds, children, offsets, rows, self.mb, self.latency, self.per_mb
        )
        return found

    def earliest_finish(self, arrival: FloatArray, seconds: FloatArray) -> FloatArray:
        """Return when each task can finish at the earliest, on nodes that nobody else uses, shape (n,).

        Args:
            arrival: shape (n,).
            seconds: that each task takes in each group, shape (n, groups), inf where it cannot run.
        """
        offsets, children = self.parents.children()
        by_parent = np.argsort(self.parents.rows, kind="stable")
        reached = longest_paths_over(
            arrival,
            seconds,
            np.diff(self.parents.offsets),
            offsets,
            children,
            self.mb[by_parent],
            self.latency,
            self.per_mb,
        )
        finish: FloatArray = (reached + seconds).min(axis=1)
        return finish
