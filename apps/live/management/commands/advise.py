"""Print what brings a policy of a run about in Slurm's configuration."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from apps.live.exchange.advice import run_advice
from apps.results.errors import DomainError
from apps.results.models import Run
from scheduler_sim.display.commands import PlayingCommand


class Command(PlayingCommand):
    """Print the lines of slurm.conf and the sacctmgr commands that bring a policy of a run about, what Slurm cannot
    be told of it, and who gains and who loses. What is no line or command begins with #.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", help="number or name of a finished run")
        parser.add_argument("--policy", metavar="POLICY", default="", help="one of the run's; default: that in front")
        parser.add_argument(
            "--against",
            metavar="RUN",
            help="a run on what is configured; default: the run's own site before its changes",
        )
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            against = Run.objects.named(options["against"]) if options["against"] else None
            found = run_advice(Run.objects.named(options["run"]), scheduler=options["policy"], against=against)
        except DomainError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(found.as_json(), indent=2))
            return
        self._comment(found.verdict)
        for text in filter(None, (found.conf_text, found.commands_text)):
            self.stdout.write(f"\n{text}")
        for head, sentences in (
            ("What Slurm cannot be told", found.advice.unexpressed),
            ("What to look after", found.advice.remarks),
            (f"Who gains and who loses against {found.base}", [f"{by}: {text}" for by, text in found.gains]),
        ):
            if sentences:
                self.stdout.write("")
                self._comment(f"{head}:")
                for sentence in sentences:
                    self._comment(f"- {sentence}")

    def _comment(self, text: str) -> None:
        self.stdout.write(f"# {text}")
