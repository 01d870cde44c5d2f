"""App configuration."""

from typing import Any

from django.apps import AppConfig
from django.db import transaction
from django.db.models.signals import pre_delete


class TasksConfig(AppConfig):
    """Workloads and their tasks."""

    name = "apps.tasks"
    verbose_name = "tasks"

    def ready(self) -> None:
        """Record deletions for the audit log, and take away the files of tasks with their workloads."""
        from apps.tasks.models import Workload
        from scheduler_sim.accounts.audit import record_deletions

        record_deletions(Workload, "workload")
        pre_delete.connect(_forget_file, sender=Workload, dispatch_uid="files of tasks")


def _forget_file(instance: Any, using: str, **_: Any) -> None:
    # As the row is now: the instance may be older than the file.
    name = type(instance).objects.using(using).filter(pk=instance.pk).values_list("tasks_file", flat=True).first()
    if name:
        from apps.tasks.task_files import task_file_forget

        transaction.on_commit(lambda: task_file_forget(name), using=using)
