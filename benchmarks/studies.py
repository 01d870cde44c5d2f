"""How long a study takes from nothing to its figures, how that falls with worker processes, and what many would take.

Usage: DATABASE_URL=postgres://... python -m benchmarks.studies [--tasks 10000] [--seeds 10] [--workers 1,2]
                                                                [--plan-tasks 1000000]

It plays a study of 10 loads and 5 policies a number of workers, each from nothing, and prints a line each; then it
plays one run of --plan-tasks tasks (0: none) and computes from what it took a study of 10,000 such runs on 100
machines. Everything goes to the database that DATABASE_URL names, and stays there.
"""

import os
import resource
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.project import described

if TYPE_CHECKING:
    from django.db.models import Model

    from apps.studies.definition import Definition

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")

LOADS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
POLICIES = ["fcfs", "sjf", "fcfs+easy", "sjf+easy", "f1+easy"]
PLANNED_RUNS, PLANNED_WORKLOADS, MACHINES, CORES = 10_000, 100, 100, (2, 16)


def main() -> None:
    """Measure what the arguments ask for, and print it."""
    parser = described(__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--workers", default="1,2", help="numbers of processes, each played as a study of its own; empty: none"
    )
    parser.add_argument("--plan-tasks", type=int, default=1_000_000, help="tasks of the run that planning rests on")
    given = parser.parse_args()

    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    print(
        f"{connection.vendor}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; {given.tasks:,} tasks, "
        f"{len(LOADS)} loads x {given.seeds} seeds x {len(POLICIES)} policies, keep: summary"
    )
    if given.workers:
        scaling([int(one) for one in given.workers.split(",")], tasks=given.tasks, seeds=given.seeds)
    if given.plan_tasks:
        plan(measure_one(given.plan_tasks), tasks=given.plan_tasks)


def definition(name: str, *, tasks: int, **changes: Any) -> "Definition":
    """Return a study whose workloads nobody has, so that it begins from nothing."""
    from apps.studies.definition import Definition

    parameters = {"processors": 256, "load": 1.0 + time.time() % 1e6 * 1e-12}
    document = {
        "name": f"benchmark {name} {time.time():.0f}",
        "workloads": [{"generate": "lublin", "tasks": tasks, "parameters": parameters}],
        "load_factors": LOADS,
        "clusters": ["hpc-256"],
        "policies": POLICIES,
    }
    return Definition.from_json({**document, **changes})


def scaling(numbers: list[int], *, tasks: int, seeds: int) -> None:
    """Play the study once for each number of workers, and print a line each.

    `store` generates and stores the workloads and the runs' rows, `play` ends with the study's figures and intervals.
    CPU seconds are of the workers, their start included, and of this process.
    """
    from apps.studies.play.execution import study_play
    from apps.studies.report.tables import study_document

    print(
        f"{'workers':>8} {'runs':>6} {'plays':>6} {'store s':>8} {'play s':>8} {'all s':>8} {'speed-up':>9} "
        f"{'median run s':>13} {'CPU s a run':>12} {'own CPU s':>10} {'load':>5}"
    )
    first = 0.0
    for workers in numbers:
        wanted = definition(f"{workers} workers", tasks=tasks, seeds=seeds)
        began, of_workers, own = time.perf_counter(), _cpu_seconds(resource.RUSAGE_CHILDREN), time.process_time()
        stored = 0.0

        def advanced(_done: int, _total: int, began: float = began) -> None:
            nonlocal stored
            stored = stored or time.perf_counter() - began

        outcome = study_play(wanted, workers=workers, advanced=advanced)
        document = study_document(outcome.study)
        took = time.perf_counter() - began
        assert outcome.finished == outcome.runs == len(LOADS) * seeds, outcome
        assert len(document["cells"]) == len(LOADS)
        first = first or took - stored
        seconds = [(run.finished_at - run.started_at).total_seconds() for run in outcome.study.runs.all()]
        spent = _cpu_seconds(resource.RUSAGE_CHILDREN) - of_workers
        print(
            f"{workers:>8} {outcome.runs:>6} {outcome.runs * len(POLICIES):>6} {stored:>8.1f} {took - stored:>8.1f} "
            f"{took:>8.1f} {first / (took - stored):>9.2f} {statistics.median(seconds):>13.3f} "
            f"{spent / outcome.runs:>12.3f} {time.process_time() - own:>10.1f} {os.getloadavg()[0]:>5.1f}",
            flush=True,
        )


