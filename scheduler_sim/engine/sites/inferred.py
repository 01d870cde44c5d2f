"""A site inferred from the jobs that ran on it, with what each statement rests on.

A log shows what was used, not what there is: nodes that never ran a job are missing, and a node may be larger than what
was ever seen in use on it. What nobody can see in a log (memory, weights, tiers, limits, accounts) is not stated.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from scheduler_sim.engine.clusters.cluster import LARGEST_GPUS_PER_NODE
from scheduler_sim.engine.clusters.hosts import expand_hosts, fold_hosts
from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.sites.reading import Draft, Note
from scheduler_sim.engine.sites.site import Site
from scheduler_sim.engine.traces.registry import ReadOptions
from scheduler_sim.engine.traces.sacct_nodes import NodeUse, read_node_use
from scheduler_sim.engine.traces.source import MAX_BYTES
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray

_FAMILY = re.compile(r"(.*?)([0-9]*)$", re.DOTALL)
_FEATURE = re.compile(r"[A-Za-z_][\w.+-]*")
_SHARE_OF_FAMILY = 2 / 3
"""A partition that was seen on this share of alike nodes has all of them."""

_SHARE_OF_SIZE = 0.1
"""A size that this share of alike nodes was seen with is one that such nodes have."""

NOT_SEEN = (
    ("memory, weights, tiers, limits, accounts and reservations", "not stated, for no job shows them"),
    ("nodes that ran no job, and cores and GPUs beyond those ever in use at once", "may be there and are not in it"),
)
"""What a site is inferred without."""


def site_from_trace(
    file: str | Path | BinaryIO,
    *,
    options: ReadOptions | None = None,
    trace_name: str | None = None,
    name: str = "",
    max_bytes: int = MAX_BYTES,
) -> tuple[Site, list[Note]]:
    """Return the site that the jobs of a sacct file ran on, as far as they show it, and what each statement rests on.

    Args:
        file: a path, or a stream of bytes.
        options: as for a trace of the format `sacct`.
        trace_name: what to call a stream.
        name: of the site; that of the file when empty.
        max_bytes: the largest size after decompression.

    Raises:
        InvalidTrace: no output of sacct, none with NodeList, or no run on a node.
        InvalidCluster: a host list that cannot be read.
    """
    use = read_node_use(file, options=options, name=trace_name, max_bytes=max_bytes)
    return infer_site(use, name=name or use.name.partition(".")[0] or "site")


@np.errstate(over="ignore", invalid="ignore")
def infer_site(use: NodeUse, *, name: str) -> tuple[Site, list[Note]]:
    """Return the site that runs show, and what each statement rests on."""
    seen = _Seen.of(use)
    cores = seen.alike(_cores(use, seen))
    whole = _at_once(seen, np.floor(use.gpus / seen.width)[seen.run])
    gpus = np.minimum(seen.alike(whole), LARGEST_GPUS_PER_NODE)
    models = _models(use, seen)
    features = _features(use, seen)
    draft = Draft(name=name)
    for number, host in enumerate(seen.hosts):
        node: dict[str, Any] = {"cores": int(cores[number])}
        if gpus[number]:
            node |= {"gpus": int(gpus[number]), "gpu_type": models.get(number, "")}
        if features[number]:
            node["features"] = sorted(features[number])
        draft.nodes[host] = node
    _partitions(use, seen, cores, draft)
    draft.qos = {
        qos: {"name": qos} for qos in sorted({use.qos.names[code] for code in np.unique(use.qos.codes)} - {""})
    }
    site = draft.site()
    unseen = [Note(use.name, 0, text, reason) for text, reason in NOT_SEEN]
    return site, [*_told_of_nodes(use, seen, cores, site), *draft.notes, *unseen]


@dataclass(frozen=True)
class _Seen:
    """The nodes of runs: a row for each run and each of its nodes.

    Attributes:
        hosts: names of the nodes.
        families: for each node the number of those that are called alike but for a number.
        run, node: of each row.
        width: nodes of each run.
        lists: the nodes of each host list, by its place among the names.
        begun, over: seconds, of each row.
    """

    hosts: list[str]
    families: IntArray
    run: IntArray
    node: IntArray
    width: IntArray
    lists: list[IntArray]
    begun: FloatArray
    over: FloatArray

    @classmethod
    def of(cls, use: NodeUse) -> "_Seen":
        """Take the host lists of runs apart.

        Raises:
            InvalidCluster: a host list that cannot be read.
        """
        expanded = [expand_hosts(text) for text in use.nodes.names]
        split = {host: _split(host) for names in expanded for host in names}
        hosts = sorted(split, key=split.__getitem__)
        if not hosts:
            raise InvalidTrace(f"{use.name} holds no job that ran on a node it names.")
        number_of = {host: number for number, host in enumerate(hosts)}
        prefixes = {prefix: place for place, prefix in enumerate(dict.fromkeys(split[host][0] for host in hosts))}
        lists = [np.array([number_of[host] for host in names], np.int64) for names in expanded]
        lengths = np.array([len(names) for names in lists])
        width = lengths[use.nodes.codes]
        run = np.repeat(np.arange(len(width)), width)
        node = np.concatenate([lists[code] for code in use.nodes.codes.tolist()])
        return cls(
            hosts=hosts,
            families=np.array([prefixes[split[host][0]] for host in hosts]),
            run=run,
            node=node,
            width=width,
            lists=lists,
            begun=use.started[run],
            over=use.ended[run],
        )

    def alike(self, sizes: FloatArray) -> FloatArray:
        """Return the sizes of nodes from what was seen of each, shape (nodes,).

        In a family those sizes count that a tenth of it (and two) were seen with, and the largest; each node has the
        least of them that is no less than what was seen of it.
        """
        found = sizes.copy()
        for family in np.unique(self.families).tolist():
            members = np.flatnonzero(self.families == family)
            values, counts = np.unique(sizes[members], return_counts=True)
            enough = counts >= max(2, _SHARE_OF_SIZE * len(members))
            enough[-1] = True
            usual = values[enough]
            found[members] = usual[np.searchsorted(usual, sizes[members])]
        return found


def _split(host: str) -> tuple[str, int, str]:
    match = _FAMILY.fullmatch(host)
    prefix, digits = (match[1], match[2]) if match else (host, "")
    return prefix, int(digits or 0), host


def _cores(use: NodeUse, seen: _Seen) -> FloatArray:
    """Return the cores that each node must have: those in use at once, and enough for each run on several."""
    alone = seen.width[seen.run] == 1
    # How a run on several nodes is spread is not said; it has one core on each at least.
    least = _at_once(seen, np.where(alone, use.cpus[seen.run], 1.0))
    largest = np.zeros(len(seen.lists))
    np.maximum.at(largest, use.nodes.codes, use.cpus)
    for place in sorted(range(len(seen.lists)), key=lambda place: len(seen.lists[place])):
        nodes = seen.lists[place]
        if len(nodes) and least[nodes].sum() < largest[place]:
            least[nodes] = np.maximum(least[nodes], np.ceil(largest[place] / len(nodes)))
    # A run that ended in the second of its start was never in use at once with anything, itself included.
    return np.maximum(np.ceil(least), 1.0)


def _at_once(seen: _Seen, amounts: FloatArray) -> FloatArray:
    """Return the largest sum of amounts in use at one instant on each node; amounts has a value a row."""
    nodes = np.concatenate([seen.node, seen.node])
    instants = np.concatenate([seen.begun, seen.over])
    changes = np.concatenate([amounts, -amounts])
    # What ends makes room for what begins at the same instant.
    order = np.lexsort([changes, instants, nodes])
    levels = np.cumsum(changes[order])
    begins = np.searchsorted(nodes[order], np.arange(len(seen.hosts)))
    return np.maximum(np.maximum.reduceat(levels, begins), 0.0)


def _models(use: NodeUse, seen: _Seen) -> dict[int, str]:
    """Return the model of GPU that was most often seen on each node."""
    found: dict[int, Counter[str]] = {}
    single = np.array([name != "" and "|" not in name for name in use.gpu_type.names], bool)
    codes = use.gpu_type.codes[seen.run]
    rows = np.flatnonzero(single[codes])
    pairs, counts = np.unique(np.stack([seen.node[rows], codes[rows]]), axis=1, return_counts=True)
    for (node, code), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
        found.setdefault(node, Counter())[use.gpu_type.names[code]] += count
    return {node: models.most_common(1)[0][0] for node, models in found.items()}


def _features(use: NodeUse, seen: _Seen) -> list[set[str]]:
    """Return the features of each node: those that all jobs on it asked for, and those of nodes that are called alike.

    Of alternatives (`a|b`) a node gets the first where it has none of them.
    """
    found: list[set[str]] = [set() for _ in seen.hosts]
    pairs = np.unique(np.stack([use.features.codes, use.nodes.codes]), axis=1).T.tolist()
    asked = [
        (use.features.names[code], seen.lists[place].tolist()) for code, place in pairs if use.features.names[code]
    ]

    def give(nodes: list[int], features: list[str]) -> None:
        for family in {int(seen.families[node]) for node in nodes}:
            for member in np.flatnonzero(seen.families == family).tolist():
                found[member].update(features)

    for text, nodes in asked:
        if "|" not in text:
            give(nodes, _FEATURE.findall(text))
    for text, nodes in asked:
        if "|" in text:
            names = _FEATURE.findall(text)
            give([node for node in nodes if not found[node] & set(names)], names[:1])
    return found


def _partitions(use: NodeUse, seen: _Seen, cores: FloatArray, draft: Draft) -> None:
    """Say which nodes each partition has, its longest limit, and whether its jobs have nodes alone."""
    given = np.zeros(len(use.started))
    np.add.at(given, seen.run, cores[seen.node])
    alone = use.cpus >= given
    runs = np.bincount(use.partition.codes, minlength=len(use.partition.names))
    for code in np.flatnonzero(runs).tolist():
        partition = use.partition.names[code] or "all"
        mine = use.partition.codes == code
        used = np.unique(seen.node[mine[seen.run]])
        nodes = _completed(seen, used)
        limits = use.limit[mine]
        limit = float(limits.max()) if not np.isnan(limits).any() else None
        exclusive = bool(alone[mine].all() and (use.cpus[mine] > use.requested_cpus[mine]).any())
        draft.partitions[partition] = {
            "name": partition,
            "hosts": fold_hosts(seen.hosts[node] for node in nodes),
            **({"is_default": True} if code == int(np.argmax(runs)) else {}),
            **({"max_time": limit} if limit is not None else {}),
            **({"exclusive": True} if exclusive else {}),
        }
        added = len(nodes) - len(used)
        said = [f"{int(runs[code]):,} runs on {len(used):,} nodes"]
        if added:
            said.append(f"{added:,} more are called alike")
        said.append("some runs without a limit" if limit is None else f"the longest limit is {limit:,.0f} s")
        if exclusive:
            said.append("all runs had their nodes alone")
        draft.notes.append(Note(use.name, 0, f"partition {partition}", "; ".join(said)))


def _completed(seen: _Seen, used: IntArray) -> list[int]:
    """Return nodes with the rest of each family of which most are among them."""
    sizes = np.bincount(seen.families)
    counts = np.bincount(seen.families[used], minlength=len(sizes))
    whole = counts >= _SHARE_OF_FAMILY * sizes
    return sorted({*used.tolist(), *np.flatnonzero(whole[seen.families]).tolist()})


def _told_of_nodes(use: NodeUse, seen: _Seen, cores: FloatArray, site: Site) -> list[Note]:
    """Say of each node group what was seen of it."""
    alone = seen.width[seen.run] == 1
    proven = _at_once(seen, np.where(alone, use.cpus[seen.run], 1.0))
    runs = np.bincount(seen.node, minlength=len(seen.hosts))
    memory = _at_once(seen, np.where(alone, np.nan_to_num(use.memory_mb[seen.run]), 0.0))
    notes = []
    for group, nodes in zip(site.cluster.groups, site.nodes, strict=True):
        members = np.array(site.numbers(nodes.hosts))
        full = int((proven[members] >= cores[members]).sum())
        devices = f", {group.gpus} GPUs {group.gpu_type}".rstrip() if group.gpus else ""
        seen_memory = float(memory[members].max())
        notes.append(
            Note(
                use.name,
                0,
                f"{nodes.hosts}: {group.cores} cores{devices}",
                f"in use at once on {full:,} of {len(members):,} nodes, {int(runs[members].sum()):,} runs"
                + (f"; {seen_memory:,.0f} MB of memory at once on one node" if seen_memory else ""),
            )
        )
    return notes
