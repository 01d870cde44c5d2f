"""Say whether what is stored of runs is what it was when they ended."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from apps.live.checking.integrity import Integrity, run_check
from apps.live.terminal.arguments import add_policy_files
from apps.results.errors import DomainError, UnknownRun
from apps.results.models import Run
from scheduler_sim.display.commands import SiteCommand


class Command(SiteCommand):
    """Recount the placements and attempts of a run, look up their tasks, compute the checksum and the figures again
    from the database, and compare workload, cluster, configuration, figures and training data with their digests.
    Exit code 0 says that the run is finished and all is as it was then.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", nargs="?", help="number or name of the run")
        parser.add_argument("--all", action="store_true", help="every run, a line each; unfinished ones are no fault")
        parser.add_argument(
            "--replay", action="store_true", help="also play finished runs again and compare checksum and figures"
        )

        add_policy_files(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["run"]) == options["all"]:
            raise CommandError("Name one run, or give --all.")
        if options["all"]:
            self._all(replay=options["replay"])
            return
        try:
            found = run_check(run=Run.objects.named(options["run"]), replay=options["replay"])
        except DomainError as error:
            raise CommandError(str(error)) from error
        self._tell(found, replay=options["replay"])

    def _tell(self, found: Integrity, *, replay: bool) -> None:
        run = found.run
        for scheduler, count in found.counted.rows.items():
            attempts = found.counted.attempts.get(scheduler)
            several = f", {attempts:,} attempts of tasks with more than one" if attempts else ""
            self.stdout.write(f"{scheduler}: {count:,} placements{several}")
        if found.counted.checksum:
            self.stdout.write(f"checksum {found.counted.checksum}")
        for note in found.notes:
            self.stdout.write(note)
        if found.faults:
            raise CommandError("\n".join((f"Run {run.name} is not as it should be.", *found.faults)))
        if run.status != Run.Status.FINISHED:
            raise CommandError(f"Run {run.name} is not finished. {_standing(run)}")
        if replay and not found.is_replayed:
            raise CommandError(f"Run {run.name} was not played again.")
        replayed = " Played again it is the same." if found.is_replayed else ""
        self.stdout.write(f"Run {run.name} is complete: {run.rows_written:,} placements, checksum as stored.{replayed}")

    def _all(self, *, replay: bool) -> None:
        looked_at = faulty = 0
        for run in list(Run.objects.order_by("pk").only("pk", "name")):
            try:
                found = run_check(run=run, replay=replay)
            except UnknownRun:
                continue
            except DomainError as error:
                line, is_faulty = _faulty(str(error)), True
            else:
                line, is_faulty = _line(found), bool(found.faults)
            looked_at += 1
            faulty += is_faulty
            self.stdout.write(" ".join(f"{run.pk} {run.name}: {line}".split()))
        if faulty:
            raise CommandError(f"{faulty} of {looked_at} runs are not as they should be.")
        self.stdout.write(f"{looked_at} runs are as they should be.")


def _line(found: Integrity) -> str:
    if found.faults:
        return _faulty(*found.faults)
    if found.run.status != Run.Status.FINISHED:
        return _standing(found.run)
    return " ".join((f"{found.run.rows_written:,} placements as they should be.", *found.notes))


def _faulty(*faults: str) -> str:
    return " ".join(("NOT as it should be.", *faults))


def _standing(run: Run) -> str:
    reason = f" ({run.error})" if run.error else ""
    return f"It is {run.status}{reason}; {run.rows_written:,} of {run.rows_expected:,} placements are stored."
