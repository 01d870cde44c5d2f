"""How many cores a task had on each of the nodes where it really ran, which logs do not say.

They say on which nodes, when, and how many cores in all. Any way to deal these that never gives out more of a node than
it has brings the log about; one is found by a linear programme, where there is one.
"""

from collections.abc import Sequence

import numpy as np

from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Workload

MOST_OVERLAPS = 4_000_000
"""Pairs of tasks that hold a node at the same time; with more of them cores are dealt as the site's scheduler would."""


def dealt_cores(
    workload: Workload, wanted: Requests, site: Site, nodes: Sequence[IntArray | None], whole: Sequence[bool]
) -> dict[int, IntArray]:
    """Return the cores of each task on each of its nodes, by row, of tasks on several nodes that share them.

    Tasks with fewer cores than nodes, or parts of cores, are not among them. Nothing where too much overlaps: cores are
    then dealt as the site's scheduler would.

    Args:
        nodes: of each task, the numbers of the nodes where it ran, ascending; None where they are not known.
        whole: of each task, whether it had its nodes for itself.
    """
    # Here rather than above: only who replays a log on its site needs them, and they take long to be read.
    from scipy import sparse
    from scipy.optimize import linprog

    cpus = workload.cpus
    shared = [
        row
        for row, where in enumerate(nodes)
        if where is not None and 1 < len(where) <= cpus[row] and cpus[row] == np.floor(cpus[row]) and not whole[row]
    ]
    if not shared:
        return {}
    capacity = np.array([group.cores for group in site.cluster.groups], np.float64)[site.cluster.group_of_nodes()]
    memory = [group.memory_mb if site.is_memory_shared_out else None for group in site.cluster.groups]
    room = np.array([np.inf if one is None else one for one in memory])[site.cluster.group_of_nodes()]
    first, count = {}, 0
    for row in shared:
        first[row] = count
        count += len(_of(nodes, row))
    per_core = _memory_of_core(workload, wanted)
    end = workload.recorded_start_time + workload.runtime
    held: list[list[int]] = [[] for _ in capacity]
    rows: list[int] = []
    columns: list[int] = []
    amounts: list[float] = []
    limits: list[float] = []
    overlaps = 0
    known = [row for row, where in enumerate(nodes) if where is not None and not np.isnan(end[row])]
    order = sorted(known, key=lambda row: float(workload.recorded_start_time[row]))
    for row in order:
        start = workload.recorded_start_time[row]
        for node in _of(nodes, row).tolist():
            held[node] = [other for other in held[node] if end[other] > start]
            held[node].append(row)
            free_cores, free_memory = capacity[node], room[node]
            variables = []
            for other in held[node]:
                if other in first:
                    variables.append((first[other] + int(np.searchsorted(_of(nodes, other), node)), other))
                    free_memory -= np.nan_to_num(wanted.memory_mb_per_node[other])
                elif whole[other]:
                    free_cores, free_memory = 0.0, 0.0
                else:
                    free_cores -= cpus[other] / len(_of(nodes, other))
                    free_memory -= workload.memory_mb[other] / len(_of(nodes, other))
            overlaps += len(variables)
            if overlaps > MOST_OVERLAPS:
                return {}
            if not variables:
                continue
            for bound, weight in ((free_cores, None), (free_memory, per_core)):
                if not np.isfinite(bound):
                    continue
                for variable, other in variables:
                    rows.append(len(limits))
                    columns.append(variable)
                    amounts.append(1.0 if weight is None else float(weight[other]))
                limits.append(max(float(bound), 0.0))
    over = len(limits)
    # What cannot be met is missed by as little as can be.
    bounds = sparse.hstack(
        [sparse.csr_array((amounts, (rows, columns)), shape=(over, count)), -sparse.eye_array(over)], format="csc"
    )
    sums = sparse.csr_array(
        (
            np.ones(count),
            (np.repeat(np.arange(len(shared)), [len(_of(nodes, row)) for row in shared]), np.arange(count)),
        ),
        shape=(len(shared), count + over),
    )
    found = linprog(
        np.concatenate([np.zeros(count), np.ones(over)]),
        A_ub=bounds,
        b_ub=np.array(limits),
        A_eq=sums,
        b_eq=cpus[shared],
        bounds=[*_ranges(nodes, shared, capacity), *[(0.0, None)] * over],
        method="highs",
    )
    if found.x is None:
        return {}
    return {row: _whole(found.x[first[row] : first[row] + len(_of(nodes, row))], int(cpus[row])) for row in shared}


def _of(nodes: Sequence[IntArray | None], row: int) -> IntArray:
    where = nodes[row]
    return np.zeros(0, np.int64) if where is None else where


def _ranges(nodes: Sequence[IntArray | None], shared: list[int], capacity: FloatArray) -> list[tuple[float, float]]:
    return [(1.0, float(capacity[node])) for row in shared for node in _of(nodes, row).tolist()]


def _memory_of_core(workload: Workload, wanted: Requests) -> FloatArray:
    """Return MB that go with each core of a task, 0 where they go with nodes."""
    by_node = ~np.isnan(wanted.memory_mb_per_node)
    spread = workload.memory_mb / np.maximum(workload.cpus, 1.0)
    stated = np.where(np.isnan(wanted.memory_mb_per_core), spread, wanted.memory_mb_per_core)
    return np.where(by_node, 0.0, stated)


def _whole(parts: FloatArray, total: int) -> IntArray:
    """Round parts to whole numbers of the same sum, by the largest remainders."""
    parts = np.round(parts, 6)
    floor = np.floor(parts).astype(np.int64)
    left = total - int(floor.sum())
    order = np.argsort(-(parts - floor), kind="stable")
    floor[order[:left]] += 1
    return floor
