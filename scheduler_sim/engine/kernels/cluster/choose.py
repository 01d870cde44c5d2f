"""The choice of nodes and devices for a task that is to start."""

from typing import Any

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.codes import FIRST_FIT, LEARNED_NODE, RANDOM_NODE, WEIGHTED_FIT, WORST_FIT
from scheduler_sim.engine.jit import called_kernel, inner_kernel
from scheduler_sim.engine.kernels.cluster.classes import find_classed, weighted_room
from scheduler_sim.engine.kernels.cluster.fgd import fgd_device, fgd_find
from scheduler_sim.engine.kernels.cluster.index import find_indexed
from scheduler_sim.engine.kernels.cluster.learned import find_learned
from scheduler_sim.engine.kernels.cluster.power import mark_sleeping
from scheduler_sim.engine.kernels.cluster.queue import fresh_stamp
from scheduler_sim.engine.kernels.cluster.racks import choose_racks, is_whole_node, next_whole_node
from scheduler_sim.engine.kernels.cluster.state import (
    CLASSED,
    IN_TURN,
    INDEXED,
    RULE,
    SLEEPS,
    TOGETHER,
    Sim,
    View,
    needs,
    pieces_of,
)
from scheduler_sim.engine.kernels.cluster.view import fits, room, tightest
from scheduler_sim.engine.kernels.structures.bits import lowest_bit


@called_kernel
def find_by_scan(
    s: Sim,
    view: View,
    rule: int,
    nodes: int,
    draw: float,
    stamp: int,
    need: tuple[int, int, int, int],
) -> int:
    """Return the node that `rule` chooses among those of row `nodes` that fit and are not marked, -1 for none."""
    cpu, whole, share, memory = need
    on_gpu = whole > 0 or share > 0
    best = -1
    best_room = 0
    count = 0
    for node in range(len(view.cores)):
        if not s.allowed[nodes, node] or s.mark[node] == stamp or not fits(view, node, cpu, whole, share, memory):
            continue
        if rule == FIRST_FIT:
            return node
        if rule == RANDOM_NODE:
            count += 1
            continue
        here = weighted_room(s, view, node) if rule == WEIGHTED_FIT else room(view, node, on_gpu)
        if best < 0 or (rule == WORST_FIT and here > best_room) or (rule != WORST_FIT and here < best_room):
            best = node
            best_room = here
    if rule == RANDOM_NODE and count > 0:
        wanted = min(int(draw * count), count - 1)
        for node in range(len(view.cores)):
            if s.allowed[nodes, node] and s.mark[node] != stamp and fits(view, node, cpu, whole, share, memory):
                if wanted == 0:
                    return node
                wanted -= 1
    return best


@inlined.kernel
def pick_devices(s: Sim, view: View, node: int, cpu: int, whole: int, share: int, fgd: bool | None) -> tuple[int, int]:
    """Return the mask of whole devices and the shared device (-1 for none) that a task takes on `node`."""
    free = view.free[node]
    mask = 0
    left = whole
    if s.settings[IN_TURN]:
        after = free & ~((np.int64(1) << s.turn[node]) - 1)
        while left > 0 and after != 0:
            bit = after & -after
            mask |= bit
            after ^= bit
            left -= 1
        free &= ~mask
    while left > 0:
        bit = free & -free
        mask |= bit
        free ^= bit
        left -= 1
    device = -1
    if share > 0:
        if fgd is not None:
            device = fgd_device(s, view, node, cpu, whole, share)
        else:
            device = tightest(view, node, share)
            if device < 0:
                rest = view.free[node] & ~mask
                if s.settings[IN_TURN]:
                    after = rest & ~((np.int64(1) << s.turn[node]) - 1)
                    rest = after if after != 0 else rest
                device = lowest_bit(rest)
    return mask, device


@inlined.kernel
def find_node(
    s: Sim,
    view: View,
    live: bool,
    kind: int,
    nodes: int,
    t: Any,
    stamp: int,
    need: tuple[int, int, int, int],
    fgd: bool | None,
) -> int:
    """Return the node that the placement chooses for one piece of a task, -1 for none."""
    if live and s.settings[CLASSED]:
        return find_classed(s, kind, nodes, stamp, need, fgd)
    if fgd is not None:
        return fgd_find(s, view, nodes, stamp, need)
    rule = s.settings[RULE]
    if rule == LEARNED_NODE:
        return find_learned(s, view, t, nodes, stamp, need)
    if live and s.settings[INDEXED] and rule != RANDOM_NODE:
        return find_indexed(s, rule, nodes, stamp, need)
    return find_by_scan(s, view, rule, nodes, t.draw, stamp, need)


