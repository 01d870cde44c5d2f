"""Sites: the command that reads them, their versions, and their admin page."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from apps.tasks.models import Site
from apps.tasks.sites.services import site_store
from scheduler_sim.engine import sites
from tests.files import written

pytestmark = pytest.mark.django_db

CONF = "ClusterName=tiny\nNodeName=n[1-4] CPUs=8\nPartitionName=main Nodes=n[1-4] MaxTime=60 PaintedIn=red\n"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return written(tmp_path / "slurm.conf", CONF)


def importsite(*arguments: object) -> str:
    out = StringIO()
    call_command("importsite", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_a_site_is_stored_with_what_was_not_understood(conf: Path) -> None:
    said = importsite("--slurm-conf", conf)
    stored = Site.objects.newest("tiny")
    assert "4 nodes in 1 groups, 32 cores" in said
    assert "Stored as tiny version 1." in said
    assert (stored.version, stored.origin) == (1, "slurm.conf")
    assert [(note["line"], note["text"]) for note in stored.notes] == [(3, "PaintedIn=red")]
    assert stored.as_site().partitions[0].max_time == 3600


def test_a_change_makes_a_version_and_the_same_again_none(conf: Path) -> None:
    importsite("--slurm-conf", conf)
    assert "Nothing has changed since tiny version 1." in importsite("--slurm-conf", conf)
    conf.write_text(CONF.replace("n[1-4]", "n[1-6]"))
    assert "Stored as tiny version 2." in importsite("--slurm-conf", conf)
    assert [site.as_site().cluster.nodes for site in Site.objects.order_by("version")] == [4, 6]


def test_a_dry_run_stores_nothing_and_may_write_the_description(conf: Path, tmp_path: Path) -> None:
    assert "Nothing was stored" in importsite("--slurm-conf", conf, "--dry-run", "--output", tmp_path / "site.yaml")
    assert not Site.objects.exists()
    importsite("--file", tmp_path / "site.yaml", "--name", "copy")
    assert Site.objects.newest("copy").as_site().cluster.nodes == 4


def test_json_holds_the_description_and_the_notes(conf: Path) -> None:
    document = json.loads(importsite("--slurm-conf", conf, "--json"))
    assert (document["version"], document["site"]["name"], len(document["notes"])) == (1, "tiny", 1)


def test_a_site_is_inferred_from_what_ran_on_it(tmp_path: Path) -> None:
    file = tmp_path / "jobs.psv"
    file.write_text(
        "JobID|Partition|Submit|Start|ElapsedRaw|TimelimitRaw|AllocCPUS|NodeList|State\n"
        "1|main|1000|1000|60|10|8|n1|COMPLETED\n2|main|1000|1000|60|10|16|n[1-2]|COMPLETED\n"
    )
    said = importsite("--auto", file, "--name", "seen")
    stored = Site.objects.newest("seen")
    assert "Stored as seen version 1." in said
    assert (stored.origin, stored.as_site().partitions[0].hosts) == ("jobs.psv", "n[1-2]")
    assert any("in use at once" in note["reason"] for note in stored.notes)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Name either"),
        (["--file", "missing.yaml"], "cannot be read"),
        (["--slurm-conf", "missing.conf"], "cannot be read"),
        (["--file", "x.yaml", "--slurm-conf", "y.conf"], "Name either"),
        (["--auto", "x.tsv", "--slurm-conf", "y.conf"], "Name either"),
        (["--auto", "missing.tsv"], "There is no file"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        importsite(*arguments)
    assert not Site.objects.exists()


def test_a_name_that_is_too_long_is_refused_everywhere(conf: Path, client: Client) -> None:
    with pytest.raises(CommandError, match="at most 100 characters"):
        importsite("--slurm-conf", conf, "--name", "n" * 101)
    client.force_login(User.objects.create_superuser("root"))
    text = f"name: {'n' * 101}\ngroups:\n- {{hosts: a1, cores: 4}}\n"
    page = client.post(reverse("admin:tasks_site_add"), {"description": text})
    assert "at most 100 characters" in page.content.decode()
    assert not Site.objects.exists()


def test_a_time_0_that_is_none_is_refused(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "reservations").write_text("No reservations in the system\n")
    with pytest.raises(CommandError, match="--zero"):
        importsite("--slurm-conf", conf, "--reservations", tmp_path / "reservations", "--zero", "yesterday")


def test_what_the_admin_changes_is_the_next_version(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    text = "groups:\n- {hosts: 'a[1-2]', cores: 4}\nname: lab\n"
    stored, _ = site_store(site=sites.read_site(text))
    page = reverse("admin:tasks_site_change", args=[stored.pk])
    assert "a[1-2]" in client.get(page).content.decode()
    refused = client.post(page, {"description": text.replace("cores: 4", "cores: -4")})
    assert "cores is -4" in refused.content.decode()
    client.post(page, {"description": text.replace("cores: 4", "cores: 8")})
    assert [site.as_site().cluster.cores for site in Site.objects.order_by("version")] == [8, 16]


def test_pages_show_what_a_site_is_made_of(conf: Path, client: Client) -> None:
    assert "There is no site yet" in client.get("/sites/").content.decode()
    importsite("--slurm-conf", conf)
    assert 'href="/sites/tiny/"' in client.get("/sites/").content.decode()
    page = client.get("/sites/tiny/").content.decode()
    for text in ("n[1-4]", "main", "PaintedIn=red", Site.objects.get().digest, "None yet."):
        assert text in page
    conf.write_text(CONF.replace("n[1-4]", "n[1-6]"))
    importsite("--slurm-conf", conf)
    assert "n[1-6]" in client.get("/sites/tiny/").content.decode()
    assert "n[1-6]" not in client.get("/sites/tiny/?version=1").content.decode()
    assert [client.get(path).status_code for path in ("/sites/other/", "/sites/tiny/?version=9")] == [404, 404]
    assert client.get("/sites/tiny/?version=x").status_code == 404


def test_a_page_shows_every_part_and_leaves_out_what_is_too_long(client: Client) -> None:
    described = {
        "name": "whole",
        "groups": [{"hosts": "g[1-2]", "cores": 8, "gpus": 4, "gpu_type": "a100", "features": ["fast"]}],
        "partitions": [{"name": "p", "is_default": True, "allowed_qos": ["high"]}],
        "qos": [{"name": "high", "priority": 7, "limits": {"user_resources": {"cpu": 1192}}}],
        "accounts": [{"name": "root"}, *({"name": "root", "user": f"u{number}"} for number in range(300))],
        "reservations": [{"name": "repair", "start_time": 0, "end_time": 7200, "users": ["u1"]}],
        "priority": {"kind": "multifactor", "age_weight": 1234},
    }
    site_store(site=sites.Site.from_json(described))
    page = client.get("/sites/whole/").content.decode()
    for text in ("4 × a100", "allowed_qos high", "user_resources cpu 1,192", "And 101 more", "repair", "1,234"):
        assert text in page


def test_a_site_is_downloaded_as_yaml_that_makes_the_same_site(conf: Path, client: Client, tmp_path: Path) -> None:
    importsite("--slurm-conf", conf)
    response = client.get("/sites/tiny/site.yaml?version=1")
    assert response["Content-Disposition"] == 'attachment; filename="tiny-1.yaml"'
    file = tmp_path / "again.yaml"
    file.write_bytes(response.content)
    assert "Nothing has changed since tiny version 1." in importsite("--file", file)


def test_versions_are_read_over_http(conf: Path, client: Client) -> None:
    importsite("--slurm-conf", conf)
    (row,) = client.get("/api/v1/sites/?name=tiny&version=1").json()["results"]
    assert set(row) == {"id", "name", "version", "digest", "origin", "created_at"}
    whole = client.get(f"/api/v1/sites/{row['id']}/").json()
    assert whole["description"] == Site.objects.get().description
    assert whole["notes"][0]["text"] == "PaintedIn=red"
    assert client.post("/api/v1/sites/", {}).status_code == 401


def test_the_newest_version_of_each_site_is_offered(conf: Path) -> None:
    importsite("--slurm-conf", conf)
    importsite("--slurm-conf", conf, "--name", "b")
    conf.write_text(CONF.replace("n[1-4]", "n[1-6]"))
    importsite("--slurm-conf", conf)
    assert [one.reference for one in Site.objects.newest_of_each()] == ["b@1", "tiny@2"]


def test_two_versions_are_compared_in_words(conf: Path, client: Client) -> None:
    importsite("--slurm-conf", conf)
    conf.write_text(CONF.replace("n[1-4]", "n[1-6]").replace("MaxTime=60", "MaxTime=120"))
    importsite("--slurm-conf", conf)
    page = client.get("/sites/tiny/").content.decode()
    assert "/sites/compare/?before=tiny%401&amp;after=tiny%402" in page
    address = "/sites/compare/?before=tiny%401&after=tiny"
    page = client.get(address).content.decode()
    for text in (
        "Node group n[1-4]",
        "Nodes",
        "Longest run time",
        "60.0 min",
        "2.00 h",
        "tiny@1",
        "# more nodes: n[5-6]",
    ):
        assert text in page
    rows = client.get(f"{address}&format=json").json()
    assert {"of": "Partition main", "what": "Longest run time", "before": "60.0 min", "after": "2.00 h"} in rows
    assert "The two are alike." in client.get("/sites/compare/?before=tiny&after=tiny").content.decode()
    refused = client.get("/sites/compare/?before=tiny&after=none")
    assert (refused.status_code, "There is no site &#x27;none&#x27;." in refused.content.decode()) == (404, True)


def test_a_page_of_a_site_costs_the_same_whatever_the_number_of_versions(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    for cores in range(1, 26):
        site_store(site=sites.read_site(f"name: lab\ngroups:\n- {{hosts: a1, cores: {cores}}}\n"))
    with django_assert_max_num_queries(8):
        page = client.get("/sites/lab/?version=3").content.decode()
    assert "Version 25</a> is the newest" in page
    assert "The newest of 25." in page
