"""Admin page of metrics."""

from django.contrib import admin

from apps.metrics.models import CacheGeneration, GroupMetric, Metric
from apps.results.admin import RunFilter, SchedulerFilter
from scheduler_sim.web.admin import KeyOrderedAdmin, ReadOnlyAdmin


@admin.register(Metric)
class MetricAdmin(KeyOrderedAdmin):
    """Figures of runs and windows; they are computed from results and never typed in."""

    within = "run"
    keys_within = ("run_id", "scheduler", "window_start_time", "window_end_time")

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


@admin.register(GroupMetric)
class GroupMetricAdmin(KeyOrderedAdmin):
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


@admin.register(CacheGeneration)
class CacheGenerationAdmin(ReadOnlyAdmin):
    """How often what the cache holds has become outdated."""

    list_display = ("scope", "value")
    search_fields = ("=scope",)
