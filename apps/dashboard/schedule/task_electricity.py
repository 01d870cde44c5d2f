"""What the electricity of one task emitted and cost under every policy of a run that names series."""

from collections.abc import Iterable

from apps.live.play.task_electricity import Electricity, Reckoner, span_of
from apps.results.models import Attempt, Run, SchedulerResult
from apps.tasks.models import Task
from scheduler_sim.engine.errors import InvalidParameter


def task_electricity(
    run: Run, task: Task, results: Iterable[SchedulerResult], attempts: Iterable[Attempt]
) -> dict[str, Electricity]:
    """Return it by policy; empty where `Reckoner.of` knows nothing of the run, or it is not over yet.

    Nothing is told of split tasks, whose sides draw for spans of their own.
    """
    reckoner = None if task.kind == "hybrid" else Reckoner.of(run)
    if reckoner is None:
        return {}
    whole = {
        one.scheduler: [span_of(one.energy_joules, one.start_time, one.finish_time)]
        for one in results
        if one.finish_time > one.start_time
    }
    told: dict[str, list[tuple[float, float, float]]] = {}
    for attempt in sorted(attempts, key=lambda one: one.number):
        if attempt.scheduler in whole:
            span = reckoner.attempt(attempt.node, attempt.cpus, attempt.gpus, attempt.start_time, attempt.end_time)
            told.setdefault(attempt.scheduler, []).append(span)
    whole |= told
    try:
        return dict(zip(whole, reckoner.reckoned(list(whole.values())), strict=True))
    except InvalidParameter:
        return {}
