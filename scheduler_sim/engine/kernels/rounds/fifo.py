"""Jobs that have one kind of GPU for themselves, in the order of their arrival."""

import numpy as np

from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.kernels.rounds.allocations import Instant, programme
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray


@programme("fifo", "first come first served", in_turn=True)
def first_come(now: Instant) -> FloatArray:
    """Leave each job what it has; give the others the first kind with enough free GPUs, until one finds none."""
    shares = np.where(now.had_share > 0, 1.0, 0.0)
    free = now.workers - (shares * now.gpus[:, None]).sum(0)
    _in_turn(shares, free, now.gpus, now.rate, np.arange(len(free)), False)
    return shares


@programme("fifo_perf", "first come first served, each on its fastest kind", in_turn=True)
def first_come_fastest(now: Instant) -> FloatArray:
    """Give each job its fastest kind with enough free GPUs (ties by name) anew, until one finds none."""
    shares = np.zeros_like(now.rate)
    by_name = np.argsort(np.array(now.names), kind="stable")
    _in_turn(shares, now.workers.copy(), now.gpus, now.rate, by_name, True)
    return shares


@counting_kernel
def _in_turn(
    shares: FloatArray, free: FloatArray, gpus: FloatArray, rate: FloatArray, kinds: IntArray, fastest: bool
) -> None:
    """Give those without a share the first of `kinds` with enough free GPUs, or the fastest, until one finds none."""
    for job in range(len(gpus)):
        if shares[job].any():
            continue
        best = -1
        for kind in kinds:
            fits = free[kind] >= gpus[job] and rate[job, kind] > 0
            if fits and (best < 0 or (fastest and rate[job, kind] > rate[job, best])):
                best = kind
        if best < 0:
            break
        shares[job, best] = 1.0
        free[best] -= gpus[job]
