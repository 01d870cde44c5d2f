"""Ends whatever has no process any more, and starts what waits; every server process and long command sweeps."""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError, connection, transaction

from scheduler_sim.background import kinds, processes
from scheduler_sim.background.claims import Claim
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import dispatch
from scheduler_sim.background.watch import Watch

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0

BEGIN_SECONDS = 120.0
"""A process that has not claimed its job so long after its start never will."""

CONFIRM_SECONDS = 10.0
"""A process of another machine is dead when its lock was free for so long: one whose database was restarted has it anew
by then."""

UNTAKEN_SECONDS = 60.0
"""Work without a process, a queue or a claim behind it is given up after so long."""


def sweep(watch: Watch) -> None:
    """Look once at everything that is under way.

    Args:
        watch: what this process has seen at its earlier looks.
    """
    for job in Job.objects.under_way():
        _look_at(job, watch)
    for kind in kinds.every():
        kind.sweep(watch)
    watch.end_of_look()
    dispatch()


def is_dead(claim: Claim, watch: Watch) -> bool:
    """Tell whether the process that had a claim is dead for certain.

    The process table of its machine says so at once. On another machine the lock must have been free at every look
    for `CONFIRM_SECONDS`.
    """
    if claim.is_alive:
        return False
    if claim.process_id is not None and claim.is_here:
        return True
    return watch.seen_for((claim.lock_key, claim.process_id, claim.machine)) >= CONFIRM_SECONDS


def _look_at(job: Job, watch: Watch) -> None:
    if job.status == Job.Status.STARTING and job.process_id is None:
        _look_at_sent(job, watch)
    elif is_dead(job, watch):
        _interrupted(job)
    elif (
        job.status == Job.Status.STARTING
        and job.is_here
        and job.process_id is not None
        and processes.age_seconds(job.process_start_ticks or 0) > BEGIN_SECONDS
    ):
        logger.error("The process of job %s did not begin within %s s.", job.pk, BEGIN_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(job.process_id, signal.SIGKILL)


def _look_at_sent(job: Job, watch: Watch) -> None:
    """Send once more what no worker has taken although the broker holds nothing: a worker died with it."""
    if watch.seen_for(("sent", job.pk, job.turn)) < UNTAKEN_SECONDS:
        return
    from scheduler_sim.background.celery_tasks import waiting_messages

    if not waiting_messages():
        Job.objects.filter(pk=job.pk, status=Job.Status.STARTING, process_id=None).update(status=Job.Status.QUEUED)


def _interrupted(job: Job) -> None:
    kind = kinds.find(job.kind)
    if job.status == Job.Status.STARTING:
        sentence = f"The process that should have {kind.verb} ended before it began; logs/{job.log_name} may say why."
    else:
        sentence = f"The process that {kind.verb} died: it was killed, or its machine was."
    read = {name: getattr(job, name) for name in ("status", "process_id", "machine", "process_start_ticks")}
    # A comparison with null finds nothing.
    same = {name: value for name, value in read.items() if value is not None}
    with transaction.atomic():
        verdict = kind.verdict(job)
        changes = {"process_id": None, "was_interrupted": verdict is None}
        if job.end(verdict or Job.Status.FAILED, error="" if verdict else sentence, where=same, **changes):
            kind.ended(job)


class Sweeper:
    """A thread that sweeps every few seconds, and never ends the process it is in."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin, `SWEEP_SECONDS` from now."""
        self._thread.start()

    def stop(self) -> None:
        """End, after a sweep that is under way."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        watch = Watch()
        while not self._over.wait(SWEEP_SECONDS):
            try:
                sweep(watch)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("The database could not be swept: %s", error)
            except Exception:
                logger.exception("A sweep failed; the next one tries again.")
            finally:
                connection.close()


@contextlib.contextmanager
def sweeping() -> Iterator[None]:
    """Sweep while a command does something long."""
    sweeper = Sweeper()
    sweeper.start()
    try:
        yield
    finally:
        sweeper.stop()
