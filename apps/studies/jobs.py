"""Playing studies in the background."""

from apps.live.models import StudyState
from apps.results.errors import DomainError
from apps.results.models import Study
from apps.studies.control import runs_stop
from apps.studies.definition import Definition
from apps.studies.play.execution import study_play
from scheduler_sim import engine
from scheduler_sim.background.kinds import Kind, register
from scheduler_sim.background.models import Job
from scheduler_sim.background.sweep import is_dead
from scheduler_sim.background.watch import Watch


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
            runs_stop(study=study)

    def sweep(self, watch: Watch) -> None:
        """Let go of studies whose process died, so that their page says so and they can be taken up."""
        for state in StudyState.objects.filter(process_id__isnull=False):
            if is_dead(state, watch):
                state.abandon()
