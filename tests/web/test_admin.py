"""Admin pages stay cheap on tables with many rows."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.live.models import SimulationState
from apps.results.models import Run, SchedulerResult
from apps.tasks.models import Series
from scheduler_sim.web import admin as shared
from tests.web.conftest import make_attempts, make_run, make_training_rows

PAGES = (
    "tasks/workload",
    "tasks/task",
    "tasks/taskrequest",
    "tasks/workloadimport",
    "tasks/series",
    "tasks/site",
    "results/run",
    "results/schedulerresult",
    "results/attempt",
    "results/gangblock",
    "results/placementfile",
    "results/stretch",
    "results/fidelity",
    "metrics/metric",
    "metrics/groupmetric",
    "training/trainingdata",
    "training/trainedmodel",
    "training/policysearch",
    "live/simulationstate",
    "live/studystate",
    "live/whatif",
    "live/racehistory",
    "tasks/startforecast",
    "tasks/forecasttrial",
    "results/study",
    "results/runtag",
    "results/runcolumns",
    "results/rundeletion",
    "metrics/cachegeneration",
)


def test_every_model_has_a_page() -> None:
    ours = {model for app in apps.get_app_configs() if app.name.startswith("apps.") for model in app.get_models()}
    assert {f"{model._meta.app_label}/{model._meta.model_name}" for model in ours} == set(PAGES)
    admin.autodiscover()
    assert ours <= set(admin.site._registry)


@pytest.fixture
def signed_in(client: Client, request: pytest.FixtureRequest) -> Client:
    client.force_login(request.getfixturevalue("admin"))
    return client


@pytest.mark.parametrize("page", PAGES)
def test_a_page_costs_the_same_queries_at_any_size_and_counts_no_table(signed_in: Client, run: Run, page: str) -> None:
    def queries() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert signed_in.get(f"/admin/{page}/").status_code == 200
        return [query["sql"] for query in captured]

    few = queries()
    larger = make_run(150, name="larger")
    make_training_rows(larger, 150)
    for number in range(20):
        make_run(1, name=f"run {number}")
    many = queries()
    assert len(many) == len(few)
    assert not [
        sql for sql in many if "COUNT(" in sql and "LIMIT" not in sql and "SELECT 1" not in sql and " FROM (" not in sql
    ]


@pytest.mark.parametrize("page", ["results/schedulerresult", "metrics/metric", "tasks/task"])
def test_rows_can_be_narrowed_to_a_run_and_a_policy(signed_in: Client, run: Run, page: str) -> None:
    query = f"workload={run.workload_id}" if page == "tasks/task" else f"run={run.pk}&scheduler=fcfs"
    response = signed_in.get(f"/admin/{page}/?{query}")
    assert response.context["cl"].result_count == (1 if page == "metrics/metric" else 5)


@pytest.mark.parametrize("page", ["tasks/task", "results/schedulerresult", "results/attempt"])
def test_a_row_is_found_by_its_key_and_in_a_workload_or_run_by_its_tasks_number(
    signed_in: Client, run: Run, page: str
) -> None:
    make_attempts(run)
    other = make_run(7, name="another")
    found_in: dict[str, Any] = {
        "tasks/task": other.workload.tasks,
        "results/schedulerresult": SchedulerResult.objects.filter(run=other),
        "results/attempt": run.attempts,
    }
    of = other if page != "results/attempt" else run
    within = f"workload={of.workload_id}" if page == "tasks/task" else f"run={of.pk}"
    key = found_in[page].order_by("-pk")[0].pk
    count = {"tasks/task": 1, "results/schedulerresult": 2, "results/attempt": 4}[page]
    for query, expected in ((f"q={key}", 1), (f"q=1&{within}", count), ("q=x", 0), (f"q=99&{within}", 0)):
        found = signed_in.get(f"/admin/{page}/?{query}").context["cl"].result_list
        assert len(found) == expected, query
    (one,) = signed_in.get(f"/admin/{page}/?q={key}").context["cl"].result_list
    assert one.pk == key
    assert len(signed_in.get(f"/admin/{page}/?q=").context["cl"].result_list) > 1


def test_a_filter_that_is_no_number_shows_nothing(signed_in: Client, run: Run) -> None:
    response = signed_in.get("/admin/results/schedulerresult/?run=x")
    assert response.context["cl"].result_count == 0


def test_counting_stops_at_what_can_be_paged_through(
    signed_in: Client, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "REACHABLE_ROWS", 3)
    response = signed_in.get("/admin/results/schedulerresult/")
    assert response.context["cl"].result_count == 3
    assert SchedulerResult.objects.count() == 10


def test_runs_are_controlled_through_the_same_service(signed_in: Client, run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(status="running")
    done = signed_in.post("/admin/live/simulationstate/", {"action": "stop", "_selected_action": [run.pk]}, follow=True)
    assert "Asked run" in done.content.decode()
    assert Run.objects.get(pk=run.pk).status == "stopped"
    refused = signed_in.post(
        "/admin/live/simulationstate/", {"action": "pause", "_selected_action": [run.pk]}, follow=True
    )
    assert "cannot pause" in refused.content.decode()


def test_actions_need_the_permission(client: Client, run: Run, staff: User) -> None:
    from django.contrib.auth.models import Permission

    staff.user_permissions.add(Permission.objects.get(codename="view_simulationstate"))
    client.force_login(staff)
    Run.objects.filter(pk=run.pk).update(status="running")
    client.post("/admin/live/simulationstate/", {"action": "stop", "_selected_action": [run.pk]})
    assert Run.objects.get(pk=run.pk).status == "running"
    assert SimulationState.objects.get(run=run).command == ""


def test_a_series_is_looked_at_and_never_changed(signed_in: Client) -> None:
    described = {"kind": "pue", "unit": "number", "is_dated": False, "begin": 0.0, "end": 1.0, "value_count": 1}
    one = Series.objects.create(name="one", digest="0" * 64, packed=b"", **described)
    page = f"/admin/tasks/series/{one.pk}/change/"
    with CaptureQueriesContext(connection) as captured:
        assert signed_in.get(page).status_code == 200
    assert not [query["sql"] for query in captured if '"packed"' in query["sql"]]
    assert signed_in.post(page, {}).status_code == 403
    assert signed_in.post(f"/admin/tasks/series/{one.pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_site_says_what_it_is(signed_in: Client) -> None:
    assert "Scheduler Sim" in signed_in.get("/admin/").content.decode()
