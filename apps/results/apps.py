"""App configuration."""

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate

KEYS_AHEAD = 1_000
"""Keys of results that a connection to PostgreSQL takes at a time: some pages of the primary key, so that two that
write at once seldom want the same page. One key at a time took a tenth longer. Rows that two write at once do not
ascend by key as they were stored, by so many: who reads the newest by key while they write sees some of them later."""


class ResultsConfig(AppConfig):
    """Runs and the placements they made."""

    name = "apps.results"
    verbose_name = "results"

    def ready(self) -> None:
        """Record deletions for the audit log; those of a run are recorded where its rows go."""
        from apps.results.models import Study
        from scheduler_sim.accounts.audit import record_deletions

        record_deletions(Study, "study")
        post_migrate.connect(_take_keys_ahead, sender=self)


def _take_keys_ahead(using: str, **_signal: Any) -> None:
    """Set what no model says, as often as the database is brought up to date."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT format('ALTER SEQUENCE %%I.%%I CACHE %%s', schemaname, sequencename, %s) FROM pg_sequences "
                "WHERE sequencename = 'results_schedulerresult_id_seq' AND schemaname = current_schema() "
                "AND cache_size <> %s",
                [KEYS_AHEAD, KEYS_AHEAD],
            )
            for (statement,) in cursor.fetchall():
                cursor.execute(statement)
