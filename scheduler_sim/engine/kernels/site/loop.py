"""The event loop of a site."""

from typing import Any

import numpy as np

from scheduler_sim.engine.codes import CONSERVATIVE, EASY, FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.codes import LIST as SKIPPING
from scheduler_sim.engine.jit import counting_kernel, inner_kernel
from scheduler_sim.engine.kernels.site.events import expect
from scheduler_sim.engine.kernels.site.limits import over_amount, over_count
from scheduler_sim.engine.kernels.site.nodes import turn
from scheduler_sim.engine.kernels.site.passes import ALL, FIRST, UNSHARED, main_pass
from scheduler_sim.engine.kernels.site.plans import plan_pass
from scheduler_sim.engine.kernels.site.preempt import ask_to_go, tell_to_stop
from scheduler_sim.engine.kernels.site.priority import calculate
from scheduler_sim.engine.kernels.site.queue import slide, sort, tidy
from scheduler_sim.engine.kernels.site.reasons import NO_REASON
from scheduler_sim.engine.kernels.site.reserved import move_on
from scheduler_sim.engine.kernels.site.state import (
    BACKFILL,
    BEGUN,
    BREAKS,
    BROKEN,
    BY_FACTORS,
    CALCULATION_PERIOD,
    CANCELLED_AT,
    CHANGED,
    CHARGES,
    CHECK_INTERVAL,
    CHECKS,
    COMES,
    ENDS,
    EVENTS,
    FAILS,
    GIVES_WAY,
    GOES,
    IN_VAIN,
    KILLS,
    LAST_CHECK,
    LAST_FULL,
    LAST_LOOK,
    LOOK,
    LOOKED,
    MAIN_DEPTH,
    MAIN_INTERVAL,
    METERS,
    MODE,
    NEXT_DECAY,
    NEXT_PASS,
    NODES,
    NOW,
    OFFERED,
    OVER_LIMIT,
    OWN_LOOPS,
    PASS_INTERVAL,
    PENDING,
    QUEUE,
    REACHED,
    ROOM,
    RUN,
    RUNS,
    SLOPED,
    SPENDS,
    STOPPED,
    SUBMIT_DELAY,
    TICK,
    TICK_PHASE,
    TIMER,
    TIMER_KINDS,
    TOLD,
    UNSORTED,
    WAITING,
    WRITTEN,
    State,
)
from scheduler_sim.engine.kernels.site.use import is_spent, use_is_forgotten
from scheduler_sim.engine.kernels.site.verbs import CANCELLED, cancel, come, come_back, end, leave, stop
from scheduler_sim.engine.kernels.structures.gang_buffer import has_room
from scheduler_sim.engine.kernels.structures.heap import heap_pop, heap_push

LAG = 0.01
"""Seconds by which a backfill pass delays the next (measured: 0.004 with 40 waiting jobs, 0.02 to 0.05 with 100)."""

EVERYTHING = 2**62

VAIN_REPAIRS = 1000
"""Failures and repairs a node after which what waits is held to wait for ever, where nothing starts meanwhile."""


@inner_kernel
def _grid(phase: float, step: float, least: float) -> float:
    """Return the first of phase + k * step that is not before `least`."""
    k = np.ceil((least - phase) / step)
    while phase + k * step < least:
        k += 1.0
    while phase + (k - 1.0) * step >= least:
        k -= 1.0
    return float(phase + k * step)


@inner_kernel
def _tick_after(s: State, due: float) -> float:
    """Return the first tick of the main loop from a time on that it has not looked at yet."""
    time = _grid(s.reals[TICK_PHASE], s.reals[TICK], max(due, s.reals[TICK_PHASE]))
    if time <= s.clock[LOOKED]:
        time = _grid(s.reals[TICK_PHASE], s.reals[TICK], s.clock[LOOKED] + 0.5 * s.reals[TICK])
    return time


