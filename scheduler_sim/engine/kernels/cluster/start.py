"""Starting a task on the pieces that were found, and giving back what it held."""

from typing import Any

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.codes import CPU_SIDE, DRF, FINISH, FINISHED, GPU_SIDE, MILLI, MULTIFACTOR, RUNNING
from scheduler_sim.engine.formulas import held_times_compiled
from scheduler_sim.engine.jit import called_kernel, inner_kernel
from scheduler_sim.engine.kernels.cluster.classes import reclass
from scheduler_sim.engine.kernels.cluster.index import reindex
from scheduler_sim.engine.kernels.cluster.power import give_back_power, take_power, wake
from scheduler_sim.engine.kernels.cluster.queue import charge, dequeue
from scheduler_sim.engine.kernels.cluster.racks import crossed, slowdown
from scheduler_sim.engine.kernels.cluster.state import (
    CLASSED,
    FREE_CHUNK,
    FREE_CPU,
    FREE_GPU,
    IN_TURN,
    INDEXED,
    KEPT_LISTS,
    KIND,
    PENDING,
    RELEASED,
    SENDS,
    SEQUENTIAL,
    SLEEPS,
    STRETCHED,
    Sim,
    needs,
)
from scheduler_sim.engine.kernels.cluster.view import give_gpus, take_gpus
from scheduler_sim.engine.kernels.structures.bits import bits_in, lowest_bit
from scheduler_sim.engine.kernels.structures.calendar import add_event
from scheduler_sim.engine.kernels.structures.gang_buffer import begin_span, write_piece
from scheduler_sim.engine.kernels.structures.timeline import span


@inlined.kernel
def sides(s: Sim, t: Any, runtime: float, fraction: float, group: int) -> tuple[float, float]:
    """Return how long a task on `group` holds its cores and its GPUs, given its runtime."""
    cpu, gpu = worked(s, t, runtime, fraction, group)
    if s.settings[STRETCHED]:
        return stretched(s, t, cpu), stretched(s, t, gpu)
    return cpu, gpu


@called_kernel
def stretched(s: Sim, t: Any, seconds: float) -> float:
    """Return for how long devices are held that work for `seconds`: starts and checkpoints cost time."""
    return float(t.overhead + span(s.checkpoints, seconds))


@inlined.kernel
def worked(s: Sim, t: Any, runtime: float, fraction: float, group: int) -> tuple[float, float]:
    """Return how long the cores and the GPUs of a task on `group` work, given its runtime."""
    return held_times_compiled(
        runtime,
        fraction,
        t.intensity,
        t.memory_mb,
        t.hybrid,
        t.on_gpu,
        s.speeds[t.paces + group, 0],
        s.speeds[t.paces + group, 1],
        s.speeds[t.paces + group, 2],
        s.settings[SEQUENTIAL],
    )


@inlined.kernel
def piece_sides(s: Sim, t: Any, runtime: float, fraction: float, count: int) -> tuple[float, float]:
    """Return how long a task on the found pieces holds its cores and its GPUs.

    A gang goes as its slowest node, and as much slower as the levels between its racks make it.
    """
    runtime *= slowdown(s, count)
    cpu = gpu = 0.0
    for piece in range(count):
        other_cpu, other_gpu = sides(s, t, runtime, fraction, s.node_group[s.piece_node[piece]])
        cpu = max(cpu, other_cpu)
        gpu = max(gpu, other_gpu)
    return cpu, gpu


@inner_kernel
def first_node(s: Sim, count: int) -> int:
    """Return the lowest of the nodes of the pieces found."""
    lowest = s.piece_node[0]
    for piece in range(1, count):
        lowest = min(lowest, s.piece_node[piece])
    return int(lowest)


@called_kernel
def fetched(s: Sim, row: int, node: int) -> float:
    """Return how long data is under way to a task that starts on `node`, which holds its devices meanwhile.

    All that its parents made on other nodes begins to move when it starts, each on a link of its own.
    """
    longest = 0.0
    if s.settings[SENDS]:
        here = s.node_group[node]
        for edge in range(s.parent_offsets[row], s.parent_offsets[row + 1]):
            source = s.tasks[s.parent_rows[edge]].node
            mb = s.parent_mb[edge]
            if source != node and mb > 0:
                there = s.node_group[source]
                longest = max(longest, s.link_latency[there, here] + mb * s.link_per_mb[there, here])
    return longest


