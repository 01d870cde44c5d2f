"""Print how fast the API answers on 10 million results: `DATABASE_URL=... REDIS_URL=... python -m benchmarks.http_api`.

Needs wrk, and a PostgreSQL database of its own for the rows, which are made on first use (two minutes) and kept.
Each line is daphne with one worker process and 8 connections that ask without pause; latencies under that load.
Servers with the cache, the Prometheus middleware and the rate limits turned off take turns with one that has all on.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.project import ROOT

if TYPE_CHECKING:
    from apps.results.models import Run

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")

POLICIES = [
    "fcfs", "fcfs+easy", "sjf", "sjf+easy", "wfp3", "wfp3+easy", "f1", "f1+easy", "unicep", "fcfs+conservative",
]  # fmt: skip
ORDERS = ["fcfs", "sjf", "ljf", "saf", "srf", "wfp3", "unicep", "f1", "f2", "f3", "f4", "random_order"]
TASKS = 10_000
WORKLOAD = "benchmark http"

_SCRIPT = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %.1f %.2f %.2f %.2f %d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
"""

_UNCACHED = """
from scheduler_sim.settings import *
CACHES["default"] = CACHES["near"] = {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
"""


def fill(rows: int) -> int:
    """Make runs until there are `rows` results, and return the key of the newest run."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    import numpy as np

    from apps.results.models import Run, SchedulerResult
    from apps.tasks.models import Task, Workload

    workload, created = Workload.objects.get_or_create(
        name=WORKLOAD, defaults={"source": "synthetic:benchmark", "task_count": TASKS}
    )
    if created:
        Task.objects.bulk_create(
            Task(workload=workload, task_id=i, arrival_time=i, runtime=60, duration_estimate=90, size=1)
            for i in range(1, TASKS + 1)
        )
    keys = np.array(workload.tasks.order_by("task_id").values_list("pk", flat=True))
    start = np.arange(TASKS, dtype=float)
    stored = workload.runs.filter(rows_written__gt=0).count() * TASKS * len(POLICIES)
    while stored < rows:
        run = Run.objects.create(
            name=f"{WORKLOAD} {stored}",
            workload=workload,
            cluster={"name": "hpc-256", "groups": []},
            policies=POLICIES,
            engine_version="1.0",
            status=Run.Status.FINISHED,
            rows_expected=TASKS * len(POLICIES),
            rows_written=TASKS * len(POLICIES),
        )
        for number, scheduler in enumerate(POLICIES):
            columns = {
                "task_id": keys,
                "gpu_fraction": np.zeros(TASKS),
                "node": np.zeros(TASKS, np.int32),
                "device": np.full(TASKS, -1, np.int32),
                "start_time": start + number,
                "finish_time": start + number + 60,
                "actual_time": np.full(TASKS, 60.0),
                "wait_time": np.full(TASKS, float(number)),
                "energy_joules": np.full(TASKS, 100.0),
                "cost_usd": np.full(TASKS, 0.01),
            }
            SchedulerResult.objects.bulk_create_columns(run_id=run.pk, parts={scheduler: columns})
            total(run, scheduler, number)
        keys_of_run = SchedulerResult.objects.order_by("-pk").values_list("pk", flat=True)
        last = keys_of_run[0]
        Run.objects.filter(pk=run.pk).update(first_result_id=last - TASKS * len(POLICIES) + 1, last_result_id=last)
        stored += TASKS * len(POLICIES)
        print(f"\r{stored:,} results", end="", file=sys.stderr, flush=True)
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    connection.close()
    print(file=sys.stderr)
    newest: int = workload.runs.filter(rows_written__gt=0).order_by("-pk").values_list("pk", flat=True)[0]
    return newest


def total(run: "Run", scheduler: str, number: int) -> None:
    """Store the figures of a whole run of one policy, every one of them with all its digits."""
    from django.db.models import FloatField

    from apps.metrics.models import Metric

    figures = [field.name for field in Metric._meta.concrete_fields if isinstance(field, FloatField)]
    Metric.objects.create(
        run=run, scheduler=scheduler, is_total=True, arrived_count=TASKS, started_count=TASKS, finished_count=TASKS,
        **{name: number + position / 7 for position, name in enumerate(figures)},
    )  # fmt: skip


def wide_run() -> int:
    """Return the key of a run of 48 policies (12 orders by 4 backfills) that has figures alone."""
    from apps.results.models import Run
    from apps.tasks.models import Workload

    workload = Workload.objects.get(name=WORKLOAD)
    policies = [f"{order}{backfill}" for order in ORDERS for backfill in ("", "+list", "+easy", "+conservative")]
    run, created = Run.objects.get_or_create(
        name=f"{WORKLOAD} wide",
        defaults={
            "workload": workload,
            "cluster": {"name": "hpc-256", "groups": []},
            "policies": policies,
            "engine_version": "1.0",
            "status": Run.Status.FINISHED,
        },
    )
    if created:
        for number, scheduler in enumerate(policies):
            total(run, scheduler, number)
    return run.pk


@contextmanager
def server(folder: Path, **changes: str) -> Iterator[tuple[str, int]]:
    """Start daphne with changed settings, and return its address and process number once it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
        "RATE_LIMIT_ANONYMOUS": "99999999/m",
        **changes,
    }
    with Path(os.devnull).open("w") as nowhere:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "daphne",
                "-v",
                "0",
                "-b",
                "127.0.0.1",
                "-p",
                str(port),
                "scheduler_sim.asgi:application",
            ],
            cwd=ROOT,
            env=environment,
            stdout=nowhere,
            stderr=nowhere,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/ready", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise SystemExit("daphne did not become ready.")
        yield address, process.pid
    finally:
        process.terminate()
        process.wait()


