"""Take an old system's history in as training data."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from apps.results.errors import DomainError
from apps.training.services import history_import
from scheduler_sim.display.commands import SiteCommand


class Command(SiteCommand):
    """Take in a csv with the columns size, compute_intensity, memory_required, optimal_gpu_fraction and
    optimal_time (others are passed over) as training data: all rows, or none when one is wrong.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE.csv")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            stored = history_import(path=options["file"])
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Took in {stored:,} rows of training data.")
