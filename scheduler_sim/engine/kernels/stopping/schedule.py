"""The schedule of nodes where waiting tasks may stop running ones, built anew at each instant.

Running and waiting tasks are walked in one order, first those whose nodes still wake, which nobody stops. `window`
holds the chosen and those running tasks behind that still have room beside them; a waiting task that finds no room
there, or too little power under a cap, takes that of the last ones behind it.
"""

import numpy as np

from scheduler_sim.engine.codes import BY_LEFT, FINISH, MILLI, NONE
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.cluster.choose import could_start, find_place
from scheduler_sim.engine.kernels.cluster.power import power_of, step_of
from scheduler_sim.engine.kernels.cluster.queue import by_tie, score
from scheduler_sim.engine.kernels.cluster.reserve import delays_head
from scheduler_sim.engine.kernels.cluster.start import piece_sides, start
from scheduler_sim.engine.kernels.cluster.state import (
    BACKFILL,
    CAP_STEP,
    CAPPED,
    CAPS,
    DRAWN,
    KIND,
    LISTED,
    OUTAGES,
    PENDING,
    Sim,
    View,
    needs,
)
from scheduler_sim.engine.kernels.cluster.view import copy_view, give_gpus, take_gpus
from scheduler_sim.engine.kernels.core.state import COST, KEEP, REQUEUED, SUSPENDED
from scheduler_sim.engine.kernels.stopping.learned import active_scores
from scheduler_sim.engine.kernels.stopping.state import BEGUN, KEPT, POWER, STOPPED, Life
from scheduler_sim.engine.kernels.stopping.verbs import note_begun, put_back, stop
from scheduler_sim.engine.kernels.structures.bits import bits_in
from scheduler_sim.engine.kernels.structures.lists import append
from scheduler_sim.engine.workloads.workload import IntArray


@inner_kernel
def move_pieces(view: View, node: int, cpu: int, memory: int, mask: int, device: int, share: int, sign: int) -> None:
    """Take (1) devices of a node out of a state of the nodes, or give them back (-1)."""
    view.cores[node] -= sign * cpu
    view.ram[node] -= sign * memory
    if sign > 0:
        take_gpus(view, node, mask, device, share)
    else:
        give_gpus(view, node, mask, device, share)


@inner_kernel
def move_running(s: Sim, view: View, row: int, sign: int) -> None:
    """Take (1) what a running task holds out of a state of the nodes, or give it back (-1)."""
    chunk = s.tasks[row].chunk
    while chunk >= 0:
        c = s.chunks[chunk]
        move_pieces(view, c.node, c.cpu, c.memory, c.mask, c.shared, c.share, sign)
        chunk = c.more


@inner_kernel
def still_free(s: Sim, view: View, row: int) -> bool:
    """Tell whether what a running task holds is free in a state of the nodes."""
    chunk = s.tasks[row].chunk
    while chunk >= 0:
        c = s.chunks[chunk]
        if not holds(view, c.node, c.cpu, c.memory, c.mask, c.shared, c.share):
            return False
        chunk = c.more
    return True


@inner_kernel
def holds(view: View, node: int, cpu: int, memory: int, mask: int, device: int, share: int) -> bool:
    """Tell whether a node has just these devices left, whether it is away or not."""
    if view.cores[node] < cpu or view.ram[node] < memory or view.free[node] & mask != mask:
        return False
    if device < 0 or view.free[node] & (np.int64(1) << device):
        return True
    return bool(view.parted[node] & (np.int64(1) << device) and view.left[node, device] >= share)


@inner_kernel
def move_kept(s: Sim, h: Life, view: View, row: int, sign: int) -> None:
    """Take (1) the pieces kept for a task that begins out of a state of the nodes, or give them back (-1)."""
    t, life = s.tasks[row], h.lives[row]
    for piece in range(life.kept):
        at = life.first_kept + piece
        node = h.kept_node[at]
        cpu, _, share, memory = needs(t, t.fixed, piece)
        move_pieces(view, node, cpu, memory, h.kept_mask[at], h.kept_device[at], share, sign)


@inner_kernel
def keep_pieces(s: Sim, h: Life, row: int, count: int) -> None:
    """Remember the pieces found for a task that begins."""
    life = h.lives[row]
    life.first_kept, life.kept = h.counts[KEPT], count
    for piece in range(count):
        at = h.counts[KEPT] + piece
        h.kept_node[at], h.kept_mask[at] = s.piece_node[piece], s.piece_mask[piece]
        h.kept_device[at] = s.piece_device[piece]
    h.counts[KEPT] += count


