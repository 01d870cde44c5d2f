"""Trials of forecasts in the browser, over the API and by command: asked for, made, followed, shown, and refused."""

import gzip
import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from apps.tasks.forecasts import starts, trials
from apps.tasks.forecasts.trials import MOST_REPLICAS, REPLICAS, trial_document, trial_make
from apps.tasks.models import ForecastTrial, Site, Workload
from apps.tasks.services import workload_find_or_import
from apps.tasks.sites.services import site_store
from scheduler_sim.background import services
from scheduler_sim.background.models import Job
from scheduler_sim.background.work import job_run
from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.forecasting import Scored
from scheduler_sim.engine.sites import read_site
from tests.web.conftest import make_trial
from tests.web.test_forecast_pages import SITE

pytestmark = pytest.mark.django_db

HEAD = "JOBID|USER|PARTITION|STATE|REASON|SUBMIT_TIME|START_TIME|TIME_LIMIT|TIME|NODES|CPUS|NODELIST\n"
QUEUES = (
    f"### snapshot epoch=10300\n{HEAD}1|7|batch|RUNNING|None|10000|10000|10:00|5:00|2|8|c[1-2]\n"
    "2|8|batch|PENDING|Resources|10100|N/A|10:00|0:00|2|8|\n"
).encode()


@pytest.fixture(autouse=True)
def _kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no process be started."""
    monkeypatch.setattr(services, "dispatch", lambda: 0)


@pytest.fixture
def history(tmp_path: Any) -> Workload:
    """Store twelve tasks that ran one after another on both nodes, each for 500 s of its limit of 600 s."""
    lines = [
        f"{job} {100 * (job - 1)} {400 * (job - 1)} 500 8 -1 -1 8 600 -1 1 7 1 -1 1 -1 -1 -1" for job in range(1, 13)
    ]
    file = tmp_path / "past.swf"
    file.write_text("; UnixStartTime: 10000\n; MaxProcs: 8\n" + "\n".join(lines) + "\n")
    return workload_find_or_import(str(file))[0]


@pytest.fixture
def site() -> Site:
    return site_store(site=read_site(SITE), notes=[], origin="test", name="")[0]


def scored(count: int) -> list[Scored]:
    """Return forecasts of two instants, of which every second one holds the real start, with a word of Slurm's."""
    return [
        Scored(
            at=1000.0 * (place % 2),
            job=str(place),
            started_at=1000.0 * (place % 2) + (50.0 if place % 4 < 2 else 500.0),
            start_at=1000.0 * (place % 2) + 60.0,
            earliest_at=1000.0 * (place % 2) + 10.0,
            latest_at=1000.0 * (place % 2) + 100.0,
            slurm_start_at=1000.0 * (place % 2) + 900.0 if place % 3 else None,
            partition="gpu" if place < 3 else "batch",
            deciles=tuple(1000.0 * (place % 2) + 10.0 * tenth for tenth in range(1, 10)),
        )
        for place in range(count)
    ]


def test_a_trial_is_asked_for_followed_and_shown(controller: User, site: Site, history: Workload) -> None:
    client = Client()
    client.force_login(controller)
    form = client.get("/forecasts/trials/new/")
    assert "Try forecasts" in form.content.decode()
    assert (form.context["replicas"], form.context["most_replicas"]) == (REPLICAS, MOST_REPLICAS)
    answer = client.post("/forecasts/trials/new/", {"site": "small", "history": history.pk, "instants": 3})
    asked = ForecastTrial.objects.get()
    address = f"/forecasts/trials/{asked.pk}/"
    assert (answer.status_code, answer.headers["Location"], asked.instants) == (302, address, 3)
    job = Job.objects.get()
    assert (job.kind, job.subject_id) == ("trial", asked.pk)
    assert "data-study-progress" in client.get(address).content.decode()
    document = trial_document(scored(8), done=2, of_history=True)
    asked.keep(document)
    half = client.get(address).content.decode()
    assert "50.0%" in half
    assert "By partition" not in half
    Job.objects.update(status=Job.Status.FINISHED)
    page = client.get(address).content.decode()
    assert "data-study-progress" not in page
    for text in ("By partition", "gpu", "1 to 10 min", "1 Jan 1970 00:16:40", "Of 2 instants only", "told by the acc"):
        assert text in page
    charts = client.get(f"{address}charts.json").json()["charts"]
    assert list(charts) == ["calibration", "errors"]
    assert charts["calibration"]["series"][0]["y"] == [one["share"] for one in document["deciles"]]
    rows = client.get(f"{address}?format=csv").content.decode().splitlines()
    assert rows[0].split(",") == list(trials.COLUMNS)
    assert [row.split(",")[:2] for row in rows[1:4]] == [["all", ""], ["partition", "batch"], ["partition", "gpu"]]
    assert "50.0%" in client.get("/forecasts/trials/").content.decode()
    assert client.get(f"{address}charts/errors.csv").status_code == 200


def test_groups_add_up_to_all_forecasts() -> None:
    document = trial_document(scored(30), done=2, of_history=False)
    for by in ("partition", "lead", "instant"):
        groups = [group for group in document["groups"] if group["by"] == by]
        assert sum(group["forecasts"] for group in groups) == document["overall"]["forecasts"] == 30
        assert sum(group["compared"] for group in groups) == document["overall"]["compared"]
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_errors_beyond_the_end_and_lacking_ones_are_empty() -> None:
    one = Scored(0.0, "1", 50.0, float("inf"), 40.0, float("inf"), None, "", (float("inf"),) * 9)
    document = trial_document([one], done=1, of_history=False)
    assert document["overall"]["median_error"] is None
    assert document["overall"]["slurm_median_error"] is None
    assert document["overall"]["covered"] == 1.0
    assert [share["share"] for share in document["deciles"]] == [1.0] * 9
    asked = make_trial(result=document)
    assert "beyond the end" in Client().get(f"/forecasts/trials/{asked.pk}/").content.decode()


