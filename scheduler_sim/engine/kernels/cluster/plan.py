"""When devices are expected to be free, and the node and fraction with the earliest expected finish.

For each node the plan has three lists of (time, amount): thousandths of cores, whole GPUs, KiB of memory. The first
entry is what is free now; the others are expected releases, ascending in time. A booking takes what it needs from
the latest entries that are not later than its start, and adds an entry at its end.
"""

from typing import Any

import numpy as np

from scheduler_sim.engine.codes import EARLIEST_FINISH, LEARNED_SPLIT, MILLI, ORACLE, PREDICTED
from scheduler_sim.engine.formulas import TENTHS, cpu_alone_compiled, even_fraction_compiled
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.cluster.learned import fold_split, option_score
from scheduler_sim.engine.kernels.cluster.start import fetched, sides
from scheduler_sim.engine.kernels.cluster.state import KEPT_LISTS, PLANNED, SEQUENTIAL, Sim
from scheduler_sim.engine.kernels.structures.bits import bits_in

CORES, GPUS, MEMORY = range(3)


@inner_kernel
def add_entry(s: Sim, kind: int, node: int, time: float, amount: int) -> None:
    """Add a release, behind others of the same time; a full list forgets it."""
    size = s.list_size[kind, node]
    if amount == 0 or size == s.list_time.shape[2]:
        return
    i = size
    while i > 1 and s.list_time[kind, node, i - 1] > time:
        s.list_time[kind, node, i] = s.list_time[kind, node, i - 1]
        s.list_amount[kind, node, i] = s.list_amount[kind, node, i - 1]
        i -= 1
    s.list_time[kind, node, i] = time
    s.list_amount[kind, node, i] = amount
    s.list_size[kind, node] = size + 1


@inner_kernel
def make_lists(s: Sim, node: int, now: float) -> None:
    """Fill the lists of `node` from what is free and what runs."""
    s.list_size[:, node] = 1
    s.list_time[:, node, 0] = now
    s.list_amount[CORES, node, 0] = s.live.cores[node]
    s.list_amount[GPUS, node, 0] = bits_in(s.live.free[node])
    s.list_amount[MEMORY, node, 0] = s.live.ram[node]
    chunk = s.first_chunk[node]
    parted = np.int64(0)
    while chunk >= 0:
        c = s.chunks[chunk]
        t = s.tasks[c.task]
        add_entry(s, CORES, node, max(t.cpu_end, now), c.cpu)
        add_entry(s, GPUS, node, max(t.gpu_end, now), bits_in(c.mask))
        add_entry(s, MEMORY, node, max(t.end, now), c.memory)
        if c.shared >= 0:
            parted |= np.int64(1) << c.shared
        chunk = c.after
    device = 0
    while parted != 0:
        if parted & 1:
            # A device that several tasks share is whole again when the last of them ends.
            latest = now
            chunk = s.first_chunk[node]
            while chunk >= 0:
                if s.chunks[chunk].shared == device:
                    latest = max(latest, s.tasks[s.chunks[chunk].task].gpu_end)
                chunk = s.chunks[chunk].after
            add_entry(s, GPUS, node, latest, 1)
        parted = (parted >> 1) & np.int64(0x7FFFFFFFFFFFFFFF)
        device += 1


@inner_kernel
def available(s: Sim, kind: int, node: int, need: int) -> float:
    """Return when `need` is expected to be free on `node`, infinity for never."""
    if need == 0:
        return -np.inf
    total = np.int64(0)
    for i in range(s.list_size[kind, node]):
        total += s.list_amount[kind, node, i]
        if total >= need:
            return float(s.list_time[kind, node, i])
    return np.inf


@inner_kernel
def book(s: Sim, kind: int, node: int, need: int, begin: float, finish: float) -> None:
    """Take `need` from the latest entries not later than `begin`, and expect it back at `finish`."""
    left = need
    i = s.list_size[kind, node] - 1
    while i > 0 and s.list_time[kind, node, i] > begin:
        i -= 1
    while left > 0 and i > 0:
        taken = min(left, s.list_amount[kind, node, i])
        left -= taken
        s.list_amount[kind, node, i] -= taken
        if s.list_amount[kind, node, i] == 0:
            for j in range(i, s.list_size[kind, node] - 1):
                s.list_time[kind, node, j] = s.list_time[kind, node, j + 1]
                s.list_amount[kind, node, j] = s.list_amount[kind, node, j + 1]
            s.list_size[kind, node] -= 1
        i -= 1
    s.list_amount[kind, node, 0] = max(s.list_amount[kind, node, 0] - left, 0)
    add_entry(s, kind, node, finish, need)


@inner_kernel
def note_start(s: Sim, kind: int, node: int, need: int, finish: float) -> None:
    """Take `need` from what is free now, and expect it back at `finish`."""
    s.list_amount[kind, node, 0] = max(s.list_amount[kind, node, 0] - need, 0)
    add_entry(s, kind, node, finish, need)


@inner_kernel
def is_planned(t: Any) -> bool:
    """Tell whether a task is planned ahead: gangs and tasks that share a GPU are not."""
    return bool(t.full_nodes == 0 and t.gpu % MILLI == 0)


