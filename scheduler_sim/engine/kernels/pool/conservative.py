"""Conservative backfilling: every queued task, or the first few, holds a reservation that nothing may delay.

A pass that lifts and replaces all reservations costs a search for each. It is left out when it can change nothing:
no processor came free before it was planned to, nothing overran, and the last pass moved nothing, so that every
reservation already lies at its earliest possible time given all others. Where a search is made, it sets in where the
kind of the task could begin at best (`structures/frontier.py`).
"""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.codes import QUEUED, RUNNING
from scheduler_sim.engine.jit import bare_kernel, kernel
from scheduler_sim.engine.kernels.calling import Call, call_scores, set_state
from scheduler_sim.engine.kernels.pool.loop import arrive, arrives_by, begin, ends_by, next_instant, release
from scheduler_sim.engine.kernels.pool.state import FREE, Run, Tasks
from scheduler_sim.engine.kernels.structures.frontier import Frontier, begin_at, forget, gain, kind_of, make_frontier
from scheduler_sim.engine.kernels.structures.heap import heap_pop, heap_push
from scheduler_sim.engine.kernels.structures.instants import go_to
from scheduler_sim.engine.kernels.structures.profile import Profile, clear, earliest, hold, make_profile, move_on
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

DUE, IN_LIST, DIRTY, END_ENTRIES, OVERRAN = range(5)
"""Places in `Plan.counts`: reservations in the heap, rows in the queue list (some started), whether the last pass moved
something, expected ends in their heap, and whether something overran when the plan was last made."""


class Plan(NamedTuple):
    """The reservations.

    Attributes:
        counts: see above.
        reservation: shape (n,), NaN for none.
        due_times, due_rows: heap of the reservations.
        end_times, end_rows: heap of expected ends; what has finished is dropped when it comes up.
        queue: rows that have arrived, those that have started among them until the next sweep.
        due: rows that are due at one instant.
        buffer: for the merge sort.
        scores: shape (n,), of queued tasks at the instant of the last sort.
        profile: free processors over time.
        frontier: how early tasks of a kind could begin at best.
    """

    counts: IntArray
    reservation: FloatArray
    due_times: FloatArray
    due_rows: IntArray
    end_times: FloatArray
    end_rows: IntArray
    queue: IntArray
    due: IntArray
    buffer: IntArray
    scores: FloatArray
    profile: Profile
    frontier: Frontier


class Asked(NamedTuple):
    """The function that scores come from; loops that are given None for it are compiled without the asking.

    Attributes:
        call: what is called.
        wait, found: shape (n,), room for what it takes and gives.
    """

    call: Call
    wait: FloatArray
    found: FloatArray


def make_asked(length: int, call: Call) -> Asked:
    """Return what asks the function about up to `length` tasks."""
    return Asked(call, np.empty(length), np.empty(length))


def make_plan(cpus: IntArray, processors: int) -> Plan:
    """Return the plan of an idle pool for tasks that ask for so many processors, shape (n,)."""
    length = len(cpus)
    return Plan(
        counts=np.zeros(5, np.int64),
        reservation=np.full(length, np.nan),
        due_times=np.empty(length),
        due_rows=np.empty(length, np.int64),
        end_times=np.empty(length),
        end_rows=np.empty(length, np.int64),
        queue=np.empty(length, np.int64),
        due=np.empty(length, np.int64),
        buffer=np.empty(length, np.int64),
        scores=np.empty(length),
        profile=make_profile(length, processors),
        frontier=make_frontier(cpus),
    )


@bare_kernel
def _before(a: int, b: int, scores: FloatArray) -> bool:
    return scores[a] < scores[b] or (scores[a] == scores[b] and a < b)


@bare_kernel
def _call(now: float, rows: IntArray, first: int, last: int, tasks: Tasks, run: Run, plan: Plan, asked: Asked) -> None:
    """Write the scores that a function of the user's gives."""
    address, table, state, at = asked.call
    for i in range(first, last):
        asked.wait[i - first] = now - tasks.arrival[rows[i]]
    set_state(state, now, run.counts[QUEUED], run.counts[RUNNING], run.counts[FREE], 0.0)
    call_scores(address, first, last - first, rows, asked.wait, table, state, asked.found, at)
    for i in range(first, last):
        plan.scores[rows[i]] = asked.found[i - first]


@bare_kernel
def _sort(
    now: float, rows: IntArray, first: int, last: int, tasks: Tasks, run: Run, plan: Plan, asked: Asked | None
) -> None:
    """Sort `rows[first:last]` by score at `now`, then row; quick where they are nearly sorted."""
    buffer, scores = plan.buffer, plan.scores
    if asked is not None:
        _call(now, rows, first, last, tasks, run, plan, asked)
    else:
        for i in range(first, last):
            row = rows[i]
            scores[row] = tasks.base[row] - tasks.slope[row] * (now - tasks.arrival[row])
    width = 1
    while width < last - first:
        for low in range(first, last - width, 2 * width):
            middle = low + width
            high = min(middle + width, last)
            if not _before(rows[middle], rows[middle - 1], scores):
                continue
            for i in range(low, middle):
                buffer[i] = rows[i]
            left, right, at = low, middle, low
            while left < middle and right < high:
                if _before(rows[right], buffer[left], scores):
                    rows[at] = rows[right]
                    right += 1
                else:
                    rows[at] = buffer[left]
                    left += 1
                at += 1
            while left < middle:
                rows[at] = buffer[left]
                left += 1
                at += 1
        width *= 2


