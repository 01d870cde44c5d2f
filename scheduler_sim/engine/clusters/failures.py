"""When nodes fail and come back: drawn from distributions, or listed. Nobody foresees it; what runs there ends."""

import csv
import heapq
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.finite import is_finite_number
from scheduler_sim.engine.units import SECONDS_PER_HOUR
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

DISTRIBUTIONS = ("exponential", "weibull")
REPAIRS = ("fixed", "exponential")

Outages = tuple[FloatArray, IntArray, IntArray]
"""Times, nodes and signs (1 goes, -1 comes back), in the order in which they are applied."""


@dataclass(frozen=True)
class FailureModel:
    """How often each node of a group fails by itself, and for how long it is away.

    Attributes:
        mean_hours: between a node's coming back and its next failure, on average.
        distribution: of that time, one of `DISTRIBUTIONS`. shape: of the Weibull distribution.
        repair_hours: until it is back, on average. repair: `fixed`, or drawn `exponential`.

    Raises:
        InvalidParameter: a value that has no meaning.
    """

    mean_hours: float
    distribution: str = "exponential"
    shape: float = 1.0
    repair_hours: float = 1.0
    repair: str = "fixed"

    def __post_init__(self) -> None:
        for name, zero in (("mean_hours", False), ("shape", False), ("repair_hours", True)):
            value = getattr(self, name)
            number = is_finite_number(value)
            if not number or value < 0 or (value == 0 and not zero):
                raise InvalidParameter(f"Failures: {name} is {value!r}, not a number {'from' if zero else 'above'} 0.")
        for name, valid in (("distribution", DISTRIBUTIONS), ("repair", REPAIRS)):
            if getattr(self, name) not in valid:
                raise InvalidParameter(f"Failures: {name} is {getattr(self, name)!r}, not one of {', '.join(valid)}.")

    def spans(self, generator: np.random.Generator) -> Iterator[tuple[float, float]]:
        """Yield the seconds up to the next failure and the seconds away, for ever, of a node that is there at first."""
        mean = self.mean_hours * SECONDS_PER_HOUR
        scale = mean / math.gamma(1.0 + 1.0 / self.shape)
        away = self.repair_hours * SECONDS_PER_HOUR
        while True:
            up = (
                generator.exponential(mean)
                if self.distribution == "exponential"
                else scale * generator.weibull(self.shape)
            )
            yield up, (away if self.repair == "fixed" else generator.exponential(away))


@dataclass(frozen=True)
class Failure:
    """One failure that a file lists.

    Attributes:
        start_time, duration: seconds, the first on the workload's clock.
        node: the number of the node; None for a share.
        share: part of all nodes, which ones is drawn; None for one node.
    """

    start_time: float
    duration: float
    node: int | None = None
    share: float | None = None


