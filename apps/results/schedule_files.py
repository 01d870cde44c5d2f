"""Where and when the tasks of a finished run ran, once more in files below `VAR_DIR/schedules`, one a policy.

The database stays the truth. A file is called by what the run's row says of its placements, their count and checksum
among it, so that a run of which anything else is stored has files of other names. It is a NumPy archive, whose parts
carry check sums: one that is damaged is taken away and never used. The process that plays a run leaves its files; where
there is none the first reader makes it. Runs with `keep: parquet` have none, for they are files already.
"""

import hashlib
import io
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from scheduler_sim.columnar.kept_files import files_beyond, mark_used, written_whole

logger = logging.getLogger(__name__)

FORMAT = 1
"""Of the files; part of their names, so that those of another format are made anew."""

FEWEST_FILED = 5_000
"""Fewer placements of a policy are read from the database about as soon."""

COLUMNS: Mapping[str, Any] = {
    "task_id": np.int64,
    "node": np.int32,
    "device": np.int32,
    "start_time": np.float64,
    "finish_time": np.float64,
    "wait_time": np.float64,
    "gpu_fraction": np.float64,
}
"""The columns of `SchedulerResult` under their names there, and their types."""

FIELDS = ("status", "configuration", "policies", "workload", "finished_at", "rows_written", "checksum")
"""What a run's row must hold to tell which files are its."""

_SUFFIX = ".npz"
_ROWS = "rows"


def folder() -> Path:
    """Return where the files lie."""
    return settings.VAR_DIR / "schedules"


def has_schedule_files(run: Any) -> bool:
    """Tell whether the schedules of a run are kept in files."""
    return bool(
        settings.SCHEDULE_FILES_MB
        and run.status == run.Status.FINISHED
        and run.keeps == "results"
        and run.checksum
        and run.rows_written >= FEWEST_FILED * len(run.policies)
    )


def schedule_write(run: Any, scheduler: str, columns: Mapping[str, Any]) -> None:
    """Write the file of one policy of a run that is to have one; where that cannot be, the log says why.

    Those used longest ago go where all take more than `SCHEDULE_FILES_MB`.

    Args:
        columns: at least those of `COLUMNS`, of all its placements by task ascending, shape (n,) each.
    """
    rows = len(columns["task_id"])
    if not has_schedule_files(run) or rows * len(run.policies) != run.rows_written:
        return
    held = {name: np.ascontiguousarray(columns[name], kind) for name, kind in COLUMNS.items()}
    short: dict[str, Any] = {
        name: values[:1] if _is_told_by_first(name, values) else values for name, values in held.items()
    }
    short[_ROWS] = np.array(rows)
    most = settings.SCHEDULE_FILES_MB * 1_000_000
    if sum(values.nbytes for values in short.values()) > most:
        logger.warning("A schedule is read from the database each time, for its file is larger than SCHEDULE_FILES_MB.")
        return
    try:
        written_whole(_path(run, scheduler), lambda file: np.savez(file, **short))
        for path in files_beyond(folder(), _SUFFIX, most):
            path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("A schedule is read from the database each time, for no file of it can be written: %s", error)


def schedule_read(run: Any, scheduler: str) -> dict[str, np.ndarray] | None:
    """Return the columns of one policy of a run by task ascending; None where no file holds them."""
    if not has_schedule_files(run):
        return None
    path = _path(run, scheduler)
    try:
        # At once: each look into a file lets other threads go first.
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("The schedule %s is not read: %s", path, error)
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            rows = int(archive[_ROWS])
            found = {name: _whole(name, archive[name], rows) for name in COLUMNS}
    except MemoryError as error:
        logger.warning("The schedule %s is not read: %s", path, error)
        return None
    # A damaged file says anything; whatever comes of reading it, it is not used.
    except Exception as error:  # noqa: BLE001  (whatever NumPy and zipfile raise of bytes that are none of theirs)
        logger.warning("The schedule %s is not used: %s", path, error)
        with suppress(OSError):
            path.unlink()
        return None
    mark_used(path)
    return found


def schedules_forget(run_number: int) -> None:
    """Take away the files of a run with this primary key."""
    with suppress(OSError):
        for path in folder().glob(f"{run_number}-*{_SUFFIX}"):
            path.unlink(missing_ok=True)


def schedule_files_beyond(most: float, *, runs: Iterable[Any], leaving: Iterable[Any] = ()) -> dict[Path, int]:
    """Return the files that are to go, as `files_beyond` does.

    Args:
        runs: all there are.
        leaving: those that are about to be deleted with their files.
    """
    return files_beyond(folder(), _SUFFIX, most, names=_names(runs), leaving=_names(leaving))


def _names(runs: Iterable[Any]) -> set[str]:
    return {_path(run, scheduler).stem for run in runs if has_schedule_files(run) for scheduler in run.policies}


def _path(run: Any, scheduler: str) -> Path:
    told = (FORMAT, run.workload_id, run.finished_at.isoformat(), run.rows_written, run.checksum, scheduler)
    return folder() / f"{run.pk}-{hashlib.sha256(repr(told).encode()).hexdigest()}{_SUFFIX}"


def _is_told_by_first(name: str, values: np.ndarray) -> bool:
    """Tell whether all are the same, or of the tasks' keys, whether they count up."""
    if name == "task_id":
        return bool(values[-1] - values[0] == len(values) - 1)
    return bool((values == values[0]).all())


def _whole(name: str, values: np.ndarray, rows: int) -> np.ndarray:
    if len(values) == rows:
        return values
    if len(values) != 1:
        raise ValueError(f"it holds {len(values)} of {rows} values in {name}")
    return values[0] + np.arange(rows) if name == "task_id" else np.full(rows, values[0])