@inner_kernel
def in_one_order(s: Sim, h: Life, now: float) -> IntArray:
    """Return the running and the waiting tasks in the policy's order, a running task's score as if it still waited.

    Those whose nodes still wake come first.
    """
    rows = np.empty(s.counts[PENDING] + s.counts[LISTED], np.int64)
    size = 0
    for i in range(s.counts[PENDING]):
        if s.heap_codes[i] % 3 == FINISH:
            rows[size] = s.heap_codes[i] // 3
            size += 1
    for i in range(s.counts[LISTED]):
        rows[size] = s.listed[i]
        size += 1
    rows = by_tie(s, rows[:size])
    scores = np.empty(size)
    if s.settings[KIND] == BY_LEFT:
        active_scores(s, h, now, rows, scores)
    else:
        for i in range(size):
            scores[i] = score(s, rows[i], now)
    for i in range(size):
        if h.lives[rows[i]].runs and s.tasks[rows[i]].start > now:
            scores[i] = -np.inf
    return rows[np.argsort(scores, kind="mergesort")]


@inner_kernel
def shadow_of(s: Sim, h: Life, head: int, ahead: IntArray, now: float) -> float:
    """Return when the head fits by the expected ends of those chosen ahead of it, and leave the nodes then in `plan`.

    `window` holds these alone. Infinity for never.
    """
    copy_view(s.plan, s.window)
    known = len(s.outage_times) - s.counts[OUTAGES]
    size = len(ahead)
    times = np.empty(size + known)
    for i in range(size):
        times[i] = max(h.lives[ahead[i]].expected, now)
    for i in range(known):
        times[size + i] = s.outage_times[s.counts[OUTAGES] + i]
    sequence = np.argsort(times, kind="mergesort")
    i = 0
    while i < len(times):
        time = times[sequence[i]]
        while i < len(times) and times[sequence[i]] == time:
            place = sequence[i]
            if place >= size:
                event = s.counts[OUTAGES] + place - size
                s.plan.away[s.outage_nodes[event]] += s.outage_signs[event]
            elif h.lives[ahead[place]].runs:
                move_running(s, s.plan, ahead[place], -1)
            else:
                move_kept(s, h, s.plan, ahead[place], -1)
            i += 1
        if could_start(s, s.plan, head, s.tasks[head].fixed):
            return float(time)
    return np.inf


@inner_kernel
def power_of_running(s: Sim, row: int) -> int:
    """Return what the devices of a running task draw more than idle, in millionths of a watt."""
    t, power = s.tasks[row], 0
    chunk = t.chunk
    while chunk >= 0:
        c = s.chunks[chunk]
        gpu = MILLI * bits_in(c.mask) + (c.share if c.shared >= 0 else 0)
        power += power_of(s, c.node, c.cpu, gpu, step_of(s, t))
        chunk = c.more
    return power


@inner_kernel
def power_of_found(s: Sim, row: int, count: int) -> int:
    """Return what a task on the `count` pieces found would draw more than idle."""
    t, power = s.tasks[row], 0
    for piece in range(count):
        cpu, whole, share, _ = needs(t, t.fixed, piece)
        power += power_of(s, s.piece_node[piece], cpu, MILLI * whole + share, 0)
    return power


@inner_kernel
def has_power(s: Sim, h: Life, power: int) -> bool:
    """Tell whether the schedule that is built may draw so much more."""
    if not s.settings[CAPS]:
        return True
    return bool(h.counts[POWER] + power <= s.cap_power[s.counts[CAP_STEP] % len(s.cap_power)])


@inner_kernel
def put_in_window(s: Sim, h: Life, row: int, sign: int) -> None:
    """Take (1) what a running task holds out of `window`, or give it back (-1), and note what the schedule draws."""
    move_running(s, s.window, row, sign)
    if s.settings[CAPS]:
        h.counts[POWER] += sign * power_of_running(s, row)


@inner_kernel
def find_in_power(s: Sim, h: Life, row: int, fgd: bool | None) -> int:
    """Find a place in `window` and return the pieces, 0 for none; below 0 where the cap leaves too little power."""
    count = find_place(s, s.window, False, True, row, s.tasks[row].fixed, fgd)
    if count > 0 and not has_power(s, h, power_of_found(s, row, count)):
        return -count
    return count


