"""The app of what every request shares."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    """Makes its checks known."""

    name = "scheduler_sim.web"

    def ready(self) -> None:
        """Import the checks, which register themselves."""
        from scheduler_sim.web import checks  # noqa: F401
