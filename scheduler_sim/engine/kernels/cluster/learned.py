"""What learned choices of a node and of a split look at (`policies.choice_scoring`)."""

from typing import Any

import numpy as np

from scheduler_sim.engine.codes import MILLI, QUEUED
from scheduler_sim.engine.jit import called_kernel, inner_kernel
from scheduler_sim.engine.kernels.cluster.state import FREE_CPU, FREE_GPU, MOST_CORES, MOST_GPUS, Sim, View
from scheduler_sim.engine.kernels.cluster.view import fits, room, tightest
from scheduler_sim.engine.policies.choice_scoring import fold, length_of, weigh


@called_kernel
def find_learned(s: Sim, view: View, t: Any, nodes: int, stamp: int, need: tuple[int, int, int, int]) -> int:
    """Return the node with the lowest score among those of row `nodes` that fit and are not marked, -1 for none."""
    cpu, whole, share, memory = need
    on_gpu = whole > 0 or share > 0
    state, folded, seen = s.choice_state, s.choice_folded, s.choice_seen
    state[0], state[1], state[2] = 1.0, 1.0 if on_gpu else 0.0, 1.0 if share > 0 else 0.0
    state[3] = length_of(t.estimate)
    fold(s.choice_weights, state, folded)
    most_cores, most_gpus = float(s.settings[MOST_CORES]), float(s.settings[MOST_GPUS])
    best, lowest = -1, np.inf
    for node in range(len(view.cores)):
        if not s.allowed[nodes, node] or s.mark[node] == stamp or not fits(view, node, cpu, whole, share, memory):
            continue
        devices, cores = view.devices[node], view.cores[node]
        seen[0] = room(view, node, on_gpu) / (most_gpus if on_gpu else most_cores)
        seen[1], seen[2] = cores / (most_cores * MILLI), devices / (most_gpus * MILLI)
        seen[3] = 1.0 if share > 0 and tightest(view, node, share) >= 0 else 0.0
        seen[4] = 1.0 if cores == s.node_cpu[node] and devices == s.node_gpus[node] * MILLI else 0.0
        seen[5] = s.node_gpus[node] / most_gpus
        left = devices - whole * MILLI - share if on_gpu else cores - cpu
        seen[6] = 1.0 if left == 0 else 0.0
        seen[7] = np.log(s.speeds[t.paces + s.node_group[node], 1 if on_gpu else 0])
        score = weigh(folded, seen)
        if best < 0 or score < lowest:
            best, lowest = node, score
    return best


@inner_kernel
def fold_split(s: Sim) -> None:
    """Fold what is the same for all options of this moment into the weights."""
    state = s.choice_state
    state[0], state[1] = 1.0, length_of(float(s.counts[QUEUED]))
    state[2] = s.counts[FREE_CPU] / s.floats[0] if s.floats[0] > 0.0 else 0.0
    state[3] = s.counts[FREE_GPU] / s.floats[1] if s.floats[1] > 0.0 else 0.0
    fold(s.choice_weights, state, s.choice_folded)


@inner_kernel
def option_score(s: Sim, begin: float, finish: float, cores: float, gpus: float, fraction: float) -> float:
    """Return the score of an option that begins and finishes in so many seconds and holds so many device-seconds."""
    seen = s.choice_seen
    seen[0], seen[1], seen[2], seen[3] = length_of(finish), length_of(begin), length_of(cores), length_of(gpus)
    seen[4] = fraction
    seen[5] = 1.0 if cores > 0.0 and gpus > 0.0 else 0.0
    return weigh(s.choice_folded, seen)
