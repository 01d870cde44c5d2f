"""A request is answered in one thread, from its start to the closing of its answer, and the thread serves again."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.core.cache import BaseCache, caches
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from scheduler_sim.web.handler import OneThreadHandler

seen: list[tuple[str, int]] = []
used: list[BaseCache] = []
slow = threading.Event()


@csrf_exempt
def plain(request: HttpRequest) -> HttpResponse:
    seen.append(("view", threading.get_ident()))
    return HttpResponse(request.body)


def waiting(request: HttpRequest) -> HttpResponse:
    slow.wait(30)
    return HttpResponse("late")


def caching(request: HttpRequest) -> HttpResponse:
    used.append(caches["default"])
    return HttpResponse()


@csrf_exempt
def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.POST.get("name", "no name"))


urlpatterns = [
    path("form", form),
    path("plain", plain),
    path("waiting", waiting),
    path("caching", caching),
    # Which the limits of pages ask for once a process, for their addresses.
    path("", include("scheduler_sim.urls")),
]


async def ask(handler: OneThreadHandler, address: str, body: bytes = b"", **scope: Any) -> tuple[int, bytes]:
    sent = await messages_of(handler, address, body, **scope)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


async def messages_of(handler: OneThreadHandler, address: str, body: bytes = b"", **scope: Any) -> list[dict[str, Any]]:
    messages = [{"type": "http.request", "body": body}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(dict(message))

    headers = [(b"host", b"localhost"), (b"content-length", str(len(body)).encode())]
    asked = {"type": "http", "method": "POST" if body else "GET", "path": address, "query_string": b"", **scope}
    await handler({"headers": headers, **asked}, receive, send)
    return sent


@pytest.fixture
def handler() -> Any:
    seen.clear()
    slow.clear()
    with override_settings(ROOT_URLCONF=__name__):
        yield OneThreadHandler()
    slow.set()


def noting(name: str) -> Callable[..., None]:
    def note(**_signal: Any) -> None:
        seen.append((name, threading.get_ident()))

    return note


def test_a_request_stays_in_one_thread_from_its_start_to_its_end(handler: OneThreadHandler) -> None:
    started, finished = noting("started"), noting("finished")
    request_started.connect(started)
    request_finished.connect(finished)
    try:
        assert asyncio.run(ask(handler, "/plain", b"what was sent")) == (200, b"what was sent")
    finally:
        request_started.disconnect(started)
        request_finished.disconnect(finished)
    assert [name for name, _thread in seen] == ["started", "view", "finished"]
    assert len({thread for _name, thread in seen} | {threading.get_ident()}) == 2


def test_requests_one_after_the_other_share_a_thread_and_requests_at_once_do_not(handler: OneThreadHandler) -> None:
    async def one_after_the_other() -> None:
        for _ in range(3):
            await ask(handler, "/plain")

    async def beside_a_slow_one() -> list[tuple[int, bytes]]:
        late = asyncio.create_task(ask(handler, "/waiting"))
        await asyncio.sleep(0)
        quick = await ask(handler, "/plain")
        slow.set()
        return [quick, await late]

    asyncio.run(one_after_the_other())
    assert len({thread for _name, thread in seen}) == 1
    assert asyncio.run(beside_a_slow_one()) == [(200, b""), (200, b"late")]


def test_a_thread_keeps_the_clients_of_its_caches(handler: OneThreadHandler) -> None:
    async def twice() -> None:
        for _ in range(2):
            await ask(handler, "/caching")

    used.clear()
    asyncio.run(twice())
    assert used[0] is used[1]


def test_a_client_that_leaves_takes_the_thread_of_its_request_along(handler: OneThreadHandler) -> None:
    async def leave_and_ask_again() -> tuple[int, bytes]:
        left = asyncio.create_task(ask(handler, "/waiting"))
        await asyncio.sleep(0.05)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        return await ask(handler, "/plain")

    # It would wait for the slow view if the thread were lent out again.
    assert asyncio.run(leave_and_ask_again()) == (200, b"")


def test_a_form_that_comes_in_chunks_is_read(handler: OneThreadHandler) -> None:
    headers = [
        (b"host", b"localhost"),
        (b"transfer-encoding", b"chunked"),
        (b"content-type", b"application/x-www-form-urlencoded"),
    ]
    assert asyncio.run(ask(handler, "/form", b"name=a+trace", headers=headers)) == (200, b"a trace")


def test_a_file_is_sent_whole(handler: OneThreadHandler) -> None:
    status, content = asyncio.run(ask(handler, "/static/admin/css/base.css"))
    assert status == 200
    assert content.count(b"{") == content.count(b"}") > 100


def test_a_file_that_has_not_changed_is_not_sent_again(handler: OneThreadHandler) -> None:
    later = [(b"host", b"localhost"), (b"if-modified-since", b"Fri, 01 Jan 2100 00:00:00 GMT")]
    start, *rest = asyncio.run(messages_of(handler, "/static/admin/css/base.css", headers=later))
    assert start["status"] == 304
    assert b"content-type" not in {name.lower() for name, _value in start["headers"]}
    assert b"".join(message["body"] for message in rest) == b""


def test_an_address_that_is_no_text_is_refused(handler: OneThreadHandler) -> None:
    assert asyncio.run(ask(handler, "/plain", query_string=b"\xff"))[0] == 400
    assert seen == []
