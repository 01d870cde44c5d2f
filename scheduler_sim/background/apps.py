"""The app of work done in the background."""

from django.apps import AppConfig


class BackgroundConfig(AppConfig):
    """Makes its checks known."""

    name = "scheduler_sim.background"

    def ready(self) -> None:
        """Import the checks, which register themselves."""
        from scheduler_sim.background import connections  # noqa: F401