@inner_kernel
def longest_fetched(s: Sim, row: int) -> float:
    """Return how long data is under way at most to a task whose parents have ended, wherever it starts."""
    longest = 0.0
    if s.settings[SENDS]:
        for edge in range(s.parent_offsets[row], s.parent_offsets[row + 1]):
            there = s.node_group[s.tasks[s.parent_rows[edge]].node]
            mb = s.parent_mb[edge]
            if mb > 0:
                for here in range(len(s.link_latency)):
                    longest = max(longest, s.link_latency[there, here] + mb * s.link_per_mb[there, here])
    return longest


@inlined.kernel
def changed(s: Sim, node: int) -> None:
    """Bring what is derived from a node's free devices up to date."""
    if s.settings[INDEXED]:
        reindex(s, node)
    if s.settings[CLASSED]:
        reclass(s, node)


@inner_kernel
def start(s: Sim, row: int, fraction: float, count: int, now: float) -> None:
    """Start a queued task on the `count` pieces found, which it holds from now on, as soon as their nodes are awake."""
    t = s.tasks[row]
    if s.settings[SLEEPS]:
        now = wake(s, count, now)
    dequeue(s, row)
    s.counts[RUNNING] += 1
    cpu_time, gpu_time = piece_sides(s, t, t.runtime, fraction, count)
    cpu_hope, gpu_hope = cpu_time, gpu_time
    if t.estimate != t.runtime:
        cpu_hope, gpu_hope = piece_sides(s, t, t.estimate, fraction, count)
    if s.settings[SENDS]:
        late = fetched(s, row, first_node(s, count))
        cpu_time, gpu_time, cpu_hope, gpu_hope = cpu_time + late, gpu_time + late, cpu_hope + late, gpu_hope + late
    t.start = now
    t.cpu_end = now + cpu_hope
    t.gpu_end = now + gpu_hope
    t.end = now + max(cpu_hope, gpu_hope)
    if t.hybrid:
        t.fraction = fraction
    else:
        t.fraction = 1.0 if t.on_gpu else 0.0
    if t.hybrid and fraction > 0.0 and fraction < 1.0 and cpu_time != gpu_time:
        early = 3 * row + (CPU_SIDE if cpu_time < gpu_time else GPU_SIDE)
        add_event(s, s.counts[PENDING], now + min(cpu_time, gpu_time), early)
        s.counts[PENDING] += 1
    add_event(s, s.counts[PENDING], now + max(cpu_time, gpu_time), 3 * row + FINISH)
    s.counts[PENDING] += 1
    t.crossed = crossed(s, count)
    t.chunk = -1
    for piece in range(count - 1, -1, -1):
        node = s.piece_node[piece]
        mask = s.piece_mask[piece]
        device = s.piece_device[piece]
        cpu, _, share, memory = needs(t, fraction, piece)
        chunk = s.counts[FREE_CHUNK]
        c = s.chunks[chunk]
        s.counts[FREE_CHUNK] = c.more
        c.task = row
        c.node = node
        c.cpu = cpu
        c.memory = memory
        c.mask = mask
        c.shared = device
        c.share = share
        c.more = t.chunk
        t.chunk = chunk
        if s.settings[SLEEPS]:
            s.node_tasks[node] += 1
        s.live.cores[node] -= cpu
        s.live.ram[node] -= memory
        take_gpus(s.live, node, mask, device, share)
        s.counts[FREE_CPU] -= cpu
        s.counts[FREE_GPU] -= MILLI * bits_in(mask) + share
        take_power(s, t, node, cpu, MILLI * bits_in(mask) + share)
        if s.settings[KIND] == DRF:
            s.user_cpu[t.user] += cpu
            s.user_gpu[t.user] += MILLI * bits_in(mask) + share
            s.user_memory[t.user] += memory
        if s.settings[KEPT_LISTS]:
            c.before = -1
            c.after = s.first_chunk[node]
            if c.after >= 0:
                s.chunks[c.after].before = chunk
            s.first_chunk[node] = chunk
        if s.settings[IN_TURN]:
            used = mask | (np.int64(1) << device if device >= 0 else np.int64(0))
            if used != 0:
                advance_turn(s, node, used)
        changed(s, node)
        if t.node < 0 or node < t.node:
            t.node = node
            used = mask | (np.int64(1) << device if device >= 0 else np.int64(0))
            t.device = lowest_bit(used) if used != 0 else -1


@called_kernel
def advance_turn(s: Sim, node: int, used: int) -> None:
    """Let the next search for a GPU begin after the last one taken in this turn."""
    turn = s.turn[node]
    wrapped = used & ((np.int64(1) << turn) - 1)
    last = wrapped if wrapped != 0 else used
    highest = 0
    while last != 0:
        highest = lowest_bit(last)
        last &= last - 1
    s.turn[node] = (highest + 1) % s.node_gpus[node]


