"""What a running simulation says of itself, and what it is asked to do."""

import time
from typing import Any

from django.db import models
from django.utils import timezone

from apps.results.errors import RunStateError
from apps.results.models import Run, Study
from scheduler_sim.background import locks, processes
from scheduler_sim.background.claims import Claim, ClaimTaken
from scheduler_sim.background.models import Job
from scheduler_sim.marks import alters_data


class ClaimLost(RunStateError):
    """Another process has it now; this one must leave it alone."""


class ProcessClaim(Claim):
    """A claim whose refusal is a sentence of the domain."""

    HELD = "played"

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"state of {self._meta.pk.name} {self.pk}"

    @alters_data
    def claim(self, **changes: object) -> None:
        """Make this process the one that plays it.

        Raises:
            RunStateError: another living process has it, or took it at the same moment.
        """
        try:
            super().claim(**changes)
        except ClaimTaken as error:
            raise RunStateError(str(error)) from None

    @alters_data
    def keep(self) -> None:
        """Give a sign of life, and take the lock anew where the database let go of it.

        Raises:
            ClaimLost: another process has it now.
        """
        if self.is_lost() or self.lock_key in locks.keep():
            raise self.lost()
        type(self)._default_manager.filter(pk=self.pk).update(heartbeat_at=timezone.now())

    def lost(self) -> ClaimLost:
        """Return what to raise where another process has it."""
        return ClaimLost(f"{self.subject} was taken up by another process while the database was away.")


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
    snapshot = models.JSONField(default=dict, help_text="The newest live message.")
    is_unplayable = models.BooleanField(default=False, help_text="It would fail again, whenever it is taken up.")

    SUBJECT = "Run {0.run.name}"

    class Meta:
        verbose_name = "simulation state"

    @property
    def is_interrupted(self) -> bool:
        """True when the process that played the run, or was to play it, died before the run came to its end."""
        if self.was_interrupted:
            return self.run.status == Run.Status.FAILED
        return (self.run.status in (Run.Status.RUNNING, Run.Status.PAUSED) and not self.is_alive) or (
            self.run.status == Run.Status.QUEUED and self.is_abandoned
        )

    @alters_data
    def claim(self, **changes: object) -> None:
        """Make this process the one that plays the run; a command that was given before counts for nothing."""
        super().claim(command=self.Command.NONE, **changes)


class RaceHistory(models.Model):
    """What a race that goes on came to so far, in few points; it goes with the race's end.

    Beside the state, not in it: the state is read many times a second.
    """

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="race_history", primary_key=True)
    points = models.JSONField(default=dict, help_text="The clock, and each policy's figures, point by point.")

    class Meta:
        verbose_name_plural = "race histories"

    def __str__(self) -> str:
        return f"history of {self.run_id}"


class StudyState(ProcessClaim):
    """One row a study that was played: the process that stores its runs and hands them out."""

    _beat_at = -float("inf")

    study = models.OneToOneField(Study, on_delete=models.CASCADE, related_name="state", primary_key=True)

    SUBJECT = "Study {0.study.name}"

    class Meta:
        verbose_name = "study state"

    @alters_data
    def beat(self) -> None:
        """Give a sign of life, once in a while.

        Raises:
            ClaimLost: another process hands the runs out now.
        """
        now = time.monotonic()
        if now - self._beat_at >= processes.HEARTBEAT_EVERY.total_seconds():
            self._beat_at = now
            self.keep()


class WhatIf(models.Model):
    """The answer to what would change if a finished run had other nodes, load, limits or policies.

    It is kept by a digest of all that decides it: whoever asks the same again gets it from here.
    """

    JOB = "what-if"
    """The kind of job that plays one."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="what_ifs")
    digest = models.CharField(max_length=64, unique=True)
    changes = models.JSONField(default=dict, help_text="Texts by the names of the options that are changed.")
    figures = models.JSONField(null=True, help_text="Of both sides; empty until it is played.")
    seconds = models.FloatField(null=True, help_text="How long playing both took, by the clock on the wall.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = "what-if"

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.changes.items())[:200]

    @property
    def is_answered(self) -> bool:
        """True once it was played."""
        return self.figures is not None

    @property
    def job(self) -> Job | None:
        """The newest job that was to play it, None where there was none."""
        found: Job | None = Job.objects.latest_about(self.JOB, self)
        return found

    @property
    def job_is_active(self) -> bool:
        """True while a job waits to play it, or does."""
        return Job.objects.about(self.JOB, self).active().exists()

    @alters_data
    def answer(self, figures: dict[str, Any], seconds: float) -> None:
        """Keep what came out."""
        self.figures, self.seconds = figures, seconds
        self.save(update_fields=["figures", "seconds"])
