"""Racks and switches: which nodes are close, and how much slower a gang runs that is spread over several.

The words are those of Slurm's topology.conf: a switch has nodes, or switches below it. Levels are counted from the
racks up: 0 within one switch that has nodes, 1 within one switch above, and so on; whoever shares no switch at all is
one level above the last.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from scheduler_sim.engine.clusters.hosts import expand_hosts, fold_hosts, most_named
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

MOST_LEVELS = 16
"""Beyond this a tree of switches is taken for a slip of the pen."""

_KEYS = ("switches", "nodes_per_switch", "crossing")


@dataclass(frozen=True)
class Switch:
    """A switch with the nodes, or the switches, that hang on it, as names."""

    name: str
    nodes: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Topology:
    """The switches of a cluster: each by name, or so many neighbouring nodes each, level by level.

    Attributes:
        switches: in any order; a node that is on none stands alone, one that the cluster does not have is left out.
        nodes_per_switch: instead of `switches`, nodes of each switch of the lowest level, of the next, and so on.
        crossing: the run time of a gang is so many times as long that crosses one level, two, and so on; the last
            figure holds for all levels above. 1 for no slowdown.

    Raises:
        InvalidCluster: a value that has no meaning, or switches that contradict each other.
    """

    switches: tuple[Switch, ...] = ()
    nodes_per_switch: tuple[int, ...] = ()
    crossing: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if bool(self.switches) == bool(self.nodes_per_switch):
            raise InvalidCluster("The topology states either its switches or nodes_per_switch.")
        before = 1
        for size in self.nodes_per_switch:
            if isinstance(size, bool) or not isinstance(size, int) or size < 1 or size % before:
                raise InvalidCluster(
                    f"The topology's nodes_per_switch is {size!r}, not a whole multiple of that of the level below."
                )
            before = size
        least = 1.0
        for factor in self.crossing:
            if isinstance(factor, bool) or not isinstance(factor, int | float) or not least <= factor < math.inf:
                raise InvalidCluster(
                    f"The topology's crossing is {factor!r}, not a number from 1 up, nor one that grows with the level."
                )
            least = factor
        if self.levels > MOST_LEVELS:
            raise InvalidCluster(f"The topology has {self.levels} levels of switches, more than {MOST_LEVELS}.")
        if not 1 <= len(self.crossing) <= self.levels:
            raise InvalidCluster(
                f"The topology's crossing has {len(self.crossing)} figures for {self.levels} levels of switches."
            )

    @property
    def levels(self) -> int:
        """How many levels of switches there are."""
        return len(self.nodes_per_switch) or max(self._heights().values()) + 1

    @property
    def slows_down(self) -> bool:
        """True where a gang that crosses a level runs longer."""
        return self.crossing[-1] > 1.0

    def factors(self) -> FloatArray:
        """Return how many times as long a gang runs by the levels that it crosses, shape (levels + 1,)."""
        last = (self.crossing[-1],) * (self.levels - len(self.crossing))
        return np.array((1.0, *self.crossing, *last), np.float64)

    def numbers(self, names: Sequence[str]) -> IntArray:
        """Return the switch of each node on every level, shape (levels, len(names)), numbered by their first nodes.

        Args:
            names: of the nodes in their order.
        """
        if self.nodes_per_switch:
            nodes = np.arange(len(names))
            return np.stack([nodes // size for size in self.nodes_per_switch])
        heights, above = self._heights(), {below: one.name for one in self.switches for below in one.switches}
        leaf = {node: one.name for one in self.switches for node in one.nodes}
        on = np.zeros((self.levels, len(names)), np.int64)
        for level in range(self.levels):
            seen: dict[str, int] = {}
            for number, node in enumerate(names):
                # What stands alone is told apart by a name that no switch has.
                switch = leaf.get(node, f" {number}")
                while switch in above and heights[above[switch]] <= level:
                    switch = above[switch]
                on[level, number] = seen.setdefault(switch, len(seen))
        return on

    def as_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the description that `from_json` takes back, of the nodes `names`."""
        known = set(names)
        document: dict[str, Any] = {}
        if self.nodes_per_switch:
            document["nodes_per_switch"] = list(self.nodes_per_switch)
        else:
            document["switches"] = [
                {"name": one.name, "switches": fold_hosts(one.switches)}
                if one.switches
                else {"name": one.name, "nodes": fold_hosts(node for node in one.nodes if node in known)}
                for one in self.switches
            ]
        if self.crossing != (1.0,):
            document["crossing"] = list(self.crossing) if len(self.crossing) > 1 else self.crossing[0]
        return document

    @classmethod
    def from_json(cls, document: Any, names: Sequence[str]) -> Self:
        """Build a topology from a description: `{switches: [{name, nodes | switches}], crossing}`, lists of names.

        Args:
            document: or with `nodes_per_switch`, a number or a list, in place of the switches.
            names: of the nodes.

        Raises:
            InvalidCluster: as the class does, or a node that there is not.
        """
        if not isinstance(document, Mapping):
            raise InvalidCluster("The topology is not a mapping of names to values.")
        unknown = sorted(str(key) for key in set(document) - set(_KEYS))
        if unknown:
            raise InvalidCluster(f"The topology has unknown keys: {', '.join(unknown)}. Known: {', '.join(_KEYS)}.")
        listed = document.get("switches", ())
        if not isinstance(listed, list | tuple):
            raise InvalidCluster("The topology's switches are not a list.")
        most = most_named(len(names))
        switches = tuple(_switch(one, most) for one in listed)
        known = set(names)
        for one in switches:
            missing = [node for node in one.nodes if node not in known]
            if missing:
                raise InvalidCluster(f"Switch {one.name} has node {missing[0]}, which the cluster does not have.")
        if switches and len(known) < len(names):
            raise InvalidCluster("Two nodes of the cluster have one name, so that switches cannot name them.")
        return cls(switches, _several(document.get("nodes_per_switch", ())), _several(document.get("crossing", 1.0)))

    def _heights(self) -> dict[str, int]:
        """Return how many levels of switches lie below each switch.

        Raises:
            InvalidCluster: switches that contradict each other.
        """
        by_name = {one.name: one for one in self.switches}
        if len(by_name) < len(self.switches):
            raise InvalidCluster("The topology has two switches of one name.")
        taken: dict[tuple[str, bool], str] = {}
        for one in self.switches:
            if bool(one.nodes) and bool(one.switches):
                raise InvalidCluster(f"Switch {one.name} has nodes and switches; it has either.")
            for below in one.switches:
                if below not in by_name:
                    raise InvalidCluster(f"Switch {one.name} has switch {below}, which the topology does not have.")
            for below in (*one.nodes, *one.switches):
                place = below, bool(one.nodes)
                if place in taken:
                    raise InvalidCluster(f"{below} is on switch {taken[place]} and on switch {one.name}.")
                taken[place] = one.name
        heights: dict[str, int] = {}
        while len(heights) < len(by_name):
            ready = [
                one
                for one in self.switches
                if one.name not in heights and all(below in heights for below in one.switches)
            ]
            if not ready:
                raise InvalidCluster("The topology has switches that are below themselves.")
            for one in ready:
                heights[one.name] = max((heights[below] + 1 for below in one.switches), default=0)
        return heights


def _switch(document: Any, most: int) -> Switch:
    if not isinstance(document, Mapping) or not isinstance(document.get("name"), str):
        raise InvalidCluster("A switch of the topology is not a mapping with a name.")
    name = document["name"]
    unknown = sorted(str(key) for key in set(document) - {"name", "nodes", "switches"})
    if unknown:
        raise InvalidCluster(f"Switch {name} has unknown keys: {', '.join(unknown)}. Known: name, nodes, switches.")
    nodes, switches = (tuple(expand_hosts(str(document.get(key, "")), most=most)) for key in ("nodes", "switches"))
    return Switch(name, nodes, switches)


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)
