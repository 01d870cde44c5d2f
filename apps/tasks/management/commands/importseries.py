"""Read a step series of carbon intensity, price, PUE, temperature or power cap into the database."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from apps.tasks.errors import SeriesError
from apps.tasks.management.printed import storing_told
from apps.tasks.series_services import series_store
from scheduler_sim.display.commands import ExplainedCommand
from scheduler_sim.engine import EngineError
from scheduler_sim.engine.series import KINDS, SIGNALS
from scheduler_sim.engine.series.reading import ReadSeries, read_series

CHOICES = ("unit", "time_column", "value_column", "signal", "time_zone")
"""Options that say how a file is read."""

EPILOG = """
kinds, and the units their values may be in:
{kinds}

Each value holds from its time to the next one's. csv (packed or not) and parquet files with a column of times and one
of values are read; columns are found by how their names begin. Times are dates (UTC where they name no zone and none is
given), seconds or milliseconds since 1970, or seconds on the workload's clock.

Examples:
  manage.py importseries NL_2022_hourly.csv --kind carbon --signal average --name nl-2022
  manage.py importseries prices.csv --kind price --unit USD/MWh --time-zone Europe/Amsterdam
  manage.py importseries carbon.parquet --kind carbon --dry-run
"""


class Command(ExplainedCommand):
    """Read a series of carbon intensity, price, PUE, temperature or power cap, and say what was found in it."""

    def explanation(self) -> str:
        """Return the kinds of series and examples."""
        lines = [f"  {kind.name:11} {kind.label}: {', '.join(kind.units)}" for kind in KINDS.values()]
        return EPILOG.format(kinds="\n".join(lines))

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--kind", required=True, choices=list(KINDS), help="what it is a series of")
        parser.add_argument("--name", default="", help="of the series (default: that of the file)")
        parser.add_argument("--unit", default="", help="of the file's values (default: the first of the kind's)")
        parser.add_argument("--time-column", default="", metavar="NAME", help="the column of times")
        parser.add_argument("--value-column", default="", metavar="NAME", help="the column of values")
        parser.add_argument(
            "--time-zone", default="", metavar="ZONE", help="of dates that name none, as Europe/Amsterdam"
        )
        parser.add_argument("--signal", default="", choices=["", *SIGNALS], help="what a carbon intensity tells of")
        parser.add_argument("--dry-run", action="store_true", help="store nothing")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        chosen = {name: options[name] for name in (*CHOICES, "kind")}
        name = options["name"] or file.name.removesuffix(".gz").rpartition(".")[0] or file.name
        stored, created = None, False
        try:
            read = read_series(file, **chosen)
            if not options["dry_run"]:
                stored, created = series_store(read=read, name=name, origin=file.name)
        except (EngineError, SeriesError) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The series could not be stored: {str(error).rstrip('.')}.") from error
        if options["json"]:
            document = {
                "name": stored.name if stored else name,
                "reference": stored.reference if stored else None,
                "created": created,
                "kind": read.kind.name,
                "unit": read.kind.unit,
                "signal": read.signal,
                "audit": read.audit,
            }
            self.stdout.write(json.dumps(document, indent=2))
            return
        self.stdout.write(_summary(read))
        for note in read.audit["notes"]:
            self.stdout.write(f"Noticed: {note}")
        called = None if stored is None else stored.reference
        self.stdout.write(storing_told(called, is_new=created, known="The same series is stored already, as"))


def _summary(read: ReadSeries) -> str:
    audit, unit = read.audit, read.kind.unit
    signal = f", {read.signal} signal" if read.signal else ""
    return (
        f"{read.kind.label}: {audit['values']:,} values, one each {audit['step_seconds']:,.15g} s over "
        f"{read.steps.span / 86_400:,.6g} d, from {audit['least']:,.6g} to {audit['most']:,.6g} {unit}, "
        f"{audit['mean']:,.6g} on average{signal}."
    )
