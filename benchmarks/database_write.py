"""How fast placements are written, on the database of DATABASE_URL, beside csv files and the old system's ways.

    DATABASE_URL=postgres://... python -m benchmarks.database_write [--rows 1000000]

Everything is measured in one run on the same rows, with all keys, constraints and indexes in place; each way is taken
`--repeat` times and the quickest counts, because other programs only ever slow it down. The slow ways take fewer rows.
The rows are made before, as the data frame is, so that what is timed is the writing alone.
It works in a run of its own and removes it.
"""

import argparse
import csv
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")
django.setup()

import pandas as pd  # noqa: E402 Django's apps come first
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from apps.live.models import SimulationState  # noqa: E402
from apps.live.store.batches import ResultBatch  # noqa: E402
from apps.live.store.writer import ResultWriter  # noqa: E402
from apps.results.models import Run, SchedulerResult  # noqa: E402
from apps.results.services import deletions_finish, run_delete  # noqa: E402
from apps.tasks.models import Workload  # noqa: E402
from benchmarks.placements import made_up_placements  # noqa: E402
from scheduler_sim.columnar import postgres  # noqa: E402
from scheduler_sim.columnar.insert import insert_blocks  # noqa: E402
from scheduler_sim.columnar.objects import insert_objects  # noqa: E402
from scheduler_sim.columnar.prepare import prepare  # noqa: E402

POLICIES = ("fcfs", "fcfs+easy", "sjf", "sjf+easy", "wfp3", "wfp3+easy", "f1", "f1+easy")
BATCH_ROWS = 5_000
"""As the runner hands them over."""

Columns = dict[str, Any]
Batch = dict[str, Columns]


def batches(rows: int) -> Iterator[Batch]:
    """Give the rows as a run produces them: a little of every policy at a time."""
    each = BATCH_ROWS // len(POLICIES)
    tasks = rows // len(POLICIES)
    for first in range(0, tasks, each):
        last = min(first + each, tasks)
        yield {policy: made_up_placements(first, last, seed) for seed, policy in enumerate(POLICIES)}


def frame(made: list[Batch]) -> pd.DataFrame:
    """Return the same rows as a data frame."""
    parts = [
        pd.DataFrame({"run_id": 1, "scheduler": policy, **part}) for batch in made for policy, part in batch.items()
    ]
    return pd.concat(parts, ignore_index=True)


class Peak:
    """The largest memory of the process beyond what it had, sampled while a block runs."""

    def __enter__(self) -> "Peak":
        self._before = self._now()
        self.megabytes = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.megabytes = max(self.megabytes, (self._now() - self._before) / 2**20)

    @staticmethod
    def _now() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def empty() -> None:
    """Remove the placements, and bring the table to the state of a fresh one."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("TRUNCATE results_schedulerresult")
            return
    SchedulerResult.objects.all()._raw_delete("default")


def through_writer(run: Run, made: list[Batch]) -> None:
    """Write as a run does: the bounded threads, progress and counts committed with the rows."""
    SimulationState.objects.filter(run=run).update(progress={})
    progress = dict.fromkeys(POLICIES, 0)
    with ResultWriter(run=run) as writer:
        for batch in made:
            for policy, part in batch.items():
                progress[policy] += len(part["task_id"])
            writer.put(ResultBatch(parts=batch, progress=dict(progress), clock_time=0.0))


def columns_at_once(run: Run, made: list[Batch]) -> None:
    """Write in transactions of 20,000 rows without the thread and the progress."""
    held: list[Columns] = []
    for batch in made:
        held += [{"run_id": run.pk, "scheduler": policy, **part} for policy, part in batch.items()]
        if len(held) >= 4 * len(POLICIES):
            insert_blocks(SchedulerResult, held, near="task_id")
            held = []
    insert_blocks(SchedulerResult, held, near="task_id")


def by_bulk_create(run: Run, made: list[Batch]) -> None:
    """Write through model objects."""
    for batch in made:
        for policy, part in batch.items():
            insert_objects(SchedulerResult, {"run_id": run.pk, "scheduler": policy, **part})


def one_at_a_time(run: Run, made: list[Batch]) -> None:
    """Write as the old system's database path did: an object, a transaction and a re-reading a row."""
    for batch in made:
        for policy, part in batch.items():
            names = [name for name in part if name != "model_version"]
            for values in zip(*(part[name].tolist() for name in names), strict=True):
                with transaction.atomic():
                    result = SchedulerResult(run_id=run.pk, scheduler=policy, **dict(zip(names, values, strict=True)))
                    result.save(force_insert=True)
                result.refresh_from_db()


