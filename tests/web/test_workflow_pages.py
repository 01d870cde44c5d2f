"""The page of a workflow: what hangs together, level by level, and the critical path of a policy's schedule."""

from typing import Any

import pytest
from django.test import Client

from apps.dashboard.instants.panel import clock_from_beginning
from apps.dashboard.schedule import workflow
from apps.dashboard.schedule.workflow import NoWorkflow, workflow_of
from apps.results.models import Run, SchedulerResult
from apps.tasks.models import Task, Workload
from tests.web.conftest import make_run

pytestmark = pytest.mark.django_db

PARENTS: dict[int, list[int]] = {2: [1], 3: [1], 4: [2, 3], 6: [5]}


@pytest.fixture
def run() -> Run:
    """Return a run of seven tasks: four that fork and join, two in a row, one alone; the third is on another node."""
    found = make_run(7)
    for number, parents in PARENTS.items():
        sent = [8.5] * len(parents) if number == 3 else None
        Task.objects.filter(workload=found.workload, task_id=number).update(
            dependencies=parents, dependency_mb=sent, group=f"kind{number}"
        )
    SchedulerResult.objects.filter(run=found, task__task_id=3).update(node=2)
    Workload.objects.filter(pk=found.workload_id).update(audit={"dependencies": 5})
    again: Run = Run.objects.select_related("workload").get(pk=found.pk)
    return again


def test_tasks_that_hang_together_lie_on_levels_and_the_last_parents_are_the_critical_path(run: Run) -> None:
    found = workflow_of(run, run.policies[0], 3)
    assert {box.number: box.level for box in found.boxes} == {1: 0, 2: 1, 3: 1, 4: 2}
    assert (found.total, found.levels, found.span) == (4, 3, 4.0)
    assert found.path == (1, 3, 4)
    assert [box.number for box in found.boxes if box.critical] == [1, 3, 4]
    assert [box.number for box in found.boxes if box.asked] == [3]
    assert {line.words for line in found.lines if line.crosses} == {
        "Task 1 to task 3, 8.5 MB, to another node",
        "Task 3 to task 4, to another node",
    }
    assert len({(box.x, box.y) for box in found.boxes}) == 4
    assert max(box.x for box in found.boxes) + workflow.BOX_WIDE < found.width
    assert {box.number for box in workflow_of(run, run.policies[0], 5).boxes} == {5, 6}


def test_the_page_draws_links_and_tables_them(run: Run, client: Client) -> None:
    page = client.get(f"/runs/{run.pk}/workflow/").content.decode()
    # Without a task it is the workflow of the first one that depends on another.
    assert "4 tasks hang together" in page
    assert page.count('class="box') == 4
    assert f'href="/runs/{run.pk}/tasks/4/"' in page
    assert "Task 3 (kind3): at 3 s, 1.00 s on node 2, on the critical path." in page
    assert 'style="' not in page.split("<main")[1]
    table = client.get(f"/runs/{run.pk}/workflow/", {"table": "tasks", "format": "csv"}).content.decode().splitlines()
    assert table[0].startswith("number,name,level,node")
    assert table[4].endswith(",2 3")
    for address in (f"/runs/{run.pk}/", f"/runs/{run.pk}/tasks/3/"):
        assert f"/runs/{run.pk}/workflow/" in client.get(address).content.decode()


def test_a_large_workflow_is_drawn_around_the_task_that_is_asked_for(run: Run, monkeypatch: Any) -> None:
    monkeypatch.setattr(workflow, "MOST_DRAWN", 3)
    found = workflow_of(run, run.policies[0], 4)
    assert {box.number for box in found.boxes} == {4, 2, 3}
    assert "4 tasks hang together" in found.finding
    assert "Drawn are the 3 nearest to task 4, on 2 levels of their own. From the drawn ones' first" in found.finding
    # Of those drawn, two wait for the task that is not.
    assert {box.number: box.parents for box in found.boxes} == {2: (1,), 3: (1,), 4: (2, 3)}
    assert len(found.lines) == 2


