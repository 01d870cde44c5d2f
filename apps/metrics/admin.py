"""Admin page of metrics."""

from django.contrib import admin
from django.http import HttpRequest

from apps.metrics.models import CacheGeneration, GroupMetric, Metric
from apps.results.admin import RunFilter, SchedulerFilter
from scheduler_sim.web.admin import ReadOnlyAdmin


@admin.register(Metric)
class MetricAdmin(ReadOnlyAdmin):
    """Figures of runs and windows; they are computed from results and never typed in."""

    list_display = (
        "run",
        "scheduler",
        "is_total",
        "window_start_time",
        "window_end_time",
        "finished_count",
        "mean_job_completion_time",
        "mean_wait_time",
        "mean_bounded_slowdown",
        "makespan",
        "cpu_utilisation",
        "wins",
    )
    list_filter = ("is_total", RunFilter, SchedulerFilter)
    list_select_related = ("run",)
    raw_id_fields = ("run",)
    # Served by the primary key, or by the unique key of one run.
    ordering = ("-id",)
    sortable_by = ()

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Order one run by policy and time, all of them by the primary key."""
        by_run = ("run_id", "scheduler", "window_start_time", "window_end_time")
        return by_run if request.GET.get("run") else self.ordering


@admin.register(GroupMetric)
class GroupMetricAdmin(ReadOnlyAdmin):
    """Figures of groups of tasks; they are computed from results and never typed in."""

    list_display = (
        "run",
        "scheduler",
        "grouped_by",
        "name",
        "merged_count",
        "task_count",
        "mean_wait_time",
        "mean_bounded_slowdown",
        "difference",
    )
    list_filter = (RunFilter, SchedulerFilter)
    list_select_related = ("run",)
    raw_id_fields = ("run",)
    # Served by the primary key, whose order is that of the groups.
    ordering = ("-id",)
    sortable_by = ()


@admin.register(CacheGeneration)
class CacheGenerationAdmin(ReadOnlyAdmin):
    """How often what the cache holds has become outdated."""

    list_display = ("scope", "value")
    search_fields = ("=scope",)
