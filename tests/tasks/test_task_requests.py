"""What tasks ask of a site, stored and read back, on every way out."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.tasks import services
from apps.tasks.digests import tasks_digest
from apps.tasks.errors import WorkloadError
from apps.tasks.models import Task, TaskRequest, Workload
from scheduler_sim import engine
from scheduler_sim.engine.traces import Audit
from scheduler_sim.engine.workloads.requests import NAMES
from scheduler_sim.engine.workloads.workload import Labels, Requests
from tests.results.rows import make_queued_run
from tests.workloads import assert_same, random_requests

pytestmark = pytest.mark.django_db


def tasks_with_requests(length: int = 40, seed: int = 1) -> engine.Workload:
    """Return tasks whose numbers do not follow their arrivals."""
    generator = np.random.default_rng(seed)
    arrivals = np.round(np.sort(1000 * generator.random(length)), 3)
    workload = engine.Workload.from_columns(
        task_id=generator.permutation(length) + 1,
        arrival_time=arrivals,
        runtime=np.round(100 * generator.random(length), 3),
        cpus=generator.integers(1, 64, length),
        gpus=generator.integers(0, 2, length),
        memory_mb=generator.integers(1, 1000, length),
    )
    return replace(workload, requests=random_requests(workload.arrival_time, seed))


def stored_tasks(tasks: engine.Workload, name: str) -> Workload:
    """Store tasks."""
    audit = Audit(read=len(tasks))
    audit.measure(tasks, None)
    return services._store(tasks=tasks, audit=audit, name=name, source="csv")


def test_requests_read_back_as_they_were() -> None:
    tasks = tasks_with_requests()
    stored = stored_tasks(tasks, "asked")
    assert_same(stored.tasks.as_workload(), tasks)
    assert tasks_digest(stored.tasks.as_workload()) == tasks_digest(tasks)
    assert stored.states_requests()


def test_a_slice_has_the_requests_of_its_tasks() -> None:
    tasks = tasks_with_requests()
    stored_tasks(tasks_with_requests(seed=2), "before")
    stored = stored_tasks(tasks, "asked")
    stored_tasks(tasks_with_requests(seed=3), "after")
    assert_same(stored.tasks.in_canonical_order()[:7].as_workload(), tasks.head(7))
    rows = np.flatnonzero(tasks.cpus > 20)
    assert_same(stored.tasks.filter(cpus__gt=20).as_workload(), tasks.take(rows))


def test_a_workload_that_asks_for_nothing_has_no_such_rows() -> None:
    tasks = tasks_with_requests()
    silent = replace(tasks, requests=Requests.blank(len(tasks)))
    stored = stored_tasks(silent, "silent")
    assert not TaskRequest.objects.exists()
    assert not stored.states_requests()
    assert stored.tasks.as_workload().requests is None
    assert "requests" not in stored.audit


def test_the_digest_of_tasks_holds_their_requests_and_is_as_it_was_without_them() -> None:
    tasks = tasks_with_requests()
    requests = tasks.requests
    assert requests is not None
    without = replace(tasks, requests=None)
    assert tasks_digest(without) == "79912e36ae11e3b5923c310555a2df686dde793ba260826ba53e5dd4b1cac4b4"
    seen = {tasks_digest(tasks), tasks_digest(without)}
    for name, column in requests.columns().items():
        if isinstance(column, Labels):
            changed: Any = Labels.from_texts(["other", *column.texts()[1:]])
        else:
            changed = column.copy()
            changed[0] = not changed[0] if column.dtype == bool else 77
        seen.add(tasks_digest(replace(tasks, requests=replace(requests, **cast(Any, {name: changed})))))
    assert len(seen) == 2 + len(requests.columns())


def test_deleting_a_workload_deletes_what_its_tasks_ask_for() -> None:
    kept = stored_tasks(tasks_with_requests(), "kept")
    gone = stored_tasks(tasks_with_requests(seed=2), "gone")
    gone.delete()
    assert set(TaskRequest.objects.values_list("task__workload", flat=True)) == {kept.pk}
    assert TaskRequest.objects.count() == Task.objects.count() == kept.task_count


@pytest.mark.parametrize(("column", "text"), [("qos", "a" * 101), ("features", "b" * 501), ("partitions", "a\0b")])
def test_a_text_that_cannot_be_stored_is_refused_with_its_column(column: str, text: str) -> None:
    tasks = tasks_with_requests()
    assert tasks.requests is not None
    texts = Labels.from_texts([text] * len(tasks))
    with pytest.raises(WorkloadError, match=f"Column {column} holds a"):
        stored_tasks(replace(tasks, requests=replace(tasks.requests, **cast(Any, {column: texts}))), "long")
    assert not Workload.objects.exists()


def test_the_audit_says_how_many_tasks_ask_for_what() -> None:
    tasks = tasks_with_requests()
    assert tasks.requests is not None
    stored = stored_tasks(tasks, "asked")
    assert stored.audit["requests"] == tasks.requests.stated()
    assert stored.audit["requests"]["nodes"] == TaskRequest.objects.filter(nodes__gt=0).count()
    assert stored.audit["requests"]["requeueable"] == TaskRequest.objects.filter(requeueable=False).count()


def test_whether_requests_are_stated_is_asked_of_one_task() -> None:
    stored = stored_tasks(tasks_with_requests(), "asked")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        stored.states_requests()
    assert len(queries) == 1


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("seed", range(3))
def test_an_export_read_again_is_the_same_workload(tmp_path: Path, kind: str, seed: int) -> None:
    tasks = tasks_with_requests(seed=seed)
    stored_tasks(tasks, "asked")
    path = tmp_path / f"tasks.{kind}"
    options = ["--raw"] if kind == "csv" else []
    call_command("exportdata", "tasks", "--workload", "asked", "--format", kind, "--output", str(path), *options)
    again, created = services.workload_import(file=path)
    assert created
    assert_same(again.tasks.as_workload(), tasks)
    assert not again.audit["repaired"]


def test_an_export_of_a_workload_that_asks_for_nothing_has_no_columns_of_requests(tmp_path: Path) -> None:
    stored_tasks(replace(tasks_with_requests(), requests=None), "silent")
    path = tmp_path / "tasks.jsonl"
    call_command("exportdata", "tasks", "--workload", "silent", "--format", "jsonl", "--output", str(path))
    assert not set(json.loads(path.read_text().splitlines()[0])) & set(NAMES)


def test_the_api_shows_what_a_task_asks_for_and_null_where_its_workload_does_not_say(client: Client) -> None:
    tasks = tasks_with_requests()
    stored = stored_tasks(tasks, "asked")
    silent = stored_tasks(replace(tasks, requests=None), "silent")
    rows = client.get(f"/api/v1/tasks/?workload={stored.pk}&ordering=arrival_time").json()["results"]
    assert tasks.requests is not None
    assert [row["nodes"] for row in rows] == tasks.requests.nodes.tolist()
    assert [row["features"] for row in rows] == tasks.requests.features.texts().tolist()
    assert client.get(f"/api/v1/tasks/{rows[0]['id']}/").json() == rows[0]
    others = client.get(f"/api/v1/tasks/?workload={silent.pk}").json()["results"]
    assert all(row[name] is None for row in others for name in NAMES)


def test_the_admin_shows_what_a_task_asks_for(admin_client: Client) -> None:
    stored_tasks(tasks_with_requests(), "asked")
    task = Task.objects.filter(request__features="skylake&ib")[:1].get()
    page = admin_client.get(f"/admin/tasks/task/{task.pk}/change/").content.decode()
    assert "skylake&amp;ib" in page


def test_the_pages_show_what_is_asked_for_and_nothing_where_nothing_is(client: Client) -> None:
    tasks = tasks_with_requests(8)
    assert tasks.requests is not None
    asked = Requests.blank(8, nodes=np.arange(8), qos=Labels.from_texts(["high"] * 8), requeueable=np.arange(8) > 1)
    stored = stored_tasks(replace(tasks, requests=asked), "asked")
    page = client.get(f"/workloads/{stored.pk}/").content.decode()
    assert "What tasks ask of a site" in page
    lines = client.get(f"/workloads/{stored.pk}/?table=requests&format=json").json()
    assert [(line["column"], line["what"], line["tasks"], line["share"]) for line in lines] == [
        ("nodes", "nodes", 7, 0.875),
        ("qos", "QOS", 8, 1.0),
        ("requeueable", "requeueable", 2, 0.25),
    ]
    silent = stored_tasks(replace(tasks, requests=None), "silent")
    assert "What tasks ask of a site" not in client.get(f"/workloads/{silent.pk}/").content.decode()

    run = make_queued_run(stored)
    number = int(tasks.task_id[1])
    page = client.get(f"/runs/{run.pk}/tasks/{number}/").content.decode()
    facts = dict(re.findall(r"<dt>(.*?)</dt>\s*<dd>(.*?)</dd>", page, re.DOTALL))
    assert {name: facts.get(name) for name in ("Nodes", "QOS", "Requeueable", "Exclusive")} == {
        "Nodes": "1",
        "QOS": "high",
        "Requeueable": "no",
        "Exclusive": None,
    }
    quiet = make_queued_run(silent, "quiet")
    assert "<dt>QOS</dt>" not in client.get(f"/runs/{quiet.pk}/tasks/{number}/").content.decode()


def test_the_import_prints_how_many_tasks_ask_for_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("arrival_time,runtime,cpus,nodes,qos\n0,1,4,2,high\n1,1,4,,low\n2,1,1,,\n")
    call_command("importworkload", str(path))
    printed = capsys.readouterr().err
    assert "What tasks ask of a site" in printed
    assert re.search(r"nodes\W+1\W+33\.3%", printed)
    assert re.search(r"QOS\W+2\W+66\.7%", printed)
