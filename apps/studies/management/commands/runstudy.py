"""Play what is missing of a study's runs."""

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from apps.results.errors import DomainError
from apps.results.models import Study
from apps.studies.definition import Definition
from apps.studies.play.execution import study_play
from apps.studies.play.planning import plan_in_words, study_plan
from apps.studies.ready_made import named_definition, ready_made_files
from apps.studies.report.tables import print_study, study_document
from scheduler_sim import engine
from scheduler_sim.accounts import audit
from scheduler_sim.background.processes import ending_on_sigterm
from scheduler_sim.background.sweep import sweeping
from scheduler_sim.display.commands import SiteCommand, bare
from scheduler_sim.display.terminal import PlainColumn, PlainConsole
from scheduler_sim.engine.crew import cores

INTERRUPTED = 130


class Command(SiteCommand):
    """Play a study: a grid of workloads, loads, clusters, policies, estimates and seeds from a YAML or JSON file.
    Only what is missing is played, so a study can be interrupted, extended and taken up again.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file",
            metavar="FILE",
            nargs="?",
            help="the study's definition, YAML or JSON (docs/studies.md), or a ready-made one: "
            + ", ".join(ready_made_files()),
        )
        parser.add_argument("--study", metavar="STUDY", help="instead of FILE: number or name of a stored study")
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would be played and how long it would take"
        )
        parser.add_argument(
            "--workers",
            type=int,
            metavar="N",
            help="processes on this machine (default: all cores, or Celery workers when CELERY_BROKER_URL is set)",
        )
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of the tables")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["workers"] is not None and options["workers"] < 1:
            raise CommandError(f"--workers must be at least 1, not {options['workers']}.")
        if bool(options["file"]) == bool(options["study"]):
            raise CommandError("Name either the FILE of a study or a stored one with --study.")
        self.console = PlainConsole(stderr=True, quiet=options["verbosity"] == 0)
        try:
            definition = _definition(options)
            if options["dry_run"]:
                self._describe(definition, options)
                return
            audit.record(audit.Action.START, "study", called=definition.name)
            with sweeping(), ending_on_sigterm():
                self._play(definition, options)
        except (DomainError, engine.EngineError) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The study could not be stored: {error}.") from error
        except KeyboardInterrupt:
            again = options["file"] or f"--study {options['study']}"
            raise CommandError(
                f"Interrupted. What was played is kept; go on with: manage.py runstudy {again}",
                returncode=INTERRUPTED,
            ) from None

    def _describe(self, definition: Definition, options: dict[str, Any]) -> None:
        plan = study_plan(definition, workers=options["workers"] or cores())
        if options["json"]:
            self.stdout.write(json.dumps({"study": definition.name, **vars(plan)}, indent=2))
            return
        said = " ".join(plan_in_words(plan, definition))
        self.stdout.write(f"Study {definition.name}: {said} Nothing was written.")

    def _play(self, definition: Definition, options: dict[str, Any]) -> None:
        progress = Progress(
            PlainColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
        )
        where = "Celery workers" if settings.CELERY_BROKER_URL and options["workers"] is None else "this machine"
        bar = progress.add_task(f"runs on {where}", total=None)
        if self.console.is_terminal:
            progress.start()
        try:
            outcome = study_play(
                definition,
                workers=options["workers"],
                tell=lambda text: progress.update(bar, description=text[:60]),
                advanced=lambda done, total: progress.update(
                    bar, completed=done, total=total, description=f"runs on {where}"
                ),
            )
        finally:
            progress.stop()
        if options["json"]:
            self.stdout.write(json.dumps(study_document(outcome.study), indent=2, allow_nan=False))
        else:
            print_study(
                outcome.study,
                PlainConsole(file=bare(self.stdout), width=None if self.console.is_terminal else 400),
            )
        if outcome.failed:
            raise CommandError(
                f"{outcome.failed} of {outcome.runs} runs failed; /studies/{outcome.study.pk}/ says why. Put it right "
                f"and play the study again: only those are missing."
            )


def _definition(options: dict[str, Any]) -> Definition:
    if options["file"]:
        return named_definition(options["file"])
    return Definition.from_json(Study.objects.named(options["study"]).definition)
