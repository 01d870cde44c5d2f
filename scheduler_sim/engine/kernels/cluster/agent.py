"""The event loop on nodes with an agent that learns, while it runs, which GPU fraction to give a task.

A contextual bandit: a table of values by context and fraction, an epsilon-greedy choice when a task becomes ready, and
an update with the realised reward when it finishes. Exploration falls linearly and ends.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from scheduler_sim.engine.codes import FINISHED, MILLI, QUEUED
from scheduler_sim.engine.jit import counting_kernel, inner_kernel
from scheduler_sim.engine.kernels.cluster.act import Parts, act_unplanned
from scheduler_sim.engine.kernels.cluster.loop import begin_instant, events_since
from scheduler_sim.engine.kernels.cluster.start import sides
from scheduler_sim.engine.kernels.cluster.state import FREE_CPU, FREE_GPU, NEWCOMERS, Sim
from scheduler_sim.engine.policies.agent import (
    ACTIONS,
    CORE_STATES,
    CORE_WEIGHT,
    EXPLORED_TASKS,
    FIRST_EPSILON,
    GPU_STATES,
    GPU_WEIGHT,
    INTENSITIES,
    SLOWEST_STEP,
    TIME_WEIGHT,
    Learner,
)
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


@inner_kernel
def _context(s: Sim, t: Any) -> int:
    """Return the context of a ready task: its intensity, and how often its cores and its GPUs are free now."""
    intensity = min(int(t.intensity * INTENSITIES), INTENSITIES - 1)
    cores = CORE_STATES - 1 if t.cpu == 0 else min(s.counts[FREE_CPU] // (4 * t.cpu) + 1, CORE_STATES - 1)
    if s.counts[FREE_CPU] < t.cpu:
        cores = 0
    gpus = GPU_STATES - 1 if t.gpu == 0 else min(s.counts[FREE_GPU] // t.gpu, GPU_STATES - 1)
    return (intensity * CORE_STATES + cores) * GPU_STATES + gpus


@inner_kernel
def _allowed(t: Any, action: int) -> bool:
    """Tell whether some node could run the task with this fraction."""
    if action == 0:
        return bool(t.can_cpu)
    if action == ACTIONS - 1:
        return bool(t.can_gpu)
    return bool(t.can_both)


@inner_kernel
def _choose(
    s: Sim,
    row: int,
    settings: FloatArray,
    draws: FloatArray,
    values: FloatArray,
    chosen: IntArray,
    context: IntArray,
    epsilon: FloatArray,
    decided: IntArray,
) -> None:
    """Give a ready task its fraction."""
    t = s.tasks[row]
    here = _context(s, t)
    share = 1.0 - decided[0] / settings[EXPLORED_TASKS] if settings[EXPLORED_TASKS] > 0.0 else 0.0
    chance = settings[FIRST_EPSILON] * max(share, 0.0)
    decided[0] += 1
    action = -1
    if draws[row, 0] < chance:
        action = min(int(draws[row, 1] * ACTIONS), ACTIONS - 1)
        if not _allowed(t, action):
            action = -1
    if action < 0:
        for other in range(ACTIONS):
            if _allowed(t, other) and (action < 0 or values[here, other] > values[here, action]):
                action = other
    chosen[row] = action
    context[row] = here
    epsilon[row] = chance
    t.fixed = action / (ACTIONS - 1)


@inner_kernel
def _learn(
    s: Sim,
    row: int,
    settings: FloatArray,
    values: FloatArray,
    visits: FloatArray,
    chosen: IntArray,
    context: IntArray,
    reward: FloatArray,
) -> None:
    """Move the value of what was chosen towards the reward that it turned out to bring."""
    t = s.tasks[row]
    group = s.node_group[t.node]
    scale = max(t.estimate / s.speeds[t.paces + group, 0], 1e-9)
    value = -settings[TIME_WEIGHT] * (t.finish - t.ready) / scale
    if settings[CORE_WEIGHT] > 0.0 or settings[GPU_WEIGHT] > 0.0:
        cpu_time, gpu_time = sides(s, t, t.runtime, t.fraction, group)
        value -= settings[CORE_WEIGHT] * (t.cpu / MILLI) * cpu_time / scale
        value -= settings[GPU_WEIGHT] * (t.gpu / MILLI) * gpu_time / scale
    reward[row] = value
    here, action = context[row], chosen[row]
    visits[here, action] += 1.0
    step = max(1.0 / visits[here, action], settings[SLOWEST_STEP])
    values[here, action] += step * (value - values[here, action])


@counting_kernel
def advance_agent(
    records: Any,
    settings: FloatArray,
    draws: FloatArray,
    values: FloatArray,
    visits: FloatArray,
    chosen: IntArray,
    context: IntArray,
    epsilon: FloatArray,
    reward: FloatArray,
    decided: IntArray,
    until_time: float,
    max_events: int,
    parts: Parts,
) -> None:
    """Play whole instants up to `until_time`, and none more after `max_events` events."""
    s = records[0]
    before = events_since(s, 0)
    while True:
        finished = s.counts[FINISHED]
        if not begin_instant(s, until_time, events_since(s, before) >= max_events):
            return
        if s.counts[FINISHED] > finished:
            # Rows that end at one time stand in order, so that a later round may put its own before those of another.
            place = s.counts[FINISHED]
            while place > 0 and s.tasks[s.order[place - 1]].finish == s.clock[0]:
                place -= 1
            for i in range(place, s.counts[FINISHED]):
                row = s.order[i]
                if chosen[row] >= 0 and np.isnan(reward[row]):
                    _learn(s, row, settings, values, visits, chosen, context, reward)
        for place in range(s.counts[NEWCOMERS]):
            row = s.newcomers[place]
            if s.tasks[row].hybrid:
                _choose(s, row, settings, draws, values, chosen, context, epsilon, decided)
        if s.counts[QUEUED] > 0:
            act_unplanned(s, s.clock[0], parts)


def agent_arrays(n: int, values: FloatArray) -> dict[str, Any]:
    """Return the agent's state before anything has happened, by the names of `advance_agent`'s arguments."""
    return {
        "values": values.copy(),
        "visits": np.zeros_like(values),
        "chosen": np.full(n, -1, np.int64),
        "context": np.full(n, -1, np.int64),
        "epsilon": np.full(n, np.nan),
        "reward": np.full(n, np.nan),
        "decided": np.zeros(1, np.int64),
    }


def agent_loop(learner: Learner, agent: dict[str, Any]) -> Callable[..., None]:
    """Return the event loop in which `agent`, as `agent_arrays` gave it, learns."""
    return lambda handle, *others: advance_agent(
        handle,
        learner.settings,
        learner.draws,
        agent["values"],
        agent["visits"],
        agent["chosen"],
        agent["context"],
        agent["epsilon"],
        agent["reward"],
        agent["decided"],
        *others,
    )
