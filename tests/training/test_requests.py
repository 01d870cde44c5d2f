"""Trainings and policy searches that are asked for on a page or over the API."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from apps.tasks.models import Workload
from apps.tasks.services import workload_generate
from apps.training.models import PolicySearch, TrainedModel
from scheduler_sim.background.models import Job
from scheduler_sim.background.work import job_run

pytestmark = pytest.mark.django_db

FEW = {"generations": 2, "population": 4, "batch": 2, "searches": 1, "length": 60, "processors": 32}


@pytest.fixture
def page(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def night() -> Workload:
    return workload_generate(
        model="lublin", tasks=700, seed=3, name="night", parameters={"processors": 32, "load": 0.9}
    )[0]


def test_a_model_is_asked_for_over_the_api_and_fitted_by_its_job(api: APIClient, alice: User) -> None:
    workload, _ = workload_generate(model="mixed", tasks=400, seed=2, name="site")
    sent = {"kind": "runtime", "workload": workload.pk, "algorithm": "ridge", "seed": 4, "name": "of_site"}
    answer = api.post("/api/v1/trainings/", sent, format="json")
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["place"]) == ("queued", 1)
    job = Job.objects.get()
    assert (job.kind, job.requested_by) == ("training", alice)
    assert job_run(job).status == "finished"
    model = TrainedModel.objects.get()
    assert (model.name, model.seed, model.active) == ("of_site", 4, True)
    document = api.get(answer.headers["Location"]).json()
    assert document["outcome"] == {"model": model.pk, "name": "of_site", "version": 1}


def test_a_search_from_the_form_is_shown_on_the_page_and_ends_as_a_policy(
    page: Client, night: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"what": "search", "workload": night.pk, "name": "mine", "activate": "on", **FEW}
    assert page.post("/training/new/", form).headers["Location"] == "/training/"
    shown = page.get("/training/").content.decode()
    assert "Policy search mine" in shown
    assert "Waiting for a free process, number 1 in the queue" in shown
    state = page.get("/training/under-way.json").json()
    assert [(job["status"], job["error"]) for job in state["jobs"]] == [("queued", "")]
    told: list[str] = []
    monkeypatch.setattr("apps.training.policy_search.NOTED_EVERY", 0.001)
    monkeypatch.setattr(Job, "tell", lambda _job, text: told.append(text))
    assert job_run(Job.objects.get()).status == "finished"
    assert TrainedModel.objects.get().name == "mine"
    assert any("generations of one search" in text for text in told)
    assert not PolicySearch.objects.exists()
    assert page.get("/training/under-way.json").json()["jobs"] == []


def test_a_search_that_fails_says_why_on_the_page(page: Client, night: Workload) -> None:
    form = {"what": "search", "workload": night.pk, **FEW, "length": 5000}
    page.post("/training/new/", form)
    assert job_run(Job.objects.get()).status == "failed"
    assert "choose shorter" in page.get("/training/").content.decode()


def test_a_training_that_waits_is_stopped_from_the_page(page: Client, night: Workload) -> None:
    page.post("/training/new/", {"what": "search", "workload": night.pk, **FEW})
    job = Job.objects.get()
    page.post(f"/training/jobs/{job.pk}/stop/")
    job.refresh_from_db()
    assert job.status == "stopped"


WRONG = [
    ("model", {"kind": "hybrid_ml", "seed": -1}, "seed", ["hybrid_ml", "--seed", "-1"]),
    ("model", {"kind": "hybrid_ml", "window": 0}, "window", ["hybrid_ml", "--window", "0"]),
    ("model", {"kind": "runtime"}, "workload", ["runtime"]),
    ("model", {"kind": "hybrid_ml", "name": "a b"}, "name", ["hybrid_ml", "--name", "a b"]),
    (
        "model",
        {"kind": "rl_agent", "workload": "KEY", "agent_reward": "1,2"},
        "agent_reward",
        ["rl_agent", "--workload", "night", "--agent-reward", "1,2"],
    ),
    ("search", {"searches": 0}, "searches", ["--searches", "0"]),
    ("search", {"seed": 2**62}, "seed", ["--seed", str(2**62)]),
    ("search", {"population": 3}, "population", ["--population", "3"]),
    ("search", {"generations": 0}, "generations", ["--generations", "0"]),
    ("search", {"max_seconds": -1}, "max_seconds", ["--max-seconds", "-1"]),
    ("search", {"name": "ü"}, "name", ["--name", "ü"]),
    *(
        ("search", sent, field, [word for name, value in sent.items() for word in (f"--{name}", str(value))])
        for sent, field in (
            ({"choice": "node", "form": "mlp"}, "form"),
            ({"choice": "node", "backfill": "easy(predict=last_two)"}, "backfill"),
            ({"choice": "node", "order": "nonsense", "cluster": "dgx-2"}, "order"),
            ({"order": "sjf"}, "order"),
            ({"choice": "node", "preemption": "requeue"}, "preemption"),
            ({"choice": "preemption", "preemption": "checkpoint"}, "preemption"),
            ({"choice": "node"}, "cluster"),
            ({"choice": "node", "cluster": "dgx-2", "processors": 8}, "cluster"),
            ({"choice": "node", "cluster": "dgx-2", "order": "srtf"}, "cluster"),
            ({"choice": "node", "cluster": "dgx-2", "order": "slurm"}, "cluster"),
            ({"choice": "split", "cluster": "dgx-2"}, "workload"),
        )
    ),
]


@pytest.mark.parametrize(("what", "sent", "field", "command"), WRONG)
def test_what_has_no_meaning_is_refused_by_the_same_sentence_everywhere(
    page: Client, api: APIClient, night: Workload, what: str, sent: dict[str, Any], field: str, command: list[str]
) -> None:
    sent = {name: night.pk if value == "KEY" else value for name, value in sent.items()}
    if what == "search":
        sent["workload"] = night.pk
        command = ["trainpolicy", "--workload", "night", *command]
    else:
        command = ["trainmodel", *command]
    with pytest.raises(CommandError) as refused:
        call_command(*command, verbosity=0)
    address = {"model": "/api/v1/trainings/", "search": "/api/v1/policy-searches/"}[what]
    answer = api.post(address, sent, format="json")
    assert answer.status_code == 400
    assert answer.json()["errors"] == {field: [str(refused.value)]}
    assert "--" not in str(refused.value)
    shown = page.post("/training/new/", {"what": what, "activate": "on", **sent})
    assert shown.status_code == 400
    assert shown.context["errors"] == {field: [str(refused.value)]}
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "sent",
    [
        {"kind": "rl_agent", "workload": "KEY", "cluster": "/etc/passwd"},
        {"kind": "magic"},
        {"kind": "hybrid_ml", "odd": 1},
    ],
)
def test_files_kinds_and_fields_that_are_not_offered_are_refused(
    api: APIClient, night: Workload, sent: dict[str, Any]
) -> None:
    sent = {name: night.pk if value == "KEY" else value for name, value in sent.items()}
    assert api.post("/api/v1/trainings/", sent, format="json").status_code == 400


def test_training_needs_the_permission_and_the_form_of_this_site(
    night: Workload, alice: User, client: Client, django_user_model: type[User]
) -> None:
    form = {"what": "search", "workload": night.pk, **FEW}
    assert client.post("/training/new/", form).status_code == 302
    client.force_login(django_user_model.objects.create_user("bob"))
    assert client.get("/training/new/").status_code == 403
    assert client.post("/training/new/", form).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.post("/training/new/", form).status_code == 403
    assert not Job.objects.exists()


def test_the_form_offers_what_may_be_chosen(page: Client, night: Workload) -> None:
    shown = page.get("/training/new/").content.decode()
    for text in ("night (700 tasks)", "lightgbm", "bsld", "Search", "hybrid_ml"):
        assert text in shown
    # What says how long a search lasts is folded up, unless it was changed.
    assert '<details class="folded">' in shown
    assert '<details class="folded" open>' in page.get("/training/new/?batch=4").content.decode()
