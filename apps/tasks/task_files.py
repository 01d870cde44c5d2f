"""Tasks of a workload as Arrow files below `VAR_DIR/tasks`, each named by the SHA-256 of what it must hold.

The database stays the truth: a workload's row names its file (`Workload.tasks_file`), and any change of its tasks gives
the row another name. A file that does not hold what its name says, because it is damaged, cut off or another's, is
never used. Files are written under a passing name and renamed, so that processes which make the same one at once do
each other no harm, and files taken away while they are read stay readable.
"""

import hashlib
import json
import logging
import mmap
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from django.conf import settings

from scheduler_sim import engine
from scheduler_sim.columnar.kept_files import files_beyond, mark_used, written_whole
from scheduler_sim.engine.workloads.columns import IntArray
from scheduler_sim.engine.workloads.requests import NAMES, Requests
from scheduler_sim.engine.workloads.throughputs import Throughputs
from scheduler_sim.engine.workloads.workload import Labels, Parents

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

FORMAT = 1
"""Of the files; part of what is hashed, so that those of another format are made anew."""

_SUFFIX = ".arrow"
_HEADER = b"scheduler_sim.tasks"
_BESIDE = frozenset(("external_id", "parents", "requests", "throughputs"))
_PLAIN = tuple(field.name for field in fields(engine.Workload) if field.name not in _BESIDE)


@dataclass(frozen=True)
class FiledTasks:
    """What a file holds.

    Attributes:
        keys: shape (n,), the tasks' primary keys. digest: `digests.tasks_digest` of the tasks.
    """

    workload: engine.Workload
    keys: IntArray
    digest: str


def folder() -> Path:
    """Return where the files lie."""
    return settings.VAR_DIR / "tasks"


def task_file_write(tasks: FiledTasks) -> str | None:
    """Write a file unless there is one already, and return its name; None where it cannot be written.

    The log says why not. Files used longest ago go where all take more than `TASK_FILES_MB`.
    """
    header, pieces = _taken_apart(tasks)
    text = json.dumps(header, sort_keys=True)
    name = _digest(text, pieces)
    most = settings.TASK_FILES_MB * 1_000_000
    if sum(values.nbytes for values in pieces.values()) > most:
        logger.warning("Tasks are read from the database each time, for a file of them is larger than TASK_FILES_MB.")
        return None
    try:
        if not _path(name).exists():
            _write(name, text, pieces)
        for path in task_files_beyond(most):
            path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("Tasks are read from the database each time, for no file of them can be written: %s", error)
        return None
    return name


def task_file_read(name: str) -> FiledTasks | None:
    """Return what the file of that name holds; None where there is none or it holds something else.

    Arrays lie in the file as it is mapped into memory, one copy for all processes that read it; what a process writes
    to them is its own.
    """
    path = _path(name)
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except FileNotFoundError:
        return None
    except OSError as error:
        _leave(path, error)
        return None
    except ValueError as error:
        # Nothing can be mapped of an empty file.
        _refuse(path, error)
        return None
    try:
        text, pieces = _read(mapped)
        if _digest(text, pieces) != name:
            raise ValueError("it does not hold what its name says")
        found = _put_together(json.loads(text), pieces)
    except MemoryError as error:
        _leave(path, error)
        return None
    # A damaged file says anything; whatever comes of reading it, it is not used.
    except Exception as error:  # noqa: BLE001  (whatever Arrow raises of bytes that are none of its own)
        _refuse(path, error)
        return None
    mark_used(path)
    return found


def _leave(path: Path, error: Exception) -> None:
    logger.warning("The file of tasks %s is not read: %s", path, error)


def _refuse(path: Path, error: Exception) -> None:
    logger.warning("The file of tasks %s is not used: %s", path, error)
    with suppress(OSError):
        path.unlink()


def task_file_forget(name: str) -> None:
    """Take away the file of that name, if there is one."""
    with suppress(OSError):
        _path(name).unlink()


def task_files_beyond(most: float, *, names: set[str] | None = None) -> dict[Path, int]:
    """Return the files that are to go, as `files_beyond` does; `names` are those of the files of all workloads."""
    return files_beyond(folder(), _SUFFIX, most, names=names)


def _path(name: str) -> Path:
    return folder() / f"{name}{_SUFFIX}"


