"""Delete old runs with all that belongs to them."""

from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db.models import QuerySet
from django.utils import timezone

from apps.live.store.shrink import database_shrink, why_not_shrunk
from apps.results.errors import DomainError
from apps.results.models import Run, RunDeletion
from apps.results.schedule_files import FIELDS, schedule_files_beyond
from apps.results.services import deletions_finish, run_delete
from apps.tasks.models import Workload
from apps.tasks.task_files import task_files_beyond
from apps.training.managers import TrainingDataQuerySet
from apps.training.models import TrainingData
from apps.training.services import training_data_delete
from scheduler_sim.accounts.models import AuditEntry
from scheduler_sim.accounts.services import audit_delete, audit_older_than
from scheduler_sim.display.commands import SiteCommand, bare

CHOICES = ("keep_runs", "older_than", "training_older_than", "audit_older_than", "task_files", "schedule_files")


class Command(SiteCommand):
    """Delete runs that are over, with their placements, figures and training data. Without --yes it only says what
    would go. Placements are removed in pieces, so that readers are never blocked.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--keep-runs", type=int, metavar="N", help="keep the newest N runs that are over")
        parser.add_argument("--older-than", type=float, metavar="DAYS", help="only runs created so many days ago")
        parser.add_argument(
            "--training-older-than", type=float, metavar="DAYS", help="rows of training data stored so many days ago"
        )
        parser.add_argument("--audit-older-than", type=float, metavar="DAYS", help="entries of the audit log so old")
        parser.add_argument(
            "--task-files",
            type=float,
            metavar="MB",
            help="files of tasks that no workload names, and so many used longest ago that the others take at most MB "
            "megabytes; a file is made again when its workload is read",
        )
        parser.add_argument(
            "--schedule-files",
            type=float,
            metavar="MB",
            help="files of schedules that are of no run, and others as --task-files says; a file is made again when a "
            "page draws its run",
        )
        parser.add_argument("--unfinished", action="store_true", help="finish deletions that were begun, and no more")
        parser.add_argument(
            "--shrink", action="store_true", help="then make SQLite's file smaller; alone, do no more than that"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be deleted (the default)")
        parser.add_argument("--yes", action="store_true", help="delete")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["shrink"] and (reason := why_not_shrunk(unfinished=False)):
            # Before anything is deleted.
            raise CommandError(reason)
        if options["unfinished"] or self._only_shrinks(options):
            if options["unfinished"]:
                self._finish()
            self._shrink(options)
            return
        runs = self._chosen(options)
        labels = self._training(options)
        entries = self._audit(options)
        self._check_sizes(options)
        rows = sum(run.rows_written for run in runs)
        if options["dry_run"] or not options["yes"]:
            files = self._files(options, leaving=runs)
            for run in runs:
                self.stdout.write(f"{run.pk} {run.name}: {run.status}, {run.rows_written:,} placements")
            pending = RunDeletion.objects.count()
            also = f" {pending} deletions begun before would be finished." if pending else ""
            of_training = "" if labels is None else f" and {labels.count():,} rows of training data"
            of_audit = "" if entries is None else f" and {entries.count():,} entries of the audit log"
            of_files = "".join(
                f" and {len(found):,} {kind} ({sum(found.values()):,} bytes)" for kind, found in files.items()
            )
            self.stdout.write(
                f"{len(runs)} runs with {rows:,} placements{of_training}{of_audit}{of_files} would be deleted.{also} "
                "Add --yes to do it."
            )
            return
        for run in runs:
            try:
                run_delete(run=run)
            except DomainError as error:
                self.stderr.write(str(error))
        self._finish()
        self.stdout.write(f"Deleted {len(runs)} runs.")
        if labels is not None:
            self.stdout.write(f"Deleted {training_data_delete(rows=labels):,} rows of training data.")
        if entries is not None:
            self.stdout.write(f"Deleted {audit_delete(entries=entries):,} entries of the audit log.")
        # Without those that went with their runs.
        for kind, found in self._files(options).items():
            try:
                for path in found:
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise CommandError(f"One of the {kind} cannot be deleted: {error}.") from error
            self.stdout.write(f"Deleted {len(found):,} {kind}, {sum(found.values()):,} bytes.")
        self._shrink(options)

    def _only_shrinks(self, options: dict[str, Any]) -> bool:
        return options["shrink"] and all(options[name] is None for name in CHOICES)

    def _shrink(self, options: dict[str, Any]) -> None:
        if not options["shrink"]:
            return
        try:
            before, after = database_shrink()
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"The file went from {before:,} to {after:,} bytes.")

    def _chosen(self, options: dict[str, Any]) -> list[Run]:
        keep, days = options["keep_runs"], options["older_than"]
        if keep is None and days is None:
            if any(options[name] is not None for name in CHOICES):
                return []
            raise CommandError(
                "Say what to keep: --keep-runs N, --older-than DAYS, --training-older-than DAYS, "
                "--audit-older-than DAYS, --task-files MB or --schedule-files MB."
            )
        if (keep is not None and keep < 0) or (days is not None and not 0 <= days <= 36_500):
            raise CommandError("--keep-runs is a number from 0, --older-than a number of days from 0 to 36500.")
        runs = Run.objects.filter(status__in=Run.TERMINAL).order_by("-id")
        kept = set(runs.values_list("pk", flat=True)[: keep or 0])
        if days is not None:
            runs = runs.filter(created_at__lt=timezone.now() - timedelta(days=days))
        return [run for run in runs if run.pk not in kept]

    def _training(self, options: dict[str, Any]) -> TrainingDataQuerySet | None:
        days = options["training_older_than"]
        if days is None:
            return None
        if not 0 <= days <= 36_500:
            raise CommandError("--training-older-than is a number of days from 0 to 36500.")
        return TrainingData.objects.older_than(timedelta(days=days), now=timezone.now())

    def _audit(self, options: dict[str, Any]) -> QuerySet[AuditEntry] | None:
        days = options["audit_older_than"]
        if days is None:
            return None
        if not 0 <= days <= 36_500:
            raise CommandError("--audit-older-than is a number of days from 0 to 36500.")
        return audit_older_than(timedelta(days=days))

    def _check_sizes(self, options: dict[str, Any]) -> None:
        for option in ("task_files", "schedule_files"):
            if options[option] is not None and not 0 <= options[option] <= 1e9:
                raise CommandError(f"--{option.replace('_', '-')} is a number of megabytes from 0.")

    def _files(self, options: dict[str, Any], *, leaving: Sequence[Run] = ()) -> dict[str, dict[Path, int]]:
        """Return, by what they are called, the files that are to go and the bytes of each.

        Args:
            leaving: runs that are to be deleted first, and their files with them.
        """
        found = {}
        if (most := options["task_files"]) is not None:
            names = set(Workload.objects.exclude(tasks_file="").values_list("tasks_file", flat=True))
            found["files of tasks"] = task_files_beyond(most * 1_000_000, names=names)
        if (most := options["schedule_files"]) is not None:
            found["files of schedules"] = schedule_files_beyond(
                most * 1_000_000, runs=Run.objects.only(*FIELDS), leaving=leaving
            )
        return found

    def _finish(self) -> None:
        def say(removed: int) -> None:
            bare(self.stderr).write(f"\r{removed:,} placements removed")

        removed = deletions_finish(on_progress=say)
        if removed:
            self.stderr.write("")
        self.stdout.write(f"Removed {removed:,} placements.")