@bare_kernel
def _sweep(run: Run, plan: Plan) -> int:
    """Drop what has started from the queue list and return how many are left."""
    kept = 0
    for i in range(plan.counts[IN_LIST]):
        row = plan.queue[i]
        if np.isnan(run.start[row]):
            plan.queue[kept] = row
            kept += 1
    plan.counts[IN_LIST] = kept
    return kept


@bare_kernel
def _reserve(now: float, row: int, tasks: Tasks, plan: Plan) -> None:
    """Give a task that holds no reservation its earliest time."""
    frontier, profile, length = plan.frontier, plan.profile, tasks.expected[row]
    kind, group = kind_of(length, frontier), frontier.group_of[row]
    first = earliest(profile, now, frontier.time[kind, group], np.inf, frontier.seconds[kind], frontier.cpus[group])
    frontier.time[kind, group] = first
    time = earliest(profile, now, first, np.inf, length, tasks.cpus[row])
    plan.reservation[row] = time
    hold(profile, now, time, time + length, tasks.cpus[row])


@bare_kernel
def _lift(now: float, row: int, tasks: Tasks, plan: Plan) -> None:
    time = plan.reservation[row]
    hold(plan.profile, now, time, time + tasks.expected[row], -tasks.cpus[row])
    plan.reservation[row] = np.nan


@bare_kernel
def _add_due(row: int, plan: Plan) -> None:
    heap_push(plan.due_times, plan.due_rows, plan.counts[DUE], plan.reservation[row], row)
    plan.counts[DUE] += 1


@bare_kernel
def _start(now: float, row: int, tasks: Tasks, run: Run, plan: Plan) -> None:
    plan.reservation[row] = np.nan
    begin(now, row, tasks, run)
    heap_push(plan.end_times, plan.end_rows, plan.counts[END_ENTRIES], now + tasks.expected[row], row)
    plan.counts[END_ENTRIES] += 1


@bare_kernel
def _overran(now: float, run: Run, plan: Plan) -> bool:
    """Tell whether some running task was expected to have ended by now."""
    counts = plan.counts
    while counts[END_ENTRIES] > 0 and plan.end_times[0] <= now:
        if run.finish[plan.end_rows[0]] > now:
            return True
        heap_pop(plan.end_times, plan.end_rows, counts[END_ENTRIES])
        counts[END_ENTRIES] -= 1
    return False


@bare_kernel
def _plan_running(now: float, tasks: Tasks, run: Run, plan: Plan) -> None:
    """Make the profile hold what runs and nothing else."""
    clear(plan.profile, run.counts[FREE])
    for i in range(run.counts[RUNNING]):
        row = run.end_rows[i]
        plan.profile.counts[0] += tasks.cpus[row]
        hold(plan.profile, now, now, run.start[row] + tasks.expected[row], tasks.cpus[row])


@bare_kernel
def _replace_all(now: float, chosen: int, tasks: Tasks, run: Run, plan: Plan) -> None:
    """Lift all reservations together and give them back in the order of the queue."""
    _plan_running(now, tasks, run, plan)
    forget(plan.frontier)
    for i in range(chosen):
        row = plan.queue[i]
        if not np.isnan(plan.reservation[row]):
            _reserve(now, row, tasks, plan)


@bare_kernel
def _move_up(now: float, chosen: int, tasks: Tasks, plan: Plan) -> bool:
    """Move each reservation among the first `chosen` of the queue to its earliest time; tell whether one moved.

    A reservation of no length may find others in its place, which it does not hold; it keeps it.
    """
    frontier, profile = plan.frontier, plan.profile
    moved = False
    for i in range(chosen):
        row = plan.queue[i]
        time = plan.reservation[row]
        if np.isnan(time) or time <= now:
            continue
        length = tasks.expected[row]
        kind, group = kind_of(length, frontier), frontier.group_of[row]
        first = begin_at(kind, group, time, frontier)
        first = earliest(profile, now, first, time, frontier.seconds[kind], frontier.cpus[group])
        frontier.time[kind, group] = max(frontier.time[kind, group], first)
        if first == time:
            continue
        better = earliest(profile, now, first, time, length, tasks.cpus[row])
        if better < time:
            _lift(now, row, tasks, plan)
            plan.reservation[row] = better
            hold(profile, now, better, better + length, tasks.cpus[row])
            gain(time, frontier)
            moved = True
    return moved


@bare_kernel
def _evict(now: float, chosen: int, queued: int, tasks: Tasks, plan: Plan) -> bool:
    """Lift the reservations behind the first `chosen` of the queue; tell whether there was one."""
    found = False
    for i in range(chosen, queued):
        row = plan.queue[i]
        if not np.isnan(plan.reservation[row]):
            gain(plan.reservation[row], plan.frontier)
            _lift(now, row, tasks, plan)
            found = True
    return found


