"""Forecast when the waiting jobs of a Slurm queue will start."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware
from rich.box import SIMPLE_HEAD
from rich.table import Table

from apps.tasks.forecasts.starts import (
    COLUMNS,
    cautions,
    expectation,
    forecast_document,
    forecast_make,
    forecast_rows,
    iso,
)
from apps.tasks.management.forecasting import ForecastingCommand
from apps.tasks.management.printed import printed_text
from apps.tasks.models import Site
from apps.tasks.services import workload_find_or_import
from scheduler_sim.display.formatting import duration
from scheduler_sim.engine import EngineError
from scheduler_sim.engine.forecasting import Forecast
from scheduler_sim.engine.forecasting.forecast import REPLICAS
from scheduler_sim.engine.traces.slurm_snapshots import COMMAND

EPILOG = """
Print the queue with
  {squeue} > queue.txt
and, so that it is known how long jobs really run, import the accounting of the last weeks:
  manage.py importworkload jobs.tsv --name month      (docs/traces.md says how sacct prints it)

The queue is played on many times by the site's own scheduler, each time with other run times (drawn from the past of
the same users and of jobs that are alike) and other later submissions. Told is the median start and an interval that
should hold the real start in 80 % of all cases; docs/forecast.md says how good that is.

Examples:
  manage.py forecast --site mycluster --squeue queue.txt --history month
  manage.py forecast --site mycluster --squeue queue.txt --history month --csv > starts.csv
  squeue -a -r -o ... | manage.py forecast --site mycluster --squeue - --at 2026-01-31T08:00:00
"""


class Command(ForecastingCommand):
    """Say when each waiting job of a Slurm queue will start, within which interval, and why it waits."""

    def explanation(self) -> str:
        """Return what to print first, what is done, and examples."""
        return EPILOG.format(squeue=COMMAND)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--site", required=True, metavar="NAME", help="a stored site, or NAME@VERSION")
        parser.add_argument("--squeue", required=True, metavar="FILE", help="what squeue printed; - for standard input")
        parser.add_argument(
            "--history", metavar="WORKLOAD", help="what ran before: a stored workload, or a file of sacct"
        )
        parser.add_argument("--at", metavar="DATETIME", help="when the queue was printed, where it does not tell (UTC)")
        parser.add_argument(
            "--replicas", type=int, default=REPLICAS, metavar="N", help=f"futures to play (default {REPLICAS})"
        )
        parser.add_argument("--seed", type=int, default=0, metavar="S", help="of all that is drawn (default 0)")
        self.add_form(parser, "each job")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 10 <= options["replicas"] <= 10_000:
            raise CommandError("--replicas takes 10 to 10,000.")
        if options["seed"] < 0:
            raise CommandError("--seed takes whole numbers from 0 up.")
        at = None if options["at"] is None else _instant(options["at"])
        text = printed_text(options["squeue"])
        try:
            site = Site.objects.referred(options["site"])
            history = workload_find_or_import(options["history"])[0] if options["history"] else None
            with self.counted("futures played", options, options["replicas"]) as tell:
                found = forecast_make(
                    site=site,
                    queue=text,
                    queue_name=options["squeue"],
                    at=at,
                    history=history,
                    replicas=options["replicas"],
                    seed=options["seed"],
                    on_replica=lambda done: tell(completed=done),
                )
        except EngineError as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, OSError) as error:
            raise CommandError(f"The forecast could not be made: {str(error).rstrip('.')}.") from error
        document = {"site": site.reference, **forecast_document(found)}
        if not self.told(options, document, COLUMNS, forecast_rows(found)):
            self._print(found, site)

    def _print(self, found: Forecast, site: Site) -> None:
        console = self.console()
        table = Table(
            title=f"Starts on {site.reference} expected at {iso(found.at)}", title_justify="left", box=SIMPLE_HEAD
        )
        for name in ("job", "user", "partition"):
            table.add_column(name, no_wrap=True)
        for name in ("starts in", "80 %: from", "to", "Slurm says"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("waits for")
        for one in found.jobs:
            instants = (one.start_at, one.earliest_at, one.latest_at, one.slurm_start_at)
            cells = ["" if when is None else duration(max(when - found.at, 0.0)) for when in instants]
            table.add_row(one.job, one.user, one.partition, *cells, expectation(one) or one.reason)
        console.print(table)
        for sentence in cautions(found):
            console.print(sentence, soft_wrap=True)
        self.stdout.write(
            f"{len(found.jobs):,} jobs wait and {found.running:,} run; {found.learned:,} that ended before tell how "
            f"long jobs run; {found.replicas:,} futures were played."
        )


def _instant(text: str) -> float:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(f"--at is {text!r}, not a date and time such as 2026-01-31T08:00:00.")
    return (make_aware(moment) if is_naive(moment) else moment).timestamp()
