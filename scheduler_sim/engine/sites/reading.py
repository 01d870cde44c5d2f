"""What is read of a site, and what of it was not understood."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from scheduler_sim.engine.clusters.hosts import expand_hosts, fold_hosts
from scheduler_sim.engine.errors import InvalidCluster, InvalidSite
from scheduler_sim.engine.sites import values
from scheduler_sim.engine.sites.site import Site

_ENTRY = re.compile(r"(\w+)\[(\d+)\]")


@dataclass(frozen=True)
class Note:
    """A line of a file whose text, or a part of it, has no effect on the site.

    Attributes:
        line: its number, from 1; 0 where the whole file is meant.
        text: the part.
    """

    file: str
    line: int
    text: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{place}: {self.text}: {self.reason}"


@dataclass
class Draft:
    """A site while it is read, in the words of its description.

    Attributes:
        nodes: a mapping by node name, in the order in which they were met; alike ones become groups.
        notes: what was not understood, in the order of reading.
        switches: of the topology, by name.
        named: how many nodes its lines named, each time anew.
        associations: account and user (empty for the account itself) by the number that the accounting gives them.
        places: where each entry stands, by its part of the description and its name.
    """

    name: str = ""
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    partitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    qos: dict[str, dict[str, Any]] = field(default_factory=dict)
    accounts: list[dict[str, Any]] = field(default_factory=list)
    reservations: dict[str, dict[str, Any]] = field(default_factory=dict)
    outages: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    switches: dict[str, dict[str, Any]] = field(default_factory=dict)
    named: int = 0
    associations: dict[str, tuple[str, str]] = field(default_factory=dict)
    places: dict[tuple[str, str], "Place"] = field(default_factory=dict)

    def site(self) -> Site:
        """Return the site.

        Raises:
            InvalidCluster: parts that contradict each other, or no node at all; with the line where it can be told.
        """
        document: dict[str, Any] = {"name": self.name or "site", "groups": _groups(self.nodes), **self.settings}
        for name in ("partitions", "qos", "reservations"):
            document[name] = list(getattr(self, name).values())
        document["accounts"], document["outages"] = self.accounts, self.outages
        if self.switches:
            document["topology"] = {"switches": list(self.switches.values())}
        try:
            return Site.from_json(document)
        except InvalidSite as error:
            place = self._place(document, error.path)
            raise InvalidCluster(f"{place}: {error}" if place else str(error)) from error

    def _place(self, document: dict[str, Any], path: str) -> "Place | None":
        entry = _ENTRY.match(path)
        if entry is None:
            return None
        part, found = entry[1], document[entry[1]][int(entry[2])]
        if part == "groups":
            name = expand_hosts(found["hosts"])[0]
        else:
            name = account_key(found) if part == "accounts" else found.get("name", found.get("hosts"))
        return self.places.get((part, name))


def account_key(entry: Mapping[str, Any]) -> str:
    """Return what tells an entry of the accounts from the others."""
    return " ".join(str(entry[key]) for key in ("name", "user", "partition") if entry.get(key))


class Place:
    """A line of a file that is being read, which takes notes of what it holds in vain."""

    def __init__(self, draft: Draft, file: str, line: int) -> None:
        self._draft = draft
        self._file = file
        self._line = line

    def __str__(self) -> str:
        return f"{self._file}, line {self._line}"

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Say with each refusal that it is this line's."""
        try:
            yield
        except InvalidCluster as error:
            raise InvalidCluster(f"{self}: {error}") from None

    def note(self, text: str, reason: str) -> None:
        """Say that a part of the line has no effect."""
        self._draft.notes.append(Note(self._file, self._line, text, reason))

    def read(self, key: str, text: str, reader: Callable[[str], Any]) -> Any:
        """Return a value as `reader` reads it; None with a note where it cannot."""
        try:
            value = reader(text)
            if isinstance(value, int | float) and not value >= 0:
                raise ValueError(text)
        except ValueError:
            self.note(f"{key}={text}", "not understood")
            return None
        return value

    def limits(self, pairs: Iterable[tuple[str, str]], others: frozenset[str]) -> dict[str, Any]:
        """Return the limits among names and texts; a name in neither them nor `others` gets a note."""
        found: dict[str, Any] = {}
        for key, text in pairs:
            if key.lower() in values.LIMITS:
                name, reader = values.LIMITS[key.lower()]
                value = self.read(key, text, reader)
                if value not in (None, {}):
                    found[name] = value
            elif key.lower() not in others and text.lower() not in values.UNSET:
                self.note(f"{key}={text}", "has no effect here")
        return found


def _groups(nodes: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Join nodes that are alike and follow each other into groups."""
    groups: list[tuple[dict[str, Any], list[str]]] = []
    for name, node in nodes.items():
        if groups and groups[-1][0] == node:
            groups[-1][1].append(name)
        else:
            groups.append((node, [name]))
    return [{**node, "hosts": fold_hosts(names), "name": fold_hosts(names)} for node, names in groups]
