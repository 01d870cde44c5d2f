"""Exports hold every row once, whole files or none, and read back as what was stored."""

import csv
import io
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.live.exchange import exports, streams
from apps.live.exchange.files import file_write
from apps.results.models import SchedulerResult
from apps.tasks.models import Task, Workload
from apps.training.models import TrainingData
from tests.conftest import ROOT
from tests.results.rows import make_run, make_workload
from tests.web.conftest import make_training_rows

pytestmark = pytest.mark.django_db

WANTED = (
    "scheduler,task_id,node,device,gpu_fraction,start_time,finish_time,actual_time,wait_time,energy_joules,cost_usd"
)


def exported(*arguments: object) -> str:
    out = io.StringIO()
    call_command("exportdata", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_results_have_the_promised_columns_and_exact_figures() -> None:
    run = make_run(5)
    text = exported("results", "--run", run.name)
    assert text.startswith(WANTED)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(int(row["task_id"]), row["scheduler"]) for row in rows[:3]] == [
        (1, "fcfs"),
        (1, "sjf+easy"),
        (2, "fcfs"),
    ]
    stored = SchedulerResult.objects.order_by("task_id", "scheduler").values_list("energy_joules", flat=True)
    assert [float(row["energy_joules"]) for row in rows] == list(stored)


def test_every_format_holds_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "CHUNK_ROWS", 3)
    run = make_run(7)
    exported("results", "--run", run.pk, "--format", "parquet", "--output", tmp_path / "rows.parquet")
    parquet = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    lines = [json.loads(line) for line in exported("results", "--run", run.pk, "--format", "jsonl").splitlines()]
    assert parquet == lines
    assert len({(row["task_id"], row["scheduler"]) for row in lines}) == len(lines) == 14
    assert len(exported("results", "--run", run.pk).splitlines()) == 15


def test_an_export_of_nothing_has_its_columns(tmp_path: Path) -> None:
    workload = make_workload(0)
    assert exported("tasks", "--workload", workload.name).startswith("task_id,arrival_time,")
    exported("tasks", "--workload", workload.name, "--format", "parquet", "--output", tmp_path / "none.parquet")
    assert "arrival_time" in pq.read_table(tmp_path / "none.parquet").column_names


def test_tasks_metrics_and_training_data_are_exported() -> None:
    run = make_run(3)
    make_training_rows(run, 1)
    tasks = [json.loads(line) for line in exported("tasks", "--run", run.pk, "--format", "jsonl").splitlines()]
    assert [task["task_id"] for task in tasks] == [1, 2, 3]
    assert tasks[0]["dependencies"] == []
    assert exported("metrics", "--run", run.pk).startswith("scheduler,is_total,window_start_time")
    assert exported("groups", "--run", run.pk).startswith("grouped_by,scheduler,name,merged_count,task_count")
    (row,) = csv.DictReader(io.StringIO(exported("training", "--run", run.pk)))
    assert (row["task_id"], row["optimal_gpu_fraction"]) == ("1", "0.5")
    assert len(exported("training").splitlines()) == 2


def test_a_workload_goes_out_as_swf_and_comes_back(tmp_path: Path) -> None:
    make_workload(4, "out")
    path = tmp_path / "out.swf"
    exported("workload", "--workload", "out", "--format", "swf", "--output", path)
    call_command("importworkload", str(path), name="back", verbosity=0)
    names = ("task_id", "arrival_time", "runtime", "duration_estimate", "cpus")
    out, back = (list(Task.objects.filter(workload__name=name).values_list(*names)) for name in ("out", "back"))
    assert out == back


def test_memory_and_queries_follow_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(10)
    monkeypatch.setattr(exports, "CHUNK_ROWS", 5)
    with CaptureQueriesContext(connection) as captured:
        pieces = list(streams.stream(exports.results_export(run), "csv"))
    assert len(pieces) == 4
    assert len(captured) == 6


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"some"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        file_write(tmp_path / "rows.csv", broken())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("results",), "Say whose results"),
        (("results", "--run", "nobody"), "no run 'nobody'"),
        (("results", "--workload", "x"), "belong to a run"),
        (("workload",), "Say which workload"),
        (("workload", "--workload", "nothing"), "no workload 'nothing'"),
    ],
)
def test_a_wrong_question_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        exported(*arguments)


def test_results_have_no_swf() -> None:
    run = make_run(1)
    with pytest.raises(CommandError, match="Only a workload"):
        exported("results", "--run", run.pk, "--format", "swf")


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    run = make_run(1)
    with pytest.raises(CommandError, match="cannot be written"):
        exported("results", "--run", run.pk, "--output", tmp_path / "none" / "rows.csv")


def test_the_old_csv_holds_the_quickest_placement_of_each_task(tmp_path: Path) -> None:
    run = make_run(2, policies=("fcfs", "fcfs@oracle", "sjf"))
    rows = SchedulerResult.objects
    rows.filter(scheduler="sjf", task__task_id=1).update(actual_time=0.5, gpu_fraction=0.75)
    rows.filter(scheduler="fcfs@oracle").update(gpu_fraction=0.25)
    path = exports.history_csv_write(run=run, folder=tmp_path / "made")
    lines = list(csv.DictReader(path.open()))
    assert list(lines[0]) == [
        "task_id",
        "size",
        "compute_intensity",
        "memory_required",
        "optimal_gpu_fraction",
        "optimal_time",
    ]
    assert [(line["task_id"], line["optimal_gpu_fraction"], line["optimal_time"]) for line in lines] == [
        ("1", "0.75", "0.5"),
        ("2", "0.25", "1.0"),
    ]
    call_command("importhistory", str(path), verbosity=0)
    assert TrainingData.objects.count() == 2
    assert Workload.objects.count() == 1


KILLED = """
import os, sys, time
from pathlib import Path
from apps.live.exchange.files import file_write

def slow():
    yield b"some rows"
    print("writing", flush=True)
    time.sleep(60)

file_write(Path(sys.argv[1]), slow())
"""


def test_what_a_killed_export_left_says_what_it_is_and_goes_with_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "rows [1].csv"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        (left,) = tmp_path.iterdir()
        assert left.name == f"rows [1].csv.unfinished-{process.pid}"
        file_write(path, iter([b"other rows"]))
        assert left.exists()  # Its process lives.
    finally:
        process.kill()
        process.communicate()
    assert left.exists()
    file_write(path, iter([b"rows"]))
    assert [(item.name, item.read_bytes()) for item in tmp_path.iterdir()] == [(path.name, b"rows")]


def test_an_export_that_finds_no_room_says_so_and_leaves_no_file(tmp_path: Path) -> None:
    run = make_run(200)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path = tmp_path / "rows.csv"
    try:
        # The kernel's own limit on the size of a file stands for a disk that is full.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(CommandError, match=r"rows\.csv cannot be written: File too large"):
            exported("results", "--run", run.pk, "--output", path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []
