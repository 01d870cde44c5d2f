"""The same workload under more or less load, and the same cluster with more or fewer nodes."""

import math
from dataclasses import replace

import numpy as np

from scheduler_sim.engine.cluster import Cluster, NodeGroup
from scheduler_sim.engine.errors import InvalidCluster, InvalidParameter
from scheduler_sim.engine.formulas import arrivals_at_load
from scheduler_sim.engine.workload import FloatArray, Workload


def scale_load(workload: Workload, factor: float) -> Workload:
    """Return the workload with its arrivals `factor` times as dense, which multiplies the offered load by `factor`.

    `arrival' = first + (arrival - first) / factor`; run times, sizes and the order of arrivals stay, and so does the
    time that each task has until its deadline. Recorded starts are forgotten unless the factor is 1: they tell of
    another load.

    Raises:
        InvalidParameter: a factor that is not a finite number above 0.
    """
    if not math.isfinite(factor) or factor <= 0:
        raise InvalidParameter(f"The load factor must be a number above 0, not {factor:g}.")
    if factor == 1 or not len(workload):
        return workload
    first = workload.arrival_time[0]
    arrival = arrivals_at_load(workload.arrival_time, first, factor)
    _keep_apart(arrival, workload)
    return replace(
        workload,
        arrival_time=arrival,
        deadline_time=arrival + (workload.deadline_time - workload.arrival_time),
        recorded_start_time=np.full(len(workload), np.nan),
    )


def _keep_apart(arrival: FloatArray, workload: Workload) -> None:
    """Move arrivals that rounding made equal apart where the canonical order (arrival, number) would turn."""
    merged = (np.diff(arrival) == 0) & (np.diff(workload.task_id) < 0)
    for row in np.flatnonzero(merged):
        arrival[row + 1 :] = np.maximum(arrival[row + 1 :], np.nextafter(arrival[row], np.inf))


def add_nodes(cluster: Cluster, changes: str) -> Cluster:
    """Return the cluster with `GROUP=N[,GROUP=N...]` nodes more; of a pool, which is one node, N processors more.

    Raises:
        InvalidCluster: an unknown group, or a number that is not a whole number above 0.
    """
    return _change(cluster, changes, +1)


def drop_nodes(cluster: Cluster, changes: str) -> Cluster:
    """Return the cluster with `GROUP=N[,GROUP=N...]` nodes fewer; of a pool N processors fewer.

    A group of which nothing is left goes.

    Raises:
        InvalidCluster: as `add_nodes`, or more nodes than there are, or no node left.
    """
    return _change(cluster, changes, -1)


def parse_changes(changes: str) -> dict[str, int]:
    """Read `GROUP=N[,GROUP=N...]`.

    Raises:
        InvalidCluster: another form, or a number that is not a whole number above 0.
    """
    parsed = {}
    for part in changes.split(","):
        name, equals, number = part.strip().rpartition("=")
        if not (equals and name and number.isascii() and number.isdecimal() and int(number) > 0):
            raise InvalidCluster(f"Nodes are given as GROUP=N with a whole number N above 0, not {part.strip()!r}.")
        parsed[name.strip()] = int(number)
    return parsed


def _change(cluster: Cluster, changes: str, sign: int) -> Cluster:
    wanted = parse_changes(changes)
    names = [group.name for group in cluster.groups]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise InvalidCluster(f"Cluster {cluster.name} has no node group {unknown[0]!r}. Groups: {', '.join(names)}.")
    repeated = [name for name in wanted if names.count(name) > 1]
    if repeated:
        raise InvalidCluster(f"Cluster {cluster.name} has more than one node group {repeated[0]!r}; name them apart.")
    groups = []
    for group in cluster.groups:
        changed = _resized(group, sign * wanted.get(group.name, 0), is_pool=cluster.is_pool)
        if changed is not None:
            groups.append(changed)
    if not groups:
        raise InvalidCluster(f"Cluster {cluster.name} would have no node left.")
    tail = ",".join(f"{name}{'+' if sign > 0 else '-'}{number}" for name, number in wanted.items())
    return Cluster(name=f"{cluster.name} {tail}", groups=tuple(groups))


def _resized(group: NodeGroup, change: int, *, is_pool: bool) -> NodeGroup | None:
    if not change:
        return group
    field = "cores" if is_pool else "count"
    there = getattr(group, field)
    if there + change < 0:
        what = "processors" if is_pool else "nodes"
        raise InvalidCluster(f"Node group {group.name} has {there} {what}, so {-change} cannot be dropped.")
    if there + change == 0:
        return None
    outages = tuple(
        replace(outage, nodes=min(outage.nodes, there + change)) if not is_pool else outage for outage in group.outages
    )
    return replace(group, **{field: there + change}, outages=outages)
