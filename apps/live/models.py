"""What a running simulation says of itself, and what it is asked to do."""

from django.db import models

from apps.results.models import Run


class SimulationState(models.Model):
    """One row a run: the command queue, the heartbeat and the progress that the stored rows stand for."""

    class Command(models.TextChoices):
        NONE = "", "none"
        PAUSE = "pause", "pause"
        RESUME = "resume", "resume"
        STOP = "stop", "stop"

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="state", primary_key=True)
    command = models.CharField(max_length=6, choices=Command, default=Command.NONE, blank=True)
    clock_time = models.FloatField(null=True, help_text="Simulated seconds.")
    progress = models.JSONField(
        default=dict, help_text="Stored rows of each policy, committed together with the rows themselves."
    )
    heartbeat_at = models.DateTimeField(null=True)
    host = models.CharField(max_length=255, blank=True)
    process_id = models.PositiveIntegerField(null=True)
    process_started_at = models.DateTimeField(
        null=True, help_text="Tells a process from a later one of the same number."
    )
    last_retrain_at = models.DateTimeField(null=True)
    checkpoint = models.CharField(max_length=500, blank=True, help_text="File with rows that could not be stored.")
    snapshot = models.JSONField(default=dict, help_text="The newest live message.")

    class Meta:
        verbose_name = "simulation state"

    def __str__(self) -> str:
        return f"state of {self.run_id}"
