"""Figures of a run, policy and window of simulated time."""

from django.db import models
from django.db.models import F, Q

from apps.metrics.managers import CacheGenerationQuerySet, GroupMetricQuerySet, MetricQuerySet
from apps.results.models import Run
from scheduler_sim.constraints import check, unique


class Metric(models.Model):
    """What one policy did in one window of simulated time; the whole run is one such window.

    `scheduler_sim/engine/measuring/metrics.py` defines every figure, and `fragmentation.py` beside it fragmentation.
    Empty where the window holds no finished task.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metrics", db_index=False)
    scheduler = models.CharField(max_length=100)
    is_total = models.BooleanField(default=False, help_text="True for the window that is the whole run.")
    window_start_time = models.FloatField()
    window_end_time = models.FloatField()
    arrived_count = models.PositiveBigIntegerField()
    started_count = models.PositiveBigIntegerField()
    finished_count = models.PositiveBigIntegerField()
    mean_job_completion_time = models.FloatField(null=True)
    min_job_completion_time = models.FloatField(null=True)
    max_job_completion_time = models.FloatField(null=True)
    p50_job_completion_time = models.FloatField(null=True)
    p95_job_completion_time = models.FloatField(null=True)
    p99_job_completion_time = models.FloatField(null=True)
    mean_wait_time = models.FloatField(null=True)
    min_wait_time = models.FloatField(null=True)
    max_wait_time = models.FloatField(null=True)
    p50_wait_time = models.FloatField(null=True)
    p95_wait_time = models.FloatField(null=True)
    p99_wait_time = models.FloatField(null=True)
    mean_bounded_slowdown = models.FloatField(null=True)
    makespan = models.FloatField(null=True)
    throughput = models.FloatField(null=True, help_text="Finished tasks a second.")
    cpu_utilisation = models.FloatField(null=True)
    gpu_utilisation = models.FloatField(null=True)
    gpu_fragmentation = models.FloatField(null=True)
    mean_queue_length = models.FloatField(null=True)
    max_queue_length = models.PositiveBigIntegerField(null=True)
    energy_joules = models.FloatField(null=True)
    idle_energy_joules = models.FloatField(null=True)
    cost_usd = models.FloatField(null=True)
    wins = models.PositiveBigIntegerField(null=True)
    losses = models.PositiveBigIntegerField(null=True)
    fairness = models.FloatField(null=True)
    # Empty in runs that were stored before tasks could stop and go on; see ADDED.
    attempts_mean = models.FloatField(null=True)
    service_time = models.FloatField(null=True)
    lost_time = models.FloatField(null=True)
    suspended_time = models.FloatField(null=True)
    timed_out_count = models.PositiveBigIntegerField(null=True)
    failed_count = models.PositiveBigIntegerField(null=True)
    # Empty in runs that were stored before shares were measured; see ADDED.
    mean_rho = models.FloatField(null=True)
    p95_rho = models.FloatField(null=True)
    max_rho = models.FloatField(null=True)
    unfair_share = models.FloatField(null=True)
    share_fairness = models.FloatField(null=True)
    least_share = models.FloatField(null=True)
    # Empty where a run names no series; see ADDED.
    carbon_kg = models.FloatField(null=True)
    idle_carbon_kg = models.FloatField(null=True)
    electricity_usd = models.FloatField(null=True)
    idle_electricity_usd = models.FloatField(null=True)
    over_cap_time = models.FloatField(null=True)
    # Empty where nodes do not sleep; see ADDED.
    asleep_time = models.FloatField(null=True)
    wakes = models.FloatField(null=True)
    woken_starts = models.FloatField(null=True)
    saved_joules = models.FloatField(null=True)
    details = models.JSONField(
        default=dict, help_text="Of the whole run: histograms, fair shares, win/loss matrix, bounds, regret."
    )

    ADDED = frozenset(
        (
            *("attempts_mean", "service_time", "lost_time", "suspended_time", "timed_out_count", "failed_count"),
            *("mean_rho", "p95_rho", "max_rho", "unfair_share", "share_fairness", "least_share", "fair_shares"),
            *("carbon_kg", "idle_carbon_kg", "electricity_usd", "idle_electricity_usd", "over_cap_time"),
            *("asleep_time", "wakes", "woken_starts", "saved_joules"),
        )
    )
    """Figures and details that older runs lack: they are compared with nothing, and no digest is of their absence."""

    objects = MetricQuerySet.as_manager()

    class Meta:
        ordering = ("run_id", "scheduler", "window_start_time", "-window_end_time")
        constraints = [
            # Also serves the plots of one run and policy in time order.
            unique("run", "scheduler", "window_start_time", "window_end_time", called="unique_window"),
            unique("run", "scheduler", called="one_total", where=Q(is_total=True)),
            check(Q(window_end_time__gte=F("window_start_time")), called="window_not_reversed"),
        ]
        indexes = [
            # The leaderboard over all runs reads only the totals.
            models.Index(fields=("scheduler",), condition=Q(is_total=True), name="metrics_metric_totals"),
            # The list of runs, sorted by a figure of each run's policy in front.
            models.Index(
                fields=("run", "mean_bounded_slowdown", "mean_job_completion_time", "scheduler"),
                condition=Q(is_total=True),
                name="metrics_metric_in_front",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scheduler}: {self.window_start_time} to {self.window_end_time}"

    @property
    def regret(self) -> float | None:
        """Of a whole run: its mean completion time over the oracle's, less 1; None where no oracle played."""
        regret: float | None = self.details.get("regret", {}).get("mean_job_completion_time")
        return regret


