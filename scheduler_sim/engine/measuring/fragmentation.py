"""GPU fragmentation over time: how much of the cluster's GPUs is idle and of no use to the tasks of the workload."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.demand import Demands, GpuNeeds, NodeGroups, demands
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.contract import Options, Outcome
from scheduler_sim.engine.crew import Each
from scheduler_sim.engine.formulas import data_time, hybrid_sides, played_runtime
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Workload

MOST_NUMBERS = 2**18
"""Numbers (instants x nodes x devices) of one array that are held at once."""


def gpu_fragmentation(
    workload: Workload,
    cluster: Cluster,
    outcomes: Mapping[str, Outcome],
    instants: FloatArray,
    options: Options,
    each: Each = map,
) -> dict[str, FloatArray]:
    """Return for each outcome the expected share of all GPUs that is fragmented at k instants, shape (k,), 0 to 1.

    The measure F of Weng et al. (USENIX ATC 2023), as a share of all GPUs (their fragmentation over total). On a node,
    all that is idle of its GPUs is lost to a task that does not fit there, and to one that fits, the rests of shared
    GPUs that are too small for it. F is the mean over all tasks of the workload, summed over nodes. As for `fgd`, a
    task fits by cores, GPUs and GPU type, whatever memory is free and whether the node is away. A task that may be
    split counts as one that asks for both its sides.

    Args:
        instants: ascending seconds on the workload's clock; what starts or ends at one has done so.
        options: how the outcomes were simulated.
        each: how the outcomes are gone through, one after the other or side by side.

    Returns:
        Nothing where outcomes do not tell what is free on each node (`_told`), and nothing for a policy under which
        tasks stop and go on: its outcome does not tell when they held what.
    """
    outcomes = {name: outcome for name, outcome in outcomes.items() if outcome.history is None}
    if not len(workload) or cluster.nodes < 2 or not cluster.gpus:
        return {}
    asked = demands(workload, cluster)
    if not _told(asked):
        return {}
    groups, group = NodeGroups.of(cluster), cluster.group_of_nodes()
    allowed = np.concatenate([asked.allowed, np.ones((1, len(groups.gpus)), bool)])
    admitted = np.where(asked.gpu > 0, asked.kinds.codes, len(asked.allowed))
    needs = GpuNeeds.of(asked.cpu, asked.gpu, admitted)
    nodes = np.flatnonzero(groups.gpus[group] > 0)
    width = int(groups.gpus.max())
    step = max(MOST_NUMBERS // ((len(instants) + 1) * width), 1)

    def expected(outcome: Outcome) -> FloatArray:
        held = _Held(workload, cluster, outcome, asked, instants, options)
        lost = np.zeros(len(instants), np.int64)
        for part in (nodes[first : first + step] for first in range(0, len(nodes), step)):
            cores, gpus, shared = held.on(part, width)
            rooms = np.where(shared > 0, MILLI - shared, 0)
            whole = groups.gpus[group[part]] - gpus - (shared > 0).sum(axis=2)
            lost += _lost(groups.cpu[group[part]] - cores, whole, rooms, needs, allowed[:, group[part]])
        return lost / (len(workload) * cluster.gpus * MILLI)

    return dict(zip(outcomes, each(expected, outcomes.values()), strict=True))


def _told(asked: Demands) -> bool:
    """Tell whether an outcome says what each node has free.

    It does for tasks on one node each. It names only the lowest node of a gang and the lowest of a task's GPUs, which
    may be the shared one or not. On one node nothing is spread.
    """
    gang = asked.full_nodes > 0
    mixed = (asked.gpu > MILLI) & (asked.gpu % MILLI > 0)
    return not (gang | mixed).any()


class _Held:
    """What the tasks of one outcome hold at k instants."""

    def __init__(
        self,
        workload: Workload,
        cluster: Cluster,
        outcome: Outcome,
        asked: Demands,
        instants: FloatArray,
        options: Options,
    ) -> None:
        rows = np.flatnonzero(~np.isnan(outcome.start_time))
        rows = rows[np.argsort(outcome.node[rows], kind="stable")]
        # NaN, the end of what still runs, is searched for as the greatest number.
        self._first = np.searchsorted(instants, outcome.start_time[rows])
        self._cores_last, self._gpus_last = (
            np.searchsorted(instants, ends) for ends in _ends(workload, cluster, outcome, rows, options)
        )
        self._instants = len(instants)
        self._node, self._device = outcome.node[rows], outcome.device[rows]
        split = workload.hybrid[rows]
        self._cpu = np.where(split & (outcome.gpu_fraction[rows] == 1.0), 0, asked.cpu[rows])
        gpu = np.where(split & (outcome.gpu_fraction[rows] == 0.0), 0, asked.gpu[rows])
        self._whole, self._share = gpu // MILLI, gpu % MILLI

    def on(self, nodes: IntArray, width: int) -> tuple[IntArray, IntArray, IntArray]:
        """Return held thousandths of cores and whole GPUs, shape (k, nodes), and of shared GPUs, (k, nodes, width).

        Args:
            nodes: ascending numbers.
        """
        low, high = np.searchsorted(self._node, [nodes[0], nodes[-1] + 1])
        rows = np.arange(low, high)
        place = np.searchsorted(nodes, self._node[rows])
        here = nodes[place] == self._node[rows]
        rows, place = rows[here], place[here]
        sharing = self._share[rows] > 0
        size = len(nodes)
        return (
            self._over_time(rows, self._cores_last, self._cpu, (size,), place),
            self._over_time(rows, self._gpus_last, self._whole, (size,), place),
            self._over_time(
                rows[sharing],
                self._gpus_last,
                self._share,
                (size, width),
                place[sharing],
                self._device[rows[sharing]],
            ),
        )

    def _over_time(
        self, rows: IntArray, last: IntArray, amounts: IntArray, shape: tuple[int, ...], *place: IntArray
    ) -> IntArray:
        changes = np.zeros((self._instants + 1, *shape), np.int64)
        np.add.at(changes, (self._first[rows], *place), amounts[rows])
        np.subtract.at(changes, (last[rows], *place), amounts[rows])
        held: IntArray = np.cumsum(changes, axis=0)[:-1]
        return held


def _ends(
    workload: Workload, cluster: Cluster, outcome: Outcome, rows: IntArray, options: Options
) -> tuple[FloatArray, FloatArray]:
    """Return when started tasks `rows` give back their cores and their GPUs, shape (len(rows),) each.

    The shorter of two concurrent sides ends before the task; the longer ends with it, NaN while it runs.
    """
    cores, gpus = outcome.finish_time[rows].copy(), outcome.finish_time[rows].copy()
    split = np.flatnonzero(workload.hybrid[rows])
    if len(split) and options.split_model == "concurrent":
        chosen = rows[split]
        runtime = played_runtime(workload, kill_at_estimate=options.kill_at_estimate)[chosen]
        group = cluster.group_of_nodes()[outcome.node[chosen]]
        cpu, gpu = hybrid_sides(workload, chosen, runtime, outcome.gpu_fraction[chosen], cluster, group)
        start = outcome.start_time[chosen]
        late = data_time(outcome.finish_time[chosen] - start, cpu, gpu, options.split_model, cluster)
        early = start + late + np.minimum(cpu, gpu)
        cores[split] = np.where(cpu < gpu, early, cores[split])
        gpus[split] = np.where(gpu < cpu, early, gpus[split])
    return cores, gpus


def _lost(cores: IntArray, whole: IntArray, rooms: IntArray, needs: GpuNeeds, allowed: BoolArray) -> IntArray:
    """Return the sum over tasks and nodes of thousandths of GPUs that are lost to them, shape (k,).

    Args:
        cores, whole: thousandths of cores and whole GPUs that are free, shape (k, nodes).
        rooms: thousandths left on shared GPUs, 0 where none is shared, shape (k, nodes, devices).
        allowed: shape (sets of nodes, nodes).
    """
    in_rooms = rooms.sum(axis=2)
    idle = whole * MILLI + in_rooms
    offers: dict[tuple[int, int], tuple[Any, Any]] = {}
    lost = np.zeros(len(cores), np.int64)
    for need, share, admitted, first, end in needs.needs.tolist():
        wanted = (need, 0 if need else share)
        if wanted not in offers:
            usable = rooms >= max(share, 1)
            offers[wanted] = (
                (whole >= need, in_rooms)
                if need
                else ((whole > 0) | usable.any(axis=2), in_rooms - np.where(usable, rooms, 0).sum(axis=2))
            )
        enough, too_small = offers[wanted]
        up_to = np.concatenate(([0], needs.tasks[first:end]))
        fitting = up_to[np.searchsorted(needs.cores[first:end], cores, side="right")] * (enough & allowed[admitted])
        lost += (fitting * too_small + (up_to[-1] - fitting) * idle).sum(axis=1)
    return lost