def test_instants_are_told_after_the_first_arrival_and_exported_with_all_their_digits(run: Run, client: Client) -> None:
    epoch = 1_700_000_000.25
    for one in SchedulerResult.objects.filter(run=run):
        SchedulerResult.objects.filter(pk=one.pk).update(
            start_time=epoch + one.start_time, finish_time=epoch + one.finish_time
        )
    Workload.objects.filter(pk=run.workload_id).update(first_arrival_time=epoch)
    page = client.get(f"/runs/{run.pk}/workflow/").content.decode()
    assert "Task 3 (kind3): at 3 s, 1.00 s" in page
    assert '<td class="number">4 s</td>' in page
    rows = client.get(f"/runs/{run.pk}/workflow/", {"table": "tasks", "format": "json"}).json()
    assert [(row["start_time"], row["finish_time"]) for row in rows][2] == (epoch + 3, epoch + 4)


def test_a_run_of_figures_alone_says_that_it_keeps_no_times(run: Run) -> None:
    SchedulerResult.objects.filter(run=run).delete()
    run.configuration["keep"] = "summary"
    found = workflow_of(run, run.policies[0], 3)
    assert "This run keeps its figures only" in found.finding
    assert {box.when for box in found.boxes} == {"not kept"}


def test_long_names_are_cut_short_in_the_picture_alone(run: Run) -> None:
    Task.objects.filter(workload=run.workload, task_id=2).update(task_id=1_000_000, group="WIDEMAPMERGEWIDE")
    box = workflow_of(run, run.policies[0], 1_000_000).boxes[-1]
    assert (box.name, box.label) == ("WIDEMAPMERGEWIDE", "WIDEMAP…")


def test_the_critical_path_is_drawn_on_top(run: Run) -> None:
    assert [line.critical for line in workflow_of(run, run.policies[0], 3).lines] == [False, False, True, True]


def test_tasks_that_are_not_placed_are_drawn_without_a_time(run: Run) -> None:
    SchedulerResult.objects.filter(run=run, task__task_id__in=(3, 4)).delete()
    found = workflow_of(run, run.policies[0], 1)
    assert found.span is None
    assert found.path == (1, 2)
    assert [box.when for box in found.boxes][2:] == ["not placed", "not placed"]
    assert "Not all of them are placed." in found.finding


def test_where_there_is_no_workflow_the_page_says_so(run: Run, client: Client, monkeypatch: Any) -> None:
    assert "depends on no other task" in client.get(f"/runs/{run.pk}/workflow/", {"task": "7"}).content.decode()
    with pytest.raises(NoWorkflow):
        workflow_of(run, run.policies[0], 7)
    monkeypatch.setattr(workflow, "MOST_READ", 2)
    assert "their workflows are not drawn" in client.get(f"/runs/{run.pk}/workflow/").content.decode()
    Workload.objects.filter(pk=run.workload_id).update(audit={})
    # An import that counted no dependencies: the tasks are not read.
    assert "depends on no other task" in client.get(f"/runs/{run.pk}/workflow/", {"task": "7"}).content.decode()
    assert "No task of this workload" in client.get(f"/runs/{run.pk}/workflow/").content.decode()


@pytest.mark.parametrize("query", [{"task": "99"}, {"policy": "nobody"}, {"table": "others"}])
def test_what_there_is_not_is_not_found(run: Run, client: Client, query: dict[str, str]) -> None:
    assert client.get(f"/runs/{run.pk}/workflow/", query).status_code == 404


def test_instants_of_a_trace_on_its_own_clock_are_told_after_the_first_arrival() -> None:
    run = Run(workload=Workload(first_arrival_time=1.7e9), configuration={})
    told = clock_from_beginning(run, 1.7e9 + 3600)
    assert [told(None), told(1.7e9), told(1.7e9 + 75.5)] == ["", "0 s", "75.5 s"]
    assert clock_from_beginning(run, 1.7e9 + 9e5)(1.7e9 + 90061.0) == "1-01:01:01"
    run.configuration["begin_time"] = 1.7e9 + 100
    assert clock_from_beginning(run, 1.7e9 + 9e5)(1.7e9 + 90) == "-0:10"
