"""Nodes of one class: of one group, with as much left of everything, whatever the numbers of their devices.

Whether a task fits and how good that would be is the same on all nodes of a class, so that a choice looks at one node
of each, and what it worked out for a class holds whenever nodes are in that state again. An idle cluster has as many
classes as groups. The table has room for twice as many classes as nodes, less on very large clusters; one that has
become empty stays known until its place is wanted. Nodes whose class finds no place are looked at one by one.
"""

from typing import Any

import numpy as np

from scheduler_sim.engine.jit import called_kernel, inner_kernel
from scheduler_sim.engine.kernels.cluster.fgd import NO_ROOM, best_gain
from scheduler_sim.engine.kernels.cluster.state import (
    CLASSES,
    HAND,
    MOST_CORES,
    MOST_GPUS,
    MOST_MEMORY,
    SERIAL,
    Sim,
    View,
)
from scheduler_sim.engine.kernels.cluster.view import fits
from scheduler_sim.engine.kernels.structures.bits import bits_in, lowest_bit

LEFT = 4
"""Where in a class's key what is left on shared devices begins, behind group, cores, memory and free devices."""


@inner_kernel
def weighted_room(s: Sim, view: View, node: int) -> int:
    """Return what weighted_fit compares: cores and GPUs left over the most that any node has, times both of these."""
    return int(view.cores[node] * s.settings[MOST_GPUS] + view.devices[node] * s.settings[MOST_CORES])


@inner_kernel
def write_key(s: Sim, node: int) -> tuple[int, int]:
    """Write what a node has left into the spare row of keys; return how long that is, and its hash.

    Memory beyond what any task asks for counts as that.
    """
    spare = len(s.classes) - 1
    s.class_key[spare, 0] = s.node_group[node]
    s.class_key[spare, 1] = s.live.cores[node]
    s.class_key[spare, 2] = min(s.live.ram[node], s.settings[MOST_MEMORY])
    shared = s.live.parted[node]
    s.class_key[spare, 3] = bits_in(s.live.free[node]) + 64 * bits_in(shared)
    size = LEFT
    while shared != 0:
        left = s.live.left[node, lowest_bit(shared)]
        shared &= shared - 1
        i = size
        while i > LEFT and s.class_key[spare, i - 1] > left:
            s.class_key[spare, i] = s.class_key[spare, i - 1]
            i -= 1
        s.class_key[spare, i] = left
        size += 1
    mixed: Any = np.int64(0)
    for i in range(size):
        mixed = (mixed ^ s.class_key[spare, i]) * np.int64(0x2545F4914F6CDD1D)
        mixed ^= (mixed >> 29) & np.int64(0x7FFFFFFFF)
    return size, mixed


@inner_kernel
def put_at(s: Sim, slot: int, place: int) -> None:
    """Let a class change places with the one at `place` of the list, whose first ones have nodes."""
    other = s.class_list[place]
    mine = s.classes[slot].place
    s.class_list[mine], s.class_list[place] = other, slot
    s.classes[other].place, s.classes[slot].place = mine, place


@inner_kernel
def class_for(s: Sim, node: int) -> int:
    """Return the class of what a node has left, the last one where it finds no place in the table."""
    size, mixed = write_key(s, node)
    spare = len(s.classes) - 1
    bucket = mixed & (len(s.class_bucket) - 1)
    slot = s.class_bucket[bucket]
    while slot >= 0:
        i = 0
        if s.classes[slot].hash == mixed:
            while i < size and s.class_key[slot, i] == s.class_key[spare, i]:
                i += 1
        if i == size:
            return int(slot)
        slot = s.classes[slot].next
    empty = spare - s.counts[CLASSES]
    if empty == 0:
        return spare
    s.counts[HAND] += 1
    slot = s.class_list[s.counts[CLASSES] + s.counts[HAND] % empty]
    c = s.classes[slot]
    if c.serial > 0:
        before = c.hash & (len(s.class_bucket) - 1)
        if s.class_bucket[before] == slot:
            s.class_bucket[before] = c.next
        else:
            above = s.class_bucket[before]
            while s.classes[above].next != slot:
                above = s.classes[above].next
            s.classes[above].next = c.next
    s.counts[SERIAL] += 1
    c.serial = s.counts[SERIAL]
    c.hash = mixed
    c.next = s.class_bucket[bucket]
    s.class_bucket[bucket] = slot
    for i in range(size):
        s.class_key[slot, i] = s.class_key[spare, i]
    return int(slot)


