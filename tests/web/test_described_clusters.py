"""A cluster or a site that is written into the form of a new run."""

from typing import Any

import pytest
from django.test import Client

from apps.results.models import Run
from apps.tasks.models import Site
from apps.tasks.sites.services import site_store
from scheduler_sim.accounts.models import AuditEntry
from scheduler_sim.engine.sites import read_site
from tests.web.conftest import client_that_controls_runs, make_run

pytestmark = pytest.mark.django_db

CLUSTER = "name: mine\ngroups:\n- {name: cpu, count: 2, cores: 8}\n"
SITE = "name: lab\ngroups:\n- {hosts: 'n[1-2]', cores: 8}\npartitions:\n- {name: main, max_time: 600}\n"


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr("scheduler_sim.background.services.dispatch", lambda: 0)
    return client_that_controls_runs()


def asked(client: Client, described: str, **others: Any) -> Any:
    form = {"workload": make_run(name=f"run {Run.objects.count()}").workload_id, "cluster": "auto"}
    return client.post("/runs/new/", {**form, "policies": ["fcfs"], "described": described, **others})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (CLUSTER, "mine"),
        ('{"groups": [{"name": "cpu",\t"count": 2, "cores": 8}]}', "described"),
    ],
    ids=["yaml", "json"],
)
def test_a_run_is_started_on_a_cluster_that_was_written(controller: Client, text: str, name: str) -> None:
    assert asked(controller, text).status_code == 302
    run = Run.objects.latest("pk")
    assert (run.cluster["name"], run.cluster["groups"][0]["count"], run.site) == (name, 2, None)
    assert not Site.objects.exists()


def test_a_site_that_was_written_is_stored_and_played_on(controller: Client) -> None:
    assert asked(controller, SITE, on_oversize="drop").status_code == 302
    run = Run.objects.latest("pk")
    assert run.site == Site.objects.get()
    assert (run.site.reference, run.configuration["site"]) == ("lab@1", "lab@1")
    assert AuditEntry.objects.filter(kind="site").count() == 1, "trying it is no deed"
    assert asked(controller, SITE, on_oversize="drop").status_code == 302
    assert Site.objects.count() == 1, "the same again is the same version"


def test_what_is_changed_of_a_site_is_changed_of_the_one_that_was_written(controller: Client) -> None:
    assert asked(controller, SITE, add_nodes="main=1").status_code == 302
    assert Run.objects.latest("pk").cluster["groups"][0]["count"] == 3


@pytest.mark.parametrize(
    ("described", "others", "sentence"),
    [
        ("groups:\n- {hosts: a1, cores: -4}\n", {}, "The description, line 2: groups[0].cores: Node group a1: cores"),
        ("groups: [", {}, "The description is neither YAML nor JSON"),
        ("workstation", {}, "The description holds no mapping"),
        (SITE.replace("name: lab\n", ""), {}, "The description states no name of the site"),
        (SITE.replace("name: lab\n", "name: upload\n"), {}, "A site cannot be called upload"),
        (CLUSTER.replace("mine", "m" * 101), {}, "longer than 100 characters"),
        (CLUSTER, {"cluster": "hpc-64"}, "Give a preset, a site or a description, not two of them."),
        (SITE, {"policies": ["sjf~requeue"]}, "sjf~requeue"),
        (SITE, {"add_nodes": "other=1"}, "has no node group or partition"),
        (SITE, {"name": "run 0"}, "There is a run called"),
    ],
)
def test_what_cannot_be_played_is_said_and_nothing_is_stored(
    controller: Client, described: str, others: dict[str, Any], sentence: str
) -> None:
    response = asked(controller, described, **others)
    assert response.status_code == 400
    page = response.content.decode()
    assert sentence in page.replace("&#x27;", "'")
    assert described.splitlines()[0].replace('"', "&quot;") in page, "what was typed is kept"
    assert (Site.objects.count(), Run.objects.count()) == (0, 1)


def test_a_site_that_changes_while_it_is_asked_for_is_not_mistaken(
    controller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(self: Any) -> None:
        site_store(site=read_site(SITE.replace("cores: 8", "cores: 9")))
        return kept(self)

    from apps.dashboard.runs.described import DescribedCluster

    kept = DescribedCluster.store
    monkeypatch.setattr(DescribedCluster, "store", meanwhile)
    response = asked(controller, SITE)
    assert (response.status_code, "changed at this moment" in response.content.decode()) == (400, True)
