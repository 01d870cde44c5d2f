"""The event loop on nodes: apply every event of an instant, then let the policy act once."""

from typing import Any

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, CONSERVATIVE, CPU_SIDE, FINISHED, GPU_SIDE, QUEUED
from scheduler_sim.engine.jit import counting_kernel, inner_kernel
from scheduler_sim.engine.kernels.cluster.act import Parts, act_planned, act_unplanned
from scheduler_sim.engine.kernels.cluster.queue import enqueue
from scheduler_sim.engine.kernels.cluster.reserve import act_conservative
from scheduler_sim.engine.kernels.cluster.start import changed, end, give_cpu, give_gpu
from scheduler_sim.engine.kernels.cluster.state import (
    BACKFILL,
    NEWCOMERS,
    OUTAGES,
    OVERRUN,
    PENDING,
    RELEASED,
    RESERVED,
    Sim,
)
from scheduler_sim.engine.kernels.structures.heap import heap_pop


@inner_kernel
def parent_ends(t: Any, now: float) -> bool:
    """Note that one of a task's parents ended, and tell whether it has arrived and waits for nothing more."""
    t.parents -= 1
    t.ready = now
    return bool(t.parents == 0 and t.arrived)


@inner_kernel
def make_ready(s: Sim, row: int) -> None:
    """Queue a task whose parents have finished and that has been offered."""
    t = s.tasks[row]
    t.ready = max(t.ready, t.arrival)
    s.newcomers[s.counts[NEWCOMERS]] = row
    s.counts[NEWCOMERS] += 1
    enqueue(s, row)


@inner_kernel
def next_instant(s: Sim) -> float:
    """Return the time of the next event, infinity for none."""
    now = np.inf
    if s.counts[PENDING] > 0:
        now = s.heap_times[0]
    if s.counts[ARRIVED] < len(s.arrivals):
        now = min(now, s.tasks[s.arrivals[s.counts[ARRIVED]]].offered)
    if s.counts[OUTAGES] < len(s.outage_times) and s.counts[FINISHED] < len(s.tasks):
        now = min(now, s.outage_times[s.counts[OUTAGES]])
    # Where something overran, all reservations are made anew at the next event, and none is a promise until then.
    if s.settings[BACKFILL] == CONSERVATIVE and not s.counts[OVERRUN]:
        for i in range(s.counts[RESERVED]):
            time = s.reserved_time[s.reserved_rows[i]]
            if time > s.clock[0] and time < now:
                now = time
    return now


@inner_kernel
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
            if len(s.children) == 0:
                continue
            for edge in range(s.child_offsets[row], s.child_offsets[row + 1]):
                child = s.children[edge]
                if parent_ends(s.tasks[child], now):
                    make_ready(s, child)


@counting_kernel
def index_nodes(records: Any) -> None:
    """Fill what is derived from the nodes' free devices."""
    s = records[0]
    for node in range(len(s.live.cores)):
        changed(s, node)


@inner_kernel
def begin_instant(s: Sim, until_time: float, enough: bool) -> bool:
    """Apply the events of the next instant, if it is not past `until_time`, and tell whether there was one.

    With `enough`, only a further round of the present instant is begun.
    """
    now = next_instant(s)
    if until_time < now < np.inf:
        s.clock[1] = until_time
    if now > until_time or now == np.inf or (enough and now > s.clock[0]):
        return False
    s.clock[0] = now
    s.counts[NEWCOMERS] = 0
    s.counts[RELEASED] = 0
    release(s, now)
    while s.counts[ARRIVED] < len(s.arrivals) and s.tasks[s.arrivals[s.counts[ARRIVED]]].offered == now:
        row = s.arrivals[s.counts[ARRIVED]]
        s.counts[ARRIVED] += 1
        s.tasks[row].arrived = 1
        if s.tasks[row].parents == 0:
            make_ready(s, row)
    while s.counts[OUTAGES] < len(s.outage_times) and s.outage_times[s.counts[OUTAGES]] == now:
        node = s.outage_nodes[s.counts[OUTAGES]]
        s.live.away[node] += s.outage_signs[s.counts[OUTAGES]]
        s.counts[OUTAGES] += 1
        s.counts[RELEASED] = 1
        changed(s, node)
    return True


@inner_kernel
def events_since(s: Sim, before: int) -> int:
    """Return how many tasks have arrived or finished beyond `before`."""
    return int(s.counts[FINISHED] + s.counts[ARRIVED] - before)


@counting_kernel
def advance_in_order(records: Any, until_time: float, max_events: int, parts: Parts) -> None:
    """Play a policy without a plan: whole instants up to `until_time`, and none more after `max_events` events."""
    s = records[0]
    before = events_since(s, 0)
    while begin_instant(s, until_time, events_since(s, before) >= max_events):
        if s.counts[QUEUED] > 0:
            act_unplanned(s, s.clock[0], parts)


@counting_kernel
def advance_planned(
    records: Any, until_time: float, max_events: int, listed: bool | None, picking: bool | None
) -> None:
    """Play a policy that plans: whole instants up to `until_time`, and none more after `max_events` events."""
    s = records[0]
    before = events_since(s, 0)
    while begin_instant(s, until_time, events_since(s, before) >= max_events):
        if s.counts[QUEUED] > 0:
            act_planned(s, s.clock[0], listed, picking)


@counting_kernel
def advance_conservative(
    records: Any, until_time: float, max_events: int, fgd: bool | None, listed: bool | None
) -> None:
    """Play a policy with reservations: whole instants up to `until_time`, and none more after `max_events` events."""
    s = records[0]
    before = events_since(s, 0)
    while begin_instant(s, until_time, events_since(s, before) >= max_events):
        if s.counts[QUEUED] > 0:
            act_conservative(s, s.clock[0], fgd, listed)
