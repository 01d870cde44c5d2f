"""App configuration."""

from django.apps import AppConfig


class StudiesConfig(AppConfig):
    """Grids of runs; their tables are those of results and live."""

    name = "apps.studies"
