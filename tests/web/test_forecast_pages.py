"""Forecasts of starts in the browser and over the API: asked for, made in the background, shown, and refused."""

import gzip
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework.test import APIClient

from apps.tasks.forecasts import starts
from apps.tasks.forecasts.pages import lines
from apps.tasks.jobs import seldom
from apps.tasks.models import StartForecast, Workload
from apps.tasks.sites.services import site_store
from scheduler_sim.background import services
from scheduler_sim.background.models import Job
from scheduler_sim.background.work import job_run
from scheduler_sim.engine.sites import read_site
from tests.web.conftest import make_forecast

pytestmark = pytest.mark.django_db

SITE = """
name: small
groups: [{hosts: "c[1-2]", cores: 4}]
partitions: [{name: batch, is_default: true, max_time: 7200}]
"""
QUEUE = b"""JOBID|USER|PARTITION|STATE|REASON|SUBMIT_TIME|START_TIME|TIME_LIMIT|TIME|NODES|CPUS|NODELIST
1|ann|batch|RUNNING|None|1970-01-02T03:40:00|1970-01-02T03:45:00|10:00|1:40|2|8|c[1-2]
3|bob|batch|PENDING|Resources|1970-01-02T03:46:00|1970-01-02T03:55:00|10:00|0:00|1|4|
4|bob|batch|PENDING|Priority|1970-01-02T03:46:10|N/A|10:00|0:00|3|12|
"""
RESULT = {
    "at": "1970-01-02T03:46:40+00:00",
    "running": 1,
    "learned": 150,
    "replicas": 100,
    "seed": 0,
    "cautions": ["Only few jobs tell."],
    "jobs": [
        {
            **dict.fromkeys(starts.COLUMNS),
            "job": "3",
            "user": "bob",
            "partition": "batch",
            "kind": "expected",
            "reason": "Resources",
            "start": "1970-01-02T03:50:00+00:00",
            "earliest": "1970-01-02T03:48:20+00:00",
            "latest": "1970-01-02T03:53:20+00:00",
        },
        {
            **dict.fromkeys(starts.COLUMNS),
            "job": "4",
            "user": "bob",
            "partition": "batch",
            "kind": "never",
            "reason": "BadConstraints",
        },
    ],
}


