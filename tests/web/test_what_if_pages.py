"""The page of a what-if: its form, its link, how far it is, what came out, and who may do what."""

import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from apps.live.models import WhatIf
from apps.live.what_if.question import question
from apps.results.models import Run
from apps.tasks.models import Task
from apps.tasks.sites.services import site_store
from scheduler_sim.background.kinds import find
from scheduler_sim.background.models import Job
from scheduler_sim.background.work import job_run
from scheduler_sim.engine.sites import Site
from tests.live.test_site_runs import DESCRIPTION
from tests.web.conftest import client_that_controls_runs, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    """A finished run of twelve tasks of two users, three at a time, which wait for each other."""
    stored = make_run(12)
    Task.objects.filter(workload=stored.workload).update(arrival_time=0, runtime=100, cpus=4)
    Task.objects.filter(workload=stored.workload, task_id__gt=6).update(user="late")
    return stored


@pytest.fixture
def controls() -> Client:
    return client_that_controls_runs()


def text_of(response: Any) -> str:
    return html.unescape(" ".join(response.content.decode().split()))


def page_of(run: Run, command: str = "") -> str:
    return f"/runs/{run.pk}/what-if/{command}"


def answered(controls: Client, run: Run, query: str) -> str:
    """Return the page of an answer that was asked for and played."""
    assert controls.post(f"{page_of(run, 'play/')}?{query}").status_code == 302
    job = Job.objects.latest("pk")
    job_run(job)
    job.refresh_from_db()
    assert job.error == ""
    return text_of(controls.get(f"{page_of(run)}?{query}"))


def fields(page: str) -> dict[str, str]:
    """Return the fields of the form of changes as a browser would send them."""
    form = page[page.index('aria-label="Changes"') :]
    inputs = re.findall(r'<input type="(?:text|number)" name="([^"]+)"(?: value="([^"]*)")?', form)
    return dict(inputs) | dict.fromkeys(re.findall(r'<select name="([^"]+)"', form), "")


def test_a_finished_run_leads_to_what_if(client: Client, run: Run) -> None:
    assert f'href="{page_of(run)}"' in text_of(client.get(f"/runs/{run.pk}/"))
    page = text_of(client.get(page_of(run)))
    assert "Nodes more or fewer" in page
    assert 'name="nodes-0"' in page
    assert "processors, 4 there" in re.sub(r"\s+", " ", re.sub("<[^>]+>", "", page))
    assert "disabled" in page, "who may not start runs may look"


def test_the_form_becomes_an_address_that_holds_only_what_is_changed(controls: Client, run: Run) -> None:
    sent = {**fields(text_of(controls.get(page_of(run)))), "nodes-0": "4", "scale_load": "2.0"}
    sent["policy-1"] = "sjf"
    response = controls.post(page_of(run, "change/"), sent)
    assert response.status_code == 302
    assert response["Location"] == f"{page_of(run)}?policies=fcfs%2Csjf&scale_load=2&add_nodes=processors%3D4"
    page = text_of(controls.get(response["Location"]))
    assert "data-waits" in page
    assert "Stop" in page
    again = fields(page)
    assert (again["nodes-0"], again["scale_load"], again["policy-1"]) == ("4", "2", "sjf")


def test_parameters_are_set_where_a_policy_has_some(controls: Client) -> None:
    run = make_run(5, policies=("fcfs+conservative", "sjf"))
    sent = fields(text_of(controls.get(page_of(run))))
    assert sent["policy-0-conservative-depth"] == ""
    address = controls.post(page_of(run, "change/"), {**sent, "policy-0-conservative-depth": "3"})["Location"]
    assert address.endswith("?policies=fcfs%2Bconservative%28depth%3D3%29%2Csjf")
    page = text_of(controls.get(address))
    assert fields(page)["policy-0-conservative-depth"] == "3"
    sent = {**fields(page), "policy-0-conservative-depth": "-3"}
    refused = controls.post(f"{page_of(run, 'change/')}?{address.partition('?')[2]}", sent)
    assert refused.status_code == 400
    assert "depth is '-3', not a whole number from 1 up" in text_of(refused)


