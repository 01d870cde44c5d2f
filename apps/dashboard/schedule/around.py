"""The placements around an instant: of a long run only those of the stretches of its clock that are looked at."""

from dataclasses import dataclass

import numpy as np

from apps.dashboard.schedule.placements import PLACED, TASKS, Placements, joined, placements
from apps.results.models import Run, SchedulerResult, Stretch
from apps.tasks.managers import numbers_of_keys
from apps.tasks.models import Task
from scheduler_sim.engine.workloads.workload import IntArray

WHOLE = 100_000
"""Up to so many placements of a policy all are read, and kept in memory."""

MOST_TASKS = 20_000
"""At most about so many tasks are read of a longer run, those of its latest stretches before `high`."""

MOST_AT_ONCE = 100_000
"""Of a stretch with more tasks, such as that of a deep queue, none is read; one with fewer is read whole."""


@dataclass(frozen=True)
class Named:
    """The tasks of some stretches of a run's clock.

    Attributes:
        keys: primary keys, ascending.
        known_from: from when on they are all that were in the system; the end of what was asked for where too many
            were at once, infinite where that was not kept.
    """

    keys: IntArray
    known_from: float


def is_long(run: Run) -> bool:
    """Tell whether a run holds too many placements of a policy for all of them to be read for a page."""
    return run.rows_written > WHOLE * len(run.policies)


def named_between(run: Run, scheduler: str, low: float, high: float) -> Named:
    """Return the tasks that were in the system between `low` and `high`, and more, by what is stored of the clock.

    Of more than `MOST_TASKS` they are those of the latest stretches, none where the latest has over `MOST_AT_ONCE`.
    """
    keys: list[IntArray] = []
    since, count = np.inf, 0
    for one in Stretch.objects.of_policy(run, scheduler).back_from(high).iterator(chunk_size=16):
        more = one.task_keys
        count += len(more)
        if count > (MOST_TASKS if keys else MOST_AT_ONCE):
            since = since if keys else high
            break
        keys.append(more)
        since = one.from_time
        if since <= low:
            break
    else:
        # Before the first stretch nothing has arrived.
        since = low if Stretch.objects.of_policy(run, scheduler).exists() else np.inf
    every = np.unique(np.concatenate(keys)) if keys else np.zeros(0, np.int64)
    return Named(every, max(low, since))


def placements_of(run: Run, scheduler: str, keys: IntArray) -> Placements:
    """Return the placements of tasks by their primary keys, which ascend; read off unique keys."""
    placed = SchedulerResult.objects.of_tasks(run, scheduler, keys, PLACED)
    # Without their workload, by whose index SQLite would read all of its tasks.
    tasks = numbers_of_keys(Task.objects.all(), keys, TASKS)
    return joined(run, [placed[name] for name in PLACED], tuple(tasks.T))


def newest_placements(run: Run, scheduler: str) -> Placements:
    """Return those of one policy among the `MOST_TASKS` placements of a run that were stored last."""
    return placements_of(run, scheduler, SchedulerResult.objects.newest_tasks(run, scheduler, MOST_TASKS))


def placements_between(run: Run, scheduler: str, low: float, high: float) -> tuple[Placements, float]:
    """Return the placements of tasks in the system between `low` and `high`, and from when on they are all.

    More tasks may be among them. From when on is as `Named.known_from`.
    """
    if not is_long(run):
        return placements(run, scheduler), low
    named = named_between(run, scheduler, low, high)
    return placements_of(run, scheduler, named.keys), named.known_from
