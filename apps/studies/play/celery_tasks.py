"""The Celery side of studies; the same code plays a run here as on the local pool."""

from typing import Any

from celery import Task, shared_task
from django.db import InterfaceError, OperationalError

from apps.studies.play.playing import TAKEN, play_run

AGAIN_SECONDS = 65
"""After so long a run that another process seems to play is looked at again."""


@shared_task(
    bind=True,
    name="studies.play_run",
    autoretry_for=(OperationalError, InterfaceError),
    retry_backoff=2,
    retry_backoff_max=60,
    max_retries=10,
)
def play_study_run(self: "Task[[int], str]", run_id: int) -> str:
    """Play one run; safe to be sent twice, because a run is claimed by one process.

    A run that another process seems to play is looked at again when a dead one would have been found out.
    """
    status = play_run(run_id)
    if status == TAKEN:
        later: Any = self.retry(countdown=AGAIN_SECONDS, max_retries=10)
        raise later
    return status
