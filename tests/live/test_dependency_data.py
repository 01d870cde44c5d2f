"""Data on dependencies travels: stored, exported, read again, digested, shown, and missed where nothing carries it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

from apps.results.models import Run
from apps.tasks.digests import tasks_digest
from apps.tasks.models import Task, Workload
from apps.tasks.services import workload_import
from scheduler_sim.engine.traces import read_trace
from tests.workloads import assert_same

pytestmark = pytest.mark.django_db

LINES = "task_id,arrival_time,runtime,dependencies,dependency_mb\n1,0,4,,\n2,0,10,1,8\n3,1,10,1 2,8 0.1\n4,1,5,3,\n"


@pytest.fixture
def sending(tmp_path: Path) -> Workload:
    """Return tasks of which two are sent something."""
    file = tmp_path / "flow.csv"
    file.write_text(LINES)
    return workload_import(file=file, name="flow")[0]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_export_comes_back_with_what_is_sent(sending: Workload, tmp_path: Path, suffix: str) -> None:
    assert [task.dependency_mb for task in Task.objects.order_by("task_id")] == [None, [8.0], [8.0, 0.1], None]
    assert sending.audit["sent_mb"] == sending.sent_mb == 16.1
    file, again = tmp_path / f"out.{suffix}", tmp_path / f"again.{suffix}"
    call_command("exportdata", "tasks", workload="flow", format=suffix, output=str(file), verbosity=0)
    back, _ = workload_import(file=file, name="back")
    assert_same(back.tasks.as_workload(), sending.tasks.as_workload())
    call_command("exportdata", "tasks", workload="back", format=suffix, output=str(again), verbosity=0)
    assert again.read_bytes() == file.read_bytes()


def test_a_part_of_the_rows_keeps_what_its_parents_send(sending: Workload) -> None:
    some = sending.tasks.filter(task_id__gt=1).as_workload()
    assert some.dependencies() == [[], [2], [3]]
    assert some.dependency_mb() == [[], [0.1], [0.0]]


def test_what_is_sent_is_part_of_the_digest_and_nothing_is_where_nothing_is_sent(
    sending: Workload, tmp_path: Path
) -> None:
    tasks = sending.tasks.as_workload()
    without = replace(tasks, parents=replace(tasks.parents, mb=None))
    assert tasks_digest(tasks) != tasks_digest(without)
    file = tmp_path / "plain.csv"
    file.write_text("task_id,arrival_time,runtime,dependencies\n1,0,4,\n2,0,10,1\n")
    plain, _ = workload_import(file=file, name="plain")
    assert "sent_mb" not in plain.audit
    assert plain.tasks.as_workload().parents.mb is None
    call_command("exportdata", "tasks", workload="plain", format="csv", output=str(tmp_path / "out.csv"), verbosity=0)
    assert "dependency_mb" not in (tmp_path / "out.csv").read_text().splitlines()[0]


def test_amounts_that_mean_nothing_are_counted_and_taken_as_nothing(tmp_path: Path) -> None:
    file = tmp_path / "odd.csv"
    file.write_text(
        "task_id,arrival_time,runtime,dependencies,dependency_mb\n1,0,4,,\n2,0,4,1,-5\n3,0,4,1,much\n4,0,4,1 2,7\n"
        "5,0,4,1,[2.5]\n"
    )
    trace = read_trace(file)
    assert trace.workload.dependency_mb() == [[], [0], [0], [0, 0], [2.5]]
    assert trace.audit.repaired["unusable_amount"].places == [3, 4, 5]


@pytest.mark.django_db(transaction=True)
def test_a_run_plays_verifies_and_says_where_nothing_carries_the_data(
    sending: Workload, tmp_path: Path, client: Client
) -> None:
    cluster = tmp_path / "linked.yaml"
    document = {"name": "linked", "groups": [{"name": "n", "count": 2, "cores": 1}]}
    network = {"bandwidth_mb_per_second": 2, "latency_seconds": 1}
    policies = "fcfs+list,heft(plan=insertion),fcfs+conservative"
    for name, more in (("linked", {"network": network}), ("bare", {})):
        cluster.write_text(json.dumps(document | more))
        call_command("runsimulation", "--workload", "flow", "--cluster", str(cluster), "--policies", policies,
                     "--name", name, verbosity=0)  # fmt: skip
        call_command("verifyrun", name, verbosity=0)
    linked, bare = Run.objects.get(name="linked"), Run.objects.get(name="bare")
    assert linked.cluster["network"] == {"bandwidth_mb_per_second": 2, "latency_seconds": 1}
    assert [one["kind"] for one in linked.cautions if one["kind"] == "no_network"] == []
    [caution] = [one for one in bare.cautions if one["kind"] == "no_network"]
    assert caution["text"] in client.get(f"/runs/{bare.pk}/").content.decode()
    ends = dict(linked.results.filter(scheduler="fcfs+list").values_list("task__task_id", "finish_time"))
    assert ends[1] == 4
    page = client.get(f"/workloads/{sending.pk}/").content.decode()
    assert "sending 16.1 MB" in page
