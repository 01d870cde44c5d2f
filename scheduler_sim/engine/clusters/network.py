"""Links between nodes: how long data takes from the node that made it to the node that needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.finite import is_finite_number
from scheduler_sim.engine.workloads.columns import FloatArray


@dataclass(frozen=True)
class Link:
    """The links between the nodes of two groups, or of one group among themselves, where they differ from the rest.

    Attributes:
        between: the names of the groups; twice the same for the nodes of one group.
        bandwidth_mb_per_second, latency_seconds: as of `Network`.
    """

    between: tuple[str, str]
    bandwidth_mb_per_second: float
    latency_seconds: float = 0.0

    def __post_init__(self) -> None:
        _check(f"The link between {' and '.join(self.between)}", self.bandwidth_mb_per_second, self.latency_seconds)


@dataclass(frozen=True)
class Network:
    """What carries data from one node to another; each transfer has its link for itself, however many there are.

    Attributes:
        bandwidth_mb_per_second: of a link between any two nodes.
        latency_seconds: added to each transfer.
        links: of certain groups, where they differ.

    Raises:
        InvalidCluster: a value that has no meaning, or two links between the same groups.
    """

    bandwidth_mb_per_second: float
    latency_seconds: float = 0.0
    links: tuple[Link, ...] = ()

    def __post_init__(self) -> None:
        _check("The network", self.bandwidth_mb_per_second, self.latency_seconds)
        told = [frozenset(link.between) for link in self.links]
        if len(set(told)) < len(told):
            raise InvalidCluster("The network states two links between the same groups.")

    def between(self, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Return the latency and the seconds a MB between nodes of each two groups, shape (groups, groups) each.

        Args:
            names: of the groups, in their order.
        """
        shape = (len(names), len(names))
        # Doubles, whatever a description holds: compiled code reads them as such.
        latency = np.full(shape, self.latency_seconds, np.float64)
        per_mb = np.full(shape, 1.0 / self.bandwidth_mb_per_second, np.float64)
        for link in self.links:
            ones, others = ([place for place, name in enumerate(names) if name == end] for end in link.between)
            for one in ones:
                for other in others:
                    latency[one, other] = latency[other, one] = link.latency_seconds
                    per_mb[one, other] = per_mb[other, one] = 1.0 / link.bandwidth_mb_per_second
        return latency, per_mb

    def as_json(self) -> dict[str, Any]:
        """Return the description that `from_json` takes back."""
        document: dict[str, Any] = _described(self)
        if self.links:
            document["links"] = [{"between": list(link.between), **_described(link)} for link in self.links]
        return document

    @classmethod
    def from_json(cls, document: Any, names: Sequence[str]) -> Self:
        """Build a network from a description: `{bandwidth_mb_per_second, latency_seconds, links: [{between, ...}]}`.

        Args:
            names: of the cluster's groups.

        Raises:
            InvalidCluster: as the class does, a key that is not known, or a group that there is not.
        """
        figures = _figures("The network", document, {"links"})
        listed = document.get("links", ())
        if not isinstance(listed, list | tuple):
            raise InvalidCluster("The network's links are not a list.")
        links = []
        for one in listed:
            of_link = _figures("A link of the network", one, {"between"})
            ends = one.get("between")
            if not isinstance(ends, list | tuple) or len(ends) != 2:
                raise InvalidCluster("A link of the network is not between two groups.")
            for end in ends:
                if end not in names:
                    raise InvalidCluster(f"A link of the network is between {end!r}, which is no node group.")
            links.append(Link(between=(str(ends[0]), str(ends[1])), **of_link))
        return cls(**figures, links=tuple(links))


_KEYS = ("bandwidth_mb_per_second", "latency_seconds")


def _described(one: Network | Link) -> dict[str, float]:
    return {key: getattr(one, key) for key in _KEYS if key == _KEYS[0] or getattr(one, key)}


def _figures(what: str, document: Any, others: set[str]) -> dict[str, float]:
    if not isinstance(document, Mapping):
        raise InvalidCluster(f"{what} is not a mapping of names to values.")
    known = [*_KEYS, *sorted(others)]
    unknown = sorted(str(key) for key in set(document) - set(known))
    if unknown:
        raise InvalidCluster(f"{what} has unknown keys: {', '.join(unknown)}. Known: {', '.join(known)}.")
    if _KEYS[0] not in document:
        raise InvalidCluster(f"{what} lacks {_KEYS[0]}.")
    return {key: document[key] for key in _KEYS if key in document}


def _check(what: str, bandwidth: Any, latency: Any) -> None:
    for key, value, above in ((_KEYS[0], bandwidth, True), (_KEYS[1], latency, False)):
        is_number = is_finite_number(value)
        if not is_number or value < 0 or (above and value == 0):
            raise InvalidCluster(f"{what}: {key} is {value!r}, not a number {'above 0' if above else 'from 0 up'}.")
