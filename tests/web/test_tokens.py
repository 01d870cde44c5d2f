"""API tokens: stored as digests, with a name, a scope and an end."""

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from apps.results.models import Run
from scheduler_sim.accounts import services
from scheduler_sim.accounts.models import ApiToken
from tests.web.conftest import key_of

pytestmark = pytest.mark.django_db


def carrying(key: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {key}")
    return client


def form(**changes: Any) -> dict[str, Any]:
    return {"name": "a notebook", "scope": "read", "days": 90, **changes}


def made_on_the_page(client: Client, **changes: Any) -> str:
    """Make a token on the page of one's account and return the key it shows."""
    response = client.post("/accounts/", form(**changes))
    assert response.status_code == 200
    assert "no-store" in response.headers["Cache-Control"]
    return str(response.context["key"])


def test_the_key_is_stored_nowhere_and_shown_once(client: Client, user: User) -> None:
    client.force_login(user)
    key = made_on_the_page(client)
    assert len(key) == 40
    assert key not in client.get("/accounts/").content.decode()
    (row,) = ApiToken.objects.values()
    assert key not in str(row)
    assert row["digest"] == services.digest_of(key)


def test_a_token_stands_for_its_user(user: User, settings: Any) -> None:
    settings.API_READ_PUBLIC = False
    assert carrying(key_of(user, "read")).get("/api/v1/runs/").status_code == 200
    assert carrying("0" * 40).get("/api/v1/runs/").status_code == 401


@pytest.mark.parametrize("command", ["pause", "resume", "stop", "take-up"])
def test_a_token_that_may_only_read_controls_no_run(controller: User, run: Run, command: str) -> None:
    answer = carrying(key_of(controller, "read")).post(f"/api/v1/runs/{run.pk}/{command}/")
    assert answer.status_code == 403
    assert answer.json()["detail"] == "This token may only read; make one whose scope is control."
    assert carrying(key_of(controller, "control")).post(f"/api/v1/runs/{run.pk}/{command}/").status_code == 409


@pytest.mark.parametrize("address", ["runs/", "trainings/", "policy-searches/"])
def test_a_token_that_may_only_read_starts_nothing(controller: User, address: str) -> None:
    reader = carrying(key_of(controller, "read"))
    assert reader.post(f"/api/v1/{address}", {}).status_code == 403
    assert reader.options(f"/api/v1/{address}").status_code == 200


def test_a_token_that_may_only_read_uploads_nothing(controller: User) -> None:
    file = SimpleUploadedFile("a.csv", b"arrival_time,runtime\n0,1\n")
    answer = carrying(key_of(controller, "read")).post("/api/v1/workloads/", {"file": file}, format="multipart")
    assert answer.status_code == 403


def test_a_wide_scope_gives_nobody_more_than_they_may(user: User, run: Run) -> None:
    answer = carrying(key_of(user, "control")).post(f"/api/v1/runs/{run.pk}/stop/")
    assert answer.status_code == 403
    assert "permission" in answer.json()["detail"]


def test_a_token_that_has_expired_is_refused_with_the_reason(user: User) -> None:
    key = key_of(user)
    now = timezone.now()
    ApiToken.objects.update(expires_at=now + timedelta(hours=1))
    assert carrying(key).get("/api/v1/runs/").status_code == 200
    ApiToken.objects.update(expires_at=now)
    answer = carrying(key).get("/api/v1/runs/")
    assert answer.status_code == 401
    assert answer.json()["detail"] == f"The token 'a test' expired on {now:%Y-%m-%d %H:%M} UTC."


def test_the_token_of_a_user_who_is_not_active_is_refused(user: User) -> None:
    key = key_of(user)
    User.objects.update(is_active=False)
    answer = carrying(key).get("/api/v1/runs/")
    assert (answer.status_code, answer.json()["detail"]) == (401, "The user of this token is not active.")


@pytest.mark.parametrize(("days", "expected"), [(7, 7), (0, None)])
def test_a_token_lives_as_long_as_was_chosen(client: Client, user: User, days: int, expected: int | None) -> None:
    client.force_login(user)
    before = timezone.now()
    made_on_the_page(client, days=days)
    ends = ApiToken.objects.get().expires_at
    assert (ends is None) == (expected is None)
    if ends is not None and expected is not None:
        assert before + timedelta(days=expected) <= ends


@pytest.mark.parametrize("wrong", [{"name": ""}, {"name": "x" * 101}, {"scope": "all"}, {"days": 1000}, {"days": ""}])
def test_what_is_wrong_with_a_new_token_is_said(client: Client, user: User, wrong: dict[str, Any]) -> None:
    client.force_login(user)
    response = client.post("/accounts/", form(**wrong))
    assert response.status_code == 400
    assert "_error" in response.content.decode()
    assert not ApiToken.objects.exists()


def test_nobody_has_more_tokens_than_may_be(client: Client, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MOST_TOKENS", 2)
    client.force_login(user)
    for _ in range(2):
        made_on_the_page(client)
    response = client.post("/accounts/", form())
    assert response.status_code == 400
    assert "alice has 2 tokens; delete one first." in response.content.decode()
    with pytest.raises(CommandError, match="alice has 2 tokens"):
        call_command("createtoken", "alice")


def test_a_deleted_token_is_refused(client: Client, user: User) -> None:
    client.force_login(user)
    key = made_on_the_page(client)
    page = client.post(f"/accounts/tokens/{ApiToken.objects.get().pk}/delete/", follow=True)
    assert "The token a notebook is deleted." in page.content.decode()
    assert carrying(key).get("/api/v1/runs/").status_code == 401


def test_nobody_sees_or_deletes_the_tokens_of_others(client: Client, user: User, admin: User) -> None:
    key_of(user)
    client.force_login(admin)
    assert client.post(f"/accounts/tokens/{ApiToken.objects.get().pk}/delete/").status_code == 404
    assert "a test" not in client.get("/accounts/").content.decode()


def test_a_command_makes_a_token(user: User) -> None:
    output = StringIO()
    call_command("createtoken", "alice", name="cron", scope="control", days=30, stdout=output)
    assert carrying(output.getvalue().strip()).get("/api/v1/runs/").status_code == 200
    token = ApiToken.objects.get()
    assert (token.name, token.scope, token.user) == ("cron", "control", user)
    assert token.expires_at is not None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"username": "nobody"}, "There is no user 'nobody'."),
        ({"name": ""}, "--name has 1 to 100 characters."),
        ({"days": 0}, "--days is a number of days"),
    ],
)
def test_the_command_says_what_is_wrong(user: User, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("createtoken", options.pop("username", "alice"), **options)


def test_the_admin_makes_no_key_for_anybody_and_deletes_tokens(client: Client, admin: User, user: User) -> None:
    token, key = services.token_create(user=user, name="a script", scope="read")
    client.force_login(admin)
    assert client.get("/admin/accounts/apitoken/add/").status_code == 403
    assert key not in client.get("/admin/accounts/apitoken/").content.decode()
    assert client.post(f"/admin/accounts/apitoken/{token.pk}/change/", {"scope": "control"}).status_code == 403
    client.post(f"/admin/accounts/apitoken/{token.pk}/delete/", {"post": "yes"})
    assert carrying(key).get("/api/v1/runs/").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_keys_that_people_hold_stay_valid_when_their_table_goes(user: User) -> None:
    key = "0123456789abcdef" * 2 + "01234567"
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE authtoken_token (key varchar(40) PRIMARY KEY, created timestamp, "
            "user_id integer UNIQUE REFERENCES auth_user (id))"
        )
        cursor.execute("INSERT INTO authtoken_token VALUES (%s, '2026-01-01 00:00:00', %s)", [key, user.pk])
    migrate: Callable[..., None] = import_module("scheduler_sim.accounts.migrations.0002_carry_over").carry_over
    for _ in range(2):
        with connection.schema_editor() as editor:
            migrate(apps, editor)
    assert "authtoken_token" not in connection.introspection.table_names()
    assert carrying(key).get("/api/v1/runs/").status_code == 200
    token = ApiToken.objects.get()
    assert (token.user, token.scope, token.expires_at) == (user, "control", None)
    assert key not in str(ApiToken.objects.values().get())
