"""The buffer into which kernels write the attempts that end."""

from typing import Any, NamedTuple

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


class AttemptBuffer(NamedTuple):
    """Attempts that wait to be drained, a place each."""

    attempt_rows: IntArray
    attempt_numbers: IntArray
    attempt_starts: FloatArray
    attempt_ends: FloatArray
    attempt_nodes: IntArray
    attempt_devices: IntArray
    attempt_reasons: IntArray


@inner_kernel
def write_attempt(buffer: Any, place: int, row: int, life: Any, now: float, reason: int) -> None:
    """Write the attempt of a task that ends now.

    Args:
        buffer: a record of the columns of `AttemptBuffer`.
        place: where in them.
        row: of the task.
        life: the task's record: how many attempts it had, when this one began, and its node and device.
    """
    buffer.attempt_rows[place] = row
    buffer.attempt_numbers[place] = life.attempts
    buffer.attempt_starts[place] = life.begun
    buffer.attempt_ends[place] = now
    buffer.attempt_nodes[place] = life.node
    buffer.attempt_devices[place] = life.device
    buffer.attempt_reasons[place] = reason
