"""More than the server can do: 503 with a time to come back, never 500."""

import asyncio
import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from scheduler_sim.web.errors import MEDIA_TYPE
from scheduler_sim.web.handler import OneThreadHandler

pytestmark = [pytest.mark.attack, pytest.mark.django_db]

slow = threading.Event()


def waiting(request: HttpRequest) -> HttpResponse:
    slow.wait(30)
    return HttpResponse("late")


urlpatterns = [path("waiting", waiting), path("health", lambda _request: HttpResponse("alive"))]


def away(*_: Any, **__: Any) -> None:
    raise OperationalError("couldn't get a connection after 5.00 sec")


@pytest.fixture
def database_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", away)


@pytest.mark.parametrize("address", ["/", "/runs/", "/workloads/", "/api/v1/runs/", "/api/v1/leaderboard/", "/admin/"])
def test_a_database_that_is_away_is_a_503_on_every_kind_of_page(
    client: Client, database_away: None, address: str
) -> None:
    client.raise_request_exception = False
    client.cookies["sessionid"] = "a" * 32
    response = client.get(address)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert "couldn't" not in response.content.decode()


def test_a_sign_in_without_a_database_is_a_503(client: Client, database_away: None) -> None:
    client.raise_request_exception = False
    response = client.post("/admin/login/", {"username": "diana", "password": "guess"})
    assert response.status_code == 503


def test_one_request_too_many_is_told_to_come_back(settings: Any) -> None:
    settings.REQUESTS_AT_ONCE = 3
    slow.clear()

    async def ask(handler: OneThreadHandler, address: str) -> tuple[int, dict[bytes, bytes], bytes]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Mapping[str, Any]) -> None:
            sent.append(dict(message))

        scope = {
            "type": "http",
            "method": "GET",
            "path": address,
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }
        await handler(scope, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]

    async def crowd() -> list[Any]:
        handler = OneThreadHandler()
        waiting_ones = [asyncio.create_task(ask(handler, "/waiting")) for _ in range(3)]
        await asyncio.sleep(0.1)
        refused = [await ask(handler, address) for address in ("/waiting", "/api/v1/runs/")]
        probe = await ask(handler, "/health")
        slow.set()
        answered = await asyncio.gather(*waiting_ones)
        return [refused, probe, *answered, await ask(handler, "/waiting")]

    with override_settings(ROOT_URLCONF=__name__):
        (page, api), *others = asyncio.run(crowd())
    for status, headers, _body in (page, api):
        assert status == 503
        assert int(headers[b"Retry-After"]) > 0
    assert page[2] == b"This server has too much to do; try again in a moment.\n"
    assert api[1][b"Content-Type"] == MEDIA_TYPE.encode()
    assert json.loads(api[2])["detail"] == page[2].decode().strip()
    assert [status for status, *_ in others] == [200] * 5
