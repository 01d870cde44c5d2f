"""App configuration."""

from django.apps import AppConfig


class LiveConfig(AppConfig):
    """Running simulations: the runner, control, and live messages."""

    name = "apps.live"
    verbose_name = "live"
