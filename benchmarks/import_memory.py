"""Print the memory that importing takes, by format and size: `python -m benchmarks.import_memory [--tasks N ...]`.

The files are made from one generated workload, each is imported into an SQLite database of its own by a process of
its own, and the peak of that process is what the kernel says of it. `--keep FOLDER` keeps the files, and makes none
that is there.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks.project import ROOT
from scheduler_sim.engine import Workload
from scheduler_sim.engine.generators import generate_workload
from scheduler_sim.engine.traces import write_swf

SIZES = (10_000, 100_000, 1_000_000)
_START = datetime(2024, 1, 1, tzinfo=UTC)
_SACCT = (
    "JobIDRaw|JobID|JobName|User|Account|Partition|Submit|Start|End|Elapsed|Timelimit|AllocCPUS|AllocNodes|ReqMem|"
    "AllocTRES|NodeList|State\n"
)
_OPENB = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
)


Writer = Callable[[Workload, Path], None]
Line = Callable[[int, int, int, int], str]
"""Returns the line of a task by its number, arrival and run time in whole seconds, and cores."""


def _lines(head: str) -> Callable[[Line], Writer]:
    """Make a writer of a file that begins with `head` out of what returns the line of a task."""

    def writer_of(line: Line) -> Writer:
        @wraps(line)
        def write(tasks: Workload, path: Path) -> None:
            with path.open("w", encoding="utf-8") as file:
                file.write(head)
                file.writelines(line(number, *columns) for number, columns in enumerate(_rows(tasks), 1))

        return write

    return writer_of


def swf(tasks: Workload, path: Path) -> None:
    """Write an SWF log."""
    with path.open("w", encoding="utf-8") as file:
        write_swf(tasks, file)


@_lines(_SACCT)
def sacct(number: int, arrival: int, runtime: int, cpus: int) -> str:
    """Return a line of what `sacct -P` prints."""
    submitted = _START + timedelta(seconds=arrival)
    ended = submitted + timedelta(seconds=60 + runtime)
    return (
        f"{number}|{number}|train_model_{number % 977}.sh|user{number % 800}|account{number % 90}|"
        f"{('cpu', 'gpu', 'long')[number % 3]}|{submitted:%Y-%m-%dT%H:%M:%S}|"
        f"{submitted + timedelta(seconds=60):%Y-%m-%dT%H:%M:%S}|{ended:%Y-%m-%dT%H:%M:%S}|{_clock(runtime)}|"
        f"1-00:00:00|{cpus}|1|{4 * cpus}G|billing={cpus},cpu={cpus},mem={4 * cpus}G,node=1|"
        f"node{number % 1500:04d}|COMPLETED\n"
    )


@_lines("external_id,arrival_time,runtime,duration_estimate,cpus,memory_mb,user,queue\n")
def csv(number: int, arrival: int, runtime: int, cpus: int) -> str:
    """Return a line of a table with the workload's own names."""
    return (
        f"job-{number:08d},{arrival},{runtime},{2 * runtime + 60},{cpus},{4096 * cpus},"
        f"user{number % 800},queue{number % 5}\n"
    )


@_lines(_OPENB)
def openb(number: int, arrival: int, runtime: int, cpus: int) -> str:
    """Return a line of a pod list as Alibaba's of 2023."""
    return (
        f"openb-pod-{number:07d},{1000 * cpus},{4096 * cpus},1,{460 + number % 500},,"
        f"{('LS', 'BE', 'Burstable')[number % 3]},Running,{arrival},{arrival + runtime + 5},{arrival + 5}\n"
    )


@_lines("")
def gavel(number: int, arrival: int, runtime: int, _cpus: int) -> str:
    """Return a line of a trace of Shockwave, which states durations."""
    return (
        f"ResNet-50 (batch size {16 << number % 4})\tpython3 main.py -j 4 -a resnet50 -b 64 %s/imagenet/\t"
        f"image_classification/imagenet\t--num_minibatches\t1\t{100 * runtime + 1}\t{1 << number % 4}\t"
        f"static\t1\t-1.000000\t{runtime}\t{arrival:.6f}\n"
    )


