"""The log of who did what: from pages, the API, live connections and commands."""

import os
import pwd
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from apps.live.models import SimulationState
from apps.results.models import Run, Study
from apps.tasks.models import Workload
from scheduler_sim.accounts import audit
from scheduler_sim.accounts.models import ApiToken, AuditEntry
from scheduler_sim.accounts.services import token_create
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import job_submit
from tests.web.conftest import key_of, make_run

pytestmark = pytest.mark.django_db

ACCOUNT = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(autouse=True)
def _no_process_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any) -> None:
    monkeypatch.setattr("scheduler_sim.background.services.dispatch", lambda: 0)
    settings.VAR_DIR = tmp_path


@pytest.fixture
def page(controller: User) -> Client:
    """A browser in which bob, who may control, is signed in; nothing is in the log yet."""
    client = Client(REMOTE_ADDR="192.0.2.7", HTTP_X_REQUEST_ID="a-request")
    client.force_login(controller)
    AuditEntry.objects.all().delete()
    return client


def told() -> list[tuple[str, ...]]:
    """Return what the log says, oldest first: who did what to what."""
    rows = AuditEntry.objects.order_by("id")
    return [(row.name, row.action, row.kind, row.subject) for row in rows]


def waiting_run() -> Run:
    """Return a run that waits for its process."""
    run = make_run(name="waits", status=Run.Status.QUEUED)
    job_submit(kind="run", subject_id=run.pk)
    return run


def test_an_entry_says_who_did_it_when_from_where_and_to_what(page: Client, controller: User) -> None:
    run = waiting_run()
    before = timezone.now()
    page.post(f"/runs/{run.pk}/stop/")
    (entry,) = AuditEntry.objects.all()
    assert (entry.name, entry.user, entry.token, entry.source) == ("bob", controller, "", "site")
    assert (entry.address, entry.request_id) == ("192.0.2.7", "a-request")
    assert (entry.action, entry.kind, entry.subject_id, entry.subject) == ("stop", "run", run.pk, "waits")
    assert before <= entry.happened_at <= timezone.now()


def test_the_api_names_the_token_that_was_used(controller: User) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {key_of(controller)}")
    run = waiting_run()
    AuditEntry.objects.all().delete()
    assert client.post(f"/api/v1/runs/{run.pk}/stop/").status_code == 202
    (entry,) = AuditEntry.objects.all()
    assert (entry.name, entry.token, entry.action, entry.subject) == ("bob", "a test", "stop", "waits")


def test_starting_and_taking_up_a_run_are_recorded(page: Client, run: Run) -> None:
    form = {"workload": run.workload_id, "cluster": "hpc-4", "policies": ["fcfs"], "name": "asked for"}
    assert page.post("/runs/new/", form).status_code == 302
    Run.objects.filter(pk=run.pk).update(status=Run.Status.STOPPED)
    assert page.post(f"/runs/{run.pk}/take-up/").status_code == 302
    assert told() == [("bob", "start", "run", "asked for"), ("bob", "take_up", "run", "a run")]


