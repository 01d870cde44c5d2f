"""Starting, pausing, resuming and stopping runs, and sending traces."""

import gzip
import html
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from apps.live.models import SimulationState
from apps.results.models import Run
from apps.tasks import uploads
from apps.tasks.models import Workload, WorkloadImport
from scheduler_sim.background import processes
from scheduler_sim.background.models import Job
from scheduler_sim.background.work import job_run
from tests.asked import Asked
from tests.web.conftest import make_run

SWF = b"; MaxProcs: 4\n" + b"".join(b"%d %d 0 10 1 -1 -1 1 10 -1 1 1 1 -1 1 1 -1 -1\n" % (i, i) for i in range(1, 6))


@pytest.fixture
def launched(db: None) -> Asked:
    """What was asked for; nothing starts, because a test's transaction is never committed."""
    return Asked()


@pytest.fixture
def control(api_of: Callable[[User], APIClient], controller: User) -> APIClient:
    """A client of somebody who may control runs."""
    return api_of(controller)


def body(run: Run, **changes: Any) -> dict[str, Any]:
    return {"workload": run.workload_id, "cluster": "hpc-4", "policies": ["fcfs", "sjf+easy"], **changes}


def test_a_run_is_stored_and_started(control: APIClient, run: Run, launched: Asked, controller: User) -> None:
    response = control.post("/api/v1/runs/", body(run, seed=7, limit=3, estimates="factor:2"))
    assert response.status_code == 202
    document = response.json()
    assert response.headers["Location"] == f"/api/v1/runs/{document['id']}/"
    assert (document["status"], document["rows_expected"], document["interrupted"]) == ("queued", 6, False)
    assert document["place"] == 1
    assert Job.objects.get().requested_by == controller
    assert document["configuration"]["estimates"] == "factor:2"
    assert launched.keys == [document["id"]]


def test_a_described_cluster_is_taken(control: APIClient, run: Run, launched: Asked) -> None:
    cluster = {"name": "mine", "groups": [{"name": "nodes", "count": 2, "cores": 8}]}
    assert control.post("/api/v1/runs/", body(run, cluster=cluster)).json()["cluster"]["name"] == "mine"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"workload": 999_999}, "workload"),
        ({"policies": ["fcsf"]}, "policies"),
        ({"policies": []}, "policies"),
        ({"policies": ["fcfs", "fcfs"]}, "policies"),
        ({"cluster": "hpc-0"}, "cluster"),
        ({"cluster": "/etc/passwd"}, "cluster"),
        ({"cluster": "manage.py"}, "cluster"),
        ({"cluster": {"name": "x", "groups": []}}, "cluster"),
        ({"cluster": {"name": "x", "groups": [{"name": "n", "count": 1, "cores": "many"}]}}, "cluster"),
        ({"cluster": {"name": "x" * 200, "groups": [{"name": "n", "count": 1, "cores": 1}]}}, "cluster"),
        ({"cluster": [1]}, "cluster"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"limit": 0}, "limit"),
        ({"estimates": "guess"}, "estimates"),
        ({"on_oversize": "shrink"}, "on_oversize"),
        ({"warmup": 0.6, "cooldown": 0.6}, "cooldown"),
        ({"name": "x" * 201}, "name"),
        ({"sed": 7}, "sed"),
    ],
)
def test_a_run_without_meaning_is_refused_by_field(
    control: APIClient, run: Run, launched: Asked, changes: dict[str, Any], field: str
) -> None:
    response = control.post("/api/v1/runs/", body(run, **changes))
    assert response.status_code == 400
    assert [name.partition(".")[0] for name in response.json()["errors"]] == [field]
    assert Run.objects.count() == 1
    assert launched.keys == []


