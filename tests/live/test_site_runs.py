"""Runs on stored sites: how they are asked for, what is kept of them, and that their site stays what it was."""

import csv
import json
from io import StringIO
from pathlib import Path
from threading import Event
from typing import Any
from unittest import mock

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db.models import ProtectedError
from django.test import Client

from apps.live.exchange.instants import instant_document
from apps.live.instants import replays
from apps.live.instants import stored as instants_read
from apps.live.instants.instant import run_instant
from apps.live.play.sites import node_names
from apps.metrics.models import Metric
from apps.results.models import Run, SchedulerResult
from apps.tasks.errors import SiteError
from apps.tasks.models import Site, Workload
from apps.tasks.sites.services import site_delete, site_store
from apps.tasks.stored_tasks import load_tasks
from scheduler_sim.engine import sites
from scheduler_sim.engine.library.playing import play
from tests.files import written
from tests.web.conftest import client_that_controls_runs

pytestmark = pytest.mark.django_db(transaction=True)

DESCRIPTION: dict[str, Any] = {
    "name": "tiny",
    "groups": [
        {"name": "thin", "hosts": "c[1-2]", "cores": 4, "memory_mb": 1000},
        {"name": "fat", "hosts": "f1", "cores": 8, "memory_mb": 4000},
    ],
    "partitions": [
        {"name": "batch", "hosts": "c[1-2]", "is_default": True, "max_time": 3600},
        {"name": "big", "hosts": "f1"},
    ],
}
TASKS = """task_id,arrival_time,runtime,duration_estimate,cpus,user,queue,recorded_start_time
1,0,100,200,4,ann,batch,0
2,1,100,200,4,bob,batch,1
3,2,100,200,4,cat,batch,100
4,3,50,60,8,ann,big,3
5,4,10,20,2,bob,batch,101
"""


@pytest.fixture
def tiny() -> Site:
    return site_store(site=sites.Site.from_json(DESCRIPTION))[0]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return written(tmp_path / "tasks.csv", TASKS)


def run(*arguments: object) -> str:
    out = StringIO()
    call_command("runsimulation", *map(str, arguments), stdout=out, verbosity=0)
    return out.getvalue()


