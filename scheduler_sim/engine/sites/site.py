"""A site: its nodes, how they are cut into partitions, and who may have how much of them, and when.

The words and meanings are Slurm's (slurm.conf, sacctmgr, resource_limits), the units are this project's: seconds and
megabytes. A description without partitions is a cluster: one partition of all nodes, without limits.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import msgspec

from scheduler_sim.engine.clusters.cluster import Cluster, read_electricity
from scheduler_sim.engine.clusters.hosts import LARGEST_NODES, expand_hosts, most_named
from scheduler_sim.engine.clusters.topology import Topology
from scheduler_sim.engine.errors import InvalidCluster, InvalidSite
from scheduler_sim.engine.sites import parts

FARTHEST = 1e11
"""Seconds from time 0 within which a reservation that comes again starts."""


class Site(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A cluster with its rules; node group i of the cluster is described further by `nodes[i]`.

    Attributes:
        placement: cores gives cores of nodes away, nodes whole nodes.
        is_memory_shared_out: jobs cannot hold more memory of a node than it has.
        default_memory_mb_per_core: of partitions that state none.
        default_memory_mb_per_node: of partitions that state none.
        max_memory_mb_per_core: of partitions that state none.
        max_memory_mb_per_node: of partitions that state none.
        enforces: what of the accounts is held to: associations, limits, qos, safe.
        accounts: the tree, accounts and users.
    """

    cluster: Cluster
    nodes: tuple[parts.Nodes, ...]
    partitions: tuple[parts.Partition, ...]
    qos: tuple[parts.Qos, ...] = ()
    accounts: tuple[parts.Account, ...] = ()
    reservations: tuple[parts.Reservation, ...] = ()
    outages: tuple[parts.Outage, ...] = ()
    priority: parts.Priority = parts.Priority()
    scheduling: parts.Scheduling = parts.Scheduling()
    preemption: parts.Preemption = parts.Preemption()
    placement: Literal["cores", "nodes"] = "cores"
    is_memory_shared_out: bool = True
    default_memory_mb_per_core: parts.Megabytes | None = None
    default_memory_mb_per_node: parts.Megabytes | None = None
    max_memory_mb_per_core: parts.Megabytes | None = None
    max_memory_mb_per_node: parts.Megabytes | None = None
    enforces: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called, as its cluster."""
        return self.cluster.name

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """The name of every node, in the cluster's numbering."""
        return tuple(name for group in self.nodes for name in expand_hosts(group.hosts))

    def partitions_asked(self, names: str) -> tuple[int, ...]:
        """Return the numbers of the partitions that a task may run in.

        Args:
            names: with commas between them. Unknown ones are passed over; the default stands for none, and the only
                partition for any.
        """
        asked = [name.strip() for name in names.split(",") if name.strip()]
        known = {one.name: number for number, one in enumerate(self.partitions)}
        found = tuple(dict.fromkeys(known[name] for name in asked if name in known))
        if found or (asked and len(self.partitions) > 1):
            return found
        return (next((number for number, one in enumerate(self.partitions) if one.is_default), 0),)

    def numbers(self, hosts: str) -> tuple[int, ...]:
        """Return the numbers of the nodes of a host list, ascending; ALL for every node.

        Raises:
            InvalidCluster: a name that no node has.
        """
        if hosts.upper() == "ALL":
            return tuple(range(len(self.hosts)))
        known = self._number_of
        names = expand_hosts(hosts, most=most_named(len(self.hosts)))
        unknown = [name for name in names if name not in known]
        if unknown:
            raise InvalidCluster(f"Site {self.name} has no node {', '.join(unknown[:5])}.")
        return tuple(sorted({known[name] for name in names}))

    @cached_property
    def _number_of(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.hosts)}

    @cached_property
    def reserved(self) -> tuple[tuple[parts.Reservation, ...], ...]:
        """The reservations that there are one after the other: those of one name, which come again, together.

        Of two that are called alike and say of neither that it is the other's next time, each is one.
        """
        found: dict[tuple[str, int], list[parts.Reservation]] = {}
        for one in self.reservations:
            again = 0
            while not one.called and any(not other.called for other in found.get((one.asked_as, again), ())):
                again += 1
            found.setdefault((one.asked_as, again), []).append(one)
        return tuple(map(tuple, found.values()))

    def reservations_called(self, name: str) -> tuple[parts.Reservation, ...]:
        """Return what tasks that name a reservation may mean; nothing where there is none."""
        return next((group for group in self.reserved if group[0].asked_as == name), ())

    def check(self) -> None:
        """Check what one part of the description says of another.

        Raises:
            InvalidCluster: the sentence names the part and the value.
        """
        taken: set[str] = set()
        for number, (group, nodes) in enumerate(zip(self.cluster.groups, self.nodes, strict=True)):
            with _at(f"groups[{number}].hosts"):
                names = expand_hosts(nodes.hosts)
                if len(names) != group.count:
                    raise InvalidCluster(
                        f"Node group {group.name} has {group.count} nodes, and its hosts {nodes.hosts} are "
                        f"{len(names)}."
                    )
                for name in names:
                    if name in taken:
                        raise InvalidCluster(f"The site has two nodes called {name}.")
                    taken.add(name)
        _unique("partition", "partitions", [partition.name for partition in self.partitions])
        _unique("QOS", "qos", [qos.name for qos in self.qos])
        _unique("account", "accounts", [f"{one.name} {one.user} {one.partition}".strip() for one in self.accounts])
        for number, partition in enumerate(self.partitions):
            with _at(f"partitions[{number}].hosts"):
                self.numbers(partition.hosts)
        for number, reservation in enumerate(self.reservations):
            with _at(f"reservations[{number}].hosts"):
                self.numbers(reservation.hosts)
            if not reservation.end_time >= reservation.start_time:
                sentence = f"Reservation {reservation.name} ends before it starts."
                raise InvalidSite(sentence, f"reservations[{number}].end_time")
            _check_repeats(reservation, f"reservations[{number}]")
        for again in self.reserved:
            for before, after in pairwise(sorted(again, key=lambda one: (one.start_time, one.end_time))):
                if before.repeat_times or after.start_time < before.end_time:
                    path = f"reservations[{self.reservations.index(after)}].start_time"
                    over = "which comes again without end" if before.repeat_times else "before that is over"
                    sentence = f"Reservation {after.name} begins after {before.name}, {over}, and both are called"
                    raise InvalidSite(f"{sentence} {after.asked_as}.", path)
        for number, outage in enumerate(self.outages):
            with _at(f"outages[{number}].hosts"):
                self.numbers(outage.hosts)
            if outage.end_time is not None and not outage.end_time >= outage.start_time:
                raise InvalidSite(f"The outage of {outage.hosts} ends before it starts.", f"outages[{number}].end_time")
        known = {qos.name for qos in self.qos}
        for number, qos in enumerate(self.qos):
            with _at(f"qos[{number}].preempts"):
                _known(f"QOS {qos.name} preempts", qos.preempts, known)
        parents = {one.name: one.parent for one in self.accounts if not one.user}
        for number, one in enumerate(self.accounts):
            with _at(f"accounts[{number}].{'name' if one.user else 'parent'}"):
                if one.user:
                    _known(f"User {one.user} is in", (one.name,), parents)
                elif one.parent:
                    _known(f"Account {one.name} is below", (one.parent,), parents)
        for name in parents:
            above, seen = name, set[str]()
            while above:
                if above in seen:
                    raise InvalidCluster(f"Account {name} is above itself.")
                seen.add(above)
                above = parents[above]

    def as_json(self) -> dict[str, Any]:
        """Return the description that `Site.from_json` takes back; defaults are left out."""
        groups = [
            {**group, **_plain(nodes)}
            for group, nodes in zip(self.cluster.as_json()["groups"], self.nodes, strict=True)
        ]
        document: dict[str, Any] = {"name": self.name, "groups": groups}
        everything = _plain(self)
        document.update((name, everything[name]) for name in _PARTS if name in everything)
        if self.cluster.topology is not None:
            document["topology"] = self.cluster.topology.as_json(self.hosts)
        return document | self.cluster.electricity_as_json()

    @classmethod
    def from_json(cls, document: Any) -> "Site":
        """Build a site from a description such as `as_json` gives; a cluster's description is one.

        Raises:
            InvalidCluster: a key that is unknown or missing, a value of the wrong kind, or parts that contradict each
                other.
        """
        if not isinstance(document, Mapping):
            raise InvalidCluster("The site description is not a mapping of names to values.")
        keys = {"name", "groups", "topology", "series", "pue_by_temperature", *_PARTS}
        unknown = sorted(str(key) for key in set(document) - keys)
        if unknown:
            known = ", ".join(sorted(keys))
            sentence = f"The site description has unknown keys: {', '.join(unknown)}. Known: {known}."
            raise InvalidSite(sentence, unknown[0])
        groups, nodes = _read_groups(document.get("groups"))
        stated = {name: _convert(document[name], _TYPES[name], name) for name in _PARTS if name in document}
        if not stated.get("partitions"):
            stated["partitions"] = (parts.Partition(name="all", is_default=True),)
        cluster = _cluster(str(document.get("name", "site")), groups)
        if len(cluster.groups) != len(groups):
            parted = next(number for number, group in enumerate(groups) if len(group.get("mig") or ()) > 1)
            who = f"Node group {groups[parted]['name']}"
            sentence = f"{who}: mig has several profiles, and the GPUs of a site's node are of one."
            raise InvalidSite(sentence, f"groups[{parted}].mig")
        cluster = replace(cluster, **read_electricity(document))
        site = cls(cluster=cluster, nodes=nodes, **stated)
        if document.get("topology") is not None:
            with _at("topology"):
                topology = Topology.from_json(document["topology"], site.hosts)
            site = msgspec.structs.replace(site, cluster=replace(cluster, topology=topology))
        site.check()
        return site


