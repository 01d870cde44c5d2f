"""What `/api/v1/` answers."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.web.test_permission_matrix import API

pytestmark = pytest.mark.django_db


def test_every_address_without_a_key_is_named(api: APIClient) -> None:
    index = api.get("/api/v1/").json()
    expected = {address.removeprefix("api/v1/").rstrip("/") for address in API if address.startswith("api/v1/")}
    assert set(index["addresses"]) == {name for name in expected if name and "<" not in name}
    assert index["addresses"]["history/latest"] == "http://testserver/api/v1/history/latest/"


def test_every_address_that_is_named_is_there(api: APIClient, admin: Any) -> None:
    api.force_authenticate(admin)
    index = api.get("/api/v1/").json()
    for address in (index["documentation"], index["schema"], *index["addresses"].values()):
        # Some are only posted to.
        assert api.get(address).status_code in (200, 405), address


def test_a_browser_sees_a_page(api: APIClient) -> None:
    page = api.get("/api/v1/", HTTP_ACCEPT="text/html").content.decode()
    assert 'href="http://testserver/api/v1/runs/"' in page
    assert "Attributes:" not in page


def test_the_index_is_for_those_who_may_read(api: APIClient, settings: Any) -> None:
    settings.API_READ_PUBLIC = False
    assert api.get("/api/v1/").status_code == 401
