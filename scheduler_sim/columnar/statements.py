"""What the database is told in its own words, where Django has none for it."""

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


def told(connection: BaseDatabaseWrapper, statement: str, values: Sequence[Any] | None = None) -> list[Any]:
    """Tell the database a statement, and return the rows that it answers.

    Args:
        values: of its parameters; without them a `%` stands for itself.

    Raises:
        django.db.Error: the database does not answer, or refuses it.
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def answered(connection: BaseDatabaseWrapper, question: str, values: Sequence[Any] | None = None) -> Any:
    """Ask the database for one value; see `told`."""
    [(value,)] = told(connection, question, values)
    return value
