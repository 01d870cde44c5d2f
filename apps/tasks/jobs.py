"""Reading uploads and making forecasts in the background."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import transaction

from apps.tasks.errors import WorkloadError
from apps.tasks.models import ForecastTrial, StartForecast, WorkloadImport
from scheduler_sim import engine
from scheduler_sim.background.kinds import Kind, register
from scheduler_sim.background.limits import LimitReached, limited_by
from scheduler_sim.background.models import Job
from scheduler_sim.background.processes import host_name
from scheduler_sim.background.sweep import UNTAKEN_SECONDS
from scheduler_sim.background.watch import Watch

AT_ONCE = 2
"""More uploads than this are not read at the same time: each holds its file in memory."""

TOLD_EVERY = 1.0
"""How often progress is written down at most, in seconds."""

ELSEWHERE_SECONDS = 6 * 3600.0
"""An upload whose machine has not read it for so long is given up."""


@register
class ImportKind(Kind):
    """A file sent over HTTP, read on the machine that has it."""

    name = "import"
    model = WorkloadImport
    page = "workload-import"
    verb = "read it"
    at_once = AT_ONCE
    expected = (engine.EngineError, LimitReached)

    def title(self, job: Job) -> str:
        """Return the file's name."""
        sent = self.subject(job.subject_id or 0)
        return sent.file_name if sent is not None else super().title(job)

    def is_startable(self, job: Job) -> bool:
        """Tell whether the file is on this machine."""
        sent = self.subject(job.subject_id or 0)
        return sent is None or job.host == host_name() or Path(sent.stored_file).is_file()

    def work(self, job: Job) -> str | None:
        """Read the file, within the limits of memory and time."""
        # What reads and plays loads the engine and more, and other commands ask only which kinds there are.
        from apps.tasks.uploads import upload_read

        with limited_by("UPLOAD"):
            upload_read(sent=WorkloadImport.objects.get(pk=job.subject_id or 0))
        return None

    def ended(self, job: Job) -> None:
        """Fail the import as its job did."""
        sent = self.subject(job.subject_id or 0)
        if sent is not None and job.status != Job.Status.FINISHED:
            from apps.tasks.uploads import upload_end

            error = job.error or "It was stopped before it was read."
            upload_end(sent=sent, status=WorkloadImport.Status.FAILED, error=error)

    def verdict(self, job: Job) -> str | None:
        """Return the import's own end."""
        sent = self.subject(job.subject_id or 0)
        return sent.status if sent is not None and sent.status not in WorkloadImport.UNFINISHED else None

    def sweep(self, watch: Watch) -> None:
        """Fail what no job is to read, as left behind by earlier versions."""
        jobs = Job.objects.active().filter(kind=self.name).values("subject_id")
        for sent in WorkloadImport.objects.filter(status__in=WorkloadImport.UNFINISHED).exclude(pk__in=jobs):
            if watch.seen_for(("unread import", sent.pk)) >= UNTAKEN_SECONDS:
                from apps.tasks.uploads import upload_end

                upload_end(sent=sent, status=WorkloadImport.Status.FAILED, error="The process that read it died.")
        for job in Job.objects.filter(kind=self.name, status=Job.Status.QUEUED):
            if not self.is_startable(job) and watch.seen_for(("elsewhere", job.pk)) >= ELSEWHERE_SECONDS:
                self._give_up(job)

    @transaction.atomic
    def _give_up(self, job: Job) -> None:
        error = f"Its file lies on the machine {job.host}, which has not read it for hours; upload it again."
        if job.end(Job.Status.FAILED, error=error, where={"status": Job.Status.QUEUED}):
            self.ended(job)


class ForecastingKind(Kind):
    """Forecasts, beside whatever waits for a process; within the limits of memory and time."""

    verb = "made it"
    at_once = 1
    takes_place = False
    expected = (engine.EngineError, LimitReached)
    model: type[StartForecast | ForecastTrial]

    def asked(self, job: Job) -> Any:
        """Return what is asked for, with the site and the history that it is about."""
        return self.model._default_manager.select_related("site", "history").get(pk=job.subject_id or 0)


@register
class ForecastKind(ForecastingKind):
    """A forecast of starts."""

    name = StartForecast.JOB
    model = StartForecast
    page = "forecast-detail"

    def work(self, job: Job) -> str | None:
        """Make it."""
        from apps.tasks.forecasts.starts import forecast_document, forecast_make

        asked = self.asked(job)
        with limited_by("FORECAST"):
            found = forecast_make(
                **asked.terms,
                queue=asked.queue,
                queue_name=asked.file_name,
                at=asked.queue_at,
                on_replica=seldom(lambda done: job.tell(f"{done:,} of {asked.replicas:,} futures played")),
            )
        asked.keep(forecast_document(found))
        return None


@register
class TrialKind(ForecastingKind):
    """Forecasts on trial, one trial after the other."""

    name = ForecastTrial.JOB
    model = ForecastTrial
    page = "forecast-trial"

    def work(self, job: Job) -> str | None:
        """Make it; what is known is kept after each instant."""
        from apps.tasks.forecasts.trials import trial_make

        asked = self.asked(job)
        if asked.history is None:
            raise WorkloadError("The history was deleted before it was read.")

        def advanced(done: int, planned: int, document: dict[str, Any]) -> None:
            asked.keep(document)
            job.tell(f"forecast at {done:,} of {planned:,} instants")

        with limited_by("FORECAST", times=asked.instants):
            trial_make(
                **asked.terms,
                queues=asked.queues,
                slurm_starts=asked.slurm_starts,
                instants=asked.instants,
                advanced=advanced,
            )
        return None


def seldom(tell: Callable[[int], None], every: float = TOLD_EVERY) -> Callable[[int], None]:
    """Return what tells a count, the first time and then at most every so many seconds."""
    told = -math.inf

    def perhaps(done: int) -> None:
        nonlocal told
        if time.monotonic() - told >= every:
            told = time.monotonic()
            tell(done)

    return perhaps
