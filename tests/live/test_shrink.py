"""SQLite's file gives back the space of deleted rows when it is asked to, and when nothing is under way."""

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.results.models import Run, SchedulerResult
from scheduler_sim.background.models import Job
from scheduler_sim.columnar.statements import answered, told
from tests.results.rows import make_run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def runs() -> list[Run]:
    return [make_run(8_000, name="large"), make_run(10, name="small")]


def prune(**options: object) -> str:
    out = io.StringIO()
    call_command("prune", stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


def need_sqlite() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("The database is not SQLite.")


def test_the_file_is_smaller_and_whole_afterwards(runs: list[Run]) -> None:
    need_sqlite()
    file = Path(str(connection.settings_dict["NAME"]))
    told(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
    before = file.stat().st_size
    said = prune(keep_runs=1, yes=True, shrink=True)
    assert file.stat().st_size < before - 500_000
    assert f"to {file.stat().st_size:,} bytes." in said
    assert SchedulerResult.objects.filter(run=runs[1]).count() == 20
    assert answered(connection, "PRAGMA integrity_check") == "ok"


def test_alone_it_deletes_nothing(runs: list[Run]) -> None:
    need_sqlite()
    assert "The file went from" in prune(shrink=True)
    assert Run.objects.count() == 2


def test_it_is_refused_in_a_sentence_before_anything_is_deleted_while_something_is_under_way(runs: list[Run]) -> None:
    need_sqlite()
    job = Job.objects.create(kind="import", subject_id=1)
    with pytest.raises(CommandError, match=r"Job \d+ .* is queued; shrink the file when nothing is under way\."):
        prune(keep_runs=0, yes=True, shrink=True)
    job.end(Job.Status.STOPPED)
    Run.objects.filter(pk=runs[1].pk).update(status=Run.Status.RUNNING)
    with pytest.raises(CommandError, match="Run small is running"):
        prune(keep_runs=0, yes=True, shrink=True)
    assert Run.objects.count() == 2


def test_it_is_refused_where_there_is_no_room_for_the_copy(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    need_sqlite()
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1})())
    with pytest.raises(CommandError, match="Shrinking needs twice the"):
        prune(shrink=True)


def test_it_is_refused_on_postgresql(runs: list[Run]) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("The database is SQLite.")
    with pytest.raises(CommandError, match="VACUUM FULL"):
        prune(shrink=True)
