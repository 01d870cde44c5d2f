"""What is noted of tasks while they are played: events that are to come, and what was held of each node."""

from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.state import PENDING, State
from scheduler_sim.engine.kernels.structures.gang_buffer import begin_span, write_piece
from scheduler_sim.engine.kernels.structures.heap import heap_push


@inner_kernel
def expect(s: State, time: float, row: int, kind: int) -> None:
    """Note an event of a task."""
    heap_push(s.heap_times, s.heap_codes, s.counts[PENDING], time, kind * len(s.site_tasks) + row)
    s.counts[PENDING] += 1


@inner_kernel
def tell_pieces(s: State, row: int, now: float) -> None:
    """Write what a running task on several nodes has held of each since it was begun, or went on."""
    t = s.site_tasks[row]
    piece = t.first_piece
    if piece < 0 or s.held_pieces[piece].next_of_task < 0:
        return
    begin_span(s)
    while piece >= 0:
        p = s.held_pieces[piece]
        write_piece(s, row, t.begun, now, p.node, p.cpu, MILLI * p.gpus, 0)
        piece = p.next_of_task
