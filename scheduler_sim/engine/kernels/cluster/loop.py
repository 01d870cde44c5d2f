"""The event loop on nodes: apply every event of an instant, then let the policy act once."""

from typing import Any

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.codes import ARRIVED, CONSERVATIVE, CPU_SIDE, FINISHED, GPU_SIDE, QUEUED
from scheduler_sim.engine.jit import called_kernel, counting_kernel
from scheduler_sim.engine.kernels.cluster.act import Parts, act
from scheduler_sim.engine.kernels.cluster.kept import next_reserved, note_end
from scheduler_sim.engine.kernels.cluster.power import go_to_cap, next_cap
from scheduler_sim.engine.kernels.cluster.queue import enqueue
from scheduler_sim.engine.kernels.cluster.start import changed, end, give_cpu, give_gpu
from scheduler_sim.engine.kernels.cluster.state import (
    BACKFILL,
    CAPPED,
    CAPS,
    KEPT,
    NEWCOMERS,
    OUTAGES,
    OVERRUN,
    PENDING,
    RELEASED,
    RESERVED,
    TASK,
    Sim,
)
from scheduler_sim.engine.kernels.structures.calendar import take_event
from scheduler_sim.engine.kernels.structures.gang_buffer import has_room
from scheduler_sim.engine.kernels.structures.instants import go_to
from scheduler_sim.engine.kernels.structures.prefetch import LINE, prefetch

AHEAD = 4
"""A task is asked for that many arrivals before its own."""

LINES = TASK.itemsize // LINE
"""Lines of a task."""


@inlined.kernel
def parent_ends(t: Any, now: float) -> bool:
    """Note that one of a task's parents ended, and tell whether it has arrived and waits for nothing more."""
    t.parents -= 1
    t.ready = now
    return bool(t.parents == 0 and t.arrived)


@inlined.kernel
def make_ready(s: Sim, row: int) -> None:
    """Queue a task whose parents have finished and that has been offered."""
    t = s.tasks[row]
    t.ready = max(t.ready, t.arrival)
    s.newcomers[s.counts[NEWCOMERS]] = row
    s.counts[NEWCOMERS] += 1
    enqueue(s, row)


@inlined.kernel
def next_instant(s: Sim) -> float:
    """Return the time of the next event, infinity for none."""
    now = np.inf
    if s.counts[PENDING] > 0:
        now = s.heap_times[0]
    if s.counts[ARRIVED] < len(s.arrivals):
        now = min(now, s.tasks[s.arrivals[s.counts[ARRIVED]]].offered)
    if s.counts[OUTAGES] < len(s.outage_times) and s.counts[FINISHED] < len(s.tasks):
        now = min(now, s.outage_times[s.counts[OUTAGES]])
    if s.counts[CAPPED]:
        now = min(now, next_cap(s))
    # Where something overran, all reservations are made anew at the next event, and none is a promise until then.
    if s.settings[BACKFILL] == CONSERVATIVE and not s.counts[OVERRUN]:
        if s.settings[KEPT]:
            now = min(now, next_reserved(s))
        for i in range(s.counts[RESERVED]):
            time = s.reserved_time[s.reserved_rows[i]]
            if time > s.clock[0] and time < now:
                now = time
    return now


@inlined.kernel
def free_children(s: Sim, row: int, now: float) -> None:
    """Let the children of a task wait for it no longer."""
    if len(s.children) == 0:
        return
    for edge in range(s.child_offsets[row], s.child_offsets[row + 1]):
        child = s.children[edge]
        if parent_ends(s.tasks[child], now):
            make_ready(s, child)


@inlined.kernel
def take_end(s: Sim) -> int:
    """Take the next end out of the heap: give back the side that ends, or return the row that does, else -1."""
    code = s.heap_codes[0]
    take_event(s, s.counts[PENDING])
    s.counts[PENDING] -= 1
    s.counts[RELEASED] = 1
    row = int(code // 3)
    side = code - 3 * row
    if side == CPU_SIDE:
        give_cpu(s, row)
    elif side == GPU_SIDE:
        give_gpu(s, row)
    else:
        return row
    return -1


@inlined.kernel
def release(s: Sim, now: float) -> None:
    """Apply the completions of this instant."""
    while s.counts[PENDING] > 0 and s.heap_times[0] == now:
        row = take_end(s)
        if row >= 0:
            if s.settings[KEPT]:
                note_end(s, row, now)
            end(s, row, now)
            free_children(s, row, now)


@inlined.kernel
def arrive(s: Sim, now: float) -> None:
    """Queue the tasks that are offered now and wait for no parent."""
    while s.counts[ARRIVED] < len(s.arrivals) and s.tasks[s.arrivals[s.counts[ARRIVED]]].offered == now:
        row = s.arrivals[s.counts[ARRIVED]]
        s.counts[ARRIVED] += 1
        s.tasks[row].arrived = 1
        if s.tasks[row].parents == 0:
            make_ready(s, row)


@called_kernel
def apply_outages(s: Sim, now: float) -> None:
    """Let nodes go away as was announced, and come back; what runs on them ends there."""
    while s.counts[OUTAGES] < len(s.outage_times) and s.outage_times[s.counts[OUTAGES]] == now:
        node = s.outage_nodes[s.counts[OUTAGES]]
        s.live.away[node] += s.outage_signs[s.counts[OUTAGES]]
        s.counts[OUTAGES] += 1
        s.counts[RELEASED] = 1
        changed(s, node)


@counting_kernel
def index_nodes(records: Any) -> None:
    """Fill what is derived from the nodes' free devices."""
    s = records[0]
    for node in range(len(s.live.cores)):
        changed(s, node)


@inlined.kernel
def ask_for_next(s: Sim) -> None:
    """Ask the memory for what comes next: what the task that ends next holds, and a task that arrives soon."""
    if s.counts[PENDING] > 0:
        chunk = s.tasks[s.heap_codes[0] // 3].chunk
        prefetch(s.chunks, chunk, 0)
        prefetch(s.chunks, chunk, 1)
    ahead = s.counts[ARRIVED] + AHEAD
    if ahead < len(s.arrivals):
        row = s.arrivals[ahead]
        for line in range(LINES):
            prefetch(s.tasks, row, line)


@inlined.kernel
def begin_instant(s: Sim, until_time: float, enough: bool) -> bool:
    """Apply the events of the next instant, if it is not past `until_time`, and tell whether there was one.

    There is none where the buffer of pieces is full. With `enough`, only a further round of the present instant is
    begun.
    """
    if not has_room(s):
        return False
    now = go_to(next_instant(s), until_time, enough, s.clock)
    if now == np.inf:
        return False
    s.counts[NEWCOMERS] = 0
    s.counts[RELEASED] = 0
    release(s, now)
    arrive(s, now)
    ask_for_next(s)
    if s.counts[OUTAGES] < len(s.outage_times):
        apply_outages(s, now)
    if s.settings[CAPS]:
        go_to_cap(s, now)
    return True


@inlined.kernel
def events_since(s: Sim, before: int) -> int:
    """Return how many tasks have arrived or finished beyond `before`."""
    return int(s.counts[FINISHED] + s.counts[ARRIVED] - before)


@counting_kernel
def advance_nodes(
    records: Any, until_time: float, max_events: int, parts: Parts, planned: bool | None, reserving: bool | None
) -> None:
    """Play whole instants up to `until_time`, and none more after `max_events` events."""
    s = records[0]
    before = events_since(s, 0)
    while begin_instant(s, until_time, events_since(s, before) >= max_events):
        if s.counts[QUEUED] > 0:
            act(s, s.clock[0], parts, planned, reserving)
