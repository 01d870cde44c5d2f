"""Asking for work, stopping it, and starting what waits as processes become free."""

import logging
import subprocess
import sys
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import Max

from scheduler_sim.accounts import audit
from scheduler_sim.background import kinds, processes
from scheduler_sim.background.claims import identity
from scheduler_sim.background.models import Job
from scheduler_sim.background.queue import first_to_start
from scheduler_sim.columnar.statements import told

logger = logging.getLogger(__name__)

_QUEUE_LOCK = 7_209_113
"""The advisory lock of PostgreSQL that whoever starts something holds until it is noted."""


class JobStateError(Exception):
    """The job's state does not allow what was asked."""


def job_submit(
    *, kind: str, subject_id: int | None = None, arguments: dict[str, Any] | None = None, requested_by: Any = None
) -> Job:
    """Ask for work; it starts as soon as there is a free process, when this transaction is committed.

    Args:
        requested_by: the user who asked; users take turns.

    Raises:
        JobStateError: the same is waiting or under way.
    """
    user = None if isinstance(requested_by, AnonymousUser) else requested_by
    try:
        with transaction.atomic():
            job = Job.objects.create(
                kind=kind,
                subject_id=subject_id,
                arguments=arguments or {},
                requested_by=user,
                host=processes.host_name(),
            )
    except IntegrityError:
        raise JobStateError(f"The {kind} {subject_id} is waiting or under way already.") from None
    transaction.on_commit(_dispatch_quietly)
    return job


def job_stop(*, job: Job) -> None:
    """Ask a job to stop; one that waits is stopped at once.

    Raises:
        JobStateError: it is over.
    """
    kind = kinds.find(job.kind)
    with transaction.atomic():
        if job.end(Job.Status.STOPPED, where={"status": Job.Status.QUEUED}):
            kind.ended(job)
            audit.record(audit.Action.STOP, "job", job, called=str(job))
            return
        is_asked = Job.objects.filter(pk=job.pk).active().update(stop_requested=True)
        if is_asked:
            audit.record(audit.Action.STOP, "job", job, called=str(job))
    if not is_asked:
        job.refresh_from_db()
        raise JobStateError(f"Job {job.pk} is {job.shown_status}; it cannot stop.")
    with audit.parts():
        kind.stop(job)


def dispatch() -> int:
    """Start what waits, in the order of the queue, while there are free processes; return how many were started.

    Any process may call it at any time. Who starts something holds a lock until that is noted, and what is started
    claims its job, so nothing is started by two and nothing is forgotten when the caller dies in between.
    """
    started = 0
    while Job.objects.filter(status=Job.Status.QUEUED).exists() and _start_next():
        started += 1
    return started


def _dispatch_quietly() -> None:
    try:
        dispatch()
    except DatabaseError as error:
        logger.warning("What waits could not be started just now; the next sweep tries again: %s", error)


@transaction.atomic
def _start_next() -> bool:
    if connection.vendor == "postgresql":
        told(connection, "SELECT pg_advisory_xact_lock(%s)", [_QUEUE_LOCK])
    known = {kind.name: kind for kind in kinds.every()}
    busy = Job.objects.filter(host=processes.host_name()).busy()
    free = settings.JOB_PROCESSES - sum(count for name, count in busy.kinds.items() if known[name].takes_place)
    jobs = {job.pk: job for job in Job.objects.filter(status=Job.Status.QUEUED).select_related("requested_by")}
    waiting = [
        one
        for one in Job.objects.waiting()
        if one.key in jobs
        and (free > 0 or not known[one.kind].takes_place)
        and known[one.kind].is_startable(jobs[one.key])
    ]
    at_once = {kind.name: kind.at_once for kind in known.values() if kind.at_once is not None}
    chosen = first_to_start(waiting, busy, at_once=at_once)
    if chosen is None:
        return False
    job = jobs[chosen.key]
    try:
        started = _start(job)
    except OSError as error:
        job.end(Job.Status.FAILED, error=f"The process that should do it could not be started: {error.strerror}.")
        kinds.find(job.kind).ended(job)
        return True
    turn = (Job.objects.aggregate(latest=Max("turn"))["latest"] or 0) + 1
    # A quick child may have claimed it already.
    Job.objects.filter(pk=job.pk, status=Job.Status.QUEUED).update(status=Job.Status.STARTING, turn=turn, **started)
    return True


def _start(job: Job) -> dict[str, Any]:
    """Start a process of its own that outlives this one, or tell the workers; return the columns that name it."""
    if settings.CELERY_BROKER_URL and kinds.find(job.kind).on_workers:
        # Celery takes long to import, and most sites do without it.
        from scheduler_sim.background.celery_tasks import send

        send(job.pk)
        return {"process_id": None, "machine": "", "host": processes.host_name()}
    logs = settings.VAR_DIR / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / job.log_name).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "runjob", str(job.pk)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return identity(process.pid)
