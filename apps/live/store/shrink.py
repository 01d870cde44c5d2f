"""Giving the space of deleted rows back to the file system."""

import shutil
from pathlib import Path

from django.db import OperationalError, connection

from apps.results.errors import DomainError
from apps.results.models import Run, RunDeletion
from scheduler_sim.background.models import Job
from scheduler_sim.columnar.statements import told
from scheduler_sim.columnar.turnstile import is_in_memory


class CannotShrink(DomainError):
    """The file cannot be made smaller at present; the sentence says why."""


def database_shrink() -> tuple[int, int]:
    """Write SQLite's file anew without the space of deleted rows, and return its size in bytes before and after.

    Nobody can write meanwhile, which takes about a second for each 100 MB, so nothing may be under way.

    Raises:
        CannotShrink: something is under way or reads, there is no room for the copy, or it is not a file of SQLite.
    """
    if reason := why_not_shrunk():
        raise CannotShrink(reason)
    path = Path(str(connection.settings_dict["NAME"]))
    before = path.stat().st_size
    try:
        told(connection, "VACUUM")
        # The copy stands in the write-ahead log until that is emptied.
        [(is_blocked, *_)] = told(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
    except OperationalError as error:
        raise CannotShrink(f"{path} cannot be shrunk at present: {error}.") from error
    if is_blocked:
        raise CannotShrink(f"{path} will shrink when those who read it are done; begin again then.")
    return before, path.stat().st_size


def why_not_shrunk(*, unfinished: bool = True) -> str:
    """Return why the file cannot be made smaller at present, empty where it can be.

    Args:
        unfinished: whether deletions that were begun count.
    """
    if connection.vendor != "sqlite" or is_in_memory(connection):
        return "Only a file of SQLite is shrunk so; PostgreSQL reuses the space, and VACUUM FULL gives it back."
    if job := Job.objects.active().order_by("pk").first():
        return f"Job {job.pk} ({job}) is {job.shown_status}; shrink the file when nothing is under way."
    if run := Run.objects.filter(status__in=(Run.Status.RUNNING, Run.Status.PAUSED)).order_by("pk").first():
        return f"Run {run.name} is {run.status}; shrink the file when nothing is under way."
    if unfinished and RunDeletion.objects.exists():
        return "Deletions that were begun are not finished; prune --unfinished goes on with them."
    path = Path(str(connection.settings_dict["NAME"]))
    size, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < 2 * size:
        return f"Shrinking needs twice the {size / 2**20:,.0f} MB of {path} free there, and {free / 2**20:,.0f} MB are."
    return ""
