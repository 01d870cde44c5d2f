"""App configuration."""

from django.apps import AppConfig


class MetricsConfig(AppConfig):
    """Figures computed from results: leaderboard, history, cache, health."""

    name = "apps.metrics"
    verbose_name = "metrics"
