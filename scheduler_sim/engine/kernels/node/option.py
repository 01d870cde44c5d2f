"""The GPU fraction with the earliest expected finish on one node."""

import numpy as np

from scheduler_sim.engine.codes import EARLIEST_FINISH, ORACLE
from scheduler_sim.engine.formulas import (
    TENTHS,
    cpu_alone_compiled,
    cpu_side_compiled,
    even_fraction_compiled,
    gpu_alone_compiled,
    gpu_side_compiled,
    split_time_compiled,
)
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.workloads.workload import FloatArray

CORES_USABLE, GPUS_USABLE, BOTH_USABLE = 1, 2, 4


@inner_kernel
def split_length(cpu: float, gpu: float, fraction: float, sequential: bool) -> float:
    """Return how long a task is when it is split, from how long it is on the CPU alone and on the GPU alone."""
    return split_time_compiled(cpu_side_compiled(cpu, fraction), gpu_side_compiled(gpu, fraction), sequential)


@inner_kernel
def best_tenth(begin: float, cpu: float, gpu: float, sequential: bool) -> int:
    """Return the lowest of the tenths 1 to 9 whose finish is the earliest.

    Concurrent sides grow shorter up to where they are equal and longer after it, so that only the tenths beside that
    point can be the best; others before them count where they end at the same time once that is rounded.
    """
    best = 1
    if sequential:
        for k in range(2, 10):
            finish = begin + split_length(cpu, gpu, TENTHS[k], True)
            if finish < begin + split_length(cpu, gpu, TENTHS[best], True):
                best = k
        return best
    if cpu > 0.0:
        best = min(max(int(10.0 * (cpu / (cpu + gpu))), 1), 9)
    finish = begin + split_length(cpu, gpu, TENTHS[best], False)
    while best < 9 and begin + split_length(cpu, gpu, TENTHS[best + 1], False) < finish:
        best += 1
        finish = begin + split_length(cpu, gpu, TENTHS[best], False)
    while best > 1 and begin + split_length(cpu, gpu, TENTHS[best - 1], False) <= finish:
        best -= 1
        finish = begin + split_length(cpu, gpu, TENTHS[best], False)
    return best


@inner_kernel
def best_option(
    cores_at: float,
    gpus_at: float,
    estimate: float,
    settled: float,
    intensity: float,
    memory_mb: float,
    usable: int,
    speeds: FloatArray,
    planned: int,
    sequential: bool,
) -> tuple[float, float, float, float]:
    """Return the fraction of the option that finishes first, its start, and how long it holds cores and GPUs.

    Of equals the lower fraction is taken; the start is infinity where there is no option.

    Args:
        cores_at, gpus_at: seconds; when what it asks for is expected to be free, not before now.
        estimate, settled, intensity, memory_mb, usable: of a task that may be split, see `Tasks`.
        speeds: see `Run`.
        planned, sequential: see `advance_planned`.
    """
    cpu = cpu_alone_compiled(estimate, speeds[0])
    gpu = gpu_alone_compiled(estimate, intensity, memory_mb, speeds[1], speeds[2])
    best_finish = best_begin = np.inf
    best_fraction = settled
    if usable & CORES_USABLE:
        best_begin = cores_at
        best_finish = cores_at + cpu
        best_fraction = 0.0
    both_at = max(cores_at, gpus_at)
    if usable & BOTH_USABLE and both_at < np.inf:
        fraction = settled
        if planned == EARLIEST_FINISH:
            fraction = TENTHS[best_tenth(both_at, cpu, gpu, sequential)]
        elif planned == ORACLE:
            # A sum of both sides is the least at one of its ends.
            fraction = 0.0 if sequential else even_fraction_compiled(cpu, gpu)
        finish = both_at + split_length(cpu, gpu, fraction, sequential)
        if 0.0 < fraction < 1.0 and finish < best_finish:
            best_finish = finish
            best_fraction = fraction
            best_begin = both_at
    if usable & GPUS_USABLE and gpus_at + gpu < best_finish:
        best_fraction = 1.0
        best_begin = gpus_at
    cpu_time = cpu_side_compiled(cpu, best_fraction)
    gpu_time = gpu_side_compiled(gpu, best_fraction)
    if sequential:
        cpu_time = gpu_time = gpu_time + cpu_time
    return best_fraction, best_begin, cpu_time, gpu_time
