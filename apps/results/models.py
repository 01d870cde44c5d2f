"""Runs and the placements they made."""

from collections.abc import Mapping

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from apps.results.errors import RunStateError
from apps.results.filing import Filed, RunColumns, RunTag
from apps.results.gangs import GangBlock
from apps.results.managers import (
    AttemptQuerySet,
    FidelityQuerySet,
    RunQuerySet,
    SchedulerResultQuerySet,
    StudyQuerySet,
)
from apps.results.placement_files import PlacementFile
from apps.results.signals import rows_changed
from apps.results.stretches import Stretch
from apps.tasks.models import Site, Task, Workload
from scheduler_sim.choices import PlainChoices
from scheduler_sim.columnar.digests import json_digest
from scheduler_sim.constraints import check, unique
from scheduler_sim.marks import alters_data

__all__ = (
    "Attempt",
    "Fidelity",
    "GangBlock",
    "PlacementFile",
    "Run",
    "RunColumns",
    "RunDeletion",
    "RunTag",
    "SchedulerResult",
    "Stretch",
    "Study",
    "study_status",
)


class Study(models.Model):
    """A named grid of runs: workloads, loads, clusters, policies, estimates and seeds. Its status is its runs'."""

    name = models.CharField(max_length=200)
    definition = models.JSONField(help_text="The grid, as it was given.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = StudyQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "studies"
        constraints = [unique("name", called="unique_name")]

    def __str__(self) -> str:
        return self.name

    def counts(self) -> dict[str, int]:
        """Return how many of its runs have each status that occurs."""
        return dict(self.runs.order_by().values_list("status").annotate(models.Count("id")))

    @property
    def status(self) -> str:
        """What its runs' statuses come to: empty, queued, running, finished, failed or stopped."""
        return study_status(self.counts())


def study_status(counts: Mapping[str, int]) -> str:
    """Return the status of a study from the number of its runs of each status."""
    if not any(counts.values()):
        return "empty"
    if counts.get("running") or counts.get("paused"):
        return "running"
    if counts.get("queued"):
        return "queued" if counts["queued"] == sum(counts.values()) else "running"
    return next((status for status in ("failed", "stopped") if counts.get(status)), "finished")


class Run(Filed):
    """One workload played on one cluster by a list of policies with one seed.

    Its status is the only status anywhere. Allowed transitions: queued -> running, stopped, failed; running ->
    paused, finished, stopped, failed; paused -> running, stopped, failed; and, to take up what was kept, stopped or
    failed -> running, or -> queued where it waits for a process first, as does one whose process died.
    """

    class Status(PlainChoices):
        QUEUED = "queued"
        RUNNING = "running"
        PAUSED = "paused"
        FINISHED = "finished"
        STOPPED = "stopped"
        FAILED = "failed"

    TERMINAL = (Status.FINISHED, Status.STOPPED, Status.FAILED)
    NAME_LENGTH = 200

    name = models.CharField(max_length=NAME_LENGTH)
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="runs")
    cluster = models.JSONField(help_text="The cluster as it was simulated.")
    site = models.ForeignKey(
        Site,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="runs",
        help_text="The version of a site whose rules held; its changes are in the configuration.",
    )
    policies = models.JSONField(help_text="Names of the policies, in the order given.")
    seed = models.BigIntegerField(default=0)
    engine_version = models.CharField(max_length=20)
    code_version = models.CharField(max_length=60, blank=True)
    configuration = models.JSONField(default=dict, help_text="Everything needed to play it again.")
    cautions = models.JSONField(
        default=list, blank=True, help_text="What must be known to read its figures: kind, policies and text of each."
    )
    status = models.CharField(max_length=8, choices=Status, default=Status.QUEUED)
    error = models.TextField(blank=True, help_text="Why it failed, in plain words.")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    rows_expected = models.PositiveBigIntegerField(default=0)
    rows_written = models.PositiveBigIntegerField(default=0)
    checksum = models.CharField(max_length=64, blank=True, help_text="SHA-256 over the sorted exported columns.")
    digests = models.JSONField(
        null=True, blank=True, editable=False, help_text="SHA-256 of tasks, cluster, configuration, figures and labels."
    )
    # A run's rows lie together in the results' primary key; these bounds, kept by the writer, let the newest rows, a
    # page anywhere and a deletion in pieces be read off that key, so that no index on (run, id) slows down writing.
    first_result_id = models.BigIntegerField(null=True, editable=False, help_text="No result has a lower key.")
    last_result_id = models.BigIntegerField(null=True, editable=False, help_text="No result has a higher key.")

    study = models.ForeignKey(
        Study, on_delete=models.SET_NULL, null=True, blank=True, related_name="runs", db_index=False
    )
    study_point = models.JSONField(default=dict, blank=True, help_text="Where in the study's grid it lies.")
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of all that decides what it computes.")

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = [
            unique("name", called="unique_name"),
            # A study never holds the same run twice. Also serves the runs of a study.
            unique("study", "digest", called="unique_in_study", where=Q(study__isnull=False)),
        ]
        indexes = [
            # The start page and /api/v1/runs/?status=: runs under way, newest first.
            models.Index(fields=("status", "-id"), name="results_run_status_newest"),
            # The list of runs: those in sight and in no study, newest first, and how many; their rows hold whole
            # clusters, which it need not read.
            models.Index(fields=("archived_at", "study", "-created_at", "-id"), name="results_run_listed"),
        ]
        permissions = [("control_run", "Can start, pause, resume and stop runs")]

    def __str__(self) -> str:
        return self.name

    @property
    def place_digest(self) -> str:
        """The digest of what it is played on, of a site without what the run changes of it.

        Runs of one workload with the same share what is known of its replay.
        """
        if self.site is not None:
            return self.site.digest
        # Kept from its end on, so that lists of runs need not read their clusters.
        return (self.digests or {}).get("cluster") or json_digest(self.cluster)

    @property
    def knows_gangs(self) -> bool:
        """True when it was kept which nodes tasks on several of them held.

        It was not of runs that ended before that was kept, and is not of those that have not come to their end.
        """
        return "gangs" in (self.digests or {})

    @property
    def keeps(self) -> str:
        """What is kept beside its figures: `results` in the database, `parquet` in files, or `summary` for nothing."""
        return str(self.configuration.get("keep", "results"))

    @property
    def is_over(self) -> bool:
        """True when no process works on it any more."""
        return self.status in self.TERMINAL

    @alters_data
    def begin(self) -> None:
        """Move to running, from queued or to take up an interrupted, stopped or failed run."""
        self._move(
            to=self.Status.RUNNING,
            allowed=(
                self.Status.QUEUED,
                self.Status.RUNNING,
                self.Status.PAUSED,
                self.Status.STOPPED,
                self.Status.FAILED,
            ),
            started_at=self.started_at or timezone.now(),
            finished_at=None,
            error="",
        )

    @alters_data
    def queue_again(self) -> None:
        """Move back to queued, so that what was kept is taken up; the caller knows that no process plays it."""
        self._move(
            to=self.Status.QUEUED,
            allowed=(self.Status.RUNNING, self.Status.PAUSED, self.Status.STOPPED, self.Status.FAILED),
            finished_at=None,
            error="",
        )

    @alters_data
    def pause(self) -> None:
        """Move from running to paused."""
        self._move(to=self.Status.PAUSED, allowed=(self.Status.RUNNING,))

    @alters_data
    def unpause(self) -> None:
        """Move from paused to running."""
        self._move(to=self.Status.RUNNING, allowed=(self.Status.PAUSED,))

    @alters_data
    def finish(self, *, rows_written: int, checksum: str, digests: Mapping[str, str] | None = None) -> None:
        """Move from running to finished; `digests` are those of all else that belongs to the run, by name."""
        self._move(
            to=self.Status.FINISHED,
            allowed=(self.Status.RUNNING,),
            finished_at=timezone.now(),
            rows_written=rows_written,
            checksum=checksum,
            digests=digests,
        )

    @alters_data
    def stop(self) -> None:
        """Move to stopped; what was written is kept."""
        self._move(
            to=self.Status.STOPPED,
            allowed=(self.Status.QUEUED, self.Status.RUNNING, self.Status.PAUSED),
            finished_at=timezone.now(),
        )

    @alters_data
    def fail(self, reason: str) -> None:
        """Move to failed with a reason in plain words; what was written is kept."""
        self._move(
            to=self.Status.FAILED,
            allowed=(self.Status.QUEUED, self.Status.RUNNING, self.Status.PAUSED),
            finished_at=timezone.now(),
            error=reason,
        )

    def _move(self, *, to: str, allowed: tuple[str, ...], **changes: object) -> None:
        """Claim the row in one statement, so that of two processes only one makes the move."""
        with transaction.atomic():
            moved = type(self).objects.filter(pk=self.pk, status__in=allowed).update(status=to, **changes)
            if moved:
                rows_changed.send(sender=type(self), run_id=self.pk)
        if not moved:
            self.refresh_from_db(fields=["status"])
            raise RunStateError(f"Run {self.name} is {self.status}, so it cannot become {to}.")
        self.status = to
        for field, value in changes.items():
            setattr(self, field, value)


