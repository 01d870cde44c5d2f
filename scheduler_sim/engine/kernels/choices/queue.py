"""The event loop of a pool in which someone outside chooses which task starts next, and is bound to the choice.

It stops where a choice is needed and goes on when it is made; all state lies in the arrays that every pool kernel has,
and in the queue: rows by arrival.
"""

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, QUEUED
from scheduler_sim.engine.jit import bare_kernel, kernel
from scheduler_sim.engine.kernels.choices.figures import tell_figures
from scheduler_sim.engine.kernels.choices.scales import keep_within, wait_seen
from scheduler_sim.engine.kernels.pool.loop import arrive, arrives_by, begin, ends_by, next_instant, release
from scheduler_sim.engine.kernels.pool.state import FREE, Run, Tasks
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray

FEATURES = 5
"""Of each visible task: present, r, n, wait (as the learned scores see them), and whether it fits now."""


@bare_kernel
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


@bare_kernel
def advance_to_choice(tasks: Tasks, run: Run, queue: IntArray) -> None:
    """Play whole instants until some task waits, or none is to come."""
    while run.counts[QUEUED] == 0 and run.counts[ARRIVED] < len(tasks.arrival):
        _pass_instant(tasks, run, queue)


@bare_kernel
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


@bare_kernel
def observe(tasks: Tasks, run: Run, queue: IntArray, features: FloatArray, processors: int, seen: FloatArray) -> None:
    """Write what is seen of a queue and its pool.

    Args:
        features: shape (n, 2), see `scoring.task_features`.
        seen: shape (visible * FEATURES + 2,), overwritten: `FEATURES` a visible task, the free part of the pool, and
            log(1 + queued) / 5; within -10 and 10.
    """
    counts, now = run.counts, run.clock[0]
    seen[:] = 0.0
    visible = (len(seen) - 2) // FEATURES
    for i in range(min(counts[QUEUED], visible)):
        row, at = queue[i], i * FEATURES
        seen[at] = 1.0
        seen[at + 1] = features[row, 0]
        seen[at + 2] = features[row, 1]
        seen[at + 3] = wait_seen(now - tasks.arrival[row])
        seen[at + 4] = 1.0 if tasks.cpus[row] <= counts[FREE] else 0.0
    seen[-2] = counts[FREE] / processors
    seen[-1] = np.log1p(float(counts[QUEUED])) / 5.0
    keep_within(seen)


@kernel
def observe_once(
    tasks: Tasks, run: Run, queue: IntArray, features: FloatArray, processors: int, seen: FloatArray
) -> None:
    """Do what `observe` does, for Python."""
    observe(tasks, run, queue, features, processors, seen)


@kernel
def begin_or_choose(
    actions: IntArray,
    begins: BoolArray,
    processors: int,
    tasks: Tasks,
    run: Run,
    queue: IntArray,
    features: FloatArray,
    seen: FloatArray,
    figures: FloatArray,
) -> None:
    """Take one step in each of S pools; every array of `tasks`, `run` and the others has S rows of a pool's own.

    Args:
        actions: shape (S,), places in the queues; one that points at no visible task stands for the first.
        begins: shape (S,), pools whose sequence begins: nothing is chosen there.
        figures: shape (S, 3), overwritten: what `figures.FIGURES` names where all tasks have started, NaN elsewhere.
    """
    visible = (seen.shape[1] - 2) // FEATURES
    for s in range(len(actions)):
        own = Tasks(tasks.arrival[s], tasks.duration[s], tasks.expected[s], tasks.cpus[s], tasks.base, tasks.slope)
        state = Run(
            run.counts[s],
            run.clock[s],
            run.start[s],
            run.finish[s],
            run.order[s],
            run.end_times[s],
            run.end_rows[s],
        )
        figures[s] = np.nan
        if begins[s]:
            advance_to_choice(own, state, queue[s])
        else:
            place = actions[s]
            if place < 0 or place >= min(state.counts[QUEUED], visible):
                place = 0
            start_chosen(place, own, state, queue[s])
            if state.counts[QUEUED] == 0:
                tell_figures(own.arrival, state.start, state.finish, own.duration, figures[s])
        observe(own, state, queue[s], features[s], processors, seen[s])
