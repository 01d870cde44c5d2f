"""Playing runs and what-ifs in the background."""

import contextlib
import logging
import time
from collections.abc import Iterable
from urllib.parse import urlencode

from django.db import transaction
from django.db.models import Q
from django.urls import reverse

from apps.live.models import SimulationState, StudyState, WhatIf
from apps.results.errors import DomainError, RunStateError
from apps.results.models import Run
from scheduler_sim import engine, logs
from scheduler_sim.background.kinds import Kind, register
from scheduler_sim.background.limits import LimitReached, limited_by
from scheduler_sim.background.models import Job
from scheduler_sim.background.sweep import UNTAKEN_SECONDS, is_dead
from scheduler_sim.background.watch import Watch

logger = logging.getLogger(__name__)

RACE = "race"
"""The kind of job that plays a race without end."""

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
        # What plays loads the engine, and other commands ask only which kinds there are.
        from apps.live.play.runner import Runner, stopping_on_signals
        from apps.live.wire.publisher import Publisher

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
        playing = Job.objects.active().filter(kind__in=(self.name, RACE))
        open_jobs = set(playing.values_list("subject_id", flat=True))
        played = _studies_played()
        for state in states.filter(claimed).exclude(run__in=open_jobs):
            if state.run.study_id not in played and is_dead(state, watch):
                _interrupt(state, INTERRUPTED)
        for state in states.exclude(claimed).filter(run__study__isnull=True).exclude(run__in=open_jobs):
            if watch.seen_for(("unplayed run", state.run_id)) >= UNTAKEN_SECONDS:
                _interrupt(state, NEVER_BEGAN)


@register
class RaceKind(RunKind):
    """A race without end: round after round of fresh tasks, from the round that is stored until one is stopped."""

    name = RACE
    at_once = 1
    # It would keep a place for ever.
    takes_place = False
    on_workers = False

    def title(self, job: Job) -> str:
        """Return the race's name."""
        return str(job.arguments.get("name", super().title(job)))

    def address(self, job: Job) -> str:
        """Return the page of the round that it has come to."""
        return reverse("run-detail", args=[job.outcome.get("rounds", [job.subject_id])[-1]])

    def work(self, job: Job) -> str | None:
        """Play rounds until one of them does not finish, or the race is stopped when one just has."""
        from apps.live.play.races import race_play
        from apps.live.wire.publisher import Publisher

        last = race_play(job, lambda: [Publisher()])
        return Job.Status.STOPPED if last.status == Run.Status.FINISHED else last.status

    def verdict(self, job: Job) -> str | None:
        """Return nothing: that a round is over does not end the race."""
        return None

    def sweep(self, watch: Watch) -> None:
        """Leave its rounds to the sweep of runs."""


@register
class WhatIfKind(Kind):
    """A what-if, played at once beside whatever waits for a process."""

    name = WhatIf.JOB
    model = WhatIf
    verb = "played it"
    at_once = 2
    takes_place = False
    expected = (DomainError, engine.EngineError, LimitReached)

    def address(self, job: Job) -> str:
        """Return the page that it was asked on, with what it changes."""
        asked = self.subject(job.subject_id or 0)
        if asked is None:
            return ""
        return f"{reverse('run-what-if', args=[asked.run_id])}?{urlencode(asked.changes)}"

    def work(self, job: Job) -> str | None:
        """Play both sides, within the limits of memory and time."""
        # What plays loads the engine, and other commands ask only which kinds there are.
        from apps.live.what_if.answer import answer
        from apps.live.what_if.services import what_if_reread

        found = WhatIf.objects.select_related("run__workload", "run__site").get(pk=job.subject_id or 0)
        named = logs.run_id.set(str(found.run_id))
        began = time.monotonic()
        try:
            with limited_by("WHAT_IF"):
                figures = answer(what_if_reread(found))
        finally:
            logs.run_id.reset(named)
        found.answer(figures, time.monotonic() - began)
        return None

    def verdict(self, job: Job) -> str | None:
        """Return that it is finished once it is answered, whatever became of the process."""
        found = self.subject(job.subject_id or 0)
        return Job.Status.FINISHED if found is not None and found.is_answered else None


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
