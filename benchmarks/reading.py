"""Print how long reading a stored workload takes, from the database and from its file of tasks.

Usage: DATABASE_URL=... VAR_DIR=... python -m benchmarks.reading [--tasks 1000000] [--repeat 3] [--processes 4]

The workload, of Lublin's model, is stored where it is not; the file is made in VAR_DIR/tasks. Seconds are the medians
of the repetitions, of the wall clock and of the process. New processes start together and count from when Django is
set up, so that the import of Arrow is in them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.project import ROOT, described

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds that `work` takes by the wall clock and of this process."""
    wall, own = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - own


def peak() -> float:
    """Return the largest memory of this process so far, in MiB; getrusage tells the parent's where that is more."""
    [line] = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def row(what: str, took: list[tuple[float, float]]) -> None:
    """Print the medians."""
    wall, own = (statistics.median(column) for column in zip(*took, strict=True))
    print(f"{what:<52} {wall:>8.3f} {own:>8.3f}", flush=True)


def main() -> None:
    """Measure and print a table."""
    parser = described(__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--processes", type=int, default=4, help="that read it at once")
    parser.add_argument("--read", type=int, metavar="KEY", help=argparse.SUPPRESS)
    given = parser.parse_args()

    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from apps.tasks.models import Workload
    from apps.tasks.services import workload_generate
    from apps.tasks.stored_tasks import load_tasks, read_tasks
    from apps.tasks.task_files import FiledTasks, task_file_forget, task_file_write

    if given.read:
        wall, own = timed(lambda: load_tasks(workload_id=given.read).digest)
        print(json.dumps([wall, own, peak()]))
        return
    call_command("migrate", verbosity=0)
    stored, _ = workload_generate(model="lublin", tasks=given.tasks, seed=0)
    print(
        f"{connection.vendor}, {given.tasks:,} tasks, load average {os.getloadavg()[0]:.1f}"
        f"\n{'seconds':<52} {'wall':>8} {'own':>8}"
    )
    row("from the database", [timed(lambda: read_tasks(workload_id=stored.pk)) for _ in range(given.repeat)])
    tasks = read_tasks(workload_id=stored.pk)
    row("their digest, kept in the file", [timed(lambda: tasks.digest)])
    filed = FiledTasks(tasks.workload, tasks.keys, tasks.digest)
    made = []
    for _ in range(given.repeat):
        task_file_forget(task_file_write(filed) or "")
        made.append(timed(lambda: task_file_write(filed)))
    row("making the file", made)
    load_tasks(workload_id=stored.pk)
    name = Workload.objects.get(pk=stored.pk).tasks_file
    row("from the file", [timed(lambda: load_tasks(workload_id=stored.pk)) for _ in range(given.repeat)])
    for processes in sorted({1, given.processes}):
        command = [sys.executable, "-m", "benchmarks.reading", "--read", str(stored.pk)]
        started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
        read = [json.loads(one.communicate()[0]) for one in started]
        word = "a new process" if processes == 1 else f"{processes} new processes at once"
        row(f"from the file, {word}", [(wall, own) for wall, own, _ in read])
    size = (Path(os.environ.get("VAR_DIR", ROOT / "var")) / "tasks" / f"{name}.arrow").stat().st_size
    print(f"The file has {size:,} bytes; a process that has read it peaks at {max(one[2] for one in read):.0f} MiB.")


if __name__ == "__main__":
    main()
