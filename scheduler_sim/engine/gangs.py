"""What tasks on several nodes held of each, kept small: nodes in a row with the same on each are one entry."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.contract import Pieces
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

RANGE = np.dtype([("node", "<u4"), ("nodes", "<u4"), ("cpus", "<u4"), ("gpus", "<u4"), ("devices", "<u8")])
"""`nodes` nodes from `node` on, thousandths of cores and GPUs held on each of them, and the mask of the GPUs there."""

Ranges = npt.NDArray[np.void]

TOGETHER = 4_096
"""So many spans are packed together while a simulation goes on."""


@dataclass(frozen=True, eq=False)
class Gangs:
    """Spans of time in which tasks held several nodes, n of them.

    Attributes:
        task: rows of a workload, or keys of tasks, shape (n,).
        start_time, end_time: seconds on the workload's clock, shape (n,).
        offsets: shape (n + 1,); the entries of span i are `ranges[offsets[i]:offsets[i + 1]]`.
        ranges: of `RANGE`, by node ascending.
    """

    task: IntArray
    start_time: FloatArray
    end_time: FloatArray
    offsets: IntArray
    ranges: Ranges

    @classmethod
    def of(cls, pieces: Pieces) -> Self:
        """Return pieces as spans."""
        if not len(pieces):
            return cls.joined([])
        new_span = np.append(True, pieces.span[1:] != pieces.span[:-1])
        goes_on = ~new_span[1:] & (pieces.node[1:] == pieces.node[:-1] + 1)
        for held in (pieces.cpus, pieces.gpus, pieces.devices):
            goes_on &= held[1:] == held[:-1]
        first = np.flatnonzero(np.append(True, ~goes_on))
        ranges = np.zeros(len(first), RANGE)
        ranges["node"], ranges["nodes"] = pieces.node[first], np.diff(np.append(first, len(pieces)))
        ranges["cpus"], ranges["gpus"] = pieces.cpus[first], pieces.gpus[first]
        ranges["devices"] = pieces.devices[first].view(np.uint64)
        begins = np.flatnonzero(new_span)
        return cls(
            task=pieces.row[begins],
            start_time=pieces.start_time[begins],
            end_time=pieces.end_time[begins],
            offsets=np.append(np.searchsorted(first, begins), len(first)),
            ranges=ranges,
        )

    @classmethod
    def joined(cls, several: "Sequence[Gangs]") -> Self:
        """Return the spans of several as one."""
        lengths = [np.diff(one.offsets) for one in several]
        real, whole = np.zeros(0), np.zeros(0, np.int64)
        return cls(
            task=np.concatenate([whole, *(one.task for one in several)]),
            start_time=np.concatenate([real, *(one.start_time for one in several)]),
            end_time=np.concatenate([real, *(one.end_time for one in several)]),
            offsets=np.concatenate([[0], np.cumsum(np.concatenate([whole, *lengths]))]).astype(np.int64),
            ranges=np.concatenate([np.zeros(0, RANGE), *(one.ranges for one in several)]),
        )

    def __len__(self) -> int:
        return len(self.task)

    def __getitem__(self, chosen: IntArray) -> "Gangs":
        """Return the chosen spans, in that order."""
        first, lengths = self.offsets[:-1][chosen], np.diff(self.offsets)[chosen]
        offsets = np.append(0, np.cumsum(lengths)).astype(np.int64)
        places = np.repeat(first - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Gangs(self.task[chosen], self.start_time[chosen], self.end_time[chosen], offsets, self.ranges[places])

    def called(self, names: IntArray) -> "Gangs":
        """Return the spans with what the tasks are called, by row, in place of their rows."""
        return Gangs(names[self.task], self.start_time, self.end_time, self.offsets, self.ranges)

    def in_order(self) -> "Gangs":
        """Return the spans by task and time."""
        return self[np.lexsort((self.end_time, self.start_time, self.task))]

    @property
    def node_counts(self) -> IntArray:
        """On how many nodes each was, shape (n,)."""
        return np.diff(np.append(0, np.cumsum(self.ranges["nodes"].astype(np.int64)))[self.offsets])

    def pieces(self) -> Pieces:
        """Return every node of every span, `row` being the task and `span` the place among these."""
        spans = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        counts = self.ranges["nodes"].astype(np.int64)
        entry = np.repeat(np.arange(len(counts)), counts)
        step = np.arange(len(entry)) - np.repeat(np.append(0, np.cumsum(counts))[:-1], counts)
        span = spans[entry]
        return Pieces(
            span=span,
            row=self.task[span],
            start_time=self.start_time[span],
            end_time=self.end_time[span],
            node=self.ranges["node"][entry].astype(np.int64) + step,
            cpus=self.ranges["cpus"][entry].astype(np.int64),
            gpus=self.ranges["gpus"][entry].astype(np.int64),
            devices=self.ranges["devices"][entry].view(np.int64),
        )

    def on_nodes(self, first: int, last: int) -> "Gangs":
        """Return the spans with what they held of the nodes from `first` to before `last`; others are left out."""
        ranges = self.ranges.copy()
        begin = np.maximum(ranges["node"].astype(np.int64), first)
        end = np.minimum(ranges["node"].astype(np.int64) + ranges["nodes"], last)
        inside = begin < end
        ranges["node"][inside], ranges["nodes"][inside] = begin[inside], (end - begin)[inside]
        kept = np.append(0, np.cumsum(inside))[self.offsets]
        there = np.diff(kept) > 0
        return Gangs(
            task=self.task[there],
            start_time=self.start_time[there],
            end_time=self.end_time[there],
            offsets=np.append(kept[:-1][there], kept[-1]),
            ranges=ranges[inside],
        )

    def node_chunks(self, nodes: int, most: int) -> Iterator[tuple[int, int]]:
        """Yield spans of the nodes from 0 to `nodes`, each with at most `most` pieces, or one node of more."""
        change = np.zeros(nodes + 1, np.int64)
        np.add.at(change, self.ranges["node"].astype(np.int64), 1)
        np.add.at(change, self.ranges["node"].astype(np.int64) + self.ranges["nodes"], -1)
        before = np.append(0, np.cumsum(np.cumsum(change)[:nodes]))
        first = 0
        while first < nodes:
            last = max(first + 1, int(np.searchsorted(before, before[first] + most, side="right")) - 1)
            yield first, min(last, nodes)
            first = last

    @property
    def last_node(self) -> int:
        """The highest number of a node that is held, -1 where none is."""
        return int((self.ranges["node"].astype(np.int64) + self.ranges["nodes"]).max(initial=0)) - 1

    def nodes(self, place: int) -> IntArray:
        """Return the numbers of the nodes of one span, ascending."""
        ranges = self.ranges[self.offsets[place] : self.offsets[place + 1]]
        return np.concatenate([np.arange(one["node"], one["node"] + one["nodes"], dtype=np.int64) for one in ranges])

    def packed(self) -> bytes:
        """Return the spans as compressed bytes, the lowest byte of each number first."""
        columns = (
            np.diff(self.task, prepend=0).astype("<i8"),
            self.start_time.astype("<f8"),
            self.end_time.astype("<f8"),
            np.diff(self.offsets).astype("<u4"),
            self.ranges,
        )
        return zlib.compress(b"".join([len(self).to_bytes(8, "little"), *(one.tobytes() for one in columns)]), level=1)

    @classmethod
    def unpacked(cls, packed: bytes | memoryview) -> Self:
        """Return the spans that were packed."""
        whole = zlib.decompress(packed)
        n = int.from_bytes(whole[:8], "little")
        cuts = np.cumsum([8, 8 * n, 8 * n, 8 * n, 4 * n]).tolist()
        task, start, end, lengths = (
            np.frombuffer(whole[first:last], kind)
            for (first, last), kind in zip(pairwise(cuts), ("<i8", "<f8", "<f8", "<u4"), strict=True)
        )
        return cls(
            task=np.cumsum(task).astype(np.int64),
            start_time=start.astype(np.float64),
            end_time=end.astype(np.float64),
            offsets=np.append(0, np.cumsum(lengths.astype(np.int64))),
            ranges=np.frombuffer(whole[cuts[-1] :], RANGE),
        )


class GangLog:
    """Gathers what tasks on several nodes held while a simulation goes on; `Simulation.on_pieces` may be its `add`.

    It holds some tens of bytes a span: what has come is packed, some thousand spans together.
    """

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._waiting: list[Gangs] = []

    def add(self, pieces: Pieces) -> None:
        """Take in what a simulation hands over."""
        self._waiting.append(Gangs.of(pieces))
        if sum(map(len, self._waiting)) >= TOGETHER:
            self._packed.append(Gangs.joined(self._waiting).packed())
            self._waiting.clear()

    def gangs(self) -> Gangs:
        """Return all spans that came, in the order in which they ended."""
        return Gangs.joined([*map(Gangs.unpacked, self._packed), *self._waiting])