def _cpu_seconds(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Measured:
    """What one run took.

    Attributes:
        generate, read, play: processor seconds of this process; it reads the file of tasks.
        first_read, database_read: those of the first reading, which makes the file, of this process and of the
            database's; None where that is elsewhere.
        start: processor seconds until a new process is ready, its kernels loaded.
        task_bytes, figure_bytes: a task's and a run's figures' share of their tables.
        figure_rows: of a run.
    """

    generate: float
    first_read: float
    read: float
    play: float
    database_read: float | None
    start: float
    task_bytes: float
    figure_bytes: float
    figure_rows: int


def measure_one(tasks: int) -> Measured:
    """Play one run in this process, warmed up on a small one."""
    from apps.metrics.models import Metric
    from apps.studies.grid import runs_store, study_store
    from apps.studies.play.playing import _tasks, play_run
    from apps.tasks.models import Task

    began = _cpu_seconds(resource.RUSAGE_CHILDREN)
    small = definition("start", tasks=1_000, load_factors=[0.8], seeds=1)
    play_in_new_process(small)
    start = _cpu_seconds(resource.RUSAGE_CHILDREN) - began
    again = definition("warm", tasks=1_000, load_factors=[0.8], seeds=1)
    play_run(runs_store(study_store(again), again)[0].pk)

    wanted = definition("one", tasks=tasks, load_factors=[0.8], seeds=1)
    began = time.process_time()
    run = runs_store(study_store(wanted), wanted)[0]
    generate = time.process_time() - began
    began, of_database = time.process_time(), _database_cpu()
    _tasks(run.workload_id, None)
    first_read, after = time.process_time() - began, _database_cpu()
    _tasks.cache_clear()
    began = time.process_time()
    _tasks(run.workload_id, None)
    read = time.process_time() - began
    began = time.process_time()
    status = play_run(run.pk)
    play = time.process_time() - began
    assert status == "finished", status
    return Measured(
        generate=generate,
        first_read=first_read,
        read=read,
        play=play,
        database_read=None if of_database is None or after is None else after - of_database,
        start=start,
        task_bytes=_bytes_a_row(Task),
        figure_bytes=_bytes_a_row(Metric) * Metric.objects.filter(run=run).count(),
        figure_rows=Metric.objects.filter(run=run).count(),
    )


def play_in_new_process(wanted: "Definition") -> None:
    """Play a study of one run with one worker."""
    from apps.studies.play.execution import study_play

    outcome = study_play(wanted, workers=1)
    assert outcome.finished == 1, outcome


def _database_cpu() -> float | None:
    """Return the processor seconds of the database's process behind this connection, if it is on this machine."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [process_id] = cursor.fetchone()
    status = Path(f"/proc/{process_id}/stat")
    if not status.exists() or "postgres" not in status.read_text():
        return None
    fields = status.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _bytes_a_row(model: type["Model"]) -> float:
    """Return what a row takes with its indexes, on average over the table; 0 where the database does not say."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return 0.0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size(%s)", [model._meta.db_table])
        [size] = cursor.fetchone()
    return float(size) / max(1, model._base_manager.count())


def plan(one: Measured, *, tasks: int) -> None:
    """Print what the planned runs would take, multiplied from one run on one machine."""
    print(f"\nOne run of {len(POLICIES)} policies on {tasks:,} tasks, processor seconds:")
    database = "not known" if one.database_read is None else f"{one.database_read:.1f}"
    print(
        f"  start of a process {one.start:.1f}, generating and storing the tasks {one.generate:.1f}, reading them "
        f"first {one.first_read:.1f} (the database {database}) and then from their file {one.read:.2f}, "
        f"playing with figures and checksum {one.play:.1f}; "
        f"{one.task_bytes:.0f} bytes a task, {one.figure_rows} rows of figures a run, {one.figure_bytes / 1e6:.2f} MB."
    )
    a_run = one.read + one.play
    print(f"\nOn paper: {PLANNED_RUNS:,} such runs ({PLANNED_WORKLOADS} workloads) on {MACHINES} machines")
    lines = [("processor time of all runs", f"{PLANNED_RUNS * a_run / 3600:,.0f} core-hours")]
    for cores in CORES:
        processes = MACHINES * cores
        rounds = -(-PLANNED_RUNS // processes)
        lines.append(
            (
                f"{MACHINES} machines of {cores} cores",
                f"{processes:,} processes x {rounds} rounds of {a_run:.0f} s and a start: "
                f"{(rounds * a_run + one.start) / 60:.1f} min, if the database keeps up",
            )
        )
    lines.append(
        (
            "generating, on one core before it starts",
            f"{PLANNED_WORKLOADS * one.generate / 60:.0f} min",
        )
    )
    if one.database_read is not None:
        for what, times in (("machine", PLANNED_WORKLOADS * MACHINES), ("workload", PLANNED_WORKLOADS)):
            total = times * one.database_read
            lines.append(
                (
                    f"the database, tasks read once a {what}",
                    f"{total / 3600:.2f} core-hours: {total / 16 / 60:.1f} min on 16",
                )
            )
    lines += [
        ("stored tasks", f"{PLANNED_WORKLOADS * tasks * one.task_bytes / 1e9:.1f} GB"),
        (
            "stored figures",
            f"{PLANNED_RUNS * one.figure_rows:,} rows, {PLANNED_RUNS * one.figure_bytes / 1e9:.1f} GB",
        ),
    ]
    for what, much in lines:
        print(f"  {what:<42} {much}")


if __name__ == "__main__":
    main()
