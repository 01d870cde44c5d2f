"""Rows written from columns by the database's quickest way, without a Python object a row.

PostgreSQL takes a binary `COPY` straight from NumPy arrays, SQLite an `executemany` of many rows a statement inside
one transaction, any other database `bulk_create`. All three write identical rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from django.db import connections, models, transaction
from django.utils import timezone

from scheduler_sim import pgcopy

CHUNK_ROWS = 4_096
"""Rows encoded at once: memory does not grow with their number, and PostgreSQL takes some while the next are made."""

SQLITE_PARAMETERS = 1_300
"""Values of one SQLite statement (100 placements). A statement costs as much as two rows, and the interpreter's lock is
given away at each; SQLite takes up to 32,766."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_KINDS = {
    "FloatField": "float",
    "BooleanField": "boolean",
    "DateTimeField": "datetime",
    "CharField": "text",
    "TextField": "text",
    "JSONField": "json",
}


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
    prepared = [block for block in (_prepare(model, columns) for columns in blocks) if _length(block)]
    connection = connections[using]
    with transaction.atomic(using=using, savepoint=False):
        if connection.vendor == "postgresql" and prepared:
            pgcopy.copy_blocks(connection, model, prepared, chunk_rows=CHUNK_ROWS, near=near)
        elif connection.vendor == "sqlite" and prepared:
            _insert_sqlite(connection, model, prepared, near=near)
        else:
            for columns in blocks:
                insert_objects(model, columns, using=using)
    return sum(_length(block) for block in prepared)


def insert_objects(model: type[models.Model], columns: Mapping[str, Any], *, using: str = "default") -> int:
    """Insert the same rows as `insert_columns` by `bulk_create`, in batches: the way that every database knows."""
    prepared = _prepare(model, columns)
    length = _length(prepared)
    names = [column.field.attname for column in prepared]
    with transaction.atomic(using=using, savepoint=False):
        for first, last in chunks(length, 2_000):
            rows = zip(*(python_values(column.part(first, last)) for column in prepared), strict=True)
            model._base_manager.using(using).bulk_create(model(**dict(zip(names, row, strict=True))) for row in rows)
    return length


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
        return _EPOCH + dt.timedelta(microseconds=int(value))
    return value.item() if isinstance(value, np.generic) else value


def _length(columns: list[Column]) -> int:
    return len(columns[0].values)


def _insert_sqlite(connection: Any, model: type[models.Model], blocks: list[list[Column]], *, near: str) -> None:
    quote = connection.ops.quote_name
    width = len(blocks[0])
    names = ", ".join(quote(column.field.column) for column in blocks[0])
    statement = f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES "  # noqa: S608 quoted names
    marks = f"({', '.join('?' * width)})"
    several = max(SQLITE_PARAMETERS // width, 1)
    connection.ensure_connection()
    with connection.wrap_database_errors:
        for values in _sqlite_values(blocks, connection, near):
            whole = len(values) - len(values) % (several * width)
            # The driver's own connection: Django's cursor would rewrite the statement's marks for nothing.
            for rows, first, last in ((several, 0, whole), (1, whole, len(values))):
                step = rows * width
                parts = (values[place : place + step] for place in range(first, last, step))
                connection.connection.executemany(statement + ", ".join([marks] * rows), parts)


def _sqlite_values(blocks: list[list[Column]], connection: Any, near: str) -> Iterator[list[Any]]:
    """Yield the values of some rows at a time, row after row in one list."""
    if not near:
        for block in blocks:
            for first, last in chunks(_length(block), CHUNK_ROWS):
                yield _rows_end_to_end([_sqlite_column(column.part(first, last), connection) for column in block])
        return
    keys = np.concatenate([column.values for block in blocks for column in block if column.field.attname == near])
    order = np.argsort(keys, kind="stable")
    gathered = []
    for columns in zip(*blocks, strict=True):
        whole = np.fromiter(chain.from_iterable(_sqlite_column(column, connection) for column in columns), object)
        gathered.append(whole[order])
    for first, last in chunks(len(order), CHUNK_ROWS):
        yield _rows_end_to_end([column[first:last].tolist() for column in gathered])


def _rows_end_to_end(columns: list[list[Any]]) -> list[Any]:
    values: list[Any] = [None] * (len(columns) * len(columns[0]))
    for number, column in enumerate(columns):
        values[number :: len(columns)] = column
    return values


def _sqlite_column(column: Column, connection: Any) -> list[Any]:
    if column.is_constant:
        value = python_values(column.part(0, 1))[0]
        return [column.field.get_db_prep_save(value, connection)] * len(column.values)
    values = python_values(column)
    if column.kind in ("datetime", "json"):
        return [column.field.get_db_prep_save(value, connection) for value in values]
    return values


def _prepare(model: type[models.Model], columns: Mapping[str, Any]) -> list[Column]:
    fields = {field.attname: field for field in model._meta.concrete_fields}
    if unknown := sorted(set(columns) - set(fields)):
        raise ValueError(f"{model._meta.label} has no column {', '.join(unknown)}.")
    lengths = {name: len(values) for name, values in columns.items() if not _is_scalar(values)}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"The columns have different lengths: {shown}.")
    if not lengths:
        raise ValueError("No column has a value a row, so the number of rows is not known.")
    length = next(iter(lengths.values()))
    prepared = []
    for name, field in fields.items():
        if name in columns:
            prepared.append(_column(field, columns[name], length, scalar=name not in lengths))
        elif not isinstance(field, models.AutoField | models.BigAutoField):
            prepared.append(_column(field, _default(field), length, scalar=True))
    return prepared


