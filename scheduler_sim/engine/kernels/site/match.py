"""Which nodes a task gets: how much room each has, now or once some of what runs has ended, and the choice among them.

A *cut* (time, row) stands for what runs having ended up to it: tasks whose limit ends before that time, and at that
time those up to that row. The cut (-infinity, -1) is now.
"""

from typing import Any

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.asks import ANY_NUMBER
from scheduler_sim.engine.kernels.site.state import CHOSEN, LEVELS, ROOMS, WORDS, State
from scheduler_sim.engine.kernels.structures.bits import bits_in, lowest_bit


@inner_kernel
def room_of(k: Any, cpu: int, memory: int, gpus: int, held: int, idle: bool) -> int:
    """Return how many processes of a kind a node with so much free could hold; `held` are cores of its partition."""
    if (k.whole and not idle) or memory < k.each_memory or gpus < k.each_gpus:
        return 0
    if k.counted:
        return 1
    units = ANY_NUMBER
    if k.cpu > 0:
        units = min(cpu, k.most_cpu - held) // k.cpu
    if k.memory > 0:
        units = min(units, (memory - k.each_memory) // k.memory)
    if k.gpu > 0:
        units = min(units, (gpus - k.each_gpus) // k.gpu)
    if k.per_node > 0:
        if units >= k.per_node:
            return int(k.per_node)
        if k.is_fixed:
            return 0
    return max(int(units), 0)


@inner_kernel
def room_at(s: State, k: Any, node: int, time: float, row: int) -> int:
    """Return how many processes of a kind a node could hold at a cut."""
    cpu, memory, gpus = s.free_cpu[node], s.free_memory[node], s.free_gpus[node]
    piece = s.first_on_node[node]
    held = 0
    while piece >= 0:
        p = s.held_pieces[piece]
        if p.expected < time or (p.expected == time and p.task <= row):
            cpu += p.cpu
            memory += p.memory
            gpus += p.gpus
        else:
            if k.whole:
                return 0
            if k.most_cpu > s.all_cpu[node]:
                break
            if p.part == k.part:
                held += p.cpu
        piece = p.next_on_node
    return room_of(k, cpu, memory, gpus, held, True)


@inner_kernel
def ready_cut(s: State, k: Any, node: int) -> tuple[float, int]:
    """Return the cut at which a node first holds `unit` processes of a kind; infinity for never."""
    cpu, memory, gpus = s.free_cpu[node], s.free_memory[node], s.free_gpus[node]
    held = 0
    piece = s.first_on_node[node]
    if k.most_cpu <= s.all_cpu[node]:
        while piece >= 0:
            if s.held_pieces[piece].part == k.part:
                held += s.held_pieces[piece].cpu
            piece = s.held_pieces[piece].next_on_node
        piece = s.first_on_node[node]
    time, row = -np.inf, -1
    while True:
        if (piece < 0 or not k.whole) and room_of(k, cpu, memory, gpus, held, True) >= k.unit:
            return time, row
        if piece < 0:
            return np.inf, -1
        p = s.held_pieces[piece]
        cpu += p.cpu
        memory += p.memory
        gpus += p.gpus
        if p.part == k.part:
            held -= p.cpu
        time, row = p.expected, p.task
        piece = p.next_on_node


@inner_kernel
def gather(s: State, k: Any, time: float, row: int, level: int) -> int:
    """List the nodes of `mask_words` with room at a cut, and how much; return how many processes they hold together.

    `level` limits them to the nodes of the least weights, -1 for all.
    """
    words = s.settings[WORDS]
    count, total = 0, 0
    for w in range(words):
        bits = s.mask_words[w]
        if level >= 0:
            bits &= s.level_masks[level * words + w]
        while bits != 0:
            node = w * 64 + lowest_bit(bits)
            bits &= bits - 1
            units = room_at(s, k, node, time, row)
            if units > 0:
                s.room_nodes[count] = node
                s.room_units[count] = units
                count += 1
                total += units
    s.counts[ROOMS] = count
    return total


@inner_kernel
def _find_runs(s: State, least_units: int) -> int:
    """Part the listed nodes with so many processes or more into runs of consecutive nodes of equal weight."""
    runs = 0
    before = -2
    for i in range(s.counts[ROOMS]):
        if s.room_units[i] < least_units:
            continue
        node = s.room_nodes[i]
        if node == before + 1 and s.node_weight[node] == s.node_weight[before]:
            s.room_size[runs - 1] += 1
            s.room_sum[runs - 1] += s.room_units[i]
        else:
            s.room_first[runs] = i
            s.room_size[runs] = 1
            s.room_sum[runs] = s.room_units[i]
            s.room_used[runs] = 0
            runs += 1
        before = node
    return runs


@inner_kernel
def _best_run(s: State, runs: int, units: int, nodes: int) -> int:
    """Return the run to take from: of least weight, then the tightest that suffices, then the largest."""
    best = -1
    best_suffices = False
    best_weight = 0
    for r in range(runs):
        if s.room_used[r]:
            continue
        weight = s.node_weight[s.room_nodes[s.room_first[r]]]
        suffices = s.room_sum[r] >= units and s.room_size[r] >= nodes
        if best >= 0:
            if weight > best_weight:
                continue
            if weight == best_weight:
                tighter = suffices and (not best_suffices or s.room_sum[r] < s.room_sum[best])
                larger = not suffices and not best_suffices and s.room_sum[r] > s.room_sum[best]
                if not (tighter or larger):
                    continue
        best, best_suffices, best_weight = r, suffices, weight
    return best


@inner_kernel
def _choose(s: State, k: Any, least_units: int) -> bool:
    """Take nodes run by run; return whether they are enough."""
    runs = _find_runs(s, least_units)
    units, nodes, room = k.units, k.least, k.most
    s.counts[CHOSEN] = 0
    while True:
        run = _best_run(s, runs, units, nodes)
        if run < 0:
            return False
        s.room_used[run] = 1
        first, size = s.room_first[run], s.room_size[run]
        single = -1
        if nodes <= 1:
            for i in range(first, first + size):
                if s.room_units[i] >= units and (single < 0 or s.room_units[i] < s.room_units[single]):
                    single = i
        for i in range(first, first + size):
            if room <= 0 or (nodes <= 0 and units <= 0):
                break
            if single >= 0 and i != single:
                continue
            if k.most == 1 and s.room_units[i] < units:
                continue
            taken = max(min(s.room_units[i], units - max(nodes - 1, 0)), 1)
            s.chosen_nodes[s.counts[CHOSEN]] = s.room_nodes[i]
            s.chosen_units[s.counts[CHOSEN]] = taken
            s.counts[CHOSEN] += 1
            units -= taken
            nodes -= 1
            room -= 1
        if nodes <= 0 and units <= 0:
            return True
        if room <= 0:
            return False


@inner_kernel
def _leave_out_small(s: State, least_units: int) -> int:
    """Take nodes with fewer processes out of the list; return how many are left."""
    left = 0
    for i in range(s.counts[ROOMS]):
        if s.room_units[i] >= least_units:
            s.room_nodes[left] = s.room_nodes[i]
            s.room_units[left] = s.room_units[i]
            left += 1
    s.counts[ROOMS] = left
    return left


@inner_kernel
def _choose_units(s: State, k: Any, time: float, row: int) -> bool:
    total = gather(s, k, time, row, -1)
    if s.counts[ROOMS] < k.least or total < k.units:
        return False
    least_units = 1
    while not _choose(s, k, least_units):
        smallest = s.room_units[0]
        for i in range(s.counts[ROOMS]):
            smallest = min(smallest, s.room_units[i])
        if s.counts[ROOMS] <= k.least:
            return False
        least_units = smallest + 1
        if _leave_out_small(s, least_units) < k.least:
            return False
    return True


@inner_kernel
def _choose_counted(s: State, k: Any, time: float, row: int, level: int) -> bool:
    """Take `least` whole nodes: of the smallest run that suffices, else of the largest, from its low end."""
    gather(s, k, time, row, level)
    if s.counts[ROOMS] < k.least:
        return False
    runs = 0
    before = -2
    for i in range(s.counts[ROOMS]):
        if s.room_nodes[i] == before + 1:
            s.room_size[runs - 1] += 1
        else:
            s.room_first[runs], s.room_size[runs], s.room_used[runs] = i, 1, 0
            runs += 1
        before = s.room_nodes[i]
    left = k.least
    s.counts[CHOSEN] = 0
    while left > 0:
        best = -1
        for r in range(runs):
            if s.room_used[r]:
                continue
            size = s.room_size[r]
            if best < 0:
                best = r
            elif size >= left:
                if s.room_size[best] < left or size < s.room_size[best]:
                    best = r
            elif s.room_size[best] < left and size > s.room_size[best]:
                best = r
        s.room_used[best] = 1
        for i in range(s.room_first[best], s.room_first[best] + min(left, s.room_size[best])):
            s.chosen_nodes[s.counts[CHOSEN]] = s.room_nodes[i]
            s.chosen_units[s.counts[CHOSEN]] = 1
            s.counts[CHOSEN] += 1
        left -= s.room_size[best]
    return True


@inner_kernel
def choose(s: State, kind: int, time: float, row: int, starts: bool) -> bool:
    """Choose nodes of `mask_words` for a kind at a cut; where it really `starts`, lighter nodes go first."""
    k = s.kinds[kind]
    if not k.counted:
        return _choose_units(s, k, time, row)
    level = 0 if starts else -1
    while not _choose_counted(s, k, time, row, level):
        level += 1
        if not starts or level == s.settings[LEVELS]:
            return False
    return True


@inner_kernel
def enough_words(s: State, least: int) -> bool:
    """Tell whether `mask_words` has so many nodes."""
    count = 0
    for w in range(s.settings[WORDS]):
        count += bits_in(s.mask_words[w])
        if count >= least:
            return True
    return count >= least


@inner_kernel
def mark_chosen(s: State) -> None:
    """Write the chosen nodes as a set."""
    for w in range(s.settings[WORDS]):
        s.chosen_words[w] = 0
    for i in range(s.counts[CHOSEN]):
        node = s.chosen_nodes[i]
        s.chosen_words[node // 64] |= 1 << (node % 64)
