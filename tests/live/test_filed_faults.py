"""Files of placements that are gone, replaced or out of reach, and folders that cannot be removed."""

import os
from collections.abc import Iterator
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.dashboard.schedule.placements import _readers, placements
from apps.live.checking.integrity import run_check
from apps.live.exchange.electricity_columns import placements_electricity
from apps.live.models import SimulationState
from apps.live.play import file_writer
from apps.live.play.runner import Runner
from apps.results import filed_rows, placement_files
from apps.results.errors import DomainError
from apps.results.filed_rows import FiledRows
from apps.results.models import PlacementFile, Run, RunDeletion, SchedulerResult
from apps.results.placement_files import PlacementFileMissing, files_sweep, folder_name, path_of, root
from apps.results.services import deletions_finish, run_delete
from apps.results.verification import run_verify
from apps.tasks.models import Task
from tests.live.filed_cases import TASKS, created_run, small_files

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _small_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any) -> Iterator[None]:
    with small_files(monkeypatch, tmp_path, settings):
        yield


def created(name: str = "filed") -> Run:
    return created_run(name, policies=("fcfs", "srtf"))


def played(run: Run, **settings: Any) -> Run:
    Runner(run, **settings).play()
    return Run.objects.get(pk=run.pk)


@pytest.fixture
def run() -> Run:
    return played(created())


def first_file(run: Run) -> PlacementFile:
    one = PlacementFile.objects.of_run(run, "placements").first()
    assert isinstance(one, PlacementFile)
    return one


def test_missing_files_are_told_of_and_the_other_runs_are_looked_at(run: Run) -> None:
    other = played(created("other"))
    gone = [path_of(run, one) for one in PlacementFile.objects.of_run(run, "placements")[:2]]
    for path in gone:
        path.unlink()
    found = run_check(run=run)
    assert [fault.partition(" with ")[0] for fault in found.faults] == [
        f"The file placements/{path.parent.name}/{path.name}" for path in gone
    ]
    assert not found.is_whole
    with pytest.raises(CommandError, match="cannot be read: No such file or directory"):
        call_command("verifyrun", run.name, stdout=StringIO())
    out = StringIO()
    with pytest.raises(CommandError, match="1 of 2 runs are not"):
        call_command("verifyrun", "--all", stdout=out)
    lines = out.getvalue().splitlines()
    assert lines[0].startswith(f"{run.pk} filed: NOT as it should be. The file placements/")
    assert lines[1] == f"{other.pk} other: {2 * TASKS} placements as they should be."


