"""The event loop on nodes: apply every event of an instant, then let the policy act once."""

from typing import Any

import numpy as np

from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.heap import heap_pop
from scheduler_sim.engine.kernels.nodes_act import CONSERVATIVE, act
from scheduler_sim.engine.kernels.nodes_queue import enqueue
from scheduler_sim.engine.kernels.nodes_start import CPU_SIDE, GPU_SIDE, changed, end, give_cpu, give_gpu
from scheduler_sim.engine.kernels.nodes_state import (
    ARRIVED,
    BACKFILL,
    FINISHED,
    NEWCOMERS,
    OUTAGES,
    PENDING,
    QUEUED,
    RELEASED,
    RESERVED,
    Sim,
)


@kernel
def make_ready(s: Sim, row: int, now: float) -> None:
    """Queue a task whose parents have finished and that has been offered."""
    t = s.tasks[row]
    t.ready = max(t.ready, t.arrival)
    s.newcomers[s.counts[NEWCOMERS]] = row
    s.counts[NEWCOMERS] += 1
    enqueue(s, row)


@kernel
def next_instant(s: Sim) -> float:
    """Return the time of the next event, infinity for none."""
    now = np.inf
    if s.counts[PENDING] > 0:
        now = s.heap_times[0]
    if s.counts[ARRIVED] < len(s.arrivals):
        now = min(now, s.tasks[s.arrivals[s.counts[ARRIVED]]].offered)
    if s.counts[OUTAGES] < len(s.outage_times) and s.counts[FINISHED] < len(s.tasks):
        now = min(now, s.outage_times[s.counts[OUTAGES]])
    if s.settings[BACKFILL] == CONSERVATIVE:
        for i in range(s.counts[RESERVED]):
            time = s.reserved_time[s.reserved_rows[i]]
            if time > s.clock[0] and time < now:
                now = time
    return now


@kernel
def release(s: Sim, now: float) -> None:
    """Apply the completions of this instant."""
    while s.counts[PENDING] > 0 and s.heap_times[0] == now:
        code = s.heap_codes[0]
        heap_pop(s.heap_times, s.heap_codes, s.counts[PENDING])
        s.counts[PENDING] -= 1
        row = code // 3
        s.counts[RELEASED] = 1
        if code % 3 == CPU_SIDE:
            give_cpu(s, row)
        elif code % 3 == GPU_SIDE:
            give_gpu(s, row)
        else:
            end(s, row, now)
            for edge in range(s.child_offsets[row], s.child_offsets[row + 1]):
                child = s.children[edge]
                s.tasks[child].parents -= 1
                s.tasks[child].ready = now
                if s.tasks[child].parents == 0 and s.tasks[child].arrived:
                    make_ready(s, child, now)


@kernel
def index_nodes(records: Any) -> None:
    """Fill what is derived from the nodes' free devices."""
    s = records[0]
    for node in range(len(s.live.cores)):
        changed(s, node)


@kernel
def advance(records: Any, until_time: float, max_events: int) -> None:
    """Apply whole instants up to and including `until_time`; stop after an instant with `max_events` or more."""
    s = records[0]
    events = 0
    while True:
        now = next_instant(s)
        if now > until_time or now == np.inf:
            return
        if events >= max_events and now > s.clock[0]:
            return
        before = s.counts[FINISHED] + s.counts[ARRIVED]
        s.clock[0] = now
        s.counts[NEWCOMERS] = 0
        s.counts[RELEASED] = 0
        release(s, now)
        while s.counts[ARRIVED] < len(s.arrivals) and s.tasks[s.arrivals[s.counts[ARRIVED]]].offered == now:
            row = s.arrivals[s.counts[ARRIVED]]
            s.counts[ARRIVED] += 1
            s.tasks[row].arrived = 1
            if s.tasks[row].parents == 0:
                make_ready(s, row, now)
        while s.counts[OUTAGES] < len(s.outage_times) and s.outage_times[s.counts[OUTAGES]] == now:
            node = s.outage_nodes[s.counts[OUTAGES]]
            s.live.away[node] += s.outage_signs[s.counts[OUTAGES]]
            s.counts[OUTAGES] += 1
            s.counts[RELEASED] = 1
            changed(s, node)
        events += s.counts[FINISHED] + s.counts[ARRIVED] - before
        if s.counts[QUEUED] > 0:
            act(s, now)
