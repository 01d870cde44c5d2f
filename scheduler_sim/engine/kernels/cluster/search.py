"""When and where a task could begin first, given what runs and who holds a reservation, for `kept.py`.

Each node has what runs there and who holds a reservation there; its plan is the two of them in order of time. A task on
one node is searched for on the nodes that may have room before the best found so far. How early a kind of task could
begin on a node at best is kept in `soonest`: less than that is never looked at. It holds until the node gains room,
since reservations and time only put the beginning off. A kind is what tasks ask for, and the power of two that their
expected length reaches, of which the least is counted.
"""

from math import frexp

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.cluster.choose import pick_devices
from scheduler_sim.engine.kernels.cluster.queue import fresh_stamp
from scheduler_sim.engine.kernels.cluster.racks import is_whole_node
from scheduler_sim.engine.kernels.cluster.reserve import lessen, longest
from scheduler_sim.engine.kernels.cluster.state import Sim, View, needs
from scheduler_sim.engine.kernels.cluster.view import copy_node, fits, give_gpus, take_gpus

LENGTHS = 48
"""Kinds by length: below a second, and from each power of two on."""


@inner_kernel
def length_kind(length: float) -> tuple[int, float]:
    """Return the number of a kind of expected length, and the least of those lengths."""
    if length < 1.0:
        return 0, 0.0
    power = LENGTHS - 1 if length == np.inf else min(frexp(length)[1], LENGTHS - 1)
    return power, 2.0 ** (power - 1)


@inner_kernel
def list_ahead(s: Sim, node: int, now: float) -> int:
    """Write what a node is given back and what is taken from it in the plan, in order, and return how many these are.

    The code is twice the number of a chunk, or behind all chunks of a reserved piece, and 1 more for what is taken; at
    one time what is given back comes first.
    """
    size = 0
    times, codes = s.ahead_times, s.ahead_codes
    chunk = s.first_chunk[node]
    while chunk >= 0:
        times[size] = max(s.tasks[s.chunks[chunk].task].end, now)
        codes[size] = 2 * chunk
        size += 1
        chunk = s.chunks[chunk].after
    at = s.plan_first[node]
    while at >= 0:
        row = s.plan_row[at]
        length = s.reserved_from[2 * row]
        if length > 0.0:
            times[size] = s.reserved_time[row]
            codes[size] = 2 * (len(s.chunks) + at) + 1
            times[size + 1] = s.reserved_time[row] + length
            codes[size + 1] = 2 * (len(s.chunks) + at)
            size += 2
        at = s.plan_after[at]
    gap = 1
    while gap < size // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, size):
            time, code = times[i], codes[i]
            j = i
            while j >= gap and (times[j - gap] > time or (times[j - gap] == time and codes[j - gap] % 2 > code % 2)):
                times[j], codes[j] = times[j - gap], codes[j - gap]
                j -= gap
            times[j], codes[j] = time, code
        gap //= 3
    return size


@inner_kernel
def apply(s: Sim, view: View, node: int, code: int) -> None:
    """Give back or take what one entry of a node's plan says."""
    number = code // 2
    if number < len(s.chunks):
        c = s.chunks[number]
        view.cores[node] += c.cpu
        view.ram[node] += c.memory
        give_gpus(view, node, c.mask, c.shared, c.share)
        return
    at = number - len(s.chunks)
    row = s.plan_row[at]
    t = s.tasks[row]
    cpu, _, share, memory = needs(t, t.fixed, at - s.reserved_first[row])
    if code % 2 == 1:
        view.cores[node] -= cpu
        view.ram[node] -= memory
        take_gpus(view, node, s.reserved_mask[at], s.reserved_device[at], share)
    else:
        view.cores[node] += cpu
        view.ram[node] += memory
        give_gpus(view, node, s.reserved_mask[at], s.reserved_device[at], share)


@inner_kernel
def first_begin(
    s: Sim, node: int, size: int, now: float, soonest: float, need: tuple[int, int, int, int], length: float
) -> float:
    """Return when a node first has room through `length`, and leave what it has all that time in `window`.

    Args:
        size: of the node's plan, written by `list_ahead`.
        soonest: it is known that this is not before.
    """
    cpu, whole, share, memory = need
    copy_node(s.beside, s.live, node)
    done = 0
    begin = now
    while True:
        while done < size and s.ahead_times[done] <= begin:
            apply(s, s.beside, node, s.ahead_codes[done])
            done += 1
        if begin >= soonest and fits(s.beside, node, cpu, whole, share, memory):
            copy_node(s.plan, s.beside, node)
            copy_node(s.window, s.beside, node)
            ahead = done
            while ahead < size and s.ahead_times[ahead] < begin + length:
                apply(s, s.plan, node, s.ahead_codes[ahead])
                if s.ahead_codes[ahead] % 2 == 1:
                    lessen(s, node)
                    if not fits(s.window, node, cpu, whole, share, memory):
                        break
                ahead += 1
            if ahead == size or s.ahead_times[ahead] >= begin + length:
                return begin
            if not fits(s.plan, node, cpu, whole, share, memory):
                # Whoever begins up to then meets that taking, too.
                while done <= ahead:
                    apply(s, s.beside, node, s.ahead_codes[done])
                    done += 1
        while done < size and s.ahead_codes[done] % 2 == 1:
            apply(s, s.beside, node, s.ahead_codes[done])
            done += 1
        if done == size:
            return np.inf
        begin = s.ahead_times[done]


