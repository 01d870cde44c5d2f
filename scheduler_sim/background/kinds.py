"""The kinds of work that are done in the background; each app registers its own in its module `jobs`."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from django.db.models import Model
from django.urls import reverse
from django.utils.module_loading import autodiscover_modules

from scheduler_sim.background.models import Job
from scheduler_sim.background.watch import Watch


class Kind:
    """How one kind of work is done, shown and ended.

    Attributes:
        name: as stored with each job.
        verb: what its process does, as in `the process that played it`.
        at_once: how many of it may be under way on one machine, None for as many as there are processes.
        takes_place: whether it counts among the processes that run at once.
        on_workers: whether it is left to a Celery worker where there is a broker.
        expected: exceptions whose text is a sentence for people.
        model: of the row that a job is about; None for kinds without one.
        page: the route of that row's page.
    """

    name = ""
    verb = "did it"
    at_once: int | None = None
    takes_place = True
    on_workers = False
    expected: tuple[type[Exception], ...] = ()
    model: type[Model] | None = None
    page = ""

    def subject(self, key: int) -> Any:
        """Return the row `key` that a job of this kind is about, None where it is gone or there is none."""
        return None if self.model is None else self.model._default_manager.filter(pk=key).first()

    def title(self, job: Job) -> str:
        """Return what a list calls a job."""
        subject = None if job.subject_id is None else self.subject(job.subject_id)
        return str(subject) if subject is not None else f"{self.name} {job.subject_id or ''}".strip()

    def address(self, job: Job) -> str:
        """Return the page of what the job is about, empty where there is none."""
        return reverse(self.page, args=[job.subject_id]) if self.page else ""

    def is_startable(self, job: Job) -> bool:
        """Tell whether this machine has what the job needs."""
        return True

    def work(self, job: Job) -> str | None:
        """Do it, in the process of the job; return how it ended where that is not `finished`.

        What it raises ends the job as failed.
        """
        raise NotImplementedError

    def ended(self, job: Job) -> None:
        """Bring the row that the job is about in line with a job that ended by `job.status`; in its transaction."""

    def verdict(self, job: Job) -> str | None:
        """Return how the work ended where its own row says so, whatever became of the process."""

    def stop(self, job: Job) -> None:
        """Pass on that the job is to stop, where the process looks elsewhere than at the job's row."""

    def sweep(self, watch: Watch) -> None:
        """End what is left of this kind that no job stands for and no process works on."""


_kinds: dict[str, Kind] = {}


def register(kind: type[Kind]) -> type[Kind]:
    """Make a kind known; a decorator of its class."""
    _kinds[kind.name] = kind()
    return kind


def every() -> Iterator[Kind]:
    """Yield all kinds."""
    _discover()
    yield from _kinds.values()


def find(name: str) -> Kind:
    """Return the kind of that name.

    Raises:
        KeyError: there is none.
    """
    _discover()
    return _kinds[name]


@lru_cache(maxsize=1)
def _discover() -> None:
    autodiscover_modules("jobs")
