"""Plans of the nodes' future: the shadow time of EASY, and the reservations of conservative backfilling."""

import numpy as np

from scheduler_sim.engine.codes import FINISH, MILLI
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.cluster.choose import could_start, find
from scheduler_sim.engine.kernels.cluster.power import is_capped
from scheduler_sim.engine.kernels.cluster.queue import NOTHING, fresh_stamp, sort_walk, tree_next
from scheduler_sim.engine.kernels.cluster.start import (
    fetched,
    first_node,
    longest_fetched,
    piece_sides,
    sides,
    start,
)
from scheduler_sim.engine.kernels.cluster.state import (
    CAPPED,
    DEPTH,
    LIFTED,
    OUTAGES,
    OVERRUN,
    PENDING,
    RESERVED,
    WALKED,
    Sim,
    View,
    needs,
    pieces_of,
)
from scheduler_sim.engine.kernels.cluster.view import copy_view, fits, give_gpus, take_gpus
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

CPU_PART, GPU_PART, MEMORY_PART, OUTAGE = range(4)


@inner_kernel
def give_part(s: Sim, view: View, row: int, part: int) -> None:
    """Give back one part of what a running task still holds, in a planned state."""
    chunk = s.tasks[row].chunk
    while chunk >= 0:
        c = s.chunks[chunk]
        if part == CPU_PART:
            view.cores[c.node] += c.cpu
        elif part == GPU_PART:
            give_gpus(view, c.node, c.mask, c.shared, c.share)
        else:
            view.ram[c.node] += c.memory
        chunk = c.more


