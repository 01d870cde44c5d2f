"""importworkload and generateworkload through the command line."""

import gzip
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client

from apps.tasks import stored_tasks
from apps.tasks.audit_lines import audit_lines
from apps.tasks.managers import TaskQuerySet
from apps.tasks.models import Site, Task, Workload

pytestmark = pytest.mark.django_db

PathOf = Callable[[str], Path]


def run(command: str, *arguments: object) -> str:
    out = StringIO()
    call_command(command, *map(str, arguments), stdout=out, verbosity=1)
    return out.getvalue()


def document(command: str, *arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(command, *arguments, "--json"))
    return found


def refusal(command: str, *arguments: object) -> str:
    """Return the one sentence with which the command fails, after checking that it left nothing behind."""
    before = (Workload.objects.count(), Task.objects.count())
    with pytest.raises(CommandError) as caught:
        run(command, *arguments)
    assert (Workload.objects.count(), Task.objects.count()) == before
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.fixture
def swf(data_path: PathOf) -> Path:
    return data_path("small.swf")


def test_an_import_stores_every_task(swf: Path) -> None:
    printed = document("importworkload", swf)
    workload = Workload.objects.get()
    assert printed["created"] is True
    assert printed["workload"]["id"] == workload.pk
    assert printed["workload"]["name"] == workload.name == "small"
    assert (workload.source, workload.source_file_name, workload.max_processors) == ("swf", "small.swf", 8)
    assert (workload.task_count, workload.first_arrival_time, workload.last_arrival_time) == (4, 0, 20)
    assert workload.offered_load == printed["workload"]["offered_load"] == 980 / 160
    assert workload.audit == printed["audit"]
    assert workload.audit["headers"]["UnixStartTime"] == "749458803"
    task = workload.tasks.get(task_id=1)
    assert (task.arrival_time, task.runtime, task.duration_estimate, task.cpus) == (0, 100, 200, 4)
    assert (task.memory_mb, task.user, task.group, task.queue, task.kind) == (4, "1", "1", "2", "rigid")
    assert (task.recorded_start_time, task.deadline_time, task.dependencies) == (5, None, [])
    assert workload.tasks.get(task_id=2).recorded_start_time is None


def test_the_summary_goes_to_stdout_in_one_line(swf: Path) -> None:
    assert run("importworkload", swf) == (
        "Workload small (swf): 4 tasks arriving over 20.0 s, 980 core-s, offered load 6.125 on 8 processors.\n"
    )


def test_the_same_file_is_stored_once(swf: Path, tmp_path: Path) -> None:
    first = document("importworkload", swf)
    copy = tmp_path / "copy.swf"
    copy.write_bytes(swf.read_bytes())
    again = document("importworkload", copy, "--name", "another")
    assert again["created"] is False
    assert again["workload"] == first["workload"]
    assert "stored already, as workload small." in run("importworkload", copy)
    assert Workload.objects.count() == 1


def test_the_same_file_read_in_another_way_is_another_workload(swf: Path) -> None:
    run("importworkload", swf)
    other = document("importworkload", swf, "--preceding-jobs")
    assert other["created"] is True
    assert other["workload"]["name"] == "small-2"
    assert Task.objects.get(workload_id=other["workload"]["id"], task_id=2).dependencies == [1]


def test_a_mapped_csv_is_imported(data_path: PathOf) -> None:
    mapping = "task_id=id,arrival_time=submitted, runtime=secs,cpus=cores,gpus=num_gpu,dependencies=after"
    printed = document("importworkload", data_path("jobs.csv"), "--map", mapping, "--name", "jobs of January")
    assert printed["workload"]["name"] == "jobs of January"
    assert sorted(Task.objects.get(task_id=12).dependencies) == [10, 11]
    assert Task.objects.get(task_id=11).gpus == 0.5


