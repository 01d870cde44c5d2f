"""The writer's thread: order, back-pressure, patience, and the file of last resort."""

import errno
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import LazySettings
from django.db import IntegrityError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.live.models import SimulationState
from apps.live.store import writer as writer_module
from apps.live.store.batches import ResultBatch, TaskAttempts, batch_store
from apps.live.store.spill import spill_path, spill_take_in
from apps.live.store.writer import ResultsNotStored, ResultWriter
from apps.results.models import Attempt, Run, SchedulerResult
from apps.results.services import deletions_finish, run_delete
from apps.results.verification import run_verify
from tests.results.rows import make_queued_run, make_workload, placements

pytestmark = pytest.mark.django_db(transaction=True)

TASKS = 40


@pytest.fixture
def run() -> Run:
    return make_queued_run(make_workload(TASKS))


@pytest.fixture(autouse=True)
def _folders(settings: LazySettings, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr("apps.live.store.spill._folder", lambda: tmp_path)


def batch(run: Run, first: int, last: int) -> ResultBatch:
    """Return rows `first` up to `last` of both policies."""
    columns = placements(run.workload, first, last)
    return ResultBatch(
        parts=dict.fromkeys(run.policies, columns), progress=dict.fromkeys(run.policies, last), clock_time=float(last)
    )


def with_attempts(run: Run, first: int, last: int) -> ResultBatch:
    """Return the same rows, of which task number k ran k modulo 4 times under fcfs."""
    plain = batch(run, first, last)
    tasks, ran = plain.parts["fcfs"]["task_id"], np.arange(first + 1, last + 1) % 4
    counts = np.where(ran > 1, ran, 0)
    number = np.concatenate([np.arange(1, count + 1) for count in counts])
    columns = {
        "task_id": np.repeat(tasks, counts),
        "number": number,
        "start_time": number * 2.0,
        "end_time": number * 2.0 + 1,
        "node": number % 2,
        "device": np.full(len(number), -1),
        "cpus": np.ones(len(number)),
        "gpus": np.zeros(len(number)),
        "reason": np.where(number == np.repeat(counts, counts), "finished", "suspended"),
    }
    history = {"attempts": np.maximum(ran, 1), "service_time": 1.5, "lost_time": 0.5, "outcome": "completed"}
    return replace(
        plain,
        parts={"fcfs": {**plain.parts["fcfs"], **history}, "sjf+easy": plain.parts["sjf+easy"]},
        attempts={"fcfs": TaskAttempts(counts, columns)},
    )


def stored_attempts(run: Run) -> list[tuple[int, int, str]]:
    rows = Attempt.objects.filter(run=run).order_by("task__task_id", "number")
    return list(rows.values_list("task__task_id", "number", "reason"))


ALL_ATTEMPTS = [
    (task, number, "finished" if number == task % 4 else "suspended")
    for task in range(1, TASKS + 1)
    if task % 4 > 1
    for number in range(1, task % 4 + 1)
]


def write(run: Run, *batches: ResultBatch) -> None:
    with ResultWriter(run=run, on_trouble=lambda _: None, give_up_after=0.2) as writer:
        for each in batches:
            writer.put(each)


def progress(run: Run) -> dict[str, int]:
    found: dict[str, int] = SimulationState.objects.get(run=run).progress
    return found


def failing(monkeypatch: pytest.MonkeyPatch, times: int, *, after_commit: bool = False) -> None:
    """Let storing fail so many times as if the database were away."""
    left = [times]

    def store(**arguments: Any) -> None:
        if left[0] > 0:
            left[0] -= 1
            if after_commit:
                batch_store(**arguments)
            raise OperationalError("connection refused\nmore of it")
        batch_store(**arguments)

    monkeypatch.setattr(writer_module, "batch_store", store)


def test_everything_put_is_stored_with_its_progress(run: Run) -> None:
    with ResultWriter(run=run) as writer:
        for first in range(0, TASKS, 10):
            writer.put(batch(run, first, first + 10))
    assert SchedulerResult.objects.count() == 2 * TASKS
    assert progress(run) == dict.fromkeys(run.policies, TASKS)
    run.refresh_from_db()
    assert run.rows_written == 2 * TASKS
    keys = SchedulerResult.objects.order_by("id").values_list("id", flat=True)
    assert run.first_result_id is not None
    assert run.first_result_id <= keys[0]
    assert run.last_result_id == keys[2 * TASKS - 1]
    assert SimulationState.objects.get(run=run).clock_time == TASKS


def test_keys_that_a_connection_still_holds_are_not_below_the_bounds_of_a_later_run(run: Run) -> None:
    write_here = batch_store  # On the test's own connection; a writer has its own.
    write_here(run=run, batch=batch(run, 0, 10))
    others = make_queued_run(run.workload, "others")
    write(others, batch(others, 0, TASKS))
    later = make_queued_run(run.workload, "later")
    write_here(run=later, batch=batch(later, 0, TASKS))
    by_both = make_queued_run(run.workload, "by both")
    write(by_both, batch(by_both, 0, 10))
    write_here(run=by_both, batch=batch(by_both, 10, TASKS))
    for each in (run, others, later, by_both):
        each.refresh_from_db()
        keys = SchedulerResult.objects.filter(run=each).order_by("id").values_list("id", flat=True)
        assert each.first_result_id is not None
        assert each.last_result_id is not None
        assert each.first_result_id <= keys[0]
        assert each.last_result_id >= keys[len(keys) - 1]


def test_flush_waits_until_all_is_stored(run: Run) -> None:
    with ResultWriter(run=run) as writer:
        writer.put(batch(run, 0, 10))
        writer.flush()
        assert SchedulerResult.objects.count() == 20


@pytest.mark.parametrize("size", [1, 7, 20, 33, 1000])
def test_a_batch_cut_into_pieces_says_what_each_stands_for(run: Run, size: int) -> None:
    before = dict.fromkeys(run.policies, 0)
    pieces = list(batch(run, 0, 20).cut(size))
    assert sum(map(len, pieces)) == 40
    for piece in pieces:
        assert 0 < len(piece) <= size
        for scheduler in run.policies:
            rows = len(piece.parts[scheduler]["task_id"]) if scheduler in piece.parts else 0
            assert piece.progress[scheduler] == before[scheduler] + rows
        before = dict(piece.progress)
    assert before == dict.fromkeys(run.policies, 20)


def test_batches_joined_are_the_rows_in_order(run: Run) -> None:
    joined = ResultBatch.joined([batch(run, 0, 4), batch(run, 4, 9)])
    expected = batch(run, 0, 9)
    assert joined.progress == expected.progress
    for scheduler in run.policies:
        assert np.array_equal(joined.parts[scheduler]["task_id"], expected.parts[scheduler]["task_id"])


@pytest.mark.parametrize("size", [1, 2, 7, 33, 1000])
def test_a_placement_is_never_cut_from_its_attempts(run: Run, size: int) -> None:
    pieces = list(ResultBatch.joined([with_attempts(run, 0, 9), with_attempts(run, 9, 20)]).cut(size))
    assert sum(piece.placements for piece in pieces) == 40
    assert sum(map(len, pieces)) == 40 + sum(task <= 20 for task, _, _ in ALL_ATTEMPTS)
    for piece in pieces:
        assert len(piece) <= size or piece.placements == 1
        if "fcfs" in piece.parts:
            told = piece.parts["fcfs"]["attempts"]
            held = piece.attempts["fcfs"]
            assert held.counts.tolist() == np.where(told > 1, told, 0).tolist()
            tasks = piece.parts["fcfs"]["task_id"]
            assert held.columns["task_id"].tolist() == np.repeat(tasks, held.counts).tolist()


def test_attempts_are_stored_with_their_placements(run: Run) -> None:
    write(run, with_attempts(run, 0, 13), with_attempts(run, 13, TASKS))
    assert stored_attempts(run) == ALL_ATTEMPTS
    told = SchedulerResult.objects.with_history().order_by("scheduler", "task_id")
    rows = list(told.values_list("scheduler", "attempt_count", "served_time", "lost_seconds", "ending"))
    assert rows[2] == ("fcfs", 3, 1.5, 0.5, "completed")
    assert rows[TASKS] == ("sjf+easy", 1, 1.0, 0.0, "completed")


def test_attempts_of_a_batch_that_is_refused_are_not_there(run: Run) -> None:
    wrong = with_attempts(run, 0, 10)
    wrong.attempts["fcfs"].columns["end_time"][3] = -1.0
    with pytest.raises(ResultsNotStored):
        write(run, wrong)
    assert not Attempt.objects.exists()
    assert not SchedulerResult.objects.exists()


def test_attempts_go_to_the_file_and_come_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        failing(patch, 10**6)
        with pytest.raises(ResultsNotStored, match="The 80 that were in memory"):
            write(run, with_attempts(run, 0, 25), with_attempts(run, 25, TASKS))
    batch_store(run=run, batch=with_attempts(run, 0, 15))
    assert spill_take_in(run=run) == 50
    assert stored_attempts(run) == ALL_ATTEMPTS
    assert SchedulerResult.objects.filter(scheduler="fcfs", attempts=3, outcome="completed").count() == TASKS // 4
    assert SchedulerResult.objects.filter(scheduler="sjf+easy", attempts=None, outcome=None).count() == TASKS


def test_the_attempts_of_a_deleted_run_go_with_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.results.services.DELETE_KEYS", dict.fromkeys(("sqlite", "postgresql"), 7))
    monkeypatch.setattr("apps.results.services.YIELD_SECONDS", 0)
    other = make_queued_run(run.workload, "other")
    for each in (run, other):
        write(each, with_attempts(each, 0, TASKS))
    # Below its first placement lie the keys that other tests have used up, by the ten thousand.
    Run.objects.filter(pk=run.pk).update(first_result_id=run.results.order_by("id")[0].pk)
    run.refresh_from_db()
    run.begin()
    run.stop()
    run_delete(run=run)
    assert deletions_finish() == 2 * TASKS
    assert stored_attempts(run) == []
    assert stored_attempts(other) == ALL_ATTEMPTS


def test_a_lost_attempt_is_found(run: Run) -> None:
    write(run, with_attempts(run, 0, TASKS))
    run.refresh_from_db()
    assert run_verify(run=run).faults == ()
    Attempt.objects.filter(number=3)[0].delete()
    assert run_verify(run=run).faults == ("The attempts stored under fcfs are not those that its placements tell of.",)


def test_a_full_backlog_makes_put_wait(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "LARGEST_BACKLOG", dict.fromkeys(("sqlite", "postgresql"), 20))
    gate = threading.Event()

    def slow(**arguments: Any) -> None:
        gate.wait(30)
        batch_store(**arguments)

    monkeypatch.setattr(writer_module, "batch_store", slow)
    with ResultWriter(run=run) as writer:
        writer.put(batch(run, 0, 10))
        second = threading.Thread(target=writer.put, args=(batch(run, 10, 20),))
        second.start()
        second.join(0.2)
        assert second.is_alive()
        assert writer.backlog == 20
        assert not writer.wait_for_room(0.01)
        gate.set()
        second.join(30)
        assert not second.is_alive()
    assert SchedulerResult.objects.count() == 40


def test_a_database_that_comes_back_gets_every_row_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, 2)
    said: list[str] = []
    with ResultWriter(run=run, on_trouble=said.append) as writer:
        writer.put(batch(run, 0, 10))
    assert SchedulerResult.objects.count() == 20
    assert said == [
        "The database does not answer (connection refused); trying again for 60 seconds.",
        "The database answers again.",
    ]


