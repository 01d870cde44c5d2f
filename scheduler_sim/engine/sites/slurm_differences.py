"""What must be written to make one site another: lines of slurm.conf, and commands of sacctmgr."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from scheduler_sim.engine.clusters.cluster import NodeGroup
from scheduler_sim.engine.clusters.hosts import expand_hosts, fold_hosts
from scheduler_sim.engine.sites.parts import Account, Nodes
from scheduler_sim.engine.sites.site import Site
from scheduler_sim.engine.sites.slurm_writing import account_words, node_line, partition_line, qos_words, settings_of

_CLEARED = {"Flags": "", "Preempt": "", "PreemptMode": "cluster", "QOS": "", "DefaultQOS": ""}
"""What sacctmgr is told where a setting goes; limits go by -1."""


@dataclass(frozen=True)
class Lines:
    """What to write, in the order of writing.

    Attributes:
        conf: lines of slurm.conf; what they replace or that they are new is said in a comment line above.
        commands: of sacctmgr.
    """

    conf: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


def differing_lines(before: Site, after: Site, *, always: frozenset[str] = frozenset()) -> Lines:
    """Return what makes `before` `after`; its name, and how its nodes fail, are no matter of configuration.

    Args:
        always: settings of slurm.conf that are written though they are the same.
    """
    conf = (*_settings(before, after, always), *_nodes(before, after), *_partitions(before, after))
    return Lines(conf, (*_qos(before, after), *_accounts(before, after)))


def _settings(before: Site, after: Site, always: frozenset[str]) -> Iterator[str]:
    old, new = settings_of(before), settings_of(after)
    for name, text in new.items():
        if old.get(name) != text or name in always:
            yield f"{name}={text}"
    # What belongs to a way of working that is no longer chosen has no effect where it stays.
    for name in old:
        if name not in new and not name.startswith(("Priority", "FairShare", "Preempt")):
            yield f"# without {name}"


def _nodes(before: Site, after: Site) -> Iterator[str]:
    old = {name: _kind(group, nodes) for group, nodes, name in _each(before)}
    wanted: dict[str, str] = {}
    for group, nodes, name in _each(after):
        if old.get(name) != _kind(group, nodes):
            wanted[name] = _kind(group, nodes)
    by_kind: dict[str, list[str]] = {}
    for name, kind in wanted.items():
        by_kind.setdefault(kind, []).append(name)
    for kind, names in by_kind.items():
        added = [name for name in names if name not in old]
        changed = [name for name in names if name in old]
        for found, comment in ((added, "more nodes"), (changed, "nodes that change")):
            if found:
                hosts = fold_hosts(found)
                yield f"# {comment}: {hosts}"
                yield kind.replace("NodeName=*", f"NodeName={hosts}", 1)
    there = set(after.hosts)
    if gone := [name for name in before.hosts if name not in there]:
        yield f"# take out of the NodeName lines: {fold_hosts(gone)}"


def _each(site: Site) -> Iterator[tuple[NodeGroup, Nodes, str]]:
    for group, nodes in zip(site.cluster.groups, site.nodes, strict=True):
        for name in expand_hosts(nodes.hosts):
            yield group, nodes, name


def _kind(group: NodeGroup, nodes: Nodes) -> str:
    """Return the line of a group without its hosts: what tells its nodes from others."""
    return node_line(group, msgspec.structs.replace(nodes, hosts="*"))


def _partitions(before: Site, after: Site) -> Iterator[str]:
    old = {one.name: partition_line(one) for one in before.partitions}
    new = {one.name: partition_line(one) for one in after.partitions}
    for name, line in new.items():
        if name not in old:
            yield f"# a new partition: {name}"
            yield line
        elif old[name] != line:
            yield f"# in place of the line of partition {name}"
            yield line
    for name in old:
        if name not in new:
            yield f"# without the line of partition {name}"


def _qos(before: Site, after: Site) -> Iterator[str]:
    old = {one.name: qos_words(one) for one in before.qos}
    new = {one.name: qos_words(one) for one in after.qos}
    for name in new:
        if name not in old:
            yield f"sacctmgr -i add qos {shlex.quote(name)}"
    for name, words in new.items():
        if changed := _changed(old.get(name, {}), words):
            yield f"sacctmgr -i modify qos {shlex.quote(name)} set {changed}"
    for name in old:
        if name not in new:
            yield f"sacctmgr -i delete qos {shlex.quote(name)}"


def _accounts(before: Site, after: Site) -> Iterator[str]:
    old = {_key(one): one for one in before.accounts}
    for one in after.accounts:
        was = old.get(_key(one))
        words = account_words(one)
        kind, where = _named(one)
        if was is None:
            parent = f" parent={shlex.quote(one.parent)}" if not one.user and one.parent else ""
            where = where.replace(" where ", " ")
            yield f"sacctmgr -i add {kind} {where}{parent} {_written(words)}".rstrip()
            continue
        changed = _changed(account_words(was), words)
        if not one.user and was.parent != one.parent:
            changed = f"parent={shlex.quote(one.parent)} {changed}".rstrip()
        if changed:
            yield f"sacctmgr -i modify {kind} {where} set {changed}"
    there = {_key(one) for one in after.accounts}
    # Users go before the accounts that they are in.
    for one in sorted(before.accounts, key=lambda one: not one.user):
        if _key(one) not in there:
            kind, where = _named(one)
            yield f"sacctmgr -i delete {kind} {where}"


def _key(account: Account) -> tuple[str, str, str]:
    return account.name, account.user, account.partition


def _named(account: Account) -> tuple[str, str]:
    """Return what sacctmgr calls an association, and how it is told which."""
    if not account.user:
        return "account", shlex.quote(account.name)
    where = f"{shlex.quote(account.user)} where account={shlex.quote(account.name)}"
    return "user", where + (f" partition={shlex.quote(account.partition)}" if account.partition else "")


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    words = {name: text for name, text in new.items() if old.get(name) != text}
    for name, text in old.items():
        if name not in new:
            # A limit of resources goes resource by resource.
            resources = ",".join(f"{word.partition('=')[0]}=-1" for word in text.split(",")) if "TRES" in name else "-1"
            words[name] = _CLEARED.get(name, resources)
        elif name in words and "TRES" in name:
            kept = {word.partition("=")[0] for word in new[name].split(",")}
            gone = [word.partition("=")[0] for word in text.split(",") if word.partition("=")[0] not in kept]
            words[name] = ",".join([new[name], *(f"{resource}=-1" for resource in gone)])
    return _written(words)


def _written(words: Mapping[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(text)}" for name, text in words.items())
