"""What runs that keep their placements in Parquet files cost: written, on the disk, and read, however many there are.

    .venv/bin/python -m benchmarks.filed [--tasks 1250000] [--runs 10] [--folder DIR] [--prepare] [--play | --read]

Each run plays eight policies over one generated workload, in a site of its own in DIR (by default a passing one), each
in a process of its own; what pages, the API and exports ask for is then asked of the last run. `--prepare` only makes
the site and the workload, and plays one run that compiles the kernels and keeps no placements; `--play` only plays more
runs there and `--read` only reads, each for a quiet machine.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.project import ROOT

POLICIES = "fcfs,sjf,saf,wfp3,unicep,f1,fcfs+easy,sjf+easy"
VISITS = 9


def main() -> None:
    """Make the site, play, and read, or what of it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=1_250_000)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--keep", choices=("parquet", "summary", "results"), default="parquet")
    for name in ("prepare", "play", "read", "one"):
        parser.add_argument(f"--{name}", action="store_true", help=argparse.SUPPRESS if name == "one" else None)
    asked = parser.parse_args()
    if asked.one or asked.read:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")
        import django

        django.setup()
        print(json.dumps(play(asked.keep, asked.tasks)) if asked.one else read(asked.tasks))
        return
    with tempfile.TemporaryDirectory() as passing:
        settings = site(asked.folder or Path(passing), asked.tasks)
        if asked.prepare:
            return
        for _ in range(asked.runs):
            told = json.loads(ours(settings, "--one", "--keep", asked.keep, "--tasks", str(asked.tasks)))
            print(words(told), flush=True)
        if not asked.play:
            print(ours(settings, "--read", "--tasks", str(asked.tasks)))


def site(folder: Path, tasks: int) -> dict[str, str]:
    """Return the settings of a site that holds the workload; it is made where there is none."""
    settings = {**os.environ, "VAR_DIR": str(folder), "DATABASE_URL": os.environ.get("DATABASE_URL", "")}
    settings.setdefault("NUMBA_CACHE_DIR", str(ROOT / "var" / "numba"))
    made = folder / f"made-{tasks}"
    if not made.exists():
        manage(settings, "migrate", "--verbosity", "0")
        told = ("--seed", "1", "--name", f"tasks-{tasks}", "--processors", "256", "--load", "0.9")
        manage(settings, "generateworkload", "lublin", "--tasks", str(tasks), *told)
        ours(settings, "--one", "--keep", "summary", "--tasks", str(tasks))
        made.touch()
    return settings


def manage(settings: dict[str, str], *arguments: str) -> None:
    """Run a command of manage.py."""
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=settings, check=True, stdout=sys.stderr)


def ours(settings: dict[str, str], *arguments: str) -> str:
    """Run this program, and return what it prints."""
    command = [sys.executable, "-m", "benchmarks.filed", *arguments]
    return subprocess.run(command, cwd=ROOT, env=settings, check=True, stdout=subprocess.PIPE, text=True).stdout


def play(keep: str, tasks: int) -> dict[str, Any]:
    """Play one run, and return what it took."""
    from apps.live.play.configuration import RunConfiguration
    from apps.live.play.file_writer import FileWriter
    from apps.live.play.launch import run_create
    from apps.live.play.runner import Runner
    from apps.results.models import PlacementFile, Run
    from apps.tasks.models import Workload
    from scheduler_sim.engine.clusters.presets import load_cluster

    store, writing = FileWriter.store, [0.0, 0.0]

    def timed(*given: Any, **named: Any) -> None:
        began, used = time.perf_counter(), time.process_time()
        store(*given, **named)
        writing[0] += time.perf_counter() - began
        writing[1] += time.process_time() - used

    FileWriter.store = timed  # type: ignore[method-assign]
    run = run_create(
        workload=Workload.objects.get(name=f"tasks-{tasks}"),
        cluster=load_cluster("hpc-256"),
        configuration=RunConfiguration(policies=tuple(POLICIES.split(",")), keep=keep),  # type: ignore[arg-type]
        name=Run.objects.free_name(f"{keep} {tasks}"),
    )
    began, used = time.perf_counter(), time.process_time()
    Runner(run).play()
    run = Run.objects.get(pk=run.pk)
    return {
        "run": run.pk,
        "rows": run.rows_written,
        "placements": tasks * len(run.policies),
        "wall": time.perf_counter() - began,
        "processor": time.process_time() - used,
        "writing_wall": writing[0],
        "writing_processor": writing[1],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "files": PlacementFile.objects.filter(run=run).count(),
        "bytes": sum(PlacementFile.objects.filter(run=run).values_list("size", flat=True)),
    }


