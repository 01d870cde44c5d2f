"""Columns into any database by Django's own `bulk_create`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from django.db import models, transaction

from scheduler_sim.columnar.column import chunks, python_values
from scheduler_sim.columnar.prepare import prepare

M = TypeVar("M", bound=models.Model)

BATCH_ROWS = 2_000
"""Objects held at once: `bulk_create` lists what it is given."""


def columns_as_objects(model: type[M], columns: Mapping[str, Any]) -> Iterator[M]:
    """Yield the rows that columns describe as unsaved objects, for Django's `bulk_create`.

    Raises:
        ValueError: as `prepare`.
    """
    prepared = prepare(model, columns)
    names = [column.field.attname for column in prepared]
    for first, last in chunks(len(prepared[0].values), BATCH_ROWS):
        for row in zip(*(python_values(column.part(first, last)) for column in prepared), strict=True):
            yield model(**dict(zip(names, row, strict=True)))


def insert_objects(model: type[models.Model], columns: Mapping[str, Any], *, using: str = "default") -> int:
    """Insert the same rows as `insert_columns` by `bulk_create`, in batches: the way that every database knows."""
    rows = columns_as_objects(model, columns)
    length = 0
    with transaction.atomic(using=using, savepoint=False):
        while batch := list(islice(rows, BATCH_ROWS)):
            model._base_manager.using(using).bulk_create(batch)
            length += len(batch)
    return length
