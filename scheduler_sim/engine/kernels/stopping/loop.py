"""The event loop on nodes where tasks may stop and go on."""

from typing import Any

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, CPU_SIDE, FINISH, FINISHED, GPU_SIDE, QUEUED
from scheduler_sim.engine.jit import counting_kernel, inner_kernel
from scheduler_sim.engine.kernels.cluster.act import Parts, act_planned, act_unplanned
from scheduler_sim.engine.kernels.cluster.loop import make_ready, next_instant
from scheduler_sim.engine.kernels.cluster.reserve import act_conservative
from scheduler_sim.engine.kernels.cluster.start import changed, give_cpu, give_gpu
from scheduler_sim.engine.kernels.cluster.state import LIFTED, NEWCOMERS, PENDING, RELEASED, Sim
from scheduler_sim.engine.kernels.cluster.state import OUTAGES as ANNOUNCED
from scheduler_sim.engine.kernels.core.state import COMPLETED, FAILED, ON_REQUEUE, TIMED_OUT
from scheduler_sim.engine.kernels.stopping.plan import build_by_plan
from scheduler_sim.engine.kernels.stopping.schedule import build
from scheduler_sim.engine.kernels.stopping.state import (
    BACK,
    EVENTS,
    MOST_FAILURES,
    MOST_REQUEUES,
    ON_LIMIT,
    OUTAGES,
    ROOM,
    WRITTEN,
    Life,
)
from scheduler_sim.engine.kernels.stopping.verbs import end, leave, note_begun, prepare, put_back, start_over, stop
from scheduler_sim.engine.kernels.structures.heap import heap_pop


@inner_kernel
def _end_attempts(s: Sim, h: Life, now: float) -> None:
    """Apply the ends of this instant: of sides, of work, and of estimates that are used up."""
    while s.counts[PENDING] > 0 and s.heap_times[0] == now:
        code = s.heap_codes[0]
        heap_pop(s.heap_times, s.heap_codes, s.counts[PENDING])
        s.counts[PENDING] -= 1
        row = code // 3
        s.counts[RELEASED] = 1
        if code % 3 == CPU_SIDE:
            give_cpu(s, row)
            continue
        if code % 3 == GPU_SIDE:
            give_gpu(s, row)
            continue
        life = h.lives[row]
        h.counts[EVENTS] += 1
        if life.attempt_work >= life.work_left:
            end(s, h, row, now, COMPLETED)
        elif h.settings[ON_LIMIT] == ON_REQUEUE and life.requeues < h.settings[MOST_REQUEUES]:
            life.requeues += 1
            stop(s, h, row, now, TIMED_OUT, True)
            if not life.saved:
                start_over(h, row)
        else:
            end(s, h, row, now, TIMED_OUT)


@inner_kernel
def _is_on(s: Sim, row: int, node: int) -> bool:
    chunk = s.tasks[row].chunk
    while chunk >= 0:
        c = s.chunks[chunk]
        if c.node == node:
            return True
        chunk = c.more
    return False


@inner_kernel
def _fail(s: Sim, h: Life, node: int, now: float) -> None:
    """End the attempts of what runs on a node."""
    rows = np.empty(s.counts[PENDING], np.int64)
    size = 0
    for i in range(s.counts[PENDING]):
        code = s.heap_codes[i]
        if code % 3 == FINISH and _is_on(s, code // 3, node):
            rows[size] = code // 3
            size += 1
    rows = np.sort(rows[:size])
    for i in range(size):
        row = rows[i]
        life = h.lives[row]
        life.failures += 1
        gone = life.failures >= h.settings[MOST_FAILURES]
        stop(s, h, row, now, FAILED, not gone or life.attempts > 1)
        if gone:
            h.counts[BACK] -= 1
            leave(s, h, row, now, FAILED)


@inner_kernel
def _apply_outages(s: Sim, h: Life, now: float) -> None:
    """Let nodes fail, go away as announced, and come back."""
    while h.counts[OUTAGES] < len(h.outage_times) and h.outage_times[h.counts[OUTAGES]] <= now:
        node, sign = h.outage_nodes[h.counts[OUTAGES]], h.outage_signs[h.counts[OUTAGES]]
        h.counts[OUTAGES] += 1
        h.counts[EVENTS] += 1
        s.live.away[node] += sign
        if sign > 0:
            _fail(s, h, node, now)
        s.counts[RELEASED] = 1
        s.counts[LIFTED] = 1
        changed(s, node)
    while s.counts[ANNOUNCED] < len(s.outage_times) and s.outage_times[s.counts[ANNOUNCED]] == now:
        node = s.outage_nodes[s.counts[ANNOUNCED]]
        s.live.away[node] += s.outage_signs[s.counts[ANNOUNCED]]
        s.counts[ANNOUNCED] += 1
        s.counts[RELEASED] = 1
        changed(s, node)


@inner_kernel
def _arrive(s: Sim, h: Life, now: float) -> None:
    while s.counts[ARRIVED] < len(s.arrivals) and s.tasks[s.arrivals[s.counts[ARRIVED]]].offered == now:
        row = s.arrivals[s.counts[ARRIVED]]
        s.counts[ARRIVED] += 1
        h.counts[EVENTS] += 1
        s.tasks[row].arrived = 1
        if s.tasks[row].parents == 0:
            make_ready(s, row)


@counting_kernel
def prepare_all(records: Any, lives: Any) -> None:
    """Say of every task what its first attempt does."""
    for row in range(len(records[0].tasks)):
        prepare(records[0], lives[0], row)


@counting_kernel
def advance_stopping(
    records: Any,
    lives: Any,
    until: float,
    max_events: int,
    parts: Parts,
    planned: bool | None,
    reserving: bool | None,
    stopping: bool | None,
) -> None:
    """Play whole instants up to `until`, until `max_events` events were applied, or until the buffer is full.

    `planned`, `reserving` and `stopping` are True for placements that plan, for conservative backfilling, and where
    waiting tasks may stop running ones, else None.
    """
    s, h = records[0], lives[0]
    h.counts[EVENTS] = 0
    while h.counts[WRITTEN] <= h.settings[ROOM]:
        now = next_instant(s)
        if h.counts[OUTAGES] < len(h.outage_times) and s.counts[FINISHED] < len(s.tasks):
            now = min(now, max(h.outage_times[h.counts[OUTAGES]], s.clock[0]))
        if now > until or now == np.inf:
            if now < np.inf:
                s.clock[1] = until
            return
        if h.counts[EVENTS] >= max_events and now > s.clock[0]:
            return
        s.clock[0] = now
        s.counts[NEWCOMERS] = 0
        s.counts[RELEASED] = 0
        _end_attempts(s, h, now)
        _apply_outages(s, h, now)
        if h.counts[BACK] > 0:
            put_back(s, h, now, True)
        _arrive(s, h, now)
        waiting = s.counts[QUEUED]
        if waiting == 0:
            continue
        if stopping is not None:
            if reserving is not None:
                build_by_plan(s, h, now, parts.fgd)
            else:
                build(s, h, now, parts.fgd, parts.easy)
            continue
        if planned is not None:
            act_planned(s, now, parts.listed, parts.picking)
        elif reserving is not None:
            act_conservative(s, now, parts.fgd, parts.listed)
        else:
            act_unplanned(s, now, parts)
        if s.counts[QUEUED] < waiting:
            note_begun(s, h, now)
