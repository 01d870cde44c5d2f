"""Files of tasks: what they hold is what the database holds, and what they should not hold is never used."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps.live.checking.integrity import run_check
from apps.tasks import services, stored_tasks, task_files
from apps.tasks.models import Task, TaskRequest, Workload
from apps.tasks.stored_tasks import StoredTasks, load_tasks, read_tasks, some_tasks
from apps.tasks.task_files import FiledTasks, task_file_read, task_file_write
from scheduler_sim import engine
from scheduler_sim.columnar import kept_files
from scheduler_sim.engine.traces import Audit
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.throughputs import Throughputs
from scheduler_sim.engine.workloads.workload import Labels, Parents
from tests.files import unreadable
from tests.results.rows import make_run
from tests.workloads import random_requests

pytestmark = pytest.mark.django_db

RATES = Throughputs(("v100", "k80"), {("bert", 1): (1.5, 0.25)}, {("bert", "bert"): ((1.0, 1.0), (0.1, 0.2))})


@pytest.fixture(autouse=True)
def files(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep files of tasks in a folder of the test's own, of the smallest workloads too."""
    settings.VAR_DIR, settings.TASK_FILES_MB = tmp_path, 100
    monkeypatch.setattr(stored_tasks, "FEWEST_FILED", 1)
    return tmp_path / "tasks"


def store(tasks: engine.Workload, name: str = "stored") -> Workload:
    """Store tasks."""
    audit = Audit(read=len(tasks))
    audit.measure(tasks, None)
    return services._store(tasks=tasks, audit=audit, name=name, source="csv")


def made_up(length: int, seed: int, **chosen: bool) -> engine.Workload:
    """Return tasks with all that a workload can hold; `chosen` leaves out what is False."""
    generator = np.random.default_rng(seed)

    def unless(name: str, values: Any) -> Any:
        return values if chosen.get(name, True) else None

    def some(values: Any) -> Any:
        return np.where(generator.random(length) < 0.5, np.nan, values)

    arrivals = np.round(1000 * generator.random(length), 1)
    ids = generator.permutation(length) + 1
    # Each depends on some of lower numbers, so that there is no circle.
    parents = [list(range(1, one, 3)) for one in ids.tolist()]
    return engine.Workload.from_columns(
        task_id=ids,
        arrival_time=arrivals,
        runtime=np.round(100 * generator.random(length), 3),
        duration_estimate=unless("estimates", some(np.round(200 * generator.random(length), 3))),
        size=unless("plain", some(generator.random(length))),
        compute_intensity=unless("plain", generator.random(length)),
        memory_mb=unless("plain", generator.integers(0, 3, length)),
        cpus=generator.integers(1, 9, length),
        gpus=unless("plain", generator.choice([0, 0.25, 2], length)),
        gpu_type=unless("plain", generator.choice(["", "a100|v100", "k80"], length)),
        user=unless("labels", generator.choice(["änne", "bob", ""], length)),
        group=unless("labels", generator.choice(["bert", "lstm"], length)),
        queue=unless("labels", generator.choice(["q", "p"], length)),
        dependencies=unless("parents", parents),
        dependency_mb=unless("parents", unless("data", [generator.random(len(some)) for some in parents])),
        hybrid=unless("plain", generator.random(length) < 0.5),
        deadline_time=unless("plain", some(arrivals + 50)),
        predicted_duration=unless("plain", some(generator.random(length))),
        recorded_start_time=unless("plain", some(arrivals + 5)),
        external_id=unless("texts", [f"jøb-{number}" * (number % 3) for number in range(length)]),
        requests=unless("requests", random_requests(arrivals, seed)),
        throughputs=RATES if chosen.get("rates", True) else None,
    )


def assert_equal(one: StoredTasks, other: StoredTasks) -> None:
    """Compare to the bit, with what compiled code looks at: types, order in memory, and whether they may be written."""
    _same("keys", one.keys, other.keys)
    for field in fields(engine.Workload):
        _same(field.name, getattr(one.workload, field.name), getattr(other.workload, field.name))
    assert one.digest == other.digest


def _same(name: str, one: Any, other: Any) -> None:
    assert type(one) is type(other), name
    if isinstance(one, Labels | Parents | Requests):
        for field in fields(one):
            _same(f"{name}.{field.name}", getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), name
        assert all((one.flags.writeable, one.flags.aligned, one.flags.c_contiguous)), name
        np.testing.assert_array_equal(one, other, err_msg=name)
    else:
        assert one == other, name


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    length=st.integers(1, 25),
    seed=st.integers(0, 2**32),
    chosen=st.fixed_dictionaries(
        {
            name: st.booleans()
            for name in ("estimates", "plain", "labels", "parents", "data", "texts", "requests", "rates")
        }
    ),
    limit=st.integers(1, 26),
)
def test_a_workload_from_its_file_equals_the_one_from_the_database(
    length: int, seed: int, chosen: dict[str, bool], limit: int
) -> None:
    stored = store(made_up(length, seed, **chosen), f"stored {Workload.objects.count()}")
    of_database = read_tasks(workload_id=stored.pk)
    assert_equal(load_tasks(workload_id=stored.pk), of_database)
    stored.refresh_from_db()
    filed = task_file_read(stored.tasks_file)
    assert filed is not None
    assert_equal(StoredTasks(filed.workload, filed.keys, filed.digest), of_database)
    assert_equal(load_tasks(workload_id=stored.pk), of_database)
    assert_equal(load_tasks(workload_id=stored.pk, limit=limit), read_tasks(workload_id=stored.pk, limit=limit))
    # Of what the digest says nothing was known beforehand.
    assert filed.digest == StoredTasks(filed.workload, filed.keys).digest


