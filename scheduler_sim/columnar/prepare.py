"""From what a caller gives to columns that fit their fields: defaults filled in, values checked, types settled."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
from django.db import models
from django.utils import timezone

from scheduler_sim.columnar.column import EPOCH, Column

_KINDS = {
    "FloatField": "float",
    "BooleanField": "boolean",
    "DateTimeField": "datetime",
    "CharField": "text",
    "TextField": "text",
    "JSONField": "json",
}


def prepare(model: type[models.Model], columns: Mapping[str, Any]) -> list[Column]:
    """Return the columns of all fields that are written, in the order of the model's fields.

    Raises:
        ValueError: an unknown name, columns of different lengths, or values that the field cannot hold.
    """
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
    target = field.target_field if isinstance(field, models.ForeignKey) else field
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
        since = ((0 if value is None else (value - EPOCH) // micro) for value in array)
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
