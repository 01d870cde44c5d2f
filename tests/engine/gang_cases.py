"""What tasks on several nodes held of each, in a form in which kernels and slow simulators can be compared."""

from collections.abc import Iterable

from scheduler_sim.engine import Simulation
from scheduler_sim.engine.contract import Pieces

Piece = tuple[int, int, int, int]
"""Node, thousandths of cores and of GPUs, and mask of the GPUs."""

Span = tuple[int, float, float, tuple[Piece, ...]]
"""Row, from when to when, and what was held then."""


def span(row: int, start: float, end: float, held: Iterable[tuple[int, int, dict[int, int]]]) -> Span:
    """Return a span of a slow simulator, whose pieces are node, thousandths of cores, and those of each GPU."""
    pieces = [(node, cpus, sum(gpus.values()), sum(1 << gpu for gpu in gpus)) for node, cpus, gpus in held]
    return row, start, end, tuple(sorted(pieces))


def listening(simulation: Simulation) -> list[Pieces]:
    """Return a list to which a simulation that has not begun will add what tasks on several nodes held."""
    batches: list[Pieces] = []
    simulation.on_pieces = batches.append
    return batches


def spans_of(pieces: Pieces) -> list[Span]:
    """Return the spans that a kernel told of, sorted."""
    found: dict[int, Span] = {}
    columns = (pieces.span, pieces.row, pieces.start_time, pieces.end_time)
    held = (pieces.node, pieces.cpus, pieces.gpus, pieces.devices)
    for number, row, start, end, *piece in zip(*(column.tolist() for column in (*columns, *held)), strict=True):
        before = found.get(number, (row, start, end, ()))
        assert before[:3] == (row, start, end)
        found[number] = (row, start, end, (*before[3], (piece[0], piece[1], piece[2], piece[3])))
    assert all(len(held) > 1 and list(held) == sorted(held) for *_, held in found.values())
    return sorted(found.values())