class GroupMetric(models.Model):
    """What one policy did for one group of a run's tasks: those of a user, an account, a partition, a size, an hour.

    Written once when the run ends; `scheduler_sim/engine/measuring/groups.py` defines every figure. The base of the
    differences is the run's first policy.
    """

    class GroupedBy(models.TextChoices):
        USER = "user", "User"
        GROUP = "group", "Account"
        QUEUE = "queue", "Partition"
        QOS = "qos", "QOS"
        SIZE = "size", "Size"
        LENGTH = "length", "Run time"
        KIND = "kind", "Kind"
        HOUR = "hour", "Hour"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="group_metrics", db_index=False)
    grouped_by = models.CharField(max_length=6, choices=GroupedBy)
    scheduler = models.CharField(max_length=100)
    name = models.CharField(max_length=200, blank=True, help_text="Empty: what the workload does not state.")
    merged_count = models.PositiveBigIntegerField(
        help_text="0 for a group; else this is what so many smaller groups come to."
    )
    task_count = models.PositiveBigIntegerField()
    mean_wait_time = models.FloatField()
    p50_wait_time = models.FloatField()
    p95_wait_time = models.FloatField()
    mean_job_completion_time = models.FloatField()
    mean_bounded_slowdown = models.FloatField()
    core_hours = models.FloatField()
    gpu_hours = models.FloatField()
    # Empty in runs that were stored before groups had them, and where watts, prices or series are not known; see ADDED.
    energy_joules = models.FloatField(null=True)
    cost_usd = models.FloatField(null=True)
    carbon_kg = models.FloatField(null=True)
    electricity_usd = models.FloatField(null=True)
    sooner_count = models.PositiveBigIntegerField(help_text="Tasks that complete sooner than under the base.")
    later_count = models.PositiveBigIntegerField(help_text="Tasks that complete later than under the base.")
    difference = models.FloatField(help_text="Mean completion time less that under the base, seconds.")
    difference_low = models.FloatField(null=True, help_text="Lower end of its 95% interval; empty for few tasks.")
    difference_high = models.FloatField(null=True)
    difference_p_value = models.FloatField(null=True, help_text="Corrected for all groups of its kind.")

    ADDED = frozenset(("energy_joules", "cost_usd", "carbon_kg", "electricity_usd"))
    """Figures that older runs lack: they are compared with nothing, and no digest is of their absence."""

    objects = GroupMetricQuerySet.as_manager()

    class Meta:
        ordering = ("run_id", "grouped_by", "scheduler", "id")
        # Also serves the page: the groups of one kind under one policy.
        constraints = [unique("run", "grouped_by", "scheduler", "merged_count", "name", called="unique_group")]

    def __str__(self) -> str:
        return f"{self.scheduler}: {self.grouped_by} {self.name}"

    CLEAR = 0.05
    """Level below which a corrected p-value tells of more than chance."""

    @property
    def verdict(self) -> str:
        """Whether it is clearly `better` or `worse` off than under the base, empty where that is not clear."""
        if self.difference_p_value is None or self.difference_p_value >= self.CLEAR or not self.difference:
            return ""
        return "better" if self.difference < 0 else "worse"


class CacheGeneration(models.Model):
    """How often the data of one scope changed: the part of a cache key that makes older answers unreachable.

    It lives in the database, so that it moves in the very transaction that changes the data, for every process and
    also while Redis is away.
    """

    scope = models.CharField(max_length=40, primary_key=True, help_text="all, or run:<number>.")
    value = models.PositiveBigIntegerField(default=1)

    objects = CacheGenerationQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.scope}: {self.value}"