def document(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json"))
    return found


def placed(scheduler: str = "fcfs") -> dict[int, tuple[float, int]]:
    rows = SchedulerResult.objects.filter(scheduler=scheduler)
    return {number: (start, node) for number, start, node in rows.values_list("task__task_id", "start_time", "node")}


def test_tasks_stay_in_their_partition_and_wait_for_it(trace: Path, tiny: Site) -> None:
    printed = document("--workload", trace, "--site", "tiny", "--policies", "fcfs,sjf+easy")
    assert printed["site"] == {"name": "tiny", "version": 1}
    assert printed["configuration"]["site"] == "tiny@1"
    assert [group["name"] for group in printed["cluster"]["groups"]] == ["thin", "fat"]
    found = placed()
    assert {node for number, (_, node) in found.items() if number != 4} == {0, 1}
    assert found[3] == (100.0, 0), "f1 is free, and not in its partition"
    assert found[4] == (3.0, 2)
    stored = Run.objects.get()
    assert stored.site == tiny
    assert stored.name == "tasks on tiny"
    shown = instant_document(run_instant(stored, 4.0, "fcfs"))
    assert shown["unexplained"] == ""
    assert {task["task_id"]: (task["reason"], task["waits_for"]) for task in shown["queue"]} == {
        3: ("Resources", "Resources"),
        5: ("Priority", "Priority"),
    }
    assert [task["verdict"] for task in shown["queue"]] == ["resources", "priority"]


def test_a_request_waits_a_while_for_what_is_played_again_and_finds_it_kept(
    trace: Path, tiny: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("--workload", trace, "--site", "tiny", "--policies", "fcfs")
    stored = Run.objects.get()
    read = mock.Mock(side_effect=load_tasks)
    monkeypatch.setattr(instants_read, "load_tasks", read)
    monkeypatch.setattr(replays, "LEAST_SECONDS", 0.0)
    others_are_played = Event()
    replays._player.submit(others_are_played.wait)
    try:
        late = run_instant(stored, 4.0, "fcfs", wait=0.0)
    finally:
        others_are_played.set()
    assert late.unexplained == replays.STILL_PLAYED
    assert len(late.queue) == 2
    # Later, earlier, and of another reader: the run is read once.
    found = [run_instant(stored, time, "fcfs") for time in (4.0, 2.0, 4.0)]
    assert [one.unexplained for one in found] == ["", "", ""]
    assert instant_document(found[0]) == instant_document(found[2])
    assert read.call_count == 1


def test_a_run_keeps_the_version_that_was_the_newest(trace: Path, tiny: Site) -> None:
    first = document("--workload", trace, "--site", "tiny", "--policies", "fcfs")
    larger = {**DESCRIPTION, "partitions": [{"name": "batch", "is_default": True}, {"name": "big", "hosts": "f1"}]}
    site_store(site=sites.Site.from_json(larger))
    second = document("--workload", "tasks", "--site", "tiny", "--policies", "fcfs")
    third = document("--workload", "tasks", "--site", "tiny@1", "--policies", "fcfs")
    assert [one["configuration"]["site"] for one in (first, second, third)] == ["tiny@1", "tiny@2", "tiny@1"]
    assert first["checksum"] == third["checksum"] != second["checksum"]
    for one in Run.objects.all():
        call_command("verifyrun", str(one.pk), "--replay", stdout=StringIO())


def test_nodes_may_be_added_to_a_partition_and_dropped_by_name(trace: Path, tiny: Site) -> None:
    run("--workload", trace, "--site", "tiny", "--policies", "fcfs", "--add-nodes", "batch=1")
    stored = Run.objects.get()
    assert stored.configuration["site_changes"] == {"add_nodes": "batch=1"}
    assert stored.cluster["groups"][0]["count"] == 3
    assert placed()[3] == (2.0, 2), "on the node that was added"
    call_command("verifyrun", str(stored.pk), "--replay", stdout=StringIO())
    SchedulerResult.objects.all().delete()
    run("--workload", "tasks", "--site", "tiny", "--policies", "fcfs", "--drop-nodes", "c1")
    assert placed()[2] == (100.0, 0)
    assert tiny.as_site() == sites.Site.from_json(DESCRIPTION)


def test_a_manifest_brings_its_site_along(trace: Path, tiny: Site, tmp_path: Path) -> None:
    manifest = tmp_path / "run.json"
    run("--workload", trace, "--site", "tiny", "--policies", "fcfs", "--drop-nodes", "c1", "--write-manifest", manifest)
    told = json.loads(manifest.read_text())
    assert told["site"]["digest"] == tiny.digest
    run("--manifest", manifest)
    assert Site.objects.count() == 1, "the version is there already"
    Run.objects.all().delete()
    site_delete(site=tiny)
    site_store(site=sites.Site.from_json({**DESCRIPTION, "placement": "nodes"}))
    run("--manifest", manifest)
    replayed = Run.objects.get().site
    assert replayed is not None
    assert replayed.reference == "tiny@2"
    told["site"]["description"]["placement"] = "nodes"
    manifest.write_text(json.dumps(told))
    with pytest.raises(CommandError, match="The manifest's site tiny is not what its digest says"):
        run("--manifest", manifest)


def test_a_site_that_was_changed_behind_a_runs_back_is_found(trace: Path, tiny: Site) -> None:
    run("--workload", trace, "--site", "tiny", "--policies", "fcfs")
    Site.objects.update(description={**tiny.description, "placement": "nodes"})
    with pytest.raises(CommandError, match="The site's description is not what the run ended with"):
        call_command("verifyrun", str(Run.objects.get().pk), stdout=StringIO())


def test_a_site_that_runs_were_played_on_is_kept(trace: Path, tiny: Site) -> None:
    run("--workload", trace, "--site", "tiny", "--policies", "fcfs", "--name", "first")
    with pytest.raises(SiteError, match="tiny version 1 cannot be deleted: run first was played on it"):
        site_delete(site=tiny)
    with pytest.raises(ProtectedError):
        tiny.delete()
    Run.objects.all().delete()
    site_delete(site=tiny)
    assert not Site.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--site", "other"), "There is no site 'other'. Sites: tiny."),
        (("--site", "tiny@2"), "There is no site 'tiny@2'. Sites: tiny."),
        (("--site", "tiny", "--cluster", "hpc-4"), "Give --cluster or --site, not both"),
        (("--site", "tiny", "--add-nodes", "x=1"), "Site tiny has no node group or partition 'x'"),
        (("--site", "tiny", "--drop-nodes", "c9"), "Site tiny has no node c9"),
    ],
)
def test_what_cannot_be_played_is_refused(trace: Path, tiny: Site, arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError) as refused:
        run("--workload", trace, "--policies", "fcfs", *arguments)
    assert sentence in str(refused.value)
    assert not Run.objects.exists()