def _is_scalar(values: Any) -> bool:
    if isinstance(values, np.ndarray):
        return values.ndim == 0
    return isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__")


def _default(field: models.Field) -> Any:
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return timezone.now()
    if field.has_default():
        return field.get_default()
    if field.null:
        return None
    if field.empty_strings_allowed and field.blank:
        return ""
    raise ValueError(f"Column {field.attname} is not given and has no default.")


def _column(field: models.Field, values: Any, length: int, *, scalar: bool) -> Column:
    target = field.target_field if field.is_relation else field
    kind = _KINDS.get(target.get_internal_type(), "integer")
    if scalar:
        array = np.empty(1, object)
        array[0] = values
        # A number or datetime goes through the same checks as a whole column of them.
        made, nulls = _CONVERTERS[kind](field, array)
        made = np.broadcast_to(made, length) if length != 1 else made
        nulls = None if nulls is None else np.broadcast_to(nulls, length)
    else:
        made, nulls = _CONVERTERS[kind](field, values)
    if nulls is not None:
        if not nulls.any():
            nulls = None
        elif not field.null:
            raise ValueError(f"Column {field.attname} holds {int(nulls.sum())} empty values (None or NaN).")
    return Column(field=field, kind=kind, values=made, nulls=nulls)


Made = tuple[np.ndarray, "np.ndarray | None"]


def _floats(field: models.Field, values: Any) -> Made:
    try:
        array = np.asarray(values, dtype=np.float64)  # None becomes NaN.
    except (TypeError, ValueError) as error:
        raise ValueError(f"Column {field.attname} holds a value that is not a number.") from error
    return array, np.isnan(array)


def _integers(field: models.Field, values: Any) -> Made:
    array = np.asarray(values)
    if array.dtype.kind in "iub":
        if array.dtype == np.uint64 and len(array) and array.max() > np.iinfo(np.int64).max:
            raise ValueError(f"Column {field.attname} holds a value that is not a whole number of 64 bits.")
        return array.astype(np.int64, copy=False), None
    try:
        if array.dtype == object:
            nulls = np.fromiter((value is None or value != value for value in array), bool, len(array))
            numbers = np.where(nulls, 0, array)
        else:
            nulls = np.isnan(array)
            numbers = np.where(nulls, 0.0, array)
        whole = numbers.astype(np.int64)
        exact = bool((whole == numbers).all())
    except (TypeError, ValueError, OverflowError):
        exact = False
    if not exact:
        raise ValueError(f"Column {field.attname} holds a value that is not a whole number of 64 bits.")
    return whole, nulls


def _booleans(_field: models.Field, values: Any) -> Made:
    array = np.asarray(values)
    if array.dtype == object:
        nulls = np.fromiter((value is None for value in array), bool, len(array))
        return array.astype(bool), nulls
    return array.astype(bool, copy=False), None


def _datetimes(field: models.Field, values: Any) -> Made:
    array = np.asarray(values)
    if array.dtype.kind != "M":
        if any(value is not None and timezone.is_naive(value) for value in array):
            raise ValueError(f"Column {field.attname} holds a datetime without a time zone.")
        nulls = np.fromiter((value is None for value in array), bool, len(array))
        micro = dt.timedelta(microseconds=1)
        since = ((0 if value is None else (value - _EPOCH) // micro) for value in array)
        return np.fromiter(since, np.int64, len(array)), nulls
    nulls = np.isnat(array)
    return np.where(nulls, 0, array.astype("M8[us]").astype(np.int64)), nulls


def _objects(_field: models.Field, values: Any) -> Made:
    if isinstance(values, np.ndarray):
        array = values.astype(object, copy=False)
    else:
        array = np.fromiter(values, object, len(values))  # np.asarray would make equally long lists two-dimensional.
    nulls = np.fromiter((value is None for value in array), bool, len(array))
    return array, nulls


_CONVERTERS = {
    "float": _floats,
    "integer": _integers,
    "boolean": _booleans,
    "datetime": _datetimes,
    "text": _objects,
    "json": _objects,
}
