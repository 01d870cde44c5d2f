"""Jobs that have one kind of GPU for themselves, in the order of their arrival."""

import numpy as np

from scheduler_sim.engine.columns import FloatArray
from scheduler_sim.engine.kernels.rounds.allocations import Instant, programme


@programme("fifo", "first come first served", in_turn=True)
def first_come(now: Instant) -> FloatArray:
    """Leave each job what it has; give the others the first kind with enough free GPUs, until one finds none."""
    held = now.had_share > 0
    free = now.workers - (held * now.gpus[:, None]).sum(0)
    return _in_turn(now, np.where(held, 1.0, 0.0), free, fastest=False)


@programme("fifo_perf", "first come first served, each on its fastest kind", in_turn=True)
def first_come_fastest(now: Instant) -> FloatArray:
    """Give each job its fastest kind with enough free GPUs (ties by name) anew, until one finds none."""
    return _in_turn(now, np.zeros_like(now.rate), now.workers.copy(), fastest=True)


def _in_turn(now: Instant, shares: FloatArray, free: FloatArray, *, fastest: bool) -> FloatArray:
    by_name = np.argsort(np.array(now.names), kind="stable")
    for job in np.flatnonzero(~shares.any(1)).tolist():
        fits = (free >= now.gpus[job]) & (now.rate[job] > 0)
        if not fits.any():
            break
        kind = by_name[np.argmax((fits * now.rate[job])[by_name])] if fastest else np.argmax(fits)
        shares[job, kind] = 1.0
        free[kind] -= now.gpus[job]
    return shares
