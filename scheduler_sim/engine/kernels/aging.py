"""The event loop of orders whose scores change with the wait: none, list and easy."""

import numpy as np

from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.kinetic_tree import (
    CAPACITY,
    SMALLEST,
    SPARES,
    KineticTree,
    find,
    pull,
    remove,
    renew,
    resize,
)
from scheduler_sim.engine.kernels.loop import Run, Tasks, arrives_by, begin, ends_by, next_instant, pause, release
from scheduler_sim.engine.kernels.planned_ends import add_end, drop_end, shadow
from scheduler_sim.engine.kernels.state import ARRIVED, EASY, EXTRA, FREE, HEAD, NONE, QUEUED, RUNNING

_EVERYTHING = 2**62


@kernel
def advance_aging(backfill: int, tasks: Tasks, run: Run, tree: KineticTree, until: float, max_events: int) -> None:
    """Play whole instants up to `until` or until `max_events` events were applied."""
    task_arrival, duration, expected, cpus, task_base, task_slope = tasks
    counts, clock, start, finish, order, end_times, end_rows = run
    (
        shape,
        slot_of,
        rows,
        base,
        slope,
        arrival,
        spare,
        best,
        expiry,
        low_cpus,
        low_expected,
        stack,
        shadow_times,
        plan_times,
        plan_rows,
    ) = tree
    easy = backfill == EASY
    events = 0
    while events < max_events:
        now = next_instant(task_arrival, counts, end_times)
        if now > until or now == np.inf:
            pause(now, until, clock)
            break
        clock[0] = now
        while True:
            # See `rank_tree`: what did not pass the same head before does not pass it now.
            same = counts[HEAD] >= 0 and (not easy or shadow_times[0] >= now)
            while ends_by(now, counts, end_times):
                row = release(now, cpus, counts, finish, order, end_times, end_rows)
                if easy:
                    drop_end(start[row] + expected[row], row, counts[RUNNING] + 1, plan_times, plan_rows)
                events += 1
                same = False
            newest = -1
            arrivals = 0
            while arrives_by(now, task_arrival, counts):
                newest = counts[ARRIVED]
                if shape[SPARES] == 0:
                    resize(
                        now,
                        2 * shape[CAPACITY],
                        shape,
                        cpus,
                        expected,
                        slot_of,
                        rows,
                        base,
                        slope,
                        arrival,
                        spare,
                        best,
                        expiry,
                        low_cpus,
                        low_expected,
                    )
                shape[SPARES] -= 1
                slot = spare[shape[SPARES]]
                slot_of[newest] = slot
                rows[slot] = newest
                base[slot] = task_base[newest]
                slope[slot] = task_slope[newest]
                arrival[slot] = task_arrival[newest]
                node = shape[CAPACITY] + slot
                best[node] = slot
                low_cpus[node] = cpus[newest]
                low_expected[node] = expected[newest]
                while node > 1:
                    node >>= 1
                    pull(now, node, rows, base, slope, arrival, best, expiry, low_cpus, low_expected)
                counts[ARRIVED] += 1
                counts[QUEUED] += 1
                arrivals += 1
            events += arrivals
            if not same:
                counts[HEAD] = -1
            searching = False
            while counts[QUEUED] > 0 and low_cpus[1] <= counts[FREE]:
                renew(now, rows, base, slope, arrival, best, expiry, low_cpus, low_expected, stack)
                if searching:
                    slot = find(
                        now,
                        counts[FREE],
                        shadow_times[0],
                        counts[EXTRA],
                        shape[CAPACITY],
                        rows,
                        base,
                        slope,
                        arrival,
                        best,
                        low_cpus,
                        low_expected,
                        stack,
                    )
                    if slot < 0:
                        break
                    row = rows[slot]
                    passes = True
                else:
                    slot = best[1]
                    row = rows[slot]
                    passes = cpus[row] > counts[FREE]
                    if passes and backfill == NONE:
                        break
                    if passes and not (same and arrivals <= 1 and row == counts[HEAD]):
                        counts[HEAD] = row
                        shadow_times[0], counts[EXTRA] = np.inf, _EVERYTHING
                        if easy:
                            shadow_times[0], counts[EXTRA] = shadow(
                                now, counts[FREE], cpus[row], cpus, counts[RUNNING], plan_times, plan_rows
                            )
                        searching = True
                        continue
                    if passes:
                        if newest < 0 or cpus[newest] > counts[FREE]:
                            break
                        if now + expected[newest] > shadow_times[0] and cpus[newest] > counts[EXTRA]:
                            break
                        row, newest = newest, -1
                        slot = slot_of[row]
                    else:
                        same = False
                        counts[HEAD] = -1
                if easy:
                    if passes and now + expected[row] > shadow_times[0]:
                        counts[EXTRA] -= cpus[row]
                    add_end(now + expected[row], row, counts[RUNNING], plan_times, plan_rows)
                begin(now, row, duration, cpus, counts, start, finish, end_times, end_rows)
                remove(now, slot, shape, rows, base, slope, arrival, spare, best, expiry, low_cpus, low_expected)
                if shape[CAPACITY] > SMALLEST and 8 * counts[QUEUED] < shape[CAPACITY]:
                    resize(
                        now,
                        shape[CAPACITY] // 2,
                        shape,
                        cpus,
                        expected,
                        slot_of,
                        rows,
                        base,
                        slope,
                        arrival,
                        spare,
                        best,
                        expiry,
                        low_cpus,
                        low_expected,
                    )
            if not ends_by(now, counts, end_times):
                break
