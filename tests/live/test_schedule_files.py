"""Files of schedules: what they hold is what the database holds, and nothing else is ever read from them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.dashboard.schedule import placements as schedule
from apps.live.play import conclusion
from apps.live.play.runner import Runner
from apps.results import schedule_files
from apps.results.models import Run, SchedulerResult
from apps.results.schedule_files import COLUMNS, schedule_read, schedule_write
from apps.results.services import placements_delete, run_delete
from apps.tasks import stored_tasks
from apps.tasks.stored_tasks import load_tasks
from scheduler_sim.columnar import kept_files
from scheduler_sim.columnar.kept_files import files_beyond, mark_used
from tests.conftest import empty_caches
from tests.files import unreadable
from tests.live.filed_cases import created_run
from tests.results.rows import make_run

pytestmark = pytest.mark.django_db

RESULTS = f'FROM "{SchedulerResult._meta.db_table}"'


@pytest.fixture(autouse=True)
def files(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep files in a folder of the test's own, of the smallest runs too."""
    settings.VAR_DIR, settings.SCHEDULE_FILES_MB, settings.TASK_FILES_MB = tmp_path, 100, 100
    monkeypatch.setattr(schedule_files, "FEWEST_FILED", 1)
    monkeypatch.setattr(stored_tasks, "FEWEST_FILED", 1)
    empty_caches()
    return tmp_path / "schedules"


def finished(tasks: int, name: str = "run") -> Run:
    """Return a finished run with a checksum."""
    run = make_run(tasks, name)
    run.checksum = "a" * 64
    run.save()
    return run


def stored(run: Run, scheduler: str) -> dict[str, Any]:
    """Return what the database holds of a policy, by task."""
    read = SchedulerResult.objects.of_policy(run, scheduler, list(COLUMNS.items()))
    read.sort(order="task_id")
    return {name: read[name] for name in COLUMNS}


def is_stored(run: Run, scheduler: str) -> bool:
    """Tell whether a file holds what the database holds."""
    found, wanted = schedule_read(run, scheduler), stored(run, scheduler)
    return found is not None and all(np.array_equal(found[name], wanted[name]) for name in COLUMNS)


@pytest.mark.django_db(transaction=True)
def test_a_run_leaves_its_schedules_and_pages_draw_from_them_what_they_draw_from_the_database(
    files: Path, settings: Any, client: Client
) -> None:
    run = created_run("a run", policies=("fcfs", "sjf+easy"), keep="results", load_factor=1.5)
    Runner(run).play()
    run.refresh_from_db()
    assert len(list(files.iterdir())) == 2
    assert all(is_stored(run, scheduler) for scheduler in run.policies)
    compared = [f"/compare/{what}runs={run.pk}" for what in ("?format=csv&", "charts.json?")]
    addresses = [*compared, f"/runs/{run.pk}/gantt.json"]
    with CaptureQueriesContext(connection) as found:
        shown = [client.get(address).content for address in addresses]
    # One look at whether the tasks may have failed.
    read = [one["sql"] for one in found.captured_queries if RESULTS in one["sql"].partition(" WHERE ")[0]]
    assert len(read) == 1
    assert '"task_id" IN (' in read[0]
    settings.SCHEDULE_FILES_MB = settings.TASK_FILES_MB = 0
    empty_caches()
    assert [client.get(address).content for address in addresses] == shown