class SchedulerResult(models.Model):
    """One task placed by one policy of one run: the hot table.

    The foreign keys carry no database constraint and no index of their own, because those cost four fifths of the
    writing speed; the writer guards them instead (the run and its tasks exist, counted at the end), and the unique
    key serves the look-ups. `task_id` is the primary key of the task; its number is `task__task_id`.
    """

    run = models.ForeignKey(
        Run, on_delete=models.DO_NOTHING, related_name="results", db_constraint=False, db_index=False
    )
    task = models.ForeignKey(
        Task, on_delete=models.DO_NOTHING, related_name="results", db_constraint=False, db_index=False
    )
    scheduler = models.CharField(max_length=100, help_text="The policy's name.")
    gpu_fraction = models.FloatField()
    # -1 for a task that left a site's queue before it started.
    node = models.IntegerField()
    device = models.IntegerField(help_text="Number of the GPU on its node, -1 for none.")
    start_time = models.FloatField()
    finish_time = models.FloatField()
    actual_time = models.FloatField(help_text="finish_time - start_time.")
    wait_time = models.FloatField(help_text="start_time - arrival, or readiness where that is later.")
    energy_joules = models.FloatField()
    cost_usd = models.FloatField()
    model_version = models.IntegerField(null=True, blank=True, help_text="Of a learned policy.")
    # Empty where every task runs once from its start to its finish and completes: that is most runs, which then pay
    # nothing for these columns. `SchedulerResultQuerySet.with_history` reads them as what they stand for.
    attempts = models.IntegerField(null=True, blank=True, help_text="Spans in which it held devices.")
    service_time = models.FloatField(null=True, blank=True, help_text="Seconds of progress that was not thrown away.")
    lost_time = models.FloatField(
        null=True, blank=True, help_text="Seconds held without lasting progress: overheads and progress thrown away."
    )
    outcome = models.CharField(  # noqa: DJ001 empty is "not told", as in the columns beside it
        max_length=12, null=True, blank=True, help_text="completed, timed_out, cancelled or failed."
    )

    objects = SchedulerResultQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = [
            # Also serves the comparative history: a task with every policy's result. With the policy last the rows
            # of all policies land on the same pages, which halves the cost of writing them.
            unique("run", "task", "scheduler", called="unique_task"),
            check(Q(finish_time__gte=models.F("start_time")), called="finish_after_start"),
            check(Q(gpu_fraction__gte=0) & Q(gpu_fraction__lte=1), called="fraction_within_0_and_1"),
        ]

    def __str__(self) -> str:
        return f"{self.scheduler}: task {self.task_id}"


