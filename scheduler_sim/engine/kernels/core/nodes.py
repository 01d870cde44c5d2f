"""The schedule of nodes, built anew: pieces of tasks on first-fit nodes, or on cores and GPUs wherever they are."""

from scheduler_sim.engine.codes import NONE, QUEUED
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.core.pool import let_begin, let_stop, run_on, set_aside
from scheduler_sim.engine.kernels.core.queue import before, first_open, take_out
from scheduler_sim.engine.kernels.core.state import (
    BACKFILL,
    COST,
    DISCIPLINE,
    HEAPS,
    IN_PLACE,
    PIECES,
    RUN_ON,
    RUNS,
    SCORE,
    SPREAD,
    WHERE,
    Core,
)
from scheduler_sim.engine.kernels.structures.bits import bits_in, lowest_bit


@inner_kernel
def empty_nodes(s: Core) -> None:
    """Make everything free but the nodes that are away."""
    for node in range(len(s.node_cpus)):
        here = s.node_away[node] == 0
        s.left_cpus[node] = s.node_cpus[node] if here else 0
        s.left_gpus[node] = s.node_mask[node] if here else 0
        s.left_memory[node] = s.node_memory[node] if here else -1


@inner_kernel
def _put(s: Core, node: int, cpus: int, mask: int, memory: int) -> None:
    """Take a piece on a node and list it."""
    s.left_cpus[node] -= cpus
    s.left_gpus[node] &= ~mask
    s.left_memory[node] -= memory
    i = s.counts[PIECES]
    s.piece_node[i], s.piece_cpus[i], s.piece_mask[i], s.piece_memory[i] = node, cpus, mask, memory
    s.counts[PIECES] = i + 1


@inner_kernel
def _take_back(s: Core, first: int) -> None:
    """Give back the pieces listed from `first` on."""
    for i in range(first, s.counts[PIECES]):
        node = s.piece_node[i]
        s.left_cpus[node] += s.piece_cpus[i]
        s.left_gpus[node] |= s.piece_mask[i]
        s.left_memory[node] += s.piece_memory[i]
    s.counts[PIECES] = first


@inner_kernel
def _lowest(mask: int, count: int) -> int:
    """Return the lowest `count` bits of a mask."""
    found = 0
    for _ in range(count):
        bit = mask & -mask
        found |= bit
        mask &= ~bit
    return found


@inner_kernel
def place(s: Core, kind: int) -> bool:
    """Take a place for a task of this class on the lowest nodes that hold it, and list its pieces.

    One node where one is large enough; else whole nodes and one further node for the rest.
    """
    first = s.counts[PIECES]
    full, by_gpus = s.class_full_nodes[kind], s.class_full_gpus[kind] > 0
    taken = 0
    for node in range(len(s.node_cpus)):
        if taken == full:
            break
        whole = s.left_gpus[node] == s.node_mask[node] and bits_in(s.node_mask[node]) == s.class_full_gpus[kind]
        if not by_gpus:
            whole = s.left_cpus[node] == s.node_cpus[node] and s.node_cpus[node] == s.class_full_cpus[kind]
        if (
            whole
            and s.node_away[node] == 0
            and s.left_cpus[node] >= s.class_full_cpus[kind]
            and s.left_memory[node] >= s.class_full_memory[kind]
        ):
            mask = s.left_gpus[node] if by_gpus else 0
            _put(s, node, s.class_full_cpus[kind], mask, s.class_full_memory[kind])
            taken += 1
    if taken < full:
        _take_back(s, first)
        return False
    cpus, gpus, memory = s.class_cpus[kind], s.class_gpus[kind], s.class_memory[kind]
    if full > 0 and cpus == 0 and gpus == 0:
        return True
    for node in range(len(s.node_cpus)):
        if (
            s.node_away[node] == 0
            and s.left_cpus[node] >= cpus
            and s.left_memory[node] >= memory
            and bits_in(s.left_gpus[node]) >= gpus
        ):
            mine = False
            for i in range(first, s.counts[PIECES]):
                mine = mine or s.piece_node[i] == node
            if not mine:
                _put(s, node, cpus, _lowest(s.left_gpus[node], gpus), memory)
                return True
    _take_back(s, first)
    return False


