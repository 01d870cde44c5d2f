"""Columns into SQLite: an `executemany` of many rows a statement, through the driver's own connection."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
from django.db import models

from scheduler_sim.columnar.column import CHUNK_ROWS, Column, chunks, python_values

PARAMETERS = 1_300
"""Values of one statement (100 placements). A statement costs as much as two rows, and the interpreter's lock is
given away at each; SQLite takes up to 32,766."""


def execute_blocks(connection: Any, model: type[models.Model], blocks: list[list[Column]], *, near: str) -> None:
    """Insert blocks of rows inside the transaction that is open.

    Args:
        near: a column of integers in whose order the rows of all blocks are written; empty: block by block.
    """
    quote = connection.ops.quote_name
    width = len(blocks[0])
    names = ", ".join(quote(column.field.column) for column in blocks[0])
    statement = f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES "  # noqa: S608 quoted names
    marks = f"({', '.join('?' * width)})"
    several = max(PARAMETERS // width, 1)
    connection.ensure_connection()
    with connection.wrap_database_errors:
        for values in _values(blocks, connection, near):
            whole = len(values) - len(values) % (several * width)
            # The driver's own connection: Django's cursor would rewrite the statement's marks for nothing.
            for rows, first, last in ((several, 0, whole), (1, whole, len(values))):
                step = rows * width
                parts = (values[place : place + step] for place in range(first, last, step))
                connection.connection.executemany(statement + ", ".join([marks] * rows), parts)


def _values(blocks: list[list[Column]], connection: Any, near: str) -> Iterator[list[Any]]:
    """Yield the values of some rows at a time, row after row in one list."""
    if not near:
        for block in blocks:
            for first, last in chunks(len(block[0].values), CHUNK_ROWS):
                yield _rows_end_to_end([_column(column.part(first, last), connection) for column in block])
        return
    keys = np.concatenate([column.values for block in blocks for column in block if column.field.attname == near])
    order = np.argsort(keys, kind="stable")
    gathered = []
    for columns in zip(*blocks, strict=True):
        whole = np.fromiter(chain.from_iterable(_column(column, connection) for column in columns), object)
        gathered.append(whole[order])
    for first, last in chunks(len(order), CHUNK_ROWS):
        yield _rows_end_to_end([column[first:last].tolist() for column in gathered])


def _rows_end_to_end(columns: list[list[Any]]) -> list[Any]:
    values: list[Any] = [None] * (len(columns) * len(columns[0]))
    for number, column in enumerate(columns):
        values[number :: len(columns)] = column
    return values


def _column(column: Column, connection: Any) -> list[Any]:
    if column.is_constant:
        value = python_values(column.part(0, 1))[0]
        return [column.field.get_db_prep_save(value, connection)] * len(column.values)
    values = python_values(column)
    if column.kind in ("datetime", "json"):
        return [column.field.get_db_prep_save(value, connection) for value in values]
    return values