@inner_kernel
def lowest_of(s: Sim, slot: int, word: int, stamp: int) -> int:
    """Return the lowest node of a class, from a word of nodes on, that is not marked, -1 for none."""
    while word < s.class_bits.shape[1]:
        bits = s.class_bits[slot, word]
        while bits != 0:
            node = (word << 6) + lowest_bit(bits)
            if s.mark[node] != stamp:
                return node
            bits &= bits - 1
        word += 1
    return -1


@called_kernel
def reclass(s: Sim, node: int) -> None:
    """Bring the classes up to date after what `node` has left changed."""
    new = -1
    if s.live.away[node] == 0:
        new = class_for(s, node)
    old = s.class_of[node]
    if new == old:
        return
    word, bit = node >> 6, np.int64(1) << (node & 63)
    spare = len(s.classes) - 1
    s.class_of[node] = new
    if new >= 0:
        c = s.classes[new]
        s.class_bits[new, word] |= bit
        if c.count == 0 or node < c.low:
            c.low = node
        c.count += 1
        if c.count == 1 and new < spare:
            put_at(s, new, s.counts[CLASSES])
            s.counts[CLASSES] += 1
    if old >= 0:
        c = s.classes[old]
        s.class_bits[old, word] &= ~bit
        c.count -= 1
        if c.count == 0:
            if old < spare:
                s.counts[CLASSES] -= 1
                put_at(s, old, s.counts[CLASSES])
        elif c.low == node:
            c.low = lowest_of(s, old, word, -1)


@inner_kernel
def value(s: Sim, node: int, nodes: int, need: tuple[int, int, int, int], fgd: bool | None) -> int:
    """Return what a placement wants most of, NO_ROOM where a task does not fit: gain, or as little left as can be."""
    cpu, whole, share, memory = need
    if not s.allowed[nodes, node] or not fits(s.live, node, cpu, whole, share, memory):
        return NO_ROOM
    if fgd is not None:
        return best_gain(s, s.live, node, cpu, whole, share)[0]
    return -weighted_room(s, s.live, node)


@called_kernel
def find_classed(s: Sim, kind: int, nodes: int, stamp: int, need: tuple[int, int, int, int], fgd: bool | None) -> int:
    """Return the node that fgd or weighted_fit chooses of those that are not marked, the lowest of equals, -1 for none.

    The value of a class for a `kind` of tasks is kept, -1 for a kind of which it is not.
    """
    best = -1
    most = NO_ROOM
    for i in range(s.counts[CLASSES]):
        slot = s.class_list[i]
        c = s.classes[slot]
        if kind < 0:
            here = value(s, c.low, nodes, need, fgd)
        elif s.fgd_stamp[kind, slot] == c.serial:
            here = s.fgd_gain[kind, slot]
        else:
            here = value(s, c.low, nodes, need, fgd)
            s.fgd_stamp[kind, slot] = c.serial
            s.fgd_gain[kind, slot] = here
        if here == NO_ROOM or here < most:
            continue
        node = c.low
        if stamp >= 0:
            node = lowest_of(s, slot, node >> 6, stamp)
        if node >= 0 and (here > most or node < best):
            best = node
            most = here
    spare = len(s.classes) - 1
    node = -1 if s.classes[spare].count == 0 else lowest_of(s, spare, 0, stamp)
    while node >= 0:
        here = value(s, node, nodes, need, fgd)
        if here > most or (here == most and here > NO_ROOM and node < best):
            best = node
            most = here
        node += 1
        while node < len(s.class_of) and (s.class_of[node] != spare or s.mark[node] == stamp):
            node += 1
        if node == len(s.class_of):
            node = -1
    return best