@inner_kernel
def give_cpu(s: Sim, row: int) -> None:
    """Give back the cores that a task still holds."""
    chunk = s.tasks[row].chunk
    while chunk >= 0:
        c = s.chunks[chunk]
        if c.cpu > 0:
            s.live.cores[c.node] += c.cpu
            s.counts[FREE_CPU] += c.cpu
            give_back_power(s, s.tasks[row], c.node, c.cpu, 0)
            if s.settings[KIND] == DRF:
                s.user_cpu[s.tasks[row].user] -= c.cpu
            c.cpu = 0
            changed(s, c.node)
        chunk = c.more


@inner_kernel
def give_gpu(s: Sim, row: int) -> None:
    """Give back the GPUs that a task still holds."""
    chunk = s.tasks[row].chunk
    while chunk >= 0:
        c = s.chunks[chunk]
        if c.mask != 0 or c.shared >= 0:
            amount = MILLI * bits_in(c.mask) + (c.share if c.shared >= 0 else 0)
            give_gpus(s.live, c.node, c.mask, c.shared, c.share)
            s.counts[FREE_GPU] += amount
            give_back_power(s, s.tasks[row], c.node, 0, amount)
            if s.settings[KIND] == DRF:
                s.user_gpu[s.tasks[row].user] -= amount
            c.mask = 0
            c.shared = -1
            changed(s, c.node)
        chunk = c.more


@inlined.kernel
def give_all(s: Sim, row: int, now: float) -> None:
    """Give back what a task still holds, and charge its user."""
    t = s.tasks[row]
    chunk = t.chunk
    while chunk >= 0:
        c = s.chunks[chunk]
        amount = MILLI * bits_in(c.mask) + (c.share if c.shared >= 0 else 0)
        s.live.cores[c.node] += c.cpu
        s.live.ram[c.node] += c.memory
        give_gpus(s.live, c.node, c.mask, c.shared, c.share)
        s.counts[FREE_CPU] += c.cpu
        s.counts[FREE_GPU] += amount
        give_back_power(s, t, c.node, c.cpu, amount)
        if s.settings[KIND] == DRF:
            s.user_cpu[t.user] -= c.cpu
            s.user_gpu[t.user] -= amount
            s.user_memory[t.user] -= c.memory
        changed(s, c.node)
        if s.settings[KEPT_LISTS]:
            if c.before >= 0:
                s.chunks[c.before].after = c.after
            else:
                s.first_chunk[c.node] = c.after
            if c.after >= 0:
                s.chunks[c.after].before = c.before
        if s.settings[SLEEPS]:
            s.node_tasks[c.node] -= 1
            if s.node_tasks[c.node] == 0:
                s.idle_since[c.node] = now
        following = c.more
        c.more = s.counts[FREE_CHUNK]
        s.counts[FREE_CHUNK] = chunk
        chunk = following
    t.chunk = -1
    s.counts[RUNNING] -= 1
    s.counts[RELEASED] = 1
    if s.settings[KIND] == MULTIFACTOR:
        held = (now - t.start) * (t.gpu / MILLI if t.gpu > 0 else t.cpu / MILLI)
        charge(s, row, now, held)


@inner_kernel
def tell_pieces(s: Sim, row: int, begun: float, now: float) -> None:
    """Write what a task on several nodes, which is about to end, has held of each since it was begun."""
    chunk = s.tasks[row].chunk
    if chunk < 0 or s.chunks[chunk].more < 0:
        return
    begin_span(s)
    while chunk >= 0:
        c = s.chunks[chunk]
        gpu = MILLI * bits_in(c.mask) + (c.share if c.shared >= 0 else 0)
        mask = c.mask | (np.int64(1) << c.shared if c.shared >= 0 else np.int64(0))
        write_piece(s, row, begun, now, c.node, c.cpu, gpu, mask)
        chunk = c.more


@inlined.kernel
def end(s: Sim, row: int, now: float) -> None:
    """Finish a task: what it still holds is free, and its children have one parent less to wait for."""
    tell_pieces(s, row, s.tasks[row].start, now)
    give_all(s, row, now)
    finish(s, row, now)


@inlined.kernel
def finish(s: Sim, row: int, now: float) -> None:
    """Write down that a task has finished; of one instant the lower row comes first."""
    s.tasks[row].finish = now
    place = s.counts[FINISHED]
    while place > 0:
        before = s.order[place - 1]
        if s.tasks[before].finish < now or before < row:
            break
        s.order[place] = before
        place -= 1
    s.order[place] = row
    s.counts[FINISHED] += 1
