"""Limits, failures, overheads and checkpoints as people ask for them: played, refused in a sentence, reproduced."""

import json
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from apps.live.checking.integrity import run_check
from apps.results.models import Attempt, Run
from apps.studies.definition import Definition, read_definition
from apps.studies.sources import InvalidStudy
from apps.tasks.models import Workload
from apps.tasks.services import workload_generate

pytestmark = pytest.mark.django_db(transaction=True)

FAILS_ONCE = "time,duration,node\n300,300,0\n"
FAILS_TWICE = FAILS_ONCE + "420,600,0\n"


@pytest.fixture
def workload() -> Workload:
    return workload_generate(model="lublin", tasks=60, seed=1, name="w", parameters={"processors": 4})[0]


def command(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("runsimulation", *arguments, "--json", stdout=out, verbosity=0)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def ten_minutes(folder: Path) -> str:
    """Return the path of a trace of one task of ten minutes."""
    trace = folder / "one.csv"
    trace.write_text("arrival_time,runtime,cpus\n0,600,1\n")
    return str(trace)


def listed(folder: Path, text: str) -> str:
    path = folder / "failures.csv"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("failures", "arguments", "minutes", "attempts"),
    [
        (FAILS_ONCE, (), 20, 2),
        ("time,duration,share\n300,300,1\n", (), 20, 2),
        (FAILS_TWICE, (), 27, 2),
        (FAILS_ONCE, ("--checkpoints", "120"), 16, 2),
        (FAILS_ONCE, ("--checkpoints", "120", "--restart-overhead", "30"), 16.5, 2),
        (FAILS_ONCE, ("--checkpoints", "120", "--checkpoint-read", "60"), 17, 2),
        (FAILS_ONCE, ("--max-failures", "1"), 5, 1),
    ],
)
def test_a_failure_from_a_file_costs_a_task_what_it_must(
    tmp_path: Path, failures: str, arguments: tuple[str, ...], minutes: float, attempts: int
) -> None:
    told = command(
        *("--workload", ten_minutes(tmp_path), "--cluster", "hpc-4", "--policies", "fcfs"),
        *("--failure-list", listed(tmp_path, failures), *arguments),
    )
    run = Run.objects.get(pk=told["run"])
    row = run.results.get()
    assert (row.finish_time, row.attempts) == (60 * minutes, attempts)
    assert row.outcome == ("failed" if arguments[:1] == ("--max-failures",) else "completed")


def test_a_task_that_used_up_its_estimate_runs_again_so_often(tmp_path: Path) -> None:
    trace = tmp_path / "late.csv"
    trace.write_text("arrival_time,runtime,duration_estimate,cpus\n0,600,100,1\n")
    asked = ("--workload", str(trace), "--cluster", "hpc-4", "--policies", "fcfs", "--on-limit", "kill")
    run = Run.objects.get(pk=command(*asked, "--max-requeues", "2")["run"])
    assert run.configuration["max_requeues"] == 2
    row = run.results.get()
    assert (row.finish_time, row.attempts, row.outcome, row.lost_time) == (300, 3, "timed_out", 200)
    once = Run.objects.get(pk=command(*asked)["run"]).results.get()
    assert (once.finish_time, once.outcome) == (100, "timed_out")
    flag = (*asked[:-2], "--kill-at-estimate")
    assert Run.objects.get(pk=command(*flag)["run"]).configuration["kill_at_estimate"] is True


def test_a_run_with_failures_is_played_again_when_the_file_has_changed(tmp_path: Path, workload: Workload) -> None:
    failures = listed(tmp_path, "time,duration,node\n5000,600,0\n20000,600,0\n")
    manifest = tmp_path / "manifest.json"
    first = command(
        *("--workload", "w", "--cluster", "hpc-4", "--policies", "fcfs+easy,srtf,sjf~requeue"),
        *("--failure-list", failures, "--failures", "weibull(mean_hours=20,shape=0.7,repair_hours=0.5)"),
        *("--checkpoints", "daly", "--checkpoint-write", "20", "--checkpoint-read", "10"),
        *("--restart-overhead", "1:7/8:30/60", "--requeue-at", "end", "--write-manifest", str(manifest)),
    )
    Path(failures).write_text("time,duration,node\n1,2,3\n")
    again = command("--manifest", str(manifest))
    assert again["checksum"] == first["checksum"]
    assert again["run"] != first["run"]
    for key in (first["run"], again["run"]):
        run = Run.objects.get(pk=key)
        assert Attempt.objects.filter(run=run, reason="failed").exists()
        found = run_check(run=run, replay=True)
        assert found.faults == ()
        assert found.is_replayed


