"""The buffer into which kernels write what a task on several nodes held of each, once it holds it no longer."""

from typing import Any, NamedTuple

import numpy as np

from scheduler_sim.engine.contract import Pieces
from scheduler_sim.engine.indexes import never_negative
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.workloads.workload import IntArray

never_negative(__name__)

PIECE = np.dtype(
    [
        ("span", "i8"), ("row", "i8"), ("start", "f8"), ("end", "f8"),
        ("node", "i8"), ("cpu", "i8"), ("gpu", "i8"), ("mask", "i8"),
    ]
)  # fmt: skip
"""What a task held of a node: thousandths of cores and GPUs, and which GPUs; `span` is equal for all that it held at
once."""

WRITTEN, ROOM, SPANS, LOST, COUNTS = range(5)
"""Places in the counts: pieces in the buffer, how many may lie there when an instant begins, spans so far, and pieces
for which there was no room, which would be a fault of the kernel."""

BUFFER = 32_768
"""Pieces that wait to be drained at most, and some more on large clusters."""


class GangBuffer(NamedTuple):
    """Pieces that wait to be drained."""

    gang_pieces: Any
    gang_counts: IntArray

    @classmethod
    def of(cls, most_pieces: int) -> "GangBuffer":
        """Return an empty buffer for a simulation in which at most `most_pieces` are held at once."""
        counts = np.zeros(COUNTS, np.int64)
        counts[ROOM] = BUFFER
        # An instant may end what ran, and what began and ended in it.
        return cls(np.zeros(BUFFER + 4 * most_pieces + 8, PIECE), counts)

    @property
    def full(self) -> bool:
        """True when the buffer is to be drained before anything more is played."""
        return bool(self.gang_counts[WRITTEN] > self.gang_counts[ROOM])

    def drain(self) -> Pieces:
        """Return the pieces written since the last call, and empty the buffer."""
        if self.gang_counts[LOST]:
            raise RuntimeError(f"{self.gang_counts[LOST]} pieces of tasks on several nodes found no room.")
        written = self.gang_pieces[: self.gang_counts[WRITTEN]]
        self.gang_counts[WRITTEN] = 0
        return Pieces.of_records(written) if len(written) else Pieces.none()


@inner_kernel
def has_room(buffer: Any) -> bool:
    """Tell whether an instant may begin. `buffer` has the columns of a `GangBuffer`, as in the others."""
    return bool(buffer.gang_counts[WRITTEN] <= buffer.gang_counts[ROOM])


@inner_kernel
def begin_span(buffer: Any) -> None:
    """Say that what is written next was held at once."""
    buffer.gang_counts[SPANS] += 1


@inner_kernel
def write_piece(buffer: Any, row: int, start: float, end: float, node: int, cpu: int, gpu: int, mask: int) -> None:
    """Write what a task held of a node from `start` to `end`."""
    place = buffer.gang_counts[WRITTEN]
    if place == len(buffer.gang_pieces):
        buffer.gang_counts[LOST] += 1
        return
    piece = buffer.gang_pieces[place]
    piece.span, piece.row, piece.start, piece.end = buffer.gang_counts[SPANS], row, start, end
    piece.node, piece.cpu, piece.gpu, piece.mask = node, cpu, gpu, mask
    buffer.gang_counts[WRITTEN] = place + 1