def test_a_mapping_takes_units_and_a_table_without_a_header_takes_names(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("7,1500,90\n8,2500,60\n")
    mapping = "task_id=id,arrival_time=when@ms,runtime=took@min"
    document("importworkload", path, "--columns", "id,when,took", "--map", mapping)
    assert list(Task.objects.order_by("task_id").values_list("arrival_time", "runtime")) == [(1.5, 5400), (2.5, 3600)]


def test_what_still_ran_is_left_out_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "jobs.psv"
    lines = ("JobID|Submit|Start|End|ElapsedRaw|AllocCPUS|State", "1|0|0|9|9|1|COMPLETED", "2|0|0|Unknown|5|1|RUNNING")
    path.write_text("\n".join(lines))
    assert document("importworkload", path, "--name", "all")["audit"]["kept"] == 2
    assert document("importworkload", path, "--finished-only", "--name", "ended")["audit"]["kept"] == 1


def test_the_audit_names_the_column_and_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("arrival_time,runtime,cpus,mem\n0,5,1,plenty\n")
    call_command("importworkload", str(path), "--map", "memory_mb=mem", stdout=StringIO())
    assert "mem 'plenty'" in " ".join(capsys.readouterr().err.split())
    (finding,) = (line for line in audit_lines(Workload.objects.get().audit) if "mem 'plenty'" in line.what)
    assert (finding.done, finding.count, finding.places) == ("Repaired", 1, "2")


def test_a_worker_type_chooses_among_throughputs(tmp_path: Path, data_path: PathOf) -> None:
    rates = tmp_path / "rates.json"
    key = "('LM (batch size 80)', 4)"
    rates.write_text(json.dumps({"k80": {key: {"null": 5}}, "v100": {key: {"null": 10}}}))
    arguments = ("importworkload", data_path("gavel_7.trace"), "--throughputs", rates)
    assert "name one of them with --worker-type" in refusal(*arguments)
    assert "not given" in refusal(*arguments[:2], "--worker-type", "v100")
    run(*arguments, "--worker-type", "k80")
    assert list(Task.objects.values_list("runtime", flat=True)) == [100]


def test_a_gavel_trace_takes_its_throughput(data_path: PathOf, tmp_path: Path) -> None:
    rates = tmp_path / "rates.json"
    rates.write_text('{"LM (batch size 80)": 5}')
    run("importworkload", data_path("gavel_7.trace"), "--steps-per-second", 10, "--throughputs", rates)
    assert list(Task.objects.order_by("task_id").values_list("runtime", flat=True)) == [100, 100]


def test_broken_lines_are_counted_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.swf"
    path.write_text("1 0 -1 10 1\nbroken\n3 0 -1 10 1\n")
    call_command("importworkload", str(path), stdout=StringIO())
    found = Workload.objects.get().audit["dropped"]["broken_line"]
    assert found == {"count": 1, "places": [2], "examples": ["1 fields"]}
    shown = capsys.readouterr().err
    assert "3 read, 2 kept" in shown
    assert "Dropped" in shown


@pytest.mark.parametrize(
    ("data", "arguments", "reason"),
    [
        (b"", (), "is empty"),
        (b"\x7fELF\0\0", (), "binary"),
        (b"1 0 -1 x 1\n", ("--format", "swf"), "1 lines that do not hold the numbers"),
        (b"hello\n", (), "not recognised"),
        (b"1 0 -1 10 1\n", ("--format", "sfw"), "Did you mean swf"),
        (b"1 inf -1 10 1\n", (), "not finite"),
        (b"1 0 -1 -10 1\n", (), "negative run time"),
        (b"1 0 -1 99999999999999999999 1\n", (), "beyond 2**53"),
        (b"arrival_time,runtime\n1,\xff\n", (), "not UTF-8"),
        (b"a,b\n1,2\n", (), "--map"),
        (b"a,b\n1,2\n", ("--map", "arrival_time"), "--map takes pairs"),
        (b"a,b\n1,2\n", ("--map", "runtime=a,runtime=b"), "twice"),
        (b"a,b\n1,2\n", ("--map", "arrival_time=a@week,runtime=b"), "known are ns, us, ms, s, min, h, d"),
        (b"1,2\n", ("--columns", "arrival_time"), "--columns takes two names or more"),
        (b"1,2\n", ("--columns", "arrival_time,runtime,cpus"), "names 3 columns"),
        (b"1 0 -1 10 1\n", ("--columns", "a,b", "--format", "swf"), "no meaning for the format swf"),
        (b"1 0 -1 10 1\n", ("--map", "runtime=a"), "no meaning for the format swf"),
        (b"1 0 -1 10 1\n" * 9, ("--max-bytes", "50"), "larger than the limit"),
        pytest.param(gzip.compress(b"1 0 -1 10 1\n")[:-9], (), "damaged gzip", id="damaged gzip"),
        (b"1 0 -1 10 1\n", ("--name", " "), "1 to 200 characters"),
        (b"1 0 -1 10 1\n", ("--name", "x" * 201), "1 to 200 characters"),
        (b"arrival_time,runtime,user\n0,1," + b"u" * 101 + b"\n", (), "text of 101 characters"),
        (b"task_id,arrival_time,runtime,dependencies\n1,0,5,2\n2,0,5,1\n", (), "circular"),
    ],
)
def test_a_bad_file_is_one_sentence_and_leaves_no_rows(
    data: bytes, arguments: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "trace"
    path.write_bytes(data)
    assert reason in refusal("importworkload", path, *arguments)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    assert "There is no file" in refusal("importworkload", tmp_path / "none.swf")
    assert "is a folder" in refusal("importworkload", tmp_path)


def test_a_name_is_given_once(swf: Path) -> None:
    run("generateworkload", "lublin", "--tasks", 3, "--name", "mine")
    assert "already; choose another name" in refusal("importworkload", swf, "--name", "mine")
    assert "already; choose another name" in refusal("generateworkload", "lublin", "--tasks", 4, "--name", "mine")


def test_a_full_disk_leaves_no_rows(swf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_columns: object) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(TaskQuerySet, "bulk_create_columns", fail)
    assert "could not be stored: database or disk is full" in refusal("importworkload", swf)
    assert "could not be stored" in refusal("generateworkload", "mixed", "--tasks", 5)


def test_too_little_memory_is_a_sentence(swf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_columns: object) -> None:
        raise MemoryError

    monkeypatch.setattr(TaskQuerySet, "bulk_create_columns", fail)
    assert refusal("importworkload", swf) == "There was not enough memory; nothing is stored."


def test_a_generated_workload_says_how_to_make_it_again() -> None:
    printed = document("generateworkload", "lublin", "--tasks", 50, "--seed", 3, "--load", 0.8, "--processors", 64)
    workload = Workload.objects.get()
    assert (workload.name, workload.source, workload.seed) == ("lublin-50-seed3", "synthetic:lublin", 3)
    assert workload.generator_parameters["processors"] == workload.max_processors == 64
    assert workload.offered_load == pytest.approx(0.8, rel=1e-3)
    assert workload.tasks.count() == workload.task_count == printed["workload"]["task_count"] == 50


def test_the_same_generation_is_stored_once_unless_named_anew() -> None:
    arguments = ("generateworkload", "mixed", "--tasks", 20, "--rate", 5)
    first = document(*arguments)
    again = document(*arguments)
    assert (first["created"], again["created"]) == (True, False)
    assert "stored already" in run(*arguments)
    assert document(*arguments, "--name", "mine")["created"] is True
    assert document(*arguments, "--name", "mine")["created"] is False
    assert document(*arguments, "--seed", 1)["workload"]["name"] == "mixed-20-seed1"
    other = document("generateworkload", "mixed", "--tasks", 20, "--rate", 6)
    assert other["workload"]["name"] == "mixed-20-seed0-2"


def test_generated_dependencies_and_kinds_are_stored() -> None:
    run("generateworkload", "mixed", "--tasks", 200)
    assert Task.objects.exclude(dependencies=[]).exists()
    assert not Task.objects.exclude(kind=Task.Kind.HYBRID).exists()
    assert Task.objects.exclude(user="").count() == 200


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("lubin",), "Did you mean lublin"),
        (("lublin", "--tasks", "0"), "between 1 and"),
        (("lublin", "--seed", "-1"), "between 0 and 2**63 - 1"),
        (("lublin", "--seed", str(2**63)), "between 0 and 2**63 - 1"),
        (("lublin", "--load", "much"), "must be a number"),
        (("lublin", "--rate", "5"), "no parameter of lublin called 'rate'"),
        (("mixed", "--hybrid", "perhaps"), "yes or no"),
    ],
)
def test_a_bad_generation_is_one_sentence_and_leaves_no_rows(arguments: tuple[str, ...], reason: str) -> None:
    assert reason in refusal("generateworkload", *arguments)


