"""Fragmentation gradient descent (Weng et al., USENIX ATC 2023), in whole numbers so that ties are exact."""

import math

import numpy as np

from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.jit import called_kernel, inner_kernel
from scheduler_sim.engine.kernels.cluster.state import Sim, View
from scheduler_sim.engine.kernels.cluster.view import fits
from scheduler_sim.engine.kernels.structures.bits import bits_in, lowest_bit
from scheduler_sim.engine.workloads.workload import IntArray

NO_ROOM = -(2**62)
"""Less than any gain: of nodes on which a task does not fit."""


def percent_limits(tasks: int) -> IntArray:
    """Return the least gains at which 1 / (1 + exp(-gain)) reaches 1, 2 .. 99 per cent, shape (99,).

    Args:
        tasks: over how many a gain is summed; it is in thousandths of GPU, the sigmoid's in GPUs a task.
    """
    whole = range(1, 100)
    return np.array([math.ceil(MILLI * tasks * math.log(part / (100 - part))) for part in whole], np.int64)


@inner_kernel
def fragments(
    s: Sim, view: View, node: int, cpu: int, whole: int, from_device: int, to_left: int, new_left: int
) -> int:
    """Return the sum over tasks of thousandths of GPU on `node` that the task cannot use.

    The node is seen with `cpu` thousandths of cores and `whole` undivided devices left, with `to_left` on shared
    device `from_device` (-1 for as it is), and with one more shared device with `new_left` (0 for none).
    """
    rooms = np.empty(66, np.int64)
    size = 0
    total = whole * MILLI
    shared = view.parted[node]
    while shared != 0:
        device = lowest_bit(shared)
        shared &= shared - 1
        left = to_left if device == from_device else view.left[node, device]
        if left > 0:
            rooms[size] = left
            size += 1
            total += left
    if new_left > 0:
        rooms[size] = new_left
        size += 1
        total += new_left
    loss = 0
    if total == 0:
        return loss
    for m in range(len(s.needs)):
        need_whole = s.needs[m, 0]
        share = s.needs[m, 1]
        first = s.needs[m, 3]
        end = s.needs[m, 4]
        tasks = s.need_tasks[end - 1]
        usable = whole
        too_small = 0
        for k in range(size):
            if need_whole > 0 or rooms[k] < share:
                too_small += rooms[k]
            else:
                usable += 1
        if usable < max(need_whole, 1) or not s.allowed[s.needs[m, 2], node] or cpu < s.need_cores[first]:
            loss += tasks * total
            continue
        while end - first > 1:
            middle = (first + end) >> 1
            if s.need_cores[middle] <= cpu:
                first = middle
            else:
                end = middle
        fitting = s.need_tasks[first]
        loss += fitting * too_small + (tasks - fitting) * total
    return loss


@inner_kernel
def loss_with(s: Sim, view: View, node: int, cpu: int, whole: int, share: int, device: int) -> int:
    """Return the fragments after a task took this, its share on `device`."""
    left_cpu = view.cores[node] - cpu
    left_whole = bits_in(view.free[node]) - whole
    if share == 0:
        return fragments(s, view, node, left_cpu, left_whole, -1, 0, 0)
    if view.free[node] & (np.int64(1) << device):
        return fragments(s, view, node, left_cpu, left_whole - 1, -1, 0, MILLI - share)
    return fragments(s, view, node, left_cpu, left_whole, device, view.left[node, device] - share, 0)


@inner_kernel
def worth(s: Sim, gain: int) -> int:
    """Return what a gain counts: itself, or how many of the limits of `gain_limits` it reaches."""
    if len(s.gain_limits) == 0:
        return gain
    return int(np.searchsorted(s.gain_limits, gain, side="right"))


@inner_kernel
def best_gain(s: Sim, view: View, node: int, cpu: int, whole: int, share: int) -> tuple[int, int]:
    """Return by how much fragments shrink when a task starts on `node`, and the shared device (lowest of equals).

    The gain is negative when they grow, unless `gain_limits` make a whole per cent of it.
    """
    before = fragments(s, view, node, view.cores[node], bits_in(view.free[node]), -1, 0, 0)
    if share == 0:
        return worth(s, before - loss_with(s, view, node, cpu, whole, 0, -1)), -1
    best = -1
    most = 0
    free = bits_in(view.free[node])
    devices = view.parted[node]
    if free > whole:
        # Devices that nobody holds are alike: the lowest one that the whole part leaves stands for all.
        rest = view.free[node]
        for _ in range(whole):
            rest &= rest - 1
        devices |= rest & -rest
    while devices != 0:
        device = lowest_bit(devices)
        devices &= devices - 1
        if not view.free[node] & (np.int64(1) << device) and view.left[node, device] < share:
            continue
        here = worth(s, before - loss_with(s, view, node, cpu, whole, share, device))
        if best < 0 or here > most:
            best = device
            most = here
    return most, best


@called_kernel
def fgd_device(s: Sim, view: View, node: int, cpu: int, whole: int, share: int) -> int:
    """Return the shared device that keeps fragments least."""
    return best_gain(s, view, node, cpu, whole, share)[1]


@called_kernel
def fgd_find(s: Sim, view: View, nodes: int, stamp: int, need: tuple[int, int, int, int]) -> int:
    """Return the node of a planned state where fragments shrink most (or grow least), the lowest of equals, or -1."""
    cpu, whole, share, memory = need
    best = -1
    most = 0
    for node in range(len(view.cores)):
        if not s.allowed[nodes, node] or s.mark[node] == stamp or not fits(view, node, cpu, whole, share, memory):
            continue
        here = best_gain(s, view, node, cpu, whole, share)[0]
        if best < 0 or here > most:
            best = node
            most = here
    return best
