"""slurm.conf and gres.conf as a site.

Grammar: https://slurm.schedmd.com/slurm.conf.html and gres.conf.html (22.05 to 24.11): `Key=Value` with keys in any
case, # begins a comment, \\ at the end goes on in the next line, `include FILE` stands for that file's lines, and
`NodeName=DEFAULT` or `PartitionName=DEFAULT` holds for the lines below it.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from scheduler_sim.engine.clusters.hosts import LARGEST_NODES, expand_hosts, most_named
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites import slurm_settings, values
from scheduler_sim.engine.sites.reading import Draft, Place

Read = Callable[[str], str]

DEEPEST_INCLUDE = 16


class Setting(NamedTuple):
    """One setting of a line: its name as it is spelled, its text, and where it stands."""

    name: str
    text: str
    place: Place


_TOKEN = re.compile(r"""([\w./-]+)\s*=\s*("[^"]*"|'[^']*'|\S*)""")

_NODE_IGNORED = frozenset(
    (
        "nodehostname nodeaddr port state reason tmpdisk boards corespecount corespeccount memspeclimit bcastaddr "
        "tresweights cpubind restrictedcoresperGPU mcs_label cpuspeclist topology"
    )
    .lower()
    .split()
)
_PARTITION_IGNORED = frozenset(
    [
        "allowgroups",
        "allocnodes",
        "alternate",
        "disablerootjobs",
        "exclusiveuser",
        "hidden",
        "lln",
        "overtimelimit",
        "powerdownonidle",
        "reqresv",
        "resumetimeout",
        "rootonly",
        "suspendtime",
        "suspendtimeout",
        "tresbillingweights",
        "cpubind",
        "jobdefaults",
        "selecttypeparameters",
    ]
)
_OTHER_LINES = frozenset(("downnodes", "switchname", "frontendname", "slurmctldhost"))


def read_slurm_conf(text: str, *, read: Read, name: str = "slurm.conf") -> Draft:
    """Return what slurm.conf says of a site.

    Args:
        text: of the file.
        read: returns the text of an included file by the name that it is included under; its OSError becomes a note.
        name: what to call the file in notes.

    Raises:
        InvalidCluster: a host list that cannot be read, or includes that include each other.
    """
    draft = Draft()
    defaults: dict[str, dict[str, Setting]] = {"nodename": {}, "partitionname": {}}
    sets: dict[str, str] = {}
    for place, line in lines(draft, text, read, name):
        pairs = [(key, value.strip("\"'")) for key, value in _TOKEN.findall(line)]
        if not pairs:
            place.note(line, "not understood")
            continue
        with place.blamed():
            (first, value), *rest = pairs
            kind = first.lower()
            if kind in defaults:
                stated = {key.lower(): Setting(key, text, place) for key, text in rest}
                if value.upper() == "DEFAULT":
                    defaults[kind].update(stated)
                elif kind == "nodename":
                    _node_line(draft, place, value, {**defaults[kind], **stated})
                else:
                    _partition_line(draft, value, {**defaults[kind], **stated}, sets)
            elif kind == "nodeset":
                sets[value] = {key.lower(): text for key, text in rest}.get("nodes", "")
                if not sets[value]:
                    place.note(line, "names no nodes, and stands for none")
            elif kind in _OTHER_LINES:
                if kind in ("downnodes", "frontendname"):
                    place.note(line, "has no effect here")
            else:
                for key, text in pairs:
                    slurm_settings.apply(draft, place, key, text)
    return draft


def read_gres_conf(text: str, draft: Draft, *, read: Read, name: str = "gres.conf") -> None:
    """Take what gres.conf says of the nodes into a site, where slurm.conf names the resource without a type."""
    for place, line in lines(draft, text, read, name):
        stated = settings_of_line(line)
        if stated.get("name", "gpu").lower() != "gpu" or "type" not in stated:
            continue
        with place.blamed():
            names = list(draft.nodes)
            if "nodename" in stated:
                names = expand_hosts(stated["nodename"], most=most_named(len(draft.nodes)))
        for host in names:
            node = draft.nodes.get(host)
            if node is None:
                place.note(host, "no such node")
            elif node.get("gpus") and stated["type"] not in (types := str(node.get("gpu_type", "")).split("|")):
                node["gpu_type"] = "|".join(filter(None, (*types, stated["type"])))


def settings_of_line(line: str) -> dict[str, str]:
    """Return the settings of a line by their names in lower case."""
    return {key.lower(): value.strip("\"'") for key, value in _TOKEN.findall(line)}


def lines(draft: Draft, text: str, read: Read, name: str, depth: int = 0) -> Iterator[tuple[Place, str]]:
    """Return the lines of a file and of those that it includes, joined where they go on, each with its place.

    Raises:
        InvalidCluster: files that include each other.
    """
    if depth > DEEPEST_INCLUDE:
        raise InvalidCluster(f"{name} is included by files that include each other.")
    whole, first = "", 0
    # The empty line ends one that goes on in the next.
    for number, raw in enumerate([*text.splitlines(), ""], 1):
        line = raw.split("#", 1)[0].rstrip()
        first = first if whole else number
        if line.endswith("\\"):
            whole += line[:-1] + " "
            continue
        whole = (whole + line).strip()
        if not whole:
            continue
        place = Place(draft, name, first)
        word, _, rest = whole.partition(" ")
        if word.lower() == "include":
            try:
                included = read(rest.strip())
            except OSError as error:
                place.note(whole, f"cannot be read: {error.strerror or error}")
            else:
                yield from lines(draft, included, read, rest.strip(), depth + 1)
        else:
            yield place, whole
        whole = ""


