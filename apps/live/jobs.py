"""Playing runs in the background."""

import contextlib
import logging
from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q

from apps.live.models import SimulationState, StudyState
from apps.live.play.runner import Runner, stopping_on_signals
from apps.live.wire.publisher import Publisher
from apps.results.errors import DomainError, RunStateError
from apps.results.models import Run
from scheduler_sim import engine, logs
from scheduler_sim.background.kinds import Kind, register
from scheduler_sim.background.models import Job
from scheduler_sim.background.sweep import UNTAKEN_SECONDS, is_dead
from scheduler_sim.background.watch import Watch

logger = logging.getLogger(__name__)

INTERRUPTED = "The process that played it died: it was killed, or its machine was. Nothing that was stored is lost."
NEVER_BEGAN = "Nobody was to play it: what asked for it ended before a process was started."


@register
class RunKind(Kind):
    """A run, played by the same code as `runsimulation` plays it."""

    name = "run"
    model = Run
    page = "run-detail"
    verb = "played it"
    on_workers = True
    expected = (DomainError, engine.EngineError)

    def work(self, job: Job) -> str | None:
        """Play it to its end."""
        run = Run.objects.get(pk=job.subject_id or 0)
        named = logs.run_id.set(str(run.pk))
        try:
            runner = Runner(run, observers=[Publisher()])
            with stopping_on_signals(runner):
                runner.play()
            logger.info("Run %s is %s with %s placements.", run.pk, run.status, run.rows_written)
        finally:
            logs.run_id.reset(named)
        return run.status

    def ended(self, job: Job) -> None:
        """End the run as its job did, unless it has an end or another process plays it."""
        state = SimulationState.objects.select_related("run").filter(run=job.subject_id).first()
        if state is None or state.run.is_over or (state.is_alive and not state.is_mine):
            return
        if job.was_interrupted:
            state.abandon()
        if job.status == Job.Status.STOPPED:
            state.run.stop()
        else:
            state.run.fail(job.error or INTERRUPTED)

    def verdict(self, job: Job) -> str | None:
        """Return the run's own end."""
        run = self.subject(job.subject_id or 0)
        return run.status if run is not None and run.is_over else None

    def sweep(self, watch: Watch) -> None:
        """Fail runs whose process is dead, unless their study will take them up, and those that nobody will play."""
        claimed = Q(process_id__isnull=False) | Q(run__status__in=(Run.Status.RUNNING, Run.Status.PAUSED))
        states = SimulationState.objects.select_related("run").exclude(run__status__in=Run.TERMINAL)
        open_jobs = set(Job.objects.active().filter(kind=self.name).values_list("subject_id", flat=True))
        played = _studies_played()
        for state in states.filter(claimed).exclude(run__in=open_jobs):
            if state.run.study_id not in played and is_dead(state, watch):
                _interrupt(state, INTERRUPTED)
        for state in states.exclude(claimed).filter(run__study__isnull=True).exclude(run__in=open_jobs):
            if watch.seen_for(("unplayed run", state.run_id)) >= UNTAKEN_SECONDS:
                _interrupt(state, NEVER_BEGAN)


@transaction.atomic
def _interrupt(state: SimulationState, sentence: str) -> None:
    if state.abandon():
        # It may have come to its end at this very moment.
        with contextlib.suppress(RunStateError):
            state.run.fail(sentence)


def _studies_played() -> set[int]:
    """Return the studies whose runs a living process hands out, and will hand out again when one dies."""
    states: Iterable[StudyState] = StudyState.objects.filter(process_id__isnull=False)
    return {state.study_id for state in states if state.is_alive}
