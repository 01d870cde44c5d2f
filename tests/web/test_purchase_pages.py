"""A search for a purchase: the command, the API and the page find the same; what cannot be is said."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from apps.live.play.options import InvalidOption
from apps.results.models import Run
from apps.studies.purchase.outcome import PurchaseOutcome
from apps.studies.purchase.request import PURCHASE_OPTIONS, PurchaseRequest
from apps.studies.purchase.searching import purchase_search
from apps.tasks.sites.services import site_store
from scheduler_sim.background import kinds
from scheduler_sim.background.models import Job
from scheduler_sim.engine.sites import Site
from tests.web.conftest import client_that_controls_runs, make_run

pytestmark = pytest.mark.django_db

ASKED = {"target": "mean_wait < 30 s", "add": "processors=6"}
SITE = {
    "name": "tiny",
    "groups": [{"hosts": "c[1-2]", "cores": 1}],
    "partitions": [{"name": "batch", "hosts": "c[1-2]", "is_default": True}],
}


@pytest.fixture
def run() -> Run:
    """A run of forty tasks of a hundred seconds that come once in ten, on four processors."""
    run = make_run(40, name="june", policies=("fcfs", "sjf"), configuration={"seed": 3})
    for task in run.workload.tasks.all():
        task.arrival_time, task.runtime, task.duration_estimate = 10.0 * task.task_id, 100.0, 100.0
        task.save()
    return run


@pytest.fixture
def controller_api(controller: User, api_of: Any) -> APIClient:
    client: APIClient = api_of(controller)
    return client


def found_by(run: Run, **asked: Any) -> PurchaseOutcome:
    return purchase_search(run=run, request=PurchaseRequest.read(ASKED | asked), advanced=lambda _: None)


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("findpurchase", *arguments, "--workers", "1", stdout=out)
    return out.getvalue()


def test_the_command_finds_what_playing_everything_finds(run: Run) -> None:
    document = json.loads(printed("june", "--target", ASKED["target"], "--add", ASKED["add"], "--json"))
    every = json.loads(printed("june", "--target", ASKED["target"], "--add", ASKED["add"], "--exhaustive", "--json"))
    assert document["best"] == every["best"]
    assert document["best"]["reaches"]
    assert every["guarantee"] == "exact"
    cheaper = [line for line in every["plays"] if line["price"] < every["best"]["price"]]
    assert cheaper
    assert not any(line["reaches"] for line in cheaper)


def test_the_table_names_price_guarantee_and_wall_time(run: Run) -> None:
    text = printed("june", "--target", ASKED["target"], "--add", "processors=6@250")
    assert "price (as given)" in text
    assert "processors +" in text
    assert " changes played in " in text
    assert "Exact on the grid" in text


def test_a_target_out_of_reach_fails_with_the_best_found(run: Run) -> None:
    with pytest.raises(CommandError, match=r"reaches mean_wait_time < 1 s. The best found is"):
        printed("june", "--target", "mean_wait < 1 s", "--add", "processors=2")


def test_one_more_round_is_told_after_another_and_stopping_keeps_them(run: Run) -> None:
    seen: list[int] = []

    def advanced(found: PurchaseOutcome) -> None:
        seen.append(len(found.search.plays))
        if len(seen) == 2:
            raise KeyboardInterrupt

    found = purchase_search(run=run, request=PurchaseRequest.read(ASKED | {"add": "processors=40"}), advanced=advanced)
    assert (found.is_stopped, len(found.search.plays)) == (True, seen[-1])
    assert seen == sorted(seen)
    assert found.as_json()["guarantee"] in ("unfinished", "monotone", "exact")


def test_several_seeds_are_played_for_every_change(run: Run) -> None:
    one, two = found_by(run, policies="random", seeds=1), found_by(run, policies="random", seeds=2)
    assert one.search.plays.keys() & two.search.plays.keys()
    assert [line["tasks"] for line in two.as_json()["plays"]] == [40.0] * len(two.search.plays)


def test_a_site_grows_by_its_partitions() -> None:
    stored, _ = site_store(site=Site.from_json(SITE))
    run = make_run(6, name="on a site", site=stored, configuration={"policies": ["fcfs"], "site": stored.reference})
    Run.objects.filter(pk=run.pk).update(cluster=stored.as_site().cluster.as_json())
    run.workload.tasks.update(arrival_time=0.0, runtime=100.0, duration_estimate=100.0)
    found = found_by(run, add="batch=4", policies="fcfs", target="mean_wait < 1 s")
    best = found.search.best
    assert best is not None
    assert found.as_json()["best"]["add_nodes"] == "batch=4"
    assert "batch +4 under fcfs for 4 nodes" in found.verdict


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"target": "soon"}, "A target is FIGURE"),
        ({"target": ""}, "target must be"),
        ({"add": "processors"}, "Nodes are given as GROUP=N"),
        ({"add": "gpu=3"}, "has no node group 'gpu'"),
        ({"add": "processors=3@5,gpu=2"}, "Give a price for every group or for none"),
        ({"add": "processors=999999999"}, "too many to choose from"),
        ({"policies": "best"}, "There is no policy called 'best'"),
        ({"seeds": "0"}, "seeds must be a whole number from 1 to 100"),
        ({"colour": "red"}, "There is no option called 'colour'"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_a_task_is_read(
    run: Run, asked: dict[str, str], words: str, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    with django_assert_max_num_queries(3), pytest.raises(InvalidOption) as refused:
        found_by(run, **asked)
    assert words in str(refused.value)


def test_a_group_that_no_task_is_of_is_refused(run: Run) -> None:
    with pytest.raises(CommandError, match="states no partition"):
        printed("june", "--target", "p95_wait of partition gpu < 1 h", "--add", "processors=2")


def test_every_option_is_asked_for_everywhere(run: Run, controller_api: APIClient) -> None:
    fields = controller_api.options("/api/v1/purchases/").json()["actions"]["POST"]
    assert set(fields) == {"run", *(option.name for option in PURCHASE_OPTIONS)}


def test_asked_over_http_it_is_a_job_whose_outcome_is_that_of_the_command(
    run: Run, controller_api: APIClient, client: Client
) -> None:
    response = controller_api.post("/api/v1/purchases/", {"run": run.pk, **ASKED}, format="json")
    assert response.status_code == 202, response.content
    job = Job.objects.get(pk=response.json()["id"])
    assert (job.kind, job.subject_id) == ("purchase", run.pk)
    again = controller_api.post("/api/v1/purchases/", {"run": run.pk, **ASKED}, format="json")
    assert again.status_code == 409
    played = PurchaseRequest.read(job.arguments)
    outcome = purchase_search(run=run, request=played, advanced=lambda _: None).as_json()
    Job.objects.filter(pk=job.pk).update(status=Job.Status.FINISHED, outcome=outcome)
    page = " ".join(client.get(f"/purchases/{job.pk}/").content.decode().split())
    assert outcome["guarantee_text"] in page
    assert f"/runs/{run.pk}/what-if/?add_nodes=processors" in page
    assert f"/runs/{run.pk}/" in page
    rows = client.get(f"/purchases/{job.pk}/?format=json").json()
    assert len(rows) == len(outcome["plays"])
    chart = client.get(f"/purchases/{job.pk}/charts.json").json()["charts"]["frontier"]
    assert {series["name"] for series in chart["series"]} == {line["policy"] for line in outcome["plays"]}


def test_the_process_of_the_job_searches_and_keeps_what_it_finds(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.studies.jobs.cores", lambda: 1)
    job = Job.objects.create(kind="purchase", subject_id=run.pk, arguments=PurchaseRequest.read(ASKED).as_json())
    assert kinds.find("purchase").work(job) is None
    job.refresh_from_db()
    assert job.outcome["is_reached"]
    assert job.progress.endswith("0 open")
    assert "june" in kinds.find("purchase").title(job)


def test_the_form_refuses_in_place_and_leads_to_the_search(run: Run) -> None:
    controller_page = client_that_controls_runs()
    address = f"/runs/{run.pk}/purchase/"
    assert "processors (4)" in " ".join(controller_page.get(address).content.decode().split())
    refused = controller_page.post(address, {"target": "soon", "add": "processors=3"})
    assert refused.status_code == 400
    assert "A target is FIGURE" in refused.content.decode()
    lacking = controller_page.post(address, {"add": "processors=3"})
    assert "target must be" in lacking.content.decode()
    sent = controller_page.post(address, ASKED)
    job = Job.objects.get(kind="purchase")
    assert sent.headers["Location"] == f"/purchases/{job.pk}/"
    assert f"/purchases/{job.pk}/" in controller_page.get(address).content.decode()
    page = controller_page.get(f"/purchases/{job.pk}/").content.decode()
    assert "data-study-progress" in page
    controller_page.post(f"/purchases/{job.pk}/stop/")
    job.refresh_from_db()
    assert job.status == Job.Status.STOPPED
