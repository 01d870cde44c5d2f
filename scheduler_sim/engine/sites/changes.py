"""The same site with more or fewer nodes, or with nodes that fail."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import TypeVar

import msgspec

from scheduler_sim.engine.clusters.cluster import Cluster, NodeGroup
from scheduler_sim.engine.clusters.hosts import expand_hosts, fold_hosts, split_host
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites.parts import Nodes, Outage, Partition, Reservation
from scheduler_sim.engine.sites.site import Site
from scheduler_sim.engine.whatif import parse_changes, resized

P = TypeVar("P", Partition, Reservation, Outage)


def add_site_nodes(site: Site, changes: str) -> Site:
    """Return the site with `NAME=N[,NAME=N...]` nodes more, NAME being a node group or a partition.

    The new nodes are copies of the group's, or the partition's, last node under names that go on from its name: they
    are in every partition that it is in, and in no reservation but those of all nodes.

    Raises:
        InvalidCluster: an unknown name, or a number that is not a whole number above 0.
    """
    for name, number in parse_changes(changes).items():
        site = _grown(site, name, number or 0)
    return _renamed(site, changes, "+")


def drop_site_nodes(site: Site, changes: str) -> Site:
    """Return the site without some nodes: `NAME=N`, the last N of a node group or partition, or a host list.

    A group of which nothing is left goes; a partition of which nothing is left stays, and nothing can start there.

    Raises:
        InvalidCluster: an unknown name, more nodes than there are, or no node left.
    """
    for name, number in parse_changes(changes, by_name=True).items():
        if number is None:
            gone = {site.hosts[node] for node in site.numbers(name)}
        else:
            there = _hosts_of(site, name)
            if number > len(there):
                raise InvalidCluster(f"{name} has {len(there)} nodes, so {number} cannot be dropped.")
            gone = set(there[len(there) - number :])
        site = _shrunk(site, gone)
    return _renamed(site, changes, "-")


def with_group_count(site: Site, name: str, nodes: int) -> Site:
    """Return the site with so many nodes in a group, added and dropped as `add_site_nodes` does, under its own name.

    Raises:
        InvalidCluster: no group or two of that name, or no node left.
    """
    there = _hosts_of(site, name)
    if nodes < 1:
        raise InvalidCluster(f"Node group {name}: count is {nodes}, not a whole number from 1 up.")
    if nodes > len(there):
        return _grown(site, name, nodes - len(there))
    return _shrunk(site, set(there[nodes:])) if nodes < len(there) else site


def without_group(site: Site, name: str) -> Site:
    """Return the site without a node group; its nodes go from partitions and reservations.

    Raises:
        InvalidCluster: no group or two of that name, or no node left.
    """
    return _shrunk(site, set(_hosts_of(site, name)))


def with_group_again(site: Site, name: str) -> Site:
    """Return the site with a copy of a node group behind it, under new names, in the partitions of its last node.

    Raises:
        InvalidCluster: no group or two of that name.
    """
    there = _hosts_of(site, name)
    added = _new_names(site, there[-1], len(there))
    number = next(number for number, group in enumerate(site.cluster.groups) if group.name == name)
    taken = {group.name for group in site.cluster.groups}
    called = next(free for index in count(2) if (free := f"{name}-{index}") not in taken)
    groups, nodes = list(site.cluster.groups), list(site.nodes)
    groups.insert(number + 1, replace(groups[number], name=called))
    nodes.insert(number + 1, msgspec.structs.replace(nodes[number], hosts=fold_hosts(added)))
    return msgspec.structs.replace(
        site,
        cluster=replace(site.cluster, groups=tuple(groups)),
        nodes=tuple(nodes),
        partitions=_with_hosts(site.partitions, there[-1], added),
    )


def with_another_group(site: Site) -> Site:
    """Return the site with a group of one node of one core at its end, which is in the partitions of all nodes."""
    taken = {group.name for group in site.cluster.groups}
    name = next(free for index in count(1) if (free := f"new{index}") not in taken and free not in site.hosts)
    return msgspec.structs.replace(
        site,
        cluster=replace(site.cluster, groups=(*site.cluster.groups, NodeGroup(name=name, count=1, cores=1))),
        nodes=(*site.nodes, Nodes(hosts=name)),
    )


def with_cluster(site: Site, change: Callable[[Cluster], Cluster]) -> Site:
    """Return the site with its cluster changed in a way that leaves the number of nodes alone."""
    return msgspec.structs.replace(site, cluster=change(site.cluster))


def _hosts_of(site: Site, name: str) -> list[str]:
    """Return the nodes of a node group, or else of a partition."""
    alike = [nodes.hosts for group, nodes in zip(site.cluster.groups, site.nodes, strict=True) if group.name == name]
    if len(alike) > 1:
        raise InvalidCluster(f"Site {site.name} has more than one node group {name!r}; name them apart.")
    if alike:
        return expand_hosts(alike[0])
    for partition in site.partitions:
        if partition.name == name:
            return [site.hosts[node] for node in site.numbers(partition.hosts)]
    groups = ", ".join(group.name for group in site.cluster.groups)
    partitions = ", ".join(partition.name for partition in site.partitions)
    raise InvalidCluster(
        f"Site {site.name} has no node group or partition {name!r}. Groups: {groups}. Partitions: {partitions}."
    )


def _grown(site: Site, name: str, number: int) -> Site:
    there = _hosts_of(site, name)
    if not there:
        raise InvalidCluster(f"Partition {name} has no node that could be copied; name a node group.")
    model = there[-1]
    added = _new_names(site, model, number)
    groups, nodes = [], []
    for group, rest in zip(site.cluster.groups, site.nodes, strict=True):
        names = expand_hosts(rest.hosts)
        if model in names:
            group = resized(group, number) or group
            rest = msgspec.structs.replace(rest, hosts=fold_hosts([*names, *added]))
        groups.append(group)
        nodes.append(rest)
    return msgspec.structs.replace(
        site,
        cluster=replace(site.cluster, groups=tuple(groups)),
        nodes=tuple(nodes),
        partitions=_with_hosts(site.partitions, model, added),
    )


def _with_hosts(partitions: Iterable[Partition], model: str, added: list[str]) -> tuple[Partition, ...]:
    """Put nodes into every partition that names the node `model`."""
    found = []
    for partition in partitions:
        names = [] if partition.hosts.upper() == "ALL" else expand_hosts(partition.hosts)
        if model in names:
            partition = msgspec.structs.replace(partition, hosts=fold_hosts([*names, *added]))
        found.append(partition)
    return tuple(found)


def _shrunk(site: Site, gone: set[str]) -> Site:
    groups, nodes = [], []
    for group, rest in zip(site.cluster.groups, site.nodes, strict=True):
        names = expand_hosts(rest.hosts)
        kept = [name for name in names if name not in gone]
        left = resized(group, len(kept) - len(names))
        if left is not None:
            groups.append(left)
            nodes.append(rest if len(kept) == len(names) else msgspec.structs.replace(rest, hosts=fold_hosts(kept)))
    if not groups:
        raise InvalidCluster(f"Site {site.name} would have no node left.")
    return msgspec.structs.replace(
        site,
        cluster=replace(site.cluster, groups=tuple(groups)),
        nodes=tuple(nodes),
        partitions=_without(site.partitions, gone),
        reservations=_without(site.reservations, gone),
        outages=_without(site.outages, gone),
    )


def _without(parts: Iterable[P], gone: set[str]) -> tuple[P, ...]:
    """Take nodes out of the host lists of partitions, reservations or outages."""
    found = []
    for part in parts:
        names = [] if part.hosts.upper() == "ALL" else expand_hosts(part.hosts)
        kept = [name for name in names if name not in gone]
        found.append(part if len(kept) == len(names) else msgspec.structs.replace(part, hosts=fold_hosts(kept)))
    return tuple(found)


def _new_names(site: Site, model: str, number: int) -> list[str]:
    """Return names of nodes that the site does not have: the model's, with the numbers after the largest one."""
    prefix, width, _ = split_host(model)
    largest = max(number for first, _, number in map(split_host, site.hosts) if first == prefix)
    return [f"{prefix}{one:0{max(width, 1)}}" for one in range(largest + 1, largest + 1 + number)]


def _renamed(site: Site, changes: str, sign: str) -> Site:
    tail = ",".join(
        f"{name}{sign}{number}" if number else f"{sign}{name}"
        for name, number in parse_changes(changes, by_name=True).items()
    )
    return msgspec.structs.replace(site, cluster=replace(site.cluster, name=f"{site.cluster.name} {tail}"))
