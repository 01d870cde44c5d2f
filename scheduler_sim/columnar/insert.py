"""The one way in: rows given as columns go over by the database's quickest way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections, models, transaction

from scheduler_sim.columnar import postgres, sqlite
from scheduler_sim.columnar.column import Column
from scheduler_sim.columnar.objects import insert_objects
from scheduler_sim.columnar.prepare import prepare


def insert_columns(model: type[models.Model], columns: Mapping[str, Any], *, using: str = "default") -> int:
    """Insert rows given as columns, all of them or none, and return how many.

    Args:
        model: the table.
        columns: values by the field's attname (`run_id`, not `run`). A column is an array or a sequence with a value
            a row; a number, text, datetime, mapping or None stands for the same value in every row. A JSON column
            that holds lists is given row by row. NaN and NaT in a nullable column, and None, mean NULL. Fields
            left out take their default, a key made by the database is always left out.
        using: the database's alias.

    Raises:
        ValueError: an unknown name, columns of different lengths, or values that the field cannot hold.
        django.db.IntegrityError: a constraint is violated; nothing is inserted.
    """
    return insert_blocks(model, [columns], using=using)


def insert_blocks(
    model: type[models.Model], blocks: Sequence[Mapping[str, Any]], *, using: str = "default", near: str = ""
) -> int:
    """Insert several blocks of rows, such as those of several policies, as `insert_columns` does one.

    They go over in one statement, and each block may hold other constants. All blocks name the same columns.

    Args:
        near: a column of integers that leads the keys. The rows of all blocks go over in its order, which takes a
            third off the time on SQLite and a seventh on PostgreSQL; other databases get them block by block.
    """
    prepared = [block for block in (prepare(model, columns) for columns in blocks) if len(block[0].values)]
    prepared = _without_nulls(prepared)
    connection = connections[using]
    with transaction.atomic(using=using, savepoint=False):
        if connection.vendor == "postgresql" and prepared:
            postgres.copy_blocks(connection, model, prepared, near=near)
        elif connection.vendor == "sqlite" and prepared:
            sqlite.execute_blocks(connection, model, prepared, near=near)
        else:
            for columns in blocks:
                insert_objects(model, columns, using=using)
    return sum(len(block[0].values) for block in prepared)


def _without_nulls(blocks: list[list[Column]]) -> list[list[Column]]:
    """Leave out the columns that are NULL in every row of every block: the database puts that there by itself."""
    told = [not all(_is_null(block[place]) for block in blocks) for place in range(len(blocks[0]))] if blocks else []
    return [[column for column, is_told in zip(block, told, strict=True) if is_told] for block in blocks]


def _is_null(column: Column) -> bool:
    if column.nulls is None:
        return False
    return bool(column.nulls[0]) and (column.is_constant or bool(column.nulls.all()))
