"""What both event loops of one node do with its arrays."""

import numpy as np

from scheduler_sim.engine.codes import CPU_SIDE, FINISH, GPU_SIDE
from scheduler_sim.engine.formulas import held_times_compiled
from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.kernels.node.state import Run, Tasks
from scheduler_sim.engine.kernels.structures.heap import heap_pop, heap_push
from scheduler_sim.engine.kernels.structures.instants import go_to
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


@bare_kernel
def lowest_devices(mask: int, count: int) -> int:
    """Return the lowest `count` bits of a mask, all of them where it has fewer."""
    taken = 0
    while count > 0 and mask != 0:
        taken |= mask & -mask
        mask &= mask - 1
        count -= 1
    return taken


@bare_kernel
def pop_end(
    pending: int, event_times: FloatArray, event_codes: IntArray, gone: IntArray
) -> tuple[int, bool, bool, bool]:
    """Take the next of `pending` ends out.

    Returns:
        row: of the task.
        gives_cores, gives_gpus: whether it holds its cores, or its GPUs, no longer from now on.
        finishes: whether it is done.
    """
    code = event_codes[0]
    heap_pop(event_times, event_codes, pending)
    row = code // 3
    before, gone[row] = gone[row], code - 3 * row
    gives_cores = gone[row] != GPU_SIDE and before != CPU_SIDE
    gives_gpus = gone[row] != CPU_SIDE and before != GPU_SIDE
    return row, gives_cores, gives_gpus, gone[row] == FINISH


@bare_kernel
def finish_task(row: int, now: float, finished: int, finish: FloatArray, order: IntArray) -> int:
    """Note that a task finished, after `finished` others, and return how many have; ties stand in the order of rows."""
    finish[row] = now
    place = finished
    while place > 0 and order[place - 1] > row and finish[order[place - 1]] == now:
        order[place] = order[place - 1]
        place -= 1
    order[place] = row
    return finished + 1


@bare_kernel
def comes(
    arrived: int, arrivals: IntArray, offered: FloatArray, pending: int, run: Run, until: float, enough: bool
) -> bool:
    """Put the clock to the next arrival or end, and tell whether there is one to be played; see `go_to`."""
    now = offered[arrivals[arrived]] if arrived < len(arrivals) else np.inf
    if pending > 0:
        now = min(run.event_times[0], now)
    return bool(go_to(now, until, enough, run.clock) < np.inf)


@bare_kernel
def parent_ends(child: int, now: float, ready: FloatArray, waiting_for: IntArray) -> bool:
    """Note that one of the tasks that `child` waits for has ended, and tell whether it waits for nothing more."""
    ready[child] = max(ready[child], now)
    waiting_for[child] -= 1
    return bool(waiting_for[child] == 0)


@bare_kernel
def lasts(row: int, fraction: float, tasks: Tasks, speeds: FloatArray, sequential: bool) -> tuple[float, float]:
    """Return for how many seconds a task that starts holds its cores, and its GPUs."""
    return held_times_compiled(
        tasks.runtime[row],
        fraction,
        tasks.intensity[row],
        tasks.memory_mb[row],
        tasks.hybrid[row],
        tasks.on_gpu[row],
        speeds[0],
        speeds[1],
        speeds[2],
        sequential,
    )


@bare_kernel
def push_ends(
    row: int,
    now: float,
    split: bool,
    cpu_time: float,
    gpu_time: float,
    pending: int,
    event_times: FloatArray,
    event_codes: IntArray,
) -> int:
    """Add the ends of a task that starts to `pending` others, a split one's shorter side first; return their number."""
    if split and cpu_time != gpu_time:
        early = 3 * row + (CPU_SIDE if cpu_time < gpu_time else GPU_SIDE)
        heap_push(event_times, event_codes, pending, now + min(cpu_time, gpu_time), early)
        pending += 1
    heap_push(event_times, event_codes, pending, now + max(cpu_time, gpu_time), 3 * row + FINISH)
    return pending + 1
