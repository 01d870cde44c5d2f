"""The compiled loop of tasks whose width changes: what comes, what ends, and who holds how many devices."""

from typing import Any

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, FINISHED
from scheduler_sim.engine.contract import ENDINGS, REASONS
from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.kernels.elastic.state import (
    ACTIVE,
    DECIDING,
    EQUAL_SHARE,
    EVENTS,
    IN_ROUNDS,
    PLAYED,
    ROUND_TIME,
    TICK,
    TO_DECIDE,
    TO_DRAIN,
    WRITTEN,
    State,
)
from scheduler_sim.engine.kernels.elastic.widths import expand_and_shrink, share_equally
from scheduler_sim.engine.kernels.structures.clocks import leave_clock
from scheduler_sim.engine.kernels.structures.device_lists import take_free, tell_places
from scheduler_sim.engine.kernels.structures.gang_buffer import has_room

ENDED, STOPPED, RESIZED, MOVED = (REASONS.index(name) for name in ("finished", "suspended", "resized", "moved"))
COMPLETED = ENDINGS.index("completed")

ROUNDING = 4 * np.finfo(np.float64).eps
"""Instants that differ by less than this part of themselves are one: sums of a few numbers are that near."""


@counting_kernel
def play(s: State, until_time: float, max_events: int) -> int:
    """Play what happens up to `until_time`, or `max_events` events, and return why it ends (see `state`)."""
    counts, reals, tasks, n = s.counts, s.reals, s.tasks, len(s.tasks)
    in_rounds = s.settings[0] == IN_ROUNDS
    if counts[DECIDING]:
        counts[DECIDING] = 0
        _apply(s, s.clock[0])
    while counts[EVENTS] < max_events:
        if counts[WRITTEN] > s.settings[1] or not has_room(s):
            return TO_DRAIN
        arrival = tasks[counts[ARRIVED]].arrival if counts[ARRIVED] < n else np.inf
        instant = min(arrival, reals[TICK]) if in_rounds and counts[ACTIVE] > 0 else arrival
        for place in range(counts[ACTIVE]):
            task = tasks[s.active[place]]
            if task.width > 0 and task.until < instant:
                instant = task.until
        if instant == np.inf or instant > until_time:
            break
        s.clock[0] = instant
        _end_what_is_done(s, instant)
        while counts[ARRIVED] < n and tasks[counts[ARRIVED]].arrival == instant:
            s.active[counts[ACTIVE]] = counts[ARRIVED]
            counts[ACTIVE] += 1
            counts[ARRIVED] += 1
            counts[EVENTS] += 1
        if in_rounds:
            # A round of nobody ends when somebody comes.
            if reals[TICK] < instant:
                reals[TICK] = _tick_from(s, instant)
            if reals[TICK] == instant and counts[ACTIVE] > 0:
                reals[TICK] = _next_tick(s, instant)
                counts[EVENTS] += 1
                counts[DECIDING] = 1
                return TO_DECIDE
            continue
        if s.settings[0] == EQUAL_SHARE:
            share_equally(s)
        else:
            expand_and_shrink(s)
        _apply(s, instant)
    leave_clock(s.clock, until_time, counts[EVENTS] >= max_events)
    return PLAYED


@counting_kernel
def _tick_from(s: State, instant: float) -> float:
    """Return the first begin of a round from `instant` on: all begin whole numbers of rounds after the first arrival.

    An instant that rounding alone keeps from the begin of a round is one.
    """
    first, length = s.tasks[0].arrival, s.reals[ROUND_TIME]
    number = np.floor((instant - first) / length)
    near = ROUNDING * max(abs(instant), abs(first))
    while first + number * length < instant - near:
        number += 1.0
    return float(max(first + number * length, instant))


@counting_kernel
def _next_tick(s: State, instant: float) -> float:
    first, length = s.tasks[0].arrival, s.reals[ROUND_TIME]
    number = np.round((instant - first) / length) + 1.0
    return float(max(first + number * length, np.nextafter(instant, np.inf)))


