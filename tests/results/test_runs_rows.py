"""Looking up, verifying and deleting the placements of runs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.live.models import SimulationState
from apps.metrics.models import Metric
from apps.results.checksum import CHECKED, Part, results_checksum
from apps.results.errors import RunStateError
from apps.results.models import Run, RunDeletion, SchedulerResult
from apps.results.services import deletions_finish, run_delete
from apps.results.verification import run_verify
from scheduler_sim.background.models import Job
from tests.results.rows import make_queued_run, make_run, make_workload, placements

pytestmark = pytest.mark.django_db


def test_the_latest_rows_are_the_newest_first() -> None:
    make_run(5, "one")
    make_run(3, "two")
    keys = [row.pk for row in SchedulerResult.objects.newest(4)]
    assert keys == sorted(keys, reverse=True)
    assert {row.run.name for row in SchedulerResult.objects.newest(4)} == {"two"}


def test_the_latest_rows_of_a_run_are_its_own() -> None:
    one, two = make_run(5, "one"), make_run(3, "two")
    assert len(SchedulerResult.objects.latest_of(one, 4)) == 4
    assert {row.run_id for row in SchedulerResult.objects.latest_of(one)} == {one.pk}
    assert SchedulerResult.objects.latest_of(two).count() == 6
    assert not SchedulerResult.objects.latest_of(make_queued_run(make_workload(1), "empty"))


def test_the_history_shows_every_policy_of_a_task_side_by_side(django_assert_num_queries: Callable) -> None:
    run = make_run(9)
    make_run(9, "other")
    with django_assert_num_queries(2):
        rows = [(row.task.task_id, row.scheduler) for row in SchedulerResult.objects.history(run, [7, 2])]
    assert rows == [(2, "fcfs"), (2, "sjf+easy"), (7, "fcfs"), (7, "sjf+easy")]
    assert len(SchedulerResult.objects.history(run.pk, [7, 2])) == 4


@pytest.mark.parametrize("question", ["newest", "latest_of", "history"])
def test_no_question_walks_the_whole_table(question: str) -> None:
    run = make_run(5)
    rows = SchedulerResult.objects
    queries = {"newest": rows.newest(), "latest_of": rows.latest_of(run), "history": rows.history(run, [1, 2])}
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
    plan = queries[question].explain()
    assert "SCAN results_schedulerresult" not in plan or question == "newest"
    assert "Seq Scan on results_schedulerresult" not in plan


def true_checksum(run: Run) -> str:
    parts = []
    for scheduler in run.policies:
        columns = placements(run.workload)
        numbers = np.array(run.workload.tasks.order_by("task_id").values_list("task_id", flat=True))
        columns = {name: columns[name] if hasattr(columns[name], "shape") else [columns[name]] * 5 for name in CHECKED}
        parts.append(Part(scheduler, numbers, columns))
    return results_checksum(parts)


def test_a_whole_run_verifies() -> None:
    run = make_run(5)
    Run.objects.update(checksum=true_checksum(run))
    run.refresh_from_db()
    assert run_verify(run=run).faults == ()


def test_a_changed_figure_a_lost_row_and_a_stranger_are_found() -> None:
    run = make_run(5)
    Run.objects.update(checksum=true_checksum(run))
    run.refresh_from_db()
    first, second, *_ = SchedulerResult.objects.all()
    SchedulerResult.objects.filter(pk=first.pk).update(cost_usd=1e-9)
    assert [fault[:12] for fault in run_verify(run=run).faults] == ["The checksum"]
    SchedulerResult.objects.filter(pk=first.pk).delete()
    SchedulerResult.objects.filter(pk=second.pk).update(task_id=10**12)
    faults = " ".join(run_verify(run=run).faults)
    assert "holds 9 placements; the run says that 10" in faults
    assert "1 rows are of tasks that the workload does not hold" in faults
    with pytest.raises(CommandError, match="not as it should be"):
        call_command("verifyrun", str(run.pk))


def test_a_deleted_run_is_gone_at_once_and_its_rows_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.results.services.DELETE_KEYS", {connection.vendor: 3})
    kept, gone = make_run(5, "kept"), make_run(7, "gone")
    Metric.objects.create(
        run=gone,
        scheduler="fcfs",
        window_start_time=0,
        window_end_time=1,
        arrived_count=0,
        started_count=0,
        finished_count=0,
    )
    run_delete(run=gone)
    assert not Run.objects.filter(pk=gone.pk).exists()
    assert not Metric.objects.exists()
    assert not SimulationState.objects.filter(run_id=gone.pk).exists()
    assert deletions_finish() == 14
    assert SchedulerResult.objects.count() == SchedulerResult.objects.filter(run=kept).count() == 10
    assert deletions_finish() == 0
    run_delete(run=gone)


def test_an_interrupted_deletion_is_finished_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.results.services.DELETE_KEYS", {connection.vendor: 3})
    run = make_run(5)
    run_delete(run=run)

    def interrupt(removed: int) -> None:
        if removed >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deletions_finish(on_progress=interrupt)
    assert SchedulerResult.objects.count() == 4
    assert RunDeletion.objects.count() == 1
    call_command("prune", "--unfinished", verbosity=0)
    assert SchedulerResult.objects.count() == RunDeletion.objects.count() == 0


def test_a_run_under_way_is_not_deleted() -> None:
    run = make_queued_run(make_workload(1))
    with pytest.raises(RunStateError, match="stop it before"):
        run_delete(run=run)
    assert Run.objects.exists()


def test_prune_keeps_the_newest_and_says_first_what_would_go(capsys: pytest.CaptureFixture) -> None:
    for name in ("one", "two", "three"):
        make_run(2, name)
    make_queued_run(make_workload(1), "queued")
    call_command("prune", "--keep-runs", "1")
    assert "2 runs with 8 placements would be deleted" in capsys.readouterr().out
    assert Run.objects.count() == 4
    call_command("prune", "--keep-runs", "1", "--yes", "--dry-run")
    assert Run.objects.count() == 4
    call_command("prune", "--keep-runs", "1", "--older-than", "1", "--yes")
    assert Run.objects.count() == 4
    call_command("prune", "--keep-runs", "1", "--yes")
    assert set(Run.objects.values_list("name", flat=True)) == {"three", "queued"}
    assert SchedulerResult.objects.count() == 4


def test_prune_needs_to_know_what_to_keep() -> None:
    with pytest.raises(CommandError, match="Say what to keep"):
        call_command("prune", "--yes")


def test_the_admin_deletes_runs_that_are_over(admin_client: Any) -> None:
    over, queued = make_run(2, "over"), make_queued_run(make_workload(1), "queued")
    form = {"action": "remove", "_selected_action": [over.pk, queued.pk]}
    page = admin_client.post("/admin/results/run/", form, follow=True)
    assert list(Run.objects.values_list("name", flat=True)) == ["queued"]
    assert Job.objects.get().kind == "deletion"
    assert b"stop it before deleting it" in page.content


def test_a_name_that_is_taken_gets_the_first_free_number_in_parentheses() -> None:
    name = "lublin-256 on hpc-256"
    assert Run.objects.free_name(name) == name
    for number in (name, f"{name} 2", f"{name} (2)"):
        make_run(tasks=1, name=number)
    assert Run.objects.free_name(name) == f"{name} (3)"
    longest = "x" * Run.NAME_LENGTH
    Run.objects.filter(name=name).update(name=longest[:-10])
    assert Run.objects.free_name(longest) == f"{longest[:-10]} (2)"
