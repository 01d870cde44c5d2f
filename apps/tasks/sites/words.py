"""What a site is made of, and what differs between two, as tables of texts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from scheduler_sim.display.formatting import duration
from scheduler_sim.engine import sites

ACCOUNTS_SHOWN = 200
"""So many lines of the accounts are shown; the YAML has all of them."""

Cells = tuple[str, ...]

_SHOWN_APART = frozenset(("cluster", "nodes", "partitions", "qos", "accounts", "reservations", "outages"))

_PARTS = {
    "groups": "Node group",
    "partitions": "Partition",
    "qos": "QOS",
    "accounts": "Account",
    "reservations": "Reservation",
    "outages": "Outage of",
    "": "Site",
}

_KEYS = {
    "count": "Nodes",
    "cores": "Cores each",
    "gpus": "GPUs each",
    "gpu_type": "GPU type",
    "memory_mb": "Memory each",
    "max_time": "Longest run time",
    "default_time": "Run time where none is asked for",
    "is_default": "Default",
    "qos": "QOS",
    "start_time": "From",
    "end_time": "To",
}

_OF_WHOLE = ("count", "hosts", "cores", "gpus", "gpu_type", "max_time", "priority", "shares")
"""What is said of an entry that one of two sites has alone."""


@dataclass(frozen=True)
class Part:
    """A table of one part of a site.

    Attributes:
        title: its heading.
        names: of the columns; the first is that of the row's name.
        rows: the name of each row, and its other cells.
        empty: what to say where there is none.
        more: how many rows are left out.
    """

    title: str
    names: Cells
    rows: Sequence[tuple[str, Cells]]
    empty: str
    more: int = 0


def site_parts(site: sites.Site) -> list[Part]:
    """Return what a site is made of, as tables."""
    accounts = [_account(one) for one in site.accounts]
    return [
        _groups(site),
        Part(
            "Partitions",
            ("Partition", "Nodes", "Hosts", "Longest run time", "Tier", "Priority", "State", "Rules"),
            [_partition(site, one) for one in site.partitions],
            "",
        ),
        Part(
            "Quality of service",
            ("QOS", "Priority", "Preempts", "Limits"),
            [(one.name, (str(one.priority), ", ".join(one.preempts), _limits(one.limits))) for one in site.qos],
            "None: no task has a quality of service.",
        ),
        Part(
            "Accounts and users",
            ("Account", "User", "Above it", "Shares", "QOS", "Limits"),
            accounts[:ACCOUNTS_SHOWN],
            "None: everybody may do everything.",
            max(len(accounts) - ACCOUNTS_SHOWN, 0),
        ),
        Part(
            "Reservations",
            ("Reservation", "From", "To", "Again after", "Hosts", "For"),
            [
                (
                    one.name,
                    (
                        duration(one.start_time),
                        duration(one.end_time),
                        ", ".join(map(duration, one.repeat_times)),
                        one.hosts,
                        ", ".join((*one.users, *one.accounts, one.partition)).strip(", "),
                    ),
                )
                for one in site.reservations
            ],
            "",
        ),
        Part(
            "Nodes that are away",
            ("Hosts", "From", "To", "What runs there", "Why"),
            [
                (
                    one.hosts,
                    (
                        duration(one.start_time),
                        "for good" if one.end_time is None else duration(one.end_time),
                        "ends" if one.kill else "finishes",
                        one.reason,
                    ),
                )
                for one in site.outages
            ],
            "",
        ),
        Part(
            "Scheduler, where it differs from the defaults",
            ("Part", "Parameter", "Value"),
            [
                (title, (name, _said(value)))
                for title, part in (
                    ("priority", site.priority),
                    ("scheduling", site.scheduling),
                    ("preemption", site.preemption),
                    ("site", site),
                )
                for name, value in _stated(part).items()
                if not isinstance(value, msgspec.Struct) and name not in _SHOWN_APART
            ],
            "All parameters have their defaults.",
        ),
    ]


def _groups(site: sites.Site) -> Part:
    rows = []
    for group, nodes in zip(site.cluster.groups, site.nodes, strict=True):
        gpus = f"{group.gpus} × {group.gpu_type or 'GPU'}" if group.gpus else "none"
        memory = "not limited" if group.memory_mb is None else f"{group.memory_mb:,.0f} MB"
        rows.append(
            (
                group.name,
                (
                    f"{group.count:,}",
                    nodes.hosts,
                    f"{group.cores:,}",
                    gpus,
                    memory,
                    ", ".join(nodes.features),
                    f"{nodes.weight}",
                ),
            )
        )
    names = ("Group", "Nodes", "Hosts", "Cores each", "GPUs each", "Memory each", "Features", "Weight")
    return Part("Node groups", names, rows, "")


def _partition(site: sites.Site, one: sites.Partition) -> tuple[str, Cells]:
    told = {"name", "hosts", "is_default", "state", "tier", "priority", "max_time"}
    rules = "; ".join(f"{name} {_said(value)}" for name, value in _stated(one).items() if name not in told)
    return (
        one.name + (" (default)" if one.is_default else ""),
        (
            f"{len(site.numbers(one.hosts)):,}",
            one.hosts,
            "unlimited" if one.max_time is None else duration(one.max_time),
            str(one.tier),
            str(one.priority),
            one.state,
            rules,
        ),
    )


def _account(one: sites.Account) -> tuple[str, Cells]:
    return (
        one.name,
        (one.user, one.parent, str(one.shares), ", ".join(one.qos or ()), _limits(one.limits)),
    )


def _limits(limits: sites.Limits) -> str:
    return "; ".join(f"{name} {_said(value)}" for name, value in _stated(limits).items())


def _stated(part: msgspec.Struct) -> dict[str, object]:
    """Return the values of a part that are not those by default."""
    found = {}
    for field in msgspec.structs.fields(part):
        value = getattr(part, field.name)
        is_empty = field.default_factory is not msgspec.NODEFAULT and not value
        if not is_empty and value != field.default:
            found[field.name] = value
    return found


def _said(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {amount:,.12g}" for name, amount in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.12g}" if isinstance(value, int | float) else str(value)


@dataclass(frozen=True)
class DifferenceLine:
    """One difference in words: of what, in what, and both values."""

    of: str
    what: str
    before: str
    after: str


def difference_lines(found: Iterable[sites.Difference]) -> list[DifferenceLine]:
    """Return differences in the words of the pages."""
    return [
        DifferenceLine(
            of=f"{_PARTS.get(one.part, one.part.capitalize())} {one.name}".rstrip(),
            what=_key(one.key) if one.key else "",
            before=_value(one.key, one.before),
            after=_value(one.key, one.after),
        )
        for one in found
    ]


def _key(key: str) -> str:
    return _KEYS.get(key, key.replace("_", " ").capitalize())


def _value(key: str, value: Any) -> str:
    if not key:
        return "not there" if value is None else _whole(value)
    if value in (None, "", ()) or value == {}:
        return "not given"
    if isinstance(value, tuple) and not all(isinstance(one, str) for one in value):
        return f"{len(value)} stated"
    if isinstance(value, float | int) and not isinstance(value, bool):
        if key.endswith("_time"):
            return duration(value)
        if "_mb" in key:
            return f"{value:,.12g} MB"
    return _said(value)


def _whole(entry: Any) -> str:
    stated = [(key, entry[key]) for key in _OF_WHOLE if entry.get(key) not in (None, "", 0)]
    return (
        "there: " + ", ".join(f"{_key(key).lower()} {_value(key, value)}" for key, value in stated)
        if stated
        else "there"
    )
