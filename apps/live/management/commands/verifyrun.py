"""Recount a run's placements and attempts and compute their checksum again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.results.errors import DomainError
from apps.results.models import Run
from apps.results.verification import run_verify


class Command(BaseCommand):
    help = (
        "Recount the placements and attempts of a run, look up their tasks, and compute the checksum from the database."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", help="number or name of the run")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = Run.objects.named(options["run"])
        except DomainError as error:
            raise CommandError(str(error)) from error
        found = run_verify(run=run)
        for scheduler, count in found.rows.items():
            attempts = found.attempts.get(scheduler)
            several = f", {attempts:,} attempts of tasks with more than one" if attempts else ""
            self.stdout.write(f"{scheduler}: {count:,} placements{several}")
        self.stdout.write(f"checksum {found.checksum}")
        if found.faults:
            raise CommandError("\n".join((f"Run {run.name} is not as it should be.", *found.faults)))
        if run.status == Run.Status.FINISHED:
            self.stdout.write(f"Run {run.name} is complete: {run.rows_written:,} placements, checksum as stored.")
        else:
            self.stdout.write(
                f"Run {run.name} is {run.status}: {run.rows_written:,} of {run.rows_expected:,} placements are stored."
            )
