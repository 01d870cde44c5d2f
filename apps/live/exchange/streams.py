"""An export and its bytes: rows of one instant as csv, JSON lines or Parquet, some thousands at a time."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import models

from apps.results.errors import DomainError
from scheduler_sim.texts import no_formula

Rows = Iterator[list[tuple[Any, ...]]]

_TEXTS = ("CharField", "TextField")


class CannotExport(DomainError):
    """What was asked cannot be exported so; the sentence says why."""


@dataclass(frozen=True)
class Export:
    """One table's rows, ready to be streamed.

    Attributes:
        names: of the columns.
        fields: what decides the columns' types.
        chunks: gives the rows of one instant, some thousands at a time.

            Raises:
                CannotExport: what they belong to is gone or unfinished, or they are not as many as there must be.
    """

    names: tuple[str, ...]
    fields: tuple[models.Field, ...]
    chunks: Callable[[], Rows]


def stream(export: Export, format_name: str, *, raw: bool = False) -> Iterator[bytes]:
    """Yield an export's bytes in `csv`, `parquet` or `jsonl`.

    Args:
        raw: leave texts of a csv that a spreadsheet would run as a formula as they are, for programs that read it.

    Raises:
        CannotExport: another format.
    """
    writers: dict[str, Callable[[Export], Iterator[bytes]]] = {
        "csv": partial(_csv, raw=raw),
        "jsonl": _jsonl,
        "parquet": _parquet,
    }
    if format_name not in writers:
        raise CannotExport(f"Only a workload can be exported as {format_name}.")
    return writers[format_name](export)


def _csv(export: Export, *, raw: bool) -> Iterator[bytes]:
    import csv

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(export.names)
    structured = _structured(export)
    texts = [] if raw else [place for place, field in enumerate(export.fields) if field.get_internal_type() in _TEXTS]
    for rows in export.chunks():
        # The shortest text that reads back as the same double is what `csv` makes of a float.
        writer.writerows(_without_formulas(_with_json_text(rows, structured), texts))
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    if text.getvalue():
        yield text.getvalue().encode()


def _jsonl(export: Export) -> Iterator[bytes]:
    for rows in export.chunks():
        lines = [json.dumps(dict(zip(export.names, row, strict=True)), default=str) for row in rows]
        yield ("\n".join(lines) + "\n").encode()


def _parquet(export: Export) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _arrow_type(field)) for name, field in zip(export.names, export.fields, strict=True)])
    structured = _structured(export)
    sink = _Drain()
    with pq.ParquetWriter(sink, schema) as writer:
        for rows in export.chunks():
            columns = zip(*_with_json_text(rows, structured), strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            yield sink.take()
    yield sink.take()


def _structured(export: Export) -> list[int]:
    """Return the places of the columns that hold lists and mappings."""
    return [place for place, field in enumerate(export.fields) if field.get_internal_type() == "JSONField"]


def _with_json_text(rows: list[tuple[Any, ...]], structured: list[int]) -> list[Any]:
    if not structured:
        return rows
    return [[json.dumps(value) if place in structured else value for place, value in enumerate(row)] for row in rows]


def _without_formulas(rows: list[Any], texts: list[int]) -> list[Any]:
    if not texts:
        return rows
    return [[no_formula(value) if place in texts else value for place, value in enumerate(row)] for row in rows]


def _arrow_type(field: models.Field) -> Any:
    import pyarrow as pa

    kind = field.get_internal_type()
    types = {"FloatField": pa.float64(), "BooleanField": pa.bool_(), "DateTimeField": pa.timestamp("us", tz="UTC")}
    if kind in (*_TEXTS, "JSONField"):
        return pa.string()
    return types.get(kind, pa.int64())


class _Drain(io.RawIOBase):
    """A file that hands on what was written to it, so that nothing piles up."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._written += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._written

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
