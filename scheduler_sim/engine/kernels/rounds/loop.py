"""The compiled rounds: who runs next, on which GPUs, and what ends when."""

from typing import Any

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, FINISHED
from scheduler_sim.engine.contract import ENDINGS, REASONS
from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.kernels.attempts import BUFFER
from scheduler_sim.engine.kernels.rounds.state import (
    ACTIVE,
    ENDS,
    ENDS_TAKEN,
    EVENTS,
    IN_STEPS,
    IN_TURN,
    KNOWS_KINDS,
    LAST_RESET,
    LAST_TRY,
    LEAST_RESET_TIME,
    NEXT,
    NEXT_START,
    NOBODY,
    NOW,
    ORDERS,
    ORDERS_TAKEN,
    PLAYED,
    PLAYING,
    PREVIOUS_END,
    ROUND_TIME,
    ROUNDS,
    STALE,
    TO_DRAIN,
    TO_ORDER,
    TO_SETTLE,
    WRITTEN,
    State,
)
from scheduler_sim.engine.kernels.structures.clocks import leave_clock
from scheduler_sim.engine.kernels.structures.device_lists import take_free, tell_places
from scheduler_sim.engine.kernels.structures.gang_buffer import has_room

ENDED, STOPPED, MOVED = (REASONS.index(name) for name in ("finished", "suspended", "moved"))
COMPLETED = ENDINGS.index("completed")

NEVER_HAD = 1e9
"""What a share is multiplied with where a job has had nothing of a kind."""


@counting_kernel
def play(s: State, until_time: float, max_events: int) -> int:
    """Play what happens up to `until_time`, or `max_events` events, and return why it ends (see `state`)."""
    counts, reals = s.counts, s.reals
    while counts[EVENTS] < max_events:
        if counts[WRITTEN] > BUFFER or not has_room(s):
            return TO_DRAIN
        if counts[NEXT] < 0:
            why = find_round(s)
            if why != PLAYED:
                return why
        start = reals[NEXT_START] if counts[NEXT] > 0 else np.inf
        taken, ends = counts[ENDS_TAKEN], counts[ENDS]
        instant = s.tasks[s.ends[taken]].until if taken < ends else np.inf
        if instant <= start and taken < ends:
            if instant > until_time:
                break
            while taken < ends and s.tasks[s.ends[taken]].until == instant:
                _end(s, s.ends[taken], instant)
                taken += 1
                counts[EVENTS] += 1
            counts[ENDS_TAKEN] = taken
        else:
            if start > until_time or counts[NEXT] <= 0:
                break
            instant = start
            _begin(s, start)
            counts[EVENTS] += 1
        s.clock[0] = instant
    leave_clock(s.clock, until_time, counts[EVENTS] >= max_events)
    return PLAYED


@counting_kernel
def find_round(s: State) -> int:
    """Find what the next round does, 0 jobs where all is done; return why it cannot be found yet."""
    counts, reals, n = s.counts, s.reals, len(s.tasks)
    if counts[ACTIVE] == 0 and counts[ARRIVED] == n:
        counts[NEXT] = 0
        return PLAYED
    while True:
        while counts[ARRIVED] < n and s.tasks[counts[ARRIVED]].arrival <= reals[NOW]:
            s.active[counts[ACTIVE]] = counts[ARRIVED]
            counts[ACTIVE] += 1
            counts[ARRIVED] += 1
            counts[STALE] = 1
        since = reals[NOW] - reals[LAST_RESET]
        if counts[STALE] and (since >= reals[LEAST_RESET_TIME] or reals[LAST_RESET] == 0.0):
            return TO_SETTLE
        if counts[ORDERS_TAKEN] == ORDERS:
            return TO_ORDER
        found = _choose(s)
        if found:
            counts[LAST_TRY] = 0
            counts[NEXT] = found
            _book(s, found)
            return PLAYED
        if counts[ARRIVED] < n:
            reals[NOW] = s.tasks[counts[ARRIVED]].arrival
        elif counts[LAST_TRY]:
            return NOBODY
        else:
            counts[LAST_TRY] = 1
            reals[LAST_RESET] = 0.0
            counts[STALE] = 1


@counting_kernel
def _choose(s: State) -> int:
    """Choose who runs on which kind from now on, write it into `next`, and return how many they are."""
    counts, reals, tasks = s.counts, s.reals, s.tasks
    active, kinds = counts[ACTIVE], len(s.workers)
    for place in range(active):
        s.chosen[place] = -1
    turn = 0
    if not s.flags[KNOWS_KINDS]:
        turn = counts[ORDERS_TAKEN]
        counts[ORDERS_TAKEN] += 1
    for number in range(kinds):
        kind = s.kinds_order[turn, number]
        size = 0
        total = s.total[kind] if s.total[kind] > 0 else 1.0
        for place in range(active):
            row = s.active[place]
            if s.chosen[place] >= 0 or s.rate[row, kind] <= 0:
                continue
            share, fraction = s.share[row, kind], s.had[row, kind] / total
            priority = share / fraction if fraction > 0 else share * NEVER_HAD
            if s.flags[IN_TURN] and priority <= 0:
                continue
            s.key[place, 0], s.key[place, 1], s.key[place, 2] = priority, s.deficit[row, kind], share
            s.candidates[size] = place
            size += 1
        _sort(s.candidates, s.merged, s.key, size)
        free = s.workers[kind]
        for candidate in range(size):
            place = s.candidates[candidate]
            gpus = tasks[s.active[place]].gpus
            if gpus <= free:
                free -= gpus
                s.chosen[place] = kind
                if free <= 0:
                    break
    found = 0
    last_end = reals[NOW]
    for place in range(active):
        row, kind = s.active[place], s.chosen[place]
        task = tasks[row]
        if kind < 0 or not task.has_share:
            continue
        speed = s.rate[row, kind]
        lost = 0.0 if task.ran_on == kind else task.overhead
        done = speed * max(reals[ROUND_TIME] - lost, 0.0)
        if s.flags[IN_STEPS]:
            done = max(np.floor(done), 1.0)
        done = min(done, task.work_left)
        entry = s.next[found]
        entry.row, entry.kind = row, kind
        entry.end = reals[NOW] + lost + done / speed
        task.work_left -= done
        task.done_since += done
        entry.done_time, entry.is_done = done / speed, task.work_left <= 0
        last_end = max(last_end, entry.end)
        found += 1
    reals[NEXT_START] = reals[NOW]
    reals[NOW] = last_end
    return found


