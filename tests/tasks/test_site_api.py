"""Sites over HTTP: files that become versions, and what differs between two."""

import gzip
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from apps.tasks.models import Site
from apps.tasks.sites import reading as site_reading
from tests.web.conftest import client_that_controls_runs, key_of

pytestmark = pytest.mark.django_db

CONF = b"ClusterName=tiny\nNodeName=n[1-4] CPUs=8\nPaintedIn=red\nPartitionName=main Nodes=n[1-4] MaxTime=60\n"
DESCRIPTION: dict[str, Any] = {"name": "tiny", "groups": [{"hosts": "n[1-4]", "cores": 8}]}
SITES = "/api/v1/sites/"


@pytest.fixture
def api() -> APIClient:
    client_that_controls_runs()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {key_of(User.objects.get(username='carol'))}")
    return client


def test_files_become_the_next_version_unless_nothing_has_changed(api: APIClient) -> None:
    for status, version in ((201, 1), (200, 1)):
        answer = api.post(SITES, {"file": [SimpleUploadedFile("slurm.conf", CONF)]}, format="multipart")
        assert (answer.status_code, answer.json()["version"]) == (status, version)
    assert answer.json()["notes"] == [
        {"file": "slurm.conf", "line": 3, "text": "PaintedIn=red", "reason": answer.json()["notes"][0]["reason"]}
    ]
    assert answer.json() == api.get(answer["Location"]).json()
    changed = SimpleUploadedFile("slurm.conf", CONF.replace(b"CPUs=8", b"CPUs=4"))
    assert api.post(SITES, {"file": [changed]}, format="multipart").json()["version"] == 2
    assert [row["version"] for row in api.get(f"{SITES}?name=tiny").json()["results"]] == [2, 1]


@pytest.mark.parametrize("description", [DESCRIPTION, "groups:\n- {hosts: 'n[1-4]', cores: 8}\n"])
def test_a_description_is_sent_as_json_or_as_a_text(api: APIClient, description: Any) -> None:
    answer = api.post(SITES, {"description": description, "name": "other"}, format="json")
    assert answer.status_code == 201
    assert Site.objects.get().as_site().cluster.cores == 32
    assert answer.json()["name"] == "other"


@pytest.mark.parametrize(
    ("sent", "field", "sentence"),
    [
        ({}, "description", "No file of a site was given."),
        ({"description": {"groups": [{"hosts": "a1", "cores": -4}]}}, "description", "cores is -4"),
        ({"description": DESCRIPTION, "name": "a/edit"}, "description", "is the address of another page"),
        ({"description": DESCRIPTION, "name": "n" * 101}, "name", "no more than 100 characters"),
        ({"description": DESCRIPTION, "zero": "yesterday"}, "zero", "wrong format"),
        ({"description": DESCRIPTION, "colour": "red"}, "colour", "There is no such field"),
        ({"description": [1]}, "description", "is nothing that a site is read from"),
    ],
)
def test_what_cannot_be_a_site_is_refused_in_a_sentence(
    api: APIClient, sent: dict[str, Any], field: str, sentence: str
) -> None:
    answer = api.post(SITES, sent, format="json")
    assert answer.status_code == 400
    assert sentence in answer.json()["errors"][field][0]
    assert not Site.objects.exists()


def test_more_than_is_read_while_somebody_waits_is_too_large(api: APIClient, monkeypatch: Any) -> None:
    packed = gzip.compress(CONF * 9)
    monkeypatch.setattr(site_reading, "MOST_BYTES", len(packed))
    for file in (SimpleUploadedFile("slurm.conf", CONF * 9), SimpleUploadedFile("slurm.conf.gz", packed)):
        answer = api.post(SITES, {"file": [file]}, format="multipart")
        assert (answer.status_code, "importsite reads larger ones" in answer.json()["detail"]) == (413, True)


def test_a_version_is_compared_with_the_one_before_it_or_with_another(api: APIClient) -> None:
    first, second = (
        api.post(
            SITES, {"description": {**DESCRIPTION, "groups": [{"hosts": hosts, "cores": 8}]}}, format="json"
        ).json()
        for hosts in ("n[1-4]", "n[1-6]")
    )
    other = api.post(SITES, {"description": DESCRIPTION, "name": "other"}, format="json").json()
    found = api.get(f"{SITES}{second['id']}/differences/").json()
    assert {"part": "groups", "name": "n[1-4]", "key": "count", "before": 4, "after": 6} in found
    assert api.get(f"{SITES}{first['id']}/differences/").json() == []
    assert api.get(f"{SITES}{other['id']}/differences/?before={first['id']}").json() == []
    refused = api.get(f"{SITES}{other['id']}/differences/?before=99999")
    assert (refused.status_code, refused.json()["errors"]) == (400, {"before": ["There is no such version of a site."]})
    assert api.get(f"{SITES}99999/differences/").status_code == 404
