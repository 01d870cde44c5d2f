"""Questions asked of runs and results."""

from django.db import models


class RunQuerySet(models.QuerySet):
    """Runs."""

    def under_way(self) -> "RunQuerySet":
        """Runs that are queued, running or paused."""
        return self.exclude(status__in=self.model.TERMINAL)

    def finished(self) -> "RunQuerySet":
        """Runs that came to their end."""
        return self.filter(status=self.model.Status.FINISHED)


class SchedulerResultQuerySet(models.QuerySet):
    """Placements."""

    def for_scheduler(self, name: str) -> "SchedulerResultQuerySet":
        """Only those of one policy."""
        return self.filter(scheduler=name)
