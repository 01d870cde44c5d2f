"""Finding runs, workloads, policies, users and jobs from the head of every page."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.results.models import Run, Study
from apps.tasks.models import Workload
from tests.web.conftest import client_that_controls_runs, make_run

pytestmark = pytest.mark.django_db


def found(client: Client, text: str) -> dict[str, list[str]]:
    """Return what is linked under each heading."""
    page = client.get("/search/", {"q": text})
    assert page.status_code == 200
    parts = re.split(r"<h2>(.*?)</h2>", page.content.decode().split("<main")[1].split("</main>")[0])
    return {head: re.findall(r'href="([^"]*)"', part) for head, part in zip(parts[1::2], parts[2::2], strict=True)}


def test_the_head_of_every_page_searches(client: Client) -> None:
    assert 'action="/search/"' in client.get("/").content.decode()
    assert "What to look for" in client.get("/search/").content.decode()


def test_a_policy_is_found_with_the_runs_that_play_it(client: Client) -> None:
    run = make_run()
    what = found(client, "sjf+e")
    assert what["Policies"] == ["/policies/sjf+easy/"]
    assert f"/runs/{run.pk}/" in what["Runs"]
    assert "/policies/wfp3/" in found(client, "WFP3")["Policies"]


def test_a_user_is_found_and_leads_to_the_tasks(client: Client) -> None:
    run = make_run()
    links = found(client, "ali")["Users and accounts"]
    assert links[0].startswith(f"/runs/{run.pk}/groups/tasks/?by=user&amp;name=alice&amp;policy=fcfs")
    assert client.get(links[0].replace("&amp;", "&")).status_code == 200
    assert client.get(links[2].replace("&amp;", "&")).status_code == 200


def test_a_job_is_found_by_its_number_in_the_newest_run_of_its_workload(client: Client) -> None:
    first = make_run(tasks=3, name="one")
    second = make_run(tasks=5, name="two")
    links = found(client, "3")["Jobs"]
    assert [link for link in links if "/tasks/" in link] == [
        f"/runs/{second.pk}/tasks/3/",
        f"/runs/{first.pk}/tasks/3/",
    ]
    assert client.get(f"/runs/{second.pk}/tasks/3/").status_code == 200
    assert "Jobs" not in found(client, "99")


def test_archived_runs_are_not_found(client: Client) -> None:
    make_run(name="needle").archive()
    assert "Runs" not in found(client, "needle")


@pytest.mark.parametrize("text", ["%", "\0", "x" * 5000, "9" * 30, "<b>", "'"])
def test_any_text_is_looked_for(client: Client, text: str) -> None:
    make_run()
    assert client.get("/search/", {"q": text}).status_code == 200


@pytest.mark.parametrize("count", [2, 12])
def test_searching_costs_the_same_queries_however_much_there_is(
    client: Client, django_assert_max_num_queries: object, count: int
) -> None:
    for number in range(count):
        make_run(name=f"run {number}")
    with django_assert_max_num_queries(9):  # type: ignore[operator]
        client.get("/search/?q=1")


def test_workloads_that_were_made_for_studies_do_not_flood_lists() -> None:
    client = client_that_controls_runs()
    study = Study.objects.create(name="a grid", definition={})
    made: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("made", "synthetic:lublin", {"study": study}),
        ("traced", "swf", {"study": study}),
        ("shared", "synthetic:lublin", {}),
    )
    for name, source, fields in made:
        run = make_run(name=name, digest=name, **fields)
        Workload.objects.filter(pk=run.workload_id).update(source=source)
    alone = make_run(name="again")
    Run.objects.filter(pk=alone.pk).update(workload=Run.objects.get(name="shared").workload)
    for address in ("/workloads/", "/runs/new/", "/studies/new/", "/training/new/"):
        page = client.get(address).content.decode()
        assert "workload of shared" in page, address
        assert "workload of traced" in page, address
        assert "workload of made" not in page, address
    for query in ("studies=too", "q=made"):
        assert "workload of made" in client.get(f"/workloads/?{query}").content.decode()