@counting_kernel
def _sort(places: Any, merged: Any, key: Any, size: int) -> None:
    """Sort places by their keys, the largest first; equals stay in their order."""
    width = 1
    while width < size:
        for low in range(0, size - width, 2 * width):
            middle, high = low + width, min(low + 2 * width, size)
            if not _goes_before(key, places[middle], places[middle - 1]):
                continue
            for place in range(low, high):
                merged[place] = places[place]
            left, right = low, middle
            for place in range(low, high):
                if left < middle and (right >= high or not _goes_before(key, merged[right], merged[left])):
                    places[place] = merged[left]
                    left += 1
                else:
                    places[place] = merged[right]
                    right += 1
        width *= 2


@counting_kernel
def _goes_before(key: Any, one: int, other: int) -> bool:
    for column in range(3):
        if key[one, column] != key[other, column]:
            return bool(key[one, column] > key[other, column])
    return False


@counting_kernel
def _book(s: State, found: int) -> None:
    """Count the time that the jobs of the next round have had with it, and let those go that are done."""
    counts, reals, tasks = s.counts, s.reals, s.tasks
    for place in range(counts[PLAYING]):
        tasks[s.playing[place]].ran_on = -1
    done = 0
    for place in range(found):
        entry = s.next[place]
        tasks[entry.row].ran_on = entry.kind
        spent = entry.end - reals[PREVIOUS_END]
        s.had[entry.row, entry.kind] += spent
        s.total[entry.kind] += spent
        done += entry.is_done
    if done:
        kept, place = 0, 0
        for number in range(counts[ACTIVE]):
            row = s.active[number]
            while place < found and s.next[place].row < row:
                place += 1
            if place < found and s.next[place].row == row and s.next[place].is_done:
                continue
            s.active[kept] = row
            kept += 1
        counts[ACTIVE] = kept
        counts[STALE] = 1
    reals[PREVIOUS_END] = reals[NOW]


@counting_kernel
def _begin(s: State, now: float) -> None:
    """Hand GPUs out for a round, and take back those of who does not go on with the same ones."""
    counts, tasks, found = s.counts, s.tasks, s.counts[NEXT]
    for place in range(found):
        tasks[s.next[place].row].wanted = s.next[place].kind
    for place in range(counts[PLAYING]):
        row = s.playing[place]
        task = tasks[row]
        if task.is_done:
            continue
        task.service += task.done_time
        if task.wanted != task.kind:
            moved = task.wanted >= 0 and task.until == now
            _close(s, row, task.until, MOVED if moved else STOPPED)
            task.finish = np.nan
    ends = 0
    for place in range(found):
        entry = s.next[place]
        row = entry.row
        task = tasks[row]
        if task.kind < 0:
            _open(s, row, entry.kind, now)
        task.wanted = -1
        task.until, task.done_time, task.is_done = entry.end, entry.done_time, entry.is_done
        task.finish = entry.end + task.work_left / s.rate[row, entry.kind]
        s.playing[place] = row
        if entry.is_done:
            other = ends
            while other > 0 and tasks[s.ends[other - 1]].until > task.until:
                s.ends[other] = s.ends[other - 1]
                other -= 1
            s.ends[other] = row
            ends += 1
    counts[PLAYING], counts[ENDS], counts[ENDS_TAKEN] = found, ends, 0
    counts[NEXT] = -1
    counts[ROUNDS] += 1


@counting_kernel
def _open(s: State, row: int, kind: int, now: float) -> None:
    """Begin an attempt on the lowest free GPUs of a kind."""
    task = s.tasks[row]
    s.free[kind] = take_free(s, task, -1, s.free[kind], int(task.gpus)) + 1
    task.kind = kind
    task.attempts += 1
    task.begun = now
    task.node, task.device = s.nodes[task.place], s.devices[task.place]
    if task.attempts == 1:
        task.start = now


@counting_kernel
def _close(s: State, row: int, now: float, reason: int) -> None:
    """End the attempt of a job, and write it where it is not the only one."""
    task = s.tasks[row]
    task.held += now - task.begun
    place = task.place
    tell_places(s, s.devices, row, place, task.begun, now)
    s.free[task.kind] = min(s.free[task.kind], place)
    while place >= 0:
        after = s.after[place]
        s.after[place] = -2
        place = after
    task.kind = -1
    if reason != ENDED or task.attempts > 1:
        entry = s.buffer[s.counts[WRITTEN]]
        entry.row, entry.number, entry.start, entry.end = row, task.attempts, task.begun, now
        entry.node, entry.device, entry.reason = task.node, task.device, reason
        s.counts[WRITTEN] += 1


@counting_kernel
def _end(s: State, row: int, now: float) -> None:
    task = s.tasks[row]
    task.service += task.done_time
    _close(s, row, now, ENDED)
    task.service = min(task.service, task.held)
    task.ending = COMPLETED
    task.finish = now
    s.order[s.counts[FINISHED]] = row
    s.counts[FINISHED] += 1