def test_help_teaches_formats_columns_and_models(capsys: pytest.CaptureFixture[str]) -> None:
    for command, words in (
        ("importworkload", ("openb", "arrival_time", "--map")),
        ("generateworkload", ("lublin", "JPDC 2003", "--dependency-share")),
    ):
        with pytest.raises(SystemExit):
            call_command(command, "--help")
        shown = capsys.readouterr().out
        assert all(word in shown for word in words)


def test_the_site_that_synthetic_jobs_are_for_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    run("generateworkload", "site", "--tasks", 50, "--nodes", 10, "--write-site", path)
    assert Workload.objects.get().max_processors == 18 * 64
    run("importsite", "--file", path)
    assert Site.objects.get().as_site().cluster.cores == 18 * 64


def test_a_model_without_a_site_writes_none(tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    assert "for no site" in refusal("generateworkload", "mixed", "--write-site", path)
    assert "at least 1" in refusal("generateworkload", "site", "--nodes", 0, "--write-site", path)
    assert not path.exists()


def test_a_year_like_a_stored_workload_is_made_once_and_compared_with_it(
    client: Client, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VAR_DIR, settings.TASK_FILES_MB = tmp_path, 10
    monkeypatch.setattr(stored_tasks, "FEWEST_FILED", 1)
    run("generateworkload", "site", "--tasks", 3000, "--seed", 1, "--name", "record", "--hourly", 8)
    record = Workload.objects.get(name="record")
    order = ("generateworkload", "fitted", "--from", "record", "--days", 12, "--seed", 2)
    made = document(*order)
    stored = Workload.objects.get(name="record-fitted-seed2")
    assert made["workload"]["task_count"] == stored.task_count
    assert stored.source == "synthetic:fitted"
    assert stored.audit["fitted_to"] == "record"
    assert stored.max_processors == record.max_processors
    record.refresh_from_db()
    assert record.tasks_file, "its tasks were read as those of runs are, which makes their file"
    page = client.get(f"/workloads/{stored.pk}/").content.decode()
    assert f'<a href="/workloads/{record.pk}/">record</a>' in page
    assert stored.generator_parameters["fitted_to"] not in page
    assert stored.generator_parameters["redraw"] is False
    assert '<td class="break">no</td>' in page
    assert document(*order)["created"] is False
    found = document("compareworkloads", "record", stored.name)
    assert {one["name"] for one in found["distances"]} >= {"run time", "estimate", "processors", "rank of the user"}
    assert all(one["low"] <= one["value"] <= one["high"] for one in found["marginals"])
    assert "Kolmogorov-Smirnov" in run("compareworkloads", "record", stored.name)
    stored.refresh_from_db()
    assert stored.tasks_file


def test_what_cannot_be_fitted_or_compared_is_refused() -> None:
    run("generateworkload", "lublin", "--tasks", 30, "--name", "small")
    assert "--from" in refusal("generateworkload", "fitted")
    assert "no workload called" in refusal("generateworkload", "fitted", "--from", "another")
    assert "leave the number out" in refusal("generateworkload", "fitted", "--from", "small", "--tasks", 5)
    assert "fitted to no workload" in refusal("generateworkload", "lublin", "--from", "small")
    assert "fitted to 2 or more" in refusal("generateworkload", "fitted", "--from", "small")
    assert "3 days or more" in refusal("compareworkloads", "small", "small")
    assert "no workload called" in refusal("compareworkloads", "small", "another")