def words(told: dict[str, Any]) -> str:
    """Return a line about one run."""
    line = (
        f"run {told['run']}: {told['placements']:,} placements in {told['wall']:.1f} s "
        f"({told['processor']:.1f} s of the processors), peak {told['peak_mb']:,.0f} MB"
    )
    if not told["files"]:
        return line
    return (
        f"{line}; of that writing {told['writing_wall']:.2f} s ({told['writing_processor']:.2f}), "
        f"{told['rows'] / told['writing_wall'] / 1e6:.2f} million/s; {told['files']} files, "
        f"{told['bytes'] / told['rows']:.1f} bytes a placement"
    )


def read(tasks: int) -> str:
    """Ask the last run of this workload what people ask, and return a line for each question."""
    from django.test import Client

    from apps.live.exchange.exports import results_export
    from apps.live.exchange.streams import stream
    from apps.results.models import Run, SchedulerResult
    from apps.results.verification import run_verify
    from apps.tasks.models import Task

    run = Run.objects.finished().filter(workload__name=f"tasks-{tasks}", rows_written__gt=0).order_by("-pk").first()
    if run is None:
        raise SystemExit("There is no such run to read; --play plays one.")
    chance, client = random.Random(1), Client(SERVER_NAME="localhost")
    first, last = (
        run.workload.first_arrival_time,
        float(Task.objects.filter(workload=run.workload).order_by("-pk").values_list("arrival_time", flat=True)[0]),
    )

    def moment() -> float:
        at: float = round(first + chance.random() * (last - first), 1)
        return at

    def get(address: str) -> None:
        answer = client.get(address, follow=True)
        if answer.status_code != 200:
            raise SystemExit(f"{address}: {answer.status_code}")

    page = f"/api/v1/results/?run={run.pk}"
    questions: dict[str, Callable[[], None]] = {
        "API, first page of 100": lambda: get(page),
        "API, a task under all policies": lambda: get(f"{page}&task_id={chance.randint(1, tasks)}"),
        "history side by side, a page anywhere": lambda: get(
            f"/api/v1/history/?run={run.pk}&after={chance.randint(1, tasks)}"
        ),
        "page of a task": lambda: get(f"/runs/{run.pk}/tasks/{chance.randint(1, tasks)}/"),
        "time machine at an instant": lambda: get(f"/runs/{run.pk}/at/{moment()}/?policy=sjf%2Beasy"),
        "Gantt of a day": lambda: get(
            f"/runs/{run.pk}/gantt.json?policy=fcfs%2Beasy&from={(at := moment())}&to={at + 86_400}"
        ),
        "run's page": lambda: get(f"/runs/{run.pk}/"),
    }
    every = Run.objects.filter(rows_written__gt=0)
    lines = [f"of {sum(every.values_list('rows_written', flat=True)):,} placements in {len(every)} runs:"]
    for name, question in questions.items():
        question()
        took, used = [], []
        for _ in range(VISITS):
            began, before = time.perf_counter(), time.process_time()
            question()
            took.append(time.perf_counter() - began)
            used.append(time.process_time() - before)
        lines.append(
            f"{name}: {statistics.median(took) * 1000:.0f} ms, at most {max(took) * 1000:.0f} "
            f"({statistics.median(used) * 1000:.0f} of the processor)"
        )
    began, size, exported = time.perf_counter(), 0, 0
    for chunk in stream(results_export(run), "csv"):
        size, exported = size + len(chunk), exported + chunk.count(b"\n")
        if time.perf_counter() - began > 10:
            break
    took_export = time.perf_counter() - began
    lines.append(f"export as csv: {exported / took_export:,.0f} rows/s, {size / took_export / 1e6:.0f} MB/s")
    began = time.perf_counter()
    columns = SchedulerResult.objects.of_policy(run, "sjf+easy", [("task_id", "i8"), ("wait_time", "f8")])
    lines.append(f"two columns of one policy: {len(columns) / (time.perf_counter() - began) / 1e6:.1f} million rows/s")
    began = time.perf_counter()
    faults = run_verify(run=run).faults
    lines.append(f"counted, looked up and summed anew: {time.perf_counter() - began:.1f} s, {len(faults)} faults")
    lines.append(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