def read_failures(path: Path) -> tuple[Failure, ...]:
    """Read a csv file with the columns time, duration (seconds) and node or share.

    Raises:
        InvalidParameter: a file that cannot be read, lacks a column or holds a value that has no meaning.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"The file of failures {path} cannot be read: {error}.") from error
    return parse_failures(text, path.name)


def parse_failures(text: str, name: str = "The list of failures") -> tuple[Failure, ...]:
    """Read what a csv file holds, see `read_failures`; `name` is what sentences call it.

    Raises:
        InvalidParameter: a column that is missing, no failure, or a value that has no meaning.
    """
    try:
        reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InvalidParameter(f"{name} cannot be read: {error}.") from error
    columns = set(reader.fieldnames or ())
    if not {"time", "duration"} <= columns or not columns & {"node", "share"}:
        raise InvalidParameter(f"{name} must have the columns time, duration, and node or share.")
    if not rows:
        raise InvalidParameter(f"{name} holds no failure.")
    for number, row in rows:
        if None in row:
            raise InvalidParameter(f"{name}, line {number} has more fields than there are columns.")
    return tuple(_failure(row, f"{name}, line {number}") for number, row in rows)


def failures_text(failures: Sequence[Failure]) -> str:
    """Write failures as `parse_failures` reads them, each value in its shortest form."""
    lines = ["time,duration,node,share"]
    for one in failures:
        values = (one.start_time, one.duration, one.node, one.share)
        lines.append(",".join("" if value is None else str(value) for value in values))
    return "\n".join(lines) + "\n"


def check_nodes(failures: Sequence[Failure], nodes: int) -> None:
    """Refuse failures of nodes that there are not.

    Raises:
        InvalidParameter: the number of such a node.
    """
    for one in failures:
        if one.node is not None and not 0 <= one.node < nodes:
            raise InvalidParameter(f"A failure names node {one.node}; the cluster has nodes 0 to {nodes - 1}.")


def _failure(row: dict[str, str], place: str) -> Failure:
    texts = {name: (row.get(name) or "").strip() for name in ("time", "duration", "node", "share")}
    if bool(texts["node"]) == bool(texts["share"]):
        raise InvalidParameter(f"{place}: a failure has a node or a share of the nodes, one of them.")
    try:
        start, duration = float(texts["time"]), float(texts["duration"])
        node = int(texts["node"]) if texts["node"] else None
        share = float(texts["share"]) if texts["share"] else None
    except ValueError:
        raise InvalidParameter(f"{place}: time, duration, node and share are numbers.") from None
    if not (math.isfinite(start) and math.isfinite(duration) and duration >= 0):
        raise InvalidParameter(f"{place}: the failure has no finite time, or lasts less than nothing.")
    if share is not None and not 0 < share <= 1:
        raise InvalidParameter(f"{place}: share is {share:g}, not a part of the nodes above 0 up to 1.")
    return Failure(start, duration, node, share)


class FailureStream:
    """The failures and repairs of a simulation, in order of time and as far as they are asked for.

    Args:
        listed: failures of a file. models: each node's model, None for a node that never fails by itself.
        begin: when the nodes begin to run, seconds.
        seed: the same seed gives the same failures whatever the policy; each node has a stream of its own.

    Raises:
        InvalidParameter: a listed failure of a node that there is not.
    """

    def __init__(
        self, listed: Sequence[Failure], models: Sequence[FailureModel | None], *, begin: float, seed: Sequence[int]
    ) -> None:
        nodes = len(models)
        check_nodes(listed, nodes)
        self._drawn: list[tuple[float, int, float]] = []
        self._spans = {}
        for node, model in enumerate(models):
            if model is not None:
                self._spans[node] = model.spans(np.random.default_rng([*seed, node]))
                self._draw(node, begin)
        heapq.heapify(self._drawn)
        shares = np.random.default_rng([*seed, nodes])
        events: list[tuple[float, int, int]] = []
        for one in sorted(listed, key=lambda one: one.start_time):
            for node in self._nodes_of(one, nodes, shares):
                events += [(one.start_time, node, 1), (one.start_time + one.duration, node, -1)]
        self._events = events
        self.endless = bool(self._spans)

    @staticmethod
    def _nodes_of(one: Failure, nodes: int, generator: np.random.Generator) -> list[int]:
        if one.node is not None:
            return [one.node]
        count = math.ceil((one.share or 0.0) * nodes)
        return sorted(generator.choice(nodes, count, replace=False).tolist())

    def _draw(self, node: int, since: float) -> None:
        up, away = next(self._spans[node])
        self._drawn.append((since + up, node, away))

    def until(self, horizon: float) -> Outages:
        """Return the events up to `horizon` that were not returned before."""
        while self._drawn and self._drawn[0][0] <= horizon:
            start, node, away = heapq.heappop(self._drawn)
            self._events += [(start, node, 1), (start + away, node, -1)]
            up, after = next(self._spans[node])
            heapq.heappush(self._drawn, (start + away + up, node, after))
        # Stable, so that of one node a repair stays behind its failure and before the next, also at one instant.
        self._events.sort(key=lambda event: event[0])
        due = [event for event in self._events if event[0] <= horizon]
        self._events = self._events[len(due) :]
        times, nodes, signs = zip(*due, strict=True) if due else ((), (), ())
        return np.array(times, np.float64), np.array(nodes, np.int64), np.array(signs, np.int64)
