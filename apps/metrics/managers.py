"""Questions asked of metrics."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F

if TYPE_CHECKING:
    from apps.results.models import Run


class MetricQuerySet(models.QuerySet):
    """Windows of figures."""

    def totals(self) -> "MetricQuerySet":
        """Only the windows that are whole runs."""
        return self.filter(is_total=True)

    def windows(self) -> "MetricQuerySet":
        """Only the windows that make up the time series."""
        return self.filter(is_total=False)

    def in_rank_order(self) -> "MetricQuerySet":
        """Order by mean completion time, the shortest first; policies that finished nothing come last."""
        return self.order_by(F("mean_job_completion_time").asc(nulls_last=True), "scheduler", "run_id")

    def leaderboard(self, run: "Run | int") -> "MetricQuerySet":
        """Return the totals of one run in rank order."""
        return self.totals().filter(run=run).in_rank_order()
