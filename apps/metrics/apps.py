"""App configuration."""

from django.apps import AppConfig


class MetricsConfig(AppConfig):
    """Figures computed from results: leaderboard, history, cache, health."""

    name = "apps.metrics"
    verbose_name = "metrics"

    def ready(self) -> None:
        """Let the cache hear of changed rows."""
        from apps.metrics import cache  # noqa: F401 importing it connects its receiver