def test_nodes_of_a_site_are_changed_by_group_by_partition_and_by_name(controls: Client) -> None:
    site = site_store(site=Site.from_json(DESCRIPTION))[0]
    configuration = {"policies": ["fcfs"], "site": site.reference}
    run = make_run(policies=("fcfs",), site=site, configuration=configuration, cluster=site.as_site().cluster.as_json())
    page = text_of(controls.get(page_of(run)))
    names = re.findall(r'aria-label="More: ([^"]+)"', page)
    assert names == ["thin", "fat", "batch", "big", "Arrivals"]
    sent = {**fields(page), "nodes-1": "1", "nodes-2": "-1", "nodes-named": "c1"}
    address = controls.post(page_of(run, "change/"), sent)["Location"]
    assert address == f"{page_of(run)}?add_nodes=fat%3D1&drop_nodes=batch%3D1%2Cc1"
    again = fields(text_of(controls.get(address)))
    assert (again["nodes-1"], again["nodes-2"], again["nodes-named"]) == ("1", "-1", "c1")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"scale_load": "-1"}, "The load factor must be a number above 0"),
        ({"nodes-0": "-9"}, "cannot be dropped"),
        ({"nodes-0": "x"}, "Enter a whole number"),
        ({"policy-0": "fcsf"}, "Did you mean fcfs?"),
        ({"policy-0": "", "policy-1": ""}, "policies"),
        ({}, "Nothing is changed"),
    ],
)
def test_a_change_without_meaning_is_said_at_its_field(
    controls: Client, run: Run, changed: dict[str, str], sentence: str
) -> None:
    sent = {**fields(text_of(controls.get(page_of(run)))), **changed}
    response = controls.post(page_of(run, "change/"), sent)
    assert response.status_code == 400
    assert sentence in text_of(response)
    assert not Job.objects.exists()


def test_an_answer_stands_beside_the_run_as_it_was(controls: Client, client: Client, run: Run) -> None:
    page = answered(controls, run, "add_nodes=processors%3D4")
    assert "Under fcfs tasks wait 4.17 min instead of 9.17 min (55% shorter)" in page
    assert 'data-figure="mean_wait_time"' in page
    assert "▼ -55%" in page
    assert "hpc-4 processors+4" in page
    assert '<option value="user">User</option>' in page or '<option value="user" selected>User</option>' in page
    assert "1 clearly" in page or "too few" in page
    seen = text_of(Client().get(f"{page_of(run)}?add_nodes=processors%3D4"))
    assert 'data-figure="mean_wait_time"' in seen, "what was played is for everybody who may read"
    assert "Keep as run" not in seen
    for query in ("&policy=sjf%2Beasy", "&by=user", "&by=size"):
        assert client.get(f"{page_of(run)}?add_nodes=processors%3D4{query}").status_code == 200


def test_the_tables_of_an_answer_are_files_too(controls: Client, run: Run) -> None:
    query = "scale_load=0.5"
    answered(controls, run, query)
    figures = controls.get(f"{page_of(run)}?{query}&table=figures&format=json").json()
    assert {row["policy"] for row in figures} == {"fcfs", "sjf+easy"}
    waits = next(row for row in figures if row["figure"] == "mean_wait_time")
    stored = WhatIf.objects.get().figures
    assert stored is not None
    assert waits["after"] == stored["after"]["fcfs"]["mean_wait_time"]
    groups = controls.get(f"{page_of(run)}?{query}&by=user&table=groups&format=csv").content.decode().splitlines()
    assert len(groups) == 3
    assert controls.get(f"{page_of(run)}?{query}&table=nothing&format=csv").status_code == 404


@pytest.mark.parametrize("query", ["by=colour", "policy=nobody"])
def test_an_answer_holds_only_what_it_holds(controls: Client, run: Run, query: str) -> None:
    answered(controls, run, "scale_load=2")
    assert controls.get(f"{page_of(run)}?scale_load=2&{query}").status_code == 400


def test_a_link_is_played_by_who_may_and_shown_to_the_others(controls: Client, run: Run) -> None:
    link = f"{page_of(run)}?scale_load=2"
    assert "data-plays-now" in text_of(controls.get(link))
    assert not Job.objects.exists(), "looking asks for nothing"
    seen = text_of(Client().get(link))
    assert "Nobody has played this yet" in seen
    assert "data-plays-now" not in seen


