"""With Redis away the limits hold as each process counts, and the log stays readable."""

import logging
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import caches
from django.test import Client

from scheduler_sim.web.counters import CountersCache

pytestmark = [pytest.mark.attack, pytest.mark.django_db]

NOWHERE = {"LOCATION": "redis://127.0.0.1:1/0", "OPTIONS": {"IGNORE_EXCEPTIONS": True, "SOCKET_CONNECT_TIMEOUT": 1}}


@pytest.fixture(autouse=True)
def _redis_is_away(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CACHES = {
        **settings.CACHES,
        "default": {"BACKEND": "django_prometheus.cache.backends.redis.RedisCache", **NOWHERE},
        "limits": {"BACKEND": "scheduler_sim.web.counters.CountersCache", **NOWHERE},
    }
    settings.DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True
    monkeypatch.setattr(CountersCache, "_away_until", 0.0)
    caches["limits"].clear()


def test_passwords_cannot_be_guessed_without_end(client: Client) -> None:
    User.objects.create_superuser("diana", password="a test's password")
    form = {"username": "diana", "password": "guess"}
    statuses = [client.post("/admin/login/", form).status_code for _ in range(60)]
    assert statuses == [200] * 10 + [429] * 50


def test_requests_are_counted_as_far_as_the_limit(client: Client, settings: Any) -> None:
    settings.RATE_LIMIT_ANONYMOUS = "30/h"
    statuses = [client.get("/api/v1/clusters/").status_code for _ in range(60)]
    assert statuses == [200] * 30 + [429] * 30


def test_the_log_has_a_line_and_no_traceback(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(30):
            client.get("/api/v1/leaderboard/")
    about_redis = [record for record in caplog.records if "redis" in record.name or "counters" in record.name]
    assert len(about_redis) <= 2
    assert not [record for record in about_redis if record.exc_info]


def test_sign_ins_that_succeed_are_not_counted_either(client: Client) -> None:
    User.objects.create_superuser("diana", password="a test's password")
    form = {"username": "diana", "password": "a test's password"}
    assert [client.post("/admin/login/", form).status_code for _ in range(15)] == [302] * 15