@inner_kernel
def not_before(s: Sim, kind: int, node: int, time: float) -> None:
    """Note that a kind of task cannot begin on a node before that, nor longer ones that ask for the same."""
    while s.soonest[kind, node] < time:
        s.soonest[kind, node] = time
        kind += 1
        if kind % LENGTHS == 0:
            return


@inner_kernel
def find_one(s: Sim, row: int, now: float, latest: float, own: int) -> float:
    """Find when and where a task on one node could begin first, up to `latest`; the piece goes to `piece_*`.

    Returns the time, infinity where there is none. `own` is the node from which its reservation was lifted, else -1.
    """
    t = s.tasks[row]
    need = needs(t, t.fixed, 0)
    cpu, whole, share, _ = need
    nodes = t.gpu_nodes if whole > 0 or share > 0 else t.any_nodes
    length = longest(s, row)
    kind = -1
    least = 0.0
    if t.fgd_kind >= 0:
        number, least = length_kind(length)
        kind = t.fgd_kind * LENGTHS + number
    stamp = fresh_stamp(s)
    best_time = latest
    best = len(s.mark)
    first = -1
    if kind >= 0:
        for node in range(len(s.mark)):
            if s.allowed[nodes, node] and (first < 0 or s.soonest[kind, node] < s.soonest[kind, first]):
                first = node
    found = -1
    for step in range(-2, len(s.mark)):
        # The place it had and the most promising one come first, so that few others need to be looked at.
        node = own if step == -2 else (first if step == -1 else step)
        if node < 0 or s.mark[node] == stamp or not s.allowed[nodes, node]:
            continue
        soonest = now
        if kind >= 0 and node != own:
            soonest = max(now, s.soonest[kind, node])
        if soonest > best_time or (soonest == best_time and node > best):
            continue
        s.mark[node] = stamp
        size = list_ahead(s, node, now)
        if kind >= 0:
            soonest = first_begin(s, node, size, now, soonest, need, least)
            not_before(s, kind, node, soonest)
            if soonest > best_time or (soonest == best_time and node > best):
                continue
        begin = first_begin(s, node, size, now, soonest, need, length)
        if kind >= 0 and (kind + 1) % LENGTHS > 0:
            not_before(s, kind + 1, node, begin)
        if begin < best_time or (begin == best_time and node <= best and begin < np.inf):
            best_time, best, found = begin, node, node
            s.piece_mask[0], s.piece_device[0] = pick_devices(s, s.window, node, cpu, whole, share, None)
    if found < 0:
        return np.inf
    s.piece_node[0] = found
    return best_time


@inner_kernel
def find_gang(s: Sim, row: int, now: float, latest: float) -> float:
    """Find when a gang's whole nodes are idle first, up to `latest`; they go to `piece_*`, infinity where never."""
    t = s.tasks[row]
    length = longest(s, row)
    size = 0
    for node in range(len(s.mark)):
        at = s.plan_first[node]
        size += 2
        while at >= 0:
            size += 1
            at = s.plan_after[at]
    begins, ends, nodes = np.empty(size), np.empty(size), np.empty(size, np.int64)
    size = 0
    for node in range(len(s.mark)):
        if not is_whole_node(s, s.empty, node, t):
            continue
        entries = list_ahead(s, node, now)
        copy_node(s.beside, s.live, node)
        done = 0
        begin, time = np.inf, now
        while True:
            while done < entries and s.ahead_times[done] <= time:
                apply(s, s.beside, node, s.ahead_codes[done])
                done += 1
            idle = is_whole_node(s, s.beside, node, t)
            if idle and begin == np.inf:
                begin = time
            if (not idle or done == entries) and begin < np.inf:
                end = np.inf if idle else time
                if begin + length <= end:
                    begins[size], ends[size], nodes[size] = begin, end, node
                    size += 1
                begin = np.inf
            if done == entries:
                break
            time = s.ahead_times[done]
    first, last = np.sort(begins[:size]), np.sort(ends[:size])
    over = 0
    for i in range(size):
        if i + 1 < size and first[i + 1] == first[i]:
            continue
        time = first[i]
        if time > latest:
            break
        while over < size and (last[over] < time + length or last[over] == time):
            over += 1
        if i + 1 - over >= t.full_nodes:
            piece = 0
            for j in range(size):
                if piece < t.full_nodes and begins[j] <= time < ends[j] and time + length <= ends[j]:
                    s.piece_node[piece] = nodes[j]
                    s.piece_mask[piece] = s.empty.free[nodes[j]] if t.full_gpus > 0 else 0
                    s.piece_device[piece] = -1
                    piece += 1
            return float(time)
    return np.inf
