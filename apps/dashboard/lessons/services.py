"""Installing lessons and removing them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from django.db import transaction

from apps.dashboard.lessons.document import MOST_TASKS, InvalidLesson, Lesson
from apps.dashboard.lessons.expressions import read_figures
from apps.dashboard.lessons.stored import MOST, SOURCE, Installed, given_up, installed, lesson_installed, workloads
from apps.live.play.electricity import settled_on
from apps.live.play.launch import run_create
from apps.live.play.playable import refuse_unplayable
from apps.live.play.preparation import prepare
from apps.live.play.runner import Runner
from apps.results.models import Run
from apps.results.services import deletions_finish, run_delete
from apps.tasks.services import workload_of_file
from scheduler_sim import engine
from scheduler_sim.accounts import audit
from scheduler_sim.background import locks

Tell = Callable[[str], None]
"""Told in a few words what is being done."""

LOCK = "lessons"
"""What a process holds while it installs or removes lessons."""


def lessons_install(*, lessons: Iterable[Lesson], tell: Tell = lambda _text: None) -> list[str]:
    """Install lessons one after the other, and return the names of those that were not there as they are.

    Raises:
        InvalidLesson: of the first that cannot be installed; those before it are.
    """
    lessons = tuple(lessons)
    fresh = []
    with _alone():
        for number, lesson in enumerate(lessons, 1):
            tell(f"lesson {number} of {len(lessons)}: {lesson.title}")
            if _install(lesson):
                fresh.append(lesson.name)
    return fresh


def lesson_install(*, lesson: Lesson) -> bool:
    """Store a lesson's tasks, play them, and hold the run to what the lesson expects; return whether that was new.

    A lesson of the same name is removed once the new one is there. What is there already, of this engine and as its run
    must be, stays as it is.

    Raises:
        InvalidLesson: the tasks or the policies cannot be played, or the run is not as the lesson expects; nothing
            of it is left.
    """
    with _alone():
        return _install(lesson)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other processes from installing and removing lessons meanwhile.

    Raises:
        InvalidLesson: one does already.
    """
    if not locks.take(LOCK):
        raise InvalidLesson("Another process is installing or removing lessons; try again when it is done.")
    try:
        yield
    finally:
        locks.free(LOCK)


def _install(lesson: Lesson) -> bool:
    before = [Installed.of(workload) for workload in workloads(lesson.name)]
    same = next((one for one in before if one.workload.source_sha256 == lesson.digest), None)
    if same is not None and _is_sound(same):
        _remove(one for one in before if one is not same)
        return False
    if same is not None and (run := same.run) is not None and run.state.is_alive:
        raise InvalidLesson(f"Lesson {lesson.name} is being installed by another process.")
    if lesson_installed(lesson.name) is None and len(installed()) >= MOST:
        raise InvalidLesson(f"{MOST} lessons are installed; remove one first.")
    if same is not None:
        _remove([same])
    try:
        new = _stored(lesson)
    except engine.EngineError as error:
        raise InvalidLesson(f"Lesson {lesson.name}: {error}") from error
    try:
        _play(new)
        _hold_to_claims(new)
    except BaseException:
        _remove([new])
        raise
    new.note(is_shown=True)
    audit.record(audit.Action.CREATE, "lesson", new.workload, called=lesson.name)
    _remove(one for one in before if one is not same)
    return True


def lesson_remove(*, name: str) -> None:
    """Remove an installed lesson with its run, its placements and its tasks.

    Raises:
        InvalidLesson: there is none of that name, or other runs play its tasks.
    """
    with _alone():
        found = [Installed.of(workload) for workload in workloads(name)]
        if not found:
            raise InvalidLesson(f"No lesson called {name!r} is installed.")
        for one in found:
            if other := one.other_runs.first():
                raise InvalidLesson(f"Run {other.name} plays the tasks of lesson {name} as well; delete it first.")
        _remove(found)
    audit.record(audit.Action.DELETE, "lesson", called=name)


def _stored(lesson: Lesson) -> Installed:
    """Store its tasks, or take up those that are there because others play them.

    Raises:
        InvalidLesson: the table is too long, or holds what was left out or repaired.
        EngineError: it cannot be read.
    """
    kept = {SOURCE: {"document": lesson.as_json()}}
    if (there := given_up(lesson)) is not None:
        there.audit = {**there.audit, **kept}
        there.save(update_fields=["audit"])
        return Installed.of(there)
    workload = workload_of_file(
        file=lesson.file,
        file_name=f"{lesson.name}.csv",
        name=f"Lesson {lesson.name}",
        kept=kept,
        max_rows=MOST_TASKS + 1,
        source=SOURCE,
        source_sha256=lesson.digest,
    )
    return Installed.of(workload)


def _play(new: Installed) -> None:
    """Play a lesson's run to its end.

    Raises:
        InvalidLesson: it cannot be played.
    """
    lesson = new.lesson
    cluster = lesson.played_on
    try:
        configuration = settled_on(lesson.configuration, cluster)
        prepared = prepare(workload=new.workload, cluster=cluster, configuration=configuration)
        refuse_unplayable(configuration, cluster, prepared)
    except engine.EngineError as error:
        raise InvalidLesson(f"Lesson {lesson.name}: {error}") from error
    with transaction.atomic():
        run = run_create(
            workload=new.workload,
            cluster=cluster,
            configuration=configuration,
            name=Run.objects.free_name(f"Lesson {lesson.name}"),
        )
        new.note(run=run.pk)
    Runner(run, prepared=prepared).play()
    run.refresh_from_db()
    if run.status != Run.Status.FINISHED:
        raise InvalidLesson(f"Lesson {lesson.name}: its run is {run.status}.")
    with audit.parts():
        # Out of the way of people's own runs; its page and its lesson are there all the same.
        run.archive()


def _hold_to_claims(new: Installed) -> None:
    """Compare the stored run with what the lesson expects of it.

    Raises:
        InvalidLesson: something else came out; the sentence says what.
    """
    if (broken := _broken(Installed.of(new.workload))) is not None:
        raise InvalidLesson(f"Lesson {new.lesson.name}: {broken}")


def _broken(found: Installed) -> str | None:
    """Return the first sentence in which a lesson and its run contradict each other, None for none."""
    run, lesson = found.run, found.lesson
    if run is None:
        return "its run was deleted."
    figures = read_figures(run, lesson.terms)
    for claim in lesson.claims:
        if not claim.holds(figures):
            return f"its run is not as expected: {claim.in_figures(figures)}."
    unknown = next((term for term, value in figures.items() if value is None and term.task is not None), None)
    if unknown is not None:
        return f"there is no task {unknown.task}."
    return None


def _is_sound(found: Installed) -> bool:
    """Tell whether an installed lesson is as it must be."""
    run = found.run
    is_ours = run is not None and run.status == Run.Status.FINISHED and run.engine_version == engine.ENGINE_VERSION
    return found.is_shown and is_ours and _broken(found) is None


def _remove(found: Iterable[Installed]) -> None:
    """Delete runs of lessons with what they placed, and the tasks where no other run plays them."""
    with audit.parts():
        for one in found:
            kept = Installed.of(one.workload)
            if (run := kept.run) is not None:
                if not run.is_over:
                    run.stop()
                run_delete(run=run)
                deletions_finish()
            if kept.other_runs.exists():
                # Their runs were played from tasks of this origin; only the lesson goes.
                one.workload.audit = {name: told for name, told in one.workload.audit.items() if name != SOURCE}
                one.workload.save(update_fields=["audit"])
            else:
                one.workload.delete()
