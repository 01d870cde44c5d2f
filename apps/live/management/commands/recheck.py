"""Compare the newest export of a site's accounting with the last one: for cron, once a month."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.checks import Tags
from django.core.mail import send_mail
from django.core.management.base import CommandError
from django.db import DatabaseError

from apps.live.checking.recheck import FEWEST_TASKS, Recheck, Rule, recheck
from apps.live.play.preparation import Prepared
from apps.live.play.runner import Runner, stopping_on_signals
from apps.live.terminal.recheck_table import print_recheck
from apps.results.errors import DomainError
from apps.results.models import Run
from apps.tasks.models import Site
from apps.tasks.services import workload_import
from scheduler_sim import engine
from scheduler_sim.accounts import audit
from scheduler_sim.display.commands import ExplainedCommand, bare
from scheduler_sim.display.terminal import PlainConsole
from scheduler_sim.engine.traces import ReadOptions

NOTHING, CHANGED, FAILED = 0, 1, 2
"""Exit codes."""

EPILOG = f"""
exit codes: {NOTHING} nothing to tell, {CHANGED} something changed beyond --threshold and --least, {FAILED} an error

Each export is kept as a run with the tag "recheck", and the next one is compared with it. The same file given again is
not played again. Partitions and users with fewer than {FEWEST_TASKS} jobs in either export are left out.

Example, for cron on the first of a month:
  sacct -a -X -P -S $(date -d '1 month ago' +%F) -o ALL > jobs.psv
  manage.py recheck ours --sacct jobs.psv --mail ops@example.org
"""


class SomethingChanged(CommandError):
    """What the command found, as its exit code says it."""


class Command(ExplainedCommand):
    """Say what changed since the last export of a site's accounting: waits by partition, who loses most, and
    whether the site's scheduler still replays the log.
    """

    requires_system_checks = (Tags.models,)

    def explanation(self) -> str:
        """Return the exit codes and an example."""
        return EPILOG

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("site", metavar="SITE", help="a stored site: NAME, or NAME@VERSION")
        parser.add_argument("--sacct", metavar="FILE", required=True, help="the newest export, plain or packed")
        parser.add_argument(
            "--threshold", type=float, default=20.0, metavar="PERCENT", help="a wait has changed by more (default: 20)"
        )
        parser.add_argument(
            "--least", type=float, default=60.0, metavar="SECONDS", help="and by more than this (default: 60)"
        )
        parser.add_argument("--mail", metavar="ADDRESS,...", help="send what changed there; nothing where nothing did")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of the table")

    def execute(self, *args: Any, **options: Any) -> Any:
        """Do it; whatever goes wrong ends with the exit code of errors, which is not that of a change."""
        try:
            return super().execute(*args, **options)
        except SomethingChanged:
            raise
        except CommandError as error:
            error.returncode = FAILED
            raise
        except (DatabaseError, OSError) as error:
            raise CommandError(f"The exports could not be compared: {error}.", returncode=FAILED) from error

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 <= options["threshold"] < float("inf") or not 0 <= options["least"] < float("inf"):
            raise CommandError("--threshold and --least take numbers from 0 up.")
        rule = Rule(share=options["threshold"] / 100, seconds=options["least"])
        try:
            site = Site.objects.referred(options["site"])
            # What still runs has no end, and belongs to the next export.
            read = ReadOptions(finished_only=True)
            workload, _ = workload_import(file=options["sacct"], format="sacct", options=read)
            found = recheck(site=site, workload=workload, rule=rule, play=self._play)
        except (DomainError, engine.EngineError) as error:
            raise CommandError(str(error)) from error
        self._tell(found, as_json=options["json"])
        if not found.changed:
            return
        if options["mail"]:
            self._mail(found, [address.strip() for address in options["mail"].split(",") if address.strip()])
        raise SomethingChanged(f"{site.name} has changed since the last export.", returncode=CHANGED)

    def _play(self, run: Run, prepared: Prepared) -> None:
        audit.record(audit.Action.START, "run", run)
        runner = Runner(run, prepared=prepared)
        with stopping_on_signals(runner):
            runner.play()

    def _tell(self, found: Recheck, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(found.as_json(), indent=2, allow_nan=False))
            return
        print_recheck(found, PlainConsole(file=bare(self.stdout), width=160))
        for sentence in found.sentences():
            self.stdout.write(sentence)

    def _mail(self, found: Recheck, addresses: list[str]) -> None:
        lines = [*found.sentences(), "", f"Run {found.run.pk} is kept, and compared with at the next export."]
        try:
            send_mail(f"{found.site.name} has changed", "\n".join(lines), None, addresses)
        except OSError as error:
            # SMTP's own failures are such errors, too.
            raise CommandError(f"The mail could not be sent: {error}. What changed is kept as a run.") from error
