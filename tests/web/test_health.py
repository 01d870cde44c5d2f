"""Whether the process is alive and what it needs answers."""

import json
import threading
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from apps.metrics import health

pytestmark = pytest.mark.django_db


def test_health_asks_nothing(client: Client, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        response = client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})
    assert "no-store" in response.headers["Cache-Control"]
    assert not response.cookies


def test_ready_reports_the_database_and_that_redis_is_not_configured(client: Client, settings: Any) -> None:
    settings.REDIS_URL = ""
    response = client.get("/ready")
    document = response.json()
    assert (response.status_code, document["status"]) == (200, "ready")
    assert document["checks"]["database"]["latency_ms"] >= 0
    assert document["checks"]["redis"] == {"status": "not configured"}
    assert "no-store" in response.headers["Cache-Control"]


def test_ready_touches_no_session(client: Client, admin: Any, django_assert_num_queries: Any) -> None:
    client.force_login(admin)
    with django_assert_num_queries(0):  # Its own question to the database goes through a connection of its own.
        assert not client.get("/ready").cookies


def test_a_database_that_is_down_is_503_without_its_address(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = ""

    def refuse() -> None:
        raise OperationalError("connection to server at 10.1.2.3 refused")

    monkeypatch.setattr(health, "_ask_database", refuse)
    response = client.get("/ready")
    assert (response.status_code, response.json()["status"]) == (503, "unavailable")
    assert "10.1.2.3" not in json.dumps(response.json())


def test_a_database_that_hangs_is_503_after_a_short_while(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = ""
    let_go = threading.Event()
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(health, "_ask_database", let_go.wait)
    response = client.get("/ready")
    let_go.set()
    assert response.status_code == 503
    assert "no answer" in response.json()["checks"]["database"]["detail"]


def test_redis_that_is_down_is_degraded_and_still_200(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    health._redis.cache_clear()
    response = client.get("/ready")
    health._redis.cache_clear()
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["checks"]["redis"]["status"] == "failing"
