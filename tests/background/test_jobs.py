"""Every job comes to an end that is told, whatever becomes of its process; nothing is started twice or forgotten."""

import gzip
import os
import threading
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from pyarrow import parquet

from apps.live.models import SimulationState, StudyState
from apps.live.play.configuration import RunConfiguration
from apps.live.play.launch import run_command, run_start, run_take_up, why_not_taken_up
from apps.results.errors import RunStateError
from apps.results.models import Run, RunDeletion, Study
from apps.studies.progress import interrupted_among, study_progress
from apps.tasks.models import WorkloadImport
from apps.tasks.services import workload_generate
from apps.tasks.uploads import upload_accept
from scheduler_sim import engine
from scheduler_sim.accounts.models import AuditEntry
from scheduler_sim.background import locks, services, sweep
from scheduler_sim.background.claims import ClaimTaken, identity
from scheduler_sim.background.models import Job, bearable
from scheduler_sim.background.services import JobStateError, dispatch, job_stop, job_submit
from scheduler_sim.background.watch import Watch
from scheduler_sim.background.work import job_run
from scheduler_sim.engine.clusters.presets import load_cluster
from tests.clock import Clock
from tests.web.conftest import make_run

pytestmark = pytest.mark.django_db

DEAD = {"host": "here", "process_id": 2**22 - 3, "process_start_ticks": 1}
SWF = b"; MaxProcs: 4\n" + b"".join(b"%d %d 0 10 1 -1 -1 1 10 -1 1 1 1 -1 1 1 -1 -1\n" % (i, i) for i in range(1, 6))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> list[int]:
    """Keys of the jobs for which a process would have been started; this process stands for each."""
    settings.VAR_DIR, settings.JOB_PROCESSES = tmp_path, 2
    keys: list[int] = []

    def start(job: Job) -> dict[str, Any]:
        keys.append(job.pk)
        return identity(os.getpid())

    monkeypatch.setattr(services, "_start", start)
    return keys


@pytest.fixture
def sweeps() -> Any:
    """Sweep as a server would after so many seconds."""
    clock = Clock()
    watch = Watch(clock)

    def look(seconds: float = 0.0) -> None:
        clock.now += seconds
        sweep.sweep(watch)

    return look


def kill(row: Any) -> None:
    """Let the row be in the hands of a process of this machine that is gone."""
    type(row).objects.filter(pk=row.pk).update(**identity(os.getpid()) | DEAD)


def upload(content: bytes = SWF, name: str = "small.swf", user: User | None = None) -> tuple[WorkloadImport, Job]:
    sent = upload_accept(upload=SimpleUploadedFile(name, content), format="", name="", requested_by=user)
    return sent, Job.objects.get(kind="import", subject_id=sent.pk)


def make_queued_run() -> Run:
    workload, _ = workload_generate(model="lublin", tasks=50, seed=1, name="tasks", parameters={"processors": 64})
    return run_start(
        workload=workload, cluster=load_cluster("hpc-64"), configuration=RunConfiguration(policies=("fcfs",))
    )


def test_no_more_start_than_may_be_under_way_and_the_next_when_one_ends(started: list[int]) -> None:
    made = [job_submit(kind="run", subject_id=number) for number in range(1, 5)]
    assert dispatch() == 2
    assert started == [made[0].pk, made[1].pk]
    assert dispatch() == 0
    assert Job.objects.places() == {made[2].pk: 1, made[3].pk: 2}
    made[0].end(Job.Status.FINISHED)
    assert dispatch() == 1
    assert started[-1] == made[2].pk


def test_uploads_are_read_two_at_a_time_while_others_pass(started: list[int], settings: Any) -> None:
    settings.JOB_PROCESSES = 4
    imports = [upload()[1].pk for _ in range(3)]
    run = job_submit(kind="run", subject_id=1).pk
    dispatch()
    assert started == [*imports[:2], run]