def csv_append(data: pd.DataFrame, path: Path) -> None:
    """Write as the old system's csv path did: the file is opened for each row, which is a data frame of its own."""
    records = data.to_dict("records")
    for record in records:
        pd.DataFrame([record]).to_csv(path, mode="a", header=not path.exists(), index=False)


def csv_writer(data: pd.DataFrame, path: Path) -> None:
    """Write with Python's own csv module."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(data.itertuples(index=False))


def physical_limit(made: list[Batch]) -> float:
    """COPY into an unlogged table without keys, constraints or indexes; return the seconds without making the rows."""
    table = "benchmark_heap"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {table}")
        cursor.execute(f"CREATE UNLOGGED TABLE {table} AS SELECT * FROM results_schedulerresult WITH NO DATA")
        cursor.execute(f"ALTER TABLE {table} DROP COLUMN id")
    options = SchedulerResult._meta
    name, options.db_table = options.db_table, table
    try:
        blocks = [
            prepare(SchedulerResult, {"run_id": 1, "scheduler": policy, **part})
            for batch in made
            for policy, part in batch.items()
        ]
        began = time.perf_counter()
        postgres.copy_blocks(connection, SchedulerResult, blocks, chunk_rows=16_384)
        return time.perf_counter() - began
    finally:
        options.db_table = name
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {table}")


def measure(
    name: str, rows: int, action: Callable[[], float | None], *, before: Callable[[], None], repeat: int
) -> float:
    """Print a row of the table and return rows a second; an action may say itself how many seconds it took."""
    best, memory = float("inf"), 0.0
    for _ in range(repeat):
        before()
        with Peak() as peak:
            began = time.perf_counter()
            seconds = action()
            best = min(best, time.perf_counter() - began if seconds is None else seconds)
        memory = max(memory, peak.megabytes)
    print(f"{name:58} {rows:>10,} {rows / best:>12,.0f} {memory:>9.0f} MB", flush=True)
    return rows / best


def main() -> None:
    """Measure every way and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    rows = arguments.rows - arguments.rows % (len(POLICIES) * (BATCH_ROWS // len(POLICIES)))
    call_command("migrate", verbosity=0)
    if SchedulerResult.objects.exists():
        raise SystemExit("This benchmark empties the table of results: give it a database of its own.")
    workload = Workload.objects.create(name=f"benchmark {time.time()}", source="benchmark")
    run = Run.objects.create(name=workload.name, workload=workload, cluster={}, policies=list(POLICIES))
    SimulationState.objects.create(run=run)
    run.begin()
    few, part = max(rows // 500, 1000), rows // 20
    made, fewest, fewer = (list(batches(count)) for count in (rows, few, part))
    print(f"{connection.vendor}, load {os.getloadavg()[0]:.1f}")
    print(f"{'way':58} {'rows':>10} {'rows/s':>12} {'memory':>12}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        remove = lambda: path.unlink(missing_ok=True)  # noqa: E731
        data = frame(made)
        csv_speed = measure(
            "pandas.to_csv", rows, lambda: data.to_csv(path, index=False), before=remove, repeat=arguments.repeat
        )
        measure("csv.writer", rows, lambda: csv_writer(data, path), before=remove, repeat=1)
        small = data.head(few)
        append = measure(
            "old system: one csv row at a time", few, lambda: csv_append(small, path), before=remove, repeat=1
        )
    single = measure(
        "old system: one database row at a time", few, lambda: one_at_a_time(run, fewest), before=empty, repeat=1
    )
    measure("bulk_create", part, lambda: by_bulk_create(run, fewer), before=empty, repeat=1)
    measure(
        "columns, 20,000 rows a transaction",
        rows,
        lambda: columns_at_once(run, made),
        before=empty,
        repeat=arguments.repeat,
    )
    speed = measure(
        "the run's writer: threads, progress, counts",
        rows,
        lambda: through_writer(run, made),
        before=empty,
        repeat=arguments.repeat,
    )
    if connection.vendor == "postgresql":
        measure(
            "limit: COPY into an unlogged table without indexes",
            rows,
            lambda: physical_limit(made),
            before=empty,
            repeat=1,
        )
    assert SchedulerResult.objects.count() in (0, rows)
    print(f"writer / pandas.to_csv: {speed / csv_speed:.1f}")
    print(f"writer / old csv append: {speed / append:,.0f}")
    print(f"writer / old database path: {speed / single:,.0f} (of the 348 rows/s it reached: {speed / 348:,.0f})")
    run.stop()
    run_delete(run=run)
    deletions_finish()
    empty()
    workload.delete()


if __name__ == "__main__":
    main()
