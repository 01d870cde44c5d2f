"""Placements and attempts of runs with `keep: parquet`: Parquet files, each named by the SHA-256 of its bytes.

A file holds the rows of one policy for tasks whose primary keys lie next to each other, in the order of these keys; no
two files of a policy overlap. The database names the files and says how many rows each has, so that a file which it
does not name was never there for anybody. Files are written under a passing name, forced to the disk and renamed, and
never changed. Row groups are small and keep the least and the greatest key of their tasks, so that some tasks are read
without the others.
"""

import errno
import hashlib
import io
import logging
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings
from django.db import models

from apps.results.errors import DomainError
from apps.results.of_policy import OfPolicy
from scheduler_sim.constraints import unique
from scheduler_sim.web.missing import Missing

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

GROUP_ROWS = 16_384
"""Rows of a row group: what is decoded where one task is asked for."""

PLACEMENTS, ATTEMPTS = "placements", "attempts"

_FLOATS = ("gpu_fraction", "start_time", "finish_time", "actual_time", "wait_time", "energy_joules", "cost_usd")
_COLUMNS: Mapping[str, tuple[tuple[str, str], ...]] = {
    PLACEMENTS: (
        ("scheduler", "string"),
        ("task_id", "int64"),
        ("node", "int32"),
        ("device", "int32"),
        *((name, "float64") for name in _FLOATS),
        ("model_version", "int32"),
        ("attempts", "int32"),
        ("service_time", "float64"),
        ("lost_time", "float64"),
        ("outcome", "string"),
    ),
    ATTEMPTS: (
        ("scheduler", "string"),
        ("task_id", "int64"),
        ("number", "int32"),
        ("start_time", "float64"),
        ("end_time", "float64"),
        ("node", "int32"),
        ("device", "int32"),
        ("cpus", "float64"),
        ("gpus", "float64"),
        ("reason", "string"),
    ),
}
"""The columns of `SchedulerResult` and `Attempt` under their names there, and their types as Arrow calls them."""

_FEW_VALUES = frozenset(("scheduler", "gpu_fraction", "outcome", "reason", "cpus", "gpus"))
"""Columns of numbers and texts that repeat, kept as a list of values and which one each row has."""


class PlacementFileMissing(DomainError, Missing):
    """A file of placements is not there, or not what was written; the sentence says which and what to do."""


class PlacementFileQuerySet(models.QuerySet[Any]):
    """Files."""

    def of_run(self, run: Any, holds: str) -> "PlacementFileQuerySet":
        """Those of one run that hold placements, or attempts, by policy and task."""
        return self.filter(run=run, holds=holds).order_by("scheduler", "first_task")


class PlacementFile(OfPolicy):
    """A file of placements, or attempts, of one policy of a run with `keep: parquet`."""

    run = models.ForeignKey("results.Run", on_delete=models.CASCADE, related_name="placement_files", db_index=False)
    holds = models.CharField(max_length=10, help_text="placements or attempts.")
    first_task = models.BigIntegerField(help_text="Primary key of its first task.")
    last_task = models.BigIntegerField(help_text="Primary key of its last task.")
    rows = models.BigIntegerField()
    size = models.BigIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64, help_text="Of its bytes; it is called so.")
    # What a run that is paused or stopped has finished behind a task that goes on.
    has_gaps = models.BooleanField(default=False, help_text="Tasks between its first and its last are not finished.")

    objects = PlacementFileQuerySet.as_manager()

    class Meta(OfPolicy.Meta):
        constraints = [unique("run", "holds", "scheduler", "first_task", called="unique_task")]

    def __str__(self) -> str:
        return f"{self.holds} of {self.scheduler} from task {self.first_task}"

    @property
    def name(self) -> str:
        """What the file is called; those of placements alone are `placements-*.parquet`."""
        return f"{self.holds}-{self.sha256}.parquet"

    @property
    def is_named(self) -> bool:
        """Whether a row names the file now; another may have taken its place since this one was read."""
        named = {name: getattr(self, name) for name in ("run_id", "holds", "scheduler", "sha256")}
        return PlacementFile.objects.filter(**named).exists()


def root() -> Path:
    """Return the folder of all runs' files."""
    return settings.PLACEMENTS_DIR or settings.VAR_DIR / "placements"


def folder_name(run: Any) -> str:
    """Return what a run's folder is called; when the run was made, for another database may number runs alike."""
    return f"run-{run.pk}-{int(run.created_at.timestamp() * 1_000_000)}"


def is_away(run: Any) -> bool:
    """Tell whether a run's folder is not there where `PLACEMENTS_DIR` should have it, as where that is not mounted."""
    return bool(settings.PLACEMENTS_DIR) and not (root() / folder_name(run)).is_dir()


def path_of(run: Any, file: PlacementFile) -> Path:
    """Return where a run's file lies."""
    return root() / folder_name(run) / file.name