def test_pages_name_the_nodes_and_the_site(trace: Path, tiny: Site, client: Client) -> None:
    run("--workload", trace, "--site", "tiny", "--policies", "fcfs")
    pk = Run.objects.get().pk
    page = client.get(f"/runs/{pk}/").content.decode()
    assert "tiny version 1" in page
    assert f'href="/sites/tiny/site.yaml?version={tiny.version}"' in page
    lanes = client.get(f"/runs/{pk}/gantt.json").json()["lanes"]
    assert lanes == ["c1 cores", "c2 cores", "f1 cores"]
    assert "f1 (fat)" in client.get(f"/runs/{pk}/tasks/4/").content.decode()


def test_placements_are_exported_with_the_names_of_their_nodes(trace: Path, tiny: Site, tmp_path: Path) -> None:
    run("--workload", trace, "--site", "tiny", "--policies", "fcfs")
    pk = str(Run.objects.get().pk)
    file = tmp_path / "results.csv"
    call_command("exportdata", "results", "--run", pk, "--format", "csv", "--output", str(file), stdout=StringIO())
    rows = list(csv.DictReader(file.open()))
    assert {row["node"]: row["node_name"] for row in rows} == {"0": "c1", "1": "c2", "2": "f1"}
    assert list(rows[0])[-1] == "node_name"


@pytest.fixture
def controller() -> Client:
    return client_that_controls_runs()


def test_the_form_and_the_api_take_a_site_in_place_of_a_cluster(trace: Path, tiny: Site, controller: Client) -> None:
    call_command("importworkload", str(trace), stdout=StringIO())
    workload = Workload.objects.get()
    form = controller.get("/runs/new/").content.decode()
    assert '<option value="tiny@1">tiny version 1</option>' in form
    asked = {"workload": workload.pk, "cluster": "auto", "policies": ["fcfs"], "site": "tiny@1", "add_nodes": "batch=1"}
    assert controller.post("/runs/new/", asked).status_code == 302
    stored = Run.objects.get()
    assert (stored.site, stored.cluster["groups"][0]["count"]) == (tiny, 3)
    refused = controller.post("/runs/new/", {**asked, "cluster": "hpc-4"})
    assert refused.status_code == 400
    assert "Give cluster or site, not both" in refused.content.decode()
    refused = controller.post("/runs/new/", {**asked, "add_nodes": "x=1"})
    assert "no node group or partition &#x27;x&#x27;" in refused.content.decode()


