"""Playing a study: what is missing, on the engine that there is, until there are replications enough."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import DurationField, ExpressionWrapper, F

from apps.live.studies.broker import play_on_workers
from apps.live.studies.definition import Definition, Stopping
from apps.live.studies.figures import study_values
from apps.live.studies.grid import release_others, runs_store, study_store
from apps.live.studies.pool import cores, play_on_pool
from apps.results.models import Run, Study
from apps.tasks.models import Workload
from scheduler_sim.engine.statistics import enough

Tell = Callable[[str], None]
Advanced = Callable[[int, int], None]

UNPLAYED = (Run.Status.QUEUED, Run.Status.RUNNING, Run.Status.PAUSED)


@dataclass(frozen=True)
class Plan:
    """What playing a study would mean.

    Attributes:
        runs: in the whole grid.
        missing: those that are not finished.
        plays: policies x missing runs.
        tasks: simulated in one run and policy, on average; None when no workload is known.
        seconds: estimated wall time from measured runs, None without any.
        measured: how many runs the estimate rests on.
    """

    runs: int
    missing: int
    plays: int
    tasks: float | None
    seconds: float | None
    measured: int


@dataclass(frozen=True)
class Outcome:
    """What became of a study's runs."""

    study: Study
    runs: int
    finished: int
    failed: int
    stopped: int


def study_plan(definition: Definition, *, workers: int) -> Plan:
    """Say what playing a study would mean; store nothing.

    The time is that of runs measured here before, by placements simulated: of this study where it has some, else of
    all finished runs that stored as much as this one is to.
    """
    study = Study.objects.filter(name=definition.name).first()
    finished = study.runs.finished().count() if study is not None else 0
    missing = max(0, definition.run_count - finished)
    measured = Run.objects.finished().filter(configuration__keep=definition.fixed["keep"])
    own = measured.filter(study=study) if study is not None else measured.none()
    speed, count = _seconds_a_play(own)
    if not count:
        speed, count = _seconds_a_play(measured)
    tasks = _mean_tasks(definition)
    plays = missing * len(definition.policies)
    seconds = plays * tasks * speed / workers if speed is not None and tasks is not None else None
    return Plan(definition.run_count, missing, plays, tasks, seconds, count)


def study_play(
    definition: Definition,
    *,
    workers: int | None = None,
    tell: Tell = lambda _text: None,
    advanced: Advanced = lambda _done, _total: None,
) -> Outcome:
    """Store what is missing of a study's runs and play it.

    Interrupted anywhere, it goes on from there when it is called again; failed and stopped runs are tried again.

    Args:
        workers: processes on this machine; None for all cores, or for the Celery workers where there is a broker.
        tell: called with a sentence now and then.
        advanced: called with the number of runs that are over and of all.

    Raises:
        DomainError, EngineError: a workload cannot be had, or a policy does not exist.
    """
    study = study_store(definition)
    stopping = definition.stopping
    batch = definition.seeds[: stopping.minimum] if stopping else definition.seeds
    runs: list[Run] = []
    while batch:
        tell(f"Storing {len(batch)} seeds of the grid ...")
        new = runs_store(study, definition, seeds=batch, progress=tell)
        runs += new
        _again(new)
        _play([run.pk for run in new], workers=workers, advanced=advanced)
        batch = _next_seeds(study, definition, stopping, played=len({run.seed for run in runs})) if stopping else ()
        if batch:
            tell(f"Not narrow enough yet: {len(batch)} more seeds.")
    if gone := release_others(study, runs):
        tell(f"{gone} runs that the definition does not name any more are now runs of their own.")
    counts = study.counts()
    return Outcome(study, len(runs), counts.get("finished", 0), counts.get("failed", 0), counts.get("stopped", 0))


def _again(runs: Sequence[Run]) -> None:
    """Queue what failed or was stopped once more."""
    keys = [run.pk for run in runs if run.status in (Run.Status.FAILED, Run.Status.STOPPED)]
    Run.objects.filter(pk__in=keys).update(status=Run.Status.QUEUED, error="", finished_at=None)


def _play(run_ids: Sequence[int], *, workers: int | None, advanced: Advanced) -> None:
    finished = set(Run.objects.finished().filter(pk__in=run_ids).values_list("pk", flat=True))
    missing = [run_id for run_id in run_ids if run_id not in finished]
    over = len(finished)
    advanced(over, len(run_ids))

    def ended(_run_id: int, _status: str) -> None:
        nonlocal over
        over += 1
        advanced(over, len(run_ids))

    if not missing:
        return
    if settings.CELERY_BROKER_URL and workers is None:
        play_on_workers(missing, on_end=ended)
    else:
        play_on_pool(missing, workers=workers or cores(), on_end=ended)


def _next_seeds(study: Study, definition: Definition, stopping: Stopping, *, played: int) -> tuple[int, ...]:
    """Return the next seeds to play, none when every interval is narrow enough or the most were played."""
    values = study_values(study, stopping.figure)
    wide = any(
        not enough(
            list(of_policy.values()),
            figure=stopping.figure,
            relative_width=stopping.relative_width,
            minimum=stopping.minimum,
        )
        for of_cell in values.values()
        for of_policy in of_cell.values()
    )
    # Half as many again: few rounds, and seldom far too many replications.
    return definition.seeds[played : played + max(1, played // 2)] if wide else ()


def _seconds_a_play(runs: Any) -> tuple[float | None, int]:
    """Return the measured seconds per task and policy of a run, and of how many runs."""
    took = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
    newest = runs.order_by("-pk").filter(workload__task_count__gt=0)[:200]
    rows = list(
        newest.annotate(took=took).values_list("took", "workload__task_count", "policies", "configuration__limit")
    )
    plays = sum(min(count, limit or count) * len(policies) for _, count, policies, limit in rows)
    seconds = sum(took.total_seconds() for took, *_ in rows if took is not None)
    return (seconds / plays, len(rows)) if plays else (None, 0)


def _mean_tasks(definition: Definition) -> float | None:
    limit = definition.fixed.get("limit")
    known = []
    for source in definition.sources:
        count = source.tasks or Workload.objects.filter(name=source.stored).values_list("task_count", flat=True).first()
        if count:
            known.append(min(count, limit or count))
    return sum(known) / len(known) if known else limit
