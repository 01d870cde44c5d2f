"""Replays that begin in the middle of a trace."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.dashboard.schedule.placements import placements
from apps.results.models import Run, SchedulerResult
from tests.files import written

pytestmark = pytest.mark.django_db(transaction=True)

TASKS = """task_id,arrival_time,runtime,duration_estimate,cpus,recorded_start_time
1,0,100,200,4,0
2,1,100,200,4,1
3,2,100,200,4,100
4,3,50,60,8,3
5,4,10,20,2,101
"""


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return written(tmp_path / "tasks.csv", TASKS)


def document(*arguments: object) -> dict[str, Any]:
    out = StringIO()
    call_command("runsimulation", *map(str, arguments), "--json", stdout=out, verbosity=0)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_what_ran_holds_its_nodes_and_what_waited_is_there(trace: Path, client: Client) -> None:
    printed = document("--workload", trace, "--cluster", "hpc-8", "--policies", "fcfs,sjf", "--begin-time", 60)
    (caution,) = [one for one in printed["cautions"] if one["kind"] == "already_running"]
    assert caution["text"] == (
        "Tasks were there before the replay begins, at 60 s. Running: 2; they hold their nodes from their recorded "
        "start, and count as never waiting. Waiting: 2; their waits count from then on. Ended, and left out: 1."
    )
    rows = SchedulerResult.objects.filter(scheduler="sjf").values_list("task__task_id", "start_time", "wait_time")
    assert sorted(rows) == [(1, 0.0, 0.0), (2, 1.0, 0.0), (3, 101.0, 41.0), (5, 100.0, 40.0)]
    run = Run.objects.get()
    call_command("verifyrun", str(run.pk), "--replay", stdout=StringIO())
    assert "Running: 2; they hold their nodes" in client.get(f"/runs/{run.pk}/").content.decode()
    told = placements(run, "sjf")
    assert dict(zip(told.number.tolist(), told.arrival.tolist(), strict=True)) == {1: 0.0, 2: 1.0, 3: 60.0, 5: 60.0}


def test_tasks_that_ran_may_wait_as_any_other(trace: Path) -> None:
    options = ("--begin-time", 60, "--already-running", "queue")
    document("--workload", trace, "--cluster", "hpc-8", "--policies", "fcfs", *options)
    assert min(SchedulerResult.objects.values_list("start_time", flat=True)) == 60.0


def test_an_instant_at_which_nothing_is_left_is_refused(trace: Path) -> None:
    with pytest.raises(CommandError, match="All tasks had ended at begin_time 9000"):
        document("--workload", trace, "--cluster", "hpc-8", "--policies", "fcfs", "--begin-time", 9000)
    assert not Run.objects.exists()
