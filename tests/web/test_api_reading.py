"""Lists and single rows: shape, order, pages, filters, query counts."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from apps.results.models import Run, SchedulerResult
from apps.tasks.models import Site, Workload, WorkloadImport
from tests.conftest import empty_caches
from tests.web.conftest import (
    make_attempts,
    make_groups,
    make_models,
    make_run,
    make_studies,
    make_totals,
    make_training_rows,
)

PAGED = (
    "workloads",
    "imports",
    "sites",
    "tasks",
    "runs",
    "studies",
    "results",
    "metrics",
    "groups",
    "training-data",
    "models",
)
LISTS = (*PAGED, "policies", "clusters", "leaderboard", "history", "history/latest", "status")


@pytest.mark.django_db
@pytest.mark.parametrize("name", LISTS)
def test_a_list_answers_without_parameters_on_an_empty_database(api: APIClient, name: str) -> None:
    assert api.get(f"/api/v1/{name}/").status_code == 200


def _fill(count: int) -> None:
    """Store so many rows more in every table that has a list."""
    run = make_run(count, name=f"{count} tasks")
    make_training_rows(run, count)
    make_models(count)
    make_studies(count)
    make_totals(run, *(f"policy {i}" for i in range(count)))
    make_groups(run, *(f"user {i}" for i in range(count)))
    Workload.objects.bulk_create(Workload(name=f"{count}-{i}", source="csv") for i in range(count))
    WorkloadImport.objects.bulk_create(WorkloadImport(file_name=f"{i}.swf") for i in range(count))
    Site.objects.bulk_create(Site(name=f"{count}-{i}", version=1, description={}) for i in range(count))
    Run.objects.bulk_create(
        Run(name=f"{count}-{i}", workload=run.workload, cluster={}, policies=[], engine_version="1", status="failed")
        for i in range(count)
    )


@pytest.mark.django_db
def test_a_list_costs_the_same_queries_at_10_and_at_1000_rows(api: APIClient) -> None:
    def ask(name: str) -> tuple[int, int]:
        empty_caches()
        with CaptureQueriesContext(connection) as captured:
            response = api.get(f"/api/v1/{name}/?page_size=1000" if is_paged(name) else f"/api/v1/{name}/")
        assert response.status_code == 200
        document = response.json()
        return len(captured), len(document["results"]) if "results" in document else 0

    def is_paged(name: str) -> bool:
        return name in PAGED or name == "history"

    _fill(10)
    before = {name: ask(name) for name in LISTS}
    _fill(1_000)
    for name, (queries, rows) in before.items():
        queries_later, rows_later = ask(name)
        assert queries_later == queries <= 4, name
        if is_paged(name) or name == "leaderboard":
            assert rows < 100, name
            assert rows_later >= 1_000, name


@pytest.mark.parametrize("name", PAGED)
def test_paging_forwards_and_backwards_shows_every_row_once(api: APIClient, run: Run, name: str) -> None:
    make_training_rows(run, 5)
    make_models(5)
    make_studies(5)
    WorkloadImport.objects.bulk_create(WorkloadImport(file_name=f"{number}.swf") for number in range(5))
    for number in range(4):
        make_run(1, name=f"run {number}")
    whole = [row["id"] for row in api.get(f"/api/v1/{name}/?page_size=1000").json()["results"]]

    pages = [api.get(f"/api/v1/{name}/?page_size=2").json()]
    while pages[-1]["next"]:
        pages.append(api.get(pages[-1]["next"]).json())
    assert [row["id"] for page in pages for row in page["results"]] == whole

    backwards = [pages[-1]]
    while backwards[-1]["previous"]:
        backwards.append(api.get(backwards[-1]["previous"]).json())
    rows = [row["id"] for page in reversed(backwards) for row in page["results"]]
    assert [row for row in rows if row in whole] == whole
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("name", ["workloads", "runs", "results", "metrics", "training-data", "models"])
def test_a_list_begins_with_the_newest_unless_told_otherwise(api: APIClient, run: Run, name: str) -> None:
    make_training_rows(run, 3)
    make_models(3)
    make_run(2, name="newer")
    rows = [row["id"] for row in api.get(f"/api/v1/{name}/").json()["results"]]
    assert rows == sorted(rows, reverse=True)
    assert [row["id"] for row in api.get(f"/api/v1/{name}/?ordering=id").json()["results"]] == sorted(rows)


@pytest.mark.parametrize(("ordering", "backwards"), [("task_count", False), ("-task_count", True)])
def test_a_minus_reverses_the_ordering(api: APIClient, db: None, ordering: str, backwards: bool) -> None:
    for count in (3, 1, 2):
        make_run(count, name=f"{count} tasks")
    rows = [row["task_count"] for row in api.get(f"/api/v1/workloads/?ordering={ordering}").json()["results"]]
    assert rows == sorted([1, 2, 3], reverse=backwards)


def test_rows_that_tie_in_the_ordering_are_neither_lost_nor_repeated(api: APIClient, db: None) -> None:
    run = make_run(700)
    address, seen = f"/api/v1/results/?run={run.pk}&ordering=-wait_time&page_size=300", []
    while address:
        page = api.get(address).json()
        seen += [row["id"] for row in page["results"]]
        address = page["next"]
    assert len(seen) == 1_400
    assert set(seen) == set(SchedulerResult.objects.values_list("pk", flat=True))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page_size=0", "page_size"),
        ("page_size=1001", "page_size"),
        ("page_size=ten", "page_size"),
        ("page_size=\N{SUPERSCRIPT TWO}", "page_size"),
        ("cursor=made-up", "cursor"),
        ("ordering=secret", "ordering"),
        ("ordering=wait_time", "ordering"),
        ("run=many", "run"),
        ("scheduler=fcfs", "run"),
        ("rnu=1", "rnu"),
    ],
)
def test_a_parameter_without_meaning_is_refused_by_name(api: APIClient, db: None, query: str, field: str) -> None:
    response = api.get(f"/api/v1/results/?{query}")
    assert response.status_code == 400
    assert list(response.json()["errors"]) == [field]


def test_a_cursor_of_another_ordering_is_refused(api: APIClient, run: Run) -> None:
    page = api.get("/api/v1/runs/?page_size=1").json()
    make_run(1, name="another")
    page = api.get("/api/v1/runs/?page_size=1").json()
    assert api.get(page["next"] + "&ordering=name").status_code == 400


def test_results_can_be_filtered_within_a_run(api: APIClient, run: Run) -> None:
    make_run(3, name="another")
    rows = api.get(f"/api/v1/results/?run={run.pk}&scheduler=fcfs&min_start_time=3").json()["results"]
    assert [(row["run"], row["scheduler"], row["task_id"]) for row in rows] == [
        (run.pk, "fcfs", number) for number in (3, 4, 5)
    ]


def test_the_newest_results_of_one_run_come_first_when_asked(api: APIClient, run: Run) -> None:
    make_run(3, name="another")
    assert run.last_result_id is not None
    rows = api.get(f"/api/v1/results/?run={run.pk}&ordering=-id&page_size=3").json()["results"]
    assert [row["id"] for row in rows] == [run.last_result_id - step for step in range(3)]
    assert api.get("/api/v1/results/?run=999&ordering=-id").json()["results"] == []


@pytest.mark.parametrize("name", ["workloads", "tasks", "runs", "results", "metrics"])
def test_a_single_row_has_every_column_of_the_list(api: APIClient, run: Run, name: str) -> None:
    # Nodes of results are told in lists of one run only.
    query = f"?run={run.pk}" if name == "results" else ""
    listed = api.get(f"/api/v1/{name}/{query}").json()["results"][0]
    shown = api.get(f"/api/v1/{name}/{listed['id']}/").json()
    assert listed.items() <= shown.items()


@pytest.mark.parametrize("key", ["0", "999999", "9" * 19, "x", "1.5", "-1", "%00"])
@pytest.mark.parametrize("name", ["workloads", "runs", "results"])
def test_a_row_that_is_not_there_is_404(api: APIClient, db: None, name: str, key: str) -> None:
    response = api.get(f"/api/v1/{name}/{key}/")
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_list_comes_as_csv_with_the_next_page_in_the_link_header(api: APIClient, run: Run) -> None:
    response = api.get(f"/api/v1/results/?run={run.pk}&page_size=4&format=csv")
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert [row["task_id"] for row in rows] == ["1", "1", "2", "2"]
    assert 'rel="next"' in response.headers["Link"]


def test_csv_cells_cannot_become_formulas(api: APIClient, run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(name="=cmd()")
    row = next(csv.DictReader(io.StringIO(api.get("/api/v1/runs/?format=csv").content.decode())))
    assert row["name"] == "'=cmd()"


def test_an_unchanged_answer_is_not_sent_twice(api: APIClient, run: Run) -> None:
    tag = api.get("/api/v1/leaderboard/").headers["ETag"]
    again = api.get("/api/v1/leaderboard/", HTTP_IF_NONE_MATCH=tag)
    assert (again.status_code, again.content) == (304, b"")


def test_the_leaderboard_ranks_the_policies_of_the_newest_finished_run(api: APIClient, run: Run) -> None:
    newest = make_run(2, name="newest")
    make_run(2, name="failed", status=Run.Status.FAILED)
    document = api.get("/api/v1/leaderboard/").json()
    assert document["run"] == newest.pk
    assert [(row["rank"], row["scheduler"]) for row in document["results"]] == [(1, "fcfs"), (2, "sjf+easy")]
    assert api.get(f"/api/v1/leaderboard/?run={run.pk}").json()["run"] == run.pk


def test_history_has_every_policy_beside_the_task(api: APIClient, run: Run) -> None:
    address, tasks = f"/api/v1/history/?run={run.pk}&page_size=2", []
    while address:
        page = api.get(address).json()
        tasks += page["results"]
        address = page["next"]
    assert [task["task_id"] for task in tasks] == [1, 2, 3, 4, 5]
    assert all(set(task["policies"]) == set(run.policies) for task in tasks)


def test_the_latest_are_the_newest_hundred_of_all_runs(api: APIClient, db: None) -> None:
    make_run(60, name="older")
    make_run(10, name="newer")
    rows = api.get("/api/v1/history/latest/").json()["results"]
    assert [row["id"] for row in rows] == list(
        SchedulerResult.objects.order_by("-pk").values_list("pk", flat=True)[:100]
    )


@pytest.mark.parametrize("number", ["1.0", "+1", "1e0", "1_0", "%D9%A1", "9223372036854775808"])
@pytest.mark.parametrize("address", ["results/?ordering=id&run", "tasks/?workload", "metrics/?run", "history/?run"])
def test_a_number_is_written_in_digits(api: APIClient, run: Run, address: str, number: str) -> None:
    response = api.get(f"/api/v1/{address}={number}")
    assert response.status_code == 400
    assert list(response.json()["errors"]) == [address.rpartition("&")[2].rpartition("?")[2]]


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        ("2026-01-31T03:44:29%2B17:24", 200),
        ("2026-01-31T03:44:29Z", 200),
        ("9999-12-31T23:59:59-12:00", 400),
        ("yesterday", 400),
    ],
)
def test_moments_of_any_offset_are_understood(api: APIClient, run: Run, moment: str, status: int) -> None:
    assert api.get(f"/api/v1/runs/?created_after={moment}").status_code == status


def test_reading_can_be_closed(api: APIClient, api_of: Callable, user: object, settings: Any) -> None:
    settings.API_READ_PUBLIC = False
    for address in [*(f"/api/v1/{name}/" for name in LISTS), "/api/schema/", "/api/docs/"]:
        assert api.get(address).status_code == 401, address
        assert api_of(user).get(address).status_code == 200, address
    assert api.get("/health").status_code == 200


def test_attempts_are_listed_by_run_policy_and_task(api: APIClient, run: Run) -> None:
    first = make_attempts(run)[0]
    rows = api.get(f"/api/v1/attempts/?run={run.pk}&scheduler={first.scheduler}&task={first.task_id}").json()["results"]
    assert [(row["number"], row["reason"], row["task_id"]) for row in rows] == [
        (1, "suspended", first.task.task_id),
        (2, "finished", first.task.task_id),
    ]
    refused = api.get("/api/v1/attempts/?task=1")
    assert refused.status_code == 400
    assert "Name a run as well" in str(refused.json())


def test_groups_of_a_run_come_losers_first_where_that_is_asked_for(api: APIClient, run: Run) -> None:
    make_groups(make_run(1, name="another"), "carol")
    query = f"run={run.pk}&grouped_by=user&ordering=-difference"
    rows = api.get(f"/api/v1/groups/?{query}").json()["results"]
    assert [(row["scheduler"], row["name"]) for row in rows] == [
        ("sjf+easy", "bob"),
        ("sjf+easy", "alice"),
        ("fcfs", "bob"),
        ("fcfs", "alice"),
    ]
    narrowed = api.get(f"/api/v1/groups/?{query}&scheduler=fcfs&name=bob").json()["results"]
    assert [(row["scheduler"], row["name"], row["difference"]) for row in narrowed] == [("fcfs", "bob", 0.0)]


@pytest.mark.parametrize(
    ("query", "field"), [("grouped_by=user", "run"), ("run=1&grouped_by=colour", "grouped_by"), ("run=x", "run")]
)
def test_groups_refuse_what_they_cannot_be_chosen_by(api: APIClient, run: Run, query: str, field: str) -> None:
    response = api.get(f"/api/v1/groups/?{query}")
    assert response.status_code == 400
    assert field in response.json()["errors"]
