"""Labelled data to learn from, and what was learned."""

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.results.models import Run
from apps.tasks.models import Task
from apps.training.managers import TrainedModelQuerySet, TrainingDataQuerySet
from scheduler_sim.background.claims import Claim
from scheduler_sim.constraints import check, unique

PREFIX = "learned"
"""`learned:NAME` in a policy stands for the active version of a stored score, `learned:NAME.3` for its third."""


BY_GROUP = "by_group"
"""The place among a model's scores of those by groups of users and tasks: the figure, what it is held against, and of
each group its kind, its name, how many tasks it has and both means."""


class TrainingData(models.Model):
    """One task labelled by the oracle: its features, the best fraction and the time that took."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, null=True, blank=True, related_name="training_data")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, null=True, blank=True, related_name="training_data")
    size = models.FloatField()
    compute_intensity = models.FloatField()
    memory_mb = models.FloatField()
    memory_per_size = models.FloatField()
    compute_to_memory = models.FloatField()
    optimal_gpu_fraction = models.FloatField()
    optimal_time = models.FloatField(help_text="Seconds the task took with that fraction.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TrainingDataQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        verbose_name = verbose_name_plural = "training data"
        constraints = [
            unique("run", "task", called="unique_task", where=Q(run__isnull=False, task__isnull=False)),
            check(Q(optimal_gpu_fraction__gte=0) & Q(optimal_gpu_fraction__lte=1), called="fraction_within_0_and_1"),
        ]
        indexes = [
            # Date ranges and retention.
            models.Index(fields=("created_at",), name="training_data_created_at"),
        ]

    def __str__(self) -> str:
        return f"training row {self.pk}"


class TrainedModel(models.Model):
    """A learned model in a safe text format, with what it was trained on and how well it did."""

    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=40)
    version = models.PositiveIntegerField()
    artifact = models.TextField(help_text="LightGBM text or JSON weights; never a pickle.")
    parameters = models.JSONField(default=dict, blank=True)
    features = models.JSONField(default=list)
    data_range = models.JSONField(default=dict, help_text="Which rows it was trained on, and their digest.")
    seed = models.BigIntegerField(default=0)
    scores = models.JSONField(default=dict, help_text="On held-out later data.")
    parent = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="children")
    active = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TrainedModelQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = [
            unique("name", "version", called="unique_version"),
            unique("name", called="one_active", where=Q(active=True)),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class PolicySearch(Claim):
    """A policy search that is under way, for people who want to look on; its row goes when the search ends."""

    name = models.CharField(max_length=100)
    form = models.CharField(max_length=40)
    objective = models.CharField(max_length=40)
    backfill = models.CharField(max_length=40)
    generations = models.PositiveIntegerField(help_text="Of each of its searches, at most.")
    seeds = models.JSONField(help_text="One search a seed.")
    curve = models.JSONField(default=list, help_text="The looks so far: seed, generation, training and validation.")
    started_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField(default=timezone.now)

    SUBJECT = "The search for {0.name}"

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "policy searches"

    def __str__(self) -> str:
        return f"search for {self.name}"

    @property
    def total(self) -> int:
        """Generations of all its searches together."""
        return self.generations * len(self.seeds)

    @property
    def done(self) -> int:
        """Generations that were made up to the last look of each search."""
        latest = {point["seed"]: point["generation"] for point in self.curve}
        return sum(latest.values())

    def note(self, curve: list[dict[str, Any]]) -> None:
        """Store what the searches have told so far, and that they go on."""
        self.curve, self.heartbeat_at = curve, timezone.now()
        self.save(update_fields=["curve", "heartbeat_at"])