class Attempt(models.Model):
    """One span in which a task held devices, of tasks with more than one; a task that runs once has its result alone.

    Under policies that change widths every task has its attempts.

    Written with the task's result in one transaction, so that a result has either all of its attempts or none is
    there. The foreign keys are those of `SchedulerResult`, for its reasons.
    """

    run = models.ForeignKey(
        Run, on_delete=models.DO_NOTHING, related_name="attempts", db_constraint=False, db_index=False
    )
    task = models.ForeignKey(
        Task, on_delete=models.DO_NOTHING, related_name="attempts", db_constraint=False, db_index=False
    )
    scheduler = models.CharField(max_length=100, help_text="The policy's name.")
    number = models.IntegerField(help_text="1, 2, ... within the task.")
    start_time = models.FloatField()
    end_time = models.FloatField()
    node = models.IntegerField(help_text="Lowest number among the nodes used.")
    device = models.IntegerField(help_text="Number of the GPU on its node, -1 for none.")
    cpus = models.FloatField(help_text="Cores held.")
    gpus = models.FloatField(help_text="GPUs held.")
    reason = models.CharField(
        max_length=12,
        help_text="Why it ended: finished, suspended, requeued, failed, resized, timed_out, cancelled or moved.",
    )

    objects = AttemptQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = [
            # Also serves a task's story, a run's attempts, and their deletion in pieces.
            unique("run", "task", "scheduler", "number", called="unique_number"),
            check(Q(end_time__gte=models.F("start_time")), called="end_after_start"),
        ]

    def __str__(self) -> str:
        return f"{self.scheduler}: task {self.task_id}, attempt {self.number}"