@inner_kernel
def _spread(s: Core, row: int) -> None:
    """Take the lowest free cores and GPUs, whichever nodes they are on."""
    cpus, gpus = s.jobs[row].cpus, s.jobs[row].gpus
    for node in range(len(s.node_cpus)):
        some = min(cpus, s.left_cpus[node])
        mask = _lowest(s.left_gpus[node], min(gpus, bits_in(s.left_gpus[node])))
        if some > 0 or mask != 0:
            _put(s, node, some, mask, 0)
            cpus -= some
            gpus -= bits_in(mask)


@inner_kernel
def _settle(s: Core, row: int, first: int) -> None:
    """Say that the pieces listed from `first` on are the task's new ones."""
    t = s.jobs[row]
    t.new_piece = first
    t.new_pieces = s.counts[PIECES] - first
    best = first
    for i in range(first, s.counts[PIECES]):
        if s.piece_node[i] < s.piece_node[best]:
            best = i
    t.new_node = s.piece_node[best]
    t.new_device = lowest_bit(s.piece_mask[best]) if s.piece_mask[best] != 0 else -1


@inner_kernel
def _still_free(s: Core, row: int) -> bool:
    """Tell whether the pieces that a running task has are free."""
    t = s.jobs[row]
    for i in range(t.first_piece, t.first_piece + t.pieces):
        node = s.old_node[i]
        if (
            s.left_cpus[node] < s.old_cpus[i]
            or s.left_memory[node] < s.old_memory[i]
            or (s.left_gpus[node] & s.old_mask[i]) != s.old_mask[i]
        ):
            return False
    return True


@inner_kernel
def _keep(s: Core, row: int) -> None:
    """Let a running task have the pieces that it has."""
    t = s.jobs[row]
    first = s.counts[PIECES]
    for i in range(t.first_piece, t.first_piece + t.pieces):
        _put(s, s.old_node[i], s.old_cpus[i], s.old_mask[i], s.old_memory[i])
    _settle(s, row, first)


@inner_kernel
def _remember(s: Core) -> None:
    for node in range(len(s.node_cpus)):
        s.kept_cpus[node], s.kept_gpus[node] = s.left_cpus[node], s.left_gpus[node]
        s.kept_memory[node] = s.left_memory[node]


@inner_kernel
def _restore(s: Core) -> None:
    for node in range(len(s.node_cpus)):
        s.left_cpus[node], s.left_gpus[node] = s.kept_cpus[node], s.kept_gpus[node]
        s.left_memory[node] = s.kept_memory[node]


@inner_kernel
def _place_beside(s: Core, kind: int, undecided: int, size: int) -> bool:
    """Place a task without stopping any of those that run behind it; else stopping the last of them first."""
    _remember(s)
    first = s.counts[PIECES]
    last = size
    while last >= undecided:
        for k in range(undecided, last):
            row = s.was_running[k]
            if _still_free(s, row):
                t = s.jobs[row]
                for i in range(t.first_piece, t.first_piece + t.pieces):
                    node = s.old_node[i]
                    s.left_cpus[node] -= s.old_cpus[i]
                    s.left_gpus[node] &= ~s.old_mask[i]
                    s.left_memory[node] -= s.old_memory[i]
        placed = place(s, kind)
        _restore(s)
        if placed:
            for i in range(first, s.counts[PIECES]):
                node = s.piece_node[i]
                s.left_cpus[node] -= s.piece_cpus[i]
                s.left_gpus[node] &= ~s.piece_mask[i]
                s.left_memory[node] -= s.piece_memory[i]
            return True
        last -= 1
    return False


