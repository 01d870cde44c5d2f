"""Which nodes tasks on several of them held: kept with a run, found by task, checked against what each node has."""

import csv
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection
from rest_framework.test import APIClient

from apps.dashboard.schedule.gantt import Window, gantt
from apps.dashboard.schedule.picture import gantt_picture
from apps.dashboard.schedule.placements import placements
from apps.dashboard.schedule.task_story import task_story
from apps.live.checking.integrity import run_check
from apps.live.exchange import host_lists
from apps.live.exchange.exports import attempts_export, results_export
from apps.live.exchange.streams import stream
from apps.live.instants.instant import run_index
from apps.live.play.sites import host_list
from apps.results.api import SchedulerResultViewSet
from apps.results.models import Attempt, GangBlock, Run, SchedulerResult, Stretch
from apps.results.services import gangs_store, run_delete
from apps.results.stretches import pack_keys
from apps.tasks.models import Task
from scheduler_sim.engine.gangs import RANGE, Gangs
from tests.files import written
from tests.workloads import random_trace

pytestmark = pytest.mark.django_db(transaction=True)

POLICIES = "fcfs+list,srtf"


def job(generator: np.random.Generator, number: int, arrival: int) -> str:
    """Return a task of one GPU up to two and a half nodes of eight."""
    gpus = int(generator.choice([1, 4, 8, 11, 16, 20]))
    return f"{number},{arrival},{generator.integers(1, 90)},{gpus},{2 * gpus}"


def table(jobs: int, seed: int) -> str:
    return random_trace("task_id,arrival_time,runtime,gpus,cpus", jobs, seed, apart=10, line=job)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    trace = written(tmp_path / "jobs.csv", table(60, 1))
    options = ("--workload", str(trace), "--cluster", "dgx-3", "--policies", POLICIES)
    call_command("runsimulation", *options, stdout=StringIO(), verbosity=0)
    return Run.objects.latest("pk")


def keys_asking_for_several(run: Run) -> list[int]:
    rows = SchedulerResult.objects.filter(run=run, scheduler="srtf", task__gpus__gt=8)
    return sorted(rows.values_list("task_id", flat=True))


def numbers_of(keys: list[int]) -> set[int]:
    return set(Task.objects.filter(pk__in=keys).values_list("task_id", flat=True))


def forget(run: Run) -> None:
    """Leave of a run what one of before has."""
    GangBlock.objects.filter(run=run).delete()
    digests = {name: digest for name, digest in (run.digests or {}).items() if name != "gangs"}
    Run.objects.filter(pk=run.pk).update(digests=digests)


def test_every_task_on_several_nodes_is_kept_with_what_it_held_of_each(run: Run) -> None:
    assert run.knows_gangs
    keys = keys_asking_for_several(run)
    assert len(keys) > 10
    for scheduler in run.policies:
        gangs = GangBlock.objects.of_tasks(run, scheduler, np.array(keys))
        assert sorted(set(gangs.task.tolist())) == keys
        placed = {row.task_id: row for row in SchedulerResult.objects.filter(run=run, scheduler=scheduler)}
        pieces = gangs.pieces()
        for place, (key, start, end) in enumerate(
            zip(gangs.task.tolist(), gangs.start_time, gangs.end_time, strict=True)
        ):
            row = placed[key]
            assert row.start_time <= start <= end <= row.finish_time
            mine = pieces[pieces.span == place]
            assert mine.gpus.sum() == 1000 * row.task.gpus
            assert (mine.cpus <= 128_000).all()
            assert len(mine) == -(-int(row.task.gpus) // 8)
            if row.attempts in (None, 1) and scheduler == "fcfs+list":
                assert (start, end, mine.node[0]) == (row.start_time, row.finish_time, row.node)
        alone = [key for key in placed if key not in keys]
        assert len(GangBlock.objects.of_tasks(run, scheduler, np.array(alone))) == 0
    assert Attempt.objects.filter(run=run, task_id__in=keys).exists(), "srtf stopped none of them"


def test_blocks_are_cut_between_tasks_and_found_by_any_of_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = np.array(keys_asking_for_several(run))
    whole = GangBlock.objects.of_tasks(run, "srtf", keys)
    monkeypatch.setattr("apps.results.services.SPANS_TOGETHER", 3)
    gangs_store(run=run, scheduler="srtf", gangs=whole)
    blocks = list(GangBlock.objects.of_policy(run, "srtf"))
    assert len(blocks) > 3
    tasks = [set(block.gangs.task.tolist()) for block in blocks]
    assert sum(map(len, tasks)) == len(keys), "a task is in two blocks"
    for some in (keys, keys[::2], keys[:1], keys[-1:]):
        found = GangBlock.objects.of_tasks(run, "srtf", some)
        assert found.packed() == whole[np.flatnonzero(np.isin(whole.task, some))].packed()


def test_blocks_and_stretches_are_packed_before_anybody_is_kept_from_writing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_then: list[bool] = []

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any) -> Any:
            open_then.append(connection.in_atomic_block)
            return function(*given)

        return noted

    def stored() -> list[tuple[int, bytes]]:
        stretches = [(one.pk, bytes(one.packed)) for one in Stretch.objects.filter(run=run)]
        return [*stretches, *((one.pk, bytes(one.packed)) for one in GangBlock.objects.of_policy(run, "srtf"))]

    before = stored()
    monkeypatch.setattr(Gangs, "in_order", noting(Gangs.in_order))
    monkeypatch.setattr(Gangs, "packed", noting(Gangs.packed))
    monkeypatch.setattr("apps.results.services.pack_keys", noting(pack_keys))
    whole = GangBlock.objects.of_tasks(run, "srtf", np.array(keys_asking_for_several(run)))
    gangs_store(run=run, scheduler="srtf", gangs=whole)
    assert open_then == [False, False]
    run_index(run=run)
    assert len(open_then) == 2 + Stretch.objects.filter(run=run).count()
    assert not any(open_then)
    after = stored()
    assert [packed for _, packed in after] == [packed for _, packed in before]
    assert not {pk for pk, _ in after} & {pk for pk, _ in before}, "nothing was stored anew"