def test_a_commit_whose_answer_was_lost_is_not_repeated(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, 1, after_commit=True)
    with ResultWriter(run=run, on_trouble=lambda _: None) as writer:
        writer.put(batch(run, 0, 10))
        writer.put(batch(run, 10, 20))
    assert SchedulerResult.objects.count() == 40


def test_what_no_database_takes_goes_to_a_file_and_comes_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with ResultWriter(run=run) as writer:
        writer.put(batch(run, 0, 10))
    with monkeypatch.context() as patch:
        failing(patch, 10**6)
        with pytest.raises(ResultsNotStored, match=r"The \d+ that were in memory lie in .*--resume"):
            write(run, batch(run, 10, 25), batch(run, 25, 40))
    assert SchedulerResult.objects.count() == 20
    assert spill_path(run).exists()
    assert spill_take_in(run=run) == 60
    assert not spill_path(run).exists()
    assert SchedulerResult.objects.count() == 80
    assert progress(run) == dict.fromkeys(run.policies, TASKS)
    assert spill_take_in(run=run) == 0
    stored = SchedulerResult.objects.filter(scheduler="fcfs").order_by("id").values_list("energy_joules", flat=True)
    assert list(stored) == batch(run, 0, TASKS).parts["fcfs"]["energy_joules"].tolist()
    assert not SchedulerResult.objects.exclude(model_version=None).exists()


