"""App configuration."""

from django.apps import AppConfig


class ResultsConfig(AppConfig):
    """Runs and the placements they made."""

    name = "apps.results"
    verbose_name = "results"
