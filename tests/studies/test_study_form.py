"""A study is built in the browser: counted before it starts, refused field by field, started, stopped and taken up."""

import subprocess
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from apps.live.models import StudyState
from apps.results.models import Run, Study
from apps.studies.definition import Definition
from apps.studies.grid import runs_store
from apps.studies.progress import study_progress
from apps.tasks.models import Workload
from apps.tasks.services import workload_generate
from tests.asked import Asked

pytestmark = pytest.mark.django_db

SENT: dict[str, Any] = {
    "name": "by form",
    "generate": "lublin",
    "tasks": "100",
    "parameters": "processors=64, load=0.9",
    "load_factors": "0.8, 1.2",
    "clusters": "hpc-64, hpc-64 +processors=16",
    "policies": ["fcfs", "sjf"],
    "others": "sjf+easy",
    "estimates": "trace",
    "seeds": "3",
    "figure": "mean_wait_time",
    "keep": "summary",
    "on_oversize": "fail",
    "minimum": "5",
    "maximum": "100",
}


@pytest.fixture(autouse=True)
def launched(tmp_path: Any, settings: Any) -> Asked:
    """What was asked for instead of being started."""
    settings.VAR_DIR = tmp_path
    return Asked()


@pytest.fixture
def alice(client: Client) -> Client:
    """Sign in a person who may control runs."""
    user = User.objects.create_user("alice")
    user.user_permissions.add(Permission.objects.get(codename="control_run"))
    client.force_login(user)
    return client


def sent(**changes: Any) -> dict[str, Any]:
    return {**SENT, **changes}


def test_the_runs_are_counted_before_anything_is_stored(alice: Client, launched: Asked) -> None:
    answer = alice.post("/studies/new/", sent(count="1"))
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "12 runs of 3 policies: 1 workload x 2 loads x 2 clusters x 1 kind of estimates x 3 seeds." in text
    assert "All are missing, 36 plays; no time can be estimated" in text
    assert (Study.objects.count(), Run.objects.count(), Workload.objects.count(), launched.keys) == (0, 0, 0, [])


def test_what_was_counted_is_started_in_a_process_of_its_own(alice: Client, launched: Asked) -> None:
    counted = alice.post("/studies/new/", sent(count="1")).context["form"].digest
    answer = alice.post("/studies/new/", sent(start="1", counted=counted))
    study = Study.objects.get()
    assert answer.headers["Location"] == f"/studies/{study.pk}/"
    assert launched.keys == [study.pk]
    definition = Definition.from_json(study.definition)
    assert definition.policies == ("fcfs", "sjf", "sjf+easy")
    assert [source.parameters for source in definition.sources] == [{"processors": 64, "load": 0.9}]
    assert [cluster.cores for _, cluster in definition.clusters if cluster] == [64, 80]
    assert (definition.run_count, definition.load_factors, definition.figure) == (12, (0.8, 1.2), "mean_wait_time")


def test_a_cluster_that_fails_stands_beside_the_one_that_does_not(alice: Client) -> None:
    clusters = "hpc-64, hpc-64 failures=exponential(mean_hours=50,repair_hours=2)"
    form = alice.post("/studies/new/", sent(count="1", clusters=clusters)).context["form"]
    assert form.errors == {}
    (_, whole), (label, failing) = form.definition.clusters
    assert label == "hpc-64 failures=exponential(mean_hours=50,repair_hours=2)"
    assert (whole.fails, failing.fails) == (False, True)


def test_a_study_that_was_changed_since_is_counted_again(alice: Client, launched: Asked) -> None:
    counted = alice.post("/studies/new/", sent(count="1")).context["form"].digest
    answer = alice.post("/studies/new/", sent(start="1", counted=counted, seeds="4"))
    assert "It was changed since it was counted" in answer.content.decode()
    assert "16 runs" in answer.content.decode()
    assert (Study.objects.count(), launched.keys) == (0, [])


def test_stored_workloads_are_chosen_and_named_in_the_definition(alice: Client) -> None:
    stored = workload_generate(model="lublin", tasks=50, seed=1, name="mine", parameters={"processors": 64})[0]
    answer = alice.post("/studies/new/", sent(generate="", workloads=[stored.pk], seeds="1, 5", count="1"))
    definition = answer.context["form"].definition
    assert [source.stored for source in definition.sources] == ["mine"]
    assert definition.seeds == (1, 5)
    assert "mine (50 tasks)" in answer.content.decode()


def test_a_sequential_study_needs_no_number_of_seeds(alice: Client) -> None:
    answer = alice.post("/studies/new/", sent(relative_width="0.1", minimum="3", maximum="8", count="1"))
    stopping = answer.context["form"].definition.stopping
    assert (stopping.figure, stopping.relative_width, stopping.minimum, stopping.maximum) == (
        "mean_wait_time", 0.1, 3, 8,
    )  # fmt: skip
    assert "32 runs at most" in answer.content.decode()


