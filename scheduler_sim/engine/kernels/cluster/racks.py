"""Gangs and racks: which whole nodes a gang may take, and how it is laid into as few racks and switches as can be.

Level 0 are the racks, the levels above are switches of switches; a cluster without racks has no level.
"""

from typing import Any

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.jit import called_kernel, inner_kernel
from scheduler_sim.engine.kernels.cluster.state import Sim, View
from scheduler_sim.engine.kernels.cluster.view import fits
from scheduler_sim.engine.kernels.structures.bits import bits_in, lowest_bit


@inlined.kernel
def is_whole_node(s: Sim, view: View, node: int, t: Any) -> bool:
    """Tell whether a gang may take `node` as one of its whole nodes."""
    if view.away[node] > 0 or view.cores[node] < t.full_cpu or view.ram[node] < t.full_memory:
        return False
    if t.full_gpus > 0:
        return bool(
            s.allowed[t.gpu_nodes, node]
            and s.node_gpus[node] == t.full_gpus
            and bits_in(view.free[node]) == t.full_gpus
        )
    return bool(s.allowed[t.any_nodes, node] and s.node_cpu[node] == t.full_cpu)


@called_kernel
def next_whole_node(s: Sim, view: View, indexed: bool, node: int, t: Any) -> int:
    """Return the first node from `node` on that a gang may take as a whole, -1 for none."""
    if indexed and t.full_gpus > 0:
        # An allowed node has at most full_gpus devices, so that level holds exactly those with all of them free.
        words = s.gpu_bits[t.full_gpus]
        word = node >> 6
        first = node & 63
        while word < len(words):
            bits = words[word] & s.allowed_bits[t.gpu_nodes, word]
            if first > 0:
                bits &= ~((np.int64(1) << first) - 1)
                first = 0
            while bits != 0:
                here = (word << 6) + lowest_bit(bits)
                if is_whole_node(s, view, here, t):
                    return here
                bits &= bits - 1
            word += 1
        return -1
    for here in range(node, len(view.cores)):
        if is_whole_node(s, view, here, t):
            return here
    return -1


@inner_kernel
def crossed(s: Sim, count: int) -> int:
    """Return how many levels a task on the found pieces crosses: 0 within a rack, all where no switch has them all."""
    level = 0
    for piece in range(1, count):
        while level < len(s.rack_of) and s.rack_of[level, s.piece_node[piece]] != s.rack_of[level, s.piece_node[0]]:
            level += 1
    return level


@inner_kernel
def slowdown(s: Sim, count: int) -> float:
    """Return how many times as long a task runs on the found pieces because it crosses levels."""
    if count <= 1:
        return 1.0
    return float(s.crossing[crossed(s, count)])


@inner_kernel
def choose_racks(s: Sim, view: View, t: Any, nodes: int, need: tuple[int, int, int, int], last: bool) -> int:
    """Settle how many whole nodes a gang takes from each rack, in `rack_want`; return the levels it crosses, or -1.

    It goes into one switch of the lowest level that can hold all of it, of several into the one with the fewest whole
    nodes for it, then the lowest number; from there down into the child with the fewest that are enough, or else
    into the one with the most, and so on with the rest.

    Args:
        nodes, need: the row of the nodes that may have the last piece, and what it needs, where there is a `last` one.
    """
    levels = len(s.rack_of)
    for level in range(levels):
        for switch in range(s.rack_count[level]):
            s.rack_free[level, switch] = s.rack_rest[level, switch] = s.rack_want[level, switch] = 0
    total, rest = 0, not last
    for node in range(len(view.cores)):
        if is_whole_node(s, view, node, t):
            total += 1
            for level in range(levels):
                s.rack_free[level, s.rack_of[level, node]] += 1
        elif last and s.allowed[nodes, node] and fits(view, node, need[0], need[1], need[2], need[3]):
            rest = True
            for level in range(levels):
                s.rack_rest[level, s.rack_of[level, node]] = 1
    for level in range(levels):
        best = -1
        for switch in range(s.rack_count[level]):
            free = s.rack_free[level, switch]
            holds = free > t.full_nodes or (free == t.full_nodes and (not last or s.rack_rest[level, switch] > 0))
            if holds and (best < 0 or free < s.rack_free[level, best]):
                best = switch
        if best >= 0:
            s.rack_want[level, best] = t.full_nodes
            _hand_down(s, level)
            return level
    if total < t.full_nodes or (total == t.full_nodes and not rest):
        return -1
    _deal(s, levels - 1, -1, t.full_nodes)
    _hand_down(s, levels - 1)
    return levels


@inner_kernel
def _hand_down(s: Sim, level: int) -> None:
    """Share out what is wanted of the switches of a level among those below."""
    for above in range(level, 0, -1):
        for switch in range(s.rack_count[above]):
            if s.rack_want[above, switch] > 0:
                _deal(s, above - 1, switch, s.rack_want[above, switch])


@inner_kernel
def _deal(s: Sim, level: int, parent: int, amount: int) -> None:
    """Share out whole nodes among the switches of a level below `parent`, -1 for all of the level."""
    while amount > 0:
        best = -1
        for switch in range(s.rack_count[level]):
            free = s.rack_free[level, switch]
            if free == 0 or s.rack_want[level, switch] > 0:
                continue
            if parent >= 0 and s.rack_parent[level, switch] != parent:
                continue
            better = best < 0
            if not better:
                most = s.rack_free[level, best]
                better = amount <= free < most if most >= amount else free > most
            if better:
                best = switch
        taken = min(amount, s.rack_free[level, best])
        s.rack_want[level, best] = taken
        amount -= taken