def test_the_api_takes_a_trial_and_tells_how_far_it_is(
    api_of: Any, controller: User, site: Site, history: Workload
) -> None:
    api = api_of(controller)
    sent = {"site": "small@1", "history": history.pk, "squeue": SimpleUploadedFile("q.gz", gzip.compress(QUEUES))}
    answer = api.post("/api/v1/forecast-trials/", sent, format="multipart")
    assert answer.status_code == 202
    found = api.get(answer.headers["Location"]).json()
    assert (found["status"], found["result"], found["instants"]) == ("queued", None, trials.INSTANTS)
    assert "queues" not in found
    plain = api.post("/api/v1/forecast-trials/", {"site": "small", "history": history.pk}, format="json")
    assert plain.status_code == 202


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"site": "large"}, "site"),
        ({"history": 99_999}, "history"),
        ({"instants": 0}, "instants"),
        ({"replicas": 9}, "replicas"),
        ({"squeue": SimpleUploadedFile("x", b"nothing of the kind\n")}, "squeue"),
        ({"squeue": SimpleUploadedFile("x", HEAD.encode())}, "squeue"),
        ({"squeue": SimpleUploadedFile("x", QUEUES.partition(b"\n")[2])}, "squeue"),
        ({"squeue_start": SimpleUploadedFile("x", QUEUES)}, "squeue"),
    ],
)
def test_what_cannot_be_tried_is_refused(
    api_of: Any, controller: User, site: Site, history: Workload, more: dict[str, Any], field: str
) -> None:
    sent = {"site": "small", "history": history.pk, **more}
    answer = api_of(controller).post("/api/v1/forecast-trials/", sent, format="multipart")
    assert answer.status_code == 400
    assert field in str(answer.json())
    client = Client()
    client.force_login(controller)
    assert client.post("/forecasts/trials/new/", sent).status_code == 400
    assert not ForecastTrial.objects.exists()


def test_many_and_large_ones_are_refused(
    api_of: Any, controller: User, site: Site, history: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = api_of(controller)
    sent = {"site": "small", "history": history.pk, "squeue": SimpleUploadedFile("q.txt", QUEUES)}
    monkeypatch.setattr(starts, "MOST_UNANSWERED", 0)
    assert api.post("/api/v1/forecast-trials/", sent, format="multipart").status_code == 409
    monkeypatch.setattr("apps.tasks.forecasts.trial_api.MOST_BYTES", len(QUEUES))
    sent |= {name: SimpleUploadedFile("q.gz", gzip.compress(QUEUES)) for name in ("squeue", "squeue_start")}
    assert api.post("/api/v1/forecast-trials/", sent, format="multipart").status_code == 413
    del sent["squeue_start"]
    monkeypatch.setattr("apps.tasks.forecasts.trial_api.MOST_BYTES", 10)
    sent["squeue"] = SimpleUploadedFile("q.txt", QUEUES)
    assert api.post("/api/v1/forecast-trials/", sent, format="multipart").status_code == 413


@pytest.mark.slow
def test_the_job_tries_forecasts_that_hold_where_every_task_is_alike(site: Site, history: Workload) -> None:
    asked = trials.trial_ask(ForecastTrial(site=site, history=history, instants=2, replicas=10))
    job = job_run(Job.objects.get())
    assert (job.status, job.error) == (Job.Status.FINISHED, "")
    asked.refresh_from_db()
    assert asked.result is not None
    assert asked.result["done"] == 2
    assert asked.result["overall"]["forecasts"] >= 4
    # What is known of run times is certain, so only Slurm's loops are left to tell starts apart.
    first = min(group["median_error"] for group in asked.result["groups"] if group["by"] == "instant")
    assert first <= 300


@pytest.mark.slow
def test_the_command_stores_the_trial_and_says_where_it_is(site: Site, history: Workload, tmp_path: Any) -> None:
    file = tmp_path / "queues.txt"
    file.write_bytes(QUEUES)
    out = StringIO()
    arguments = ("--site", "small", "--history", history.name, "--squeue", str(file), "--replicas", "10")
    call_command("tryforecasts", *arguments, stdout=out, verbosity=0)
    trial = ForecastTrial.objects.get()
    assert f"/forecasts/trials/{trial.pk}/" in out.getvalue()
    assert "By partition" in out.getvalue()
    out = StringIO()
    call_command("tryforecasts", *arguments, "--json", stdout=out, verbosity=0)
    assert trial.result is not None
    assert json.loads(out.getvalue())["overall"] == trial.result["overall"]
    with pytest.raises(CommandError, match="10 to 200"):
        call_command("tryforecasts", *arguments[:-1], "5")


def test_a_past_without_starts_is_refused(site: Site) -> None:
    plain = Workload.objects.create(name="plain", source="csv", audit={"headers": {"UnixStartTime": "0"}})
    with pytest.raises(InvalidTrace, match="no recorded starts"):
        trial_make(site=site, history=plain, instants=1, replicas=10, seed=0, advanced=lambda *_: None)
