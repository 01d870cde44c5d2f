"""Which process works on something, and whether it still does."""

import os
from typing import Any

from django.db import models
from django.utils import timezone

from scheduler_sim.background import locks, processes
from scheduler_sim.marks import alters_data

_HOLDER = ("process_id", "machine", "process_start_ticks")
"""Columns that tell one process from all others."""


class ClaimTaken(Exception):
    """Another living process has it."""


class Claim(models.Model):
    """A row that one process at a time works on.

    The process table of its machine says whether it lives; of a process on another machine the lock does, which ends
    with it. The wall clock has no say: `heartbeat_at` and `process_started_at` are for people to read.
    """

    heartbeat_at = models.DateTimeField(null=True)
    host = models.CharField(max_length=255, blank=True)
    process_id = models.PositiveIntegerField(null=True)
    process_started_at = models.DateTimeField(null=True, help_text="By the wall clock, to be read.")
    machine = models.CharField(max_length=120, blank=True, help_text="Its boot, and whose process numbers these are.")
    process_start_ticks = models.BigIntegerField(
        null=True, help_text="Clock ticks since boot; tells a process from a later one of the same number."
    )
    was_interrupted = models.BooleanField(default=False, help_text="The process that had it last died.")

    HELD = "done"
    """What its process does with it, as in `is being done`."""

    SUBJECT: str
    """What is worked on, as the beginning of a sentence, with the row as `{0}`."""

    class Meta:
        abstract = True

    @property
    def subject(self) -> str:
        """What is worked on, as the beginning of a sentence."""
        return self.SUBJECT.format(self)

    @property
    def lock_key(self) -> str:
        """The name of the lock that goes with the claim."""
        return f"{self._meta.db_table}-{self.pk}"

    @property
    def is_here(self) -> bool:
        """True when the process table of this machine knows its process."""
        # Rows of before there was a column for the machine name the host alone.
        return self.machine == processes.machine() if self.machine else self.host == processes.host_name()

    @property
    def is_alive(self) -> bool:
        """True while the process that has it lives."""
        if self.process_id is None:
            return False
        if not self.is_here:
            return locks.is_held(self.lock_key)
        ticks = processes.start_ticks(self.process_id)
        return ticks is not None and self.process_start_ticks in (None, ticks)

    @property
    def is_mine(self) -> bool:
        """True when this very process has it."""
        return self.is_here and self.process_id == os.getpid() and self.is_alive

    @property
    def holder(self) -> dict[str, Any]:
        """The columns that name the process that had it when the row was read or claimed, as a filter."""
        read = {name: getattr(self, name) for name in _HOLDER}
        # A comparison with null finds nothing.
        return {f"{name}__isnull" if value is None else name: value is None or value for name, value in read.items()}

    def is_lost(self) -> bool:
        """Tell, from the database, whether another process has taken it up since.

        Raises:
            django.db.Error: the database does not answer.
        """
        rows = type(self)._base_manager.filter(pk=self.pk)
        return rows.exists() and not rows.filter(**self.holder).exists()

    @property
    def is_abandoned(self) -> bool:
        """True when a process had it and died without letting go."""
        return self.was_interrupted or (self.process_id is not None and not self.is_alive)

    @alters_data
    def claim(self, **changes: Any) -> None:
        """Make this process the one that works on it.

        Raises:
            ClaimTaken: another living process has it, or took it at the same moment.
        """
        is_mine = self.is_mine
        if self.is_alive and not is_mine:
            raise ClaimTaken(f"{self.subject} is being {self.HELD} by process {self.process_id} on {self.host}.")
        if not locks.take(self.lock_key):
            raise ClaimTaken(f"{self.subject} is being {self.HELD} by another process.")
        if not self._rewrite(identity(os.getpid()) | {"was_interrupted": False} | changes):
            if not is_mine:
                locks.free(self.lock_key)
            raise ClaimTaken(f"{self.subject} was taken up by another process just now.")

    @alters_data
    def release(self) -> None:
        """Say that no process works on it any more."""
        type(self)._base_manager.filter(pk=self.pk, process_id=self.process_id).update(process_id=None)
        self.process_id = None
        locks.free(self.lock_key)

    @alters_data
    def abandon(self) -> bool:
        """Note that its process died; return False when it was taken up, or noted by another, meanwhile."""
        return self._rewrite({"process_id": None, "was_interrupted": True})

    def _rewrite(self, changes: dict[str, Any]) -> bool:
        """Change the row unless another process did so since it was read."""
        if not type(self)._base_manager.filter(pk=self.pk, **self.holder).update(**changes):
            return False
        for field, value in changes.items():
            setattr(self, field, value)
        return True


def identity(process_id: int) -> dict[str, Any]:
    """Return the columns that name a process of this machine."""
    return {
        "host": processes.host_name(),
        "process_id": process_id,
        "process_started_at": processes.started_at(process_id),
        "machine": processes.machine(),
        "process_start_ticks": processes.start_ticks(process_id),
        "heartbeat_at": timezone.now(),
    }
