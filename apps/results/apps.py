"""App configuration."""

from django.apps import AppConfig


class ResultsConfig(AppConfig):
    """Runs and the placements they made."""

    name = "apps.results"
    verbose_name = "results"

    def ready(self) -> None:
        """Record deletions for the audit log; those of a run are recorded where its rows go."""
        from apps.results.models import Study
        from scheduler_sim.accounts.audit import record_deletions

        record_deletions(Study, "study")
