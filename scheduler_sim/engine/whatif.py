"""The same workload under more or less load, and the same cluster with more or fewer nodes, or with nodes that fail."""

import math
import re
from dataclasses import fields, replace
from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster, NodeGroup
from scheduler_sim.engine.clusters.failures import DISTRIBUTIONS, FailureModel
from scheduler_sim.engine.errors import InvalidCluster, InvalidParameter, unknown_name
from scheduler_sim.engine.formulas import arrivals_at_load
from scheduler_sim.engine.workloads.feedback import shown_thinks
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

_OUTSIDE_BRACKETS = re.compile(r",(?![^()]*\))")
_OUTSIDE_HOST_LISTS = re.compile(r",(?![^\[\]]*\])")
_MODEL = re.compile(r"(?:(?P<group>[^()]+?)\s*=)?\s*(?P<name>[a-z]+)\s*\((?P<inside>[^()]*)\)")


def scale_load(workload: Workload, factor: float, *, since: float | None = None) -> Workload:
    """Return the workload with its arrivals `factor` times as dense, which multiplies the offered load by `factor`.

    `arrival' = first + (arrival - first) / factor`; run times, sizes and the order of arrivals stay, and so do the
    times from each arrival to its deadline, to the earliest start it asks for and to when it is given up. Recorded
    starts are forgotten unless the factor is 1: they tell of another load.

    Args:
        since: what arrived before this instant stays where it is, and the others are counted from it; None for the
            first arrival.

    Raises:
        InvalidParameter: a factor that is not a finite number above 0.
    """
    if not math.isfinite(factor) or factor <= 0:
        raise InvalidParameter(f"The load factor must be a number above 0, not {factor:g}.")
    if factor == 1 or not len(workload):
        return workload
    first = workload.arrival_time[0] if since is None else since
    scaled = arrivals_at_load(workload.arrival_time, first, factor)
    arrival = np.where(workload.arrival_time < first, workload.arrival_time, scaled)
    return at_arrivals(workload, arrival)


