"""How quickly the pages' questions are answered over many placements, on the database of DATABASE_URL.

    DATABASE_URL=postgres://... python -m benchmarks.database_read [--runs 10] [--tasks 125000] [--explain]

Fills the database with runs of eight policies on one workload (10,000,000 rows by default), asks every question many
times, prints the quickest, median and slowest answer, and deletes a run while readers go on. Give it a database of
its own; filling is left out when the rows are there already.
"""

import argparse
import json
import os
import random
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import django
import numpy as np

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 Django's apps come first
from django.db import connection  # noqa: E402

from apps.live.models import SimulationState  # noqa: E402
from apps.live.store.batches import ResultBatch  # noqa: E402
from apps.live.store.writer import ResultWriter  # noqa: E402
from apps.metrics.cache import remember  # noqa: E402
from apps.metrics.models import Metric  # noqa: E402
from apps.results.models import Run, SchedulerResult  # noqa: E402
from apps.results.services import deletions_finish, run_delete  # noqa: E402
from apps.tasks.models import Task, Workload  # noqa: E402
from benchmarks.placements import made_up_placements, made_up_tasks  # noqa: E402
from scheduler_sim.columnar.insert import insert_columns  # noqa: E402

POLICIES = ("fcfs", "fcfs+easy", "sjf", "sjf+easy", "wfp3", "wfp3+easy", "f1", "f1+easy")
WINDOWS = 120


