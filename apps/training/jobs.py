"""Fitting models and searching policies in the background."""

from django.urls import reverse

from apps.results.errors import DomainError
from apps.training.models import PolicySearch, TrainedModel
from scheduler_sim import engine
from scheduler_sim.background.kinds import Kind, register
from scheduler_sim.background.models import Job
from scheduler_sim.background.sweep import is_dead
from scheduler_sim.background.watch import Watch


class _ModelKind(Kind):
    """Something whose outcome is a stored model; what was asked for stands in the job."""

    on_workers = True
    expected = (DomainError, engine.EngineError)

    def address(self, job: Job) -> str:
        """Return the page of models."""
        return reverse("training")

    def keep(self, job: Job, model: TrainedModel) -> None:
        """Note what came of it."""
        job.outcome = {"model": model.pk, "name": model.name, "version": model.version}
        job.save(update_fields=["outcome"])


@register
class TrainingKind(_ModelKind):
    """A model fitted to stored data."""

    name = "training"
    verb = "fitted it"

    def title(self, job: Job) -> str:
        """Return the kind of model, and its name where it was given."""
        return " ".join(filter(None, (job.arguments.get("kind"), job.arguments.get("name"))))

    def work(self, job: Job) -> str | None:
        """Fit and store it."""
        # What learns loads the engine and more, and other commands ask only which kinds there are.
        from apps.training.requests import ModelRequest

        job.tell("fitting")
        self.keep(job, ModelRequest.from_json(job.arguments).train())
        return None


@register
class SearchKind(_ModelKind):
    """A score searched over simulated sequences."""

    name = "search"
    verb = "searched"

    def title(self, job: Job) -> str:
        """Return the name that the policy is to get."""
        return f"policy search {job.arguments.get('name', '')}".strip()

    def work(self, job: Job) -> str | None:
        """Search, judge and store."""
        from apps.training.requests import SearchRequest
        from apps.training.under_way import in_words

        asked = SearchRequest(**job.arguments)
        self.keep(job, asked.search(noted=lambda search: job.tell(in_words(search))))
        return None

    def sweep(self, watch: Watch) -> None:
        """Forget how far searches were whose process is gone."""
        for search in PolicySearch.objects.all():
            if is_dead(search, watch):
                search.delete()