@inner_kernel
def find_beside(s: Sim, h: Life, row: int, behind: IntArray, fgd: bool | None) -> tuple[int, int]:
    """Find a place in `window`, if need be that of running tasks `behind`, the last ones first.

    Returns the pieces found, 0 for none and below 0 where power is too little even then; and from where on those
    behind are taken out of `window`; all of them are where nothing is found.
    """
    size = len(behind)
    count = find_in_power(s, h, row, fgd)
    if count > 0:
        return count, size
    for i in range(size):
        if h.lives[behind[i]].chosen:
            put_in_window(s, h, behind[i], -1)
    count = find_in_power(s, h, row, fgd)
    if count == 0:
        return 0, 0
    for i in range(size):
        if h.lives[behind[i]].chosen:
            put_in_window(s, h, behind[i], 1)
    last = size
    # Power may suffice beside some though not without them, where the nodes that they leave draw more.
    count = -abs(count)
    while count <= 0 and last > 0:
        last -= 1
        if h.lives[behind[last]].chosen:
            put_in_window(s, h, behind[last], -1)
            count = find_in_power(s, h, row, fgd)
    return count, last


@inner_kernel
def build(s: Sim, h: Life, now: float, fgd: bool | None, easy: bool | None) -> None:
    """Build the schedule, then stop and start what it says."""
    rows = in_one_order(s, h, now)
    size = len(rows)
    running = np.empty(size, np.int64)
    ahead = np.empty(size, np.int64)
    runs, chosen = 0, 0
    for i in range(size):
        if h.lives[rows[i]].runs:
            running[runs] = rows[i]
            h.lives[rows[i]].chosen = 1
            h.lives[rows[i]].expected = s.tasks[rows[i]].end
            runs += 1
    copy_view(s.window, s.live)
    h.counts[STOPPED] = h.counts[BEGUN] = h.counts[KEPT] = s.counts[CAPPED] = 0
    h.counts[POWER] = s.counts[DRAWN]
    decided, head, shadow, blocked = 0, -1, np.inf, False
    for i in range(size):
        row = rows[i]
        t, life = s.tasks[row], h.lives[row]
        if life.runs:
            decided += 1
            if not life.chosen:
                append(h.stopping, h.counts, STOPPED, row)
                continue
            ahead[chosen] = row
            chosen += 1
            if easy is not None and shadow < np.inf and t.end > shadow:
                move_running(s, s.plan, row, 1)
            continue
        if blocked:
            continue
        behind = running[decided:runs]
        count, last = find_beside(s, h, row, behind, fgd)
        begins = count > 0
        if count < 0:
            if easy is None or shadow == np.inf or not delays_head(s, row, -count, now, head, shadow):
                # Nobody passes who waits for power.
                s.counts[CAPPED], blocked = 1, True
        elif count == 0:
            blocked = s.settings[BACKFILL] == NONE
            if easy is not None and head < 0:
                head = row
                shadow = shadow_of(s, h, row, ahead[:chosen], now)
        elif easy is not None and shadow < np.inf and delays_head(s, row, count, now, head, shadow):
            begins = False
        if not begins:
            for k in range(last, len(behind)):
                if h.lives[behind[k]].chosen:
                    put_in_window(s, h, behind[k], 1)
            continue
        if s.settings[CAPS]:
            h.counts[POWER] += power_of_found(s, row, count)
        cpu, gpu = piece_sides(s, t, t.estimate, t.fixed, count)
        life.expected = now + max(cpu, gpu)
        keep_pieces(s, h, row, count)
        append(h.beginning, h.counts, BEGUN, row)
        move_kept(s, h, s.window, row, 1)
        ahead[chosen] = row
        chosen += 1
        for k in range(last, len(behind)):
            # Also those left out before: others that leave now may make room for them.
            free = still_free(s, s.window, behind[k]) and has_power(s, h, power_of_running(s, behind[k]))
            h.lives[behind[k]].chosen = 1 if free else 0
            if free:
                put_in_window(s, h, behind[k], 1)
    carry_out(s, h, now)


@inner_kernel
def carry_out(s: Sim, h: Life, now: float) -> None:
    """Stop and start what the schedule says."""
    for i in range(h.counts[STOPPED]):
        stop(s, h, h.stopping[i], now, SUSPENDED if h.settings[COST] == KEEP else REQUEUED, True)
    for i in range(h.counts[BEGUN]):
        row = h.beginning[i]
        life = h.lives[row]
        for piece in range(life.kept):
            at = life.first_kept + piece
            s.piece_node[piece], s.piece_mask[piece] = h.kept_node[at], h.kept_mask[at]
            s.piece_device[piece] = h.kept_device[at]
        start(s, row, s.tasks[row].fixed, life.kept, now)
    if h.counts[BEGUN] > 0:
        note_begun(s, h, now)
    put_back(s, h, now, False)
