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
def write_attempt(s: Any, written: int, row: int, life: Any, now: float, reason: int) -> None:
    """Write the attempt of a task that ends now.

    Args:
        s: has the columns of an `AttemptBuffer`, and `counts`.
        written: where the counts say how many attempts lie in the buffer.
        row: of the task.
        life: the task's record: how many attempts it had, when this one began, and its node and device.
        now: seconds.
        reason: why it ends, as `contract.REASONS` names it.
    """
    place = s.counts[written]
    s.attempt_rows[place] = row
    s.attempt_numbers[place] = life.attempts
    s.attempt_starts[place] = life.begun
    s.attempt_ends[place] = now
    s.attempt_nodes[place] = life.node
    s.attempt_devices[place] = life.device
    s.attempt_reasons[place] = reason
    s.counts[written] = place + 1
