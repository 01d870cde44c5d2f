"""App configuration."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    """Workloads and their tasks."""

    name = "apps.tasks"
    verbose_name = "tasks"
