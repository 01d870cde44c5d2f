"""Asking for more pages, downloads and charts than one client may have."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from apps.results.models import Run
from scheduler_sim import environment
from scheduler_sim import settings as as_started
from tests.conftest import empty_caches
from tests.web.conftest import make_run

pytestmark = [pytest.mark.attack, pytest.mark.django_db]

COSTLY = {
    "run-at",
    "run-at-frames",
    "run-at-gantt",
    "run-charts",
    "run-chart",
    "run-gantt",
    "run-gantt-picture",
    "run-group-tasks",
    "run-groups-chart",
    "run-groups-charts",
    "run-leaderboard",
    "run-series",
    "run-wins",
    "run-what-if",
    "run-what-if-control",
    "run-manifest",
    "run-task",
    "run-workflow",
    "forecast-trial-charts",
    "forecast-trial-chart",
    "purchase-charts",
    "purchase-chart",
    "compare",
    "compare-charts",
    "compare-chart",
    "compare-paper",
    "study-charts",
    "study-chart",
    "study-cells",
    "study-report",
    "study-paper",
    "workload-charts",
    "workload-chart",
    "policy-charts",
    "policy-chart",
    "training-charts",
    "training-chart",
}


@pytest.fixture(autouse=True)
def _low_rates(settings: Any) -> None:
    empty_caches()
    settings.RATE_LIMIT_PAGES = "4/h"
    settings.RATE_LIMIT_COSTLY = "2/h"


@pytest.fixture
def run() -> Run:
    return make_run()


def every_pattern(patterns: Sequence[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    for one in patterns:
        if isinstance(one, URLResolver):
            yield from every_pattern(one.url_patterns)
        else:
            yield one


def statuses(client: Client, address: str, times: int, **headers: Any) -> list[int]:
    return [client.get(address, **headers).status_code for _ in range(times)]


@pytest.mark.parametrize(
    "address", ["/", "/runs/", "/policies/", "/help/metrics/", "/accounts/login/", "/admin/login/"]
)
def test_pages_are_limited_by_address(client: Client, address: str) -> None:
    assert statuses(client, address, 6) == [200] * 4 + [429] * 2
    refused = client.get(address)
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert "Too many requests" in refused.content.decode()
    assert statuses(client, address, 1, REMOTE_ADDR="192.0.2.7") == [200]


def test_addresses_that_mean_nothing_count_too(client: Client) -> None:
    addresses = ("/nothing/", "/api/v1/nothing/", "/healthy", "/api/nothing/", "/nothing/", "/api/v1/nothing/")
    assert [statuses(client, address, 1) for address in addresses] == [[404]] * 4 + [[429]] * 2


@pytest.mark.parametrize(
    "address",
    [
        "/runs/{run}/gantt.json?from=0&to=3",
        "/runs/{run}/gantt.csv",
        "/runs/{run}/leaderboard.csv",
        "/runs/{run}/series.json?from=0&to=3",
        "/runs/{run}/charts.json",
        "/compare/?runs={run}",
        "/policy-charts/fcfs.json",
    ],
)
def test_what_costs_more_has_a_lower_limit_of_its_own(client: Client, run: Run, address: str) -> None:
    assert statuses(client, address.format(run=run.pk), 3) == [200, 200, 429]
    assert client.get("/").status_code == 200


def test_all_that_reads_or_computes_much_is_counted_so() -> None:
    views = {one.name: one.callback for one in every_pattern(get_resolver().url_patterns) if one.name}
    marked = {name for name, view in views.items() if getattr(view, "is_costly", False)}
    assert marked == COSTLY


def test_people_who_are_signed_in_are_counted_each(client: Client) -> None:
    people = [User.objects.create_user(name) for name in ("alice", "bob")]
    clients = [Client(), Client()]
    for one, person in zip(clients, people, strict=True):
        one.force_login(person)
        assert statuses(one, "/runs/", 5) == [200] * 4 + [429]
    assert statuses(client, "/runs/", 1) == [200]


def test_fifty_people_behind_our_proxy_are_counted_each(client: Client, settings: Any) -> None:
    settings.TRUSTED_PROXIES = environment.networks("A_VARIABLE_THAT_IS_NOT_SET", ("127.0.0.1",))
    for number in range(50):
        assert statuses(client, "/accounts/login/", 2, HTTP_X_FORWARDED_FOR=f"203.0.113.{number}") == [200, 200]


@pytest.mark.parametrize("address", ["/health", "/ready", "/metrics", "/static/css/tokens.css", "/api/v1/clusters/"])
def test_probes_files_and_the_api_are_not_counted(client: Client, address: str) -> None:
    assert statuses(client, address, 6) == [200] * 6


def test_limits_can_be_off(client: Client, settings: Any) -> None:
    settings.RATE_LIMIT_PAGES = None
    assert statuses(client, "/accounts/login/", 6) == [200] * 6


@pytest.mark.parametrize("name", ["RATE_LIMIT_PAGES", "RATE_LIMIT_COSTLY"])
def test_the_limits_that_are_set_leave_room_for_fifty_people_behind_one_address(name: str) -> None:
    count, _, period = getattr(as_started, name).partition("/")
    assert period == "m"
    # Each opens a page a second, half of them with a chart or a window of one.
    assert int(count) >= 50 * {"RATE_LIMIT_PAGES": 60, "RATE_LIMIT_COSTLY": 30}[name]
