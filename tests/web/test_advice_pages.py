"""Advice as configuration: the page, the API and the command say the same, and what cannot be is said."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from apps.metrics.models import GroupMetric, Metric
from apps.results.models import Run, SchedulerResult
from apps.tasks.sites.services import site_store
from scheduler_sim.engine.sites import Site
from tests.web.conftest import make_run

pytestmark = pytest.mark.django_db

SITE = {
    "name": "tiny",
    "groups": [{"hosts": "c[1-2]", "cores": 4}, {"hosts": "g1", "cores": 8, "gpus": 4, "gpu_type": "a100"}],
    "partitions": [
        {"name": "batch", "hosts": "c[1-2]", "is_default": True, "max_time": 3600},
        {"name": "gpu", "hosts": "g1", "max_time": 3600},
    ],
    "qos": [{"name": "normal", "priority": 1}],
}


def on_site(name: str, document: dict[str, Any] = SITE, **configuration: Any) -> Run:
    """Return a finished run on a site."""
    stored, _ = site_store(site=Site.from_json(document))
    policies = ("slurm", "fcfs+easy", "slurm(bf_interval=60)", "sjf+easy")
    run = make_run(
        name=name,
        policies=policies,
        site=stored,
        configuration={"policies": list(policies), "site": stored.reference, **configuration},
    )
    Metric.objects.filter(run=run, scheduler="fcfs+easy").update(mean_bounded_slowdown=0.5)
    return run


def same_workload(run: Run, other: Run) -> None:
    """Let a run be one of the workload of another."""
    Run.objects.filter(pk=run.pk).update(workload=other.workload)
    for key, number in other.workload.tasks.values_list("pk", "task_id"):
        SchedulerResult.objects.filter(run=run, task__task_id=number).update(task=key)


def text_of(response: Any) -> str:
    return " ".join(str(response.content, "utf-8").split())


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("advise", *arguments, stdout=out)
    return out.getvalue()


def test_the_policy_in_front_becomes_lines_on_page_api_and_command(client: Client, api: APIClient) -> None:
    run = on_site("june")
    line = "SchedulerParameters=bf_job_part_count_reserve=1"
    page = client.get(f"/runs/{run.pk}/advice/").content.decode()
    assert f"# slurm.conf: fcfs+easy, from the run june\n{line}</pre>" in page
    assert 'data-copy-text="conf"' in page
    assert "These lines bring fcfs+easy about, as near as Slurm&#x27;s loops come to it." in page
    document = api.get(f"/api/v1/runs/{run.pk}/advice/").json()
    assert (document["policy"], document["slurm_conf"], document["is_whole"]) == ("fcfs+easy", [line], True)
    assert line in printed("june").splitlines()
    assert all(one.startswith("#") or one in ("", line) for one in printed("june").splitlines())


def test_who_gains_and_who_loses_stands_beside_it(client: Client) -> None:
    run = on_site("june")
    page = text_of(client.get(f"/runs/{run.pk}/advice/?policy=fcfs%2Beasy"))
    assert "Of 2 users, 2 clearly lose and 0 clearly gain." in page
    assert "Nobody: it is the base itself" in text_of(client.get(f"/runs/{run.pk}/advice/?policy=slurm"))


def test_nodes_more_become_their_lines(client: Client) -> None:
    run = on_site("what if", site_changes={"add_nodes": "gpu=2"})
    lines = printed(str(run.pk), "--policy", "slurm").splitlines()
    assert "NodeName=g[2-3] CPUs=8 Gres=gpu:a100:4" in lines
    assert "PartitionName=gpu Nodes=g[1-3] MaxTime=60" in lines


def test_parameters_of_slurm_are_their_lines_and_nothing_else() -> None:
    run = on_site("june")
    lines = printed(str(run.pk), "--policy", "slurm(bf_interval=60)").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == ["SchedulerParameters=bf_interval=60"]


def test_a_policy_that_slurm_cannot_follow_says_so_before_the_lines(client: Client, api: APIClient) -> None:
    run = on_site("june")
    page = text_of(client.get(f"/runs/{run.pk}/advice/?policy=sjf%2Beasy"))
    assert "Slurm cannot be told all of sjf+easy" in page
    assert page.index("What Slurm cannot be told") < page.index("<pre")
    document = api.get(f"/api/v1/runs/{run.pk}/advice/", {"policy": "sjf+easy"}).json()
    assert document["is_whole"] is False
    assert "no factor for the time limit" in document["unexpressed"][0]


def test_two_runs_differ_in_what_their_sites_differ_in(client: Client) -> None:
    before = on_site("before")
    qos = [{"name": "normal", "priority": 5, "limits": {"user_jobs": 3}}]
    after = on_site("after", {**SITE, "qos": qos})
    same_workload(after, before)
    GroupMetric.objects.filter(run=after, name="bob").update(mean_wait_time=7201.0)
    text = printed("after", "--against", "before", "--policy", "slurm")
    assert "sacctmgr -i modify qos normal set Priority=5 MaxJobsPerUser=3" in text.splitlines()
    assert "Of 2 users, 1 wait longer on average and 0 shorter (without intervals)." in text
    assert "Tasks of user bob wait 2.00 h longer, most of all." in text
    assert "against slurm in run before" in text
    page = text_of(client.get(f"/compare/?runs={before.pk},{after.pk}"))
    assert f"/runs/{after.pk}/advice/?against={before.pk}" in page
    assert "modify qos normal" in text_of(client.get(f"/runs/{after.pk}/advice/?against={before.pk}&policy=slurm"))


def test_a_run_on_a_cluster_names_what_the_policy_needs_and_what_is_not_known(run: Run) -> None:
    lines = printed(str(run.pk), "--policy", "fcfs").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == [
        "SchedulerType=sched/builtin",
        "PriorityType=priority/basic",
    ]
    assert any("cluster and not on a site" in line for line in lines)


def test_a_policy_that_knows_the_future_is_not_advised() -> None:
    run = make_run(policies=("fcfs", "oracle"))
    Metric.objects.filter(run=run, scheduler="oracle").update(mean_bounded_slowdown=0.5)
    assert "bring fcfs about" in printed(str(run.pk))


def test_what_cannot_be_answered_is_refused_in_a_sentence(client: Client, api: APIClient, run: Run) -> None:
    other, site = make_run(name="other"), on_site("on a site")
    cases = (
        ({"policy": "ljf"}, "does not hold the policy", 400),
        ({"against": other.pk}, "different workloads", 400),
        ({"against": site.pk}, "different workloads", 400),
    )
    for query, words, status in cases:
        answers: list[Any] = [client.get(f"/runs/{run.pk}/advice/", query)]
        answers.append(api.get(f"/api/v1/runs/{run.pk}/advice/", query))
        for response in answers:
            assert (response.status_code, words in text_of(response)) == (status, True)
    same_workload(site, run)
    assert "on a site and the other on a cluster" in text_of(client.get(f"/runs/{run.pk}/advice/?against={site.pk}"))
    assert client.get(f"/runs/{run.pk}/advice/?against=999999").status_code == 404
    assert api.get(f"/api/v1/runs/{run.pk}/advice/?against=x").status_code == 400
    assert api.get(f"/api/v1/runs/{run.pk}/advice/?colour=red").status_code == 400
    with pytest.raises(CommandError, match="There is no run 'nobody'"):
        printed("nobody")


def test_a_run_that_did_not_come_to_its_end_advises_nothing(client: Client, api: APIClient) -> None:
    run = make_run(status="stopped")
    assert "did not come to its end" in text_of(client.get(f"/runs/{run.pk}/advice/"))
    assert api.get(f"/api/v1/runs/{run.pk}/advice/").status_code == 409
    assert "/advice/" not in text_of(client.get(f"/runs/{run.pk}/"))
    with pytest.raises(CommandError, match="did not come to its end"):
        printed(str(run.pk))
