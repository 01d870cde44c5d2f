"""What a form meets on its way through the server."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.live.live_site import Site


def test_a_form_is_left_to_the_api_even_when_there_is_nothing_in_it(embedded_site: Site) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    address = f"http://127.0.0.1:{embedded_site.port}/api/v1/workloads/"
    with pytest.raises(HTTPError) as refused:
        urlopen(Request(address, data=b"--x--\r\n", headers=headers))
    assert refused.value.headers["Content-Type"] == "application/problem+json"
    assert json.load(refused.value)["status"] == refused.value.code == 401
