"""Workers on any number of machines: `celery -A scheduler_sim.celery worker`."""

import os

from celery import Celery
from celery.signals import worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")

app = Celery("scheduler_sim")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["scheduler_sim.background", "apps.studies.play"], related_name="celery_tasks")
app.conf.update(
    # Another name keeps two installations apart that share one broker.
    task_default_queue=os.environ.get("CELERY_TASK_DEFAULT_QUEUE", "studies"),
    task_serializer="json",
    accept_content=["json"],
    # What became of a run stands in its row.
    task_ignore_result=True,
    # Acknowledged when it is over, so that a worker that dies leaves its run to another.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # A worker holds no run back that an idle one could play.
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
    broker_connection_retry_on_startup=True,
)


@worker_process_init.connect
def _without_parents_connection(**_others: object) -> None:
    from django.db import connections

    connections.close_all()
