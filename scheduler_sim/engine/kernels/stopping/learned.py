"""What a learned choice of who runs looks at (`policies.choice_scoring`)."""

import numpy as np

from scheduler_sim.engine.codes import QUEUED
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.cluster.state import Sim
from scheduler_sim.engine.kernels.stopping.state import Life
from scheduler_sim.engine.policies.choice_scoring import fold, length_of, wait_of, weigh
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

FEATURES = 10


@inner_kernel
def estimate_left(h: Life, row: int, now: float) -> float:
    """Return the seconds of a task's estimate that are left, at the pace at which it runs."""
    life = h.lives[row]
    if not life.runs:
        return float(life.estimate_left)
    return float(max(life.estimate_left - max(now - life.progress_from, 0.0) * life.pace, 0.0))


@inner_kernel
def active_scores(s: Sim, h: Life, now: float, rows: IntArray, scores: FloatArray) -> None:
    """Write the scores of tasks that run or wait; what is not known of one that waits is 0."""
    state, folded, seen = np.empty(2), np.empty(FEATURES), np.empty(FEATURES)
    state[0], state[1] = 1.0, length_of(float(s.counts[QUEUED]))
    fold(s.parameters, state, folded)
    for i in range(len(rows)):
        row = rows[i]
        life, runs = h.lives[row], 1.0 if h.lives[row].runs else 0.0
        n, left = s.features[row, 1], length_of(estimate_left(h, row, now))
        seen[0], seen[1], seen[2], seen[3] = s.features[row, 0], n, left, left * n
        seen[4] = wait_of(now - s.tasks[row].ready)
        seen[5], seen[6], seen[7] = runs, runs * left, runs * n
        seen[8] = wait_of(now - life.begun) if life.runs else 0.0
        seen[9] = np.log1p(float(life.attempts) - runs)
        scores[i] = weigh(folded, seen)
