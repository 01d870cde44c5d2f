"""Nodes that sleep while nothing runs on them, and a power cap that holds starts back."""

from typing import Any

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.jit import called_kernel, inner_kernel
from scheduler_sim.engine.kernels.cluster.state import CAP_STEP, CAPPED, CAPS, DRAWN, STRIDE, Sim, needs


@inner_kernel
def sleeps(s: Sim, node: int, now: float) -> bool:
    """Tell whether a node is asleep."""
    return bool(s.node_tasks[node] == 0 and s.idle_since[node] + s.sleep_after[node] <= now)


@called_kernel
def mark_sleeping(s: Sim, stamp: int) -> None:
    """Mark the nodes that are asleep."""
    now = s.clock[0]
    for node in range(len(s.mark)):
        if sleeps(s, node, now):
            s.mark[node] = stamp


@called_kernel
def wake(s: Sim, count: int, now: float) -> float:
    """Wake what sleeps of the nodes of the pieces found, and return when all of them are awake."""
    begin = now
    for piece in range(count):
        node = s.piece_node[piece]
        if sleeps(s, node, now):
            s.awake_at[node] = now + s.wake_time[0]
        begin = max(begin, s.awake_at[node])
    return begin


@called_kernel
def power_of(s: Sim, node: int, cpu: int, gpu: int, step: int) -> int:
    """Return what devices of a node draw more when they are busy, in millionths of a watt.

    Each step of frequency has an entry a group, those of the slower steps behind those of the faster.
    """
    at = s.node_group[node] + step * (s.node_group[len(s.node_group) - 1] + 1)
    return int(cpu * s.core_power[at] + gpu * s.gpu_power[at])


@inner_kernel
def step_of(s: Sim, t: Any) -> int:
    """Return the step of frequency at which a task has started."""
    return int(t.paces // s.settings[STRIDE])


@inner_kernel
def take_power(s: Sim, t: Any, node: int, cpu: int, gpu: int) -> None:
    """Note that devices of a node, in thousandths, are busy with a task."""
    if s.settings[CAPS]:
        s.counts[DRAWN] += power_of(s, node, cpu, gpu, step_of(s, t))


@inner_kernel
def give_back_power(s: Sim, t: Any, node: int, cpu: int, gpu: int) -> None:
    """Note that devices of a node, in thousandths, are busy with a task no longer."""
    if s.settings[CAPS]:
        s.counts[DRAWN] -= power_of(s, node, cpu, gpu, step_of(s, t))


@inlined.kernel
def is_capped(s: Sim, row: int, fraction: float, count: int) -> bool:
    """Tell whether a task on the `count` pieces found would draw more than the cap leaves; then it waits for power.

    One that does not is to start at the fastest step of frequency that is below the cap.
    """
    return bool(s.settings[CAPS] and _is_above_cap(s, row, fraction, count))


@called_kernel
def _is_above_cap(s: Sim, row: int, fraction: float, count: int) -> bool:
    t, stride = s.tasks[row], s.settings[STRIDE]
    for step in range(len(s.speeds) // stride):
        drawn = s.counts[DRAWN]
        for piece in range(count):
            cpu, whole, share, _ = needs(t, fraction, piece)
            drawn += power_of(s, s.piece_node[piece], cpu, MILLI * whole + share, step)
        if drawn <= s.cap_power[s.counts[CAP_STEP] % len(s.cap_power)]:
            t.paces += step * stride
            return False
    s.counts[CAPPED] = 1
    return True


@called_kernel
def next_cap(s: Sim) -> float:
    """Return when the next step of the cap begins, infinity for none; steps of a cap that repeats are numbered on."""
    step, count = s.counts[CAP_STEP] + 1, len(s.cap_times)
    if s.cap_span[0] == 0.0 and step >= count:
        return np.inf
    return float((step // count) * s.cap_span[0] + s.cap_times[step % count])


@called_kernel
def go_to_cap(s: Sim, now: float) -> None:
    """Let the step of the cap hold that is due."""
    while next_cap(s) <= now:
        s.counts[CAP_STEP] += 1
