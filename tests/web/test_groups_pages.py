"""Who wins and who loses: the page, its downloads, the tasks behind a group, and what they cost the database."""

import csv
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.metrics.groups import described, label
from apps.metrics.models import GroupMetric
from apps.results.models import Run, SchedulerResult
from apps.studies.report.html import run_html, run_markdown
from apps.tasks.models import Task, TaskRequest
from tests.web.conftest import make_groups, make_run

pytestmark = pytest.mark.django_db


def text_of(response: Any) -> str:
    return " ".join(str(response.content, "utf-8").split())


def change(run: Run, name: str, scheduler: str = "sjf+easy", **values: Any) -> None:
    assert GroupMetric.objects.filter(run=run, scheduler=scheduler, name=name).update(**values) == 1


def test_a_sentence_says_who_loses_most_and_losers_come_first(client: Client, run: Run) -> None:
    change(run, "bob", difference=7200.0, difference_low=3600.0, difference_high=10_800.0)
    page = text_of(client.get(f"/runs/{run.pk}/groups/"))
    assert (
        "<b>Tasks of user bob lose most under sjf+easy: 100 tasks complete 2.00 h later than under fcfs on average "
        "(95% interval 60.0 min to 3.00 h).</b>"
    ) in page
    assert "None of the users clearly gains." in page
    assert "Of 2 users, 2 clearly lose and 0 clearly gain." in page
    assert page.index(">bob</a>") < page.index(">alice</a>")


def test_what_chance_explains_is_called_neither(client: Client, run: Run) -> None:
    change(run, "alice", difference=2.0, difference_p_value=0.2)
    change(run, "bob", difference_low=None, difference_high=None, difference_p_value=None, task_count=59)
    page = text_of(client.get(f"/runs/{run.pk}/groups/?by=user&policy=sjf%2Beasy"))
    assert (
        "None of the users clearly loses under sjf+easy; tasks of user alice complete 2.00 s later on average, but "
        "these 100 are too varied to tell that from chance."
    ) in page
    assert "2 do neither (1 with too few tasks)." in page
    assert "too few tasks</span>" in page


def test_the_base_itself_asks_for_another_policy(client: Client, run: Run) -> None:
    page = text_of(client.get(f"/runs/{run.pk}/groups/?policy=fcfs"))
    assert "fcfs is the base: choose another policy" in page
    assert "There is nothing to compare." in page


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("by=colour", "told apart by user, not by &#x27;colour&#x27;"),
        ("policy=ljf", "does not hold the policy &#x27;ljf&#x27;; it holds fcfs and sjf+easy"),
    ],
)
@pytest.mark.parametrize("page", ["", "tasks/", "charts.json"])
def test_what_a_run_does_not_hold_is_refused_in_a_sentence(
    client: Client, run: Run, query: str, sentence: str, page: str
) -> None:
    response = client.get(f"/runs/{run.pk}/groups/{page}?{query}&name=alice")
    assert response.status_code == 400
    assert sentence in text_of(response)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "running"}, "are written when the run ends"),
        ({"status": "stopped"}, "did not come to its end"),
        ({}, "No figures of groups are stored for this run"),
    ],
)
def test_a_run_without_groups_says_why(client: Client, fields: dict[str, Any], words: str) -> None:
    run = make_run(**fields)
    run.group_metrics.all().delete()
    response = client.get(f"/runs/{run.pk}/groups/")
    assert response.status_code == 200
    assert words in text_of(response)


def test_the_table_is_sorted_by_any_column(client: Client, run: Run) -> None:
    change(run, "bob", task_count=5, core_hours=1.0, mean_wait_time=0.0, later_count=1)
    change(run, "bob", "fcfs", mean_wait_time=0.5)
    for column in ("task_count", "core_hours", "mean_wait_time", "base_wait_time"):
        for sort, first in ((column, "bob"), (f"-{column}", "alice")):
            page = text_of(client.get(f"/runs/{run.pk}/groups/?sort={sort}"))
            assert (page.index(">bob</a>") < page.index(">alice</a>")) == (first == "bob"), sort


def test_downloads_hold_the_figures_of_the_table_and_of_every_policy(client: Client, run: Run) -> None:
    rows = list(csv.DictReader(client.get(f"/runs/{run.pk}/groups/?format=csv").content.decode().splitlines()))
    assert {row["name"]: (row["scheduler"], row["difference"]) for row in rows} == {
        "alice": ("sjf+easy", "1.0"),
        "bob": ("sjf+easy", "1.0"),
    }
    rows = client.get(f"/runs/{run.pk}/groups/?format=json&policy=fcfs").json()
    assert [row["difference"] for row in rows] == [0, 0]
    (row,) = client.get(f"/runs/{run.pk}/groups/?table=policies&format=json").json()
    assert (row["scheduler"], row["losing"], row["gaining"]) == ("sjf+easy", 2, 0)


