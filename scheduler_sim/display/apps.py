"""App configuration."""

from django.apps import AppConfig


class DisplayConfig(AppConfig):
    """Template tags that every page uses; no tables."""

    name = "scheduler_sim.display"