def test_a_run_is_whole_and_a_node_that_holds_too_much_is_found(run: Run) -> None:
    found = run_check(run=run, replay=True)
    assert (found.faults, found.notes) == ((), ())
    block = GangBlock.objects.of_policy(run, "fcfs+list")[0]
    gangs = block.gangs
    more = gangs.ranges.copy()
    more["gpus"][1] += 8000
    other = gangs.ranges.copy()
    other["node"][0] += 1
    for ranges, sentence in ((more, "GPUs at"), (other, "not those that its placements tell of")):
        altered = Gangs(gangs.task, gangs.start_time, gangs.end_time, gangs.offsets, ranges.astype(RANGE))
        GangBlock.objects.filter(pk=block.pk).update(packed=altered.packed())
        faults = run_check(run=run).faults
        assert any(sentence in fault for fault in faults), faults
        assert any("held are not what the run ended with" in fault for fault in faults)
    GangBlock.objects.filter(pk=block.pk).update(packed=block.packed)
    assert run_check(run=run).is_whole


def test_a_run_of_before_says_that_it_does_not_know(run: Run) -> None:
    forget(run)
    found = run_check(run=run)
    assert found.is_whole
    assert any("before it was kept which nodes" in note for note in found.notes)
    assert not Run.objects.get(pk=run.pk).knows_gangs


def test_what_gangs_held_goes_with_its_run(run: Run) -> None:
    assert GangBlock.objects.filter(run=run).exists()
    run_delete(run=run)
    assert not GangBlock.objects.exists()


def busiest(run: Run, scheduler: str) -> tuple[SchedulerResult, float]:
    """Return a placement of a task on three nodes, and an instant at which it runs."""
    rows = SchedulerResult.objects.filter(run=run, scheduler=scheduler, task__gpus=20).select_related("task")
    row = rows.order_by("task__task_id")[0]
    return row, (row.start_time + row.finish_time) / 2


def test_an_instant_tells_all_nodes_of_a_task_and_what_each_node_has_free(run: Run) -> None:
    row, time = busiest(run, "fcfs+list")
    url = f"/api/v1/runs/{run.pk}/at/{time!r}/"
    document = APIClient().get(url).json()
    mine = next(task for task in document["running"] if task["task_id"] == row.task.task_id)
    assert (mine["nodes"], mine["node_name"]) == ("node[0-2]", "node0")
    held = sum(task["gpus"] for task in document["running"])
    assert sum(node["gpus"] for node in document["free_by_node"]) == 24 - held == document["free_gpus"]
    assert not any("lowest" in note for note in document["notes"])
    out = StringIO()
    call_command("squeue", "--run", str(run.pk), "--at", repr(time), stdout=out)
    line = next(line for line in out.getvalue().splitlines() if line.split()[0] == str(row.task.task_id))
    assert line.split()[-2:] == ["3", "node[0-2]"]
    forget(run)
    before = APIClient().get(url).json()
    mine = next(task for task in before["running"] if task["task_id"] == row.task.task_id)
    assert (mine["nodes"], before["free_by_node"]) == ("node0", None)
    assert any("the lowest is stored" in note for note in before["notes"])


