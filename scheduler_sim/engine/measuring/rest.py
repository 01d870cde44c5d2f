"""When nodes slept and woke in a schedule, told from when tasks held them, and what that took less of energy.

A node that nothing holds sleeps `suspend_time` after the last task on it. A task that gets a node which sleeps holds it
from `resume_time` before its start on, while it wakes; so the starts and ends of tasks on a node tell all.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.numerics.spans import held_by_window, window_of
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Rest:
    """Spells in which nodes slept, shape (k,), and those in which they woke, shape (w,).

    Attributes:
        asleep_node, asleep_start, asleep_end: a node's number and seconds; infinity for who sleeps to the end.
        awake_node, waking_start, waking_end: the same of waking.
        woken_start: starts that waited until a node was awake, seconds, one an attempt.
        asleep_less: watts that a node draws less asleep than idle, shape (k,).
        waking_more: watts that it draws more while it wakes than idle, shape (w,).
        states_watts: whether the cluster says what its devices draw.
    """

    asleep_node: IntArray
    asleep_start: FloatArray
    asleep_end: FloatArray
    awake_node: IntArray
    waking_start: FloatArray
    waking_end: FloatArray
    woken_start: FloatArray
    asleep_less: FloatArray
    waking_more: FloatArray
    states_watts: bool

    @classmethod
    def of(cls, simulation: Simulation) -> Self:
        """Read from a simulation when its nodes slept; of gangs that still run only their lowest node counts."""
        cluster, workload = simulation.cluster, simulation.workload
        spans, gangs = simulation.spans(), simulation.gangs().pieces()
        begin = float(workload.arrival_time[0]) if len(workload) else 0.0
        node = np.concatenate((spans.node, gangs.node))
        start = np.concatenate((spans.start_time, gangs.start_time))
        end = np.concatenate((spans.end_time, gangs.end_time))
        row = np.concatenate((spans.row, gangs.row))
        order = np.lexsort((start, node))
        node, start, end, row = node[order], start[order], end[order], row[order]
        nodes = np.arange(cluster.nodes)
        first = np.searchsorted(node, np.arange(cluster.nodes + 1))
        since = np.full(len(node), begin)
        last = np.full(cluster.nodes, begin)
        for number in np.flatnonzero(np.diff(first)):
            latest = np.maximum.accumulate(end[first[number] : first[number + 1]])
            since[first[number] + 1 : first[number + 1]] = latest[:-1]
            last[number] = latest[-1]
        group = cluster.group_of_nodes()
        after = [np.inf if one.sleep is None else one.sleep.suspend_time for one in cluster.groups]
        after_idle = np.array(after, np.float64)[group]
        falls = since + after_idle[node]
        # In this form a rounding of the start never hides that it waited.
        woken = np.flatnonzero(falls + cluster.resume_time <= start)
        waking_start = np.maximum(start[woken] - cluster.resume_time, falls[woken])
        waited = np.unique(_keys(row, start)[np.isin(_keys(node, start), _keys(node[woken], start[woken]))])
        sleeps = last + after_idle < np.inf
        asleep_node = np.concatenate((node[woken], nodes[sleeps]))
        less, more = _watts(cluster)
        return cls(
            asleep_node=asleep_node,
            asleep_start=np.concatenate((falls[woken], (last + after_idle)[sleeps])),
            asleep_end=np.concatenate((waking_start, np.full(int(sleeps.sum()), np.inf))),
            awake_node=node[woken],
            waking_start=waking_start,
            waking_end=start[woken],
            woken_start=waited.imag,
            asleep_less=less[group[asleep_node]],
            waking_more=more[group[node[woken]]],
            states_watts=cluster.states_watts,
        )

    def asleep_time(self, edges: FloatArray) -> FloatArray:
        """Return the node-seconds asleep in each window."""
        return held_by_window(self.asleep_start, self.asleep_end, np.ones(len(self.asleep_node)), edges)

    def wakes(self, edges: FloatArray) -> FloatArray:
        """Return how many nodes were awake again in each window."""
        return _counted(self.waking_end, edges)

    def woken_starts(self, edges: FloatArray) -> FloatArray:
        """Return how many tasks started in each window that had waited until a node was awake."""
        return _counted(self.woken_start, edges)

    def saved_joules(self, edges: FloatArray) -> FloatArray:
        """Return what nodes drew less in each window than if they had stayed idle; NaN where watts are not stated."""
        if not self.states_watts:
            return np.full(len(edges) - 1, np.nan)
        slept = held_by_window(self.asleep_start, self.asleep_end, self.asleep_less, edges)
        return slept - held_by_window(self.waking_start, self.waking_end, self.waking_more, edges)

    def steps(self) -> tuple[FloatArray, FloatArray]:
        """Return when what idle nodes draw changes because they sleep or wake, and by how many watts."""
        times = np.concatenate((self.asleep_start, self.asleep_end, self.waking_start, self.waking_end))
        return times, np.concatenate((-self.asleep_less, self.asleep_less, self.waking_more, -self.waking_more))


def _keys(node: IntArray, time: FloatArray) -> Any:
    """Return nodes or rows, and times, as one value each, which is alike only where both are."""
    return node + 1j * time


def _counted(times: FloatArray, edges: FloatArray) -> FloatArray:
    window = window_of(times, edges)
    return np.bincount(window[window >= 0], minlength=len(edges) - 1).astype(np.float64)


def _watts(cluster: Cluster) -> tuple[FloatArray, FloatArray]:
    """Return what a node of each group draws less asleep, and more while it wakes, than idle, shape (groups,) each."""
    less, more = np.zeros(len(cluster.groups)), np.zeros(len(cluster.groups))
    for number, group in enumerate(cluster.groups):
        if group.sleep is not None:
            less[number] = group.node_idle_watts - group.sleep.asleep_watts
            if group.sleep.waking_watts is not None:
                more[number] = group.sleep.waking_watts - group.node_idle_watts
    return less, more
