"""Reading the database as it was at one instant, however long that takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections, transaction

from scheduler_sim.columnar.statements import told


@contextmanager
def snapshot(using: str = "default") -> Iterator[None]:
    """Let every query inside see the database at one instant: what others write or delete meanwhile is not seen.

    On PostgreSQL that is a transaction of the level `REPEATABLE READ` that only reads, on SQLite a transaction that
    takes no write lock, so nobody waits for it. Inside a transaction that is under way it changes nothing. It stands
    before a function as a decorator too.
    """
    connection = connections[using]
    if connection.in_atomic_block:
        yield
        return
    connection.ensure_connection()
    with ExitStack() as stack:
        if connection.vendor == "sqlite":
            # Transactions take the write lock as they begin (see the settings); one that only reads must not.
            sqlite: Any = connection  # The stubs leave the mode out.
            mode = sqlite.transaction_mode
            sqlite.transaction_mode = "DEFERRED"
            try:
                stack.enter_context(transaction.atomic(using=using))
            finally:
                sqlite.transaction_mode = mode
        else:
            stack.enter_context(transaction.atomic(using=using))
        if connection.vendor == "postgresql":
            told(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
