"""Rate limits, and whose address they count by."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django_redis import get_redis_connection
from rest_framework.test import APIClient

from apps.results.models import Run
from scheduler_sim import environment
from scheduler_sim.web.access import address_key
from scheduler_sim.web.middleware import client_address

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _low_rates(settings: Any) -> None:
    settings.RATE_LIMIT_ANONYMOUS = "3/h"
    settings.RATE_LIMIT_USER = "5/h"
    settings.RATE_LIMIT_CONTROL = "2/h"
    settings.RATE_LIMIT_LOGIN = "2/h"


def statuses(client: Any, address: str, times: int, **headers: str) -> list[int]:
    return [client.get(address, **headers).status_code for _ in range(times)]


def test_an_unknown_client_is_told_how_long_to_wait(api: APIClient) -> None:
    assert statuses(api, "/api/v1/clusters/", 4) == [200, 200, 200, 429]
    response = api.get("/api/v1/clusters/")
    assert 1 <= int(response.headers["Retry-After"]) <= 3_600
    assert response.headers["Content-Type"] == "application/problem+json"


def test_addresses_are_counted_apart(api: APIClient) -> None:
    assert statuses(api, "/api/v1/clusters/", 4)[-1] == 429
    assert statuses(api, "/api/v1/clusters/", 1, REMOTE_ADDR="192.0.2.7") == [200]


def test_a_known_user_has_more(api_of: Callable, user: User, api: APIClient) -> None:
    assert statuses(api_of(user), "/api/v1/clusters/", 6) == [200] * 5 + [429]
    assert statuses(api, "/api/v1/clusters/", 1) == [200]


def test_control_is_counted_apart_from_reading(api_of: Callable, controller: User, run: Run) -> None:
    client = api_of(controller)
    commands = [client.post(f"/api/v1/runs/{run.pk}/stop/").status_code for _ in range(3)]
    assert commands == [409, 409, 429]
    assert statuses(client, "/api/v1/clusters/", 1) == [200]


def test_refusals_count_too(api: APIClient) -> None:
    assert statuses(api, "/api/v1/clusters/", 4, HTTP_AUTHORIZATION="Token x") == [401, 401, 401, 429]
    assert [api.post("/api/v1/runs/").status_code for _ in range(3)] == [401, 401, 429]


def test_sign_ins_are_limited_by_address(client: Client, admin: User) -> None:
    form = {"username": "diana", "password": "guess"}
    assert [client.post("/admin/login/", form).status_code for _ in range(3)] == [200, 200, 429]
    assert client.get("/admin/login/").status_code == 200


@pytest.mark.parametrize("address", ["/health", "/ready", "/metrics"])
def test_probes_are_not_limited(client: Client, address: str) -> None:
    assert statuses(client, address, 6) == [200] * 6


def test_a_limit_can_be_off(api: APIClient, settings: Any) -> None:
    settings.RATE_LIMIT_ANONYMOUS = None
    assert statuses(api, "/api/v1/clusters/", 6) == [200] * 6


def test_a_cache_that_is_down_closes_nothing_and_opens_nothing(api: APIClient, settings: Any) -> None:
    nowhere = {"LOCATION": "redis://127.0.0.1:1/0", "OPTIONS": {"IGNORE_EXCEPTIONS": True, "SOCKET_CONNECT_TIMEOUT": 1}}
    settings.CACHES = {
        **settings.CACHES,
        "default": {"BACKEND": "django_prometheus.cache.backends.redis.RedisCache", **nowhere},
        "limits": {"BACKEND": "scheduler_sim.web.counters.CountersCache", **nowhere},
    }
    assert statuses(api, "/api/v1/clusters/", 2) == [200] * 2
    assert statuses(api, "/api/v1/leaderboard/", 2) == [200, 429]


@pytest.mark.skipif(not site.REDIS_URL, reason="REDIS_URL is not set.")
def test_a_request_is_counted_by_one_question_to_redis(api: APIClient) -> None:
    redis = get_redis_connection("limits")
    statuses(api, "/api/v1/clusters/", 1)
    begin = redis.info("commandstats")
    statuses(api, "/api/v1/clusters/", 1)
    end = redis.info("commandstats")
    calls = {name: end[name]["calls"] - begin.get(name, {"calls": 0})["calls"] for name in end}
    # What the script does inside is listed, too, and our own question.
    assert {name: count for name, count in calls.items() if count} == {
        "cmdstat_eval": 1,
        "cmdstat_incrby": 1,
        "cmdstat_info": 1,
    }


@pytest.mark.skipif(not site.REDIS_URL, reason="REDIS_URL is not set.")
def test_a_counter_ends_with_its_window_of_time(api: APIClient) -> None:
    redis = get_redis_connection("limits")
    statuses(api, "/api/v1/clusters/", 3)
    (counter,) = redis.keys("*rl:*")
    assert redis.get(counter) == b"3"
    assert 3_600 < redis.ttl(counter) <= 3_605


def test_hosts_of_one_ipv6_network_share_a_limit() -> None:
    def key(address: str) -> str:
        return address_key(RequestFactory().get("/", REMOTE_ADDR=address))

    assert key("2001:db8::1") == key("2001:db8::ffff") != key("2001:db8:0:1::1")
    assert key("") == key("not an address") == "unknown"


@pytest.mark.parametrize(
    ("told", "client"),
    {
        ("192.0.2.1", "203.0.113.9"): "192.0.2.1",
        ("10.0.0.1", "203.0.113.9"): "203.0.113.9",
        ("10.0.0.1", "6.6.6.6, 203.0.113.9"): "203.0.113.9",
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2"): "203.0.113.9",
        ("10.0.0.1", "10.0.0.3, 10.0.0.2"): "10.0.0.3",
        ("10.0.0.1", ""): "10.0.0.1",
        ("10.0.0.1", "nonsense"): "10.0.0.1",
        ("10.0.0.1", "203.0.113.9, nonsense"): "10.0.0.1",
        ("", "203.0.113.9"): "",
    }.items(),
)
def test_only_our_proxies_say_who_asks(settings: Any, told: tuple[str, str], client: str) -> None:
    settings.TRUSTED_PROXIES = _networks("10.0.0.0/8")
    assert client_address(*told) == client


def test_a_made_up_address_does_not_evade_the_limit(api: APIClient) -> None:
    answers = [
        api.get("/api/v1/clusters/", HTTP_X_FORWARDED_FOR=f"203.0.113.{number}").status_code for number in range(4)
    ]
    assert answers == [200, 200, 200, 429]


def test_clients_behind_our_proxy_are_counted_apart(api: APIClient, settings: Any) -> None:
    settings.TRUSTED_PROXIES = _networks("127.0.0.1")
    answers = [
        api.get("/api/v1/clusters/", HTTP_X_FORWARDED_FOR=f"203.0.113.{number}").status_code for number in range(4)
    ]
    assert answers == [200] * 4


def test_metrics_are_for_named_networks_or_the_token(client: Client, settings: Any) -> None:
    assert client.get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 403
    settings.METRICS_TOKEN = "secret"
    assert client.get("/metrics", REMOTE_ADDR="203.0.113.9", HTTP_AUTHORIZATION="Bearer secret").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="203.0.113.9", HTTP_AUTHORIZATION="Bearer wrong").status_code == 403
    settings.METRICS_ALLOWED = _networks("203.0.113.0/24")
    assert client.get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 200
    assert client.get("/metrics").status_code == 403


def _networks(text: str) -> tuple:
    return environment.networks("A_VARIABLE_THAT_IS_NOT_SET", (text,))