def test_a_file_that_was_changed_anywhere_is_never_used(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    stored = store(made_up(12, 1))
    of_database = load_tasks(workload_id=stored.pk)
    [path] = files.iterdir()
    whole = path.read_bytes()
    generator = np.random.default_rng(5)
    used = 0
    with caplog.at_level(logging.ERROR):
        for place in generator.integers(0, len(whole), 300).tolist():
            damaged = bytearray(whole)
            damaged[place] ^= int(generator.integers(1, 256))
            path.write_bytes(damaged)
            found = task_file_read(path.stem)
            if found is not None:
                # The byte was one that means nothing.
                used += 1
                assert_equal(StoredTasks(found.workload, found.keys, found.digest), of_database)
        for length in (0, 7, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            assert task_file_read(path.stem) is None
    assert used < 200


def test_a_damaged_file_is_made_again(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    stored = store(made_up(12, 1))
    of_database = load_tasks(workload_id=stored.pk)
    [path] = files.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes(len(whole) - 100))
    assert_equal(load_tasks(workload_id=stored.pk), of_database)
    assert "is not used" in caplog.text
    assert path.read_bytes() == whole
    assert list(files.iterdir()) == [path]


@pytest.mark.parametrize(
    "failing", [(Path, "open", PermissionError("not mine")), (task_files, "_read", MemoryError("no room"))]
)
def test_a_good_file_that_cannot_be_read_now_stays(files: Path, caplog: pytest.LogCaptureFixture, failing: Any) -> None:
    stored = store(made_up(12, 1))
    load_tasks(workload_id=stored.pk)
    [path] = files.iterdir()
    with unreadable(caplog, *failing):
        assert task_file_read(path.stem) is None
    assert task_file_read(path.stem) is not None


def test_a_file_of_other_tasks_under_the_name_is_not_used(files: Path) -> None:
    one, other = store(made_up(9, 1), "one"), store(made_up(9, 2), "other")
    of_database = load_tasks(workload_id=one.pk)
    load_tasks(workload_id=other.pk)
    one.refresh_from_db()
    other.refresh_from_db()
    (files / f"{other.tasks_file}.arrow").replace(files / f"{one.tasks_file}.arrow")
    assert_equal(load_tasks(workload_id=one.pk), of_database)


@pytest.mark.parametrize("how", ["update", "save", "delete", "rows", "request", "bulk", "rates"])
def test_tasks_that_were_changed_are_read_anew(how: str) -> None:
    stored = store(made_up(9, 1, parents=False))
    before = load_tasks(workload_id=stored.pk)
    task = Task.objects.filter(workload=stored).first()
    assert task is not None
    if how == "update":
        Task.objects.filter(workload=stored, task_id=3).update(runtime=1234)
    elif how == "save":
        task.runtime = 1234
        task.save()
    elif how == "delete":
        task.delete()
    elif how == "rows":
        Task.objects.filter(workload=stored, task_id__gt=4).delete()
    elif how == "request":
        TaskRequest.objects.filter(task=task).update(nodes=77)
    elif how == "bulk":
        Task.objects.bulk_create([Task(workload=stored, task_id=99, arrival_time=5, runtime=7)])
    else:
        Workload.objects.filter(pk=stored.pk).update(throughputs=None)
    after = load_tasks(workload_id=stored.pk)
    assert_equal(after, read_tasks(workload_id=stored.pk))
    assert_equal(load_tasks(workload_id=stored.pk), after)
    assert after.digest != before.digest


def test_tasks_that_change_while_they_are_read_give_the_workload_no_file() -> None:
    stored = store(made_up(9, 1))

    def change() -> None:
        Task.objects.filter(workload=stored, task_id=1).update(runtime=1234)

    load_tasks(workload_id=stored.pk, meanwhile=change)
    assert_equal(load_tasks(workload_id=stored.pk), read_tasks(workload_id=stored.pk))


def test_several_that_make_a_file_at_once_make_one(files: Path) -> None:
    stored = store(made_up(20, 1))
    read = read_tasks(workload_id=stored.pk)
    filed = FiledTasks(read.workload, read.keys, read.digest)
    with ThreadPoolExecutor(4) as pool:
        names = set(pool.map(lambda _number: task_file_write(filed), range(12)))
    assert {f"{name}.arrow" for name in names} == {path.name for path in files.iterdir()}
    assert len(names) == 1


def test_what_is_written_to_tasks_read_from_a_file_stays_with_the_reader() -> None:
    stored = store(made_up(9, 1))
    load_tasks(workload_id=stored.pk)
    load_tasks(workload_id=stored.pk).workload.runtime[:] = 7
    assert_equal(load_tasks(workload_id=stored.pk), read_tasks(workload_id=stored.pk))


def test_the_database_serves_where_no_file_can_be_written(
    settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    settings.VAR_DIR = tmp_path / "file"
    stored = store(made_up(9, 1))
    assert_equal(load_tasks(workload_id=stored.pk), read_tasks(workload_id=stored.pk))
    assert "no file of them can be written" in caplog.text


def test_small_workloads_and_their_first_tasks_need_no_file(
    settings: Any, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = store(made_up(9, 1))
    load_tasks(workload_id=stored.pk, limit=3)
    settings.TASK_FILES_MB = 0
    load_tasks(workload_id=stored.pk)
    settings.TASK_FILES_MB = 100
    monkeypatch.setattr(stored_tasks, "FEWEST_FILED", 10)
    load_tasks(workload_id=stored.pk)
    assert not files.exists()


def test_a_file_goes_with_its_workload(files: Path, django_capture_on_commit_callbacks: Any) -> None:
    stored, kept = store(made_up(9, 1)), store(made_up(9, 2), "kept")
    load_tasks(workload_id=stored.pk)
    load_tasks(workload_id=kept.pk)
    with django_capture_on_commit_callbacks(execute=True):
        # The instance is older than its file.
        stored.delete()
    kept.refresh_from_db()
    assert [path.stem for path in files.iterdir()] == [kept.tasks_file]


def test_files_used_longest_ago_go_first(files: Path, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    stored = [store(made_up(500, seed, parents=False, requests=False), f"{seed}") for seed in range(4)]
    load_tasks(workload_id=stored[0].pk)
    [first] = files.iterdir()
    settings.TASK_FILES_MB = 2.5 * first.stat().st_size / 1_000_000
    load_tasks(workload_id=stored[1].pk)
    for path in files.iterdir():
        # A clock of files may stand still for some milliseconds.
        os.utime(path, (1000, 1000))
    load_tasks(workload_id=stored[0].pk)
    load_tasks(workload_id=stored[2].pk)
    stored = list(Workload.objects.order_by("name"))
    assert {path.stem for path in files.iterdir()} == {stored[0].tasks_file, stored[2].tasks_file}
    settings.TASK_FILES_MB = 0.01
    load_tasks(workload_id=stored[3].pk)
    assert "larger than TASK_FILES_MB" in caplog.text
    assert len(list(files.iterdir())) == 2


def test_prune_takes_away_files_of_no_workload_and_beyond_the_limit(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    stored = store(made_up(9, 1))
    load_tasks(workload_id=stored.pk)
    [kept] = files.iterdir()
    (files / "nobodys.arrow").write_bytes(b"x" * 10)
    call_command("prune", "--task-files", "100")
    assert "and 0 files of tasks (0 bytes) would be deleted" in capsys.readouterr().out
    monkeypatch.setattr(kept_files, "ABANDONED_SECONDS", -1)
    call_command("prune", "--task-files", "100", "--yes")
    assert "Deleted 1 files of tasks, 10 bytes." in capsys.readouterr().out
    assert list(files.iterdir()) == [kept]
    (files / "lost+found").mkdir()
    with monkeypatch.context() as locked:
        locked.setattr(Path, "unlink", Mock(side_effect=PermissionError("not mine")))
        with pytest.raises(CommandError, match="One of the files of tasks cannot be deleted: not mine"):
            call_command("prune", "--task-files", "0", "--yes")
    call_command("prune", "--task-files", "0", "--yes")
    assert [path.name for path in files.iterdir()] == ["lost+found"]
    with pytest.raises(CommandError, match="--task-files is a number of megabytes from 0"):
        call_command("prune", "--task-files", "-1")


def test_whether_tasks_of_a_run_were_changed_is_looked_up_in_the_database(files: Path) -> None:
    run = make_run(4)
    load_tasks(workload_id=run.workload_id)
    [path] = files.iterdir()
    path.write_bytes(b"")
    run_check(run=run)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("chosen", [{}, {"parents": False}, {"parents": False, "requests": False}])
def test_some_tasks_of_a_file_are_those_of_the_database(chosen: dict[str, bool]) -> None:
    stored = store(made_up(40, 5, **chosen))
    keys = load_tasks(workload_id=stored.pk).keys
    stored.refresh_from_db()
    for some in (keys[::3], keys[5:6], keys):
        from_file = some_tasks(stored, np.sort(some))
        stored.tasks_file, name = "", stored.tasks_file
        assert_equal(from_file, some_tasks(stored, np.sort(some)))
        stored.tasks_file = name
    # One that came since, or was never there, is not passed over: the database is asked.
    assert len(some_tasks(stored, np.array([keys[0], keys.max() + 1])).keys) == 1
