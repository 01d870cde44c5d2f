"""What the commands that forecast share: how far they are, and the three forms of what came out."""

import csv
import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.core.checks import Tags
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from scheduler_sim.display.commands import ExplainedCommand, bare
from scheduler_sim.display.terminal import PlainColumn, PlainConsole


class ForecastingCommand(ExplainedCommand):
    """A command that forecasts."""

    requires_system_checks = (Tags.models,)

    def add_form(self, parser: ArgumentParser, each: str) -> None:
        """Let JSON be asked for, or csv with a row for `each`."""
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="one JSON document on stdout")
        form.add_argument("--csv", action="store_true", help=f"a row for {each} on stdout")

    @contextmanager
    def counted(self, what: str, options: Mapping[str, Any], total: int) -> Iterator[Callable[..., None]]:
        """Draw a bar for what is counted, and yield what moves it, as `Progress.update` does."""
        console = PlainConsole(stderr=True, quiet=options["verbosity"] == 0)
        columns = (PlainColumn(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            yield partial(progress.update, progress.add_task(what, total=total))

    def told(
        self, options: Mapping[str, Any], document: Mapping[str, Any], columns: Sequence[str], rows: Iterable[Any]
    ) -> bool:
        """Print what came out in the form that is asked for, and tell whether one is."""
        if options["json"]:
            self.stdout.write(json.dumps(document, indent=2))
        elif options["csv"]:
            writer = csv.writer(bare(self.stdout), lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
        return bool(options["json"] or options["csv"])

    def console(self) -> PlainConsole:
        """Return what draws tables on stdout, wide where that is a file."""
        return PlainConsole(file=bare(self.stdout), width=None if sys.stdout.isatty() else 160)
