"""Long reads see one instant of the database, whatever is written or deleted meanwhile."""

import threading
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from apps.live.exchange import exports, streams
from apps.results.models import Run, SchedulerResult
from apps.results.services import deletions_finish, run_delete
from apps.results.verification import run_verify
from apps.tasks.models import Task
from scheduler_sim.columnar.snapshot import snapshot
from tests.results.rows import make_run

pytestmark = pytest.mark.django_db(transaction=True)


def elsewhere(action: Callable[[], object]) -> None:
    """Do something over another connection, and wait for it."""
    failed: list[Exception] = []

    def work() -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 handed on to the test
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert not failed


def delete(run: Run) -> None:
    run_delete(run=run)
    deletions_finish()


def test_an_export_beside_a_deletion_holds_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "CHUNK_ROWS", 3)
    run = make_run(10)
    pieces = streams.stream(exports.results_export(run), "jsonl")
    lines = next(pieces).splitlines()
    elsewhere(lambda: delete(run))
    lines += [line for piece in pieces for line in piece.splitlines()]
    assert len(lines) == 20
    assert not SchedulerResult.objects.exists()
    assert not connection.in_atomic_block


def test_an_export_after_a_deletion_is_refused(tmp_path: Path) -> None:
    run = make_run(3)
    chunks = streams.stream(exports.results_export(run), "csv")
    run_delete(run=run)
    with pytest.raises(streams.CannotExport, match="was deleted"):
        next(chunks)


@pytest.mark.parametrize("kind", ["results", "tasks"])
def test_an_export_that_is_short_fails_and_leaves_no_file(tmp_path: Path, kind: str) -> None:
    run = make_run(5)
    (SchedulerResult if kind == "results" else Task).objects.order_by("pk")[:1].get().delete()
    with pytest.raises(CommandError, match=r"rows where .* belong; the export is not whole"):
        call_command("exportdata", kind, "--run", run.name, "--output", str(tmp_path / "rows.csv"))
    assert list(tmp_path.iterdir()) == []


def test_a_verification_beside_a_deletion_finds_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.results import verification

    run = make_run(4)
    read = verification._columns

    def read_beside_a_deletion(run: Run, scheduler: str) -> object:
        if Run.objects.filter(pk=run.pk).exists() and not deleted:
            deleted.append(run)
            elsewhere(lambda: delete(run))
        return read(run, scheduler)

    deleted: list[Run] = []
    monkeypatch.setattr(verification, "_columns", read_beside_a_deletion)
    assert run_verify(run=run).faults == ()
    assert deleted
    assert not SchedulerResult.objects.exists()


def test_others_write_while_a_snapshot_is_read() -> None:
    run = make_run(2)
    with snapshot():
        assert Run.objects.get().name == "run"
        elsewhere(lambda: Run.objects.filter(pk=run.pk).update(name="another"))
        assert Run.objects.get().name == "run"
    assert Run.objects.get().name == "another"
    Run.objects.update(name="a third")  # Transactions afterwards write as before.


def test_an_unfinished_run_is_exported_under_a_mark_alone(tmp_path: Path) -> None:
    run = make_run(3)
    Run.objects.update(status=Run.Status.RUNNING, rows_expected=100)
    path = tmp_path / "rows.csv"
    for arguments in (("--output", str(path)), ()):
        with pytest.raises(CommandError, match=r"is running: 6 of 100 placements are stored\. --unfinished exports"):
            call_command("exportdata", "results", "--run", run.name, *arguments, stdout=StringIO())
    said = StringIO()
    call_command("exportdata", "results", "--run", run.name, "--unfinished", "--output", str(path), stderr=said)
    assert [item.name for item in tmp_path.iterdir()] == ["rows.unfinished.csv"]
    assert "This export is unfinished. Run run is running: 6 of 100" in said.getvalue()
    Run.objects.update(status=Run.Status.FAILED, error="The disk is full.")
    with pytest.raises(CommandError, match=r"is failed \(The disk is full.\)"):
        call_command("exportdata", "metrics", "--run", run.name, stdout=StringIO())


def test_a_download_reads_one_instant(client: Client) -> None:
    run = make_run(4)
    begun: list[str] = []

    def note(execute: Callable[..., object], sql: str, *rest: object) -> object:
        # That somebody downloads it is written down afterwards.
        if "accounts_auditentry" not in sql:
            begun.append("inside" if connection.in_atomic_block else "outside")
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        answer = client.get(f"/runs/{run.pk}/gantt.csv")
    assert answer.status_code == 200
    assert set(begun[-3:]) == {"inside"}
    assert not connection.in_atomic_block