@pytest.mark.parametrize("command", ["pause", "stop"])
def test_commands_to_a_living_run_are_recorded(page: Client, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(name="alive", status=Run.Status.RUNNING)
    monkeypatch.setattr(SimulationState, "is_alive", True)
    page.post(f"/runs/{run.pk}/{command}/")
    assert told() == [("bob", command, "run", "alive")]


def test_what_is_refused_is_not_recorded(page: Client, user: User, run: Run) -> None:
    page.post(f"/runs/{run.pk}/stop/")
    page.force_login(user)
    AuditEntry.objects.all().delete()
    page.post(f"/runs/{run.pk}/stop/")
    page.post("/runs/new/", {"workload": run.workload_id, "policies": ["fcfs"]})
    assert told() == []


def test_studies_jobs_and_trainings_are_recorded_once_whatever_they_consist_of(page: Client, run: Run) -> None:
    definition = {"name": "a study", "workloads": ["x.swf"], "clusters": ["hpc-4"], "policies": ["fcfs"]}
    study = Study.objects.create(name="a study", definition=definition)
    Run.objects.filter(pk=run.pk).update(study=study, status=Run.Status.QUEUED)
    page.post(f"/studies/{study.pk}/play/")
    page.post(f"/studies/{study.pk}/stop/")
    job = Job.objects.create(kind="training", status=Job.Status.RUNNING)
    page.post(f"/training/jobs/{job.pk}/stop/")
    assert told() == [
        ("bob", "start", "study", "a study"),
        ("bob", "stop", "study", "a study"),
        ("bob", "stop", "job", f"training {job.pk}"),
    ]


def test_uploads_are_recorded(page: Client) -> None:
    page.post("/workloads/upload/", {"file": SimpleUploadedFile("a.csv", b"arrival_time,runtime\n0,1\n"), "format": ""})
    assert told() == [("bob", "upload", "import", "a.csv")]


def test_deletions_are_recorded_whatever_deletes(page: Client, admin: User, run: Run) -> None:
    page.force_login(admin)
    study = Study.objects.create(name="a study", definition={})
    AuditEntry.objects.all().delete()
    page.post("/admin/results/run/", {"action": "remove", "_selected_action": [run.pk]})
    study.delete()
    Workload.objects.get().delete()
    User.objects.get(username="bob").delete()
    assert told() == [
        ("diana", "delete", "run", "a run"),
        (ACCOUNT, "delete", "study", "a study"),
        (ACCOUNT, "delete", "workload", "workload of a run"),
        (ACCOUNT, "delete", "user", "bob"),
    ]


def test_an_administrator_who_deletes_the_own_account_is_still_named(page: Client, admin: User) -> None:
    token_create(user=admin, name="a script", scope="read")
    other = User.objects.create_user("hugo")
    page.force_login(admin)
    AuditEntry.objects.all().delete()
    chosen = {"action": "delete_selected", "_selected_action": [other.pk, admin.pk], "post": "yes"}
    assert page.post("/admin/auth/user/", chosen).status_code == 302
    assert not User.objects.filter(username__in=("diana", "hugo")).exists()
    deleted = {(name, kind, subject) for name, action, kind, subject in told() if action == "delete"}
    assert deleted == {("diana", "user", "diana"), ("diana", "user", "hugo"), ("diana", "token", "a script")}
    connection.check_constraints()


def test_tokens_are_recorded(page: Client) -> None:
    page.post("/accounts/", {"name": "a notebook", "scope": "read", "days": 90})
    token = ApiToken.objects.get()
    page.post(f"/accounts/tokens/{token.pk}/delete/")
    assert told() == [("bob", "create", "token", f"{token} of bob"), ("bob", "delete", "token", "a notebook")]


def test_signing_in_and_out_and_failing_to_are_recorded() -> None:
    user = User.objects.create_user("eve", password="a test's password")
    client = Client(REMOTE_ADDR="192.0.2.9")
    form = {"username": "eve", "password": "a test's password"}
    client.post("/accounts/login/", {**form, "password": "guess"})
    client.post("/admin/login/", {"username": "nobody at all", "password": "guess"})
    client.post("/accounts/login/", form)
    new = {"old_password": form["password"], "new_password1": "another long one", "new_password2": "another long one"}
    client.post("/accounts/password/", new)
    client.post("/accounts/logout/")
    assert [row[:2] for row in told()] == [
        ("eve", "sign_in_failed"),
        ("nobody at all", "sign_in_failed"),
        ("eve", "sign_in"),
        ("eve", "password"),
        ("eve", "sign_out"),
    ]
    assert set(AuditEntry.objects.values_list("address", flat=True)) == {"192.0.2.9"}
    assert list(AuditEntry.objects.filter(user=user).values_list("action", flat=True)) == [
        "sign_out",
        "password",
        "sign_in",
    ]
    assert "guess" not in str(list(AuditEntry.objects.values()))


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/runs/{run}/leaderboard.csv", "run-{run}-leaderboard.csv"),
        ("/api/v1/results/?format=csv&run={run}", "/api/v1/results/?format=csv&run={run}"),
    ],
)
def test_downloads_are_recorded_of_somebody_unknown_too(run: Run, address: str, name: str) -> None:
    response = Client(REMOTE_ADDR="192.0.2.8").get(address.format(run=run.pk))
    assert response.status_code == 200
    (entry,) = AuditEntry.objects.all()
    assert (entry.name, entry.user, entry.address, entry.action) == ("", None, "192.0.2.8", "export")
    assert entry.subject == name.format(run=run.pk)


def test_pages_are_not_recorded(page: Client, run: Run) -> None:
    for address in ("/", f"/runs/{run.pk}/", f"/runs/{run.pk}/charts.json", "/api/v1/runs/", "/api/v1/status/"):
        assert page.get(address).status_code == 200
    assert told() == []


