"""What differs between two sites."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import msgspec

from scheduler_sim.engine.clusters.hosts import expand_hosts
from scheduler_sim.engine.sites.site import Site

Entry = Mapping[str, Any]

_LISTS = ("partitions", "qos", "reservations")
_SETTINGS = ("priority", "scheduling", "preemption")


@dataclass(frozen=True)
class Difference:
    """One thing that is not alike.

    Attributes:
        part: of the description: groups, partitions, qos, accounts, reservations, outages, priority, scheduling,
            preemption; empty for what stands beside them.
        name: of the entry; empty where the part has none.
        key: empty where the whole entry is there in one of the two only.
        before, after: the values, None for an entry that is not there.
    """

    part: str
    name: str
    key: str
    before: Any
    after: Any


def differences(before: Site, after: Site) -> list[Difference]:
    """Return what differs between two sites, in the order of the description; their names are not looked at.

    Entries are paired by name; node groups that are left then, and share nodes, are taken as one that was renamed.
    """
    found = _of_part("groups", *_groups(before, after))
    for part in _LISTS:
        found += _of_part(part, *({one.name: _plain(one) for one in getattr(site, part)} for site in (before, after)))
    found += _of_part("accounts", _accounts(before), _accounts(after))
    found += _of_part("outages", _outages(before), _outages(after))
    for part in _SETTINGS:
        found += _of_entry(part, "", _plain(getattr(before, part)), _plain(getattr(after, part)))
    taken = {"cluster", "nodes", "accounts", "outages", *_LISTS, *_SETTINGS}
    beside = [name for name in Site.__struct_fields__ if name not in taken]
    alone = (
        {**{name: getattr(site, name) for name in beside}, "topology": _switches(site)} for site in (before, after)
    )
    return found + _of_entry("", "", *alone)


def _switches(site: Site) -> tuple[str, ...]:
    """Return the topology in words, none for a site without one."""
    if site.cluster.topology is None:
        return ()
    document = site.cluster.topology.as_json(site.hosts)
    switches = document.pop("switches", ())
    found = [f"{one['name']}: {one.get('switches') or one.get('nodes')}" for one in switches]
    return (*found, *(f"{key}: {value}" for key, value in document.items()))


def _of_part(part: str, before: Mapping[str, Entry], after: Mapping[str, Entry]) -> list[Difference]:
    found = []
    for name, entry in before.items():
        if name in after:
            found += _of_entry(part, name, entry, after[name])
        else:
            found.append(Difference(part, name, "", entry, None))
    return found + [Difference(part, name, "", None, entry) for name, entry in after.items() if name not in before]


def _of_entry(part: str, name: str, before: Entry, after: Entry) -> list[Difference]:
    return [
        Difference(part, name, key, before.get(key), after.get(key))
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]


def _plain(part: msgspec.Struct) -> dict[str, Any]:
    """Return the values of a part by name, those of its limits beside its own."""
    found: dict[str, Any] = {}
    for name in part.__struct_fields__:
        value = getattr(part, name)
        found |= _plain(value) if isinstance(value, msgspec.Struct) else {name: value}
    return found


def _accounts(site: Site) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for one in site.accounts:
        who = f"{one.user} in {one.name}" if one.user else one.name
        found[f"{who}, partition {one.partition}" if one.partition else who] = _plain(one)
    return found


def _outages(site: Site) -> dict[str, Entry]:
    return {f"{one.hosts} from {one.start_time:.12g} s": _plain(one) for one in site.outages}


def _groups(before: Site, after: Site) -> tuple[dict[str, Entry], dict[str, Entry]]:
    """Return the node groups of both by names under which those that belong together meet."""
    old, new = _described(before), _described(after)
    left = {name for name in old if name not in new}
    hosts = {name: set(expand_hosts(old[name]["hosts"])) for name in left}
    paired: dict[str, Entry] = {}
    for name, entry in new.items():
        shared = {}
        if name not in old:
            names = expand_hosts(entry["hosts"])
            shared = {other: len(hosts[other].intersection(names)) for other in left}
        nearest = max(sorted(shared), key=lambda other: shared[other], default="")
        if nearest and shared[nearest]:
            left.remove(nearest)
            paired[nearest] = entry
        else:
            paired[name] = entry
    return old, paired


def _described(site: Site) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for group, nodes in zip(site.cluster.groups, site.nodes, strict=True):
        entry = {one.name: getattr(group, one.name) for one in fields(group)} | _plain(nodes)
        found[_free(group.name, found)] = entry
    return found


def _free(name: str, taken: Iterable[str]) -> str:
    """Return the name, with a number behind it where another group of the site is called the same."""
    known = set(taken)
    candidate, number = name, 1
    while candidate in known:
        number += 1
        candidate = f"{name} ({number})"
    return candidate
