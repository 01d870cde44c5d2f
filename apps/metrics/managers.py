"""Questions asked of metrics."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db import connections, models
from django.db.models import F, OuterRef, Subquery

from scheduler_sim.columnar.insert import insert_blocks
from scheduler_sim.marks import alters_data

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
        """Order by mean bounded slowdown, the lowest first; policies that finished nothing come last."""
        return self.order_by(
            F("mean_bounded_slowdown").asc(nulls_last=True), "mean_job_completion_time", "scheduler", "run_id"
        )

    def for_outer_run(self, figure: str, scheduler: str = "") -> Subquery:
        """Return a figure for each row of a query of runs: of its policy in front, or of `scheduler`; None without."""
        totals = self.totals().filter(run=OuterRef("pk"))
        if scheduler:
            totals = totals.filter(scheduler=scheduler)
        else:
            # Rank order, written as the index has it.
            totals = totals.filter(mean_bounded_slowdown__isnull=False)
            totals = totals.order_by("mean_bounded_slowdown", "mean_job_completion_time", "scheduler")
        return Subquery(totals.values(figure)[:1])

    def leaderboard(self, run: "Run | int") -> "MetricQuerySet":
        """Return the totals of one run in rank order."""
        return self.totals().filter(run=run).in_rank_order()

    @alters_data
    def bulk_create_columns(self, *, run_id: int, is_total: bool, figures: Mapping[str, Mapping[str, Any]]) -> int:
        """Write figures given as columns by policy by the database's quickest way, and return how many rows."""
        given = {"run_id": run_id, "is_total": is_total}
        return insert_blocks(
            self.model,
            [{**given, "scheduler": scheduler, **columns} for scheduler, columns in figures.items()],
            using=self.db,
        )


class GroupMetricQuerySet(models.QuerySet):
    """Figures of groups."""

    def of_run(self, run: "Run | int", grouped_by: str, scheduler: str) -> "GroupMetricQuerySet":
        """Return the groups of one kind under one policy of a run."""
        return self.filter(run=run, grouped_by=grouped_by, scheduler=scheduler)

    @alters_data
    def bulk_create_columns(self, *, run_id: int, figures: Mapping[str, Mapping[str, Any]]) -> int:
        """Write figures given as columns by policy by the database's quickest way, and return how many rows."""
        blocks = [{"run_id": run_id, "scheduler": scheduler, **columns} for scheduler, columns in figures.items()]
        return insert_blocks(self.model, blocks, using=self.db)


class CacheGenerationQuerySet(models.QuerySet):
    """Counters of change."""

    @alters_data
    def bump(self, scopes: Sequence[str]) -> None:
        """Count one more change of each scope, in the transaction under way."""
        for scope in scopes:
            if not self.filter(scope=scope).update(value=F("value") + 1):
                # Another process may insert it at this moment; then its row is the one to count up.
                self.bulk_create([self.model(scope=scope, value=0)], ignore_conflicts=True)
                self.filter(scope=scope).update(value=F("value") + 1)

    def of(self, scope: str) -> int:
        """Return the generation of a scope, by plain SQL: to build the query takes longer than all else of a hit."""
        with connections[self.db].cursor() as cursor:
            cursor.execute("SELECT value FROM metrics_cachegeneration WHERE scope = %s", [scope])
            row = cursor.fetchone()
        return row[0] if row else 0
