"""App configuration."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    """Pages; no tables."""

    name = "apps.dashboard"