def test_exports_and_the_api_list_all_nodes_of_a_placement(run: Run) -> None:
    scheduler = run.policies[0]
    row, _ = busiest(run, scheduler)
    address = f"/api/v1/results/?run={run.pk}&scheduler={scheduler.replace('+', '%2B')}&page_size=100"
    told = {one["task_id"]: one["nodes"] for one in APIClient().get(address).json()["results"]}
    text = b"".join(stream(results_export(run), "csv")).decode()
    rows = {(one["scheduler"], int(one["task_id"])): one for one in csv.DictReader(StringIO(text))}
    exported = {number: one["nodes"] for (name, number), one in rows.items() if name == scheduler}
    assert told == {number: exported[number] for number in told}
    assert told[row.task.task_id] == "node[0-2]"
    assert any(one["nodes"] == f"node{one['node']}" for one in rows.values()), "nobody is on one node alone"
    assert APIClient().get(f"/api/v1/results/{row.pk}/").json()["nodes"] == "node[0-2]"
    attempts = b"".join(stream(attempts_export(run), "csv")).decode()
    assert any(one["nodes"] == "node[0-2]" for one in csv.DictReader(StringIO(attempts)))
    forget(run)
    run.refresh_from_db()
    assert {one["nodes"] for one in APIClient().get(address).json()["results"]} == {""}


def test_a_placement_whose_run_is_deleted_meanwhile_is_told_without_nodes(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, _ = busiest(run, run.policies[0])
    read = SchedulerResultViewSet.row

    def read_then_deleted(self: Any, key: str) -> Any:
        found = read(self, key)
        run_delete(run=run)
        return found

    monkeypatch.setattr(SchedulerResultViewSet, "row", read_then_deleted)
    answer = APIClient().get(f"/api/v1/results/{row.pk}/")
    assert (answer.status_code, answer.json()["nodes"]) == (200, None)


def test_the_host_list_of_a_node_is_made_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[list[int]] = []

    def told(nodes: Any, hosts: tuple[str, ...]) -> str:
        made.append(list(nodes))
        return host_list(made[-1], hosts)

    monkeypatch.setattr(host_lists, "host_list", told)
    places = [("elsewhere", key, 1.0, key % 3 - 1) for key in range(60)]
    assert host_lists.HostLists(run).of(places) == ["", "node0", "node1"] * 20
    assert made == [[0], [1]]


def test_the_chart_draws_a_task_on_each_of_its_nodes(run: Run) -> None:
    for scheduler in run.policies:
        row, time = busiest(run, scheduler)
        chart = gantt(run, scheduler, placements(run, scheduler), Window(start=time, end=time + 1e-6))
        mine = [item for item in chart.items if item[5] == row.task.task_id]
        assert {chart.lanes[item[0]] for item in mine} == {f"node {node} GPU 0" for node in range(3)}
        assert sorted(item[7] for item in mine) == [4.0, 8.0, 8.0]
        assert "is drawn on each of them" in chart.finding
        picture = gantt_picture(chart, "svg")
        assert all(f"node {node} GPU 0".encode() in picture for node in range(3))
    whole = gantt(run, "srtf", placements(run, "srtf"), Window())
    spans = GangBlock.objects.of_tasks(run, "srtf", np.array(keys_asking_for_several(run)))
    several = [item for item in whole.items if item[5] in numbers_of(spans.task.tolist())]
    assert len(several) == int(spans.node_counts.sum()), "a span is missing on a node"
    forget(run)
    run.refresh_from_db()
    chart = gantt(run, "srtf", placements(run, "srtf"), Window())
    assert "drawn on its first one: the run was played before the others were kept" in chart.finding


def test_a_tasks_page_lists_its_nodes(run: Run) -> None:
    row, _ = busiest(run, "fcfs+list")
    assert "3 nodes: node[0-2] (dgx)" in [one.where for one in task_story(run, row.task).outcomes]
    forget(run)
    run.refresh_from_db()
    assert all("the others were not kept" in one.where for one in task_story(run, row.task).outcomes)
