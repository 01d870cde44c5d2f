"""What running tasks hold: pieces of nodes, taken when a task starts and given back when it stops."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.state import CHOSEN, LOGGED, RUN, SETS, SPARE, WORDS, State


@inner_kernel
def _hang_in(s: State, piece: int) -> None:
    """Put a piece among those of its node, in the order of expected ends and rows."""
    p = s.held_pieces[piece]
    before, after = -1, s.first_on_node[p.node]
    while after >= 0:
        q = s.held_pieces[after]
        if q.expected > p.expected or (q.expected == p.expected and q.task > p.task):
            break
        before, after = after, q.next_on_node
    p.next_on_node = after
    if before < 0:
        s.first_on_node[p.node] = piece
    else:
        s.held_pieces[before].next_on_node = piece


@inner_kernel
def _take_out(s: State, piece: int) -> None:
    node = s.held_pieces[piece].node
    other = s.first_on_node[node]
    if other == piece:
        s.first_on_node[node] = s.held_pieces[piece].next_on_node
        return
    while s.held_pieces[other].next_on_node != piece:
        other = s.held_pieces[other].next_on_node
    s.held_pieces[other].next_on_node = s.held_pieces[piece].next_on_node


@inner_kernel
def place_in_run(s: State, first: int, expected: float, row: int) -> int:
    """Return where a task belongs among those that run, from `first` on, in the order of expected ends and rows."""
    last = s.counts[RUN]
    while first < last:
        middle = (first + last) // 2
        ends = s.run_ends[middle]
        if ends < expected or (ends == expected and s.run_tasks[middle] < row):
            first = middle + 1
        else:
            last = middle
    return first


@inner_kernel
def _nodes_of_run(s: State, row: int) -> int:
    """Return the node of a running task on one; of one on several -1 - the number of the set that they are written to.

    Where no set is left the number is that of none.
    """
    first = s.site_tasks[row].first_piece
    if s.held_pieces[first].next_of_task < 0:
        return int(s.held_pieces[first].node)
    if s.counts[SETS] == 0:
        return -1 - len(s.spare_sets)
    s.counts[SETS] -= 1
    number, words = s.spare_sets[s.counts[SETS]], s.settings[WORDS]
    for w in range(words):
        s.run_sets[number * words + w] = 0
    while first >= 0:
        node = s.held_pieces[first].node
        s.run_sets[number * words + node // 64] |= 1 << (node % 64)
        first = s.held_pieces[first].next_of_task
    return int(-1 - number)


@inner_kernel
def list_run(s: State, row: int) -> None:
    """List a task among those that run."""
    expected = s.site_tasks[row].expected
    place = place_in_run(s, 0, expected, row)
    for i in range(s.counts[RUN], place, -1):
        s.run_ends[i] = s.run_ends[i - 1]
        s.run_tasks[i] = s.run_tasks[i - 1]
        s.run_nodes[i] = s.run_nodes[i - 1]
    s.run_ends[place], s.run_tasks[place] = expected, row
    s.run_nodes[place] = _nodes_of_run(s, row)
    s.counts[RUN] += 1


@inner_kernel
def unlist_run(s: State, row: int) -> None:
    """Take a task out of those that run."""
    s.counts[RUN] -= 1
    place = place_in_run(s, 0, s.site_tasks[row].expected, row)
    number = -1 - s.run_nodes[place]
    if 0 <= number < len(s.spare_sets):
        s.spare_sets[s.counts[SETS]] = number
        s.counts[SETS] += 1
    for i in range(place, s.counts[RUN]):
        s.run_ends[i] = s.run_ends[i + 1]
        s.run_tasks[i] = s.run_tasks[i + 1]
        s.run_nodes[i] = s.run_nodes[i + 1]


@inner_kernel
def _log(s: State, node: int) -> None:
    """Note that a node has changed, for what is known of it."""
    s.changed_nodes[s.counts[LOGGED] % len(s.changed_nodes)] = node
    s.counts[LOGGED] += 1


@inner_kernel
def note_release(s: State, node: int) -> None:
    """Note for the partitions of a node that it has more room than before."""
    words = s.settings[WORDS]
    for part in range(len(s.part_version)):
        if (s.part_masks[part * words + node // 64] >> (node % 64)) & 1:
            s.part_version[part] += 1


@inner_kernel
def take(s: State, row: int, kind: int) -> None:
    """Give the chosen nodes to a task whose expected end is known."""
    k, t = s.kinds[kind], s.site_tasks[row]
    t.first_piece = -1
    t.node, t.device = len(s.free_cpu), -1
    t.held_cores = t.held_gpus = 0.0
    pace = np.inf
    for i in range(s.counts[CHOSEN] - 1, -1, -1):
        node, units = s.chosen_nodes[i], s.chosen_units[i]
        s.counts[SPARE] -= 1
        piece = s.spare_pieces[s.counts[SPARE]]
        p = s.held_pieces[piece]
        p.node, p.task, p.part, p.expected, p.yields = node, row, k.part, t.expected, 0
        if k.whole and k.grain > 0:
            units = s.all_cpu[node] // k.grain
        p.cpu, p.memory, p.gpus = units * k.grain, k.each_memory + units * k.memory, k.each_gpus + units * k.gpu
        if k.whole:
            p.cpu = s.all_cpu[node]
        if node < t.node:
            t.node = node
            t.device = s.all_gpus[node] - s.free_gpus[node] if p.gpus > 0 else -1
        s.free_cpu[node] -= p.cpu
        s.free_memory[node] -= p.memory
        s.free_gpus[node] -= p.gpus
        t.held_cores += p.cpu / 1000.0
        t.held_gpus += p.gpus
        group = s.group_on_node[node]
        pace = min(pace, s.gpu_paces[t.paces + group] if p.gpus > 0 else s.core_speeds[group])
        p.next_of_task = t.first_piece
        t.first_piece = piece
        _hang_in(s, piece)
        _log(s, node)
    t.pace = pace
    list_run(s, row)


@inner_kernel
def move_end(s: State, row: int, expected: float) -> None:
    """Change when a task that holds nodes is expected to end."""
    unlist_run(s, row)
    s.site_tasks[row].expected = expected
    piece = s.site_tasks[row].first_piece
    while piece >= 0:
        p = s.held_pieces[piece]
        _take_out(s, piece)
        p.expected = expected
        _hang_in(s, piece)
        _log(s, p.node)
        piece = p.next_of_task
    list_run(s, row)


@inner_kernel
def bill(s: State, row: int, now: float) -> None:
    """Count what a task has cost that has run since it was begun."""
    t = s.site_tasks[row]
    held = now - t.begun
    piece = t.first_piece
    while piece >= 0:
        p = s.held_pieces[piece]
        group = 2 * s.group_on_node[p.node]
        t.joules += held * (p.cpu / 1000.0 * s.group_watts[group] + p.gpus * s.group_watts[group + 1])
        t.usd += held * (p.cpu / 1000.0 * s.group_prices[group] + p.gpus * s.group_prices[group + 1])
        piece = p.next_of_task


@inner_kernel
def give(s: State, row: int) -> None:
    """Take back what a task holds."""
    t = s.site_tasks[row]
    piece = t.first_piece
    while piece >= 0:
        p = s.held_pieces[piece]
        _take_out(s, piece)
        _log(s, p.node)
        note_release(s, p.node)
        s.free_cpu[p.node] += p.cpu
        s.free_memory[p.node] += p.memory
        s.free_gpus[p.node] += p.gpus
        s.spare_pieces[s.counts[SPARE]] = piece
        s.counts[SPARE] += 1
        piece = p.next_of_task
    t.first_piece = -1
    unlist_run(s, row)