@bare_kernel
def _act_on_all(now: float, depth: int, early: bool, tasks: Tasks, run: Run, plan: Plan, asked: Asked | None) -> None:
    """Act with a sorted queue: after an early end or an overrun, and whenever the depth is limited."""
    counts = plan.counts
    queued = _sweep(run, plan)
    _sort(now, plan.queue, 0, queued, tasks, run, plan, asked)
    chosen = min(depth, queued)
    overrun = _overran(now, run, plan)
    counts[OVERRAN] = overrun
    missed = counts[DUE] > 0 and plan.due_times[0] < now
    evicted = _evict(now, chosen, queued, tasks, plan)
    if overrun or missed:
        _replace_all(now, chosen, tasks, run, plan)
        counts[DIRTY] = 0
    elif early or evicted or counts[DIRTY] != 0:
        counts[DIRTY] = _move_up(now, chosen, tasks, plan)
    while True:
        for i in range(chosen):
            row = plan.queue[i]
            if np.isnan(plan.reservation[row]):
                _reserve(now, row, tasks, plan)
        for i in range(chosen):
            row = plan.queue[i]
            if plan.reservation[row] == now and tasks.cpus[row] <= run.counts[FREE]:
                _start(now, row, tasks, run, plan)
        before = queued
        queued = _sweep(run, plan)
        chosen = min(depth, queued)
        if queued == before or before <= depth:
            break
    counts[DUE] = 0
    for i in range(chosen):
        _add_due(plan.queue[i], plan)


@bare_kernel
def _act_on_new(now: float, first: int, tasks: Tasks, run: Run, plan: Plan, asked: Asked | None) -> None:
    """Act when every reservation already lies at its earliest time: reserve what lies in the queue from `first`."""
    counts = plan.counts
    counts[OVERRAN] = 0
    if counts[IN_LIST] - first > 1:
        _sort(now, plan.queue, first, counts[IN_LIST], tasks, run, plan, asked)
    for i in range(first, counts[IN_LIST]):
        _reserve(now, plan.queue[i], tasks, plan)
        _add_due(plan.queue[i], plan)
    due = 0
    while counts[DUE] > 0 and plan.due_times[0] == now:
        plan.due[due] = plan.due_rows[0]
        due += 1
        heap_pop(plan.due_times, plan.due_rows, counts[DUE])
        counts[DUE] -= 1
    if due > 1:
        _sort(now, plan.due, 0, due, tasks, run, plan, asked)
    for i in range(due):
        row = plan.due[i]
        if tasks.cpus[row] <= run.counts[FREE]:
            _start(now, row, tasks, run, plan)
        else:
            _add_due(row, plan)
    if counts[IN_LIST] > 2 * run.counts[QUEUED] + 64:
        _sweep(run, plan)


@bare_kernel
def next_reservation(now: float, plan: Plan) -> float:
    """Return the earliest reservation after `now`, infinity for none.

    While a task overruns, reservations wait for the next arrival or completion: no processor comes free before, and
    the plan would only be put off again and again by as little as the shortest estimate.
    """
    counts = plan.counts
    if counts[DUE] == 0 or counts[OVERRAN] != 0:
        return np.inf
    if plan.due_times[0] > now:
        return float(plan.due_times[0])
    earliest_time = np.inf
    for i in range(counts[DUE]):
        if plan.due_times[i] > now:
            earliest_time = min(earliest_time, plan.due_times[i])
    return earliest_time


@kernel
def advance_conservative(
    depth: int, tasks: Tasks, run: Run, plan: Plan, asked: Asked | None, until: float, max_events: int
) -> None:
    """Play whole instants up to `until` or until `max_events` events were applied; `depth` tasks hold reservations."""
    counts = run.counts
    events = 0
    while events < max_events:
        now = next_instant(tasks.arrival, run.counts, run.end_times)
        now = go_to(min(now, next_reservation(run.clock[0], plan)), until, False, run.clock)
        if now == np.inf:
            break
        events += 1
        while True:
            move_on(plan.profile, now)
            early = False
            while ends_by(now, run.counts, run.end_times):
                row = release(now, tasks, run)
                planned = run.start[row] + tasks.expected[row]
                if planned > now:
                    hold(plan.profile, now, now, planned, -tasks.cpus[row])
                    gain(now, plan.frontier)
                    early = True
                events += 1
            first = plan.counts[IN_LIST]
            while arrives_by(now, tasks.arrival, run.counts):
                plan.queue[plan.counts[IN_LIST]] = arrive(counts)
                plan.counts[IN_LIST] += 1
                events += 1
            missed = plan.counts[DUE] > 0 and plan.due_times[0] < now
            if depth < len(tasks.arrival) or early or missed or plan.counts[DIRTY] != 0 or _overran(now, run, plan):
                _act_on_all(now, depth, early, tasks, run, plan, asked)
            else:
                _act_on_new(now, first, tasks, run, plan, asked)
            if not ends_by(now, run.counts, run.end_times):
                break