def test_the_chart_holds_the_interval_of_each_group(client: Client, run: Run) -> None:
    charts = client.get(f"/runs/{run.pk}/groups/charts.json?by=user&policy=sjf%2Beasy").json()["charts"]
    assert [series["x"] for series in charts["groups"]["series"]] == [[0.5, 1, 1.5]] * 2
    table = client.get(f"/runs/{run.pk}/groups/charts/groups.csv?by=user&policy=sjf%2Beasy")
    assert len(table.content.splitlines()) == 7


def test_a_run_and_a_comparison_lead_to_the_page(client: Client, run: Run) -> None:
    for address in (f"/runs/{run.pk}/", f"/compare/?runs={run.pk}"):
        assert f'href="/runs/{run.pk}/groups/"' in text_of(client.get(address))


def test_the_page_costs_the_same_few_queries_whatever_the_run_holds(client: Client) -> None:
    small = make_run(name="small")
    large = make_run(50, name="large", policies=("fcfs", *(f"sjf+easy(order=saf)@{n}" for n in range(9))))
    make_groups(large, *(f"user {number}" for number in range(199)))

    def asked(run: Run) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(f"/runs/{run.pk}/groups/?by=user").status_code == 200
        return [query["sql"] for query in captured]

    asked(small)  # What a process asks once, it has asked.
    few, many = asked(small), asked(large)
    assert len(few) == len(many) == 4
    assert not [sql for sql in many if "results_schedulerresult" in sql or "tasks_task" in sql]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Other planners read a table of few rows as a whole.")
def test_the_rows_of_a_page_are_found_by_an_index(run: Run) -> None:
    plan = GroupMetric.objects.filter(run=run, grouped_by="user").order_by().explain()
    assert "SEARCH" in plan
    assert "(run_id=? AND grouped_by=?)" in plan


@pytest.fixture
def varied() -> Run:
    """A run whose tasks differ in all that tells groups apart; each later task loses a second more."""
    run = make_run(6)
    tasks = list(run.workload.tasks.order_by("task_id"))
    for number, task in enumerate(tasks):
        task.user = ("alice", "bob", "", "carol", "dave", "alice")[number]
        task.group, task.queue = ("x", "y")[number % 2], ("day", "")[number % 2]
        task.gpus = (0, 0, 0.5, 1, 8, 0)[number]
        task.cpus = (1, 8, 1, 1, 1, 513)[number]
        task.runtime = (60, 61, 3600, 90_000, 600, 601)[number]
        task.kind = ("rigid", "hybrid")[number == 3]
        task.arrival_time = (0, 3600, 86_400, 90_000, 7200, 86_399)[number]
    Task.objects.bulk_update(tasks, ["user", "group", "queue", "gpus", "cpus", "runtime", "kind", "arrival_time"])
    TaskRequest.objects.bulk_create(
        TaskRequest(task=task, qos=("high", "")[number % 2]) for number, task in enumerate(tasks)
    )
    for number, task in enumerate(tasks):
        SchedulerResult.objects.filter(run=run, scheduler="sjf+easy", task=task).update(finish_time=1000 + 10 * number)
    return run


@pytest.mark.parametrize(
    ("by", "name", "numbers"),
    [
        ("user", "alice", [1, 6]),
        ("user", "", [3]),
        ("group", "y", [2, 4, 6]),
        ("queue", "", [2, 4, 6]),
        ("qos", "high", [1, 3, 5]),
        ("size", "up to 1 core", [1]),
        ("size", "2 to 8 cores", [2]),
        ("size", "over 512 cores", [6]),
        ("size", "part of a GPU", [3]),
        ("size", "1 GPU", [4]),
        ("size", "5 to 8 GPUs", [5]),
        ("length", "up to 1 min", [1]),
        ("length", "1 to 10 min", [2, 5]),
        ("length", "10 min to 1 h", [3, 6]),
        ("length", "over 1 d", [4]),
        ("kind", "hybrid", [4]),
        ("hour", "00", [1, 3]),
        ("hour", "01", [2, 4]),
        ("hour", "23", [6]),
    ],
)
def test_a_group_leads_to_its_tasks_those_that_lose_most_first(
    client: Client, varied: Run, by: str, name: str, numbers: list[int]
) -> None:
    GroupMetric.objects.filter(run=varied).update(grouped_by=by)
    GroupMetric.objects.filter(run=varied, name="alice").update(name=name)
    query = {"by": by, "name": name, "policy": "sjf+easy"}
    rows = client.get(f"/runs/{varied.pk}/groups/tasks/", {**query, "format": "json"}).json()
    assert [row["task_id"] for row in rows] == numbers[::-1]
    assert [row["difference"] for row in rows] == [1000 + 10 * (n - 1) - (n + 1) for n in numbers[::-1]]
    page = text_of(client.get(f"/runs/{varied.pk}/groups/tasks/", query))
    for number in numbers:
        assert f'href="/runs/{varied.pk}/tasks/{number}/"' in page


