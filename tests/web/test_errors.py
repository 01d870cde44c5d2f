"""One shape for every error, and never a traceback."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from rest_framework.test import APIClient

from apps.results.models import Run
from scheduler_sim.web.errors import MEDIA_TYPE

pytestmark = pytest.mark.django_db

KEYS = {"type", "title", "status", "detail", "errors", "request_id"}


def check(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["Content-Type"] == MEDIA_TYPE
    document: dict[str, Any] = response.json()
    assert set(document) == KEYS
    assert document["status"] == status
    assert document["request_id"] == response.headers["X-Request-ID"]
    assert document["detail"]
    return document


@pytest.fixture
def control(api_of: Callable[[User], APIClient], controller: User) -> APIClient:
    return api_of(controller)


def test_nothing_at_an_address(api: APIClient) -> None:
    check(api.get("/api/v1/nothing/"), 404)
    check(api.get("/api/v1/runs/1/"), 404)


def test_a_method_that_is_not_known(control: APIClient) -> None:
    response = control.delete("/api/v1/runs/1/")
    check(response, 405)
    assert "GET" in response.headers["Allow"]


def test_nobody_known(api: APIClient) -> None:
    response = api.post("/api/v1/runs/", {})
    check(response, 401)
    assert response.headers["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("header", ["Token", "Token x y", "Token \xff", "Token " + "0" * 40, "Token " + "g" * 40])
def test_a_token_that_is_none(api: APIClient, header: str) -> None:
    check(api.get("/api/v1/runs/", HTTP_AUTHORIZATION=header), 401)


def test_a_media_type_that_cannot_be_given(api: APIClient) -> None:
    check(api.get("/api/v1/runs/", HTTP_ACCEPT="image/png"), 406)


def test_a_media_type_that_is_not_read(control: APIClient) -> None:
    check(control.post("/api/v1/runs/", b"<run/>", content_type="application/xml"), 415)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b'{"seed": NaN}',
        b"[" * 100_000,
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000b"}',
        b'{"seed": ' + b"9" * 5_000 + b"}",
    ],
    ids=["cut off", "not UTF-8", "not a number", "nested deeply", "half a surrogate", "NUL", "a huge number"],
)
def test_a_body_that_is_no_json_we_store(control: APIClient, body: bytes) -> None:
    check(control.post("/api/v1/runs/", body, content_type="application/json"), 400)


@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"null"])
def test_a_body_that_is_no_object(control: APIClient, body: bytes) -> None:
    check(control.post("/api/v1/runs/", body, content_type="application/json"), 400)


def test_a_body_that_is_too_large(control: APIClient) -> None:
    check(control.post("/api/v1/runs/", b'{"name": "' + b"x" * 2**20 + b'"}', content_type="application/json"), 413)


def test_a_parameter_without_meaning_with_sentences_by_field(api: APIClient) -> None:
    document = check(api.get("/api/v1/results/?run=x&node=y"), 400)
    assert set(document["errors"]) == {"run", "node"}


def test_an_error_asked_for_as_csv_is_still_a_problem(api: APIClient) -> None:
    check(api.get("/api/v1/results/?format=csv&page_size=0"), 400)


def test_something_unforeseen(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr("apps.results.api.PolicyList.get", fail)
    api.raise_request_exception = False
    document = check(api.get("/api/v1/policies/"), 500)
    assert "secret" not in str(document)


def test_a_database_that_does_not_answer(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("connection to 10.1.2.3 refused")

    monkeypatch.setattr("apps.results.api.PolicyList.get", fail)
    assert "10.1.2.3" not in str(check(api.get("/api/v1/policies/"), 503))


def test_a_host_that_is_not_ours(api: APIClient) -> None:
    check(api.get("/api/v1/runs/", HTTP_HOST="evil.example"), 400)


def test_pages_that_are_no_api_get_pages(client: Client) -> None:
    response = client.get("/nothing/")
    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/html")


def test_errors_in_the_browsable_api_are_pages(api: APIClient) -> None:
    response = api.get("/api/v1/runs/1/", HTTP_ACCEPT="text/html")
    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/html")


def test_a_row_lost_between_two_looks_is_not_an_error(api: APIClient, run: Run) -> None:
    assert api.get("/api/v1/leaderboard/?run=999").status_code == 404
    assert api.get("/api/v1/history/?run=999").status_code == 404