class Fidelity(models.Model):
    """How a policy, playing a workload on a cluster or site as it was, lies beside what the workload's log says.

    A row of its own rather than columns of a run: it holds for every run of that workload there, also for those that
    do not play that policy, and it stays when the run that found it out is deleted.
    """

    POLICIES = ("slurm", "recorded")
    """Those by which runs are marked, the better proof first: the scheduler of a site, and the recorded starts."""

    workload = models.ForeignKey(Workload, on_delete=models.CASCADE, related_name="fidelities", db_index=False)
    place_name = models.CharField(max_length=200, help_text="What the cluster or site is called.")
    place_digest = models.CharField(max_length=64, help_text="SHA-256 of the cluster or site that it was played on.")
    policy = models.CharField(max_length=100, help_text="The policy's name.")
    engine_version = models.CharField(max_length=20)
    tasks = models.BigIntegerField(help_text="Tasks compared: both starts are known.")
    late_tasks = models.BigIntegerField(help_text="Those that start more than a second later than recorded.")
    mean_absolute_difference = models.FloatField(help_text="Mean of |start played - start recorded| in seconds.")
    median_absolute_difference = models.FloatField(help_text="Its median.")
    p95_absolute_difference = models.FloatField(help_text="Its 95th percentile.")
    mean_difference = models.FloatField(help_text="Mean of start played - start recorded in seconds.")
    recorded_mean_wait = models.FloatField(help_text="Mean of start recorded - arrival in seconds.")
    played_mean_wait = models.FloatField(help_text="Mean of start played - arrival in seconds.")
    rank_correlation = models.FloatField(null=True, blank=True, help_text="Spearman's, of the waits.")
    has_same_mean_wait = models.BooleanField(help_text="Within 5% of the log's, or a second.")
    details = models.JSONField(help_text="By queue, QOS and hour; utilisations; the first task that differs.")
    checked_at = models.DateTimeField(auto_now=True)

    objects = FidelityQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "fidelities"
        # Also serves what is known of a run's workload.
        constraints = [unique("workload", "engine_version", "place_digest", "policy", called="unique_replay")]

    def __str__(self) -> str:
        return f"{self.policy} on {self.place_name}"


class RunDeletion(models.Model):
    """Placements of a run that was deleted, still to be removed; see `run_delete`."""

    run_number = models.BigIntegerField(help_text="The key that the run had.")
    first_result_id = models.BigIntegerField()
    last_result_id = models.BigIntegerField(help_text="Sinks as the placements are removed from the newest on.")
    folder = models.CharField(max_length=100, blank=True, default="", help_text="Of its files of placements, if any.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"deletion of run {self.run_number}"