def table(tasks: Workload, path: Path) -> None:
    """Write a parquet file with the workload's own names."""
    number = np.arange(len(tasks))
    parquet.write_table(
        pa.table(
            {
                "external_id": [f"job-{place:08d}" for place in number.tolist()],
                "arrival_time": tasks.arrival_time,
                "runtime": tasks.runtime,
                "cpus": tasks.cpus,
                "memory_mb": 4096 * tasks.cpus,
                "user": [f"user{place % 800}" for place in number.tolist()],
            }
        ),
        path,
    )


FORMATS: dict[str, Writer] = {
    "swf": swf,
    "sacct": sacct,
    "csv": csv,
    "openb": openb,
    "gavel": gavel,
    "parquet": table,
}
"""By the name that the importer knows it by."""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS), metavar="F")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the files here, and use those that are there")
    parser.add_argument("--import-file", help=argparse.SUPPRESS)
    parser.add_argument("--format", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.import_file:
        _import(arguments.import_file, arguments.format)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        empty = Path(made) / "empty.sqlite3"
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, check=True, env=os.environ | _database(empty)
        )
        heads = f"{'file MB':>8} {'stored MB':>9} {'peak MB':>8} {'above':>7} {'x':>5} {'s':>7}"
        print(f"{'format':8} {'tasks':>10} {heads}")
        for tasks in arguments.tasks:
            for name in arguments.formats:
                _measure(name, tasks, folder / f"{name}-{tasks}", empty, Path(made) / "own.sqlite3")


def _measure(name: str, tasks: int, path: Path, empty: Path, own: Path) -> None:
    """Print a line: peak of the process, its part above what it took before, and that over what is stored."""
    if not path.exists():
        FORMATS[name](generate_workload("lublin", tasks=tasks, seed=0).workload, path)
    shutil.copy(empty, own)
    command = [sys.executable, "-m", "benchmarks.import_memory", "--import-file", str(path), "--format", name]
    done = subprocess.run(
        command, cwd=ROOT, check=True, env=os.environ | _database(own), stdout=subprocess.PIPE, text=True
    )
    found = json.loads(done.stdout)
    above, stored = found["peak"] - found["before"], (own.stat().st_size - empty.stat().st_size) / 2**20
    print(
        f"{name:8} {found['tasks']:>10,} {path.stat().st_size / 2**20:>8.1f} {stored:>9.1f} {found['peak']:>8.0f} "
        f"{above:>7.0f} {above / stored:>5.2f} {found['seconds']:>7.1f}",
        flush=True,
    )
    own.unlink()


def _database(path: Path) -> dict[str, str]:
    return {"DATABASE_URL": f"sqlite:///{path}", "DJANGO_SETTINGS_MODULE": "scheduler_sim.settings"}


def _import(file: str, name: str) -> None:
    """Import one file and print what it took as JSON: MB before and at the peak, seconds, tasks."""
    import django
    from django.db import connection

    django.setup()
    from apps.tasks.services import workload_import

    connection.ensure_connection()
    before, began = _peak(), time.perf_counter()
    workload, _ = workload_import(file=file, format=name)
    seconds = time.perf_counter() - began
    tasks = workload.task_count
    peak = _peak()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    print(json.dumps({"before": before, "peak": peak, "seconds": seconds, "tasks": tasks}))


def _peak() -> float:
    """Return the most MB that this program held; what getrusage says begins with the peak of its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def _rows(tasks: Workload) -> Iterator[tuple[int, int, int]]:
    """Give arrival and run time in whole seconds and cores of each task."""
    yield from zip(
        tasks.arrival_time.astype(np.int64).tolist(),
        tasks.runtime.astype(np.int64).tolist(),
        tasks.cpus.astype(np.int64).tolist(),
        strict=True,
    )


def _clock(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    return f"{days}-{rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d}"


if __name__ == "__main__":
    main()