def test_the_same_is_not_asked_for_twice(started: list[int]) -> None:
    job = job_submit(kind="run", subject_id=1)
    with pytest.raises(JobStateError, match="waiting or under way already"):
        job_submit(kind="run", subject_id=1)
    job.end(Job.Status.FINISHED)
    job_submit(kind="run", subject_id=1)


@pytest.mark.django_db(transaction=True)
def test_many_who_start_at_once_start_each_job_once(started: list[int], settings: Any) -> None:
    settings.JOB_PROCESSES = 3
    for number in range(1, 9):
        Job.objects.create(kind="run", subject_id=number)
    gate = threading.Barrier(6)

    def begin() -> None:
        gate.wait()
        try:
            dispatch()
        finally:
            connection.close()

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == len(set(started)) == 3
    assert Job.objects.under_way().count() == 3


def test_a_job_is_begun_by_one_process_only(started: list[int]) -> None:
    job = Job.objects.create(kind="run", subject_id=1)
    Job.objects.filter(pk=job.pk).update(**identity(1), status="running")
    with pytest.raises(ClaimTaken, match="is being done by process 1"):
        job_run(Job.objects.get(pk=job.pk))


HOSTILE = {
    "26 digits": b"id,submit_time,runtime,cpus,dependencies\n1,0,10,1,\n2,1,10,1,%s\n" % (b"9" * 26),
    "5,000 digits": b"id,submit_time,runtime,cpus,dependencies\n1,0,10,1,\n2,1,10,1,%s\n" % (b"9" * 5000),
    "no trace": b"\x00\x01\x02",
    "cut gzip": gzip.compress(SWF)[:-9],
    "json that is nested": b"[" * 100_000,
}


def doubled_column(path: Path) -> bytes:
    table = pyarrow.table([[1, 2], [0, 1], [5, 5], [1, 1], [2, 2]], names=["id", "submit", "runtime", "cpus", "cpus"])
    parquet.write_table(table, path)
    return path.read_bytes()


@pytest.mark.parametrize("content", [*HOSTILE, "doubled column"])
def test_a_hostile_file_fails_with_a_sentence_and_leaves_no_file(
    started: list[int], tmp_path: Path, content: str
) -> None:
    data = HOSTILE.get(content) or doubled_column(tmp_path / "doubled.parquet")
    sent, job = upload(data, "file.csv")
    job_run(job)
    sent.refresh_from_db()
    job.refresh_from_db()
    assert (sent.status, job.status) in {("failed", "failed"), ("finished", "finished")}
    if job.status == "failed":
        assert sent.error == job.error
        assert sent.error.endswith(".")
    assert list((tmp_path / "uploads").iterdir()) == []


