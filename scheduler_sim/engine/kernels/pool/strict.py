"""The event loop of orders that never change, without backfilling: the head starts as soon as it fits.

Counters live in local variables and go back into the run's state once a call, so that the compiler keeps them in
registers. A queue in arrival order is a range of rows; any other is a heap of ranks, the places of the tasks in the
whole workload's order.
"""

from scheduler_sim.engine.codes import ARRIVED, FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.pool.instants import comes
from scheduler_sim.engine.kernels.pool.loop import append_finished
from scheduler_sim.engine.kernels.pool.state import FREE, UNSORTED, Run, Tasks
from scheduler_sim.engine.kernels.structures.heap import heap_pop, heap_push, number_pop, number_push
from scheduler_sim.engine.workloads.workload import IntArray


@kernel
def advance_strictly(
    tasks: Tasks, run: Run, rank_of: IntArray, row_at: IntArray, queue: IntArray, until: float, max_events: int
) -> None:
    """Play whole instants up to `until` or until `max_events` events were applied.

    Args:
        tasks: the workload.
        run: the state.
        rank_of, row_at: shape (n,), from row to rank and back; of length 0 where the ranks are the rows.
        queue: shape (n,), heap of the queued ranks; unused where the ranks are the rows.
        until: seconds.
        max_events: arrivals and completions.
    """
    arrival, duration, _, cpus, _, _ = tasks
    counts, clock, start, finish, order, end_times, end_rows = run
    arrived, free, finished = counts[ARRIVED], counts[FREE], counts[FINISHED]
    queued, running, unsorted = counts[QUEUED], counts[RUNNING], counts[UNSORTED]
    length = len(arrival)
    ranked = len(rank_of) > 0
    enough = arrived + finished + min(max_events, 2**62)
    while arrived + finished < enough and comes(arrived, arrival, running, end_times, until, clock):
        now = clock[0]
        while True:
            while running > 0 and end_times[0] <= now:
                row = end_rows[0]
                heap_pop(end_times, end_rows, running)
                running -= 1
                free += cpus[row]
                unsorted |= append_finished(row, now, finished, finish, order)
                finished += 1
            while arrived < length and arrival[arrived] <= now:
                if ranked:
                    number_push(queue, queued, rank_of[arrived])
                arrived += 1
                queued += 1
            while queued > 0:
                row = row_at[queue[0]] if ranked else arrived - queued
                need = cpus[row]
                if need > free:
                    break
                if ranked:
                    number_pop(queue, queued)
                end = now + duration[row]
                start[row] = now
                finish[row] = end
                heap_push(end_times, end_rows, running, end, row)
                running += 1
                queued -= 1
                free -= need
            if running == 0 or end_times[0] > now:
                break
    counts[ARRIVED], counts[FREE], counts[FINISHED] = arrived, free, finished
    counts[QUEUED], counts[RUNNING], counts[UNSORTED] = queued, running, unsorted