@pytest.mark.parametrize(
    ("given", "fault"),
    {
        ("name", ""): "required",
        ("generate", ""): "names no workloads",
        ("tasks", "0"): "greater than or equal to 1",
        ("parameters", "nope=3"): "nope",
        ("parameters", "processors"): "NAME=NUMBER",
        ("load_factors", "0.8, x"): "must be a number above 0, not x",
        ("load_factors", "0"): "above 0",
        ("load_factors", "1, 1"): "twice",
        ("load_factors", "inf"): "above 0",
        ("clusters", "/etc/passwd"): "no cluster preset",
        ("clusters", "hpc-64 +nope=1"): "no node group",
        ("clusters", "hpc-64 grow"): "+GROUP=N",
        ("clusters", "hpc-64 failures=exponential(mean_hours=0,repair_hours=1)"): "mean_hours is 0.0",
        ("clusters", "hpc-64 failures=exponential("): "do not match",
        ("others", "nope"): "nope",
        ("base", "f1"): "not among",
        ("estimates", "guess"): "guess",
        ("seeds", "-1"): "whole numbers",
        ("seeds", "0"): "seeds is a number",
        ("figure", "beauty"): "not one of the available choices",
        ("warmup", "1"): "warmup must be a number from 0 to 0.99, not 1.",
        ("limit", "0"): "limit must be a whole number from 1",
        ("relative_width", "2"): "between 0 and 1",
        ("seeds", "100000"): "more than 10,000 runs",
    }.items(),
)
def test_what_has_no_meaning_is_said_at_its_field(
    alice: Client, launched: Asked, given: tuple[str, str], fault: str
) -> None:
    field, value = given
    answer = alice.post("/studies/new/", sent(**{field: value}, start="1", counted="x"))
    assert answer.status_code == 400
    place = {"generate": "workloads", "others": "policies"}.get(field, field)
    errors = answer.context["form"].errors
    assert any(fault in str(problem) for problem in errors.get(place, errors.get("__all__", []))), errors
    if place in errors and place != "policies":
        assert f'id="id_{place}_error"' in answer.content.decode()
    assert (Study.objects.count(), launched.keys) == (0, [])


def test_the_name_of_another_study_is_refused(alice: Client) -> None:
    Study.objects.create(name="by form", definition={})
    assert "There is a study of that name already" in alice.post("/studies/new/", sent(count="1")).content.decode()


def test_only_people_who_may_control_runs_get_the_form(client: Client, launched: Asked) -> None:
    assert client.get("/studies/new/").status_code == 302
    client.force_login(User.objects.create_user("bob"))
    assert client.get("/studies/new/").status_code == 403
    assert client.post("/studies/new/", sent()).status_code == 403
    study = Study.objects.create(name="s", definition={"workloads": ["x"], "policies": "fcfs", "name": "s"})
    for command in ("play", "stop"):
        assert client.post(f"/studies/{study.pk}/{command}/").status_code == 403
    assert launched.keys == []


def test_a_form_from_elsewhere_is_refused(alice: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = alice.cookies
    assert strict.post("/studies/new/", sent()).status_code == 403
    assert strict.post("/studies/1/play/").status_code == 403
    assert alice.get("/studies/1/play/").status_code == 405


def stored_study() -> Study:
    """Return a study of two queued runs."""
    document = {
        "name": "stored",
        "workloads": [{"generate": "lublin", "tasks": 50, "parameters": {"processors": 64}}],
        "clusters": ["hpc-64"],
        "policies": ["fcfs"],
        "seeds": 2,
    }
    study = Study.objects.create(name="stored", definition=document)
    runs_store(study, Definition.from_json(document))
    return study


def test_a_study_is_stopped_and_played_on_from_its_page(alice: Client, launched: Asked) -> None:
    study = stored_study()
    page = alice.get(f"/studies/{study.pk}/").content.decode()
    assert "Nobody plays it at the moment" in page
    alice.post(f"/studies/{study.pk}/stop/")
    assert study.counts() == {"stopped": 2}
    alice.post(f"/studies/{study.pk}/play/")
    assert launched.keys == [study.pk]


def test_a_study_that_a_living_process_plays_is_not_started_again(alice: Client, launched: Asked) -> None:
    study = stored_study()
    StudyState.objects.create(study=study).claim()
    assert study_progress(study).is_played
    answer = alice.post(f"/studies/{study.pk}/play/", follow=True)
    assert "is being played by process" in answer.content.decode()
    assert "Being played" in answer.content.decode()
    assert launched.keys == []


def test_a_study_that_was_not_stored_to_its_end_is_not_called_complete() -> None:
    study = stored_study()
    study.definition = {**study.definition, "seeds": 5}
    study.runs.update(status=Run.Status.FINISHED, finished_at=timezone.now())
    progress = study_progress(study)
    assert (progress.finished, progress.total, progress.missing, progress.is_played) == (2, 5, 3, False)


def test_the_time_that_is_left_follows_from_the_pace() -> None:
    study = stored_study()
    study.definition = {**study.definition, "seeds": 12}
    for number, run in enumerate(study.runs.all()):
        ended = timezone.now() - timedelta(seconds=7 * number)
        Run.objects.filter(pk=run.pk).update(status=Run.Status.FINISHED, finished_at=ended)
    assert study_progress(study).seconds_left is None
    StudyState.objects.create(study=study).claim()
    assert study_progress(study).seconds_left == pytest.approx(70, abs=1)


def test_a_process_that_cannot_be_started_is_told(
    alice: Client, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def refuse(*_arguments: Any, **_others: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    study = stored_study()
    with django_capture_on_commit_callbacks(execute=True):
        alice.post(f"/studies/{study.pk}/play/")
    page = alice.get(f"/studies/{study.pk}/").content.decode()
    assert "could not be started: Resource temporarily unavailable" in page