def test_whatever_goes_wrong_with_a_run_the_next_ones_are_looked_at(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise DomainError("It went wrong.")

    monkeypatch.setattr("apps.live.management.commands.verifyrun.run_check", refuse)
    out = StringIO()
    with pytest.raises(CommandError, match="1 of 1 runs are not"):
        call_command("verifyrun", "--all", stdout=out)
    assert out.getvalue() == f"{run.pk} filed: NOT as it should be. It went wrong.\n"


def test_a_folder_that_cannot_be_removed_keeps_its_note_and_holds_up_no_other(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = played(created("other"))
    kept = root() / folder_name(run)
    unlink = os.unlink

    def refuse(path: Any, **options: Any) -> None:
        if Path(f"/proc/self/fd/{options['dir_fd']}").readlink() == kept:
            raise PermissionError(13, "Permission denied")
        unlink(path, **options)

    for one in (run, other):
        run_delete(run=one)
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        deletions_finish()
    assert [one.folder for one in RunDeletion.objects.all()] == [kept.name]
    assert list(root().iterdir()) == [kept]
    deletions_finish()
    assert not list(root().iterdir())
    assert not RunDeletion.objects.exists()


def test_what_another_process_removes_at_that_moment_ends_no_removal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink, removed = os.unlink, []

    def twice(path: Any, **options: Any) -> None:
        unlink(path, **options)
        removed.append(path)
        if len(removed) == 1:
            unlink(path, **options)

    run_delete(run=run)
    monkeypatch.setattr(os, "unlink", twice)
    deletions_finish()
    assert len(removed) > 2
    assert not list(root().iterdir())
    assert not RunDeletion.objects.exists()


def test_a_note_stays_while_the_folder_of_all_runs_is_not_mounted(run: Run, settings: Any, tmp_path: Path) -> None:
    run_delete(run=run)
    root().rename(tmp_path / "away")
    deletions_finish()
    assert RunDeletion.objects.count() == 1
    (tmp_path / "away").rename(root())
    deletions_finish()
    assert not RunDeletion.objects.exists()
    assert not list(root().iterdir())


def test_what_cannot_be_swept_away_ends_no_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    left = root() / folder_name(run) / "left.part"
    left.touch()

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        files_sweep(run)
    assert left.exists()
    files_sweep(run)
    assert not left.exists()


def test_a_run_whose_folder_is_not_mounted_is_not_begun_anew(run: Run, tmp_path: Path) -> None:
    Run.objects.filter(pk=run.pk).update(status=Run.Status.STOPPED, checksum="", finished_at=None, digests=None)
    root().rename(tmp_path / "away")
    for there in (False, True):
        if there:
            root().mkdir()
        with pytest.raises(DomainError, match=r"The folder .* with placements of run filed is not there: mount it"):
            Runner(Run.objects.get(pk=run.pk)).play()
        assert SchedulerResult.objects.count_of(run) == 2 * TASKS
    root().rmdir()
    (tmp_path / "away").rename(root())
    assert played(Run.objects.get(pk=run.pk)).checksum == run.checksum


def test_a_folder_that_the_settings_name_is_not_made(tmp_path: Path) -> None:
    root().rmdir()
    with pytest.raises(DomainError, match=r"cannot be written to .* \(No such file or directory\); once they can"):
        Runner(created()).play()
    assert not root().exists()


class _PauseOnce:
    """Pauses a run once so many tasks have finished, lets it go on, and notes how many rows there are all along."""

    def __init__(self, run: Run, finished: int) -> None:
        self.run, self.finished = run, finished
        self.paused = False
        self.written: list[int] = []

    def stepped(self, runner: Runner) -> None:
        self.written.append(SchedulerResult.objects.count_of(self.run))
        if runner.finished >= self.finished and not self.paused:
            self.paused = True
            SimulationState.objects.filter(run=self.run).update(command="pause")

    def started(self, runner: Runner) -> None:
        runner._step_events = 20

    def changed(self, runner: Runner) -> None:
        if Run.objects.get(pk=self.run.pk).status == Run.Status.PAUSED:
            SimulationState.objects.filter(run=self.run).update(command="resume")

    def ended(self, runner: Runner) -> None:
        pass


@pytest.mark.parametrize("finished", [120, 300])
def test_what_a_pause_wrote_is_shown_until_whole_files_hold_it(
    finished: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.live.play.runner.LARGEST_STEP_EVENTS", 20)
    monkeypatch.setattr(file_writer, "FILE_ROWS", 32)
    again = created("paused")
    watcher = _PauseOnce(again, finished)
    found = played(again, observers=[watcher], tasks_per_second=3000)
    assert watcher.paused
    assert watcher.written == sorted(watcher.written)
    assert found.checksum == run.checksum
    assert run_verify(run=found).faults == ()
    assert not PlacementFile.objects.filter(run=again, has_gaps=True).exists()
    for scheduler in again.policies:
        ends = PlacementFile.objects.of_run(again, "placements").filter(scheduler=scheduler)
        pairs = list(ends.values_list("first_task", "last_task"))
        assert all(last < first for (_, last), (first, _) in pairwise(pairs))


def replaced(run: Run, node: int) -> None:
    """Put a file with the same tasks in the place of the first one, as a run that goes on does."""
    one = first_file(run)
    rows = FiledRows(run, SchedulerResult, "placements").read("fcfs", [("task_id", np.int64)])["task_id"]
    keys = rows[(rows >= one.first_task) & (rows <= one.last_task)]
    other = placement_files.file_write(run, "fcfs", "placements", {"task_id": keys, "node": node})
    one.delete()
    other.save()
    files_sweep(run)


def test_who_reads_while_files_are_replaced_reads_the_new_ones(run: Run) -> None:
    rows = FiledRows(run, SchedulerResult, "placements")
    assert rows.schedulers() == ["fcfs", "srtf"]
    replaced(run, 1)
    assert len(rows.read("fcfs", [("task_id", np.int64)])) == TASKS
    pages = FiledRows(run, SchedulerResult, "placements")
    assert pages.count() == 2 * TASKS
    replaced(run, 2)
    assert sum(len(page) for page in pages.pages(["task_id"], 50, schedulers=["fcfs"])) == TASKS
    begun = FiledRows(run, SchedulerResult, "placements").pages(["task_id"], 10, schedulers=["fcfs"], backwards=True)
    assert len(next(begun)) == 10
    replaced(run, 3)
    with pytest.raises(PlacementFileMissing, match="was replaced while it was read; ask again"):
        list(begun)


def test_who_reads_a_run_that_is_deleted_is_told_so(run: Run) -> None:
    rows = FiledRows(run, SchedulerResult, "placements")
    assert rows.count() == 2 * TASKS
    run_delete(run=run)
    deletions_finish()
    with pytest.raises(PlacementFileMissing, match=r"^Run filed was deleted while its placements were read\.$"):
        rows.read("fcfs", [("task_id", np.int64)])


def test_a_file_that_may_not_be_read_is_not_said_to_be_gone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    rows = FiledRows(run, SchedulerResult, "placements")
    with monkeypatch.context() as patched:
        patched.setattr(filed_rows, "_open", refuse)
        with pytest.raises(PlacementFileMissing, match=r"of run filed cannot be read: Permission denied\.$"):
            rows.read("fcfs", [("task_id", np.int64)])


def test_instants_of_a_run_without_its_files_answer_as_other_pages_do(run: Run, client: Client) -> None:
    for path in root().rglob("*.parquet"):
        path.unlink()
    client.raise_request_exception = False
    for address in (
        f"/api/v1/runs/{run.pk}/at/40000/",
        f"/runs/{run.pk}/at/40000/?policy=fcfs",
        f"/runs/{run.pk}/at/frames.json?from=40000&policy=fcfs",
        f"/runs/{run.pk}/at/gantt.json?from=0&to=40000&policy=fcfs",
    ):
        answer = client.get(address)
        assert answer.status_code == 503, address
        assert "is not there" in answer.content.decode(), address


def test_a_page_of_scattered_tasks_reads_those_alone(
    run: Run, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    keys = np.array(Task.objects.order_by("pk").values_list("pk", flat=True), np.int64)[[0, 1, 150, -1]]
    rows = FiledRows(run, SchedulerResult, "placements")
    table = next(iter(rows._chosen("fcfs", ["task_id"], keys[:1])))
    scattered = type(table).from_pydict({"task_id": keys})
    with django_assert_num_queries(1) as asked:
        numbers = rows._values(scattered, "task__task_id")
    assert " IN (" in asked.captured_queries[0]["sql"]
    assert numbers == [Task.objects.get(pk=key).task_id for key in keys.tolist()]


def test_who_reads_a_run_under_way_waits_for_no_other_reader(run: Run) -> None:
    run.status = Run.Status.RUNNING
    for lock in _readers:
        lock.acquire()
    try:
        assert len(placements(run, "fcfs")) == TASKS
    finally:
        for lock in _readers:
            lock.release()


def test_electricity_of_a_page_counts_no_attempts(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(filed_rows.FiledRows, "counts", lambda _: pytest.fail("attempts are counted"))
    names = ("scheduler", "key", "kind", "energy_joules", "start_time", "finish_time")

    class Reckoner:
        def told(self, groups: Any) -> Any:
            return []

    of = placements_electricity(run, Reckoner(), names)  # type: ignore[arg-type]
    assert of([]) == []