def test_outages_that_kill_end_what_runs(tmp_path: Path) -> None:
    cluster = tmp_path / "site.json"
    group = {"name": "nodes", "count": 1, "cores": 4, "outages": [{"start_time": 300, "end_time": 600, "nodes": 1}]}
    cluster.write_text(json.dumps({"groups": [group]}))
    asked = ("--workload", ten_minutes(tmp_path), "--cluster", str(cluster), "--policies", "fcfs")
    assert Run.objects.get(pk=command(*asked)["run"]).results.get().finish_time == 600
    assert Run.objects.get(pk=command(*asked, "--outages", "kill")["run"]).results.get().finish_time == 1200


REFUSED: list[tuple[dict[str, str], str, str]] = [
    ({"failure_list": "time,duration,node\n1,2,4\n"}, "failure_list", "names node 4; the cluster has nodes 0 to 0"),
    ({"checkpoints": "young", "checkpoint_write": "1"}, "checkpoints", "need a mean time between failures"),
    (
        {"checkpoints": "daly", "failures": "exponential(mean_hours=10)"},
        "checkpoints",
        "and a cost of writing",
    ),
    ({"checkpoint_read": "5"}, "checkpoint_read", "no meaning without checkpoints"),
    ({"max_requeues": "5"}, "max_requeues", "needs on_limit kill"),
    ({"failures": "gpu=exponential(mean_hours=10)"}, "failures", "has no node group 'gpu'"),
    ({"policies": "rr(quantum=20)", "restart_overhead": "30"}, "policies", "tasks would make no progress"),
    ({"policies": "rr(quantum=20)", "checkpoints": "60", "checkpoint_read": "20"}, "policies", "make no progress"),
    ({"policies": "sjf~checkpoint"}, "policies", "must say how often one is written"),
    (
        {"policies": "fcfs+easy(predict=last_two)", "failures": "exponential(mean_hours=10)"},
        "policies",
        "EASY reserves by the estimates",
    ),
]


@pytest.mark.parametrize(("asked", "option", "sentence"), REFUSED)
def test_what_cannot_be_played_is_refused_before_anything_is_stored(
    asked: Mapping[str, str],
    option: str,
    sentence: str,
    workload: Workload,
    alice: User,
    api: APIClient,
    client: Client,
    tmp_path: Path,
) -> None:
    asked = {"policies": "fcfs", **asked}
    texts = {name: listed(tmp_path, value) if name == "failure_list" else value for name, value in asked.items()}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in texts.items()]
    with pytest.raises(CommandError, match=sentence) as refused:
        command("--workload", "w", "--cluster", "hpc-4", *flags)
    assert refused.value.returncode == 1
    with pytest.raises(CommandError, match=sentence):
        call_command("runsimulation", "--workload", "w", "--cluster", "hpc-4", *flags, "--dry-run", stdout=StringIO())
    sent = {"workload": workload.pk, "cluster": "hpc-4", **asked}
    answer = api.post("/api/v1/runs/", {**sent, "policies": asked["policies"].split(",")})
    assert answer.status_code == 400
    assert sentence in answer.json()["errors"][option][0]
    client.force_login(alice)
    page = client.post("/runs/new/", {**sent, "policies": asked["policies"].split(",")})
    assert page.status_code == 400
    assert sentence in page.context["form"].errors[option][0]
    fixed = {name: value for name, value in asked.items() if name not in ("failures", "policies")}
    cluster = {"cluster": "hpc-4", **({"failures": asked["failures"]} if "failures" in asked else {})}
    document = {"name": "s", "workloads": "w", "clusters": [cluster], "policies": asked["policies"], **fixed}
    with pytest.raises(InvalidStudy, match=sentence):
        Definition.from_json(document)
    assert not Run.objects.exists()