def processor_seconds(pid: int) -> float:
    """Return how long a process has kept a core busy."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(address: str, *, pid: int, seconds: int, script: Path) -> tuple[float, ...]:
    """Return requests a second, the p50, p95 and p99 latency, and the server's processor time a request, in ms.

    The last one tells settings apart even when something else keeps the machine busy.
    """
    urllib.request.urlopen(address, timeout=30).close()
    begin, busy = time.perf_counter(), processor_seconds(pid)
    done = subprocess.run(
        ["wrk", "-t1", "-c8", f"-d{seconds}s", "-s", str(script), address], capture_output=True, text=True, check=True
    )
    busy, elapsed = processor_seconds(pid) - busy, time.perf_counter() - begin
    told = re.search(r"RESULT (.*)", done.stdout)
    if told is None:
        raise SystemExit(f"{address}: the load generator printed no result.\n{done.stdout}")
    *figures, errors = (float(text) for text in told[1].split())
    if errors:
        raise SystemExit(f"{address}: {errors:.0f} requests failed.\n{done.stdout}")
    return *figures, busy * 1000 / (figures[0] * elapsed)


def deep_cursor(address: str, run: int) -> str:
    """Return a page far inside the results of one run."""
    import json

    page = f"{address}/api/v1/results/?run={run}&page_size=1000"
    for _ in range(20):
        with urllib.request.urlopen(page, timeout=30) as answer:
            page = json.load(answer)["next"]
    return page.replace("page_size=1000", "page_size=100").removeprefix(address)


def taking_turns(
    servers: dict[str, tuple[str, int]], path: str, *, rounds: int, seconds: int, script: Path
) -> dict[str, tuple[float, ...]]:
    """Return the medians of what `measure` says of each server, asked one after the other and again.

    So whatever else the machine does meets all of them, and their ratios say something.
    """
    seen: dict[str, list[tuple[float, ...]]] = {setting: [] for setting in servers}
    for _ in range(rounds):
        for setting, (address, pid) in servers.items():
            seen[setting].append(measure(address + path, pid=pid, seconds=seconds, script=script))
    return {setting: tuple(map(median, zip(*figures, strict=True))) for setting, figures in seen.items()}


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="measurements whose median counts")
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    options = parser.parse_args()
    if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        raise SystemExit("Set DATABASE_URL to a PostgreSQL database of its own, and REDIS_URL.")
    run = fill(options.rows)

    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder = Path(name)
        script = folder / "wrk.lua"
        script.write_text(_SCRIPT)
        (folder / "uncached_settings.py").write_text(_UNCACHED)
        changes = {
            "all on": {},
            "no cache": {"DJANGO_SETTINGS_MODULE": "uncached_settings"},
            "no Prometheus": {"PROMETHEUS": "0"},
            "no rate limit": {"RATE_LIMIT_ANONYMOUS": "off"},
        }
        servers = {setting: running.enter_context(server(folder, **changed)) for setting, changed in changes.items()}
        results = f"/api/v1/results/?run={run}"
        requests = {
            "health": ("/health", ["all on"]),
            "leaderboard of 10": (f"/api/v1/leaderboard/?run={run}", list(servers)),
            "leaderboard of 48": (f"/api/v1/leaderboard/?run={wide_run()}", ["all on", "no cache"]),
            "latest 100": ("/api/v1/history/latest/", ["all on", "no cache"]),
            "history page": (f"/api/v1/history/?run={run}", ["all on", "no cache"]),
            "100 results of a run": (results, ["all on", "no Prometheus", "no rate limit"]),
            "100 newest results": ("/api/v1/results/", ["all on"]),
            "cursor page, 20,000 rows in": (deep_cursor(servers["all on"][0], run), ["all on"]),
        }
        print(f"{'request':28}{'setting':14}{'requests/s':>10}{'p50 ms':>8}{'p95 ms':>8}{'p99 ms':>8}{'cpu ms':>8}")
        kept = []
        for request, (path, settings) in requests.items():
            asked = {setting: servers[setting] for setting in settings}
            seen = taking_turns(asked, path, rounds=options.rounds, seconds=options.seconds, script=script)
            for setting, (rate, *latencies, cpu) in seen.items():
                columns = f"{rate:10,.0f}" + "".join(f"{figure:8.1f}" for figure in latencies)
                print(f"{request:28}{setting:14}{columns}{cpu:8.2f}", flush=True)
            if "no cache" in seen:
                (rate, *_, cpu), (computed, *_, computed_cpu) = seen["all on"], seen["no cache"]
                kept.append(f"{request:28}{rate / computed:6.2f}{computed_cpu / cpu:6.2f}")
        print("\nKept answers against computed ones: times the requests a second, times less processor time a request")
        print(*kept, sep="\n")


if __name__ == "__main__":
    main()
