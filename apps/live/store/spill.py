"""Placements that no database would take, kept in a Parquet file until the run is taken up again."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection, models

from apps.live.models import SimulationState
from apps.live.store.batches import ResultBatch, TaskAttempts, batch_store, transaction_rows
from apps.results.checksum import ATTEMPT_COLUMNS
from apps.results.models import Attempt, Run, SchedulerResult

logger = logging.getLogger(__name__)

_SPANS = "spans"
"""The file's column that holds each placement's attempts."""

_ATTEMPT_COLUMNS = ("task_id", *ATTEMPT_COLUMNS)


def spill_path(run: Run) -> Path:
    """Return where a run's placements are kept: beside the embedded database, else under `var/`.

    The run's creation is part of the name, because another database may hold a run of the same number.
    """
    return _folder() / "spill" / f"run-{run.pk}-{int(run.created_at.timestamp() * 1_000_000)}.parquet"


def _folder() -> Path:
    name = Path(str(connection.settings_dict["NAME"]))
    return name.parent if connection.vendor == "sqlite" and name.is_absolute() else settings.VAR_DIR


def spill_write(*, run: Run, batches: Sequence[ResultBatch]) -> Path:
    """Write batches that follow each other to a file, whole or not at all, and return its path.

    Each row carries its place in its policy's order of completion, so that rows which did get into the database are
    recognised, and the list of its attempts.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = spill_path(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    tables = [
        _table(scheduler, columns, batch.progress[scheduler], batch.clock_time, batch.attempts.get(scheduler))
        for batch in batches
        for scheduler, columns in batch.parts.items()
    ]
    whole = pa.concat_tables(tables, promote_options="default")
    pq.write_table(whole, unfinished, write_page_checksum=True)
    unfinished.replace(path)
    return path


def _table(scheduler: str, columns: Any, stored_after: int, clock_time: float, attempts: TaskAttempts | None) -> Any:
    import pyarrow as pa

    length = len(columns["task_id"])
    place = np.arange(stored_after - length, stored_after)
    whole = {name: _whole(SchedulerResult, name, column, length) for name, column in columns.items()}
    return pa.table(
        {
            "scheduler": pa.array([scheduler] * length, pa.string()),
            "place": pa.array(place, pa.int64()),
            "clock_time": pa.array(np.full(length, clock_time), pa.float64()),
            _SPANS: _spans(attempts, length),
            **whole,
        }
    )


def _spans(attempts: TaskAttempts | None, length: int) -> Any:
    """Return each placement's attempts as a list of them."""
    import pyarrow as pa

    counts = np.zeros(length, np.int64) if attempts is None else attempts.counts
    columns = {} if attempts is None else attempts.columns
    count = int(counts.sum())
    values = [_whole(Attempt, name, columns.get(name, np.zeros(0)), count) for name in _ATTEMPT_COLUMNS]
    ends = pa.array(np.concatenate(([0], np.cumsum(counts))), pa.int32())
    return pa.ListArray.from_arrays(ends, pa.StructArray.from_arrays(values, _ATTEMPT_COLUMNS))


def _whole(model: type[models.Model], name: str, column: Any, length: int) -> Any:
    import pyarrow as pa

    kinds = {"FloatField": pa.float64(), "CharField": pa.string()}
    kind = kinds.get(model._meta.get_field(name).get_internal_type(), pa.int64())
    if column is None or np.ndim(column) == 0:
        return pa.array([column] * length, kind)
    return pa.array(column.tolist() if kind == pa.string() else column, kind)


def spill_take_in(*, run: Run) -> int:
    """Store what an earlier process kept in a file, delete the file, and return how many placements were new.

    Rows that the progress says are stored already are passed over, so doing it twice changes nothing. A file that is
    damaged is set aside under the name `FILE.damaged`: what it held is simulated again like all that was not stored.
    """
    import pyarrow as pa

    path = spill_path(run)
    if not path.exists():
        return 0
    try:
        columns, spans = _read(path)
        schedulers, places, clock_time = (columns.pop(name) for name in ("scheduler", "place", "clock_time"))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        aside = path.replace(_aside(path))
        logger.warning(
            "The kept placements in %s cannot be read (%s); the file is set aside as %s, and they are simulated again.",
            path,
            str(error).strip().partition("\n")[0],
            aside.name,
        )
        return 0
    progress = dict(SimulationState.objects.values_list("progress", flat=True).get(run=run))
    parts, attempts = {}, {}
    for scheduler in dict.fromkeys(schedulers.tolist()):
        rows = np.flatnonzero((schedulers == scheduler) & (places >= progress.get(scheduler, 0)))
        if not len(rows):
            continue
        if places[rows[0]] != progress.get(scheduler, 0):
            logger.warning("The kept placements in %s do not follow what run %s holds; left out.", path, run.name)
            continue
        parts[scheduler] = {name: column[rows] for name, column in columns.items()}
        if spans is not None:
            attempts[scheduler] = _attempts(spans.take(pa.array(rows)))
        progress[scheduler] = int(places[rows[-1]]) + 1
    batch = ResultBatch(parts=parts, progress=progress, clock_time=float(clock_time.max()), attempts=attempts)
    for piece in batch.cut(transaction_rows()):
        batch_store(run=run, batch=piece)
    path.unlink()
    return batch.placements


def spill_remove(path: Path) -> None:
    """Delete what was kept of a run that is gone."""
    for left in (path, path.with_suffix(".part"), _aside(path)):
        left.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _read(path: Path) -> tuple[dict[str, Any], Any]:
    """Return a file's columns, and the lists of attempts, None where it has none."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, page_checksum_verification=True)
    spans = table.column(_SPANS).combine_chunks() if _SPANS in table.column_names else None
    return {name: table.column(name).to_numpy() for name in table.column_names if name != _SPANS}, spans


def _attempts(spans: Any) -> TaskAttempts:
    columns = spans.flatten()
    return TaskAttempts(
        counts=spans.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64),
        columns={name: columns.field(name).to_numpy(zero_copy_only=False) for name in _ATTEMPT_COLUMNS},
    )
