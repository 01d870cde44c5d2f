"""What a running simulation says of itself, and what it is asked to do."""

import os

from django.db import models
from django.utils import timezone

from apps.live import processes
from apps.results.errors import RunStateError
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

    @property
    def is_alive(self) -> bool:
        """True while the process that plays the run lives."""
        return processes.is_alive(
            host=self.host,
            process_id=self.process_id,
            process_started_at=self.process_started_at,
            heartbeat_at=self.heartbeat_at,
        )

    @property
    def is_interrupted(self) -> bool:
        """True when the run counts as under way but the process behind it is dead."""
        return self.run.status in (Run.Status.RUNNING, Run.Status.PAUSED) and not self.is_alive

    def claim(self) -> None:
        """Make this process the one that plays the run.

        Raises:
            RunStateError: another living process has it, or took it at the same moment.
        """
        # Two containers may well give their processes the same number, so the host counts too.
        if self.is_alive and (self.host, self.process_id) != (processes.host_name(), os.getpid()):
            raise RunStateError(f"Run {self.run.name} is being played by process {self.process_id} on {self.host}.")
        claimed = {
            "host": processes.host_name(),
            "process_id": os.getpid(),
            "process_started_at": processes.started_at(os.getpid()),
            "heartbeat_at": timezone.now(),
            "command": self.Command.NONE,
        }
        moved = (
            type(self)
            .objects.filter(pk=self.pk, process_id=self.process_id, heartbeat_at=self.heartbeat_at)
            .update(**claimed)
        )
        if not moved:
            raise RunStateError(f"Run {self.run.name} was taken up by another process just now.")
        for field, value in claimed.items():
            setattr(self, field, value)

    claim.alters_data = True

    def release(self) -> None:
        """Say that no process plays the run any more."""
        self.process_id = None
        type(self).objects.filter(pk=self.pk).update(process_id=None)

    release.alters_data = True