@inner_kernel
def _next_look(s: State) -> float:
    """Return when the main loop next passes over a queue in which something waits or has happened."""
    if s.settings[MODE] != OWN_LOOPS or (s.counts[QUEUED] == 0 and not s.counts[LOOK]):
        return np.inf
    due = s.clock[LAST_FULL] + s.reals[MAIN_INTERVAL]
    if s.counts[LOOK]:
        due = min(due, s.clock[LAST_LOOK] + s.reals[SUBMIT_DELAY])
    return _tick_after(s, max(due, s.clock[NOW]))


@inner_kernel
def _next_check(s: State) -> float:
    """Return when the main loop next looks for tasks over their limits."""
    if s.settings[MODE] != OWN_LOOPS or not s.settings[CHECKS] or s.counts[RUNNING] == 0:
        return np.inf
    return _grid(s.reals[TICK_PHASE], s.reals[TICK], s.clock[LAST_CHECK] + s.reals[CHECK_INTERVAL])


@inner_kernel
def _next_pass(s: State) -> float:
    """Return when the backfill loop makes its next pass; it makes one while anything waits, or after what changed."""
    if s.settings[MODE] != OWN_LOOPS or not s.settings[BACKFILL]:
        return np.inf
    if s.counts[QUEUED] == 0 and not s.counts[CHANGED]:
        return np.inf
    return float(s.clock[NEXT_PASS])


@inner_kernel
def _catch_up(s: State, now: float) -> None:
    """Let the loops have looked in vain at an empty queue up to an instant that is to come."""
    if s.settings[MODE] != OWN_LOOPS or s.counts[QUEUED] > 0:
        return
    if not s.counts[LOOK]:
        while True:
            time = _tick_after(s, s.clock[LAST_FULL] + s.reals[MAIN_INTERVAL])
            if time >= now:
                break
            s.clock[LOOKED] = time
            s.clock[LAST_FULL] = s.clock[LAST_LOOK] = np.floor(time)
    if not s.counts[CHANGED]:
        while s.clock[NEXT_PASS] < now:
            s.clock[NEXT_PASS] += s.reals[TICK]
    if s.settings[CHECKS] and s.counts[RUNNING] == 0:
        while True:
            time = _grid(s.reals[TICK_PHASE], s.reals[TICK], s.clock[LAST_CHECK] + s.reals[CHECK_INTERVAL])
            if time >= now:
                break
            s.clock[LAST_CHECK] = np.floor(time)


@inner_kernel
def _next_instant(s: State) -> float:
    now = np.inf
    if s.counts[FINISHED] == len(s.site_tasks):
        return now
    if s.counts[PENDING] > 0:
        now = s.heap_times[0]
    if s.counts[TIMER] < len(s.timer_times):
        now = min(now, s.timer_times[s.counts[TIMER]])
    now = min(now, _next_look(s), _next_pass(s), _next_check(s))
    if s.settings[CHARGES]:
        now = min(now, s.clock[NEXT_DECAY])
    return float(now)


@inner_kernel
def _apply_timers(s: State, now: float) -> None:
    """Let tasks come and give up waiting, reservations begin and end, and nodes go and come back."""
    while s.counts[TIMER] < len(s.timer_times) and s.timer_times[s.counts[TIMER]] <= now:
        code = s.timer_codes[s.counts[TIMER]]
        s.counts[TIMER] += 1
        kind, row = code % TIMER_KINDS, code // TIMER_KINDS
        if kind >= BREAKS:
            s.counts[BROKEN] += 1 if kind == BREAKS else -1
            s.counts[IN_VAIN] += 1
            turn(s, FAILS if kind == BREAKS else COMES, row, now)
            continue
        s.counts[TOLD] -= 1
        if kind == OFFERED:
            come(s, row, now)
        elif kind == CANCELLED_AT:
            cancel(s, row, now)
        elif kind >= GOES:
            turn(s, kind, row, now)
        else:
            move_on(s, row)
            s.counts[CHANGED] = 1
            s.counts[LOOK] = 1


