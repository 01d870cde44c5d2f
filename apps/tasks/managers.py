"""Questions asked of workloads and tasks."""

from django.db import models


class WorkloadQuerySet(models.QuerySet):
    """Workloads."""

    def for_list(self, query: str) -> "WorkloadQuerySet":
        """Return those whose name or source holds `query`, each with the `span` of its arrivals in seconds."""
        matching = self.filter(models.Q(name__icontains=query) | models.Q(source__icontains=query)) if query else self
        return matching.annotate(span=models.F("last_arrival_time") - models.F("first_arrival_time")).defer("audit")


class TaskQuerySet(models.QuerySet):
    """Tasks."""

    def in_canonical_order(self) -> "TaskQuerySet":
        """Order by arrival, then number: the engine's order."""
        return self.order_by("arrival_time", "task_id")
