"""The values of one field for many rows, and how they are cut and turned into Python's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import models

CHUNK_ROWS = 4_096
"""Rows encoded at once: memory does not grow with their number, and PostgreSQL takes some while the next are made."""

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Column:
    """The values of one field for n rows.

    Attributes:
        field: where they go.
        kind: `float`, `integer`, `boolean`, `datetime`, `text` or `json`.
        values: shape (n,); float64, int64, bool, int64 microseconds since 1970, or objects. A value that is the same
            in every row is held once (its stride is 0).
        nulls: shape (n,), True where the value is NULL; None when no row is.
    """

    field: models.Field
    kind: str
    values: np.ndarray
    nulls: np.ndarray | None

    @property
    def is_constant(self) -> bool:
        """True when every row holds the same value."""
        return len(self.values) == 1 or (
            self.values.strides == (0,) and (self.nulls is None or self.nulls.strides == (0,))
        )

    def part(self, first: int, last: int) -> Column:
        """Return rows `first` up to `last`, without a copy."""
        nulls = None if self.nulls is None else self.nulls[first:last]
        return Column(self.field, self.kind, self.values[first:last], nulls)


def chunks(length: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut `length` rows into spans of at most `size`."""
    for first in range(0, length, size):
        yield first, min(first + size, length)


def python_values(column: Column) -> list[Any]:
    """Return the column's values as Django's objects would hold them."""
    if column.is_constant:
        return [_python(column, column.values[0], column.nulls is not None and bool(column.nulls[0]))] * len(
            column.values
        )
    if column.kind == "datetime":
        values: list[Any] = [_python(column, value, False) for value in column.values]
    else:
        values = column.values.tolist()
    if column.nulls is not None:
        for row in np.flatnonzero(column.nulls).tolist():
            values[row] = None
    return values


def _python(column: Column, value: Any, is_null: bool) -> Any:
    if is_null:
        return None
    if column.kind == "datetime":
        return EPOCH + dt.timedelta(microseconds=int(value))
    return value.item() if isinstance(value, np.generic) else value
