"""The event loop of a pool in which someone outside chooses which task starts next, and is bound to the choice.

It stops where a choice is needed and goes on when it is made; all state lies in the arrays that every pool kernel has,
and in the queue: rows by arrival.
"""

from scheduler_sim.engine.codes import ARRIVED, QUEUED
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.pool.loop import arrive, arrives_by, begin, ends_by, next_instant, release
from scheduler_sim.engine.kernels.pool.state import FREE, Run, Tasks
from scheduler_sim.engine.workload import IntArray


@kernel
def _pass_instant(tasks: Tasks, run: Run, queue: IntArray) -> None:
    """Apply all events of the next instant, releases first."""
    counts, end_times = run.counts, run.end_times
    now = next_instant(tasks.arrival, counts, end_times)
    run.clock[0] = now
    while ends_by(now, counts, end_times):
        release(now, tasks, run)
    while arrives_by(now, tasks.arrival, counts):
        at = counts[QUEUED]
        queue[at] = arrive(counts)


@kernel
def advance_to_choice(tasks: Tasks, run: Run, queue: IntArray) -> None:
    """Play whole instants until some task waits, or none is to come."""
    while run.counts[QUEUED] == 0 and run.counts[ARRIVED] < len(tasks.arrival):
        _pass_instant(tasks, run, queue)


@kernel
def start_chosen(place: int, tasks: Tasks, run: Run, queue: IntArray) -> None:
    """Wait until the task at a place of the queue fits, start it, and go on to the next choice."""
    counts = run.counts
    row = queue[place]
    while counts[FREE] < tasks.cpus[row]:
        _pass_instant(tasks, run, queue)
    begin(run.clock[0], row, tasks, run)
    for i in range(place, counts[QUEUED]):
        queue[i] = queue[i + 1]
    advance_to_choice(tasks, run, queue)
