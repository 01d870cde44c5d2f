"""App configuration."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from apps.results.keys import take_keys_ahead


class ResultsConfig(AppConfig):
    """Runs and the placements they made."""

    name = "apps.results"
    verbose_name = "results"

    def ready(self) -> None:
        """Record deletions for the audit log; those of a run are recorded where its rows go."""
        from apps.results.models import Study
        from scheduler_sim.accounts.audit import record_deletions

        record_deletions(Study, "study")
        post_migrate.connect(take_keys_ahead, sender=self)