def _node_line(draft: Draft, place: Place, hosts: str, stated: dict[str, Setting]) -> None:
    node: dict[str, Any] = {}
    counts = {"sockets": 1, "corespersocket": 1, "threadspercore": 1}
    cores: int | None = None
    for key, (name, text, own) in stated.items():
        if key in ("cpus", "procs"):
            cores = own.read(name, text, int)
        elif key in counts or key == "socketsperboard":
            counts["sockets" if key == "socketsperboard" else key] = own.read(name, text, int) or 1
        elif key == "realmemory":
            node["memory_mb"] = own.read(name, text, float)
        elif key in ("feature", "features"):
            node["features"] = list(values.words(text))
        elif key == "weight":
            node["weight"] = own.read(name, text, int)
        elif key == "gres":
            found = own.read(name, text, values.gpus)
            if found is not None:
                take_gres(node, found)
                if found[1].count("|"):
                    own.note(f"{name}={text}", "each of these GPUs counts as one of any of their types")
        elif key not in _NODE_IGNORED:
            own.note(f"{name}={text}", "has no effect here")
    boards = int(stated["boards"].text) if "boards" in stated and stated["boards"].text.isdecimal() else 1
    product = boards * counts["sockets"] * counts["corespersocket"] * counts["threadspercore"]
    node["cores"] = cores or product
    if counts["threadspercore"] > 1:
        place.note(f"ThreadsPerCore={counts['threadspercore']}", "each thread counts as a core")
    names = expand_hosts(hosts, most=LARGEST_NODES - draft.named)
    draft.named += len(names)
    for host in names:
        draft.places["groups", host] = place
        draft.nodes[host] = {key: value for key, value in node.items() if value is not None}


def take_gres(node: dict[str, Any], found: tuple[int, str, dict[str, float]]) -> None:
    """Take GPUs, their types and other resources (see `values.gpus`) into a node."""
    gpus, types, others = found
    if gpus:
        node["gpus"] = gpus
        if types:
            node["gpu_type"] = types
    if others:
        node["gres"] = others


def _exclusive(text: str) -> tuple[bool, int]:
    mode, _, number = text.lower().partition(":")
    if mode == "exclusive":
        return True, 1
    if mode not in ("no", "yes", "force"):
        raise ValueError(text)
    return False, int(number or 4) if mode == "force" else 1


def _state(text: str) -> str:
    if text.lower() not in ("up", "down", "drain", "inactive"):
        raise ValueError(text)
    return text.lower()


_PARTITION: dict[str, tuple[str, values.Reader]] = {
    "default": ("is_default", values.yes),
    **values.each(values.minutes, maxtime="max_time", defaulttime="default_time"),
    **values.each(values.count, maxnodes="max_nodes", minnodes="min_nodes", maxcpuspernode="max_cores_per_node"),
    **values.each(int, prioritytier="tier", priorityjobfactor="priority"),
    **slurm_settings.MEMORY,
    "state": ("state", _state),
    "gracetime": ("grace_time", values.seconds),
    "preemptmode": ("preempt_mode", slurm_settings.preempt_mode),
    **values.each(values.words, allowaccounts="allowed_accounts", denyaccounts="denied_accounts"),
    **values.each(values.words, allowqos="allowed_qos", denyqos="denied_qos"),
    "qos": ("qos", str),
}


OF_PARTITION = frozenset((*_PARTITION, "nodes", "oversubscribe"))
"""Settings of a partition that `partition_of` reads, in lower case."""


def partition_of(draft: Draft, partition_name: str, stated: dict[str, Setting]) -> None:
    """Take one partition into a site; each of its settings is a text and the place where it stands."""
    partition: dict[str, Any] = {"name": partition_name, "hosts": ""}
    if stated:
        draft.places["partitions", partition_name] = stated.get("nodes", next(iter(stated.values()))).place
    for key, (name, text, own) in stated.items():
        if key == "nodes":
            partition["hosts"] = "" if text.lower() == "(null)" else text
        elif key in ("oversubscribe", "shared"):
            found = own.read(name, text, _exclusive)
            if found is not None:
                partition["exclusive"], partition["oversubscribe"] = found
        elif key == "priority":
            partition["tier"] = partition["priority"] = own.read(name, text, int)
        elif key in _PARTITION:
            option, reader = _PARTITION[key]
            if text.lower() not in values.UNSET:
                partition[option] = own.read(name, text, reader)
        elif key not in _PARTITION_IGNORED:
            own.note(f"{name}={text}", "has no effect here")
    draft.partitions[partition_name] = {key: value for key, value in partition.items() if value is not None}


def _partition_line(draft: Draft, name: str, stated: dict[str, Setting], sets: dict[str, str]) -> None:
    if "nodes" in stated:
        nodes = stated["nodes"]
        stated["nodes"] = nodes._replace(text=",".join(sets.get(word, word) for word in _outer_words(nodes.text)))
    for part in name.split(","):
        partition_of(draft, part, stated)


def _outer_words(text: str) -> list[str]:
    return re.split(r",(?![^\[]*\])", text)
