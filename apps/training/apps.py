"""App configuration."""

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """Data to learn from, and the models learned."""

    name = "apps.training"
    verbose_name = "training"