def shown(path: Path) -> str:
    """Return a file's place among those of all runs, as people are told of it."""
    return f"placements/{path.relative_to(root())}"


def file_write(
    run: Any, scheduler: str, holds: str, columns: Mapping[str, Any], *, has_gaps: bool = False
) -> PlacementFile:
    """Write rows of one policy to a file, and return the row that names it, which is not stored yet.

    Args:
        columns: arrays, or one value for all rows, with the tasks' primary keys ascending in `task_id`.

    Raises:
        OSError: there is no room, or nothing may be written there.
    """
    content = _encoded(scheduler, holds, columns)
    keys = columns["task_id"]
    written = PlacementFile(
        run=run,
        scheduler=scheduler,
        holds=holds,
        first_task=int(keys[0]),
        last_task=int(keys[-1]),
        rows=len(keys),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        has_gaps=has_gaps,
    )
    path = path_of(run, written)
    # A folder that the settings name is somebody's to make: on a machine that has not mounted it, it is not there.
    path.parent.mkdir(parents=not settings.PLACEMENTS_DIR, exist_ok=True)
    passing = path.parent / f"{secrets.token_hex(8)}.part"
    try:
        with passing.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        passing.replace(path)
        _to_disk(path.parent)
    finally:
        passing.unlink(missing_ok=True)
    return written


def _to_disk(folder: Path) -> None:
    """Force names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encoded(scheduler: str, holds: str, columns: Mapping[str, Any]) -> memoryview:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = len(columns["task_id"])
    kinds = _COLUMNS[holds]
    table = pa.table(
        [_column(name, kind, columns, rows, scheduler) for name, kind in kinds], [name for name, _ in kinds]
    )
    # Of times and energies the bytes of one place are alike from row to row, and keys count up.
    spread = {name: "BYTE_STREAM_SPLIT" for name, kind in kinds if kind == "float64" and name not in _FEW_VALUES}
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        row_group_size=GROUP_ROWS,
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name, kind in kinds if kind == "int32" or name in _FEW_VALUES],
        column_encoding={**spread, "task_id": "DELTA_BINARY_PACKED"},
        write_statistics=["task_id"],
        write_page_checksum=True,
    )
    return sink.getbuffer()


def _column(name: str, kind: str, columns: Mapping[str, Any], rows: int, scheduler: str) -> "pa.Array":
    import pyarrow as pa

    value = scheduler if name == "scheduler" else columns.get(name)
    if value is None:
        return pa.nulls(rows, kind)
    if np.ndim(value) == 0:
        return pa.repeat(pa.scalar(value, kind), rows)
    return pa.array(np.asarray(value), kind, from_pandas=False)


def files_sweep(run: Any) -> None:
    """Remove what lies in a run's folder and is named by no row: left by a process that was killed, or replaced.

    What cannot be removed is in nobody's way: the log says so, and the next sweep tries again.
    """
    named = {one.name for one in PlacementFile.objects.filter(run=run)}
    folder = root() / folder_name(run)
    try:
        with suppress(FileNotFoundError):
            for path in folder.iterdir():
                if path.name not in named:
                    path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("What is left over in %s cannot be removed: %s.", folder, os.strerror(error.errno or 0))


def folder_remove(name: str) -> bool:
    """Remove the folder of a run that is gone, and return whether it is away; where not, the log says why."""
    folder = root() / name
    if settings.PLACEMENTS_DIR and not root().is_dir():
        logger.warning("The folder %s is not removed: %s is not there.", folder, root())
        return False
    faults: list[BaseException] = []
    # Another process may remove the same.
    shutil.rmtree(folder, onerror=lambda _function, _path, told: faults.append(told[1]))
    try:
        folder.lstat()
    except FileNotFoundError:
        return True
    except OSError as error:
        faults.append(error)
    numbers = [one.errno for one in faults if isinstance(one, OSError) and one.errno != errno.ENOENT]
    why = os.strerror((numbers or [None])[0] or errno.ENOTEMPTY)
    logger.warning("The folder %s cannot be removed: %s.", folder, why)
    return False


def file_faults(run: Any) -> Iterator[str]:
    """Yield a sentence for each file of a run that is missing or is not what was written; each is read as a whole.

    Of a run that goes on or is deleted meanwhile, what no row names any more is no fault: call it outside snapshots.
    """
    for one in PlacementFile.objects.filter(run=run).order_by("scheduler", "holds", "first_task"):
        path = path_of(run, one)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            if not one.is_named:
                continue
            why = os.strerror(error.errno or 0)
            yield f"The file {shown(path)} with {one.holds} of {one.scheduler} cannot be read: {why}."
            continue
        if found != one.sha256:
            yield f"The file {shown(path)} with {one.holds} of {one.scheduler} is not what was written."


def are_there(files: Iterable[PlacementFile]) -> bool:
    """Tell whether all of these files are there and as large as they were."""
    for one in files:
        try:
            if path_of(one.run, one).stat().st_size != one.size:
                return False
        except OSError:
            return False
    return True
