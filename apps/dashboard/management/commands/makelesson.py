"""Write a lesson out of a stored workload."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from apps.dashboard.lessons.document import read_lesson
from apps.dashboard.lessons.making import lesson_make
from apps.results.errors import DomainError
from apps.tasks.models import Workload
from scheduler_sim import engine
from scheduler_sim.display.commands import PlayingCommand, bare
from scheduler_sim.engine.clusters.presets import load_cluster


class Command(PlayingCommand):
    """Write a lesson in YAML out of a stored workload: its tasks, its policies, and a question that playing them
    answers. Edit its texts, then install it with installlessons --file. docs/lessons.md has every key.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("workload", metavar="WORKLOAD", help="name of a stored workload")
        parser.add_argument("--name", default="my-lesson", help="of the lesson, in its address (default my-lesson)")
        parser.add_argument("--title", default="My lesson", help="what pages call it (default My lesson)")
        parser.add_argument("--tasks", type=int, metavar="N", help="the first N tasks by arrival (default all)")
        parser.add_argument("--cluster", default="auto", metavar="PRESET|FILE", help="default auto, as of the trace")
        parser.add_argument(
            "--policies", default="fcfs,fcfs+easy", metavar="P,P,...", help="default fcfs,fcfs+easy; two or more"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stored = Workload.objects.filter(name=options["workload"]).first()
        if stored is None:
            raise CommandError(f"There is no workload called {options['workload']!r}.")
        try:
            text = lesson_make(
                stored=stored,
                limit=options["tasks"],
                cluster=load_cluster(options["cluster"], max_processors=stored.max_processors),
                policies=options["policies"].split(","),
                name=options["name"],
                title=options["title"],
            )
            read_lesson(text, name="The lesson")
        except (DomainError, engine.EngineError) as error:
            raise CommandError(str(error)) from error
        bare(self.stdout).write(text)
