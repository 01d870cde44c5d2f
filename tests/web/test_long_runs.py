"""What the pages of a run with too many placements for all to be read say: the Gantt chart and a task's story."""

from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.dashboard.schedule import around
from apps.metrics.models import Metric
from apps.results.models import Run, SchedulerResult, Stretch
from apps.results.stretches import pack_keys
from apps.tasks.models import Task

pytestmark = pytest.mark.django_db


@pytest.fixture
def long(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of five tasks that ends at 11 s, in three stretches; more than three tasks are not read of it at once."""
    keys = np.array(Task.objects.filter(workload=run.workload).order_by("task_id").values_list("pk", flat=True))
    Task.objects.filter(workload=run.workload).update(cpus=4, runtime=2, duration_estimate=2)
    for place, key in enumerate(keys.tolist()):
        times = {"start_time": 1 + 2 * place, "finish_time": 3 + 2 * place, "wait_time": place}
        SchedulerResult.objects.filter(run=run, task_id=key).update(**times)
    Stretch.objects.filter(run=run).delete()
    for scheduler in run.policies:
        for begin, rows in ((1, (0, 1)), (3, (0, 1, 2, 3, 4)), (8, (3, 4))):
            packed = pack_keys(keys[list(rows)])
            Stretch.objects.create(run=run, scheduler=scheduler, from_time=begin, packed=packed)
        whole = Metric.objects.filter(run=run, scheduler=scheduler)
        whole.update(window_start_time=1, window_end_time=11)
        for begin, use in ((1, 1.0), (6, 0.5)):
            Metric.objects.create(
                run=run,
                scheduler=scheduler,
                window_start_time=begin,
                window_end_time=begin + 5,
                cpu_utilisation=use,
                **dict.fromkeys(("arrived_count", "started_count", "finished_count"), 1),
            )
    monkeypatch.setattr(around, "WHOLE", 0)
    monkeypatch.setattr(around, "MOST_TASKS", 3)
    return run


def drawn(client: Client, run: Run, query: str = "") -> Any:
    response = client.get(f"/runs/{run.pk}/gantt.json?policy=fcfs&{query}")
    assert response.status_code == 200
    return response.json()


def test_a_window_of_a_long_run_is_drawn_from_its_tasks_alone(client: Client, long: Run) -> None:
    with CaptureQueriesContext(connection) as found:
        chart = drawn(client, long, "from=9&to=11")
    assert chart["level"] == "tasks"
    assert (chart["first"], chart["last"]) == (1, 11)
    assert [item[5] for item in chart["items"]] == [5]
    table = f'FROM "{SchedulerResult._meta.db_table}"'
    read = [one["sql"] for one in found.captured_queries if table in one["sql"].partition(" WHERE ")[0]]
    # By their keys, or by the range of keys that lie close together.
    assert read
    assert all('"task_id" IN (' in sql or '"task_id" <= ' in sql for sql in read)


def test_a_window_of_too_many_tasks_shows_how_much_was_in_use(client: Client, long: Run) -> None:
    chart = drawn(client, long)
    assert (chart["level"], chart["unit"], chart["lanes"]) == ("shades", "use", ["cores"])
    assert chart["items"] == [[0, 1, 6, 1.0], [0, 6, 11, 0.5]]
    assert chart["finding"].startswith("How much of the cores was in use under fcfs between 0 s and 10")
    assert "zoom in" in chart["finding"]
    part = drawn(client, long, "from=2&to=8")
    assert part["items"] == [[0, 2, 6, 1.0], [0, 6, 8, 0.5]]
    assert drawn(client, long, "from=8&to=2")["window_to"] == 11
    assert client.get(f"/runs/{long.pk}/gantt.csv?policy=fcfs").content.splitlines()[1].startswith(b"cores,1")
    assert b"at most 100% in use" in client.get(f"/runs/{long.pk}/gantt.svg?policy=fcfs").content


def test_without_stretches_the_newest_placements_are_drawn(
    client: Client, long: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Stretch.objects.filter(run=long).delete()
    monkeypatch.setattr(around, "MOST_TASKS", 7)
    chart = drawn(client, long)
    # The placements of the other policy were stored later.
    assert [item[5] for item in chart["items"]] == [4, 5]
    assert f"`manage.py squeue --run {long.pk} --index`" in chart["finding"]
    Run.objects.filter(pk=long.pk).update(status=Run.Status.RUNNING)
    assert chart["items"] == drawn(client, long)["items"]
    page = client.get(f"/runs/{long.pk}/tasks/3/").content.decode()
    assert "not told: in so long a run it is found once it is stored who was in the system when" in page


def test_a_task_that_waited_long_counts_what_started_late_in_its_wait(client: Client, long: Run) -> None:
    def said(task: int) -> str:
        return " ".join(client.get(f"/runs/{long.pk}/tasks/{task}/").content.decode().split())

    # It waited from 5 to 9; the last stretch, which alone is read, begins at 8.
    assert "what ran already; nothing else started meanwhile (told of its last 1.00 s alone)" in said(5)
    assert "nothing: it started as soon as it was ready" in said(1)
    assert "1 task that came before it" in said(3)


def test_a_stretch_of_too_many_tasks_is_not_read(client: Client, long: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(around, "MOST_AT_ONCE", 4)
    chart = drawn(client, long, "from=4&to=7")
    assert (chart["level"], chart["unit"]) == ("shades", "use")
    assert "tasks were in the system at once: it is not drawn where they ran" in chart["finding"]
    # It waited from 3 to 5, in the stretch of five tasks.
    page = " ".join(client.get(f"/runs/{long.pk}/tasks/3/").content.decode().split())
    assert "tasks were in the system at once" in page
    # The last stretch has two.
    assert drawn(client, long, "from=9&to=11")["level"] == "tasks"
