"""The event loop on nodes where tasks may stop and go on."""

from typing import Any

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, FINISH, FINISHED, QUEUED
from scheduler_sim.engine.jit import counting_kernel, inner_kernel
from scheduler_sim.engine.kernels.cluster.act import Parts, act
from scheduler_sim.engine.kernels.cluster.loop import apply_outages, arrive, next_instant, take_end
from scheduler_sim.engine.kernels.cluster.power import go_to_cap
from scheduler_sim.engine.kernels.cluster.start import changed
from scheduler_sim.engine.kernels.cluster.state import CAPPED, CAPS, LIFTED, NEWCOMERS, PENDING, RELEASED, Sim
from scheduler_sim.engine.kernels.core.state import (
    COMPLETED,
    FAILED,
    MOST_FAILURES,
    MOST_REQUEUES,
    ON_LIMIT,
    ON_REQUEUE,
    ROOM,
    TIMED_OUT,
)
from scheduler_sim.engine.kernels.stopping.pauses import next_turn, take_turns
from scheduler_sim.engine.kernels.stopping.plan import build_by_plan
from scheduler_sim.engine.kernels.stopping.schedule import build
from scheduler_sim.engine.kernels.stopping.state import BACK, EVENTS, OUTAGES, WOKEN, WRITTEN, Life
from scheduler_sim.engine.kernels.stopping.verbs import (
    AWAKE,
    await_nodes,
    end,
    leave,
    note_begun,
    prepare,
    put_back,
    start_over,
    stop,
)
from scheduler_sim.engine.kernels.structures.gang_buffer import has_room
from scheduler_sim.engine.kernels.structures.heap import heap_pop
from scheduler_sim.engine.kernels.structures.instants import go_to
from scheduler_sim.engine.kernels.structures.lists import append
from scheduler_sim.engine.kernels.structures.outages import next_outage, take_outage


@inner_kernel
def _end_attempts(s: Sim, h: Life, now: float) -> None:
    """Apply the ends of this instant: of sides, of waking, of work, and of estimates that are used up."""
    while s.counts[PENDING] > 0 and s.heap_times[0] == now:
        row, part = s.heap_codes[0] // 3, s.heap_codes[0] % 3
        if part == AWAKE and h.lives[row].awaited:
            heap_pop(s.heap_times, s.heap_codes, s.counts[PENDING])
            s.counts[PENDING] -= 1
            h.lives[row].awaited = 0
            append(h.woken, h.counts, WOKEN, row)
            continue
        row = take_end(s)
        if row < 0:
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
    """End the attempts of what runs on a node, of those whose nodes still wake when they are awake."""
    rows = np.empty(s.counts[PENDING], np.int64)
    size = 0
    for i in range(s.counts[PENDING]):
        code = s.heap_codes[i]
        if code % 3 == FINISH and _is_on(s, code // 3, node):
            rows[size] = code // 3
            size += 1
    rows = np.sort(rows[:size])
    for i in range(size):
        if s.tasks[rows[i]].start > now:
            h.lives[rows[i]].doomed = 1
            await_nodes(s, h, rows[i])
        else:
            _fall(s, h, rows[i], now)


@inner_kernel
def _fall(s: Sim, h: Life, row: int, now: float) -> None:
    """End an attempt because a node failed."""
    life = h.lives[row]
    life.failures += 1
    gone = life.failures >= h.settings[MOST_FAILURES]
    stop(s, h, row, now, FAILED, not gone or life.attempts > 1)
    if gone:
        h.counts[BACK] -= 1
        leave(s, h, row, now, FAILED)


@inner_kernel
def _apply_failures(s: Sim, h: Life, now: float) -> None:
    """Let nodes fail and come back."""
    for i in range(h.counts[WOKEN]):
        row = h.woken[i]
        if h.lives[row].runs and h.lives[row].doomed:
            _fall(s, h, row, now)
    while next_outage(h, OUTAGES) <= now:
        node, sign = take_outage(h, OUTAGES)
        h.counts[EVENTS] += 1
        s.live.away[node] += sign
        if sign > 0:
            _fail(s, h, node, now)
        s.counts[RELEASED] = 1
        s.counts[LIFTED] = 1
        changed(s, node)


@inner_kernel
def _next_instant(s: Sim, h: Life) -> float:
    """Return the time of the next event, infinity for none."""
    now = next_instant(s)
    if s.counts[FINISHED] < len(s.tasks):
        now = min(now, max(next_outage(h, OUTAGES), s.clock[0]))
    return min(now, next_turn(h))


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
    """Play whole instants up to `until`, until `max_events` events were applied, or until a buffer is full.

    `planned`, `reserving` and `stopping` are True for placements that plan, for conservative backfilling, and where
    waiting tasks may stop running ones, else None.
    """
    s, h = records[0], lives[0]
    h.counts[EVENTS] = 0
    while h.counts[WRITTEN] <= h.settings[ROOM] and has_room(s):
        now = go_to(_next_instant(s, h), until, h.counts[EVENTS] >= max_events, s.clock)
        if now == np.inf:
            return
        s.counts[NEWCOMERS] = 0
        s.counts[RELEASED] = 0
        h.counts[WOKEN] = 0
        _end_attempts(s, h, now)
        _apply_failures(s, h, now)
        apply_outages(s, now)
        if h.counts[BACK] > 0:
            put_back(s, h, now, True)
        arrived = s.counts[ARRIVED]
        arrive(s, now)
        h.counts[EVENTS] += s.counts[ARRIVED] - arrived
        take_turns(s, h, now, reserving)
        if s.settings[CAPS]:
            go_to_cap(s, now)
        waiting = s.counts[QUEUED]
        if waiting == 0:
            s.counts[CAPPED] = 0
            continue
        if stopping is not None:
            if reserving is not None:
                build_by_plan(s, h, now, parts.fgd)
            else:
                build(s, h, now, parts.fgd, parts.easy)
            continue
        act(s, now, parts, planned, reserving)
        if s.counts[QUEUED] < waiting:
            note_begun(s, h, now)