_PARTS = tuple(name for name in Site.__struct_fields__ if name not in ("cluster", "nodes"))
_TYPES = {field.name: field.type for field in msgspec.structs.fields(Site)}


def _plain(value: Any) -> Any:
    """Return what JSON can hold of a part of a site, without what is as by default."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if not isinstance(value, msgspec.Struct):
        return value
    return {
        field.name: _plain(stated)
        for field in msgspec.structs.fields(value)
        if (stated := getattr(value, field.name)) != field.default
        and not (field.default_factory is not msgspec.NODEFAULT and not stated)
    }


def _read_groups(groups: Any) -> tuple[list[Any], tuple[parts.Nodes, ...]]:
    """Part what a cluster knows of each node group from what a site knows beside it."""
    if not isinstance(groups, list | tuple):
        raise InvalidCluster("The site description's groups are not a list.")
    of_cluster, of_site = [], []
    named = 0
    for number, group in enumerate(groups):
        if not isinstance(group, Mapping):
            raise InvalidCluster("A node group is not a mapping of names to values.")
        ours = {key: value for key, value in group.items() if key in parts.Nodes.__struct_fields__}
        theirs = {key: value for key, value in group.items() if key not in ours}
        if "hosts" in ours:
            with _at(f"groups[{number}].hosts"):
                names = expand_hosts(str(ours["hosts"]), most=LARGEST_NODES - named)
            named += len(names)
            theirs.setdefault("count", len(names))
            theirs.setdefault("name", str(ours["hosts"]))
        else:
            count = theirs.get("count")
            last = count if isinstance(count, int) else 1
            ours["hosts"] = f"{theirs.get('name', 'node')}[1-{max(last, 1)}]"
        of_cluster.append(theirs)
        of_site.append(_convert(ours, parts.Nodes, f"groups[{number}]"))
    return of_cluster, tuple(of_site)


def _convert(value: Any, kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        sentence, _, place = str(error).partition(" - at ")
        path = where + place.strip("`").removeprefix("$")
        raise InvalidSite(f"{path}: {sentence}.", path) from None


def _cluster(name: str, groups: list[Any]) -> Cluster:
    try:
        return Cluster.from_json({"name": name, "groups": groups})
    except InvalidCluster:
        # Which group is meant: the first that could not stand alone.
        for number, group in enumerate(groups):
            try:
                Cluster.from_json({"name": name, "groups": [group]})
            except InvalidCluster as error:
                key = _KEY_MEANT.search(str(error))
                raise InvalidSite(str(error), f"groups[{number}]" + (f".{key[1]}" if key else "")) from None
        raise


_KEY_MEANT = re.compile(r": (\w+) is ")


@contextmanager
def _at(path: str) -> Iterator[None]:
    """Say where in the description it stands what is refused."""
    try:
        yield
    except InvalidCluster as error:
        raise InvalidSite(str(error), path) from None


def _check_repeats(one: parts.Reservation, path: str) -> None:
    """Refuse a reservation that begins again before it is over, or so long ago that its times are not exact.

    Raises:
        InvalidSite: the sentence names it.
    """
    if one.repeat_times and not abs(one.start_time) <= FARTHEST:
        sentence = f"Reservation {one.name} comes again, and starts more than {FARTHEST:.0e} s from time 0."
        raise InvalidSite(sentence, f"{path}.start_time")
    if any(gap + parts.INACCURACY < one.end_time - one.start_time for gap in one.repeat_times):
        sentence = (
            f"Reservation {one.name} begins again {min(one.repeat_times):,.15g} s after its start, and lasts longer."
        )
        raise InvalidSite(sentence, f"{path}.repeat_times")


def _unique(what: str, part: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            raise InvalidSite(f"The site has two {what}s called {name}.", f"{part}[{number}].name")
        seen.add(name)


def _known(what: str, names: tuple[str, ...], known: Mapping[str, str] | set[str]) -> None:
    for name in names:
        if name not in known:
            raise InvalidCluster(f"{what} {name}, which the site does not have.")
