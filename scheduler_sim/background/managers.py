"""Questions asked of jobs."""

from collections import Counter
from typing import Any

from django.db import models
from django.db.models import Max

from scheduler_sim.background.queue import Busy, Waiting, in_order


class JobQuerySet(models.QuerySet[Any]):
    """Jobs."""

    def active(self) -> "JobQuerySet":
        """Those that wait, start or run."""
        return self.filter(status__in=self.model.ACTIVE)

    def under_way(self) -> "JobQuerySet":
        """Those that have a process, or a worker that is to take them."""
        return self.filter(status__in=(self.model.Status.STARTING, self.model.Status.RUNNING))

    def about(self, kind: str, subject: Any) -> "JobQuerySet":
        """Those of one kind about one row, or about one key; the newest first."""
        return self.filter(kind=kind, subject_id=getattr(subject, "pk", subject)).order_by("-pk")

    def latest_about(self, kind: str, subject: Any) -> Any:
        """Return the newest job about a row, None where there is none."""
        return self.about(kind, subject).select_related("requested_by").first()

    def waiting(self) -> list[Waiting]:
        """Return what waits, as the queue orders it."""
        rows = self.filter(status=self.model.Status.QUEUED).values_list("pk", "kind", "requested_by_id")
        return [Waiting(*row) for row in rows]

    def busy(self) -> Busy:
        """Return what of these is under way, and whose turn was when among all."""
        rows = list(self.under_way().values_list("requested_by_id", "kind"))
        every = self.model.objects.order_by().filter(turn__isnull=False)
        turns = every.values_list("requested_by_id").annotate(Max("turn"))
        return Busy(users=Counter(user for user, _ in rows), kinds=Counter(kind for _, kind in rows), turns=dict(turns))

    def places(self) -> dict[int, int]:
        """Return the place in the queue, from 1, of every job that waits."""
        order = in_order(self.waiting(), self.busy())
        return {job.key: place for place, job in enumerate(order, start=1)}
