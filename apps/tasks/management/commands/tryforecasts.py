"""Try forecasts of starts at instants of a stored past."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError
from django.urls import reverse
from rich.box import SIMPLE_HEAD
from rich.table import Table

from apps.tasks.forecasts.trial_charts import TABLES, lines
from apps.tasks.forecasts.trials import (
    COLUMNS,
    INSTANTS,
    MOST_INSTANTS,
    MOST_REPLICAS,
    REPLICAS,
    trial_make,
    trial_rows,
)
from apps.tasks.management.forecasting import ForecastingCommand
from apps.tasks.management.printed import printed_text
from apps.tasks.models import ForecastTrial, Site
from apps.tasks.services import workload_find_or_import
from scheduler_sim.display.formatting import quantity
from scheduler_sim.engine import EngineError

EPILOG = """
At instants of the history at which jobs wait, the queue is forecast with nothing but what had come about by then, and
held beside what really happened: how many starts lie in their intervals of 80 %, how far they are from the forecast, by
partition, by the wait that was forecast and by instant. The trial is stored and has a page.

Where squeue was printed meanwhile, below lines such as `### snapshot epoch=1795690026`, its queues are taken; beside
what `squeue --start` printed stand the errors of Slurm's own forecasts.

Examples:
  manage.py tryforecasts --site mycluster --history month
  manage.py tryforecasts --site mycluster --history month --squeue queues.txt.gz --squeue-start starts.txt.gz --json
"""


class Command(ForecastingCommand):
    """Say how good forecasts of a site's starts are, held beside what really happened."""

    def explanation(self) -> str:
        """Return what to print first, what is done, and examples."""
        return EPILOG

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--site", required=True, metavar="NAME", help="a stored site, or NAME@VERSION")
        parser.add_argument(
            "--history", required=True, metavar="WORKLOAD", help="what happened: a stored workload, or a file of sacct"
        )
        parser.add_argument("--squeue", metavar="FILE", help="what squeue printed at many instants")
        parser.add_argument("--squeue-start", metavar="FILE", help="what squeue --start printed beside it")
        for name, default, of in (
            ("--instants", INSTANTS, "instants at most"),
            ("--replicas", REPLICAS, "futures to play at each"),
            ("--seed", 0, "of all that is drawn"),
        ):
            parser.add_argument(name, type=int, default=default, metavar="N", help=f"{of} (default {default})")
        self.add_form(parser, "each group of forecasts")

    def handle(self, *args: Any, **options: Any) -> None:
        for name, least, most in (
            ("instants", 1, MOST_INSTANTS),
            ("replicas", 10, MOST_REPLICAS),
            ("seed", 0, 2**31 - 1),
        ):
            if not least <= options[name] <= most:
                raise CommandError(f"--{name} takes {least} to {most:,}.")
        queues, starts = (printed_text(options[name]) if options[name] else "" for name in ("squeue", "squeue_start"))
        try:
            site = Site.objects.referred(options["site"])
            history = workload_find_or_import(options["history"])[0]
            asked = {name: options[name] for name in ("instants", "replicas", "seed")}
            with self.counted("instants forecast", options, options["instants"]) as tell:
                found = trial_make(
                    site=site,
                    history=history,
                    queues=queues,
                    slurm_starts=starts,
                    advanced=lambda done, planned, _: tell(completed=done, total=planned),
                    **asked,
                )
            trial = ForecastTrial.objects.create(
                site=site,
                history=history,
                queues=queues.replace("\0", ""),
                slurm_starts=starts.replace("\0", ""),
                result=found,
                **asked,
            )
        except EngineError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The trial could not be stored: {str(error).rstrip('.')}.") from error
        document = {"id": trial.pk, "site": site.reference, **found}
        if not self.told(options, document, COLUMNS, trial_rows(found)):
            self._print(found, trial)

    def _print(self, found: dict[str, Any], trial: ForecastTrial) -> None:
        console = self.console()
        heads = ("forecasts", "in the interval", "median error", "median width", "where Slurm told one", "of Slurm")
        overall = found["overall"]
        for title, name, groups in (
            (f"Forecasts of {trial.site.reference} beside {trial.history}", "", [{"name": "all", **overall}]),
            *((title, head, [one for one in found["groups"] if one["by"] == by]) for by, title, head in TABLES),
        ):
            table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
            table.add_column(name.lower(), no_wrap=True)
            for head in heads:
                table.add_column(head, justify="right", no_wrap=True)
            for line in lines(groups):
                table.add_row(
                    line.name,
                    f"{line.forecasts:,}",
                    line.covered,
                    line.median_error,
                    line.median_width,
                    line.median_error_compared,
                    line.slurm_median_error,
                )
            console.print(table)
        low, high = (quantity("share", overall[name]) for name in ("covered_low", "covered_high"))
        console.print(f"Chance: 95 % of as many instants drawn again hold {low} to {high}.", soft_wrap=True)
        for sentence in found["cautions"]:
            console.print(sentence, soft_wrap=True)
        self.stdout.write(f"The trial is stored: {reverse('forecast-trial', args=[trial.pk])}")