@inner_kernel
def find_shadow(s: Sim, head: int, now: float) -> float:
    """Return the earliest expected time at which `head` can start, and leave that state of the nodes in `plan`.

    Tasks are taken to end when expected, overdue ones now; outages start and end as listed. Infinity for never.
    """
    copy_view(s.plan, s.live)
    pending = s.counts[PENDING]
    known = len(s.outage_times) - s.counts[OUTAGES]
    times = np.empty(3 * pending + known)
    codes = np.empty(3 * pending + known, np.int64)
    size = 0
    for i in range(pending):
        code = s.heap_codes[i]
        if code % 3 != FINISH:
            continue
        row = code // 3
        t = s.tasks[row]
        times[size] = max(t.cpu_end, now)
        codes[size] = 4 * row + CPU_PART
        times[size + 1] = max(t.gpu_end, now)
        codes[size + 1] = 4 * row + GPU_PART
        times[size + 2] = max(t.end, now)
        codes[size + 2] = 4 * row + MEMORY_PART
        size += 3
    for i in range(s.counts[OUTAGES], len(s.outage_times)):
        times[size] = s.outage_times[i]
        codes[size] = 4 * i + OUTAGE
        size += 1
    sequence = np.argsort(times[:size], kind="mergesort")
    i = 0
    while i < size:
        time = times[sequence[i]]
        while i < size and times[sequence[i]] == time:
            code = codes[sequence[i]]
            if code % 4 == OUTAGE:
                s.plan.away[s.outage_nodes[code // 4]] += s.outage_signs[code // 4]
            else:
                give_part(s, s.plan, code // 4, code % 4)
            i += 1
        if could_start(s, s.plan, head, s.tasks[head].fixed):
            return float(time)
    return np.inf


@inner_kernel
def delays_head(s: Sim, row: int, count: int, now: float, head: int, shadow: float) -> bool:
    """Tell whether `head` could no longer start at its shadow time if `row` started on the pieces found.

    What the task still holds then is taken from `plan`, and stays taken when it does no harm.
    """
    t = s.tasks[row]
    cpu_time, gpu_time = piece_sides(s, t, t.estimate, t.fixed, count)
    late = fetched(s, row, first_node(s, count))
    cpu_time, gpu_time = cpu_time + late, gpu_time + late
    holds_cpu = now + cpu_time > shadow
    holds_gpu = now + gpu_time > shadow
    holds_memory = now + max(cpu_time, gpu_time) > shadow
    if not holds_memory:
        return False
    nodes = s.piece_node[:count].copy()
    masks = s.piece_mask[:count].copy()
    devices = s.piece_device[:count].copy()
    for sign in (1, -1):
        for piece in range(count):
            cpu, _, share, memory = needs(t, t.fixed, piece)
            node = nodes[piece]
            if holds_cpu:
                s.plan.cores[node] -= sign * cpu
            if holds_memory:
                s.plan.ram[node] -= sign * memory
            if holds_gpu and sign > 0:
                take_gpus(s.plan, node, masks[piece], devices[piece], share)
            elif holds_gpu:
                give_gpus(s.plan, node, masks[piece], devices[piece], share)
        if sign > 0 and could_start(s, s.plan, head, s.tasks[head].fixed):
            return False
    return True


@inner_kernel
def queue_in_order(s: Sim, now: float, listed: bool | None) -> int:
    """Write the queue to `walk` in the policy's order and return how many tasks may hold a reservation."""
    if listed is not None:
        sort_walk(s, now)
        return int(min(s.counts[WALKED], s.settings[DEPTH]))
    size = 0
    rank = tree_next(s, 0, NOTHING - 1, NOTHING - 1)
    while rank >= 0 and size < s.settings[DEPTH]:
        s.walk[size] = s.row_of_rank[rank]
        size += 1
        rank = tree_next(s, rank + 1, NOTHING - 1, NOTHING - 1)
    return size


@inner_kernel
def held_parts(s: Sim, row: int, now: float, times: FloatArray, codes: IntArray) -> int:
    """List all that running tasks and reservations hold and give back in the plan, without `row`; returns how many.

    The code of an event is 16 * number + 2 * part + whether it takes; the number is a row, from the rows on a
    reservation's, and for part OUTAGE the place in the list of outages.
    """
    size = 0
    for i in range(s.counts[PENDING]):
        code = s.heap_codes[i]
        if code % 3 == FINISH:
            t = s.tasks[code // 3]
            times[size] = max(t.cpu_end, now)
            times[size + 1] = max(t.gpu_end, now)
            times[size + 2] = max(t.end, now)
            for part in range(3):
                codes[size + part] = 16 * (code // 3) + 2 * part
            size += 3
    for i in range(s.counts[RESERVED]):
        other = s.reserved_rows[i]
        if other == row or s.reserved_time[other] == np.inf:
            continue
        begin = s.reserved_time[other]
        cpu_time, gpu_time = s.reserved_from[2 * other], s.reserved_from[2 * other + 1]
        for part in range(3):
            length = cpu_time if part == 0 else (gpu_time if part == 1 else max(cpu_time, gpu_time))
            if length > 0.0:
                times[size] = begin
                codes[size] = 16 * (other + len(s.tasks)) + 2 * part + 1
                times[size + 1] = begin + length
                codes[size + 1] = 16 * (other + len(s.tasks)) + 2 * part
                size += 2
    for i in range(s.counts[OUTAGES], len(s.outage_times)):
        times[size] = s.outage_times[i]
        codes[size] = 16 * i + 2 * OUTAGE
        size += 1
    return size


@inner_kernel
def lessen(s: Sim, node: int) -> None:
    """Lower what `window` says of a node to what `plan` says of it."""
    w = s.window
    p = s.plan
    w.cores[node] = min(w.cores[node], p.cores[node])
    w.ram[node] = min(w.ram[node], p.ram[node])
    w.away[node] = max(w.away[node], p.away[node])
    w.devices[node] = 0
    free = np.int64(0)
    shared = np.int64(0)
    for device in range(s.node_gpus[node]):
        bit = np.int64(1) << device
        left = MILLI
        for view in (w, p):
            if view.parted[node] & bit:
                left = min(left, view.left[node, device])
            elif not view.free[node] & bit:
                left = 0
        if left == MILLI:
            free |= bit
        elif left > 0:
            shared |= bit
        w.left[node, device] = left
        w.devices[node] += left
    w.free[node] = free
    w.parted[node] = shared


@inner_kernel
def apply_part(s: Sim, code: int, narrow: bool) -> None:
    """Apply one event to `plan`, and to `window` if what it takes narrows it."""
    number = code // 16
    part = (code % 16) // 2
    if part == OUTAGE:
        s.plan.away[s.outage_nodes[number]] += s.outage_signs[number]
        if narrow:
            lessen(s, s.outage_nodes[number])
        return
    if number < len(s.tasks):
        give_part(s, s.plan, number, part)
        return
    row = number - len(s.tasks)
    t = s.tasks[row]
    taking = code % 2
    for piece in range(pieces_of(t)):
        at = s.reserved_first[row] + piece
        node = s.reserved_node[at]
        cpu, _, share, memory = needs(t, t.fixed, piece)
        if part == CPU_PART:
            s.plan.cores[node] += -cpu if taking else cpu
        elif part == MEMORY_PART:
            s.plan.ram[node] += -memory if taking else memory
        elif taking:
            take_gpus(s.plan, node, s.reserved_mask[at], s.reserved_device[at], share)
        else:
            give_gpus(s.plan, node, s.reserved_mask[at], s.reserved_device[at], share)
        if narrow and taking:
            lessen(s, node)


@inner_kernel
def longest(s: Sim, row: int) -> float:
    """Return the expected length of a task in the slowest node group, its data included, for which it is reserved.

    Of a gang it is that over all levels of racks.
    """
    t = s.tasks[row]
    estimate = t.estimate
    if t.full_nodes > 0 and pieces_of(t) > 1:
        estimate *= s.crossing[len(s.crossing) - 1]
    length = 0.0
    for group in range(s.node_group[len(s.node_group) - 1] + 1):
        cpu_time, gpu_time = sides(s, t, estimate, t.fixed, group)
        length = max(length, cpu_time, gpu_time)
    return length + longest_fetched(s, row)


@inner_kernel
def reserve(s: Sim, row: int, now: float, latest: float, fgd: bool | None) -> None:
    """Give a task the earliest time at which some nodes hold it through its expected length.

    Where that is later than `latest`, infinity for a task without a reservation, what it has stays. That happens to
    tasks of no expected length, whose reservations keep nobody else away.
    """
    events = 3 * s.counts[PENDING] + 6 * s.counts[RESERVED] + len(s.outage_times)
    times = np.empty(events)
    codes = np.empty(events, np.int64)
    size = held_parts(s, row, now, times, codes)
    # What is given back at an instant comes before what is taken at it.
    sequence = np.argsort(codes[:size] % 2, kind="mergesort")
    sequence = sequence[np.argsort(times[:size][sequence], kind="mergesort")]
    length = longest(s, row)
    t = s.tasks[row]
    done = 0
    begin = now
    while begin <= latest:
        copy_view(s.plan, s.live)
        done = 0
        while done < size and times[sequence[done]] <= begin:
            apply_part(s, codes[sequence[done]], False)
            done += 1
        copy_view(s.window, s.plan)
        ahead = done
        while ahead < size and times[sequence[ahead]] < begin + length:
            apply_part(s, codes[sequence[ahead]], True)
            ahead += 1
        count = find(s, s.window, False, row, t.fixed, fgd)
        if count > 0:
            cpu_time, gpu_time = piece_sides(s, t, t.estimate, t.fixed, count)
            late = fetched(s, row, first_node(s, count))
            cpu_time, gpu_time = cpu_time + late, gpu_time + late
            s.reserved_time[row] = begin
            s.reserved_from[2 * row] = cpu_time
            s.reserved_from[2 * row + 1] = gpu_time
            for piece in range(count):
                at = s.reserved_first[row] + piece
                s.reserved_node[at] = s.piece_node[piece]
                s.reserved_mask[at] = s.piece_mask[piece]
                s.reserved_device[at] = s.piece_device[piece]
            return
        # Only where something is given back, or an outage begins or ends, can the answer change.
        while done < size and codes[sequence[done]] % 2 == 1:
            done += 1
        if done == size:
            break
        begin = times[sequence[done]]
    if latest == np.inf:
        s.reserved_time[row] = np.inf


@inner_kernel
def drop_reservation(s: Sim, place: int) -> None:
    """Forget the reservation at `place` of the list."""
    s.reserved_time[s.reserved_rows[place]] = np.nan
    s.counts[RESERVED] -= 1
    s.reserved_rows[place] = s.reserved_rows[s.counts[RESERVED]]


@inner_kernel
def pieces_free(s: Sim, row: int) -> bool:
    """Load the reserved pieces of a task and tell whether all of them are really free."""
    t = s.tasks[row]
    for piece in range(pieces_of(t)):
        at = s.reserved_first[row] + piece
        node = s.reserved_node[at]
        mask = s.reserved_mask[at]
        device = s.reserved_device[at]
        cpu, _, share, memory = needs(t, t.fixed, piece)
        if not fits(s.live, node, cpu, 0, 0, memory) or s.live.free[node] & mask != mask:
            return False
        if device >= 0:
            bit = np.int64(1) << device
            parted = s.live.parted[node] & bit and s.live.left[node, device] >= share
            if not (s.live.free[node] & bit) and not parted:
                return False
        s.piece_node[piece] = node
        s.piece_mask[piece] = mask
        s.piece_device[piece] = device
    return True


@inner_kernel
def act_conservative(s: Sim, now: float, fgd: bool | None, listed: bool | None) -> None:
    """Keep every queued task's reservation, bring each forward in order, reserve for newcomers, start what is due."""
    s.counts[CAPPED] = 0
    size = queue_in_order(s, now, listed)
    stamp = fresh_stamp(s)
    for i in range(size):
        s.tasks[s.walk[i]].tried = stamp
    place = 0
    missed, overran = s.counts[LIFTED] != 0, False
    s.counts[LIFTED] = 0
    while place < s.counts[RESERVED]:
        row = s.reserved_rows[place]
        if s.tasks[row].tried != stamp:
            drop_reservation(s, place)
            continue
        missed = missed or s.reserved_time[row] < now
        place += 1
    for i in range(s.counts[PENDING]):
        code = s.heap_codes[i]
        if code % 3 == FINISH and s.tasks[code // 3].end <= now:
            overran = True
    s.counts[OVERRUN] = overran
    if missed or overran:
        held = s.counts[RESERVED]
        s.counts[RESERVED] = 0
        for i in range(size):
            row = s.walk[i]
            if held > 0 and not np.isnan(s.reserved_time[row]):
                reserve(s, row, now, np.inf, fgd)
                s.reserved_rows[s.counts[RESERVED]] = row
                s.counts[RESERVED] += 1
    else:
        for i in range(size):
            row = s.walk[i]
            if not np.isnan(s.reserved_time[row]):
                reserve(s, row, now, s.reserved_time[row], fgd)
    while True:
        for i in range(size):
            row = s.walk[i]
            if np.isnan(s.reserved_time[row]):
                reserve(s, row, now, np.inf, fgd)
                s.reserved_rows[s.counts[RESERVED]] = row
                s.counts[RESERVED] += 1
        started = False
        for i in range(size):
            row = s.walk[i]
            if s.reserved_time[row] == now and pieces_free(s, row):
                if is_capped(s, row, s.tasks[row].fixed, pieces_of(s.tasks[row])):
                    return
                for place in range(s.counts[RESERVED]):
                    if s.reserved_rows[place] == row:
                        drop_reservation(s, place)
                        break
                start(s, row, s.tasks[row].fixed, pieces_of(s.tasks[row]), now)
                started = True
        if not started or s.settings[DEPTH] >= len(s.tasks):
            return
        size = queue_in_order(s, now, listed)
        # With a depth limit, those that started make room for others in the line of reservations.
        for i in range(size):
            if np.isnan(s.reserved_time[s.walk[i]]):
                break
        else:
            return
