"""When and where a task could begin first, given what runs and who holds a reservation, for `kept.py`.

Each node has what runs there and who holds a reservation there; its plan is the two of them in order of time. A task on
one node is searched for on the nodes that may have room before the best found so far. How early a kind of task could
begin on a node at best is kept in `soonest`: less than that is never looked at. It holds until the node gains room,
since reservations and time only put the beginning off. A kind is what tasks ask for, their sort, and the power of two
that their expected length reaches, of which the least is counted.

Each node's steps are the spans in which it has room for a sort of tasks, of which those are kept that are longer than
all before them: from when on a task could begin there, by its length. They count what is free at each instant, not
which devices, so that a step is never later than what `first_begin` says.
"""

from math import frexp
from typing import Any

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.cluster.choose import pick_devices
from scheduler_sim.engine.kernels.cluster.queue import fresh_stamp
from scheduler_sim.engine.kernels.cluster.racks import is_whole_node
from scheduler_sim.engine.kernels.cluster.reserve import lessen, longest
from scheduler_sim.engine.kernels.cluster.state import Sim, View, needs
from scheduler_sim.engine.kernels.cluster.view import copy_node, fits, give_gpus, take_gpus

LENGTHS = 48
"""Kinds by length: below a second, and from each power of two on."""

ROW, ASKS = range(2)
"""Columns of `late_sorts`: a task of the sort; what its tasks ask for."""

ANYTHING, ONE_NODE, WHOLE_NODES = range(3)

MOST_STEPS = 8
"""Steps of a sort on a node that are told apart; behind them whatever is longer may come."""

ROUNDED = 2.0**-50
"""By how much of its end a span may be longer than it looks."""

UNKNOWN, OUTDATED, EXACT = range(3)
"""States of a node's steps: they may say too much, or where somebody came to the node since, too little."""


@inner_kernel
def length_kind(length: float) -> int:
    """Return the number of a kind of expected length."""
    if length < 1.0:
        return 0
    return LENGTHS - 1 if length == np.inf else min(frexp(length)[1], LENGTHS - 1)


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


@inlined.kernel
def _apply_until(s: Sim, node: int, done: int, size: int, time: float) -> int:
    """Apply to `beside` what changes on a node up to `time` of the `size` changes ahead, the first `done` applied."""
    while done < size and s.ahead_times[done] <= time:
        apply(s, s.beside, node, s.ahead_codes[done])
        done += 1
    return done


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
        done = _apply_until(s, node, done, size, begin)
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
def _has_room(s: Sim, node: int, sort: int) -> bool:
    """Tell whether `beside` has room for a task of a sort on a node."""
    asks = s.late_sorts[sort, ASKS]
    if asks == ANYTHING:
        return True
    t: Any = s.tasks[s.late_sorts[sort, ROW]]
    if asks == WHOLE_NODES:
        return is_whole_node(s, s.beside, node, t)
    cpu, whole, share, memory = needs(t, t.fixed, 0)
    nodes = t.gpu_nodes if whole > 0 or share > 0 else t.any_nodes
    return bool(s.allowed[nodes, node] and fits(s.beside, node, cpu, whole, share, memory))


@inner_kernel
def _close_step(s: Sim, node: int, sort: int, end: float) -> None:
    """End the span in which there is room for a sort, and keep it if it may be longer than all before it."""
    begin, count = s.step_open[sort], s.step_count[node, sort]
    s.step_open[sort] = np.inf
    if count > 0:
        before = s.step_end[node, sort, count - 1] - s.step_begin[node, sort, count - 1]
        if end - begin + abs(end) * ROUNDED < before:
            return
    if count == MOST_STEPS:
        s.step_end[node, sort, count - 1] = np.inf
        return
    s.step_begin[node, sort, count] = begin
    s.step_end[node, sort, count] = end
    s.step_count[node, sort] = count + 1


@inner_kernel
def list_steps(s: Sim, node: int, now: float) -> None:
    """Work out from when on a node has room for tasks of each sort, by their length, given all reservations."""
    size = list_ahead(s, node, now)
    copy_node(s.beside, s.live, node)
    for sort in range(len(s.late_sorts)):
        s.step_count[node, sort] = 0
        s.step_open[sort] = np.inf
    done = 0
    time = now
    while True:
        done = _apply_until(s, node, done, size, time)
        for sort in range(len(s.late_sorts)):
            if _has_room(s, node, sort):
                s.step_open[sort] = min(s.step_open[sort], time)
            elif s.step_open[sort] < np.inf:
                _close_step(s, node, sort, time)
        if done == size:
            break
        time = s.ahead_times[done]
    for sort in range(len(s.late_sorts)):
        if s.step_open[sort] < np.inf:
            _close_step(s, node, sort, np.inf)
    s.step_state[node] = EXACT
    s.step_time[node] = now
    _note_soonest(s, node, now)