@pytest.mark.django_db(transaction=True)
def test_commands_are_recorded_with_the_account_of_the_operating_system(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "somebody else")
    trace = tmp_path / "tiny.csv"
    trace.write_text("task_id,arrival_time,runtime,size\n1,0,5,1\n2,1,5,1\n")
    call_command("importworkload", str(trace), name="tiny", verbosity=0, stdout=StringIO())
    call_command(
        "runsimulation",
        workload="tiny",
        policies="fcfs",
        cluster="hpc-4",
        name="played",
        verbosity=0,
        stdout=StringIO(),
    )
    output = str(tmp_path / "rows.csv")
    call_command("exportdata", "results", run="played", output=output, stderr=StringIO())
    call_command("exportreport", run="played", output=str(tmp_path / "report.html"), stderr=StringIO())
    call_command("prune", keep_runs=0, yes=True, stdout=StringIO(), stderr=StringIO())
    assert told() == [
        (ACCOUNT, "upload", "workload", "tiny"),
        (ACCOUNT, "start", "run", "played"),
        (ACCOUNT, "export", "results", f"run played to {output}"),
        (ACCOUNT, "export", "report", f"run played to {tmp_path / 'report.html'}"),
        (ACCOUNT, "delete", "run", "played"),
        (ACCOUNT, "delete", "run", "a run"),
    ]
    assert set(AuditEntry.objects.values_list("source", "address")) == {("command", "")}


def test_what_cannot_be_recorded_is_not_done(page: Client, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    queued = waiting_run()

    def refuse(*_: Any, **__: Any) -> None:
        raise DatabaseError("the log is full")

    monkeypatch.setattr(AuditEntry, "save", refuse)
    page.raise_request_exception = False
    form = {"workload": run.workload_id, "cluster": "hpc-4", "policies": ["fcfs"], "name": "asked for"}
    assert page.post("/runs/new/", form).status_code == 500
    assert page.post(f"/runs/{queued.pk}/stop/").status_code == 500
    assert page.get(f"/runs/{run.pk}/leaderboard.csv").status_code == 500
    assert page.post("/accounts/", {"name": "a notebook", "scope": "read", "days": 90}).status_code == 500
    with pytest.raises(DatabaseError):
        call_command("exportdata", "results", run="a run", stdout=StringIO())
    monkeypatch.undo()
    assert not Run.objects.filter(name="asked for").exists()
    assert not ApiToken.objects.exists()
    assert Run.objects.get(pk=queued.pk).status == Run.Status.QUEUED
    assert told() == []


def test_staff_who_may_read_the_log_over_the_api(
    api_of: Callable[[User], APIClient], staff: User, admin: User, run: Run
) -> None:
    client = api_of(staff)
    assert client.get("/api/v1/audit/").status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="view_auditentry"))
    audit.record(audit.Action.START, "run", run)
    rows = client.get("/api/v1/audit/", {"action": "start"}).json()["results"]
    assert [(row["name"], row["kind"], row["subject_id"]) for row in rows] == [(ACCOUNT, "run", run.pk)]
    assert client.get(f"/api/v1/audit/{rows[0]['id']}/").json() == rows[0]
    assert client.get("/api/v1/audit/", {"until": "2020-01-01T00:00:00Z"}).json()["results"] == []
    User.objects.filter(pk=staff.pk).update(is_staff=False)
    assert client.get("/api/v1/audit/").status_code == 403


def test_the_admin_shows_the_log_and_changes_nothing(client: Client, admin: User, run: Run) -> None:
    audit.record(audit.Action.START, "run", run)
    key = AuditEntry.objects.get().pk
    client.force_login(admin)
    assert "a run" in client.get("/admin/accounts/auditentry/").content.decode()
    assert client.get(f"/admin/accounts/auditentry/{key}/change/").status_code == 200
    assert client.post(f"/admin/accounts/auditentry/{key}/change/", {}).status_code == 403
    assert client.post(f"/admin/accounts/auditentry/{key}/delete/", {"post": "yes"}).status_code == 403


def test_prune_lets_old_entries_go_and_says_so(run: Run) -> None:
    for _ in range(3):
        audit.record(audit.Action.START, "run", run)
    newest = AuditEntry.objects.first()
    assert newest is not None
    AuditEntry.objects.exclude(pk=newest.pk).update(happened_at=timezone.now() - timedelta(days=400))
    output = StringIO()
    call_command("prune", audit_older_than=365, stdout=output)
    assert "2 entries of the audit log would be deleted" in output.getvalue()
    call_command("prune", audit_older_than=365, yes=True, stdout=output, stderr=StringIO())
    assert "Deleted 2 entries of the audit log." in output.getvalue()
    assert told() == [(ACCOUNT, "start", "run", "a run"), (ACCOUNT, "delete", "audit log", "2 entries")]
    with pytest.raises(CommandError, match="--audit-older-than is a number of days"):
        call_command("prune", audit_older_than=-1)


def test_a_name_that_no_database_takes_is_kept_as_far_as_it_goes(run: Run) -> None:
    run.name = "a\0b\ud800" + "x" * 300
    audit.record(audit.Action.START, "run", run)
    assert AuditEntry.objects.get().subject == ("a b?" + "x" * 300)[:255]