def test_what_nobody_foresaw_is_told_and_never_blocks_others(
    started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(**_options: Any) -> None:
        raise ZeroDivisionError("half a pair and \0")

    monkeypatch.setattr("apps.tasks.uploads.workload_import", explode)
    for _ in range(2):
        sent, job = upload()
        job_run(job)
        sent.refresh_from_db()
        assert (sent.status, sent.error.startswith("Unexpected ZeroDivisionError: half")) == ("failed", True)
    monkeypatch.undo()
    sent, job = upload()
    job_run(job)
    sent.refresh_from_db()
    assert sent.status == "finished"


def test_a_sentence_can_be_stored_whatever_a_file_put_into_it() -> None:
    assert bearable("half \ud800 a pair and \0") == "half ? a pair and  "
    assert len(bearable("9" * 100_000)) < 2100


def test_an_upload_whose_process_died_fails_and_makes_room(started: list[int], sweeps: Any, tmp_path: Path) -> None:
    (first, _), (second, _), (_, third) = upload(), upload(), upload()
    dispatch()
    for job in Job.objects.under_way():
        kill(job)
    Job.objects.filter(subject_id=first.pk).update(status="running")
    sweeps()
    for sent, sentence in ((first, "The process that read it died"), (second, "ended before it began")):
        sent.refresh_from_db()
        assert (sent.status, sentence in sent.error) == ("failed", True)
    assert started[-1] == third.pk
    assert len(list((tmp_path / "uploads").iterdir())) == 1


@pytest.mark.django_db(transaction=True)
def test_a_run_whose_process_died_is_failed_interrupted_and_taken_up(started: list[int], sweeps: Any) -> None:
    run = make_queued_run()
    dispatch()
    job = Job.objects.get()
    kill(job)
    state = SimulationState.objects.get(run=run)
    kill(state)
    Job.objects.update(status="running")
    run.begin()
    sweeps()
    run.refresh_from_db()
    assert (run.status, run.state.is_interrupted) == ("failed", True)
    assert run.error == "The process that played it died: it was killed, or its machine was."
    assert Job.objects.get().shown_status == "interrupted"
    assert why_not_taken_up(run) == ""
    run_take_up(run=run)
    assert (run.status, Run.objects.get(pk=run.pk).state.is_interrupted) == ("queued", False)
    with pytest.raises(RunStateError, match="waits for its process already"):
        run_take_up(run=run)
    assert job_run(Job.objects.order_by("-pk")[0]).status == "finished"
    run.refresh_from_db()
    assert (run.status, run.rows_written) == ("finished", 50)


def test_a_run_that_died_before_it_claimed_fails(started: list[int], sweeps: Any) -> None:
    run = make_queued_run()
    dispatch()
    kill(Job.objects.get())
    sweeps()
    run.refresh_from_db()
    assert run.status == "failed"
    assert "ended before it began" in run.error


def test_a_run_of_a_command_that_died_fails_and_nothing_is_outstanding(sweeps: Any, client: Any) -> None:
    under_way = make_run(4, name="killed", status=Run.Status.RUNNING, rows_written=0, rows_expected=8)
    kill(under_way.state)
    forgotten = make_run(4, name="forgotten", status=Run.Status.QUEUED, rows_written=0, rows_expected=8)
    sweeps()
    under_way.refresh_from_db()
    forgotten.refresh_from_db()
    assert (under_way.status, forgotten.status) == ("failed", "queued")
    assert "scheduler_sim_rows_outstanding 0.0" in client.get("/metrics").content.decode()
    sweeps(30)
    sweeps(31)
    forgotten.refresh_from_db()
    assert (forgotten.status, forgotten.error.startswith("Nobody was to play it")) == ("failed", True)


def test_a_process_of_another_machine_is_given_time_to_take_its_lock_again(sweeps: Any) -> None:
    run = make_run(1, status=Run.Status.RUNNING)
    SimulationState.objects.filter(run=run).update(**DEAD | {"host": "far", "machine": "another"})
    for seconds, expected in ((0, "running"), (6, "running"), (6, "failed")):
        sweeps(seconds)
        run.refresh_from_db()
        assert run.status == expected


def test_a_killed_study_says_so_and_leaves_its_runs_to_be_taken_up(started: list[int], sweeps: Any) -> None:
    definition = {"name": "s", "workloads": ["x"], "clusters": ["hpc-4"], "policies": ["fcfs"], "seeds": 2}
    study = Study.objects.create(name="s", definition=definition)
    run = make_run(1, status=Run.Status.RUNNING, study=study, digest="1")
    state = StudyState.objects.create(study=study)
    kill(state)
    kill(run.state)
    sweeps()
    sweeps()
    run.refresh_from_db()
    progress = study_progress(study)
    assert (progress.is_played, progress.interrupted) == (False, True)
    assert interrupted_among([study]) == [(study, True)]
    assert (run.status, run.state.is_interrupted) == ("failed", True)


def test_the_runs_of_a_study_that_is_played_are_left_to_it(sweeps: Any) -> None:
    study = Study.objects.create(name="s", definition={})
    run = make_run(1, status=Run.Status.RUNNING, study=study, digest="1")
    kill(run.state)
    state = StudyState.objects.create(study=study)
    state.claim()
    sweeps()
    run.refresh_from_db()
    assert run.status == "running"
    state.release()


def test_a_run_that_waits_is_stopped_with_its_job(started: list[int]) -> None:
    run = make_queued_run()
    run_command(run=run, command="stop")
    run.refresh_from_db()
    assert (run.status, Job.objects.get().status) == ("stopped", "stopped")
    assert dispatch() == 0


def test_a_run_that_is_stopped_while_its_process_starts_is_not_played(started: list[int]) -> None:
    run = make_queued_run()
    dispatch()
    run_command(run=run, command="stop")
    assert job_run(Job.objects.get()).status == "stopped"
    run.refresh_from_db()
    assert (run.status, run.rows_written) == ("stopped", 0)


def test_a_stop_that_comes_too_late_is_refused_and_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(1, status=Run.Status.RUNNING)

    def finish_meanwhile(_state: SimulationState) -> bool:
        Run.objects.filter(pk=run.pk).update(status=Run.Status.FINISHED)
        return True

    monkeypatch.setattr(SimulationState, "is_alive", property(finish_meanwhile))
    with pytest.raises(RunStateError, match="is finished; it cannot stop"):
        run_command(run=run, command="stop")
    assert not AuditEntry.objects.exists()
    assert SimulationState.objects.get(run=run).command == SimulationState.Command.NONE


def test_a_run_is_stopped_once(started: list[int]) -> None:
    run = make_queued_run()
    for _ in range(2):
        run_command(run=run, command="stop")
    assert [entry.action for entry in AuditEntry.objects.filter(kind="run")] == ["stop", "start"]


@pytest.mark.django_db(transaction=True)  # What shows the run writes from a thread of its own.
def test_a_run_that_can_never_be_played_says_why_instead_of_being_taken_up(started: list[int]) -> None:
    run = make_queued_run()
    Run.objects.filter(pk=run.pk).update(cluster=load_cluster("hpc-1").as_json())
    assert job_run(Job.objects.get()).status == "failed"
    run.refresh_from_db()
    assert why_not_taken_up(run).startswith(f"Run {run.pk} can never be played as it was asked for: ")
    with pytest.raises(RunStateError, match="can never be played"):
        run_take_up(run=run)


def test_placements_of_another_engine_are_not_gone_on_with() -> None:
    run = make_run(2, status=Run.Status.STOPPED, engine_version="0.1")
    assert f"this is engine {engine.ENGINE_VERSION}" in why_not_taken_up(run)


def test_another_process_that_plays_the_run_is_not_disturbed_by_a_job_that_came_too_late(started: list[int]) -> None:
    run = make_queued_run()
    SimulationState.objects.filter(run=run).update(**identity(1))
    Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
    job = job_run(Job.objects.get())
    run.refresh_from_db()
    assert (job.status, "is being played by process 1" in job.error) == ("failed", True)
    assert run.status == "running"


def test_deletions_that_were_left_are_taken_up(started: list[int], sweeps: Any) -> None:
    RunDeletion.objects.create(run_number=7, first_result_id=1, last_result_id=5)
    sweeps()
    sweeps(61)
    job = Job.objects.get(kind="deletion")
    job_run(job)
    assert not RunDeletion.objects.exists()


def test_a_stopped_job_cannot_be_stopped_again(started: list[int]) -> None:
    job = job_submit(kind="run", subject_id=1)
    job_stop(job=job)
    with pytest.raises(JobStateError, match="is stopped; it cannot stop"):
        job_stop(job=job)


def test_the_lock_of_a_job_is_free_when_it_has_ended(started: list[int]) -> None:
    _, job = upload()
    job_run(job)
    assert not locks.is_held(job.lock_key)
    assert Job.objects.get(pk=job.pk).process_id is None