def test_tasks_that_do_not_fit_are_refused_at_once_in_the_words_of_the_command(
    control: APIClient, run: Run, launched: Asked, controller: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.workload.tasks.filter(task_id=2).update(cpus=9)
    asked = ("--workload", run.workload.name, "--cluster", "hpc-4", "--policies", "fcfs", "--dry-run")
    with pytest.raises(CommandError) as refused:
        call_command("runsimulation", *asked, verbosity=0)
    sentence = str(refused.value)
    assert "1 of 5 tasks are larger than cluster hpc-4 (task_id 2)" in sentence
    response = control.post("/api/v1/runs/", body(run))
    assert (response.status_code, response.json()["errors"]) == (400, {"workload": [sentence]})
    client = Client()
    client.force_login(controller)
    page = client.post("/runs/new/", body(run))
    assert (page.status_code, page.context["form"].errors["workload"]) == (400, [sentence])
    assert launched.keys == []
    for changes in ({"on_oversize": "drop"}, {"limit": 1}, {"cluster": "hpc-16"}):
        assert control.post("/api/v1/runs/", body(run, **changes)).status_code == 202
    # Of many tasks the run itself finds out.
    monkeypatch.setattr("apps.live.play.playable.MOST_TRIED", 4)
    assert control.post("/api/v1/runs/", body(run)).status_code == 202


@pytest.mark.parametrize("tried", [20_000, 0])
def test_a_model_of_run_times_that_there_is_not_is_refused_at_once(
    control: APIClient, run: Run, monkeypatch: pytest.MonkeyPatch, tried: int
) -> None:
    monkeypatch.setattr("apps.live.play.playable.MOST_TRIED", tried)
    response = control.post("/api/v1/runs/", body(run, estimates="predicted:nobody"))
    assert (response.status_code, list(response.json()["errors"])) == (400, ["estimates"])


@pytest.mark.parametrize(
    ("changes", "source", "field", "sentence"),
    [
        ({"begin_time": 5}, "csv", "begin_time", "begin_time needs a workload that tells when its tasks started"),
        ({"feedback": "users", "keep": "summary"}, "csv", "feedback", "Sessions are of users, and the workload"),
        ({"feedback": "users", "keep": "summary"}, "sample", "feedback", "is a sample, whose tasks do not say when"),
    ],
)
def test_what_tasks_do_not_allow_is_refused_at_the_option_that_asks_for_it(
    control: APIClient, run: Run, changes: dict[str, Any], source: str, field: str, sentence: str
) -> None:
    Workload.objects.filter(pk=run.workload_id).update(source=source)
    errors = control.post("/api/v1/runs/", body(run, **changes)).json()["errors"]
    assert list(errors) == [field]
    assert sentence in errors[field][0]


def test_a_refusal_names_the_nearest_policy(control: APIClient, run: Run) -> None:
    detail = control.post("/api/v1/runs/", body(run, policies=["fcfss"])).json()["detail"]
    assert "Did you mean fcfs?" in detail
    valid = detail.partition("Valid names: ")[2].rstrip(".").split(", ")
    assert len(valid) == len(set(valid))


def test_a_name_that_is_taken_is_a_conflict(control: APIClient, run: Run, launched: Asked) -> None:
    response = control.post("/api/v1/runs/", body(run, name=run.name))
    assert response.status_code == 409
    assert run.name in response.json()["detail"]


def test_a_run_whose_process_cannot_be_started_says_so(
    control: APIClient, run: Run, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("scheduler_sim.background.services.subprocess.Popen", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        number = control.post("/api/v1/runs/", body(run)).json()["id"]
    stored = Run.objects.get(pk=number)
    assert (stored.status, "could not be started" in stored.error) == ("failed", True)


def living(run: Run, status: str) -> None:
    """Make this process the one that plays `run`."""
    Run.objects.filter(pk=run.pk).update(status=status)
    SimulationState.objects.filter(run=run).update(
        host=processes.host_name(),
        process_id=1,
        process_started_at=processes.started_at(1),
        heartbeat_at=timezone.now(),
    )


@pytest.mark.parametrize(
    ("status", "command"), [("running", "pause"), ("paused", "resume"), ("running", "stop"), ("paused", "stop")]
)
def test_a_command_is_handed_to_the_process_and_may_be_repeated(
    control: APIClient, run: Run, status: str, command: str
) -> None:
    living(run, status)
    for _ in range(2):
        assert control.post(f"/api/v1/runs/{run.pk}/{command}/").status_code == 202
    assert SimulationState.objects.get(run=run).command == command


@pytest.mark.parametrize(
    ("status", "command"), [("finished", "pause"), ("failed", "resume"), ("finished", "stop"), ("queued", "pause")]
)
def test_a_command_that_the_state_does_not_allow_is_a_conflict(
    control: APIClient, run: Run, status: str, command: str
) -> None:
    Run.objects.filter(pk=run.pk).update(status=status)
    response = control.post(f"/api/v1/runs/{run.pk}/{command}/")
    assert response.status_code == 409
    assert status in response.json()["detail"]


def test_a_command_to_no_run_is_404(control: APIClient, db: None) -> None:
    assert control.post("/api/v1/runs/1/pause/").status_code == 404


def test_a_run_whose_process_died_is_shown_as_interrupted_and_can_be_stopped(control: APIClient, run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(status="running")
    assert control.get(f"/api/v1/runs/{run.pk}/").json()["interrupted"] is True
    assert control.get("/api/v1/status/").json()["under_way"][0]["interrupted"] is True
    assert control.post(f"/api/v1/runs/{run.pk}/stop/").json()["status"] == "stopped"


def test_a_session_needs_the_csrf_token(run: Run, controller: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(controller)
    response = client.post(f"/api/v1/runs/{run.pk}/stop/")
    assert response.status_code == 403
    assert "CSRF" in response.json()["detail"]
    client.get("/admin/login/")
    token = client.cookies["csrftoken"].value
    assert client.post(f"/api/v1/runs/{run.pk}/stop/", HTTP_X_CSRFTOKEN=token).status_code == 409


def read(number: int) -> None:
    """Do what the process of an import does."""
    job_run(Job.objects.get(kind="import", subject_id=number))


def send(client: APIClient, content: bytes, **fields: str) -> Any:
    file = SimpleUploadedFile(fields.pop("file_name", "small.swf"), content)
    return client.post("/api/v1/workloads/", {"file": file, **fields}, format="multipart")


@pytest.mark.parametrize("content", [SWF, gzip.compress(SWF)], ids=["plain", "gzipped"])
def test_a_trace_is_kept_and_read_by_another_process(
    control: APIClient, launched: Asked, content: bytes, settings: Any, tmp_path: Any
) -> None:
    settings.VAR_DIR = tmp_path
    response = send(control, content, name="sent")
    assert response.status_code == 202
    job = response.json()
    assert (job["status"], launched.keys) == ("queued", [job["id"]])

    read(job["id"])
    job = control.get(response.headers["Location"]).json()
    assert (job["status"], job["is_new"]) == ("finished", True)
    assert Workload.objects.get(pk=job["workload"]).task_count == 5
    assert list((tmp_path / "uploads").iterdir()) == []


def test_columns_and_units_of_a_table_are_taken_as_the_command_takes_them(
    control: APIClient, launched: Asked, settings: Any, tmp_path: Any
) -> None:
    settings.VAR_DIR = tmp_path
    table, rows = b"submitted,took\n0,1\n1500,2\n", b"0,1\n1500,2\n"
    mapping = "arrival_time=submitted@ms,runtime=took@min"
    for content, fields in ((table, {}), (rows, {"columns": "submitted,took"})):
        sent = send(control, content, file_name="jobs.csv", map=mapping, **fields).json()
        assert (sent["map"], sent["columns"]) == (mapping, fields.get("columns", ""))
        read(sent["id"])
        found = control.get(f"/api/v1/imports/{sent['id']}/").json()
        assert (found["status"], found["error"]) == ("finished", "")
        tasks = Workload.objects.get(pk=found["workload"]).tasks.order_by("task_id")
        assert list(tasks.values_list("arrival_time", "runtime")) == [(0.0, 60.0), (1.5, 120.0)]


def test_choices_of_a_format_are_taken_as_the_command_takes_them(
    control: APIClient, client: Client, controller: User, launched: Asked, settings: Any, tmp_path: Any
) -> None:
    settings.VAR_DIR = tmp_path
    jobs = (
        b'{"jobs": [{"id": 1, "subtime": 0, "res": 2, "profile": "p"}], "profiles": {"p": {"type": "ptask", "cpu": 4}}}'
    )
    read(send(control, jobs, file_name="jobs.json", flops="0.5").json()["id"])
    assert Workload.objects.get(name="jobs").tasks.get().runtime == 8
    rows = b"1 0 0 5 1 -1 -1 1 5 -1 1 1 1 1 1 -1 -1 -1\n2 9 0 5 1 -1 -1 1 5 -1 1 1 1 1 1 -1 1 3\n"
    client.force_login(controller)
    # As a form sends it, with its other field empty.
    sent = {"file": SimpleUploadedFile("loop.swf", rows), "think_times": "on", "flops": ""}
    assert client.post("/workloads/upload/", sent).status_code == 302
    read(WorkloadImport.objects.latest("pk").pk)
    asked = Workload.objects.get(name="loop").tasks.as_workload().requests
    assert asked is not None
    assert (asked.follows.tolist(), asked.think_time.tolist()[1]) == ([0, 1], 3)


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "1e999", "fast"])
def test_a_speed_that_is_none_is_refused(control: APIClient, launched: Asked, speed: str) -> None:
    response = send(control, SWF, flops=speed)
    assert (response.status_code, [*response.json()["errors"]]) == (400, ["flops"])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"map": "arrival_time"}, "--map takes pairs like arrival_time=submitted,runtime=secs, not 'arrival_time'."),
        ({"map": "runtime=a,runtime=b"}, "--map names runtime twice."),
        ({"columns": "a"}, "--columns takes two names or more, like task_id,arrival_time,runtime, not 'a'."),
    ],
)
def test_columns_that_are_not_written_well_are_refused_by_the_commands_sentence(
    control: APIClient, client: Client, controller: User, launched: Asked, fields: dict[str, str], sentence: str
) -> None:
    response = send(control, SWF, **fields)
    assert (response.status_code, response.json()["errors"]) == (400, {next(iter(fields)): [sentence]})
    client.force_login(controller)
    page = client.post("/workloads/upload/", {"file": SimpleUploadedFile("a.csv", b"1,2"), **fields})
    assert page.status_code == 400
    assert sentence in html.unescape(page.content.decode())
    assert f'value="{next(iter(fields.values()))}"' in page.content.decode()
    assert launched.keys == []


