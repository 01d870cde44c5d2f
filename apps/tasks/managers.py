"""Questions asked of workloads and tasks."""

from django.db import models


class WorkloadQuerySet(models.QuerySet):
    """Workloads."""


class TaskQuerySet(models.QuerySet):
    """Tasks."""

    def in_canonical_order(self) -> "TaskQuerySet":
        """Order by arrival, then number: the engine's order."""
        return self.order_by("arrival_time", "task_id")
