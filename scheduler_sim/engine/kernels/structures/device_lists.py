"""Devices that hang together in a list: those that one task holds."""

from typing import Any

from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.kernels.structures.gang_buffer import begin_span, write_piece
from scheduler_sim.engine.workloads.workload import IntArray


@counting_kernel
def tell_places(s: Any, numbers: IntArray, row: int, first: int, begun: float, now: float) -> None:
    """Write which devices a task has held since `begun`, if they are on several nodes.

    Args:
        s: has `after` and `nodes` of all devices, and the columns of a `GangBuffer`.
        numbers: of the devices on their nodes, -1 for cores.
        first: of the task's devices.
    """
    place, several = first, False
    while place >= 0:
        several = several or s.nodes[place] != s.nodes[first]
        place = s.after[place]
    if not several:
        return
    begin_span(s)
    place = first
    while place >= 0:
        node, cpu, gpu, mask = s.nodes[place], 0, 0, 0
        while place >= 0 and s.nodes[place] == node:
            if numbers[place] < 0:
                cpu += MILLI
            else:
                gpu += MILLI
                mask |= 1 << numbers[place]
            place = s.after[place]
        write_piece(s, row, begun, now, node, cpu, gpu, mask)


@counting_kernel
def take_free(s: Any, task: Any, last: int, place: int, count: int) -> int:
    """Give a task free devices in the order of their places, and return the last of them.

    Args:
        s: has `after` of all devices, -2 for a free one.
        task: its `place` is the first of its devices.
        last: of its devices, -1 where it has none.
        place: no free device lies before this one.
        count: how many it gets.
    """
    for _ in range(count):
        while s.after[place] != -2:
            place += 1
        if last < 0:
            task.place = place
        else:
            s.after[last] = place
        s.after[place] = -1
        last = place
    return last