@counting_kernel
def _end_what_is_done(s: State, now: float) -> None:
    """End the attempts that were to last until now, in the order of rows."""
    counts, kept = s.counts, 0
    for place in range(counts[ACTIVE]):
        row = s.active[place]
        task = s.tasks[row]
        if task.width == 0 or task.until > now:
            s.active[kept] = row
            kept += 1
            continue
        _close(s, row, now, ENDED)
        _give_back(s, task, 0)
        task.work_left = 0.0
        task.finish, task.ending = now, COMPLETED
        s.order[counts[FINISHED]] = row
        counts[FINISHED] += 1
        counts[EVENTS] += 1
    counts[ACTIVE] = kept


@counting_kernel
def _apply(s: State, now: float) -> None:
    """Bring the targets about: first what is given back, then what is taken."""
    counts = s.counts
    for place in range(counts[ACTIVE]):
        row = s.active[place]
        task = s.tasks[row]
        moves = task.aim != task.kind
        if task.width > 0 and (task.target != task.width or moves):
            reason = STOPPED
            if task.target > 0:
                reason = RESIZED if task.target != task.width else MOVED
            _close(s, row, now, reason)
            task.finish = np.nan
            if moves or task.target < task.width:
                _give_back(s, task, 0 if moves else task.target)
            task.begun = np.nan
    for place in range(counts[ACTIVE]):
        row = s.active[place]
        task = s.tasks[row]
        if task.target > 0 and (task.width != task.target or np.isnan(task.begun)):
            _open(s, row, now)


@counting_kernel
def _rate(s: State, row: int) -> float:
    """Return the work that a task does in a second on what it holds."""
    task = s.tasks[row]
    return float(s.rates[s.curve[row, task.kind] + task.width] * s.pace[row, task.kind])


@counting_kernel
def _close(s: State, row: int, now: float, reason: int) -> None:
    """End the attempt of a task; one that ends as it began was none."""
    task = s.tasks[row]
    length = now - task.begun
    worked = max(length - task.paid, 0.0)
    task.work_left = max(task.work_left - worked * _rate(s, row), 0.0)
    task.service += worked
    task.held += length
    task.area += length * task.width
    if length == 0.0 and reason != ENDED:
        task.attempts -= 1
        if task.attempts == 0:
            task.start = np.nan
        return
    entry = s.buffer[s.counts[WRITTEN]]
    entry.row, entry.number, entry.width, entry.start, entry.end = row, task.attempts, task.width, task.begun, now
    entry.node, entry.device, entry.reason = task.node, task.device, reason
    s.counts[WRITTEN] += 1
    tell_places(s, s.numbers, row, task.place, task.begun, now)


@counting_kernel
def _give_back(s: State, task: Any, width: int) -> None:
    """Let a task keep the first `width` of its devices."""
    place, last = task.place, -1
    for _ in range(width):
        last = place
        place = s.after[place]
    if last >= 0:
        s.after[last] = -1
    else:
        task.place = -1
    while place >= 0:
        after = s.after[place]
        s.after[place] = -2
        s.first_free[task.kind] = min(s.first_free[task.kind], place)
        place = after
    task.width = width


@counting_kernel
def _open(s: State, row: int, now: float) -> None:
    """Begin an attempt of the target's width on the devices that the task has, and the lowest free ones of its aim."""
    task = s.tasks[row]
    task.kind = task.aim
    last, place = -1, task.place
    while place >= 0:
        last, place = place, s.after[place]
    if task.target > task.width:
        s.first_free[task.kind] = take_free(s, task, last, s.first_free[task.kind], task.target - task.width)
    task.width = task.last_width = task.target
    task.attempts += 1
    task.begun = now
    if task.attempts == 1:
        task.start = now
    task.paid = 0.0
    if task.attempts > 1:
        task.paid = s.overheads[task.width] if np.isnan(task.overhead) else task.overhead
    task.until = now + task.paid + task.work_left / _rate(s, row)
    task.finish = task.until
    lowest, place = task.place, task.place
    while place >= 0:
        lowest, place = min(lowest, place), s.after[place]
    task.node, task.device = s.nodes[lowest], s.numbers[lowest]