def test_the_hour_is_that_of_the_arrival_as_the_run_played_it(client: Client, varied: Run) -> None:
    Run.objects.filter(pk=varied.pk).update(configuration={"load_factor": 2.0})
    GroupMetric.objects.filter(run=varied).update(grouped_by="hour")
    GroupMetric.objects.filter(run=varied, name="alice").update(name="12")
    query = {"by": "hour", "name": "12", "policy": "sjf+easy", "format": "json"}
    rows = client.get(f"/runs/{varied.pk}/groups/tasks/", query).json()
    assert [row["task_id"] for row in rows] == [4, 3]


def test_all_others_are_counted_as_no_group(client: Client, run: Run) -> None:
    GroupMetric.objects.filter(run=run, name="bob").update(name="", merged_count=1234)
    page = text_of(client.get(f"/runs/{run.pk}/groups/"))
    assert "Of the 200 users with the most tasks, 1 clearly loses and 0 clearly gain; 1,234 others are taken" in page
    assert ">1,234 others</a>" in page


def test_all_others_are_the_tasks_of_no_group_that_has_a_name(client: Client, varied: Run) -> None:
    GroupMetric.objects.filter(run=varied, name="bob").update(name="", merged_count=3)
    page = client.get(f"/runs/{varied.pk}/groups/?by=user&policy=sjf%2Beasy")
    assert "by=user&amp;others=1&amp;policy=sjf%2Beasy" in text_of(page)
    query = {"by": "user", "others": "1", "policy": "sjf+easy", "format": "json"}
    rows = client.get(f"/runs/{varied.pk}/groups/tasks/", query).json()
    assert [row["task_id"] for row in rows] == [5, 4, 3, 2]


@pytest.mark.parametrize("name", ["nobody", "\0", "x" * 5000])
def test_a_group_that_there_is_not_is_not_found(client: Client, run: Run, name: str) -> None:
    query = {"by": "user", "name": name, "policy": "fcfs"}
    assert client.get(f"/runs/{run.pk}/groups/tasks/", query).status_code == 404


def test_the_tasks_of_a_group_cost_the_same_queries_however_many_there_are(
    client: Client, django_assert_num_queries: Callable[[int], Any]
) -> None:
    for count in (3, 300):
        run = make_run(count, name=f"{count} tasks")
        Task.objects.filter(workload=run.workload).update(user="alice")
        query = {"by": "user", "name": "alice", "policy": "sjf+easy"}
        client.get("/help/metrics/")
        with django_assert_num_queries(6):
            assert client.get(f"/runs/{run.pk}/groups/tasks/", query).status_code == 200


@pytest.mark.parametrize(
    ("by", "name", "merged", "table", "sentence"),
    [
        ("user", "alice", 0, "alice", "tasks of user alice"),
        ("group", "", 0, "not stated", "tasks that state no account"),
        ("queue", "gpu", 0, "gpu", "tasks of partition gpu"),
        ("qos", "high", 0, "high", "tasks of QOS high"),
        ("user", "", 1200, "1,200 others", "tasks of the 1,200 other users"),
        ("size", "2 to 8 cores", 0, "2 to 8 cores", "tasks of 2 to 8 cores"),
        ("length", "over 1 d", 0, "over 1 d", "tasks that run over 1 d"),
        ("kind", "rigid", 0, "rigid", "rigid tasks"),
        ("hour", "23", 0, "23:00 to 00:00", "tasks that arrive from 23:00 to 00:00"),
    ],
)
def test_a_group_has_a_name_in_tables_and_in_sentences(
    by: str, name: str, merged: int, table: str, sentence: str
) -> None:
    group = GroupMetric(grouped_by=by, name=name, merged_count=merged)
    assert (label(group), described(group)) == (table, sentence)


@pytest.mark.parametrize("write", [run_html, run_markdown])
def test_the_report_of_a_run_says_who_wins_and_who_loses(run: Run, write: Callable[[Run], str]) -> None:
    report = " ".join(write(run).split())
    assert "Who wins, who loses" in report
    assert "lose most under sjf+easy: 100 tasks complete 1.00 s later than under fcfs on average" in report
    alone = make_run(name="alone", policies=("fcfs",))
    assert "Who wins" not in write(alone)


def test_a_name_that_is_code_is_shown_as_it_is(client: Client, run: Run) -> None:
    GroupMetric.objects.filter(run=run, name="bob").update(name="<script>alert(1)</script>")
    assert "<script>alert(1)" not in text_of(client.get(f"/runs/{run.pk}/groups/"))
    assert json.loads(client.get(f"/runs/{run.pk}/groups/?format=json").content)