@inner_kernel
def best_option(s: Sim, row: int, now: float, stamp: int) -> tuple[float, float, int, float, bool, float, float]:
    """Return finish, fraction, node, start and whether it can start now of the best option; then two best by class.

    The best option finishes first, or has the lowest score where that is learned, then has the lowest fraction, then
    the lowest node. A class of options is a node and whether GPUs are used; the last two values are the earliest finish
    of the best and of the second-best class. Where the score is learned they need not be of the option chosen.
    """
    t = s.tasks[row]
    planned = s.settings[PLANNED]
    learned = planned == LEARNED_SPLIT
    if learned:
        fold_split(s)
    best_finish = best_fraction = best_value = np.inf
    best_node = -1
    best_start = np.inf
    starts = False
    first = second = np.inf
    for node in range(len(s.live.cores)):
        if s.live.away[node] > 0:
            continue
        if not (s.allowed[t.gpu_nodes, node] or s.allowed[t.any_nodes, node]):
            continue
        group = s.node_group[node]
        if s.list_stamp[node] != stamp:
            make_lists(s, node, now)
            s.list_stamp[node] = stamp
        whole = t.gpu // MILLI
        cores_at = available(s, CORES, node, t.cpu)
        gpus_at = available(s, GPUS, node, whole)
        memory_at = max(available(s, MEMORY, node, t.memory), now)
        count = 1
        exact = 0.0
        if t.hybrid and (learned or planned == EARLIEST_FINISH):
            count = len(TENTHS)
        elif t.hybrid and planned == PREDICTED:
            count = 3
            exact = t.fixed
        elif t.hybrid and planned == ORACLE:
            if s.settings[SEQUENTIAL]:
                count = 2
            else:
                count = 3
                alone = cpu_alone_compiled(t.estimate, s.speeds[t.paces + group, 0])
                exact = even_fraction_compiled(alone, sides(s, t, t.estimate, 1.0, group)[1])
        late = fetched(s, row, node)
        class_finish_cpu = class_finish_gpu = np.inf
        for k in range(count):
            fraction = t.fixed
            if count == len(TENTHS):
                fraction = TENTHS[k]
            elif count > 1:
                fraction = 0.0 if k == 0 else (1.0 if k == count - 1 else exact)
            on_cpu = fraction < 1.0
            on_gpu = fraction > 0.0
            if t.hybrid:
                if (on_cpu and not t.can_cpu) or (on_gpu and not t.can_gpu) or (on_cpu and on_gpu and not t.can_both):
                    continue
            else:
                on_cpu = t.cpu > 0
                on_gpu = t.gpu > 0
            if not s.allowed[t.gpu_nodes if on_gpu else t.any_nodes, node]:
                continue
            begin = memory_at
            if on_cpu:
                begin = max(begin, cores_at)
            if on_gpu:
                begin = max(begin, gpus_at)
            if begin == np.inf:
                continue
            cpu_time, gpu_time = sides(s, t, t.estimate, fraction, group)
            finish = begin + late + max(cpu_time, gpu_time)
            if on_gpu:
                class_finish_gpu = min(class_finish_gpu, finish)
            else:
                class_finish_cpu = min(class_finish_cpu, finish)
            value = finish
            if learned:
                cores, gpus = t.cpu / MILLI * cpu_time, whole * gpu_time
                value = option_score(
                    s,
                    begin - now,
                    finish - now,
                    cores if on_cpu else 0.0,
                    gpus if on_gpu else 0.0,
                    fraction,
                )
            if value < best_value or (value == best_value and fraction < best_fraction):
                best_value = value
                best_finish = finish
                best_fraction = fraction
                best_node = node
                best_start = begin
                starts = (
                    begin == now
                    and (not on_cpu or s.list_amount[CORES, node, 0] >= t.cpu)
                    and (not on_gpu or s.list_amount[GPUS, node, 0] >= whole)
                    and s.list_amount[MEMORY, node, 0] >= t.memory
                )
        for k in range(2):
            finish = class_finish_cpu if k == 0 else class_finish_gpu
            if finish < first:
                second = first
                first = finish
            elif finish < second:
                second = finish
    return best_finish, best_fraction, best_node, best_start, starts, first, second


@inner_kernel
def book_option(s: Sim, row: int, fraction: float, node: int, begin: float) -> None:
    """Hold what the option needs on `node` from `begin` on, until the end of this instant's walk."""
    t = s.tasks[row]
    cpu_time, gpu_time = sides(s, t, t.estimate, fraction, s.node_group[node])
    late = fetched(s, row, node)
    cpu_time, gpu_time = cpu_time + late, gpu_time + late
    if not t.hybrid or fraction < 1.0:
        book(s, CORES, node, t.cpu, begin, begin + cpu_time)
    if not t.hybrid or fraction > 0.0:
        book(s, GPUS, node, t.gpu // MILLI, begin, begin + gpu_time)
    book(s, MEMORY, node, t.memory, begin, begin + max(cpu_time, gpu_time))


@inner_kernel
def note_started(s: Sim, row: int, stamp: int) -> None:
    """Bring the lists made in this walk up to date after a task has started."""
    if not s.settings[KEPT_LISTS]:
        return
    t = s.tasks[row]
    chunk = t.chunk
    while chunk >= 0:
        c = s.chunks[chunk]
        if s.list_stamp[c.node] == stamp:
            note_start(s, CORES, c.node, c.cpu, t.cpu_end)
            devices = bits_in(c.mask)
            if c.shared >= 0 and s.live.left[c.node, c.shared] == MILLI - c.share:
                devices += 1
            note_start(s, GPUS, c.node, devices, t.gpu_end)
            note_start(s, MEMORY, c.node, c.memory, t.end)
        chunk = c.more
