"""Install lessons, list them, and remove one."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from apps.dashboard.lessons.document import Lesson, read_lesson
from apps.dashboard.lessons.services import lesson_remove, lessons_install
from apps.dashboard.lessons.stored import built_in, in_order, installed
from apps.results.errors import DomainError
from scheduler_sim import engine
from scheduler_sim.display.commands import PlayingCommand
from scheduler_sim.display.terminal import PlainConsole
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites.documents import file_text


class Command(PlayingCommand):
    """Install the built-in lessons, or one of a file: store their tasks, play them, and compare the run with what
    the lesson expects of it. Safe to repeat. The pages are at /learn/; docs/lessons.md has the keys of a file.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--file", metavar="FILE.yaml", help="install this lesson and no other")
        what.add_argument("--list", action="store_true", help="say which lessons there are")
        what.add_argument("--remove", nargs="+", metavar="NAME", help="remove lessons with their runs and their tasks")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["list"]:
                self._list()
            elif options["remove"]:
                for name in options["remove"]:
                    lesson_remove(name=name)
                    self.stdout.write(f"Removed lesson {name}.")
            else:
                self._install(options)
        except (DomainError, engine.EngineError) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The lessons could not be stored: {error}.") from error

    def _install(self, options: dict[str, Any]) -> None:
        console = PlainConsole(stderr=True, quiet=options["verbosity"] == 0)
        lessons = built_in() if options["file"] is None else (_read(Path(options["file"])),)
        with console.status("installing") as status:
            fresh = lessons_install(lessons=lessons, tell=status.update)
        if options["verbosity"] == 0:
            return
        for lesson in lessons:
            done = "Installed" if lesson.name in fresh else "Already there:"
            self.stdout.write(f"{done} {lesson.name} ({lesson.title}).")

    def _list(self) -> None:
        there = installed()
        known = {lesson.name: lesson for lesson in built_in()} | {name: one.lesson for name, one in there.items()}
        for lesson in sorted(known.values(), key=in_order):
            state = "installed" if lesson.name in there else "not installed"
            self.stdout.write(f"{lesson.name:24} {state:14} {lesson.title}")


def _read(file: Path) -> Lesson:
    """Return the lesson of a file.

    Raises:
        CommandError: the file cannot be read. InvalidLesson: what is wrong in it.
    """
    try:
        text = file_text(file)
    except InvalidCluster as error:
        raise CommandError(str(error)) from error
    return read_lesson(text, name=file.name)