def test_a_file_that_is_no_trace_fails_with_a_sentence(
    control: APIClient, launched: Asked, settings: Any, tmp_path: Any
) -> None:
    settings.VAR_DIR = tmp_path
    number = send(control, b"\x00\x01\x02").json()["id"]
    read(number)
    job = control.get(f"/api/v1/imports/{number}/").json()
    assert (job["status"], job["error"]) == ("failed", "small.swf is a binary file, not a trace.")
    assert Workload.objects.count() == 0


def test_a_gzip_bomb_is_refused(control: APIClient, launched: Asked, settings: Any, tmp_path: Any) -> None:
    settings.VAR_DIR = tmp_path
    settings.UPLOAD_MAX_UNPACKED_BYTES = 2**20
    number = send(control, gzip.compress(b"1 " * 2**20)).json()["id"]
    read(number)
    assert WorkloadImport.objects.get(pk=number).status == "failed"


def test_a_file_that_is_too_large_is_refused(control: APIClient, launched: Asked, settings: Any) -> None:
    settings.UPLOAD_MAX_BYTES = 10
    assert send(control, SWF).status_code == 413
    assert launched.keys == []


def test_a_name_that_is_taken_is_refused_before_the_file_is_read(control: APIClient, run: Run, launched: Asked) -> None:
    response = send(control, SWF, name=run.workload.name)
    assert list(response.json()["errors"]) == ["name"]