@inner_kernel
def build_on_nodes(s: Core) -> None:
    """Walk running and waiting tasks in one order; what has no place is skipped or, strictly, blocks the waiting."""
    strict = s.settings[DISCIPLINE] == SCORE and s.settings[BACKFILL] == NONE
    stops, in_place = s.settings[COST] != RUN_ON, s.settings[IN_PLACE] != 0
    heaps = s.settings[HEAPS] != 0
    for i in range(s.counts[PIECES]):
        s.old_node[i], s.old_cpus[i] = s.piece_node[i], s.piece_cpus[i]
        s.old_mask[i], s.old_memory[i] = s.piece_mask[i], s.piece_memory[i]
    s.counts[PIECES] = 0
    empty_nodes(s)
    size, queued = set_aside(s), s.counts[QUEUED]
    for kind in range(len(s.class_shut)):
        s.class_shut[kind] = 0
    i, j, left = 0, 0, 0
    if not stops:
        while i < size:
            _keep(s, s.was_running[i])
            run_on(s, s.was_running[i])
            i += 1
    blocked = False
    while True:
        row = -1
        if heaps:
            row = first_open(s) if not blocked else -1
        else:
            while j < queued and (blocked or s.class_shut[s.jobs[s.waiting[j]].kind] != 0):
                s.waiting[left] = s.waiting[j]
                left += 1
                j += 1
            if j < queued:
                row = s.waiting[j]
        if i < size and (row < 0 or before(s, s.was_running[i], row)):
            row = s.was_running[i]
            i += 1
            if in_place:
                kept = _still_free(s, row)
                if kept:
                    _keep(s, row)
            else:
                first = s.counts[PIECES]
                kept = place(s, s.jobs[row].kind)
                if kept:
                    _settle(s, row, first)
            if kept:
                run_on(s, row)
            else:
                let_stop(s, row)
            continue
        if row < 0:
            break
        kind = s.jobs[row].kind
        first = s.counts[PIECES]
        placed = _place_beside(s, kind, i, size) if in_place and stops else place(s, kind)
        if not placed:
            s.class_shut[kind] = 1
            blocked = strict
            continue
        _settle(s, row, first)
        if heaps:
            take_out(s, row)
        else:
            j += 1
        let_begin(s, row)
    if not heaps:
        s.counts[QUEUED] = left


@inner_kernel
def build_anywhere(s: Core) -> None:
    """Walk running and waiting tasks by what is free in the whole cluster; then give out cores and GPUs."""
    for i in range(s.counts[PIECES]):
        s.old_node[i], s.old_cpus[i] = s.piece_node[i], s.piece_cpus[i]
        s.old_mask[i], s.old_memory[i] = s.piece_mask[i], s.piece_memory[i]
    s.counts[PIECES] = 0
    empty_nodes(s)
    cpus, gpus = 0, 0
    for node in range(len(s.node_cpus)):
        cpus += s.left_cpus[node]
        gpus += bits_in(s.left_gpus[node])
    size = set_aside(s)
    for kind in range(len(s.class_shut)):
        s.class_shut[kind] = 0
    i = 0
    while True:
        row = first_open(s)
        runs = i < size and (row < 0 or before(s, s.was_running[i], row))
        if runs:
            row = s.was_running[i]
            i += 1
        if row < 0:
            break
        t = s.jobs[row]
        if t.cpus > cpus or t.gpus > gpus:
            if runs:
                let_stop(s, row)
            else:
                s.class_shut[t.kind] = 1
            continue
        cpus -= t.cpus
        gpus -= t.gpus
        if runs:
            run_on(s, row)
            continue
        take_out(s, row)
        if t.state == RUNS:
            run_on(s, row)
        else:
            let_begin(s, row)


@inner_kernel
def give_out(s: Core, running: int) -> None:
    """Give the chosen of a walk by counts their cores and GPUs: who runs keeps them, the others get the lowest."""
    for k in range(running):
        if s.jobs[s.running[k]].state == RUNS:
            _keep(s, s.running[k])
    for k in range(running):
        row = s.running[k]
        if s.jobs[row].state != RUNS:
            first = s.counts[PIECES]
            _spread(s, row)
            _settle(s, row, first)


@inner_kernel
def is_on(s: Core, row: int, node: int) -> bool:
    """Tell whether a running task has a piece on a node."""
    t = s.jobs[row]
    if s.settings[WHERE] < SPREAD:
        return True
    on = False
    for i in range(t.first_piece, t.first_piece + t.pieces):
        on = on or s.piece_node[i] == node
    return on


@inner_kernel
def has_moved(s: Core, row: int) -> bool:
    """Tell whether a running task has other pieces in the new schedule than it had."""
    t = s.jobs[row]
    if t.pieces != t.new_pieces:
        return True
    for i in range(t.pieces):
        old, new = t.first_piece + i, t.new_piece + i
        if (
            s.old_node[old] != s.piece_node[new]
            or s.old_cpus[old] != s.piece_cpus[new]
            or s.old_mask[old] != s.piece_mask[new]
        ):
            return True
    return False
