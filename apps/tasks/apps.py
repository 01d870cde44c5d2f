"""App configuration."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    """Workloads and their tasks."""

    name = "apps.tasks"
    verbose_name = "tasks"

    def ready(self) -> None:
        """Record deletions for the audit log."""
        from apps.tasks.models import Workload
        from scheduler_sim.accounts.audit import record_deletions

        record_deletions(Workload, "workload")
