"""A run that keeps its placements in Parquet files reads like one that keeps them in the database."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import numpy as np
import pytest
from django.test import Client

from apps.dashboard.answers.group_tasks import group_tasks
from apps.live.checking.integrity import run_check
from apps.live.exchange.exports import attempts_export, history_rows, results_export
from apps.live.exchange.streams import CannotExport, stream
from apps.live.models import SimulationState
from apps.live.play import file_writer
from apps.live.play.runner import Runner
from apps.live.wire.replay import Film
from apps.metrics.models import GroupMetric
from apps.results import filed_rows, placement_files
from apps.results.errors import DomainError
from apps.results.models import Attempt, PlacementFile, Run, RunDeletion, SchedulerResult
from apps.results.placement_files import PlacementFileMissing, path_of, root
from apps.results.services import deletions_finish, run_delete
from apps.results.verification import run_verify
from apps.tasks.models import Task
from tests.live.filed_cases import TASKS, Keep, created_run, small_files

pytestmark = pytest.mark.django_db(transaction=True)

POLICIES = ("fcfs", "sjf+easy", "srtf")


@pytest.fixture(autouse=True)
def _small_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any) -> Iterator[None]:
    with small_files(monkeypatch, tmp_path, settings):
        yield


def created(keep: Keep, *, policies: tuple[str, ...] = POLICIES, **more: Any) -> Run:
    return created_run(keep, keep=keep, policies=policies, **more)


def played(run: Run, **settings: Any) -> Run:
    Runner(run, **settings).play()
    return Run.objects.get(pk=run.pk)


@pytest.fixture
def both() -> tuple[Run, Run]:
    """The same run twice: its placements in the database, and in files."""
    first = played(created("results"))
    return first, played(created("parquet", workload=first.workload))


def exported(
    run: Run, format_name: str, *, what: Callable[..., Any] = results_export, unfinished: bool = False
) -> bytes:
    return b"".join(stream(what(run, unfinished=unfinished), format_name))


def test_it_has_the_same_checksum_and_no_rows_in_the_database(both: tuple[Run, Run]) -> None:
    stored, filed = both
    assert filed.checksum == stored.checksum
    assert filed.rows_written == stored.rows_written == filed.rows_expected == TASKS * len(POLICIES)
    assert not SchedulerResult.objects.filter(run=filed).exists()
    assert not Attempt.objects.filter(run=filed).exists()
    files = PlacementFile.objects.filter(run=filed)
    assert files.filter(holds="placements").count() == 15
    assert files.filter(holds="attempts", scheduler="srtf").exists()
    assert {path.name for path in root().rglob("*.*")} == {one.name for one in files}
    assert SimulationState.objects.get(run=filed).progress == dict.fromkeys(POLICIES, TASKS)


def test_every_export_is_the_same_file(both: tuple[Run, Run]) -> None:
    for what in (results_export, attempts_export):
        for format_name in ("csv", "jsonl", "parquet"):
            stored, filed = (exported(run, format_name, what=what) for run in both)
            assert stored == filed


def test_the_old_systems_columns_are_the_same(both: tuple[Run, Run]) -> None:
    stored, filed = (list(history_rows(run)) for run in both)
    assert stored == filed


def test_it_is_verified_and_its_figures_are_computed_again_from_its_files(both: tuple[Run, Run]) -> None:
    found = [run_check(run=run, replay=True) for run in both]
    assert [one.faults for one in found] == [(), ()]
    assert found[0].counted == found[1].counted
    assert found[0].notes == found[1].notes


def test_every_question_of_some_tasks_has_the_same_answer(both: tuple[Run, Run]) -> None:
    stored, filed = both
    keys = np.array(Task.objects.order_by("pk").values_list("pk", flat=True)[5:280:7], np.int64)
    numbers = list(Task.objects.filter(pk__in=keys.tolist()).values_list("task_id", flat=True))
    rows, columns = SchedulerResult.objects, ("task_id", "node", "start_time", "attempts")
    for scheduler in POLICIES:
        one, other = (rows.of_tasks(run, scheduler, keys, columns) for run in both)
        assert all(np.array_equal(one[name], other[name], equal_nan=True) for name in columns)
        assert rows.ends_of(stored, scheduler, numbers) == rows.ends_of(filed, scheduler, numbers)
        failed = [rows.failed_at_once(run, scheduler, keys).tolist() for run in both]
        assert failed[0] == failed[1]
    fields = [field.attname for field in SchedulerResult._meta.concrete_fields if field.attname not in ("id", "run_id")]

    def told(run: Run) -> list[list[Any]]:
        return sorted([[getattr(row, name) for name in fields] for row in rows.of_keys(run, keys.tolist())], key=str)

    assert told(stored) == told(filed)


def test_a_replay_shows_the_same_film(both: tuple[Run, Run]) -> None:
    first, second = (Film(run) for run in both)
    middle = (first.first_time + first.last_time) / 2
    one, other = first.at(middle, 1.0), second.at(middle, 1.0)
    apart = {"run", "name", "published_at"}
    assert [item for item in one.items() if item[0] not in apart] == [
        item for item in other.items() if item[0] not in apart
    ]


PAGES = (
    "/runs/{run}/gantt.json?policy=srtf",
    "/runs/{run}/gantt.csv?policy=sjf%2Beasy",
    "/runs/{run}/tasks/150/",
    "/runs/{run}/groups/tasks/?by=length&name={group}&policy=srtf",
    "/runs/{run}/groups/tasks/?by=length&name={group}&policy=srtf&format=csv",
    "/runs/{run}/at/40000/?policy=srtf",
    "/runs/{run}/at/gantt.json?t=40000&policy=fcfs",
)


def test_every_page_is_the_same(both: tuple[Run, Run], client: Client) -> None:
    group = GroupMetric.objects.filter(run=both[0], grouped_by="length", scheduler="srtf").first()
    assert group is not None
    for address in PAGES:
        pages = []
        for run in both:
            response = client.get(address.format(run=run.pk, group=quote_plus(group.name)))
            assert response.status_code == 200, address
            text = response.content.decode()
            # What two runs of the same differ in: their numbers, names and moments.
            for told in (f"runs/{run.pk}/", f"run-{run.pk}-", f'"run": {run.pk}', f"run={run.pk}", run.name):
                text = text.replace(told, "RUN")
            pages.append([line for line in text.splitlines() if not re.search(r"datetime=|csrf|nonce", line)])
        assert pages[0] == pages[1], address
    assert b"every placement, in files" in client.get(f"/runs/{both[1].pk}/").content


def test_only_the_first_page_of_a_groups_tasks_reads_its_files(
    both: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    group = GroupMetric.objects.filter(run=both[1], grouped_by="length", scheduler="srtf").first()
    assert group is not None
    first = group_tasks(both[1], group)[:3]
    monkeypatch.setattr(type(SchedulerResult.objects), "of_tasks", None)
    assert group_tasks(both[1], group)[:3] == first
    both[1].status = Run.Status.RUNNING
    with pytest.raises(TypeError):
        group_tasks(both[1], group)


def rows_of(client: Client, address: str) -> list[dict[str, Any]]:
    """Return the rows of all pages of a list, without what two runs of the same differ in."""
    found: list[dict[str, Any]] = []
    following: str | None = address
    while following:
        answer = client.get(following)
        assert answer.status_code == 200, answer.content
        document = answer.json()
        found += document["results"]
        following = document["next"]
    return [{name: value for name, value in row.items() if name not in ("id", "run")} for row in found]


LISTS = (
    "results/?run={run}&page_size=250",
    "results/?run={run}&page_size=17&scheduler=srtf&ordering=-task",
    "results/?run={run}&task_id=17",
    "results/?run={run}&task_id=17&scheduler=fcfs",
    "results/?run={run}&task_id=100000",
    "attempts/?run={run}&page_size=11",
    "attempts/?run={run}&page_size=13&ordering=-task&scheduler=srtf",
)


def test_lists_of_the_api_have_the_same_rows(both: tuple[Run, Run], client: Client) -> None:
    for asked in LISTS:
        stored, filed = (rows_of(client, f"/api/v1/{asked.format(run=run.pk)}") for run in both)
        assert stored == filed, asked
        assert filed or "100000" in asked


def test_a_list_goes_back_as_it_came(both: tuple[Run, Run], client: Client) -> None:
    first = client.get(f"/api/v1/results/?run={both[1].pk}&page_size=50").json()
    second = client.get(first["next"]).json()
    assert client.get(second["previous"]).json()["results"] == first["results"]


def test_the_history_side_by_side_is_the_same(both: tuple[Run, Run], client: Client) -> None:
    def pages(run: Run) -> list[Any]:
        found, following = [], f"/api/v1/history/?run={run.pk}&page_size=70"
        while following:
            document = client.get(following).json()
            found += [
                (one["task_id"], {name: {**row, "id": 0, "run": 0} for name, row in one["policies"].items()})
                for one in document["results"]
            ]
            following = document["next"]
        return found

    stored, filed = (pages(run) for run in both)
    assert stored == filed
    assert len(filed) == TASKS


def test_filters_and_orders_that_files_do_not_serve_are_refused(both: tuple[Run, Run], client: Client) -> None:
    address = f"/api/v1/results/?run={both[1].pk}"
    refused = client.get(f"{address}&min_wait_time=5")
    assert refused.status_code == 400
    assert "which are searched by run, scheduler, task, task_id alone" in refused.json()["detail"]
    assert client.get(f"{address}&ordering=wait_time").json()["detail"].endswith("Rows can be ordered by task.")
    assert client.get(f"{address}&task=x").status_code == 400


def test_a_file_that_is_gone_or_changed_is_told_of_in_one_sentence(both: tuple[Run, Run], client: Client) -> None:
    run = both[1]
    one = PlacementFile.objects.filter(run=run, scheduler="fcfs", holds="placements").first()
    assert one is not None
    path = path_of(run, one)
    content = path.read_bytes()
    middle = len(content) // 3
    told = f"placements/{path.parent.name}/{path.name} with placements of "
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    assert tuple(placement_files.file_faults(run)) == (f"The file {told}fcfs is not what was written.",)
    path.write_bytes(content[:-1])
    with pytest.raises(PlacementFileMissing, match="is not what was written; put it back from a backup"):
        exported(run, "csv")
    path.unlink()
    filed_rows._open.cache_clear()
    with pytest.raises(PlacementFileMissing, match="is not there; put it back from a backup, or play the run again"):
        exported(run, "csv")
    client.raise_request_exception = False
    answer = client.get(f"/api/v1/results/?run={run.pk}")
    assert answer.status_code == 503
    assert f"The file {told}run parquet is not there" in answer.json()["detail"]
    page = client.get(f"/runs/{run.pk}/tasks/5/")
    assert page.status_code == 503
    assert f"The file {told}run parquet is not there" in page.content.decode()
    for other in PlacementFile.objects.filter(run=run, scheduler="fcfs"):
        path_of(run, other).unlink(missing_ok=True)
    filed_rows._open.cache_clear()
    machine = client.get(f"/runs/{run.pk}/at/{run.workload.last_arrival_time}/?policy=fcfs")
    assert machine.status_code == 503
    assert "with placements of run parquet is not there" in machine.content.decode()


def test_a_run_that_is_deleted_takes_its_files_along(both: tuple[Run, Run]) -> None:
    run_delete(run=both[1])
    assert list(root().iterdir())
    assert not PlacementFile.objects.exists()
    deletions_finish()
    assert not list(root().iterdir())
    assert not RunDeletion.objects.exists()
    assert run_verify(run=both[0]).faults == ()


class _Killed(BaseException):
    pass


@pytest.mark.parametrize(("kill_at", "is_named"), [(1, False), (4, False), (4, True), (7, True)])
def test_a_run_that_is_killed_goes_on_behind_its_last_whole_file(
    monkeypatch: pytest.MonkeyPatch, kill_at: int, is_named: bool
) -> None:
    whole = played(created("results"))
    run = created("parquet", workload=whole.workload)
    commit, commits = file_writer.FileWriter._commit, []
    monkeypatch.setattr("apps.live.play.runner.STEP_EVENTS", 40)

    def kill(writer: Any, *given: Any) -> bool:
        commits.append(given)
        if len(commits) == kill_at and not is_named:
            raise _Killed
        done = commit(writer, *given)
        if len(commits) == kill_at:
            raise _Killed
        return done

    monkeypatch.setattr(file_writer.FileWriter, "_commit", kill)
    monkeypatch.setattr("apps.live.play.runner.LARGEST_STEP_EVENTS", 40)
    with pytest.raises(_Killed):
        Runner(run).play()
    before = {one.sha256 for one in PlacementFile.objects.filter(run=run)}
    run.refresh_from_db()
    assert run.rows_written == SchedulerResult.objects.count_of(run) < run.rows_expected
    again = played(Run.objects.get(pk=run.pk))
    assert again.checksum == whole.checksum
    assert before <= {one.sha256 for one in PlacementFile.objects.filter(run=run)}
    assert {path.name for path in root().rglob("*.*")} == {one.name for one in PlacementFile.objects.all()}
    assert exported(again, "csv") == exported(whole, "csv")
    assert run_verify(run=again).faults == ()


def test_a_stopped_run_keeps_what_had_finished_and_is_taken_up() -> None:
    whole = played(created("results"))
    run = created("parquet", workload=whole.workload)
    runner = Runner(run, observers=[_StopAfter(400)])
    runner.play()
    run.refresh_from_db()
    assert run.status == Run.Status.STOPPED
    assert run.rows_written == runner.finished == SchedulerResult.objects.count_of(run)
    assert PlacementFile.objects.filter(run=run, has_gaps=True).exists()
    with pytest.raises(CannotExport, match="is stopped"):
        exported(run, "csv")
    every = set(exported(whole, "csv").splitlines())
    # On several nodes at once it is known where once the run has ended.
    some = exported(run, "csv", unfinished=True).splitlines()
    assert len(some) == run.rows_written + 1
    assert {line.rpartition(b",")[0] for line in some} <= {line.rpartition(b",")[0] for line in every}
    again = played(run)
    assert again.checksum == whole.checksum
    assert not PlacementFile.objects.filter(run=run, has_gaps=True).exists()
    assert exported(again, "csv") == exported(whole, "csv")


class _StopAfter:
    """Stops a run once so many tasks have finished."""

    def __init__(self, finished: int) -> None:
        self.finished = finished

    def stepped(self, runner: Runner) -> None:
        if runner.finished >= self.finished:
            runner.stop_requested.set()

    def started(self, runner: Runner) -> None:
        runner._step_events = 40

    def changed(self, runner: Runner) -> None:
        pass

    def ended(self, runner: Runner) -> None:
        pass


def test_a_paused_run_shows_all_that_has_finished(client: Client) -> None:
    run = created("parquet")
    seen: list[tuple[int, int, int]] = []

    class Look(_StopAfter):
        def stepped(self, runner: Runner) -> None:
            if runner.finished >= 300 and not seen:
                SimulationState.objects.filter(run=run).update(command="pause")

        def changed(self, runner: Runner) -> None:
            now = Run.objects.get(pk=run.pk)
            if now.status == Run.Status.PAUSED:
                shown = client.get(f"/runs/{run.pk}/gantt.json?policy=fcfs").status_code
                seen.append((now.rows_written, runner.finished, shown))
                SimulationState.objects.filter(run=run).update(command="resume")

    Runner(run, observers=[Look(0)], tasks_per_second=3000).play()
    assert [(one, shown) for one, _, shown in seen] == [(finished, 200) for _, finished, _ in seen]
    assert seen
    run.refresh_from_db()
    assert run.status == Run.Status.FINISHED
    assert run_verify(run=run).faults == ()
    assert not PlacementFile.objects.filter(run=run, has_gaps=True).exists()


def test_a_run_whose_files_a_backup_left_out_is_filled_anew(both: tuple[Run, Run]) -> None:
    run = both[1]
    Run.objects.filter(pk=run.pk).update(status=Run.Status.STOPPED, checksum="", finished_at=None, digests=None)
    for path in list(root().rglob("*.parquet"))[::3]:
        path.unlink()
    again = played(Run.objects.get(pk=run.pk))
    assert again.checksum == both[0].checksum
    assert exported(again, "csv") == exported(both[0], "csv")


def test_a_full_disk_ends_the_run_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    run = created("parquet")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(file_writer, "file_write", full)
        with pytest.raises(DomainError, match=r"cannot be written to .* \(No space left on device\); once"):
            Runner(run).play()
    run.refresh_from_db()
    assert run.status == Run.Status.FAILED
    assert run_verify(run=played(run)).faults == ()