@pytest.fixture(autouse=True)
def _kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store a site, and let no process be started."""
    monkeypatch.setattr(services, "dispatch", lambda: 0)
    site_store(site=read_site(SITE), notes=[], origin="test", name="")


def sent(content: bytes = QUEUE, **more: Any) -> dict[str, Any]:
    return {"site": "small", "squeue": SimpleUploadedFile("queue.txt", content), "replicas": 10, **more}


def test_a_queue_that_is_sent_is_forecast_and_shown(controller: User) -> None:
    client = Client()
    client.force_login(controller)
    assert "Forecast a queue" in client.get("/forecasts/new/").content.decode()
    answer = client.post("/forecasts/new/", sent())
    asked = StartForecast.objects.get()
    assert answer.headers["Location"] == f"/forecasts/{asked.pk}/"
    assert "is being made" in client.get(f"/forecasts/{asked.pk}/").content.decode()
    job = Job.objects.get()
    assert (job.kind, job.subject_id, asked.replicas) == ("forecast", asked.pk, 10)
    asked.keep(RESULT)
    page = client.get(f"/forecasts/{asked.pk}/").content.decode()
    assert "can never start as things are" in page
    assert "Only few jobs tell." in page
    assert "150 that ended before" in page
    rows = client.get(f"/forecasts/{asked.pk}/?format=csv").content.decode().splitlines()
    assert rows[0] == ",".join(starts.COLUMNS)
    assert len(rows) == 3
    assert "queue.txt" in client.get("/forecasts/").content.decode()


@pytest.mark.slow
def test_the_job_makes_the_forecast() -> None:
    asked = {"site": make_site(), "queue": QUEUE.decode(), "file_name": "queue.txt", "queue_at": 100_000.0}
    starts.forecast_ask(StartForecast(**asked, replicas=10))
    job_run(Job.objects.get())
    result = StartForecast.objects.get().result
    assert result is not None
    assert [(job["job"], job["kind"], job["reason"]) for job in result["jobs"]] == [
        ("3", "expected", "Resources"),
        ("4", "never", "BadConstraints"),
    ]


def test_the_page_follows_the_making_of_a_forecast(client: Client) -> None:
    asked = make_forecast(replicas=10)
    job = Job.objects.create(kind="forecast", subject_id=asked.pk, status=Job.Status.RUNNING)
    seldom(lambda done: job.tell(f"{done} of 10 futures played"))(3)
    page = client.get(f"/forecasts/{asked.pk}/").content.decode()
    assert "3 of 10 futures played" in page
    assert "data-study-progress" in page
    assert "study.js" in page
    asked.keep(RESULT)
    page = client.get(f"/forecasts/{asked.pk}/").content.decode()
    assert "data-study-progress" not in page
    assert "study.js" not in page


def test_progress_is_told_at_first_and_then_seldom() -> None:
    told: list[int] = []
    often, once = seldom(told.append, every=0.0), seldom(told.append, every=3600.0)
    for done in range(3):
        often(done)
        once(10 + done)
    assert told == [0, 10, 1, 2]


def make_site() -> Any:
    return site_store(site=read_site(SITE), notes=[], origin="test", name="")[0]


def test_bars_are_parts_of_the_longest_interval() -> None:
    first, second = lines(RESULT)
    assert (first.start, first.earliest, first.latest) == ("3.33 min", "100.0 s", "6.67 min")
    assert (first.left, first.width, first.middle) == (25, 75, 50)
    assert second.left is None


def test_the_api_takes_a_queue_and_tells_how_far_it_is(api_of: Any, controller: User) -> None:
    api: APIClient = api_of(controller)
    answer = api.post("/api/v1/forecasts/", sent(gzip.compress(QUEUE), at="1970-01-02T03:46:40Z"), format="multipart")
    assert answer.status_code == 202
    assert answer.json()["queue_at"] == 100_000
    found = api.get(answer.headers["Location"]).json()
    assert (found["status"], found["result"], found["error"]) == ("queued", None, "")
    assert api.get("/api/v1/forecasts/").json()["results"][0]["file_name"] == "queue.txt"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"site": "large"}, "site"),
        ({"squeue": SimpleUploadedFile("x", b"nothing of the kind\n")}, "squeue"),
        ({"squeue": SimpleUploadedFile("x", b"JOBID|STATE\n")}, "squeue"),
        ({"squeue": SimpleUploadedFile("x.gz", gzip.compress(QUEUE)[:-9])}, "x.gz is a damaged gzip file"),
        ({"history": 12345}, "history"),
        ({"replicas": 5}, "replicas"),
        ({"replicas": 100_000}, "replicas"),
        ({"seed": -1}, "seed"),
        ({"at": "yesterday"}, "at"),
    ],
)
def test_what_cannot_be_forecast_is_refused(api_of: Any, controller: User, more: dict[str, Any], field: str) -> None:
    answer = api_of(controller).post("/api/v1/forecasts/", {**sent(), **more}, format="multipart")
    assert answer.status_code == 400
    assert field in str(answer.json())
    client = Client()
    client.force_login(controller)
    refused = client.post("/forecasts/new/", {**sent(), **more})
    assert refused.status_code == 400
    assert not StartForecast.objects.exists()


def test_a_history_without_dates_is_refused(api_of: Any, controller: User) -> None:
    history = Workload.objects.create(name="plain", source="csv")
    answer = api_of(controller).post("/api/v1/forecasts/", sent(history=history.pk), format="multipart")
    assert answer.status_code == 400
    assert "does not tell when it began" in str(answer.json())


def test_large_queues_and_many_at_once_are_refused(
    api_of: Any, controller: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = api_of(controller)
    monkeypatch.setattr(starts, "MOST_JOBS", 2)
    assert api.post("/api/v1/forecasts/", sent(), format="multipart").status_code == 400
    monkeypatch.undo()
    monkeypatch.setattr(services, "dispatch", lambda: 0)
    monkeypatch.setattr(starts, "MOST_UNANSWERED", 0)
    assert api.post("/api/v1/forecasts/", sent(), format="multipart").status_code == 409
    monkeypatch.setattr("apps.tasks.forecasts.api.MOST_BYTES", 10)
    assert api.post("/api/v1/forecasts/", sent(), format="multipart").status_code == 413


def test_a_forecast_that_failed_says_why(controller: User) -> None:
    asked = make_forecast()
    Job.objects.create(kind="forecast", subject_id=asked.pk, status=Job.Status.FAILED, error="It took too long.")
    client = Client()
    client.force_login(controller)
    page = client.get(f"/forecasts/{asked.pk}/").content.decode()
    assert "It took too long." in page
