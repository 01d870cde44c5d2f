"""Playing studies and searching purchases in the background."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.urls import reverse

from apps.live.models import StudyState
from apps.results.errors import DomainError
from apps.results.models import Run, Study
from scheduler_sim import engine
from scheduler_sim.background.kinds import Kind, register
from scheduler_sim.background.models import Job
from scheduler_sim.background.sweep import is_dead
from scheduler_sim.background.watch import Watch
from scheduler_sim.engine.crew import cores

if TYPE_CHECKING:
    from apps.studies.purchase.outcome import PurchaseOutcome


@register
class StudyKind(Kind):
    """A study; its process hands the runs out to workers of its own, so one at a time is under way on a machine."""

    name = "study"
    model = Study
    page = "study-detail"
    verb = "handed its runs out"
    at_once = 1
    expected = (DomainError, engine.EngineError)

    def work(self, job: Job) -> str | None:
        """Play what is missing of it."""
        # What plays loads much, and other commands ask only which kinds there are.
        from apps.studies.definition import Definition
        from apps.studies.play.execution import study_play

        study = Study.objects.get(pk=job.subject_id or 0)
        outcome = study_play(
            Definition.from_json(study.definition),
            tell=job.tell,
            advanced=lambda done, total: job.tell(f"{done:,} of {total:,} runs are over"),
        )
        if outcome.failed:
            job.error = f"{outcome.failed:,} of {outcome.runs:,} runs failed; their pages say why."
            return Job.Status.FAILED
        return Job.Status.STOPPED if outcome.stopped else None

    def stop(self, job: Job) -> None:
        """Stop the runs that wait or are under way."""
        study = self.subject(job.subject_id or 0)
        if study is not None:
            from apps.studies.control import runs_stop

            runs_stop(study=study)

    def sweep(self, watch: Watch) -> None:
        """Let go of studies whose process died, so that their page says so and they can be taken up."""
        for state in StudyState.objects.filter(process_id__isnull=False):
            if is_dead(state, watch):
                state.abandon()


@register
class PurchaseKind(Kind):
    """A search for the cheapest change that reaches a target; what was asked and what is found stand in the job."""

    name = "purchase"
    model = Run
    verb = "searched"
    on_workers = True
    expected = (DomainError, engine.EngineError)

    def title(self, job: Job) -> str:
        """Return what is wanted of which run."""
        return (
            f"{job.arguments.get('target', 'purchase')} ({self.subject(job.subject_id or 0) or 'a run that is gone'})"
        )

    def address(self, job: Job) -> str:
        """Return the page of the search."""
        return reverse("purchase", args=[job.pk])

    def work(self, job: Job) -> str | None:
        """Search; a worker of Celery, which may have no processes of its own, plays by itself."""
        from apps.studies.purchase.request import PurchaseRequest
        from apps.studies.purchase.searching import purchase_search

        run = Run.objects.select_related("workload").get(pk=job.subject_id or 0)

        def advanced(found: "PurchaseOutcome") -> None:
            job.outcome = found.as_json()
            job.save(update_fields=["outcome"])
            job.tell(f"{len(found.search.plays):,} changes played, {found.search.left:,} open")

        found = purchase_search(
            run=run,
            request=PurchaseRequest.read(job.arguments),
            workers=1 if settings.CELERY_BROKER_URL else cores(),
            advanced=advanced,
        )
        advanced(found)
        return Job.Status.STOPPED if found.is_stopped else None
