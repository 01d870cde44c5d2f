"""Work that is done in a process of its own: runs, studies, imports, trainings, searches and deletions."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from scheduler_sim.background.claims import Claim
from scheduler_sim.background.managers import JobQuerySet
from scheduler_sim.choices import PlainChoices
from scheduler_sim.constraints import unique
from scheduler_sim.marks import alters_data
from scheduler_sim.texts import storable


class Job(Claim):
    """A piece of work that somebody asked for, from the asking to its end.

    queued -> starting -> running -> finished, failed or stopped. `starting` means that its process was started, or a
    worker was told, and has not said anything yet. A job whose process died is failed and `was_interrupted`; until a
    sweep has noted that it is shown as interrupted just the same. Every job ends: see `sweep`.
    """

    class Status(PlainChoices):
        QUEUED = "queued"
        STARTING = "starting"
        RUNNING = "running"
        FINISHED = "finished"
        FAILED = "failed"
        STOPPED = "stopped"

    ACTIVE = (Status.QUEUED, Status.STARTING, Status.RUNNING)

    kind = models.CharField(max_length=20)
    subject_id = models.BigIntegerField(null=True, help_text="Key of the run, study or import that it is about.")
    arguments = models.JSONField(default=dict, blank=True, help_text="What was asked for, where no row says so.")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    status = models.CharField(max_length=8, choices=Status, default=Status.QUEUED)
    progress = models.CharField(max_length=200, blank=True, help_text="What is being done, in a few words.")
    error = models.TextField(blank=True, help_text="Why it failed, in plain words.")
    outcome = models.JSONField(default=dict, blank=True, help_text="What came of it, where no row says so.")
    stop_requested = models.BooleanField(default=False)
    turn = models.BigIntegerField(null=True, editable=False, help_text="The how manieth start of all it was.")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    SUBJECT = "Job {0.pk}"

    class Meta:
        ordering = ("-id",)
        constraints = [
            # Nothing is asked for twice while it waits or is under way.
            unique("kind", "subject_id", called="active_once", where=Q(status__in=("queued", "starting", "running"))),
        ]
        indexes = [
            models.Index(fields=("kind", "subject_id", "-id"), name="background_job_about"),
            models.Index(
                fields=("status",),
                condition=Q(status__in=("queued", "starting", "running")),
                name="background_job_active",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_id or self.pk}"

    @property
    def is_active(self) -> bool:
        """True until it has ended."""
        return self.status in self.ACTIVE

    @property
    def interrupted(self) -> bool:
        """True when the process that worked on it died."""
        return self.is_abandoned

    @property
    def shown_status(self) -> str:
        """The status, or `interrupted`."""
        return "interrupted" if self.interrupted else self.status

    @property
    def place(self) -> int | None:
        """Its place in the queue, from 1; None when it does not wait."""
        return type(self).objects.places().get(self.pk) if self.status == self.Status.QUEUED else None

    @property
    def words(self) -> str:
        """How far it is, for people."""
        if (place := self.place) is not None:
            return f"waiting for a free process, number {place} in the queue"
        if self.status == self.Status.STARTING:
            return "its process is starting"
        return self.progress or self.status

    @property
    def log_name(self) -> str:
        """The file below `VAR_DIR/logs` with what its process said."""
        return f"{self.kind}-{self.subject_id or self.pk}.log"

    @alters_data
    def begin(self) -> bool:
        """Claim it for this process and move to running; return False when it is no more to be begun.

        Raises:
            ClaimTaken: another process has it.
        """
        self.claim()
        moved = (
            type(self)
            .objects.filter(pk=self.pk, status__in=(self.Status.QUEUED, self.Status.STARTING))
            .update(status=self.Status.RUNNING, started_at=timezone.now())
        )
        self.refresh_from_db()
        return bool(moved)

    @alters_data
    def tell(self, text: str) -> None:
        """Say what is being done."""
        self.progress = text[:200]
        type(self).objects.filter(pk=self.pk).update(progress=self.progress)

    @alters_data
    def end(self, status: str, *, error: str = "", where: dict[str, Any] | None = None, **changes: Any) -> bool:
        """Move to an end, unless it has one; return whether it was moved.

        Args:
            where: moved only if the row is still so.
        """
        changes = {
            "status": status,
            "error": bearable(error),
            "progress": "",
            "finished_at": timezone.now(),
            **changes,
        }
        rows = type(self).objects.filter(pk=self.pk, status__in=self.ACTIVE, **(where or {}))
        if not rows.update(**changes):
            return False
        for field, value in changes.items():
            setattr(self, field, value)
        return True


def bearable(text: str) -> str:
    """Return a sentence that any database can store, of a bearable length."""
    text = storable(text)
    return text if len(text) <= 2000 else f"{text[:2000]} ..."
