"""The event loop of orders that never change, with list and EASY backfilling.

Counters live in local variables, as in `strict`.
"""

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, EASY, FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.pool.instants import comes
from scheduler_sim.engine.kernels.pool.loop import append_finished
from scheduler_sim.engine.kernels.pool.state import EXTRA, FREE, HEAD, UNSORTED, Run, Tasks
from scheduler_sim.engine.kernels.structures.heap import heap_pop, heap_push
from scheduler_sim.engine.kernels.structures.planned_ends import add_end, drop_end, shadow
from scheduler_sim.engine.kernels.structures.sorted_queue import (
    BLOCK,
    EVERYTHING,
    SortedQueue,
    add,
    next_that_may_start,
    remove,
)


@kernel
def advance_ranked(backfill: int, tasks: Tasks, run: Run, queue: SortedQueue, until: float, max_events: int) -> None:
    """Play whole instants up to `until` or until `max_events` events were applied."""
    arrival, duration, task_expected, task_cpus, _, _ = tasks
    counts, clock, start, finish, order, end_times, end_rows = run
    rank_of, shape, entries, places, groups, spare, plan = queue
    arrived, free, finished = counts[ARRIVED], counts[FREE], counts[FINISHED]
    queued, running, unsorted = counts[QUEUED], counts[RUNNING], counts[UNSORTED]
    head, extra, shadow_time = counts[HEAD], counts[EXTRA], plan.shadow[0]
    length = len(arrival)
    easy = backfill == EASY
    enough = arrived + finished + min(max_events, 2**62)
    while arrived + finished < enough and comes(arrived, arrival, running, end_times, until, clock):
        now = clock[0]
        while True:
            # What did not pass the head before does not pass it now when nothing has finished and the reservation
            # is still ahead: the shadow time and the extra processors are the same, and the clock is later.
            same = head >= 0 and (not easy or shadow_time >= now)
            while running > 0 and end_times[0] <= now:
                row = end_rows[0]
                heap_pop(end_times, end_rows, running)
                if easy:
                    drop_end(start[row] + task_expected[row], row, running, plan)
                running -= 1
                free += task_cpus[row]
                unsorted |= append_finished(row, now, finished, finish, order)
                finished += 1
                same = False
            # A single newcomer that may start when nothing waits, or past an unchanged head, need not be queued.
            direct = -1
            if arrived < length and arrival[arrived] <= now:
                alone = arrived + 1 == length or arrival[arrived + 1] > now
                same = same and alone and rank_of[arrived] > head
                if alone and task_cpus[arrived] <= free:
                    if queued == 0:
                        direct = arrived
                    elif same:
                        late = now + task_expected[arrived] > shadow_time
                        if not late:
                            direct = arrived
                        elif task_cpus[arrived] <= extra:
                            direct = arrived
                            extra -= task_cpus[arrived]
                if direct >= 0:
                    arrived += 1
            while arrived < length and arrival[arrived] <= now:
                add(
                    rank_of[arrived],
                    arrived,
                    task_cpus[arrived],
                    task_expected[arrived],
                    shape,
                    entries,
                    places,
                    groups,
                    spare,
                )
                arrived += 1
                queued += 1
            if not same:
                head = -1
            after = head
            while True:
                if direct >= 0:
                    row = direct
                    direct = -1
                elif same or queued == 0 or free == 0:
                    break
                elif head < 0:
                    entry = entries[places[0]["block"] * BLOCK]
                    row = entry["row"]
                    if entry["cpus"] > free:
                        head = entry["rank"]
                        after = head
                        shadow_time, extra = np.inf, EVERYTHING
                        if easy:
                            shadow_time, extra = shadow(now, free, task_cpus[row], task_cpus, running, plan)
                        continue
                    remove(0, 0, shape, entries, places, groups, spare)
                    queued -= 1
                else:
                    found = next_that_may_start(after, now, free, shadow_time, extra, shape, entries, places, groups)
                    if found < 0:
                        break
                    at, i = found // BLOCK, found % BLOCK
                    entry = entries[places[at]["block"] * BLOCK + i]
                    row = entry["row"]
                    after = entry["rank"]
                    if now + entry["expected"] > shadow_time:
                        extra -= entry["cpus"]
                    remove(at, i, shape, entries, places, groups, spare)
                    queued -= 1
                end = now + duration[row]
                if easy:
                    add_end(now + task_expected[row], row, running, plan)
                start[row] = now
                finish[row] = end
                heap_push(end_times, end_rows, running, end, row)
                running += 1
                free -= task_cpus[row]
            if running == 0 or end_times[0] > now:
                break
    counts[ARRIVED], counts[FREE], counts[FINISHED] = arrived, free, finished
    counts[QUEUED], counts[RUNNING], counts[UNSORTED] = queued, running, unsorted
    counts[HEAD], counts[EXTRA], plan.shadow[0] = head, extra, shadow_time