def fill(runs: int, tasks: int) -> None:
    """Store runs of `tasks` tasks under eight policies, with their figures."""
    workload = Workload.objects.create(name="read benchmark", source="benchmark", task_count=tasks)
    Task.objects.bulk_create_columns(workload_id=workload.pk, columns=made_up_tasks(tasks, 100.0))
    keys = np.array(Task.objects.filter(workload=workload).order_by("task_id").values_list("pk", flat=True))
    for number in range(runs):
        run = Run.objects.create(
            name=f"read benchmark {number}", workload=workload, cluster={}, policies=list(POLICIES)
        )
        SimulationState.objects.create(run=run)
        run.begin()
        with ResultWriter(run=run) as writer:
            for first in range(0, tasks, 1_000):
                last = min(first + 1_000, tasks)
                writer.put(_batch(keys[first:last], first, last))
        _figures(run, float(tasks))
        run.finish(rows_written=tasks * len(POLICIES), checksum="")
        print(f"run {number + 1} of {runs} stored", flush=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _batch(keys: np.ndarray, first: int, last: int) -> ResultBatch:
    own = {"task_id": keys, "gpu_fraction": 0.0, "device": -1}
    parts = {policy: made_up_placements(first, last, seed) | own for seed, policy in enumerate(POLICIES)}
    return ResultBatch(parts=parts, progress=dict.fromkeys(POLICIES, last), clock_time=float(last))


def _figures(run: Run, span: float) -> None:
    edges = np.linspace(0, span, WINDOWS + 1)
    counts = dict.fromkeys(("arrived_count", "started_count", "finished_count"), 1)
    for place, policy in enumerate(POLICIES):
        common = {"run_id": run.pk, "scheduler": policy, "mean_bounded_slowdown": float(place), **counts}
        windows = {"window_start_time": edges[:-1], "window_end_time": edges[1:], "is_total": False}
        total = {"window_start_time": np.zeros(1), "window_end_time": span, "is_total": True}
        insert_columns(Metric, {**common, **windows})
        insert_columns(Metric, {**common, **total})


def measure(name: str, limit: str, question: Callable[[], Any], times: int = 50) -> None:
    """Ask a question many times and print the quickest, the median and the slowest answer."""
    question()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        question()
        took.append((time.perf_counter() - began) * 1000)
    figures = "".join(f"{value:>9.2f} ms" for value in (min(took), statistics.median(took), max(took)))
    print(f"{name:46}{figures}   {limit}", flush=True)


def questions(runs: list[Run], explain: bool) -> None:
    """Measure every question that a page or an endpoint asks."""
    chance = random.Random(1)
    middle = runs[len(runs) // 2]
    results = SchedulerResult.objects
    newest = results.order_by("-id").values_list("id", flat=True)[0]
    tasks = middle.workload.task_count
    keys = list(Task.objects.filter(workload_id=middle.workload_id).order_by("task_id").values_list("pk", flat=True))

    figures = [field.attname for field in Metric._meta.concrete_fields if field.name != "details"]

    def board(run: Run) -> list[dict[str, Any]]:
        return list(Metric.objects.leaderboard(run).values(*figures))

    def by_key() -> Any:
        return results.filter(id__lt=chance.randint(1, newest)).order_by("-id").values()[:100]

    def of_run() -> Any:
        run = chance.choice(runs)
        return results.filter(run=run, task_id__gt=chance.choice(keys)).order_by("task_id", "scheduler").values()[:100]

    def history() -> Any:
        first = chance.randint(1, tasks - 100)
        return results.history(chance.choice(runs), range(first, first + 100)).values("task__task_id", "scheduler")

    print(f"{'question':46}{'quickest':>12}{'median':>12}{'slowest':>12}   wanted")
    measure("leaderboard of a run", "30 ms", lambda: board(chance.choice(runs)))
    measure(
        "leaderboard of a run, cached",
        "5 ms",
        lambda: remember("leaderboard", lambda: json.dumps(board(middle)).encode(), run_id=middle.pk),
    )
    measure("latest 100 of all runs", "5 ms", lambda: list(results.newest().values()))
    measure("latest 100 of one run", "5 ms", lambda: list(results.latest_of(chance.choice(runs)).values()))
    measure("cursor page anywhere, newest first", "20 ms", lambda: list(by_key()))
    measure("cursor page anywhere in a run, by task", "20 ms", lambda: list(of_run()))
    measure("comparative history of 100 tasks, 8 policies", "30 ms", lambda: list(history()))
    if explain:
        plans = {
            "leaderboard of a run": Metric.objects.leaderboard(middle),
            "latest 100 of all runs": results.newest(),
            "latest 100 of one run": results.latest_of(middle),
            "cursor page anywhere, newest first": by_key(),
            "cursor page anywhere in a run, by task": of_run(),
            "comparative history of 100 tasks": history(),
        }
        options = {"analyze": True, "costs": False} if connection.vendor == "postgresql" else {}
        for name, queryset in plans.items():
            print(f"\n{name}\n{queryset.explain(**options)}")


def deletion(run: Run) -> None:
    """Delete a run while another thread reads; print how long each of the two took."""
    others = [other for other in Run.objects.order_by("-id")[:2] if other.pk != run.pk]
    over = threading.Event()
    waits: list[float] = []

    def read() -> None:
        while not over.is_set():
            began = time.perf_counter()
            list(SchedulerResult.objects.latest_of(others[0]).values())
            waits.append((time.perf_counter() - began) * 1000)
            over.wait(0.01)
        connection.close()

    reader = threading.Thread(target=read)
    reader.start()
    began = time.perf_counter()
    run_delete(run=run)
    gone = time.perf_counter() - began
    removed = deletions_finish()
    took = time.perf_counter() - began
    over.set()
    reader.join()
    print(f"\nDeleting a run: gone after {gone * 1000:.0f} ms, its {removed:,} rows removed after {took:.1f} s;")
    print(f"readers meanwhile: median {statistics.median(waits):.1f} ms, slowest {max(waits):.1f} ms ({len(waits)})")


def main() -> None:
    """Fill the database where need be, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=125_000)
    parser.add_argument("--explain", action="store_true", help="print the plans too")
    arguments = parser.parse_args()
    call_command("migrate", verbosity=0)
    if not Run.objects.filter(name__startswith="read benchmark").exists():
        fill(arguments.runs, arguments.tasks)
    runs = list(Run.objects.filter(name__startswith="read benchmark").select_related("workload").order_by("id"))
    rows = sum(run.rows_written for run in runs)
    print(f"{connection.vendor}, {rows:,} rows in {len(runs)} runs, load {os.getloadavg()[0]:.1f}")
    questions(runs, arguments.explain)
    deletion(runs[0])


if __name__ == "__main__":
    main()