def test_a_link_without_meaning_says_why(client: Client, run: Run) -> None:
    for query, words in (
        ("scale_load=x", "must be a number"),
        ("laod=2", "no option called"),
        ("seed=0", "Nothing is"),
    ):
        response = client.get(f"{page_of(run)}?{query}")
        assert response.status_code == 400
        assert words in text_of(response)


def test_what_is_too_large_is_only_kept(controls: Client, run: Run, settings: Any) -> None:
    settings.WHAT_IF_PLACEMENTS = 10
    sent = {**fields(text_of(controls.get(page_of(run)))), "scale_load": "2"}
    page = text_of(controls.get(controls.post(page_of(run, "change/"), sent)["Location"]))
    assert "data-only-kept" in page
    assert "Keep as run" in page
    assert "data-plays-now" not in page
    refused = controls.post(f"{page_of(run, 'play/')}?scale_load=2")
    assert refused.status_code == 409
    assert not Job.objects.exists()


def test_it_is_kept_as_a_run_under_a_name(controls: Client, run: Run) -> None:
    query = "scale_load=2&add_nodes=processors%3D4"
    response = controls.post(f"{page_of(run, 'keep/')}?{query}", {"name": "denser"})
    kept = Run.objects.get(name="denser")
    assert response["Location"] == f"/runs/{kept.pk}/"
    assert (kept.configuration["load_factor"], kept.cluster["groups"][0]["cores"]) == (2.0, 8)
    assert Job.objects.get().kind == "run"
    taken = controls.post(f"{page_of(run, 'keep/')}?{query}", {"name": "denser"})
    assert taken.status_code == 409
    assert "choose another name" in text_of(taken)


def test_it_is_stopped_and_played_again_only_when_somebody_says_so(controls: Client, run: Run) -> None:
    controls.post(f"{page_of(run, 'play/')}?scale_load=2")
    controls.post(f"{page_of(run, 'stop/')}?scale_load=2")
    assert Job.objects.get().status == Job.Status.STOPPED
    page = text_of(controls.get(f"{page_of(run)}?scale_load=2"))
    assert "It was stopped" in page
    assert "Play it again" in page
    assert "data-plays-now" not in page
    assert controls.post(f"{page_of(run, 'stop/')}?scale_load=2").status_code == 409


def test_a_failure_is_said(controls: Client, run: Run) -> None:
    controls.post(f"{page_of(run, 'play/')}?drop_nodes=processors%3D2")
    job_run(Job.objects.get())
    page = text_of(controls.get(f"{page_of(run)}?drop_nodes=processors%3D2"))
    assert 'role="alert"' in page
    assert "Play it again" in page


@pytest.mark.parametrize("command", ["change", "play", "keep", "stop"])
def test_only_who_may_start_runs_asks(client: Client, run: Run, command: str) -> None:
    client.force_login(User.objects.create_user("reader"))
    assert client.post(f"{page_of(run, command)}/?scale_load=2").status_code == 403
    assert not Job.objects.exists()


@pytest.mark.parametrize("status", [Run.Status.RUNNING, Run.Status.STOPPED, Run.Status.FAILED])
def test_a_run_without_an_end_says_so(controls: Client, run: Run, status: str) -> None:
    Run.objects.filter(pk=run.pk).update(status=status)
    assert "came to its end" in text_of(controls.get(page_of(run)))
    assert controls.post(f"{page_of(run, 'play/')}?scale_load=2").status_code == 400


def test_asking_too_often_is_refused(controls: Client, run: Run, settings: Any) -> None:
    settings.RATE_LIMIT_WHAT_IF = "1/h"
    statuses = [controls.post(f"{page_of(run, 'play/')}?scale_load={factor}").status_code for factor in (2, 3)]
    assert statuses == [302, 429]


def test_the_job_leads_back_to_the_page(controls: Client, run: Run) -> None:
    controls.post(f"{page_of(run, 'play/')}?scale_load=2")
    job = Job.objects.get()
    assert find(job.kind).address(job) == f"{page_of(run)}?scale_load=2"
    assert find(job.kind).title(job) == "scale_load 2"
    assert question(run, {"scale_load": "2"}).digest == WhatIf.objects.get().digest
