"""The event loop of orders whose scores change with the wait: none, list and easy."""

import numpy as np

from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.heap import heap_pop, heap_push
from scheduler_sim.engine.kernels.kinetic_tree import (
    FEWEST,
    LEVELS,
    OFFSETS,
    SLOTS,
    SPARES,
    KineticTree,
    change,
    find,
    renew,
    resize,
)
from scheduler_sim.engine.kernels.loop import Run, Tasks
from scheduler_sim.engine.kernels.planned_ends import add_end, drop_end, shadow
from scheduler_sim.engine.kernels.state import (
    ARRIVED,
    EASY,
    EXTRA,
    FINISHED,
    FREE,
    HEAD,
    NONE,
    QUEUED,
    RUNNING,
    UNSORTED,
)

_EVERYTHING = 2**62
_NO_TASK = 2**62


@kernel
def advance_aging(backfill: int, tasks: Tasks, run: Run, tree: KineticTree, until: float, max_events: int) -> None:
    """Play whole instants up to `until` or until `max_events` events were applied."""
    task_arrival, duration, task_expected, task_cpus, task_base, task_slope = tasks
    counts, clock, start, finish, order, end_times, end_rows = run
    (
        shape,
        rows,
        base,
        slope,
        arrival,
        cpus,
        expected,
        slots,
        expiry,
        spare,
        stack,
        shadow_times,
        plan_times,
        plan_rows,
    ) = tree
    arrived, free, finished = counts[ARRIVED], counts[FREE], counts[FINISHED]
    queued, running, unsorted = counts[QUEUED], counts[RUNNING], counts[UNSORTED]
    blocked, extra, shadow_time = counts[HEAD], counts[EXTRA], shadow_times[0]
    length = len(task_arrival)
    easy = backfill == EASY
    reached = clock[0]
    last_row = -1
    last_time = -np.inf
    if finished > 0:
        last_row = order[finished - 1]
        last_time = finish[last_row]
    events = 0
    while events < max_events:
        now = np.inf
        if arrived < length:
            now = task_arrival[arrived]
        if running > 0:
            now = min(now, end_times[0])
        if now > until or now == np.inf:
            if now < np.inf:
                clock[1] = until
            break
        reached = now
        while True:
            # See `ranked`: what did not pass the same head before does not pass it now.
            same = blocked >= 0 and (not easy or shadow_time >= now)
            while running > 0 and end_times[0] <= now:
                row = end_rows[0]
                heap_pop(end_times, end_rows, running)
                if easy:
                    drop_end(start[row] + task_expected[row], row, running, plan_times, plan_rows)
                running -= 1
                free += task_cpus[row]
                if last_time == now and last_row > row:
                    unsorted = 1
                last_time = now
                last_row = row
                order[finished] = row
                finished += 1
                events += 1
                same = False
            newest = -1
            arrivals = 0
            while arrived < length and task_arrival[arrived] <= now:
                size = shape[SLOTS]
                wanted = size
                if shape[SPARES] == 0:
                    wanted = 2 * size
                elif size > FEWEST and 8 * queued < size:
                    wanted = size // 2
                if wanted != size:
                    resize(
                        now,
                        wanted,
                        shape,
                        rows,
                        base,
                        slope,
                        arrival,
                        cpus,
                        expected,
                        slots,
                        expiry,
                        spare,
                    )
                shape[SPARES] -= 1
                newest = spare[shape[SPARES]]
                rows[newest] = arrived
                base[newest] = task_base[arrived]
                slope[newest] = task_slope[arrived]
                arrival[newest] = task_arrival[arrived]
                cpus[newest] = task_cpus[arrived]
                expected[newest] = task_expected[arrived]
                change(
                    now,
                    newest,
                    True,
                    shape,
                    rows,
                    base,
                    slope,
                    arrival,
                    cpus,
                    expected,
                    slots,
                    expiry,
                )
                arrived += 1
                queued += 1
                arrivals += 1
            events += arrivals
            if not same:
                blocked = -1
            searching = False
            root = shape[OFFSETS + shape[LEVELS] - 1]
            while queued > 0 and cpus[root] <= free:
                if expiry[root] < now:
                    renew(
                        now,
                        shape,
                        rows,
                        base,
                        slope,
                        arrival,
                        cpus,
                        expected,
                        slots,
                        expiry,
                        stack,
                    )
                if searching:
                    slot = find(
                        now,
                        free,
                        shadow_time,
                        extra,
                        shape,
                        rows,
                        base,
                        slope,
                        arrival,
                        cpus,
                        expected,
                        slots,
                        stack,
                    )
                    if slot < 0:
                        break
                    passes = True
                else:
                    slot = slots[root]
                    passes = cpus[slot] > free
                    if passes and backfill == NONE:
                        break
                    if passes and not (same and arrivals <= 1 and rows[slot] == blocked):
                        blocked = rows[slot]
                        shadow_time, extra = np.inf, _EVERYTHING
                        if easy:
                            shadow_time, extra = shadow(
                                now, free, cpus[slot], task_cpus, running, plan_times, plan_rows
                            )
                        searching = True
                        continue
                    if passes:
                        if newest < 0 or cpus[newest] > free:
                            break
                        if now + expected[newest] > shadow_time and cpus[newest] > extra:
                            break
                        slot, newest = newest, -1
                    else:
                        same = False
                        blocked = -1
                row = rows[slot]
                need = cpus[slot]
                end = now + expected[slot]
                if easy:
                    if passes and end > shadow_time:
                        extra -= need
                    add_end(end, row, running, plan_times, plan_rows)
                end = now + duration[row]
                start[row] = now
                finish[row] = end
                heap_push(end_times, end_rows, running, end, row)
                running += 1
                queued -= 1
                free -= need
                rows[slot] = -1
                cpus[slot] = _NO_TASK
                expected[slot] = np.inf
                spare[shape[SPARES]] = slot
                shape[SPARES] += 1
                change(
                    now,
                    slot,
                    False,
                    shape,
                    rows,
                    base,
                    slope,
                    arrival,
                    cpus,
                    expected,
                    slots,
                    expiry,
                )
            if running == 0 or end_times[0] > now:
                break
    clock[0] = reached
    counts[ARRIVED], counts[FREE], counts[FINISHED] = arrived, free, finished
    counts[QUEUED], counts[RUNNING], counts[UNSORTED] = queued, running, unsorted
    counts[HEAD], counts[EXTRA], shadow_times[0] = blocked, extra, shadow_time
