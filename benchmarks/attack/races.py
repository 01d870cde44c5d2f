"""Exports a run in one process while another deletes it; a program of its own, for it starts forks.

Prints one JSON document. Arguments: a folder, how many races, seed.
"""

import io
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import django

TASKS = 15_000


def main(folder: Path, races: int, seed: int) -> None:
    """Make a run, export and delete it, and begin anew."""
    django.setup()
    from django.core.management import CommandError, call_command
    from django.db import connections
    from pyarrow import parquet

    from apps.live.store.batches import ResultBatch, batch_store
    from apps.results.models import Run
    from tests.results.rows import POLICIES, make_queued_run, make_workload, placements

    chance = random.Random(seed)
    workload = make_workload(TASKS, "raced")
    columns = placements(workload)

    def made(number: int) -> Run:
        run = make_queued_run(workload, f"raced {number}")
        run.begin()
        progress = dict.fromkeys(POLICIES, TASKS)
        parts = dict.fromkeys(POLICIES, columns)
        batch_store(run=run, batch=ResultBatch(parts=parts, progress=progress, clock_time=float(TASKS)))
        run.finish(rows_written=TASKS * len(POLICIES), checksum="")
        return run

    def forked(action: Callable[[], str], said: Path) -> int:
        connections.close_all()
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            said.write_text(action())
            code = 0
        except CommandError as error:
            said.write_text(str(error))
        except BaseException as error:  # noqa: BLE001 a fork must never return into its parent's code
            said.write_text(f"{type(error).__name__} {error}")
            code = 2
        os._exit(code)

    def export(run: Run, file: Path, kind: str, format_name: str) -> str:
        call_command("exportdata", kind, run=str(run.pk), format=format_name, output=str(file), stderr=io.StringIO())
        return "whole"

    def delete(after: float) -> str:
        time.sleep(after)
        call_command("prune", older_than=0.0, yes=True, stdout=io.StringIO(), stderr=io.StringIO())
        return "deleted"

    def rows_of(file: Path) -> int | None:
        if not file.exists():
            return None
        if file.suffix == ".parquet":
            return int(parquet.read_metadata(file).num_rows)
        with file.open("rb") as lines:
            return sum(1 for _ in lines) - (file.suffix == ".csv")

    results = []
    seconds = 0.0
    for number in range(races + 1):
        run = made(number)
        format_name = chance.choice(["csv", "jsonl", "parquet"])
        file = folder / f"race.{format_name}"
        began = time.monotonic()
        exporting = forked(lambda: export(run, file, "results", format_name), folder / "exported")  # noqa: B023
        # The first export is undisturbed and tells how long one takes.
        deleting = forked(lambda: delete(chance.uniform(0.0, 1.2 * seconds) if number else 60.0), folder / "deleted")  # noqa: B023
        exported = os.waitstatus_to_exitcode(os.waitpid(exporting, 0)[1])
        if not number:
            seconds = time.monotonic() - began
            os.kill(deleting, 9)
        deleted = os.waitstatus_to_exitcode(os.waitpid(deleting, 0)[1])
        if number:
            left = [path.name for path in folder.glob("race.*") if path != file]
            results.append(
                {
                    "kind": "results",
                    "format": format_name,
                    "exported": exported,
                    "sentence": (folder / "exported").read_text(),
                    "deleted": deleted,
                    "rows": rows_of(file),
                    "expected": TASKS * len(POLICIES),
                    "left": left,
                }
            )
        file.unlink(missing_ok=True)
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