def test_uploads_queue_and_too_many_of_one_user_are_refused(
    control: APIClient, settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr(uploads, "MOST_WAITING", 3)
    assert [send(control, SWF).status_code for _ in range(4)] == [202, 202, 202, 409]
    job = Job.objects.order_by("-pk")[0]
    assert control.get(f"/api/v1/jobs/{job.pk}/").json()["place"] == 3
    assert control.get(f"/api/v1/imports/{job.subject_id}/").json()["place"] == 3
    # One that is stopped makes room, and says so.
    assert control.post(f"/api/v1/jobs/{job.pk}/stop/").json()["status"] == "stopped"
    assert control.get(f"/api/v1/imports/{job.subject_id}/").json()["status"] == "failed"
    assert send(control, SWF).status_code == 202
    assert len(list((tmp_path / "uploads").iterdir())) == 3


def test_the_file_name_keeps_no_control_characters(
    control: APIClient, launched: Asked, settings: Any, tmp_path: Any
) -> None:
    settings.VAR_DIR = tmp_path
    assert send(control, SWF, file_name="a\x1b[2Jb.swf").json()["file_name"] == "a[2Jb.swf"


def test_another_run_than_the_one_named_is_left_alone(control: APIClient, run: Run) -> None:
    other = make_run(1, name="other")
    living(run, "running")
    living(other, "running")
    control.post(f"/api/v1/runs/{run.pk}/pause/")
    assert SimulationState.objects.get(run=other).command == ""


@pytest.mark.parametrize(
    ("address", "field"), [("/api/v1/runs/", "conservative_depth"), ("/api/v1/workloads/", 'type="file"')]
)
def test_a_page_offers_the_form_of_what_is_sent(control: APIClient, run: Run, address: str, field: str) -> None:
    page = control.get(address, HTTP_ACCEPT="text/html").content.decode()
    form = page[page.index('id="post-') :]
    assert field in form
    assert "engine_version" not in form
    assert "source_sha256" not in form


def test_options_describe_what_is_sent(control: APIClient, db: None) -> None:
    assert "on_oversize" in control.options("/api/v1/runs/").json()["actions"]["POST"]
    assert "file" in control.options("/api/v1/workloads/").json()["actions"]["POST"]
