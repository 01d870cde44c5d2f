"""Guessing one account's password from many addresses."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.conftest import empty_caches

pytestmark = [pytest.mark.attack, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    empty_caches()
    User.objects.create_superuser("diana", password="a test's password")


def guess(client: Client, number: int, username: str = "diana", page: str = "/admin/login/") -> Any:
    form = {"username": username, "password": f"guess {number}"}
    return client.post(page, form, REMOTE_ADDR=f"192.0.2.{number}")


@pytest.mark.parametrize("page", ["/admin/login/", "/accounts/login/"])
def test_many_addresses_share_the_tries_at_one_account(client: Client, settings: Any, page: str) -> None:
    settings.RATE_LIMIT_ACCOUNT = ("5/h",)
    statuses = [guess(client, number, page=page).status_code for number in range(20)]
    assert statuses == [200] * 5 + [429] * 15
    assert guess(client, 99, username=" Diana ", page=page).status_code == 429
    assert guess(client, 99, username="alice", page=page).status_code == 200


def test_the_longer_window_holds_when_the_shorter_one_has_ended(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RATE_LIMIT_ACCOUNT = ("2/m", "4/h")
    clock = [1_700_000_000.0]
    monkeypatch.setattr("django_ratelimit.core.time.time", lambda: clock[0])

    def waits(numbers: range) -> list[int]:
        answers = [guess(client, number) for number in numbers]
        return [int(answer.headers.get("Retry-After", 0)) for answer in answers]

    first = waits(range(3))
    assert first[:2] == [0, 0]
    assert 1 <= first[2] <= 60
    clock[0] += first[2] + 1
    assert waits(range(3, 5)) == [0, 0]
    clock[0] += 60
    assert 60 < waits(range(5, 6))[0] <= 3600


def sign_in(number: int) -> Any:
    form = {"username": "diana", "password": "a test's password"}
    return Client().post("/admin/login/", form, REMOTE_ADDR=f"192.0.2.{number}")


def test_successful_sign_ins_are_not_counted(client: Client, settings: Any) -> None:
    settings.RATE_LIMIT_ACCOUNT = ("3/h",)
    settings.RATE_LIMIT_LOGIN = "3/h"
    assert [sign_in(1).status_code for _ in range(8)] == [302] * 8
    assert [guess(client, 1).status_code for _ in range(5)] == [200] * 3 + [429] * 2


def test_a_successful_sign_in_takes_back_itself_and_no_failure(client: Client, settings: Any) -> None:
    settings.RATE_LIMIT_ACCOUNT = ("3/h",)
    assert [guess(client, number).status_code for number in range(2)] == [200, 200]
    assert sign_in(9).status_code == 302
    assert [guess(client, number).status_code for number in range(2, 4)] == [200, 429]
    # The right password is of no use either, or guessing could go on until it is found.
    assert sign_in(9).status_code == 429


def test_a_session_does_not_let_its_holder_guess_the_password(client: Client, settings: Any) -> None:
    settings.RATE_LIMIT_ACCOUNT = ("3/h",)
    client.force_login(User.objects.get(username="diana"))
    new = {"new_password1": "a longer one of mine", "new_password2": "a longer one of mine"}
    guesses = [client.post("/accounts/password/", {"old_password": f"guess {n}", **new}).status_code for n in range(5)]
    assert guesses == [200] * 3 + [429] * 2
