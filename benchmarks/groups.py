"""What the figures of users, accounts, partitions and hours cost a run, and how quick their page is.

    .venv/bin/python -m benchmarks.groups [--tasks 100000] [--users 10000] [--keep DIR]

Makes a site of its own (the embedded default), plays a workload with users, accounts and partitions through ten
policies, and prints what grouping and storing took of the run, in processor and in wall-clock seconds, and the
server's time for the page of each way to group, as the median of 21 visits. `--tasks 1000000` makes 10,000,000
placements.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.project import described

POLICIES = (
    "fcfs+easy",
    *(f"{order}+easy" for order in ("sjf", "ljf", "saf", "wfp3", "f1", "f2", "f3", "f4", "unicep")),
)
VISITS = 21
WAYS = ("user", "group", "queue", "size", "length", "hour")
ACCOUNTS, PARTITIONS = 60, 6


class Clock:
    """Seconds spent inside what it wraps: of this thread's processor, and by the wall clock."""

    def __init__(self) -> None:
        self.processor = self.wall = 0.0

    def all_of(self, function: Any) -> Any:
        """Return the function with its time counted."""

        def counted(*arguments: Any, **named: Any) -> Any:
            processor, wall = time.thread_time(), time.perf_counter()
            found = function(*arguments, **named)
            self.processor += time.thread_time() - processor
            self.wall += time.perf_counter() - wall
            return found

        return counted


def main() -> int:
    """Measure and print."""
    parser = described(__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="a folder whose site is kept and used again")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="groups-"))
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "scheduler_sim.settings",
        "VAR_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'site.sqlite3'}",
        "REDIS_URL": "",
        "LOG_LEVEL": "WARNING",
        "RATE_LIMIT_PAGES": "99999999/m",
    }
    import django

    django.setup()
    from django.core.management import call_command

    try:
        call_command("migrate", verbosity=0)
        play(options.tasks, options.users)
        visit()
    finally:
        if options.keep is None:
            shutil.rmtree(folder)
    return 0


def play(tasks: int, users: int) -> None:
    """Play the run, unless a kept site holds it, and print what its groups cost."""
    from django.core.management import call_command

    from apps.metrics.managers import GroupMetricQuerySet
    from apps.results.models import Run
    from scheduler_sim.engine.measuring.groups import Grouped

    if Run.objects.finished().exists():
        return
    store(tasks, users)
    computing, storing = Clock(), Clock()
    Grouped.__init__ = computing.all_of(Grouped.__init__)  # type: ignore[method-assign]
    Grouped.figures = computing.all_of(Grouped.figures)  # type: ignore[method-assign]
    written = storing.all_of(GroupMetricQuerySet.bulk_create_columns)
    GroupMetricQuerySet.bulk_create_columns = written  # type: ignore[method-assign]
    processor, wall = time.process_time(), time.perf_counter()
    policies = ",".join(POLICIES)
    call_command("runsimulation", workload="groups", cluster="hpc-1024", policies=policies, name="groups", verbosity=0)
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    print(f"run of {len(POLICIES) * tasks:,} placements: {processor:.1f} s of processor, {wall:.1f} s")
    for name, clock in (("computing", computing), ("storing", storing)):
        print(
            f"{name} the groups: {clock.processor:.2f} s of processor ({clock.processor / processor:.1%}), "
            f"{clock.wall:.2f} s ({clock.wall / wall:.1%})"
        )
    both = computing.processor + storing.processor
    print(
        f"together {both / processor:.2%} of the processor time, "
        f"{(computing.wall + storing.wall) / wall:.2%} of the wall clock"
    )


def store(tasks: int, users: int) -> None:
    """Store a workload whose load is about 0.9 of 1,024 cores."""
    from apps.tasks.models import Task, Workload

    generator = np.random.default_rng(1)
    runtime = np.round(generator.lognormal(6.5, 1.5, tasks), 1)
    cpus = 2.0 ** generator.integers(0, 6, tasks)
    span = float((runtime * cpus).sum()) / (0.9 * 1024)
    user = np.minimum(generator.pareto(0.7, tasks) * 20, users - 1).astype(int)
    partition = generator.integers(0, PARTITIONS, tasks)
    workload = Workload.objects.create(name="groups", source="csv", task_count=tasks)
    Task.objects.bulk_create_columns(
        workload_id=workload.pk,
        columns={
            "task_id": np.arange(1, tasks + 1),
            "arrival_time": np.sort(generator.random(tasks)) * span,
            "runtime": runtime,
            "duration_estimate": runtime * 2,
            "cpus": cpus,
            "user": np.array([f"user {number}" for number in user.tolist()], object),
            "group": np.array([f"account {number % ACCOUNTS}" for number in user.tolist()], object),
            "queue": np.array([f"partition {number}" for number in partition.tolist()], object),
        },
    )


def visit() -> None:
    """Print the server's time for the page, without the network."""
    from django.test import Client

    from apps.metrics.models import GroupMetric
    from apps.results.models import Run, SchedulerResult

    run = Run.objects.finished().get()
    rows, groups = SchedulerResult.objects.count(), GroupMetric.objects.filter(run=run).count()
    print(f"page beside {rows:,} placements and {groups:,} rows of groups:")
    client = Client(SERVER_NAME="localhost")
    for way in WAYS:
        seconds = []
        for visits in range(VISITS + 1):
            if visits == 1:
                processor = time.process_time()
            began = time.perf_counter()
            response = client.get(f"/runs/{run.pk}/groups/?by={way}")
            seconds.append(time.perf_counter() - began)
            if response.status_code != 200:
                raise SystemExit(f"The page answered {response.status_code}.")
        first, *later = seconds
        middle = statistics.median(later)
        used = (time.process_time() - processor) / VISITS
        times = (("first", first), ("median", middle), ("longest", max(later)), ("processor", used))
        print(f"  by {way:6}", *(f"{name} {1000 * value:6.1f} ms" for name, value in times))


if __name__ == "__main__":
    sys.exit(main())