def test_without_room_for_the_file_it_says_so_and_leaves_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_table: Any, path: Path, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, f"Error writing to {path}")

    failing(monkeypatch, 10**6)
    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(
        ResultsNotStored, match=r"refused\)\. The 40 in memory .*\(No space left on device\); .*--resume"
    ):
        write(run, batch(run, 0, 20))
    assert not spill_path(run).exists()


def test_rows_of_the_file_that_are_stored_already_are_passed_over(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        failing(patch, 10**6)
        with pytest.raises(ResultsNotStored):
            write(run, batch(run, 0, 20))
    batch_store(run=run, batch=batch(run, 0, 15))
    assert spill_take_in(run=run) == 10
    assert SchedulerResult.objects.count() == 40


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """Return the file with a byte of its first column changed, which stays well-formed."""
    return content[:60] + bytes([content[60] ^ 1]) + content[61:]


@pytest.mark.parametrize("damage", [cut, flipped, lambda _: b"", lambda _: b"not parquet"])
def test_a_damaged_file_is_set_aside_and_the_run_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    with monkeypatch.context() as patch:
        failing(patch, 10**6)
        with pytest.raises(ResultsNotStored):
            write(run, batch(run, 0, 20))
    path = spill_path(run)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert spill_take_in(run=run) == 0
    assert "set aside as" in caplog.text
    assert not path.exists()
    assert path.with_name(f"{path.name}.damaged").read_bytes() == damage(whole)
    assert SchedulerResult.objects.count() == 0
    write(run, batch(run, 0, TASKS))
    assert progress(run) == dict.fromkeys(run.policies, TASKS)


@pytest.mark.django_db(transaction=True)
def test_a_deleted_run_takes_its_files_along(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        failing(patch, 10**6)
        with pytest.raises(ResultsNotStored):
            write(run, batch(run, 0, 20))
    run.fail("The database was away.")
    assert spill_path(run).exists()
    run_delete(run=run)
    assert not list(spill_path(run).parent.iterdir())


def test_a_batch_is_never_there_before_the_one_before_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "transaction_rows", lambda: 10)
    seen = []

    def watched(*, batch: ResultBatch, before_progress: Callable[[], None], **arguments: Any) -> None:
        def wait() -> None:
            if batch.clock_time == 5:
                time.sleep(0.3)  # Time enough for the next batch to overtake, where it could.
            before_progress()
            seen.append((progress(run).get("fcfs", 0), batch.progress["fcfs"]))

        batch_store(batch=batch, before_progress=wait, **arguments)

    monkeypatch.setattr(writer_module, "batch_store", watched)
    write(run, *(batch(run, first, first + 5) for first in range(0, 20, 5)))
    assert seen == [(0, 5), (5, 10), (10, 15), (15, 20)]
    assert SchedulerResult.objects.count() == 40


def split_beyond_1(batch: ResultBatch) -> ResultBatch:
    """Return a batch with a fraction under fcfs that the database refuses."""
    return replace(batch, parts={**batch.parts, "fcfs": {**batch.parts["fcfs"], "gpu_fraction": 2.0}})


def test_nothing_that_follows_a_refused_batch_is_stored(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "transaction_rows", lambda: 10)
    wrong = split_beyond_1(batch(run, 0, 5))
    with pytest.raises(ResultsNotStored):
        write(run, wrong, batch(run, 5, 10), batch(run, 10, 15))
    assert SchedulerResult.objects.count() == 0
    assert progress(run) == {}


def test_a_row_that_the_database_refuses_ends_the_run_at_once(run: Run) -> None:
    wrong = split_beyond_1(batch(run, 0, 10))
    with pytest.raises(ResultsNotStored) as raised:
        write(run, wrong)
    assert isinstance(raised.value.__cause__, IntegrityError)
    assert not spill_path(run).exists()
    assert SchedulerResult.objects.count() == 0
    assert progress(run) == {}


def test_one_writer_without_a_connection_leaves_the_rows_to_the_others(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = threading.Event()
    ensure = BaseDatabaseWrapper.ensure_connection

    def limited(self: BaseDatabaseWrapper) -> None:
        if threading.current_thread().name.endswith(", 1"):
            refused.set()
            raise OperationalError("sorry, too many clients already")
        ensure(self)

    monkeypatch.setattr(writer_module, "TRANSACTIONS_AT_ONCE", {"sqlite": 2, "postgresql": 2})
    monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", limited)
    write(run, batch(run, 0, 20), batch(run, 20, TASKS))
    assert refused.is_set()
    assert SchedulerResult.objects.filter(run=run).count() == 2 * TASKS


def test_writers_that_never_get_a_connection_say_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure = BaseDatabaseWrapper.ensure_connection

    def refused(self: BaseDatabaseWrapper) -> None:
        if threading.current_thread().name.startswith("results of run"):
            raise OperationalError("sorry, too many clients already")
        ensure(self)

    monkeypatch.setattr(writer_module, "RECONNECT_SECONDS", 0.05)
    monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", refused)
    with pytest.raises(ResultsNotStored, match="too many clients already"):
        write(run, batch(run, 0, 20))
