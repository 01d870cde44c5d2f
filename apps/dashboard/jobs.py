"""Installing the built-in lessons in the background."""

from django.urls import reverse

from apps.results.errors import DomainError
from scheduler_sim import engine
from scheduler_sim.background.kinds import Kind, register
from scheduler_sim.background.models import Job


@register
class LessonsKind(Kind):
    """The lessons of the package, played one after the other."""

    name = "lessons"
    verb = "installed them"
    at_once = 1
    expected = (DomainError, engine.EngineError)

    def title(self, job: Job) -> str:
        """Return what is installed."""
        return "built-in lessons"

    def address(self, job: Job) -> str:
        """Return the page of all lessons."""
        return reverse("lesson-list")

    def work(self, job: Job) -> str | None:
        """Install those that are not there as they are."""
        # What plays loads the engine, and other commands ask only which kinds there are.
        from apps.dashboard.lessons.services import lessons_install
        from apps.dashboard.lessons.stored import built_in

        lessons_install(lessons=built_in(), tell=job.tell)
        return None
