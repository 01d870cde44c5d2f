"""What a running simulation says of itself, and what it is asked to do."""

import os

from django.db import models
from django.utils import timezone

from apps.results.errors import RunStateError
from apps.results.models import Run, Study
from scheduler_sim.background import processes


class ProcessClaim(models.Model):
    """Which process works on something, and its last sign of life."""

    heartbeat_at = models.DateTimeField(null=True)
    host = models.CharField(max_length=255, blank=True)
    process_id = models.PositiveIntegerField(null=True)
    process_started_at = models.DateTimeField(
        null=True, help_text="Tells a process from a later one of the same number."
    )

    class Meta:
        abstract = True

    @property
    def subject(self) -> str:
        """What is worked on, as the beginning of a sentence."""
        raise NotImplementedError

    @property
    def is_alive(self) -> bool:
        """True while the process that plays it lives."""
        return processes.is_alive(
            host=self.host,
            process_id=self.process_id,
            process_started_at=self.process_started_at,
            heartbeat_at=self.heartbeat_at,
        )

    def claim(self, *, process_id: int | None = None, **changes: object) -> None:
        """Make this process, or another of this machine, the one that plays it.

        Raises:
            RunStateError: another living process has it, or took it at the same moment.
        """
        process_id = process_id or os.getpid()
        # Two containers may well give their processes the same number, so the host counts too.
        if self.is_alive and (self.host, self.process_id) != (processes.host_name(), process_id):
            raise RunStateError(f"{self.subject} is being played by process {self.process_id} on {self.host}.")
        claimed = {
            "host": processes.host_name(),
            "process_id": process_id,
            "process_started_at": processes.started_at(process_id),
            "heartbeat_at": timezone.now(),
            **changes,
        }
        moved = (
            type(self)
            .objects.filter(pk=self.pk, process_id=self.process_id, heartbeat_at=self.heartbeat_at)
            .update(**claimed)
        )
        if not moved:
            raise RunStateError(f"{self.subject} was taken up by another process just now.")
        for field, value in claimed.items():
            setattr(self, field, value)

    claim.alters_data = True

    def release(self) -> None:
        """Say that no process plays it any more."""
        self.process_id = None
        type(self).objects.filter(pk=self.pk).update(process_id=None)

    release.alters_data = True


class SimulationState(ProcessClaim):
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
    last_retrain_at = models.DateTimeField(null=True)
    checkpoint = models.CharField(max_length=500, blank=True, help_text="File with rows that could not be stored.")
    snapshot = models.JSONField(default=dict, help_text="The newest live message.")

    class Meta:
        verbose_name = "simulation state"

    def __str__(self) -> str:
        return f"state of {self.run_id}"

    @property
    def subject(self) -> str:
        """The run, as the beginning of a sentence."""
        return f"Run {self.run.name}"

    @property
    def is_interrupted(self) -> bool:
        """True when the run counts as under way but the process behind it is dead."""
        return self.run.status in (Run.Status.RUNNING, Run.Status.PAUSED) and not self.is_alive

    def claim(self, *, process_id: int | None = None, **changes: object) -> None:
        """Make this process the one that plays the run; a command that was given before counts for nothing."""
        super().claim(process_id=process_id, command=self.Command.NONE, **changes)

    claim.alters_data = True


class StudyState(ProcessClaim):
    """One row a study that was played: the process that stores its runs and hands them out."""

    study = models.OneToOneField(Study, on_delete=models.CASCADE, related_name="state", primary_key=True)

    class Meta:
        verbose_name = "study state"

    def __str__(self) -> str:
        return f"state of study {self.study_id}"

    @property
    def subject(self) -> str:
        """The study, as the beginning of a sentence."""
        return f"Study {self.study.name}"

    def beat(self) -> None:
        """Give a sign of life, once in a while."""
        now = timezone.now()
        if self.heartbeat_at is None or now - self.heartbeat_at >= processes.HEARTBEAT_EVERY:
            self.heartbeat_at = now
            type(self).objects.filter(pk=self.pk).update(heartbeat_at=now)

    beat.alters_data = True
