"""Workloads and their tasks, as imported or generated."""

import zlib
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from django.conf import settings
from django.db import models, transaction
from django.db.models import Q

from apps.tasks.managers import (
    OfWorkloadQuerySet,
    SeriesQuerySet,
    SiteQuerySet,
    TaskQuerySet,
    TaskRequestQuerySet,
    WorkloadQuerySet,
)
from scheduler_sim.background.models import Job
from scheduler_sim.choices import PlainChoices
from scheduler_sim.constraints import check, unique
from scheduler_sim.engine.series import StepSeries
from scheduler_sim.engine.workloads.requests import NAMES
from scheduler_sim.marks import alters_data

if TYPE_CHECKING:
    from scheduler_sim.engine import sites


class Workload(models.Model):
    """A set of tasks with one origin; it does not change once a run refers to it."""

    NAME_LENGTH = 200

    name = models.CharField(max_length=NAME_LENGTH)
    source = models.CharField(max_length=60, help_text="A trace format, or synthetic:<generator>.")
    source_file_name = models.CharField(max_length=255, blank=True)
    source_sha256 = models.CharField(
        max_length=64, blank=True, help_text="Of the file's bytes and the options it was read with."
    )
    generator_parameters = models.JSONField(default=dict, blank=True)
    seed = models.BigIntegerField(null=True, blank=True)
    task_count = models.PositiveBigIntegerField(default=0)
    first_arrival_time = models.FloatField(default=0.0, help_text="Seconds on the trace's own clock.")
    last_arrival_time = models.FloatField(default=0.0, help_text="Seconds on the trace's own clock.")
    max_processors = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Of the machine that the trace was recorded on, where it says so."
    )
    core_seconds = models.FloatField(default=0.0, help_text="Sum of cores x runtime.")
    gpu_seconds = models.FloatField(default=0.0, help_text="Sum of GPUs x runtime.")
    offered_load = models.FloatField(
        null=True, blank=True, help_text="Core-seconds over (max_processors x span), where that is known."
    )
    audit = models.JSONField(default=dict, blank=True, help_text="What the import noticed, dropped and repaired.")
    throughputs = models.JSONField(
        null=True, blank=True, help_text="Rates by type of task, GPUs and kind of GPU; empty where there are none."
    )
    tasks_file = models.CharField(
        max_length=64,
        blank=True,
        editable=False,
        help_text="Names the file of its tasks: SHA-256 of what it must hold.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = WorkloadQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = [
            unique("name", called="unique_name"),
            # A file given twice is one workload.
            unique("source_sha256", called="unique_source_sha256", where=~Q(source_sha256="")),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def sent_mb(self) -> float:
        """MB that its tasks send to those that depend on them."""
        sent: float = self.audit.get("sent_mb", 0.0)
        return sent

    def states_requests(self) -> bool:
        """Tell whether it says of its tasks what they ask of a site."""
        # Either every task has such a row or none.
        first = self.tasks.order_by("task_id")[:1]
        return TaskRequest.objects.filter(task__in=first.values("pk")).exists()


class OfWorkload(models.Model):
    """A row of what a workload's file of tasks is made from: whoever changes it, that file is not the workload's."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **options: Any) -> None:
        """Store the row."""
        with transaction.atomic(using=options.get("using")):
            super().save(*args, **options)
            cast("OfWorkloadQuerySet", type(self)._default_manager.filter(pk=self.pk)).forget_files()

    def delete(self, *args: Any, **options: Any) -> tuple[int, dict[str, int]]:
        """Delete the row."""
        with transaction.atomic(using=options.get("using")):
            cast("OfWorkloadQuerySet", type(self)._default_manager.filter(pk=self.pk)).forget_files()
            return super().delete(*args, **options)


class Task(OfWorkload):
    """One unit of work of a workload; times are seconds on the trace's own clock."""

    class Kind(PlainChoices):
        RIGID = "rigid"
        HYBRID = "hybrid"

    workload = models.ForeignKey(Workload, on_delete=models.CASCADE, related_name="tasks", db_index=False)
    task_id = models.BigIntegerField(help_text="The number inside the workload.")
    arrival_time = models.FloatField()
    runtime = models.FloatField(help_text="True duration in seconds on a device of speed 1.")
    duration_estimate = models.FloatField(
        null=True, blank=True, help_text="What a policy is told, in seconds; empty where the trace states none."
    )
    size = models.FloatField(null=True, blank=True, help_text="Amount of work; empty where the trace has none.")
    compute_intensity = models.FloatField(default=0.0)
    memory_mb = models.FloatField(default=0.0)
    cpus = models.FloatField(default=1.0)
    gpus = models.FloatField(default=0.0, help_text="Below 1 it is a share of one GPU.")
    gpu_type = models.CharField(max_length=200, blank=True, help_text="Allowed models, separated by |.")
    user = models.CharField(max_length=100, blank=True)
    group = models.CharField(max_length=100, blank=True)
    queue = models.CharField(max_length=100, blank=True)
    dependencies = models.JSONField(default=list, blank=True, help_text="task_ids of the parents.")
    dependency_mb = models.JSONField(
        null=True, blank=True, help_text="MB that each of these sends to it, in their order; empty where nothing is."
    )
    kind = models.CharField(max_length=6, choices=Kind, default=Kind.RIGID)
    deadline_time = models.FloatField(null=True, blank=True)
    predicted_duration = models.FloatField(null=True, blank=True)
    recorded_start_time = models.FloatField(null=True, blank=True)
    external_id = models.CharField(max_length=200, blank=True)

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ("workload_id", "task_id")
        constraints = [
            # Also serves every look-up by workload, which is why the foreign key has no index of its own.
            unique("workload", "task_id", called="unique_task_id"),
            check(Q(runtime__gte=0) & Q(duration_estimate__gte=0), called="durations_not_negative"),
            check(Q(compute_intensity__gte=0) & Q(compute_intensity__lte=1), called="intensity_within_0_and_1"),
            check(
                Q(cpus__gte=0) & Q(gpus__gte=0) & Q(memory_mb__gte=0) & (Q(cpus__gt=0) | Q(gpus__gt=0)),
                called="asks_for_something",
            ),
        ]

    def __str__(self) -> str:
        return f"task {self.task_id}"


class TaskRequest(OfWorkload):
    """What a task asks for beside devices; where a workload states anything of it, every task of it has such a row."""

    task = models.OneToOneField(Task, on_delete=models.CASCADE, primary_key=True, related_name="request")
    nodes = models.BigIntegerField(default=0, help_text="At least so many; 0 where it does not say, as in all counts.")
    most_nodes = models.BigIntegerField(default=0, help_text="At most so many; 0: as many as nodes.")
    tasks = models.BigIntegerField(default=0, help_text="Processes in all.")
    cores_per_task = models.BigIntegerField(default=0, help_text="Of one process, all on one node.")
    tasks_per_node = models.BigIntegerField(default=0, help_text="Processes on each node.")
    gpus_per_node = models.FloatField("GPUs per node", default=0.0)
    memory_mb_per_core = models.FloatField("MB per core", null=True, blank=True)
    memory_mb_per_node = models.FloatField("MB per node", null=True, blank=True)
    features = models.CharField(max_length=500, blank=True, help_text="An expression of the site's features.")
    partitions = models.CharField(
        max_length=500, blank=True, help_text="Separated by commas, where it may run in several; else its queue."
    )
    qos = models.CharField("QOS", max_length=100, blank=True)
    reservation = models.CharField(max_length=100, blank=True)
    recorded_nodes = models.TextField(blank=True, help_text="On which it really ran, as a host list.")
    exclusive = models.BooleanField(default=False, help_text="Its nodes are for it alone.")
    eligible_time = models.FloatField(null=True, blank=True, help_text="When it may start at the earliest.")
    cancel_time = models.FloatField(null=True, blank=True, help_text="When it leaves the queue if it has not started.")
    nice = models.BigIntegerField(default=0, help_text="Taken from its priority.")
    array = models.BigIntegerField(default=0, help_text="A number that the tasks of one job array share; 0: none.")
    array_limit = models.BigIntegerField(default=0, help_text="How many of the array may run at once; 0: any number.")
    needs_success = models.BooleanField(default=False, help_text="Its parents must have completed.")
    fails = models.BooleanField(default=False, help_text="Its run ends in failure.")
    requeueable = models.BooleanField(default=True, help_text="It may be run again when it must give way.")
    elasticity = models.CharField(max_length=9, blank=True, help_text="rigid, moldable or malleable; empty: rigid.")
    least_width = models.BigIntegerField(default=0, help_text="GPUs, or processors, at least; 0: one.")
    most_width = models.BigIntegerField(default=0, help_text="GPUs, or processors, at most; 0: what it asks for.")
    speedup = models.CharField("speed-up", max_length=500, blank=True, help_text="By width; empty: as many times.")
    resize_time = models.FloatField(default=0.0, help_text="Seconds without progress after its width changed.")
    follows = models.BigIntegerField(
        default=0, help_text="The number of the task whose end its user waited for; 0: none. For a closed loop."
    )
    think_time = models.FloatField(null=True, blank=True, help_text="Seconds from that end to when it was submitted.")

    objects = TaskRequestQuerySet.as_manager()

    def __str__(self) -> str:
        return f"request of {self.task}"

    @classmethod
    def words(cls) -> dict[str, str]:
        """Return what people call each kind of thing that may be asked for."""
        return {field.name: str(field.verbose_name) for field in cls._kinds()}

    @classmethod
    def _kinds(cls) -> "list[models.Field[Any, Any]]":
        return [field for field in cls._meta.concrete_fields if field.name in NAMES]

    def stated(self) -> dict[str, str]:
        """Return what the task asks for, by what people call it; what it does not ask for is left out."""
        found = {}
        for field in self._kinds():
            value = getattr(self, field.name)
            if value not in (None, field.get_default()):
                shown = ("yes" if value else "no") if isinstance(value, bool) else value
                found[str(field.verbose_name)] = f"{shown:.12g}" if isinstance(shown, float) else str(shown)
        return found


class Site(models.Model):
    """One version of a site: nodes, partitions, QOS, accounts, reservations and the parameters of its scheduler.

    A version never changes: what is stored anew under its name is the next one, so that runs keep what they played on.
    """

    NAME_LENGTH = 100

    name = models.CharField(max_length=NAME_LENGTH)
    version = models.PositiveIntegerField(help_text="Counts up from 1 for each name.")
    description = models.JSONField(help_text="See docs/sites.md for every key.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the description.")
    notes = models.JSONField(default=list, blank=True, help_text="What of the files it was read from has no effect.")
    origin = models.CharField(max_length=255, blank=True, help_text="The files it was read from.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SiteQuerySet.as_manager()

    class Meta:
        ordering = ("name", "-version")
        constraints = [unique("name", "version", called="unique_version")]

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"

    @property
    def reference(self) -> str:
        """What names this version wherever a run asks for a site."""
        return f"{self.name}@{self.version}"

    def as_site(self) -> "sites.Site":
        """Return it as the engine knows it."""
        # Not at the top, as in every module that `django.setup` loads: kernels come with it, and with them Numba.
        from scheduler_sim.engine import sites

        return sites.Site.from_json(self.description)


class Series(models.Model):
    """A step series of a kind, such as carbon intensity; it never changes, and the same one is stored once."""

    NAME_LENGTH = 100

    name = models.CharField(max_length=NAME_LENGTH)
    kind = models.CharField(max_length=20, help_text="carbon, price, pue, temperature or power_cap.")
    unit = models.CharField(max_length=10, help_text="Of the values.")
    signal = models.CharField(
        max_length=8, blank=True, help_text="Of a carbon intensity: average or marginal, where it is known."
    )
    is_dated = models.BooleanField(help_text="Times are seconds since 1970; else seconds on a clock of its own.")
    begin = models.FloatField(help_text="Seconds at which the first value begins to hold.")
    end = models.FloatField(help_text="Seconds until which the last value holds.")
    value_count = models.PositiveIntegerField()
    packed = models.BinaryField(help_text="Times, then values: little-endian doubles, packed by zlib.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of all of the above but the name.")
    audit = models.JSONField(default=dict, help_text="What its file held: step, gaps, units, notes.")
    origin = models.CharField(max_length=255, blank=True, help_text="The file it was read from.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SeriesQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "series"
        constraints = [
            unique("name", called="unique_name"),
            unique("digest", called="unique_digest"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def reference(self) -> str:
        """What names exactly this one wherever a run asks for a series."""
        return f"{self.name}@{self.digest[:12]}"

    def as_steps(self, beyond: str) -> StepSeries:
        """Return it as the engine knows it, on its own clock; `beyond` as of `StepSeries`."""
        both = np.frombuffer(zlib.decompress(self.packed), "<f8").reshape(2, self.value_count)
        return StepSeries(both[0].astype(np.float64), both[1].astype(np.float64), self.end, beyond)


class WorkloadImport(models.Model):
    """A trace file that was sent over HTTP and is read in a process of its own; clients ask how far it is."""

    class Status(PlainChoices):
        QUEUED = "queued"
        RUNNING = "running"
        FINISHED = "finished"
        FAILED = "failed"

    UNFINISHED = (Status.QUEUED, Status.RUNNING)

    file_name = models.CharField(max_length=255, help_text="As the client called it.")
    stored_file = models.CharField(max_length=500, blank=True, help_text="Where it waits; empty once it was read.")
    format = models.CharField(max_length=60, blank=True, help_text="Empty: found by content.")
    name = models.CharField(max_length=200, blank=True, help_text="Of the workload; empty: made from the file's name.")
    map = models.TextField(blank=True, help_text="Workload column = column of the file, as --map takes it.")
    columns = models.TextField(blank=True, help_text="Names of the columns of a file without a header line.")
    think_times = models.BooleanField(default=False, help_text="SWF: read fields 17 and 18, for a closed loop.")
    flops = models.FloatField(null=True, blank=True, help_text="Batsim: flop/s of a host, for jobs that compute.")
    status = models.CharField(max_length=8, choices=Status, default=Status.QUEUED)
    progress = models.CharField(max_length=200, blank=True, help_text="What is being done, in a few words.")
    error = models.TextField(blank=True, help_text="Why it failed, in plain words.")
    workload = models.ForeignKey(Workload, on_delete=models.SET_NULL, null=True, blank=True, related_name="imports")
    is_new = models.BooleanField(null=True, help_text="False when the same file was stored already.")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"import of {self.file_name}"


def _history(related_name: str, help_text: str, *, blank: bool) -> models.ForeignKey[Workload | None, Workload | None]:
    """Return the column of the jobs that are known of; an answer outlives them."""
    return models.ForeignKey(
        Workload, models.SET_NULL, null=True, blank=blank, related_name=related_name, help_text=help_text
    )


class ForecastAsked(models.Model):
    """What is asked for about the starts of a site's jobs; made in a process of its own, see `JOB`."""

    JOB: ClassVar[str]
    """The kind of job that makes one."""

    SUBJECT: ClassVar[str]
    """What it is called, as a format of the row."""

    result: Any
    """What came out, as JSON; each has a column for it."""

    seed = models.BigIntegerField(default=0)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ("-id",)

    def __str__(self) -> str:
        return self.SUBJECT.format(self)

    @property
    def job(self) -> Job | None:
        """The newest job that was to make it, None where there was none."""
        found: Job | None = Job.objects.latest_about(self.JOB, self)
        return found

    @property
    def terms(self) -> dict[str, Any]:
        """What every forecast goes by, as `forecast_make` takes it."""
        return {name: getattr(self, name) for name in ("site", "history", "replicas", "seed")}

    @alters_data
    def keep(self, result: dict[str, Any]) -> None:
        """Store what is known so far."""
        self.result = result
        changed: tuple[str, ...] = ("result",)
        self.save(update_fields=changed)


class StartForecast(ForecastAsked):
    """When the waiting jobs of a printed queue of a site will start; made in a process of its own."""

    JOB = "forecast"
    SUBJECT = "forecast of {0.file_name}"

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="forecasts")
    history = _history("forecasts", "What ran before.", blank=True)
    file_name = models.CharField(max_length=255, help_text="As the client called it.")
    queue = models.TextField(help_text="What squeue printed.")
    queue_at = models.FloatField(null=True, help_text="When, in seconds since 1970, where the text does not say.")
    replicas = models.PositiveIntegerField(help_text="How many futures are played.")
    result = models.JSONField(null=True, help_text="Empty until it is made.")

    class Meta(ForecastAsked.Meta):
        verbose_name = "forecast of starts"
        verbose_name_plural = "forecasts of starts"


class ForecastTrial(ForecastAsked):
    """How good forecasts of a site's starts are at instants of a stored past; made in a process of its own."""

    JOB = "trial"
    SUBJECT = "forecasts of {0.site.reference} on trial"

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="forecast_trials")
    history = _history(
        "forecast_trials",
        "What really happened; at each instant only what had come about by then is known.",
        blank=False,
    )
    queues = models.TextField(blank=True, help_text="What squeue printed; empty: told by the history.")
    slurm_starts = models.TextField(blank=True, help_text="What squeue --start printed.")
    instants = models.PositiveIntegerField(help_text="At how many instants to forecast at most.")
    replicas = models.PositiveIntegerField(help_text="How many futures are played at each.")
    result = models.JSONField(null=True, help_text="What is known so far; empty until the first instant is forecast.")

    class Meta(ForecastAsked.Meta):
        verbose_name = "trial of forecasts"
        verbose_name_plural = "trials of forecasts"