@inner_kernel
def first_step(s: Sim, node: int, sort: int, length: float, now: float) -> float:
    """Return when a task of a sort and length could begin on a node at the earliest, infinity for never.

    Where time has shortened the span in which it could, that is after it: shorter ones that came behind are not known.
    """
    for i in range(s.step_count[node, sort]):
        end = s.step_end[node, sort, i]
        if s.step_begin[node, sort, i] + length <= end:
            begin = max(s.step_begin[node, sort, i], now)
            return float(begin if begin + length <= end else max(end, now))
    return np.inf


@inner_kernel
def _note_soonest(s: Sim, node: int, now: float) -> None:
    """Write what the steps say of each kind of task whose lengths have occurred."""
    for sort in range(len(s.late_sorts)):
        if s.late_sorts[sort, ASKS] != ONE_NODE:
            return
        least = 1.0
        for number in range(s.length_range[sort, 1] + 1):
            if number >= s.length_range[sort, 0]:
                s.soonest[sort * LENGTHS + number, node] = first_step(s, node, sort, least if number > 0 else 0.0, now)
            if number > 0:
                least *= 2.0


@inner_kernel
def steps_hold(s: Sim, node: int, now: float) -> bool:
    """Tell whether the steps of a node are those of this instant."""
    return bool(s.step_state[node] == EXACT and s.step_time[node] == now)


@inner_kernel
def is_looked_at(s: Sim, looks: int, node: int) -> bool:
    """Tell whether a node is among those that are looked at, -1 for all."""
    found = looks < 0
    for i in range(looks):
        found = found or s.looked[i] == node
    return found


@inner_kernel
def find_one(s: Sim, row: int, now: float, latest: float, own: int, looks: int) -> float:
    """Find when and where a task on one node could begin first, up to `latest`; the piece goes to `piece_*`.

    Returns the time, infinity where there is none.

    Args:
        own: the node from which its reservation was lifted, else -1.
        looks: how many nodes `looked` holds, to which alone it may go from where it was; -1 for all.
    """
    t = s.tasks[row]
    need = needs(t, t.fixed, 0)
    cpu, whole, share, _ = need
    nodes = t.gpu_nodes if whole > 0 or share > 0 else t.any_nodes
    length = longest(s, row)
    kind = -1
    if t.fgd_kind >= 0:
        number = length_kind(length)
        kind = t.fgd_kind * LENGTHS + number
        if not s.length_range[t.fgd_kind, 0] <= number <= s.length_range[t.fgd_kind, 1]:
            s.length_range[t.fgd_kind, 0] = min(s.length_range[t.fgd_kind, 0], number)
            s.length_range[t.fgd_kind, 1] = max(s.length_range[t.fgd_kind, 1], number)
            for node in range(len(s.mark)):
                if s.step_state[node] != UNKNOWN:
                    _note_soonest(s, node, now)
    stamp = fresh_stamp(s)
    best_time = latest
    best = len(s.mark)
    first, own_first = -1, own
    if own >= 0 and looks >= 0 and not is_looked_at(s, looks, own):
        best, own_first = own, -1
    if kind >= 0 and looks < 0:
        for node in range(len(s.mark)):
            if s.allowed[nodes, node] and (first < 0 or s.soonest[kind, node] < s.soonest[kind, first]):
                first = node
    found = -1
    for step in range(-2, len(s.mark) if looks < 0 else looks):
        # The place it had and the most promising one come first, so that few others need to be looked at.
        node = own_first if step == -2 else (first if step == -1 else step)
        if looks >= 0 and step >= 0:
            node = s.looked[step]
        if node < 0 or s.mark[node] == stamp or not s.allowed[nodes, node]:
            continue
        soonest = now
        if kind >= 0 and node != own:
            soonest = max(now, s.soonest[kind, node])
        if soonest > best_time or (soonest == best_time and node > best):
            continue
        s.mark[node] = stamp
        if kind >= 0 and node != own:
            if s.step_state[node] != UNKNOWN:
                soonest = first_step(s, node, t.fgd_kind, length, now)
            if not steps_hold(s, node, now) and (soonest < best_time or (soonest == best_time and node <= best)):
                list_steps(s, node, now)
                soonest = first_step(s, node, t.fgd_kind, length, now)
            if soonest > best_time or (soonest == best_time and node > best):
                continue
        size = list_ahead(s, node, now)
        begin = first_begin(s, node, size, now, soonest, need, length)
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
