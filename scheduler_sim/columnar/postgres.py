"""PostgreSQL's binary COPY format made from NumPy columns.

Each row is a 16-bit field count, then each field as a 32-bit length (-1 for NULL) and its bytes, all big-endian
(PostgreSQL documentation, COPY, "Binary Format"). When every field of a block has one width, a chunk of its rows is one
structured array; otherwise the bytes are scattered into place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from django.db import models

from scheduler_sim.columnar.column import CHUNK_ROWS, Column

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_MICROSECONDS_1970_TO_2000 = 946_684_800_000_000
_WIDTHS = {
    "double precision": ">f8",
    "bigint": ">i8",
    "integer": ">i4",
    "smallint": ">i2",
    "boolean": "u1",
    "timestamp with time zone": ">i8",
}


def copy_blocks(
    connection: Any,
    model: type[models.Model],
    blocks: list[list[Column]],
    *,
    chunk_rows: int = CHUNK_ROWS,
    near: str = "",
) -> None:
    """Insert blocks of rows by one binary COPY, encoding `chunk_rows` rows at a time.

    Args:
        near: a column of integers in whose order the rows of all blocks go over; without it they go block by block,
            and so do blocks with fields that differ in width by row.

    Raises:
        ValueError: an integer beyond what its column holds, or a column type that this writer does not know.
    """
    quote = connection.ops.quote_name
    names = ", ".join(quote(column.field.column) for column in blocks[0])
    types = [_type(column.field, connection) for column in blocks[0]]
    for block in blocks:
        for column, type_name in zip(block, types, strict=True):
            _check_range(column, type_name)
    statement = f"COPY {quote(model._meta.db_table)} ({names}) FROM STDIN (FORMAT BINARY)"
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(_SIGNATURE)
        for encoded in _encoded(blocks, types, chunk_rows, near):
            copy.write(encoded)
        copy.write(_TRAILER)


def _encoded(blocks: list[list[Column]], types: list[str], chunk_rows: int, near: str) -> Iterator[bytes]:
    templates = [_template(block, types) for block in blocks]
    if near and len(blocks) > 1 and all(template is not None for template in templates):
        yield from _merged(blocks, [template for template in templates if template is not None], chunk_rows, near)
        return
    for block, template in zip(blocks, templates, strict=True):
        length = len(block[0].values)
        for first in range(0, length, chunk_rows):
            last = min(first + chunk_rows, length)
            if template is not None:
                yield _filled(template, block, slice(first, last)).tobytes()
            else:
                yield _scatter([column.part(first, last) for column in block], types, last - first)


def _merged(blocks: list[list[Column]], templates: list[np.ndarray], chunk_rows: int, near: str) -> Iterator[bytes]:
    """Encode the rows of all blocks in the order of one column, each row at its place among the others."""
    lengths = [len(block[0].values) for block in blocks]
    owners = np.repeat(np.arange(len(blocks)), lengths)
    firsts = np.cumsum(lengths) - lengths
    widths = np.array([template.itemsize for template in templates])
    keys = np.concatenate([column.values for block in blocks for column in block if column.field.attname == near])
    order = np.argsort(keys, kind="stable")
    for first in range(0, len(order), chunk_rows):
        rows = order[first : first + chunk_rows]
        ends = widths[owners[rows]].cumsum()
        encoded = np.empty(ends[-1], np.uint8)
        for number, (block, template) in enumerate(zip(blocks, templates, strict=True)):
            here = np.flatnonzero(owners[rows] == number)
            if not len(here):
                continue
            width = template.itemsize
            # Row k of this view is the `width` bytes from byte k on.
            places = np.ndarray(len(encoded) - width + 1, f"V{width}", encoded, strides=(1,))
            places[ends[here] - width] = _filled(template, block, rows[here] - firsts[number]).view(f"V{width}")
        yield encoded.tobytes()


def _type(field: models.Field, connection: Any) -> str:
    name = str(field.db_type(connection))
    name = "text" if name.startswith("varchar") else name
    if name not in _WIDTHS and name not in ("text", "jsonb"):
        raise ValueError(f"Column {field.attname} has the type {name}, which cannot be written as columns.")
    return name


def _check_range(column: Column, type_name: str) -> None:
    if column.kind != "integer" or type_name == "bigint":
        return
    limits = np.iinfo(_WIDTHS[type_name])
    if column.values.min() < limits.min or column.values.max() > limits.max:
        raise ValueError(f"Column {column.field.attname} holds a value beyond {limits.max}.")


def _numbers(column: Column, type_name: str) -> np.ndarray:
    values = column.values
    if column.kind == "datetime":
        values = values - _MICROSECONDS_1970_TO_2000
    return values.astype(_WIDTHS[type_name])


def _bytes(column: Column, type_name: str, value: Any) -> bytes:
    if type_name == "jsonb":
        encoder = getattr(column.field, "encoder", None)
        return b"\x01" + json.dumps(value, cls=encoder).encode()  # The version of the format comes first.
    return str(value).encode()


def _template(columns: list[Column], types: list[str]) -> np.ndarray | None:
    """Return one row, shape (1,), with its lengths and constants; None when the width of some field differs by row."""
    layout: list[tuple[str, Any]] = [("count", ">i2")]
    constants: dict[str, Any] = {}
    for number, (column, type_name) in enumerate(zip(columns, types, strict=True)):
        layout.append((f"length{number}", ">i4"))
        if column.nulls is not None:
            if not column.nulls.all():
                return None
            constants[f"length{number}"] = -1
        elif type_name in _WIDTHS:
            width = np.dtype(_WIDTHS[type_name])
            layout.append((f"value{number}", width))
            constants[f"length{number}"] = width.itemsize
            if column.is_constant:
                constants[f"value{number}"] = _numbers(column.part(0, 1), type_name)[0]
        elif column.is_constant:
            encoded = _bytes(column, type_name, column.values[0])
            constants[f"length{number}"] = len(encoded)
            if encoded:
                layout.append((f"value{number}", f"V{len(encoded)}"))
                constants[f"value{number}"] = np.void(encoded)
        else:
            return None
    row = np.zeros(1, dtype=layout)
    row["count"] = len(columns)
    for name, value in constants.items():
        row[name] = value
    return row


def _filled(template: np.ndarray, columns: list[Column], rows: slice | np.ndarray) -> np.ndarray:
    """Return the chosen rows as copies of the template with their values filled in."""
    made = np.repeat(template, len(columns[0].values[rows]))
    for number, column in enumerate(columns):
        if not column.is_constant and column.nulls is None:
            values = column.values[rows]
            made[f"value{number}"] = values - _MICROSECONDS_1970_TO_2000 if column.kind == "datetime" else values
    return made


def _scatter(columns: list[Column], types: list[str], length: int) -> bytes:
    """Lay out rows whose fields differ in width: first all lengths, then every byte at its place."""
    lengths = np.empty((len(columns), length), np.int64)
    contents: list[np.ndarray] = []
    for number, (column, type_name) in enumerate(zip(columns, types, strict=True)):
        lengths[number], content = _content(column, type_name, length)
        contents.append(content)
    held = np.maximum(lengths, 0)
    sizes = 2 + 4 * len(columns) + held.sum(axis=0)
    position = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    target = np.zeros(int(sizes.sum()), np.uint8)
    _put(target, position, np.full(length, len(columns), ">i2"))
    position += 2
    for number, content in enumerate(contents):
        _put(target, position, lengths[number].astype(">i4"))
        position += 4
        # Byte j of a field goes to the field's position + j; the fields' bytes follow each other in `content`.
        before = np.cumsum(held[number]) - held[number]
        target[np.repeat(position - before, held[number]) + np.arange(len(content))] = content
        position += held[number]
    return target.tobytes()


def _put(target: np.ndarray, position: np.ndarray, values: np.ndarray) -> None:
    width = values.dtype.itemsize
    target[position[:, None] + np.arange(width)] = values.view(np.uint8).reshape(-1, width)


def _content(column: Column, type_name: str, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the width of each row's field, -1 for NULL, and the bytes of the others one after another."""
    nulls = np.zeros(length, bool) if column.nulls is None else column.nulls
    if type_name in _WIDTHS:
        numbers = _numbers(column, type_name)[~nulls]
        return np.where(nulls, -1, numbers.dtype.itemsize), numbers.view(np.uint8)
    if column.is_constant and not nulls[0]:
        encoded = [_bytes(column, type_name, column.values[0])] * length
    else:
        encoded = [
            b"" if empty else _bytes(column, type_name, value)
            for value, empty in zip(column.values, nulls.tolist(), strict=True)
        ]
    widths = np.fromiter(map(len, encoded), np.int64, length)
    return np.where(nulls, -1, widths), np.frombuffer(b"".join(encoded), np.uint8)