def test_the_first_reader_makes_a_file_that_is_not_there_of_all_placements_or_of_none(files: Path) -> None:
    run = finished(5)
    seen = schedule.placements(run, "fcfs")
    assert is_stored(run, "fcfs")
    assert len(list(files.iterdir())) == 1
    empty_caches()
    load_tasks(workload_id=run.workload_id)
    run = Run.objects.get(pk=run.pk)
    again = schedule.placements(run, "fcfs")
    assert all(np.array_equal(getattr(again, name), column) for name, column in vars(seen).items())
    shutil.rmtree(files)
    empty_caches()
    SchedulerResult.objects.filter(run=run)[0].delete()
    assert len(schedule.placements(run, "fcfs")) == 4
    assert not files.exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def turned(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = content.index(np.array(1.25).tobytes())
    content[place] ^= 1
    path.write_bytes(content)


def short(path: Path) -> None:
    with np.load(path) as archive:
        held = dict(archive)
    with path.open("wb") as file:
        np.savez(file, **{**held, "start_time": held["start_time"][:2]})


@pytest.mark.parametrize("damage", [cut, turned, short, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_taken_away_and_made_anew(
    files: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    run = finished(5)
    schedule_write(run, "fcfs", stored(run, "fcfs"))
    [path] = files.iterdir()
    damage(path)
    assert schedule_read(run, "fcfs") is None
    assert f"The schedule {path} is not used" in caplog.text
    assert list(files.iterdir()) == []
    empty_caches()
    schedule.placements(run, "fcfs")
    assert is_stored(run, "fcfs")


def test_a_file_is_not_that_of_a_run_that_holds_anything_else(files: Path) -> None:
    run = finished(5)
    schedule_write(run, "fcfs", stored(run, "fcfs"))
    changes: tuple[dict[str, Any], ...] = (
        {"checksum": "b" * 64},
        {"rows_written": 12},
        {"workload_id": 7},
        {"finished_at": run.created_at},
    )
    for change in changes:
        other = Run.objects.get(pk=run.pk)
        vars(other).update(change)
        assert schedule_read(other, "fcfs") is None
    changes = ({"status": Run.Status.STOPPED}, {"checksum": ""}, {"configuration": {"keep": "parquet"}})
    for change in changes:
        other = Run.objects.get(pk=run.pk)
        vars(other).update(change)
        schedule_write(other, "sjf+easy", stored(run, "sjf+easy"))
    assert len(list(files.iterdir())) == 1
    assert is_stored(run, "fcfs")


def test_files_go_with_their_run_and_with_its_placements(
    files: Path, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    runs = [finished(5, f"run {number}") for number in range(2)]
    for run in runs:
        schedule_write(run, "fcfs", stored(run, "fcfs"))
    with django_capture_on_commit_callbacks(execute=True):
        run_delete(run=runs[0])
    [path] = files.iterdir()
    assert path.name.startswith(f"{runs[1].pk}-")
    placements_delete(run=runs[1])
    assert list(files.iterdir()) == []


def test_those_used_longest_ago_go_and_what_cannot_be_written_is_said(
    files: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = finished(5)
    schedule_write(run, "fcfs", stored(run, "fcfs"))
    [path] = files.iterdir()
    settings.SCHEDULE_FILES_MB = 1.5 * path.stat().st_size / 1_000_000
    schedule_write(run, "sjf+easy", stored(run, "sjf+easy"))
    assert len(list(files.iterdir())) == 1
    assert is_stored(run, "sjf+easy")
    settings.SCHEDULE_FILES_MB = 0.0001
    schedule_write(run, "fcfs", stored(run, "fcfs"))
    assert "larger than SCHEDULE_FILES_MB" in caplog.text
    settings.SCHEDULE_FILES_MB = 100
    monkeypatch.setattr(Path, "replace", Mock(side_effect=PermissionError("not mine")))
    schedule_write(run, "fcfs", stored(run, "fcfs"))
    assert "no file of it can be written: not mine" in caplog.text
    assert len(list(files.iterdir())) == 1


@pytest.mark.parametrize(
    "failing", [(Path, "read_bytes", PermissionError("not mine")), (np, "load", MemoryError("no room"))]
)
@pytest.mark.usefixtures("files")
def test_a_good_file_that_cannot_be_read_now_stays(caplog: pytest.LogCaptureFixture, failing: Any) -> None:
    run = finished(5)
    schedule_write(run, "fcfs", stored(run, "fcfs"))
    with unreadable(caplog, *failing):
        assert schedule_read(run, "fcfs") is None
    assert is_stored(run, "fcfs")


def test_a_file_that_is_taken_away_while_it_is_read_stays_away(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished(5)
    schedule_write(run, "fcfs", stored(run, "fcfs"))
    [path] = files.iterdir()

    def taken_away(path: Path) -> None:
        path.unlink()
        mark_used(path)

    monkeypatch.setattr(schedule_files, "mark_used", taken_away)
    assert schedule_read(run, "fcfs") is not None
    assert not path.exists()


def test_what_is_being_written_stays_and_what_was_left_half_written_goes(tmp_path: Path) -> None:
    for name in ("begun.part", "left.part", "held.npz", "other.txt"):
        tmp_path.joinpath(name).write_bytes(bytes(900))
    os.utime(tmp_path / "left.part", (0, 0))
    assert set(files_beyond(tmp_path, ".npz", 1000)) == {tmp_path / "left.part"}
    assert set(files_beyond(tmp_path, ".npz", 1000, names={"held"})) == {tmp_path / "left.part"}


def test_prune_takes_away_files_of_no_run_and_beyond_the_limit(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    run = finished(9)
    for scheduler in run.policies:
        schedule_write(run, scheduler, stored(run, scheduler))
    kept = set(files.iterdir())
    (files / "7-nobodys.npz").write_bytes(b"x" * 10)
    monkeypatch.setattr(kept_files, "ABANDONED_SECONDS", -1)
    call_command("prune", "--schedule-files", "100")
    assert "and 1 files of schedules (10 bytes) would be deleted" in capsys.readouterr().out
    call_command("prune", "--schedule-files", "100", "--yes")
    assert "Deleted 1 files of schedules, 10 bytes." in capsys.readouterr().out
    assert kept
    assert set(files.iterdir()) == kept
    with pytest.raises(CommandError, match="--schedule-files is a number of megabytes from 0"):
        call_command("prune", "--schedule-files", "-1")
    newer = finished(9, "newer")
    for scheduler in newer.policies:
        schedule_write(newer, scheduler, stored(newer, scheduler))
    for path in kept:
        # Used last, and yet they take up no room, for they go with their run.
        os.utime(path, (2**32, 2**32))
    room = sum(path.stat().st_size for path in set(files.iterdir()) - kept) / 1e6
    call_command("prune", "--keep-runs", "1", "--schedule-files", str(room))
    assert "1 runs with" in (said := capsys.readouterr().out)
    assert "and 0 files of schedules" in said
    newer_files = set(files.iterdir()) - kept
    monkeypatch.setattr(transaction, "on_commit", lambda action, **_: action())
    call_command("prune", "--keep-runs", "1", "--schedule-files", str(room), "--yes")
    assert set(files.iterdir()) == newer_files
    call_command("prune", "--schedule-files", "0", "--yes")
    assert not list(files.iterdir())


@pytest.mark.django_db(transaction=True)
def test_a_run_whose_schedules_cannot_be_left_has_finished(
    files: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(conclusion, "schedule_write", Mock(side_effect=MemoryError))
    run = created_run("a run", policies=("fcfs",), keep="results")
    Runner(run).play()
    run.refresh_from_db()
    assert run.status == Run.Status.FINISHED
    assert "no files of them could be written" in caplog.text