def at_arrivals(workload: Workload, arrival: FloatArray) -> Workload:
    """Return the workload with tasks that arrive at other instants, in the same order.

    The times from each arrival to the deadline, to the earliest start that is asked for and to when the task is given
    up stay. Recorded starts are forgotten, but for the think times that they show.

    Args:
        arrival: shape (n,), seconds, never falling; changed in place where equal ones would turn the order.
    """
    requests = shown_thinks(workload)
    _keep_apart(arrival, workload)
    return replace(
        workload,
        arrival_time=arrival,
        deadline_time=arrival + (workload.deadline_time - workload.arrival_time),
        recorded_start_time=np.full(len(workload), np.nan),
        requests=None if requests is None else requests.moved(workload.arrival_time, arrival),
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


def split_groups(text: str) -> list[str]:
    """Return the parts between commas; commas inside square brackets belong to a name."""
    return _OUTSIDE_HOST_LISTS.split(text)


def parse_changes(changes: str, *, by_name: bool = False) -> dict[str, int | None]:
    """Read `GROUP=N[,GROUP=N...]`; commas inside square brackets belong to a name.

    Args:
        by_name: parts without a number are taken as well, as the names of nodes; they have None.

    Raises:
        InvalidCluster: another form, or a number that is not a whole number above 0.
    """
    parsed: dict[str, int | None] = {}
    for part in split_groups(changes):
        name, equals, number = part.strip().rpartition("=")
        if by_name and number and not equals:
            parsed[number] = None
        elif equals and name and number.isascii() and number.isdecimal() and int(number) > 0:
            parsed[name.strip()] = int(number)
        else:
            raise InvalidCluster(f"Nodes are given as GROUP=N with a whole number N above 0, not {part.strip()!r}.")
    return parsed


def let_fail(cluster: Cluster, models: str) -> Cluster:
    """Return the cluster with nodes that fail as `parse_failure_models` reads it, in place of what it says itself.

    Raises:
        InvalidCluster: an unknown group. InvalidParameter: as `parse_failure_models`.
    """
    wanted = parse_failure_models(models)
    names = [group.name for group in cluster.groups]
    unknown = [name for name in wanted if name is not None and name not in names]
    if unknown:
        raise InvalidCluster(f"Cluster {cluster.name} has no node group {unknown[0]!r}. Groups: {', '.join(names)}.")
    return replace(
        cluster,
        groups=tuple(
            replace(group, failures=wanted.get(group.name, wanted.get(None, group.failures)))
            for group in cluster.groups
        ),
    )


def at_frequency(cluster: Cluster, number: int) -> Cluster:
    """Return the cluster with the step of this number in all groups that state frequencies.

    Raises:
        InvalidCluster: no group states any, or one has no step of that number.
    """
    if not any(group.frequencies for group in cluster.groups):
        raise InvalidCluster(f"No node group of {cluster.name} states frequencies.")
    groups = tuple(replace(group, frequency=number) if group.frequencies else group for group in cluster.groups)
    return replace(cluster, groups=groups)


def parse_failure_models(models: str) -> dict[str | None, FailureModel]:
    """Read `[GROUP=]exponential(mean_hours=...,repair_hours=...)` or `weibull(...)`, several with commas between them.

    Returns:
        The models by node group; None stands for the groups that are not named.

    Raises:
        InvalidParameter: another form, an unknown name, or a value that has no meaning.
    """
    parsed: dict[str | None, FailureModel] = {}
    for part in _OUTSIDE_BRACKETS.split(models):
        read = _MODEL.fullmatch(part.strip())
        if read is None:
            raise InvalidParameter(
                f"Failures are given as [GROUP=]exponential(mean_hours=H,repair_hours=H), not {part.strip()!r}."
            )
        if read["name"] not in DISTRIBUTIONS:
            raise InvalidParameter(unknown_name("distribution of failures", read["name"], list(DISTRIBUTIONS)))
        group = read["group"].strip() if read["group"] else None
        if group in parsed:
            raise InvalidParameter(f"Failures of {group or 'all node groups'} are given twice.")
        parsed[group] = FailureModel(distribution=read["name"], **_values(read["inside"]))
    return parsed


def _values(inside: str) -> dict[str, Any]:
    known = [item.name for item in fields(FailureModel) if item.name != "distribution"]
    values: dict[str, Any] = {}
    for piece in filter(None, (piece.strip() for piece in inside.split(","))):
        name, _, value = (side.strip() for side in piece.partition("="))
        if name not in known:
            raise InvalidParameter(unknown_name("parameter of failures", name, known))
        values[name] = value
        if name != "repair":
            try:
                values[name] = float(value)
            except ValueError:
                raise InvalidParameter(f"Failures: {name} is {value!r}, not a number.") from None
    if "mean_hours" not in values:
        raise InvalidParameter("Failures lack mean_hours, the mean time between failures of one node.")
    return values


def kill_at_outages(cluster: Cluster, *, kill: bool) -> Cluster:
    """Return the cluster whose listed outages end what runs on their nodes, or let it finish."""
    return replace(
        cluster,
        groups=tuple(
            replace(group, outages=tuple(replace(outage, kill=kill) for outage in group.outages))
            for group in cluster.groups
        ),
    )


def _change(cluster: Cluster, changes: str, sign: int) -> Cluster:
    wanted = {name: number or 0 for name, number in parse_changes(changes).items()}
    # The parts of nodes come and go together, by the name of the whole ones.
    names = [group.part_of or group.name for group in cluster.groups]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise InvalidCluster(
            f"Cluster {cluster.name} has no node group {unknown[0]!r}. Groups: {', '.join(dict.fromkeys(names))}."
        )
    whole = [name for name, group in zip(names, cluster.groups, strict=True) if not group.part_of]
    repeated = [name for name in wanted if whole.count(name) > 1]
    if repeated:
        raise InvalidCluster(f"Cluster {cluster.name} has more than one node group {repeated[0]!r}; name them apart.")
    groups = []
    for name, group in zip(names, cluster.groups, strict=True):
        changed = resized(group, sign * wanted.get(name, 0), is_pool=cluster.is_pool)
        if changed is not None:
            groups.append(changed)
    if not groups:
        raise InvalidCluster(f"Cluster {cluster.name} would have no node left.")
    tail = ",".join(f"{name}{'+' if sign > 0 else '-'}{number}" for name, number in wanted.items())
    return replace(cluster, name=f"{cluster.name} {tail}", groups=tuple(groups))


def resized(group: NodeGroup, change: int, *, is_pool: bool = False) -> NodeGroup | None:
    """Return a group with so many nodes more, or fewer where `change` is negative; None where nothing is left of it.

    Raises:
        InvalidCluster: more nodes fewer than there are.
    """
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
