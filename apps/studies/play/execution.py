"""Playing a study: what is missing, on the engine that there is, until there are replications enough."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError

from apps.live.models import StudyState
from apps.results.models import Run, Study
from apps.studies.definition import Definition, Stopping
from apps.studies.grid import release_others, runs_store, study_store
from apps.studies.play.pool import play_on_pool
from apps.studies.report.figures import study_values
from scheduler_sim.engine.crew import cores
from scheduler_sim.engine.numerics.statistics import enough

Tell = Callable[[str], None]
Advanced = Callable[[int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a study's runs."""

    study: Study
    runs: int
    finished: int
    failed: int
    stopped: int


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
        RunStateError: another process plays the study.
        DomainError, EngineError: a workload cannot be had, or a policy does not exist.
    """
    study = study_store(definition)
    with _claimed(study) as state:

        def say(text: str) -> None:
            state.beat()
            tell(text)

        runs = _play_all(study, definition, _Hands(workers=workers, tell=say, advanced=advanced, beat=state.beat))
    if gone := release_others(study, runs):
        tell(f"{gone} runs that the definition does not name any more are now runs of their own.")
    counts = study.counts()
    return Outcome(study, len(runs), counts.get("finished", 0), counts.get("failed", 0), counts.get("stopped", 0))


@dataclass(frozen=True)
class _Hands:
    """Who plays, and who is told of it."""

    workers: int | None
    tell: Tell
    advanced: Advanced
    beat: Callable[[], None]


@contextmanager
def _claimed(study: Study) -> Iterator[StudyState]:
    """Let one process at a time hand the study's runs out."""
    state, _ = StudyState.objects.select_related("study").get_or_create(study=study)
    state.claim()
    try:
        yield state
    finally:
        # A database that is away will find the process dead.
        with suppress(DatabaseError):
            state.release()


def _play_all(study: Study, definition: Definition, hands: _Hands) -> list[Run]:
    """Store and play batches of seeds until there are enough, and return their runs."""
    stopping = definition.stopping
    batch = definition.seeds[: stopping.minimum] if stopping else definition.seeds
    runs: list[Run] = []
    while batch:
        hands.tell(f"Storing {len(batch)} seeds of the grid ...")
        new = runs_store(study, definition, seeds=batch, progress=hands.tell)
        runs += new
        _again(new)
        _play([run.pk for run in new], hands)
        # A study that somebody stopped goes on when it is asked for again, not by itself.
        if stopping is None or study.runs.filter(status=Run.Status.STOPPED).exists():
            break
        batch = _next_seeds(study, definition, stopping, played={run.seed for run in runs})
        if batch:
            hands.tell(f"Not narrow enough yet: {len(batch)} more seeds.")
    return runs


def _again(runs: Sequence[Run]) -> None:
    """Queue what failed or was stopped once more."""
    keys = [run.pk for run in runs if run.status in (Run.Status.FAILED, Run.Status.STOPPED)]
    Run.objects.filter(pk__in=keys).update(status=Run.Status.QUEUED, error="", finished_at=None)


def _play(run_ids: Sequence[int], hands: _Hands) -> None:
    finished = set(Run.objects.finished().filter(pk__in=run_ids).values_list("pk", flat=True))
    missing = [run_id for run_id in run_ids if run_id not in finished]
    over = len(finished)
    hands.advanced(over, len(run_ids))

    def ended(_run_id: int, _status: str) -> None:
        nonlocal over
        over += 1
        hands.advanced(over, len(run_ids))

    if not missing:
        return
    if settings.CELERY_BROKER_URL and hands.workers is None:
        # Celery takes long to import, and most studies do without it.
        from apps.studies.play.broker import play_on_workers

        play_on_workers(missing, on_end=ended, beat=hands.beat)
    else:
        play_on_pool(missing, workers=hands.workers or cores(), on_end=ended, beat=hands.beat)


def _next_seeds(study: Study, definition: Definition, stopping: Stopping, *, played: set[int]) -> tuple[int, ...]:
    """Return the next seeds to play, none when every interval is narrow enough or the most were played."""
    wide = any(
        not enough(
            # Not those of an earlier, longer round, so that playing it again stops where it stopped before.
            [value for seed, value in of_policy.items() if seed in played],
            figure=stopping.figure,
            relative_width=stopping.relative_width,
            minimum=stopping.minimum,
        )
        for of_cell in study_values(study, [stopping.figure])[stopping.figure].values()
        for of_policy in of_cell.values()
    )
    # Half as many again: few rounds, and seldom far too many replications.
    return definition.seeds[len(played) : len(played) + max(1, len(played) // 2)] if wide else ()