@inner_kernel
def _apply_events(s: State, now: float) -> None:
    """Let tasks end, stop and come back; the main loop looks at once after one has stopped."""
    rows = len(s.site_tasks)
    while s.counts[PENDING] > 0 and s.heap_times[0] <= now:
        time, code = s.heap_times[0], s.heap_codes[0]
        heap_pop(s.heap_times, s.heap_codes, s.counts[PENDING])
        s.counts[PENDING] -= 1
        row, kind = code % rows, code // rows
        t = s.site_tasks[row]
        if kind == ENDS:
            if t.state == RUNS and t.finish == time and t.give_way == np.inf:
                end(s, row, now)
        elif kind == GIVES_WAY:
            if t.state != RUNS or t.give_way != time:
                continue
            stop(s, row, now)
            s.counts[LOOK] = 0
            s.clock[LAST_LOOK] = np.floor(now)
            _sort_if_needed(s)
            main_pass(s, now, s.settings[MAIN_DEPTH] + 1, ALL)
        elif t.state == STOPPED:
            come_back(s, row, now)


@inner_kernel
def _forget_stale(s: State) -> None:
    """Take events out of the heap that will not come about, of tasks that were stopped before."""
    rows, size = len(s.site_tasks), s.counts[PENDING]
    s.counts[PENDING] = 0
    for i in range(size):
        time, code = s.heap_times[i], s.heap_codes[i]
        t, kind = s.site_tasks[code % rows], code // rows
        if kind == ENDS and not (t.state == RUNS and t.finish == time):
            continue
        if kind == GIVES_WAY and not (t.state == RUNS and t.give_way == time):
            continue
        if kind > GIVES_WAY and t.state != STOPPED:
            continue
        # What was read is behind what is written: no more is kept than was looked at.
        heap_push(s.heap_times, s.heap_codes, s.counts[PENDING], time, code)
        s.counts[PENDING] += 1


@inner_kernel
def _has_limit(s: State, row: int) -> bool:
    """Tell whether a task is one that runs and is stopped at its limit."""
    t = s.site_tasks[row]
    return bool(s.settings[KILLS] and t.killed_after < np.inf and t.state == RUNS)


@inner_kernel
def _check_limits(s: State, now: float) -> None:
    """Tell tasks to stop that are over their limits, or that were told to give way and have gone on for long enough."""
    s.clock[LAST_CHECK] = np.floor(now)
    i = 0
    while i < s.counts[RUN] and np.floor(now) >= s.run_ends[i]:
        row = s.run_tasks[i]
        t = s.site_tasks[row]
        if t.graced:
            ask_to_go(s, row, now)
        elif np.floor(now) >= s.run_ends[i] + s.reals[OVER_LIMIT] and _has_limit(s, row):
            tell_to_stop(s, row, now, True)
        i += 1
    if s.settings[SPENDS]:
        for k in range(s.counts[RUN]):
            if s.site_tasks[s.run_tasks[k]].state == RUNS and is_spent(s, s.run_tasks[k]):
                tell_to_stop(s, s.run_tasks[k], now, True)


@inner_kernel
def _end_spent(s: State, now: float) -> None:
    """End what runs of those who have used as much as they may; the queue is looked at, as use counts for less."""
    s.counts[LOOK] = 1
    if not s.settings[SPENDS]:
        return
    for k in range(s.counts[RUN]):
        t = s.site_tasks[s.run_tasks[k]]
        if is_spent(s, s.run_tasks[k]) and t.finish > now:
            t.cut, t.finish = 1, now
            expect(s, now, s.run_tasks[k], ENDS)


@inner_kernel
def _sort_if_needed(s: State) -> None:
    if s.counts[UNSORTED]:
        sort(s)


@inner_kernel
def _repairs_help(s: State) -> bool:
    """Tell whether nodes are away by chance, and something waits that would start on them.

    It does not where a limit holds all of it, nor where very many repairs have not helped.
    """
    if s.counts[BROKEN] == 0 or s.counts[IN_VAIN] > VAIN_REPAIRS * s.settings[NODES]:
        return False
    for i in range(s.counts[QUEUE]):
        entry = s.queue_entries[i]
        waits = s.site_tasks[s.entry_task[entry]].state == WAITING
        if waits and over_count(s, entry) == NO_REASON and over_amount(s, entry, False) == NO_REASON:
            return True
    return False


