"""Lessons that are there: those of the package, and those that are installed.

An installed lesson has no table. Its tasks are a workload whose source is `lesson`; what it says, and which run
answers it, stands in that workload's audit.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from apps.dashboard.lessons.document import InvalidLesson, Lesson, read_lesson
from apps.results.models import Run
from apps.tasks.managers import OF_LESSONS
from apps.tasks.models import Workload

SOURCE = OF_LESSONS
"""What the workload of a lesson says of where it comes from."""

MOST = 200
"""So many lessons may be installed."""

BUILT_IN = Path(__file__).parent / "builtin"


@dataclass(frozen=True)
class Installed:
    """A lesson that is installed.

    Attributes:
        run_id: the run that answers it; it may be deleted, or of an earlier engine.
        is_shown: its run was held to what the lesson expects, and what it says can be read by this version.
    """

    workload: Workload
    run_id: int | None
    is_shown: bool

    @classmethod
    def of(cls, workload: Workload) -> "Installed":
        """Read what the workload of a lesson keeps of it."""
        kept = workload.audit[SOURCE]
        found = cls(workload, kept.get("run"), kept.get("is_shown", False))
        return found if found.is_readable else replace(found, is_shown=False)

    @cached_property
    def lesson(self) -> Lesson:
        """What it says.

        Raises:
            InvalidLesson: another version has written it.
        """
        return Lesson.from_json(self.workload.audit[SOURCE]["document"])

    @property
    def is_readable(self) -> bool:
        """Whether this version can read what it says; else it is as good as not installed, and can be removed."""
        try:
            return bool(self.lesson)
        except InvalidLesson:
            return False

    @property
    def run(self) -> Run | None:
        """The run, None where it was deleted."""
        return self.workload.runs.filter(pk=self.run_id or 0).first()

    @property
    def other_runs(self) -> Any:
        """Runs of the same tasks that somebody else asked for, the newest first."""
        return self.workload.runs.exclude(pk=self.run_id or 0).order_by("-pk")

    def note(self, **changes: Any) -> "Installed":
        """Keep which run answers it, or that it was held to what is expected, and return it as it then is."""
        self.workload.audit = {**self.workload.audit, SOURCE: {**self.workload.audit[SOURCE], **changes}}
        self.workload.save(update_fields=["audit"])
        return Installed.of(self.workload)


@lru_cache(maxsize=1)
def built_in() -> tuple[Lesson, ...]:
    """Return the lessons of the package, in their order."""
    found = [read_lesson(file.read_text(encoding="utf-8"), name=file.name) for file in BUILT_IN.glob("*.yaml")]
    return tuple(sorted(found, key=in_order))


def in_order(lesson: Lesson) -> tuple[int, str]:
    """Return what lists of lessons are sorted by."""
    return lesson.order, lesson.title


def workloads(name: str = "") -> list[Workload]:
    """Return the workloads of lessons, or of those of one name, the newest first."""
    found = Workload.objects.filter(source=SOURCE, audit__lesson__isnull=False)
    return list((found.filter(audit__lesson__document__name=name) if name else found)[: 2 * MOST])


def given_up(lesson: Lesson) -> Workload | None:
    """Return the tasks of a lesson that was removed while runs of others play them, None where there are none."""
    found = Workload.objects.filter(source=SOURCE, source_sha256=lesson.digest, audit__lesson__isnull=True)
    return found.first()


def lessons_with(policy: str) -> list[Lesson]:
    """Return the lessons, built-in and installed, that play a policy, in their order."""
    known = {lesson.name: lesson for lesson in built_in()} | {name: one.lesson for name, one in installed().items()}
    return sorted((lesson for lesson in known.values() if policy in lesson.policies), key=in_order)


def installed() -> dict[str, Installed]:
    """Return the lessons that can be shown, by name; of two of one name the newer."""
    return _newest(map(Installed.of, workloads()))


def lesson_installed(name: str) -> Installed | None:
    """Return a lesson that can be shown, None where there is none of that name."""
    return _newest(map(Installed.of, workloads(name))).get(name)


def _newest(every: Iterable[Installed]) -> dict[str, Installed]:
    found: dict[str, Installed] = {}
    for one in every:
        if one.is_shown:
            found.setdefault(one.lesson.name, one)
    return found
