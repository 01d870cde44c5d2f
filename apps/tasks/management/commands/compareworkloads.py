"""Say how alike two stored workloads are."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.checks import Tags
from django.core.management.base import CommandError
from django.db import DatabaseError
from rich.box import SIMPLE_HEAD
from rich.table import Table

from apps.tasks.errors import WorkloadError
from apps.tasks.services import workload_stored
from apps.tasks.stored_tasks import load_tasks
from scheduler_sim.display.commands import ExplainedCommand, bare
from scheduler_sim.display.terminal import PlainConsole
from scheduler_sim.engine import EngineError
from scheduler_sim.engine.measuring.likeness import Likeness, compare_workloads

EPILOG = """
Distances between the distributions of what tasks are: the largest difference of the distribution functions
(Kolmogorov-Smirnov, 0 to 1) and the mean way from one to the other (Wasserstein), by the mean of the first too. Then
figures of the first workload with intervals of 95 %, by a bootstrap of its weeks (of days, below two weeks), and
whether the second lies in them.

Examples:
  manage.py generateworkload fitted --from lastmonth --days 365 --name year
  manage.py compareworkloads lastmonth year
"""


class Command(ExplainedCommand):
    """Say how alike two stored workloads are."""

    requires_system_checks = (Tags.models,)

    def explanation(self) -> str:
        """Return what is compared, and examples."""
        return EPILOG

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("first", metavar="WORKLOAD", help="the one that the other is to resemble")
        parser.add_argument("second", metavar="OTHER", help="the other one")
        parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the bootstrap (default 0)")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["seed"] < 0:
            raise CommandError("The seed must be a whole number from 0 up.")
        try:
            stored = [workload_stored(options[which]) for which in ("first", "second")]
            first, second = (load_tasks(workload_id=one.pk).workload for one in stored)
            found = compare_workloads(first, second, seed=options["seed"])
        except (WorkloadError, EngineError, DatabaseError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(found.as_json(), indent=2))
            return
        console = PlainConsole(file=bare(self.stdout), width=None if sys.stdout.isatty() else 160)
        for table in _tables(found, options["first"], options["second"]):
            console.print(table)


def _tables(found: Likeness, first: str, second: str) -> list[Table]:
    distances = Table(title="How far apart", box=SIMPLE_HEAD)
    for title in ("distribution of", "Kolmogorov-Smirnov", "Wasserstein", "by the mean"):
        distances.add_column(title, justify="left" if title == "distribution of" else "right")
    for one in found.distances:
        way = f"{one.wasserstein:,.4g} {one.unit}".rstrip()
        distances.add_row(one.name, f"{one.kolmogorov_smirnov:.3f}", way, f"{one.relative:.1%}")
    marginals = Table(title=f"{second} beside {first}", box=SIMPLE_HEAD)
    for title in ("figure", first, "interval", second, "inside"):
        marginals.add_column(title, justify="left" if title == "figure" else "right")
    for figure in found.marginals:
        marginals.add_row(
            f"{figure.name} ({figure.unit})" if figure.unit else figure.name,
            f"{figure.value:,.6g}",
            f"{figure.low:,.6g} to {figure.high:,.6g}",
            f"{figure.other:,.6g}",
            "yes" if figure.inside else "no",
        )
    return [distances, marginals]