@inner_kernel
def _nothing_comes(s: State) -> bool:
    """Tell whether nothing runs and nothing is to come, so that only what waits is left, for no use to be forgotten."""
    return bool(
        s.counts[RUNNING] == 0
        and s.counts[PENDING] == 0
        and s.counts[TOLD] == 0
        and s.counts[QUEUED] > 0
        and not _repairs_help(s)
        and not use_is_forgotten(s)
    )


@inner_kernel
def _give_up(s: State, now: float) -> None:
    """Let tasks leave that could not start although nothing runs and nothing is to come; their reasons stay."""
    for i in range(s.counts[QUEUE]):
        row = s.entry_task[s.queue_entries[i]]
        if s.site_tasks[row].state == WAITING:
            s.counts[QUEUED] -= 1
            leave(s, row, now, CANCELLED)
    tidy(s)


@inner_kernel
def _act(s: State, now: float) -> None:
    """Let a policy other than Slurm's act."""
    s.counts[LOOK] = 0
    if s.counts[QUEUED] == 0:
        return
    if s.settings[SLOPED]:
        slide(s, now)
    elif s.counts[UNSORTED]:
        sort(s)
    if s.settings[BACKFILL] == EASY:
        plan_pass(s, now, FIRST)
    elif s.settings[BACKFILL] == CONSERVATIVE:
        plan_pass(s, now, ALL)
    else:
        main_pass(s, now, EVERYTHING, FIRST if s.settings[BACKFILL] == SKIPPING else UNSHARED)
    if _nothing_comes(s):
        _give_up(s, now)


@inner_kernel
def _look(s: State, now: float) -> None:
    """Let Slurm's main loop look at the queue."""
    second = np.floor(now)
    is_full = second - s.clock[LAST_FULL] >= s.reals[MAIN_INTERVAL]
    s.clock[LOOKED], s.clock[LAST_LOOK] = now, second
    if is_full:
        s.clock[LAST_FULL] = second
    s.counts[LOOK] = 0
    s.counts[EVENTS] += 1
    begun = s.counts[BEGUN]
    main_pass(s, now, EVERYTHING if is_full else s.settings[MAIN_DEPTH] + 1, ALL)
    if is_full and s.counts[BEGUN] == begun and _nothing_comes(s):
        if s.settings[BACKFILL]:
            plan_pass(s, now, ALL)
        if s.counts[BEGUN] == begun:
            _give_up(s, now)


@counting_kernel
def advance_site(records: Any, until: float, max_events: int) -> None:
    """Play whole instants up to `until`, until `max_events` events were applied, or until a buffer is full."""
    s = records[0]
    s.counts[EVENTS] = 0
    while s.counts[WRITTEN] <= s.settings[ROOM] and has_room(s):
        now = _next_instant(s)
        if now > until or now == np.inf:
            if now < np.inf:
                s.clock[REACHED] = until
            return
        if s.counts[EVENTS] >= max_events and now > s.clock[NOW]:
            return
        if s.counts[PENDING] > len(s.heap_times) // 2:
            _forget_stale(s)
        _catch_up(s, now)
        s.clock[NOW] = now
        if s.settings[CHARGES] and s.clock[NEXT_DECAY] <= now:
            s.clock[NEXT_DECAY] += s.reals[CALCULATION_PERIOD]
            calculate(s, now)
            s.counts[UNSORTED] |= s.settings[BY_FACTORS]
            s.counts[CHANGED] = 1
            s.counts[EVENTS] += 1
            if s.settings[METERS] and s.settings[MODE] != OWN_LOOPS:
                _end_spent(s, now)
        _apply_events(s, now)
        _apply_timers(s, now)
        if s.settings[MODE] != OWN_LOOPS:
            if s.counts[LOOK]:
                _act(s, now)
            continue
        _sort_if_needed(s)
        if _next_check(s) <= now:
            _check_limits(s, now)
        if _next_look(s) <= now:
            _look(s, now)
        if _next_pass(s) <= now:
            s.counts[CHANGED] = 0
            s.counts[EVENTS] += 1
            s.clock[NEXT_PASS] = now + s.reals[PASS_INTERVAL] + LAG
            plan_pass(s, now, ALL)
