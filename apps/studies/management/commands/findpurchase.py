"""Search the cheapest change of a run's cluster or site that reaches a target."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from rich.table import Table

from apps.results.errors import DomainError
from apps.results.models import Run
from apps.studies.purchase.outcome import PurchaseOutcome, figure_text
from apps.studies.purchase.request import PURCHASE_OPTIONS, PurchaseRequest
from apps.studies.purchase.searching import purchase_search
from scheduler_sim import engine
from scheduler_sim.display.commands import PlayingCommand, bare
from scheduler_sim.display.terminal import PlainConsole
from scheduler_sim.engine.crew import cores


class Command(PlayingCommand):
    """Search the cheapest change of a run's cluster or site, nodes more and policies, that reaches what is wanted
    of waits, such as 'p95_wait_time of partition gpu < 4 h'. Exit code 0 says that one reaches it.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", help="number or name of the run whose tasks and options are played")
        for option in PURCHASE_OPTIONS:
            if option.is_switch:
                parser.add_argument(option.flag, action="store_true", default=None, help=option.about.help)
                continue
            default = "" if option.is_required or option.default == () else f" (default {option.default})"
            parser.add_argument(
                option.flag,
                metavar=option.about.metavar or "N",
                required=option.is_required,
                help=f"{option.about.help}{default}",
            )
        parser.add_argument("--workers", type=int, default=cores(), metavar="N", help="processes (default: one a core)")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        given = {option.name: options[option.name] for option in PURCHASE_OPTIONS}
        try:
            request = PurchaseRequest.read(given)
            run = Run.objects.named(options["run"])
            found = purchase_search(run=run, request=request, workers=options["workers"], advanced=self._show)
        except (DomainError, engine.EngineError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(found.as_json(), indent=2, allow_nan=False))
        else:
            self._print(found)
        if found.search.best is None:
            raise CommandError(found.verdict, returncode=130 if found.is_stopped else 1)

    def _show(self, found: PurchaseOutcome) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"{len(found.search.plays):,} played, {found.search.left:,} open: {found.verdict}")

    def _print(self, found: PurchaseOutcome) -> None:
        document, targets = found.as_json(), found.ground.targets
        names = [growth.group for growth in found.ground.growths]
        table = Table(title="Changes that nothing else beats in price and the first figure")
        for head in ("policy", *(f"+{name}" for name in names), f"price ({document['price_unit']})"):
            table.add_column(head, justify="left" if head == "policy" else "right")
        for head in (*map(str, targets), "MWh"):
            table.add_column(head, justify="right")
        for line in document["plays"]:
            if line["on_frontier"] or line == document["best"]:
                energy = line["energy_joules"]
                table.add_row(
                    line["policy"] + (" *" if line == document["best"] else ""),
                    *(f"{number}" for number in line["nodes"].values()),
                    f"{line['price']:,.0f}",
                    *(
                        "" if figure is None else figure_text(target, figure)
                        for target, figure in zip(targets, line["figures"], strict=True)
                    ),
                    "" if energy is None else f"{energy / 3.6e9:,.3f}",
                )
        PlainConsole(file=bare(self.stdout), width=None if sys.stdout.isatty() else 200).print(table)
        # What reaches nothing ends the command with its verdict.
        verdict = found.verdict if found.search.best is not None else ""
        for sentence in (verdict, document["guarantee_text"], document["caution"]):
            if sentence:
                self.stdout.write(sentence)
        self.stdout.write(f"{len(found.search.plays):,} changes played in {found.seconds:.1f} s.")