@called_kernel
def find_compact(s: Sim, view: View, live: bool, t: Any, fraction: float) -> int:
    """Find where a gang could start in as few racks and switches as can be, as `find` does.

    Its last piece goes to one of the racks of its whole nodes if that can be, else into the same switch.
    """
    count = pieces_of(t)
    need = needs(t, fraction, t.full_nodes)
    nodes = t.gpu_nodes if need[1] > 0 or need[2] > 0 else t.any_nodes
    level = choose_racks(s, view, t, nodes, need, count > t.full_nodes)
    if level < 0:
        return 0
    stamp = fresh_stamp(s)
    piece = 0
    for node in range(len(view.cores)):
        rack = s.rack_of[0, node]
        if s.rack_want[0, rack] == 0:
            s.mark[node] = stamp
        elif s.rack_want[0, rack] > s.rack_taken[rack] and is_whole_node(s, view, node, t):
            s.rack_taken[rack] += 1
            s.mark[node] = stamp
            s.piece_node[piece] = node
            s.piece_mask[piece] = view.free[node] if t.full_gpus > 0 else 0
            s.piece_device[piece] = -1
            piece += 1
    for rack in range(s.rack_count[0]):
        s.rack_taken[rack] = 0
    if count == t.full_nodes:
        return count
    node = find_node(s, view, live, -1, nodes, t, stamp, need, None)
    if node < 0:
        stamp = fresh_stamp(s)
        for other in range(len(view.cores)):
            if level < len(s.rack_of) and s.rack_of[level, other] != s.rack_of[level, s.piece_node[0]]:
                s.mark[other] = stamp
        for piece in range(t.full_nodes):
            s.mark[s.piece_node[piece]] = stamp
        node = find_node(s, view, live, -1, nodes, t, stamp, need, None)
    mask, device = pick_devices(s, view, node, need[0], need[1], need[2], None)
    s.piece_node[t.full_nodes] = node
    s.piece_mask[t.full_nodes] = mask
    s.piece_device[t.full_nodes] = device
    return count


@inner_kernel
def find(s: Sim, view: View, live: bool, row: int, fraction: float, fgd: bool | None) -> int:
    """Find where a task could start, as `find_place` does; nodes that are awake come first where `view` is `live`."""
    return find_place(s, view, live, live, row, fraction, fgd)


@inner_kernel
def find_place(s: Sim, view: View, live: bool, now: bool, row: int, fraction: float, fgd: bool | None) -> int:
    """Find where a task could start; the pieces go to `piece_*`. Returns how many, 0 when it does not fit.

    `fgd` is True for that placement and None for the others, which then compile nothing of it. With `now`, as for who
    is to start at once, nodes that are awake come first for a task on one node.

    A gang takes the lowest-numbered whole nodes, or those that `compact` chooses, and its last piece goes where the
    placement puts it beside them.
    """
    t = s.tasks[row]
    if s.settings[TOGETHER] and t.full_nodes > 0:
        return find_compact(s, view, live, t, fraction)
    indexed = live and s.settings[INDEXED]
    stamp = 0
    node = -1
    for piece in range(t.full_nodes):
        node = next_whole_node(s, view, indexed, node + 1, t)
        if node < 0:
            return 0
        s.piece_node[piece] = node
        s.piece_mask[piece] = view.free[node] if t.full_gpus > 0 else 0
        s.piece_device[piece] = -1
    count = pieces_of(t)
    if count == t.full_nodes:
        return count
    if t.full_nodes > 0:
        stamp = fresh_stamp(s)
        for piece in range(t.full_nodes):
            s.mark[s.piece_node[piece]] = stamp
    else:
        stamp = -1
    need = needs(t, fraction, t.full_nodes)
    nodes = t.gpu_nodes if need[1] > 0 or need[2] > 0 else t.any_nodes
    kind = t.fgd_kind if t.full_nodes == 0 else -1
    marked = stamp
    if now and s.settings[SLEEPS] and t.full_nodes == 0:
        marked = fresh_stamp(s)
        mark_sleeping(s, marked)
    while True:
        node = find_node(s, view, live, kind, nodes, t, marked, need, fgd)
        if node >= 0:
            break
        if marked == stamp:
            return 0
        marked = stamp
    mask, device = pick_devices(s, view, node, need[0], need[1], need[2], fgd)
    last = t.full_nodes
    s.piece_node[last] = node
    s.piece_mask[last] = mask
    s.piece_device[last] = device
    return count


@inner_kernel
def could_start(s: Sim, view: View, row: int, fraction: float) -> bool:
    """Tell whether a task fits a planned state of the nodes; which node it would take does not matter."""
    t = s.tasks[row]
    node = -1
    stamp = fresh_stamp(s)
    for _ in range(t.full_nodes):
        node = next_whole_node(s, view, False, node + 1, t)
        if node < 0:
            return False
        s.mark[node] = stamp
    if pieces_of(t) == t.full_nodes:
        return True
    need = needs(t, fraction, t.full_nodes)
    nodes = t.gpu_nodes if need[1] > 0 or need[2] > 0 else t.any_nodes
    return find_by_scan(s, view, FIRST_FIT, nodes, 0.0, stamp, need) >= 0
