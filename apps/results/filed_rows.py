"""Reading placements and attempts that lie in files: some tasks of a policy, all of it, or all policies by task."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from django.db.models import Model

from apps.results.placement_files import PlacementFile, PlacementFileMissing, path_of, shown
from apps.tasks.managers import key_ranges
from apps.tasks.models import Task
from scheduler_sim.engine.workloads.workload import IntArray

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

Found = TypeVar("Found")

Kinds = Sequence[tuple[str, Any]]
"""Names of columns, and NumPy's type of each; missing numbers are NaN, missing words the word None."""

_DERIVED = {
    "attempt_count": ("attempts",),
    "served_time": ("service_time", "actual_time"),
    "lost_seconds": ("lost_time",),
    "ending": ("outcome",),
}
"""What `SchedulerResultQuerySet.with_history` adds, and the columns that it comes from."""


class _Replaced(PlacementFileMissing):
    """A file went while it was read, since the run goes on and others have taken its place."""


class _Opened(NamedTuple):
    """What a file says of itself: its footer, and the least and the greatest task of each row group."""

    metadata: "pq.FileMetaData"
    lows: IntArray
    highs: IntArray


class FiledRows:
    """The placements, or the attempts, of one run whose rows lie in files.

    Args:
        model: whose rows they are, with an attribute for each column.
        holds: what the files that are read hold.

    Attributes:
        run: whose they are.
    """

    def __init__(self, run: Any, model: type[Model], holds: str) -> None:
        self.run = run
        self._model = model
        self._holds = holds

    @cached_property
    def _files(self) -> dict[str, list[PlacementFile]]:
        """The files of each policy by task; policies in the database's order of names."""
        found: dict[str, list[PlacementFile]] = {}
        for one in PlacementFile.objects.of_run(self.run, self._holds):
            found.setdefault(one.scheduler, []).append(one)
        return found

    def count(self) -> int:
        """Return how many rows there are."""
        return sum(one.rows for files in self._files.values() for one in files)

    def counts(self) -> dict[str, int]:
        """Return how many rows there are of each policy that has some."""
        return {name: sum(one.rows for one in files) for name, files in self._files.items()}

    def schedulers(self) -> list[str]:
        """Return the policies that have rows."""
        return list(self._files)

    def read(self, scheduler: str, kinds: Kinds, keys: IntArray | None = None) -> Any:
        """Return columns of one policy as a structured array, by task.

        Args:
            keys: primary keys of the tasks that are wanted, ascending; None for all.
        """
        return self._with_new_names(lambda: self._read(scheduler, kinds, keys))

    def _read(self, scheduler: str, kinds: Kinds, keys: IntArray | None) -> Any:
        pieces = list(self._chosen(scheduler, [name for name, _ in kinds], keys))
        read = np.empty(sum(len(piece) for piece in pieces), list(kinds))
        first = 0
        for piece in pieces:
            for name, kind in kinds:
                read[name][first : first + len(piece)] = _numpy(piece.column(name), kind)
            first += len(piece)
        return read

    def newest_tasks(self, scheduler: str, count: int) -> IntArray:
        """Return the keys of the last `count` tasks that are stored of a policy, ascending."""
        return self._with_new_names(lambda: self._newest_tasks(scheduler, count))

    def _newest_tasks(self, scheduler: str, count: int) -> IntArray:
        keys = np.zeros(0, np.int64)
        for one in reversed(self._files.get(scheduler, [])):
            groups = list(range(len(self._opened(one).lows)))
            while groups and len(keys) < count:
                more = self._table(one, [groups.pop()], ["task_id"]).column("task_id").to_numpy()
                keys = np.concatenate([more, keys])
        return keys[len(keys) - min(count, len(keys)) :]

    def objects(self, keys: IntArray, schedulers: Sequence[str] | None = None) -> list[Any]:
        """Return the rows of some tasks, keys ascending, as objects of the model that are in no table."""
        return self._with_new_names(lambda: self._objects(keys, schedulers))

    def _objects(self, keys: IntArray, schedulers: Sequence[str] | None) -> list[Any]:
        names = [field.attname for field in self._model._meta.concrete_fields if field.attname not in ("id", "run_id")]
        return [
            self._model(run_id=self.run.pk, **row)
            for scheduler in (self.schedulers() if schedulers is None else schedulers)
            for table in self._chosen(scheduler, names, keys)
            for row in table.to_pylist()
        ]

    def _chosen(self, scheduler: str, names: list[str], keys: IntArray | None) -> Iterator["pa.Table"]:
        """Yield columns of one policy's rows, of all or of the tasks with these keys, by task."""
        for one in self._files.get(scheduler, []):
            if keys is not None and np.searchsorted(keys, one.first_task) == np.searchsorted(
                keys, one.last_task, "right"
            ):
                continue
            opened = self._opened(one)
            groups: Any = np.arange(len(opened.lows))
            if keys is not None:
                groups = np.flatnonzero(
                    np.searchsorted(keys, opened.lows) < np.searchsorted(keys, opened.highs, "right")
                )
            if not len(groups):
                continue
            table = self._table(one, groups.tolist(), list(dict.fromkeys(("task_id", *names))))
            if keys is not None:
                task = table.column("task_id").to_numpy()
                place = np.minimum(np.searchsorted(keys, task), len(keys) - 1)
                table = table.take(np.flatnonzero(keys[place] == task))
            yield table.select(names)

    def pages(
        self,
        lookups: Sequence[str],
        size: int,
        *,
        schedulers: Sequence[str] | None = None,
        first_task: int | None = None,
        last_task: int | None = None,
        backwards: bool = False,
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield rows by task, policy and number, `size` at a time, with what a query would give for these lookups.

        Args:
            lookups: columns of the model, `task__...`, and what `with_history` adds.
            schedulers: only these policies.
            first_task, last_task: only tasks with primary keys from the one and up to the other.
            backwards: the last come first.
        """

        def begun() -> tuple[list[list[tuple[Any, ...]]], Iterator[list[tuple[Any, ...]]]]:
            found = self._pages(lookups, size, schedulers, first_task, last_task, backwards=backwards)
            return list(islice(found, 1)), found

        # What was handed out already cannot be taken back.
        first, others = self._with_new_names(begun)
        yield from first
        yield from others

    def _pages(
        self,
        lookups: Sequence[str],
        size: int,
        schedulers: Sequence[str] | None,
        first_task: int | None,
        last_task: int | None,
        *,
        backwards: bool,
    ) -> Iterator[list[tuple[Any, ...]]]:
        chosen = [one for one in self._files if schedulers is None or one in schedulers]
        plain = [name for one in lookups for name in _DERIVED.get(one, (one,)) if not name.startswith("task__")]
        plain = [{"task": "task_id", "run_id": "run"}.get(name, name) for name in plain]
        names = list(dict.fromkeys(("scheduler", "task_id", *(one for one in plain if one not in ("id", "run")))))
        held: list[tuple[Any, ...]] = []
        for table in self._blocks(chosen, names, first_task, last_task, backwards=backwards):
            first = 0
            while first < len(table):
                # No more is made into Python's values than is asked for.
                some = table.slice(first, size - len(held))
                held += zip(*(self._values(some, lookup) for lookup in lookups), strict=True)
                first += len(some)
                if len(held) == size:
                    yield held
                    held = []
        if held:
            yield held

    def _values(self, table: "pa.Table", lookup: str) -> list[Any]:
        """Return one column of some rows as Python's values."""
        import pyarrow.compute as pc

        if lookup in ("run", "run_id", "id"):
            return [None if lookup == "id" else self.run.pk] * len(table)
        if lookup.startswith("task__"):
            return self._of_tasks(table, lookup.removeprefix("task__"))
        of = [table.column(name) for name in _DERIVED.get(lookup, ("task_id" if lookup == "task" else lookup,))]
        match lookup:
            case "attempt_count":
                of.append(1)
            case "lost_seconds":
                of.append(0.0)
            case "ending":
                of.append("" if self.run.configuration.get("kill_at_estimate") else "completed")
        values: list[Any] = (pc.coalesce(*of) if len(of) > 1 else of[0]).to_pylist()
        return values

    def _of_tasks(self, table: "pa.Table", name: str) -> list[Any]:
        keys = table.column("task_id").to_numpy()
        told: dict[int, Any] = {}
        for condition, _ in key_ranges("pk", np.unique(keys)):
            # Without their workload, by whose index SQLite would read all of its tasks.
            rows = Task.objects.filter(**condition).order_by()
            told.update(rows.values_list("pk", name).iterator(chunk_size=20_000))
        return [told.get(key) for key in keys.tolist()]

    def _blocks(
        self,
        schedulers: Sequence[str],
        names: list[str],
        first_task: int | None = None,
        last_task: int | None = None,
        *,
        backwards: bool = False,
    ) -> Iterator["pa.Table"]:
        """Yield rows of policies by task, policy and number: those of a row group of each at a time."""
        import pyarrow as pa

        numbered = "number" in {field.name for field in self._model._meta.concrete_fields}
        wanted = [*names, "number"] if numbered and "number" not in names else names
        kept: dict[str, tuple[tuple[str, int], pa.Table]] = {}
        for since, until in self._spans(schedulers, first_task, last_task, backwards=backwards):
            pieces, place = [], []
            for number, scheduler in enumerate(schedulers):
                for piece in self._between(scheduler, wanted, since, until, kept):
                    pieces.append(piece)
                    place.append(np.full(len(piece), number))
            if not pieces:
                continue
            whole = pa.concat_tables(pieces)
            by = [np.concatenate(place), whole.column("task_id").to_numpy()]
            if numbered:
                by.insert(0, whole.column("number").to_numpy())
            order = np.lexsort(by)
            yield whole.take(order[::-1] if backwards else order).select(names)

    def _spans(
        self, schedulers: Sequence[str], first_task: int | None, last_task: int | None, *, backwards: bool
    ) -> Iterator[tuple[int, int]]:
        """Yield the least and the greatest key of stretches of tasks in which at most about a row group a policy lies.

        A file is opened when its stretch is reached.
        """
        files = [one for name in schedulers for one in self._files.get(name, [])]

        def within(starts: list[int], end: int) -> list[tuple[int, int]]:
            spans = list(pairwise([*sorted(set(starts)), end]))
            return spans[::-1] if backwards else spans

        for low, high in within([one.first_task for one in files], 2**63 - 1):
            since = low if first_task is None else max(low, first_task)
            until = high - 1 if last_task is None else min(high - 1, last_task)
            if since > until:
                continue
            meet = [self._opened(one) for one in files if one.first_task <= until and one.last_task >= since]
            lows = np.concatenate([np.zeros(0, np.int64), *(one.lows for one in meet)])
            inner = lows[(lows > since) & (lows <= until)].tolist()
            yield from ((first, end - 1) for first, end in within([since, *inner], until + 1))

    def _between(
        self, scheduler: str, names: list[str], since: int, until: int, kept: dict[str, Any]
    ) -> Iterator["pa.Table"]:
        """Yield the rows of one policy's tasks from the one to the other; the row group read last is kept at hand."""
        for one in self._files.get(scheduler, []):
            if one.last_task < since or one.first_task > until:
                continue
            opened = self._opened(one)
            for group in np.flatnonzero((opened.highs >= since) & (opened.lows <= until)).tolist():
                if scheduler not in kept or kept[scheduler][0] != (one.sha256, group):
                    kept[scheduler] = (one.sha256, group), self._table(one, [group], names)
                table = kept[scheduler][1]
                task = table.column("task_id").to_numpy()
                first, end = np.searchsorted(task, since), np.searchsorted(task, until, side="right")
                if end > first:
                    yield table.slice(first, end - first)

    def _with_new_names(self, read: Callable[[], Found]) -> Found:
        """Return what is read; where files were replaced at that moment, read once more from those that came."""
        try:
            return read()
        except _Replaced:
            del self.__dict__["_files"]
            return read()

    def _opened(self, one: PlacementFile) -> _Opened:
        try:
            return _open(str(path_of(self.run, one)), one.size)
        except (OSError, ValueError) as error:
            raise self._missing(one, error) from error

    def _table(self, one: PlacementFile, groups: list[int], names: list[str]) -> "pa.Table":
        """Return columns of some row groups of a file; what is read is compared with its check sums."""
        import pyarrow.parquet as pq

        opened = self._opened(one)
        path = path_of(self.run, one)
        try:
            if path.stat().st_size != one.size:
                raise ValueError("it has another size")
            with pq.ParquetFile(
                path, metadata=opened.metadata, page_checksum_verification=True, pre_buffer=False
            ) as file:
                return file.read_row_groups(groups, columns=names, use_threads=False)
        # Arrow's own errors are of these two kinds.
        except (OSError, ValueError) as error:
            raise self._missing(one, error) from error

    def _missing(self, one: PlacementFile, error: OSError | ValueError) -> PlacementFileMissing:
        """Return why a file cannot be read: it is gone for good or only for now, or nobody should read it any more."""
        what = f"The file {shown(path_of(self.run, one))} with {one.holds} of run {self.run.name}"
        if not one.is_named:
            if not type(self.run)._default_manager.filter(pk=self.run.pk).exists():
                return PlacementFileMissing(f"Run {self.run.name} was deleted while its placements were read.")
            return _Replaced(f"{what} was replaced while it was read; ask again.")
        number = error.errno if isinstance(error, OSError) else None
        if number is not None and number != errno.ENOENT:
            return PlacementFileMissing(f"{what} cannot be read: {os.strerror(number)}.")
        how = "is not what was written" if number is None else "is not there"
        return PlacementFileMissing(f"{what} {how}; put it back from a backup, or play the run again.")


@lru_cache(maxsize=256)
def _open(path: str, size: int) -> _Opened:
    """Read a file's footer, which never changes under that name.

    Raises:
        OSError, ValueError: it cannot be read, has another size or is no such file.
    """
    import pyarrow.parquet as pq

    with open(path, "rb") as file:  # noqa: PTH123 a key of the cache
        if file.seek(0, 2) != size:
            raise ValueError("it has another size")
    metadata = pq.read_metadata(path)
    place = metadata.schema.names.index("task_id")
    told = [metadata.row_group(group).column(place).statistics for group in range(metadata.num_row_groups)]
    return _Opened(
        metadata, np.array([one.min for one in told], np.int64), np.array([one.max for one in told], np.int64)
    )


def _numpy(column: "pa.ChunkedArray", kind: Any) -> Any:
    """Return a column as an array that NumPy can put into one of this type."""
    if np.dtype(kind).kind != "U":
        return column.to_numpy()
    if column.null_count == len(column):
        return np.full(len(column), "None")
    return column.fill_null("None").to_numpy()
