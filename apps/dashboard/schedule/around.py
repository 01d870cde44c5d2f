"""The placements around an instant: of a long run only those of the stretches of its clock that are looked at."""

from dataclasses import dataclass

import numpy as np

from apps.dashboard.schedule.placements import PLACED, TASKS, Placements, joined, placements
from apps.results.models import Run, SchedulerResult, Stretch
from apps.tasks.managers import key_pages
from apps.tasks.models import Task
from scheduler_sim.engine.workload import IntArray

WHOLE = 100_000
"""Up to so many placements of a policy all are read, and kept in memory."""

MOST_TASKS = 20_000
"""At most about so many tasks are read of a longer run, those of its latest stretches before `high`."""


@dataclass(frozen=True)
class Around:
    """Placements around an instant.

    Attributes:
        known_from: from when on they are all.
        begin_time: the first arrival of the run, None where that is among them.
    """

    placed: Placements
    known_from: float
    begin_time: float | None


def placements_between(run: Run, scheduler: str, low: float, high: float) -> Around:
    """Return the placements of a run, of a long one those of tasks in the system between `low` and `high`.

    More tasks may be among them. The run keeps its stretches.
    """
    if run.rows_expected <= WHOLE * len(run.policies):
        return Around(placements(run, scheduler), low, None)
    keys: list[IntArray] = []
    since, count = high, 0
    every_stretch = Stretch.objects.of_policy(run, scheduler)
    for one in every_stretch.back_from(high).iterator(chunk_size=16):
        more = one.task_keys
        count += len(more)
        if keys and count > MOST_TASKS:
            break
        keys.append(more)
        since = one.from_time
        if since <= low:
            break
    else:
        since = low
    every = np.unique(np.concatenate(keys)) if keys else np.zeros(0, np.int64)
    placed = SchedulerResult.objects.of_tasks(run, scheduler, every, PLACED)
    rows: list[tuple[float, ...]] = []
    for some in key_pages(every):
        rows += Task.objects.filter(pk__in=some).order_by("pk").values_list(*TASKS)
    tasks = np.array(rows, np.float64).reshape(-1, len(TASKS)).T
    begin = every_stretch.first_after(-np.inf)
    return Around(joined(run, [placed[name] for name in PLACED], tuple(tasks)), max(low, since), begin)