def _taken_apart(tasks: FiledTasks) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what describes the tasks, and arrays by name; columns of one value or counting up are only described."""
    workload = tasks.workload
    header: dict[str, Any] = {"format": FORMAT, "rows": len(workload), "digest": tasks.digest}
    columns: dict[str, Any] = {"key": tasks.keys} | {name: getattr(workload, name) for name in _PLAIN}
    if workload.requests is not None:
        columns |= {f"requests.{name}": column for name, column in workload.requests.columns().items()}
    described: dict[str, dict[str, Any]] = {}
    pieces: dict[str, np.ndarray] = {}
    for name, column in columns.items():
        values = column.codes if isinstance(column, Labels) else column
        about = described[name] = _described(values)
        if isinstance(column, Labels):
            about["names"] = column.names
        if "bits" not in about and "first" not in about:
            pieces[name] = values
    texts = workload.external_id.tolist()
    if any(texts):
        encoded = [text.encode() for text in texts]
        ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        pieces |= {"external_id.offsets": ends, "external_id.bytes": np.frombuffer(b"".join(encoded), np.uint8)}
    if workload.parents.count:
        pieces |= {"parents.offsets": workload.parents.offsets, "parents.rows": workload.parents.rows}
    if workload.parents.mb is not None:
        pieces["parents.mb"] = workload.parents.mb
    header["columns"] = described
    header["throughputs"] = None if workload.throughputs is None else workload.throughputs.as_json()
    return header, pieces


def _described(values: np.ndarray) -> dict[str, Any]:
    bits = values.view(f"i{values.itemsize}")
    about: dict[str, Any] = {"type": values.dtype.str}
    if (bits == bits[0]).all():
        return about | {"bits": int(bits[0])}
    if values.dtype == np.int64 and (np.diff(values) == 1).all():
        return about | {"first": int(values[0])}
    return about


def _put_together(header: Mapping[str, Any], pieces: Mapping[str, np.ndarray]) -> FiledTasks:
    rows: int = header["rows"]
    columns: dict[str, Any] = {}
    for name, about in header["columns"].items():
        columns[name] = values = _restored(about, pieces.get(name), rows)
        if "names" in about:
            columns[name] = Labels(values, tuple(about["names"]))
    requests: dict[str, Any] = {name: columns[f"requests.{name}"] for name in NAMES if f"requests.{name}" in columns}
    parents, stated = Parents.none(rows), header["throughputs"]
    if "parents.rows" in pieces:
        parents = Parents(pieces["parents.offsets"], pieces["parents.rows"], pieces.get("parents.mb"))
    workload = engine.Workload(
        **{name: columns[name] for name in _PLAIN},
        external_id=_texts(pieces, rows),
        parents=parents,
        requests=Requests.blank(rows, **requests) if requests else None,
        throughputs=None if stated is None else Throughputs.from_json(stated),
    )
    return FiledTasks(workload, columns["key"], header["digest"])


def _restored(about: Mapping[str, Any], values: np.ndarray | None, rows: int) -> np.ndarray:
    kind = np.dtype(about["type"])
    if values is not None:
        return values.view(kind)
    if "first" in about:
        return np.arange(about["first"], about["first"] + rows, dtype=np.int64)
    # Pages of zeros take no memory until they are read.
    return np.full(rows, about["bits"], f"i{kind.itemsize}").view(kind) if about["bits"] else np.zeros(rows, kind)


def _texts(pieces: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
    if "external_id.bytes" not in pieces:
        return np.full(rows, "", object)
    texts: np.ndarray = _strings(pieces).to_numpy(zero_copy_only=False)
    return texts


def _strings(pieces: Mapping[str, np.ndarray]) -> "pa.LargeStringArray":
    import pyarrow as pa

    offsets, data = (pieces[f"external_id.{part}"] for part in ("offsets", "bytes"))
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def _digest(header: str, pieces: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(f"{header}\0".encode())
    for name in sorted(pieces):
        values = np.ascontiguousarray(pieces[name])
        digest.update(f"{name} {values.nbytes}\0".encode())
        digest.update(values.view(np.uint8).data)
    return digest.hexdigest()


def _write(name: str, header: str, pieces: Mapping[str, np.ndarray]) -> None:
    import pyarrow as pa

    columns: dict[str, Any] = {
        piece: pa.array(values.view(np.uint8) if values.dtype == bool else values)
        for piece, values in pieces.items()
        if not piece.startswith(("external_id.", "parents."))
    }
    if "external_id.bytes" in pieces:
        columns["external_id"] = _strings(pieces)
    for part in ("rows", "mb"):
        if f"parents.{part}" in pieces:
            both = (pa.array(pieces[f"parents.{name}"]) for name in ("offsets", part))
            columns[f"parents.{part}"] = pa.LargeListArray.from_arrays(*both)
    table = pa.record_batch(columns)

    def write(file: BinaryIO) -> None:
        with pa.ipc.new_file(file, table.schema.with_metadata({_HEADER: header})) as writer:
            writer.write_batch(table)

    written_whole(_path(name), write)


def _read(mapped: mmap.mmap) -> tuple[str, dict[str, np.ndarray]]:
    """Return the header of a mapped file and the arrays that lie in it."""
    import pyarrow as pa

    whole = pa.py_buffer(mapped)
    reader = pa.ipc.open_file(whole)
    batch = reader.get_batch(0)
    header = reader.schema.metadata[_HEADER].decode()

    def array(buffer: Any, kind: Any, count: int) -> np.ndarray:
        return np.frombuffer(mapped, kind, count, buffer.address - whole.address)

    pieces: dict[str, np.ndarray] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        buffers, rows = column.buffers(), len(column)
        if name.startswith("parents."):
            pieces["parents.offsets"] = array(buffers[1], np.int64, rows + 1)
            pieces[name] = array(buffers[3], column.type.value_type.to_pandas_dtype(), len(column.values))
        elif name == "external_id":
            ends = pieces["external_id.offsets"] = array(buffers[1], np.int64, rows + 1)
            pieces["external_id.bytes"] = array(buffers[2], np.uint8, int(ends[-1]))
        else:
            pieces[name] = array(buffers[1], column.type.to_pandas_dtype(), rows)
    return header, pieces