def test_tasks_that_can_never_start_are_refused_or_left_out_with_their_reasons(trace: Path, tiny: Site) -> None:
    trace.write_text(TASKS + "6,5,10,20,5,ann,big,5\n7,6,10,20,40,ann,batch,6\n8,7,10,9000,1,bob,batch,7\n")
    asked = ("--workload", trace, "--site", "tiny", "--policies", "fcfs")
    reasons = "by reason: BadConstraints 1, PartitionTimeLimit 1; the first: task 7 (BadConstraints), task 8"
    with pytest.raises(CommandError, match="2 of 8 tasks can never start on site tiny, ") as refused:
        run(*asked)
    assert reasons in str(refused.value)
    cautions = document(*asked, "--on-oversize", "drop")["cautions"]
    (caution,) = [one for one in cautions if one["kind"] == "never_starting"]
    assert caution["text"].startswith(f"2 of 8 tasks can never start on site tiny and are left out, {reasons}")
    assert sorted(placed()) == [1, 2, 3, 4, 5, 6]
    with pytest.raises(CommandError, match="On site tiny tasks are not cut to size"):
        run(*asked, "--on-oversize", "clamp")


def test_a_request_tries_fewer_tasks_on_a_site(
    trace: Path, tiny: Site, controller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace.write_text(TASKS + "6,6,10,20,40,ann,batch,6\n")
    call_command("importworkload", str(trace), stdout=StringIO())
    asked = {"workload": Workload.objects.get().pk, "cluster": "auto", "policies": ["fcfs"], "site": "tiny"}
    refused = controller.post("/runs/new/", asked)
    (sentence,) = refused.context["form"].errors["workload"]
    assert sentence.startswith("1 of 6 tasks can never start on site tiny, by reason: BadConstraints 1")
    monkeypatch.setattr("apps.live.play.playable.MOST_TRIED_ON_SITE", 5)
    assert controller.post("/runs/new/", asked).status_code == 302


def test_tasks_without_an_estimate_are_planned_by_their_partitions_time(trace: Path, tiny: Site) -> None:
    narrow = TASKS.replace("1,0,100,200,4", "1,0,100,200,2")
    trace.write_text(narrow.replace(",200,", ",,").replace(",60,", ",,").replace(",20,", ",,"))
    (caution,) = document("--workload", trace, "--site", "tiny", "--policies", "fcfs+easy")["cautions"]
    assert (caution["kind"], caution["policies"]) == ("perfect_estimates", ["fcfs+easy"])
    assert caution["text"].endswith("for 4 of them, and with the true run times for the other 1.")
    # When they were expected to end is not told at an instant, however it is found.
    stored = Run.objects.get()
    ends = {one["expected_until"] for one in instant_document(run_instant(stored, 4.0, "fcfs+easy"))["running"]}
    assert ends == {None}
    tasks = load_tasks(workload_id=stored.workload_id).workload
    played = play(tasks, tiny.as_site(), "fcfs+easy,sjf")
    assert np.isnan(played.state(4.0, "fcfs+easy").expected_until).all()
    assert played.state(4.0, "sjf").expected_until.tolist() == [100.0, 101.0, 53.0, 14.0]
    # By the run times it would end long before task 1 at 100, and begin beside it at 4; by an hour each it would not.
    assert placed("fcfs+easy")[5] == (101.0, 1)


def test_policies_that_sites_do_not_play_are_refused_before_anything_is_stored(
    trace: Path, tiny: Site, controller: Client
) -> None:
    with pytest.raises(CommandError, match="On a site nodes are chosen by their weights and numbers, not by @best_fit"):
        run("--workload", trace, "--site", "tiny", "--policies", "fcfs@best_fit")
    with pytest.raises(CommandError, match="slurm is a site's own scheduler: name a stored site"):
        run("--workload", trace, "--cluster", "hpc-8", "--policies", "fcfs,slurm")
    asked = {"workload": Workload.objects.get().pk, "policies": ["slurm"]}
    refused = controller.post("/runs/new/", {**asked, "cluster": "hpc-8"})
    assert "name a stored site" in refused.content.decode()
    assert not Run.objects.exists()
    assert controller.post("/runs/new/", {**asked, "site": "tiny"}).status_code == 302


def test_the_sites_own_scheduler_plays_with_its_parameters(trace: Path, tiny: Site) -> None:
    printed = document("--workload", trace, "--site", "tiny", "--policies", "slurm,slurm(bf_interval=60)")
    assert [row["tasks"] for row in printed["policies"]] == [5, 5]
    assert {node for number, (_, node) in placed("slurm").items() if number != 4} == {0, 1}
    call_command("verifyrun", str(Run.objects.get().pk), "--replay", stdout=StringIO())


DEPARTMENT = """
name: department
groups:
- {name: thin, hosts: "c[01-20]", cores: 64}
- {name: large, hosts: "m[01-02]", cores: 64}
- {name: a100, hosts: "a[01-04]", cores: 128, gpus: 4, gpu_type: a100}
- {name: v100, hosts: "v[01-04]", cores: 64, gpus: 4, gpu_type: v100}
partitions:
- {name: batch, hosts: "c[01-20],m[01-02]", is_default: true}
- {name: gpu, hosts: "a[01-04],v[01-04]"}
"""


def test_wide_jobs_of_an_accounting_file_stay_in_batch_and_wait_less_on_four_more_nodes(tmp_path: Path) -> None:
    site_store(site=sites.read_site(DEPARTMENT))
    header = "task_id,arrival_time,runtime,duration_estimate,cpus,nodes,tasks,tasks_per_node,queue"
    jobs = [f"{number},{60 * number},1000,1800,512,8,512,64,batch" for number in range(1, 13)]
    trace = tmp_path / "wide.csv"
    trace.write_text("\n".join([header, *jobs]) + "\n")
    asked = ("--workload", trace, "--site", "department", "--policies", "fcfs,slurm")
    before = document(*asked)
    stored = Run.objects.get()
    assert {name[0] for name in lanes(stored, "slurm") | lanes(stored, "fcfs")} == {"c"}
    after = document(*asked, "--add-nodes", "batch=4")
    for figures, fewer in zip(before["policies"], after["policies"], strict=True):
        assert fewer["mean_wait_time"] < 0.7 * figures["mean_wait_time"]


def lanes(run: Run, scheduler: str) -> set[str]:
    hosts = node_names(run)
    nodes = SchedulerResult.objects.filter(run=run, scheduler=scheduler).values_list("node", flat=True)
    return {hosts[node] for node in nodes}


def test_a_task_that_leaves_the_queue_unstarted_is_kept_apart_from_the_figures(tmp_path: Path, tiny: Site) -> None:
    tasks = tmp_path / "tasks.csv"
    tasks.write_text(
        "task_id,arrival_time,runtime,duration_estimate,cpus,queue,cancel_time,fails,needs_success,dependencies\n"
        "1,0,100,200,8,big,,,,\n"
        "2,1,100,200,8,big,50,,,\n"
        "3,2,10,200,4,batch,,true,,\n"
        "4,3,10,200,4,batch,,,true,3\n"
        "5,4,10,20,2,batch,,,,\n"
    )
    printed = document("--workload", tasks, "--site", "tiny", "--policies", "fcfs")
    (caution,) = [one for one in printed["cautions"] if one["kind"] == "left_unstarted"]
    assert caution["text"].startswith("Tasks were cancelled, or a task that they needed failed, before they started: 2")
    figures = Metric.objects.get(is_total=True)
    assert figures.finished_count == 3
    assert figures.mean_wait_time == 0.0
    stored = {row.task.task_id: row for row in SchedulerResult.objects.select_related("task")}
    assert (stored[2].node, stored[2].start_time, stored[2].finish_time, stored[2].attempts) == (-1, 50, 50, 0)
    assert stored[2].outcome == stored[4].outcome == "cancelled"
    assert stored[4].finish_time == 12.0
    call_command("verifyrun", Run.objects.get().pk, stdout=StringIO())
    out = tmp_path / "out.csv"
    call_command(
        "exportdata", "results", run=str(Run.objects.get().pk), format="csv", output=str(out), stdout=StringIO()
    )
    assert {row["task_id"]: row["node_name"] for row in csv.DictReader(out.open())}["2"] == ""
