"""Jobs on Celery workers, on this machine and others. Imported only where there is a broker."""

from celery import shared_task
from django.db import InterfaceError, OperationalError

from scheduler_sim.background.claims import ClaimTaken
from scheduler_sim.background.models import Job
from scheduler_sim.background.work import job_run
from scheduler_sim.celery import app


@shared_task(
    name="background.run_job",
    autoretry_for=(OperationalError, InterfaceError),
    retry_backoff=2,
    retry_backoff_max=60,
    max_retries=10,
)
def run_job(key: int) -> str:
    """Do one job; safe to be sent twice, because a job is claimed by one process and begins once."""
    job = Job.objects.filter(pk=key).first()
    if job is None or not job.is_active:
        return "over"
    try:
        return job_run(job).status
    except ClaimTaken:
        return "taken"


def send(key: int) -> None:
    """Tell the workers of a job.

    Raises:
        OSError: the broker does not answer.
    """
    try:
        run_job.apply_async((key,), retry=False)
    except app.connection_for_write().connection_errors as error:
        raise OSError(0, f"the broker does not answer ({error})") from error


def waiting_messages() -> int:
    """Return how many messages the broker holds that no worker has taken."""
    with app.connection_for_write() as connection, connection.channel() as channel:
        try:
            # Every transport's channel has it; the stubs know only what all of kombu's own code shares.
            declared = channel.queue_declare(app.conf.task_default_queue, passive=True)  # type: ignore[attr-defined]
            return int(declared.message_count)
        except connection.channel_errors:
            # Redis forgets a queue as soon as it is empty.
            return 0
