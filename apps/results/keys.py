"""Keys of results on PostgreSQL, which each connection takes ahead."""

from typing import Any

from django.db import connections

from scheduler_sim.columnar.statements import told

KEYS_AHEAD = 1_000
"""Keys of results that a connection to PostgreSQL takes at a time: some pages of the primary key, so that two that
write at once seldom want the same page. One key at a time took a tenth longer. Rows that two write at once do not
ascend by key as they were stored, by so many: who reads the newest by key while they write sees some of them later."""


def take_keys_ahead(using: str, **_signal: Any) -> None:
    """Let connections take keys ahead, which no model can say: set as often as the database is brought up to date."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        changes = told(
            connection,
            "SELECT format('ALTER SEQUENCE %%I.%%I CACHE %%s', schemaname, sequencename, %s) FROM pg_sequences "
            "WHERE sequencename = 'results_schedulerresult_id_seq' AND schemaname = current_schema() "
            "AND cache_size <> %s",
            [KEYS_AHEAD, KEYS_AHEAD],
        )
        for (statement,) in changes:
            told(connection, statement)


def take_keys_anew(connection: Any, run_id: int) -> None:
    """Let go of the keys that a session of PostgreSQL took ahead for another run.

    They may be lower than those that were asked for when this run began, and its rows are found between its bounds.
    """
    if connection.vendor == "postgresql":
        connection.ensure_connection()
        session = connection.connection
        if getattr(session, "keys_taken_for", None) != run_id:
            told(connection, "DISCARD SEQUENCES")
            session.keys_taken_for = run_id