def test_predictions_made_inside_the_run_are_refused_where_tasks_stop(workload: Workload) -> None:
    call_command("trainmodel", "runtime", "--workload", "w", "--name", "site", verbosity=0, stdout=StringIO())
    with pytest.raises(CommandError, match="cannot be predicted inside the run"):
        command("--workload", "w", "--cluster", "hpc-4", "--policies", "srtf", "--estimates", "predicted:site")
    assert not Run.objects.exists()


def test_a_study_holds_the_failures_that_its_file_named(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(
        f"workloads: w\npolicies: fcfs\nclusters: [{{cluster: hpc-4, failures: 'exponential(mean_hours=9)'}}]\n"
        f"kill_at_estimate: true\nfailure_list: {listed(tmp_path, FAILS_ONCE)}\n"
    )
    definition = read_definition(study)
    assert definition.fixed["failure_list"] == "time,duration,node,share\n300.0,300.0,0,\n"
    assert definition.document["failure_list"] == FAILS_ONCE
    assert definition.fixed["kill_at_estimate"] is True
    [(_, cluster)] = definition.clusters
    assert cluster is not None
    assert cluster.groups[0].failures is not None
    study.write_text("workloads: w\npolicies: fcfs\nfailure_list: nowhere.csv\n")
    with pytest.raises(InvalidStudy, match=r"nowhere\.csv cannot be read: No such file"):
        read_definition(study)


def test_pages_show_what_stopping_cost(tmp_path: Path, client: Client) -> None:
    trace = tmp_path / "two.csv"
    trace.write_text("arrival_time,runtime,cpus\n0,600,4\n100,50,4\n")
    failures = listed(tmp_path, "time,duration,node\n400,60,0\n")
    told = command(
        *("--workload", str(trace), "--cluster", "hpc-4", "--policies", "fcfs,sjf~requeue,srtf", "--scale-load", "2"),
        *("--failure-list", failures, "--checkpoints", "120", "--checkpoint-write", "10"),
    )
    run = Run.objects.get(pk=told["run"])
    page = client.get(f"/runs/{run.pk}/")
    charts = page.context["charts"]
    # fcfs: killed at 400 with three checkpoints; sjf~requeue: stopped at 50 for the short one, and killed at 400.
    assert dict(charts["restarts"].table.rows) == {"sjf~requeue": "2", "srtf": "2", "fcfs": "1"}
    lost = dict(charts["lost-core-hours"].table.rows)
    assert float(lost["fcfs"]) == pytest.approx(4 * (10 + 10 + 10 + 10 + 10) / 3600, abs=1e-3)
    assert charts["efficiency"].finding.endswith("under sjf~requeue.")
    assert "each failing" not in str(page.context["configuration"])
    assert ("Checkpoints", "every 120 s of work") in page.context["configuration"]
    assert ("Listed failures", "1 line") in page.context["configuration"]
    drawn = client.get(f"/runs/{run.pk}/gantt.json?policy=sjf~requeue").json()
    attempts = [(item[3], item[4], item[9], item[10]) for item in drawn["items"] if item[5] == 1]
    assert attempts == [(0, 50, 1, True), (100, 400, 2, True), (460, pytest.approx(1000, abs=200), 3, False)]
    assert "2 attempts lost their work since their last checkpoint; they are hatched." in drawn["finding"]
    story = client.get(f"/runs/{run.pk}/tasks/1/").content.decode()
    assert "stopped 2 times" in story
    second = client.get(f"/runs/{run.pk}/tasks/2/").context["story"]
    assert {one.arrival_time for one in second.outcomes} == {50}
    assert second.arrives_after == "50 s"
    assert [one.completion_time for one in second.outcomes if one.result.scheduler == "srtf"] == [50]
    metrics = client.get("/help/metrics/").content.decode()
    assert all(f'id="{name}"' in metrics for name in ("restarts", "lost_core_hours", "efficiency", "lost_time"))
