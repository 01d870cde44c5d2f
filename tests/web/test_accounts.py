"""The page on which people without staff rights sign in, and the ways out."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.conftest import empty_caches

pytestmark = pytest.mark.django_db

PASSWORD = "a test's password"


@pytest.fixture(autouse=True)
def alice() -> User:
    empty_caches()
    return User.objects.create_user("alice", password=PASSWORD)


def sign_in(client: Client, password: str = PASSWORD, **fields: str) -> Any:
    return client.post("/accounts/login/", {"username": "alice", "password": password, **fields})


def test_somebody_without_staff_rights_signs_in_and_goes_where_they_wanted(client: Client) -> None:
    asked = client.get("/runs/new/")
    assert asked.headers["Location"] == "/accounts/login/?next=/runs/new/"
    page = client.get(asked.headers["Location"]).content.decode()
    assert 'name="next" value="/runs/new/"' in page
    assert sign_in(client, next="/runs/new/").headers["Location"] == "/runs/new/"
    assert "Signed in as alice" in client.get("/").content.decode()


@pytest.mark.parametrize(
    "elsewhere", ["https://elsewhere.example/", "//elsewhere.example/", "javascript:alert(1)", "/\\elsewhere.example"]
)
def test_nobody_is_sent_to_another_site(client: Client, elsewhere: str) -> None:
    assert sign_in(client, next=elsewhere).headers["Location"] == "/"
    assert elsewhere not in client.get("/accounts/login/", {"next": elsewhere}).content.decode()


def test_a_wrong_password_is_told_and_the_next_page_kept(client: Client) -> None:
    response = sign_in(client, "guess", next="/runs/")
    page = response.content.decode()
    assert response.status_code == 200
    assert "Please enter a correct username and password" in page
    assert 'value="/runs/"' in page


def test_somebody_who_was_deactivated_cannot_sign_in(client: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert sign_in(client).status_code == 200
    assert "Sign in" in client.get("/").content.decode()


def test_the_form_needs_its_csrf_token() -> None:
    assert sign_in(Client(enforce_csrf_checks=True)).status_code == 403


@pytest.mark.parametrize(
    ("first", "second"), [("/admin/login/", "/accounts/login/"), ("/accounts/login/", "/admin/login/")]
)
def test_both_ways_in_share_one_limit(client: Client, settings: Any, first: str, second: str) -> None:
    settings.RATE_LIMIT_ACCOUNT = ("3/h",)
    form = {"username": "alice", "password": "guess"}
    assert [client.post(first, form).status_code for _ in range(2)] == [200, 200]
    assert [client.post(second, form).status_code for _ in range(2)] == [200, 429]


def test_whoever_guesses_too_often_gets_a_page_that_says_when_to_come_back(client: Client, settings: Any) -> None:
    settings.RATE_LIMIT_LOGIN = "1/h"
    sign_in(client, "guess")
    response = sign_in(client, "guess")
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 3600
    assert f"try again in {response.headers['Retry-After']} s" in response.content.decode()


@pytest.mark.parametrize("address", ["/", "/accounts/", "/search/", "/api/docs/"])
def test_signing_out_is_a_form_that_only_posts(client: Client, address: str) -> None:
    sign_in(client)
    assert 'action="/accounts/logout/" method="post"' in client.get(address).content.decode()
    assert client.get("/accounts/logout/").status_code == 405
    assert client.post("/accounts/logout/").headers["Location"] == "/"
    assert client.get("/accounts/").status_code == 302


def test_the_api_in_a_browser_leads_to_the_same_page(client: Client) -> None:
    def page() -> str:
        return client.get("/api/v1/runs/?status=failed", HTTP_ACCEPT="text/html").content.decode()

    assert 'href="/accounts/login/?next=/api/v1/runs/%3Fstatus%3Dfailed"' in page()
    sign_in(client)
    assert 'action="/accounts/logout/"' in page()


def test_the_admin_is_offered_to_staff_alone(client: Client, alice: User) -> None:
    assert 'href="/admin/"' not in client.get("/").content.decode()
    sign_in(client)
    assert 'href="/admin/"' not in client.get("/").content.decode()
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    assert 'href="/admin/"' in client.get("/").content.decode()


def test_a_new_password_ends_the_sessions_of_other_browsers(client: Client) -> None:
    other = Client()
    for one in (client, other):
        sign_in(one)
    form = {"old_password": PASSWORD, "new_password1": "another long one", "new_password2": "another long one"}
    assert client.post("/accounts/password/", {**form, "old_password": "guess"}).status_code == 200
    assert other.get("/accounts/").status_code == 200
    assert "Your password is changed" in client.post("/accounts/password/", form, follow=True).content.decode()
    assert client.get("/accounts/").status_code == 200
    assert other.get("/accounts/").status_code == 302
