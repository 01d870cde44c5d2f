"""What the process of a job does: claim it, do it, and say how it ended, whatever happens."""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction
from django.utils import timezone

from scheduler_sim.accounts import audit
from scheduler_sim.background import locks
from scheduler_sim.background.kinds import Kind, find
from scheduler_sim.background.models import Job
from scheduler_sim.background.processes import HEARTBEAT_EVERY, ending_on_sigterm

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often a job's process looks whether it is to stop."""


def job_run(job: Job) -> Job:
    """Do a job in this process unless it has ended or another has it, and return it as it ended.

    An exception that nobody foresaw ends it as failed like any other, and is logged with its traceback.

    Raises:
        ClaimTaken: another process has it.
    """
    kind = find(job.kind)
    try:
        if job.begin():
            # Whoever asked for it is in the audit log already.
            with audit.parts(), ending_on_sigterm(), _kept(job):
                _conclude(job, kind, *_done(job, kind))
    finally:
        # A database that is away will find the process dead.
        with contextlib.suppress(DatabaseError, InterfaceError):
            job.release()
    return job


def _done(job: Job, kind: Kind) -> tuple[str, str]:
    """Do the work; return the status that it ended with, and why where it failed."""
    try:
        if job.stop_requested:
            return Job.Status.STOPPED, ""
        return kind.work(job) or Job.Status.FINISHED, job.error
    except KeyboardInterrupt:
        return Job.Status.STOPPED, ""
    except kind.expected as error:
        return Job.Status.FAILED, str(error)
    except BaseException as error:
        logger.exception("Job %s ended by an exception.", job.pk)
        return Job.Status.FAILED, unforeseen(error)


def unforeseen(error: BaseException) -> str:
    """Return a sentence on an exception that nobody foresaw; its own text may fail to be made."""
    try:
        text = str(error).strip().rstrip(".")
    except Exception:  # noqa: BLE001 for example a number with too many digits to be written
        text = ""
    if isinstance(error, MemoryError):
        return "There was not enough memory."
    return f"Unexpected {type(error).__name__}{f': {text[:500]}' if text else ''}."


def _conclude(job: Job, kind: Kind, status: str, error: str) -> None:
    # Broken by what failed, or by a database that was away meanwhile.
    if not connection.in_atomic_block:
        close_old_connections()
    with transaction.atomic():
        verdict = kind.verdict(job)
        if job.end(verdict or status, error="" if verdict == Job.Status.FINISHED else error):
            kind.ended(job)


@contextlib.contextmanager
def _kept(job: Job) -> Iterator[None]:
    """Give signs of life, keep the locks, and pass on that the job is to stop, while it is done."""
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(job.pk, over), name="keeper", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


def _keep(key: int, over: threading.Event) -> None:
    looks = 0
    told = False
    every = max(1, round(HEARTBEAT_EVERY.total_seconds() / LOOK_SECONDS))
    try:
        while not over.wait(LOOK_SECONDS):
            looks += 1
            with _unless_away():
                row = Job.objects.filter(pk=key)
                if looks % every == 0:
                    row.update(heartbeat_at=timezone.now())
                    if lost := locks.keep():
                        logger.error("Another process has taken over %s; this one ends.", ", ".join(lost))
                        os.kill(os.getpid(), signal.SIGTERM)
                        return
                if not told and row.filter(stop_requested=True).exists():
                    told = True
                    os.kill(os.getpid(), signal.SIGTERM)
    finally:
        connection.close()


@contextlib.contextmanager
def _unless_away() -> Iterator[None]:
    try:
        yield
    except (DatabaseError, InterfaceError):
        connection.close()
