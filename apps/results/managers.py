"""Questions asked of runs and results."""

from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

from django.db import models

from apps.results.errors import UnknownRun
from scheduler_sim.columnar import insert_columns

if TYPE_CHECKING:
    from apps.results.models import Run


class RunQuerySet(models.QuerySet):
    """Runs."""

    def under_way(self) -> "RunQuerySet":
        """Runs that are queued, running or paused."""
        return self.exclude(status__in=self.model.TERMINAL)

    def finished(self) -> "RunQuerySet":
        """Runs that came to their end."""
        return self.filter(status=self.model.Status.FINISHED)

    def named(self, wanted: str) -> "Run":
        """Return the run with this number or name; a number is tried first.

        Raises:
            UnknownRun: there is none.
        """
        found = self.filter(pk=int(wanted)).first() if wanted.isascii() and wanted.isdecimal() else None
        found = found or self.filter(name=wanted).first()
        if found is None:
            raise UnknownRun(f"There is no run {wanted!r}.")
        return found

    def free_name(self, wanted: str) -> str:
        """Return `wanted`, with the lowest free number from 2 behind it when a run has that name."""
        taken = set(self.filter(name__startswith=wanted).values_list("name", flat=True))
        if wanted not in taken:
            return wanted
        return next(name for number in count(2) if (name := f"{wanted} {number}") not in taken)


class SchedulerResultQuerySet(models.QuerySet):
    """Placements."""

    def for_scheduler(self, name: str) -> "SchedulerResultQuerySet":
        """Only those of one policy."""
        return self.filter(scheduler=name)

    def insert_columns(self, *, run_id: int, scheduler: str, columns: Mapping[str, Any]) -> int:
        """Write the placements of one policy given as columns, and return how many.

        Args:
            run_id: the run, which the caller has made sure exists: the table's foreign keys are not checked.
            scheduler: the policy's name.
            columns: values by attname; `task_id` holds primary keys of tasks.

        Raises:
            django.db.IntegrityError: a task is there already, or a value breaks a constraint; nothing is written.
        """
        return insert_columns(self.model, {"run_id": run_id, "scheduler": scheduler, **columns}, using=self.db)

    insert_columns.alters_data = True
