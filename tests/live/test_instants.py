"""A stored run at any instant: found by its stretches, equal to the schedule, printed as squeue prints it."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from apps.live.exchange.instants import instant_document
from apps.live.instants import instant as instants
from apps.live.instants import stored as instants_read
from apps.live.instants.instant import run_instant
from apps.results.models import Run, SchedulerResult, Stretch
from apps.results.services import stretches_store
from apps.results.stretches import pack_keys, unpack_keys
from apps.tasks.stored_tasks import load_tasks
from scheduler_sim.engine.workloads.workload import FloatArray
from tests import depth
from tests.files import written
from tests.workloads import random_trace

pytestmark = pytest.mark.django_db(transaction=True)

POLICIES = "fcfs+easy,sjf+conservative,srtf"


def job(generator: np.random.Generator, number: int, arrival: int) -> str:
    runtime, cpus = int(generator.integers(0, 120)), int(generator.integers(1, 9))
    told = int(runtime * generator.uniform(0.5, 3)) + 1
    user = int(generator.integers(1, 4))
    return f"{number} {arrival} -1 {runtime} {cpus} -1 -1 {cpus} {told} -1 1 {user} 1 -1 1 -1 -1 -1"


def swf(jobs: int, seed: int) -> str:
    return random_trace("; MaxProcs: 8", jobs, seed, apart=20, line=job)


def played(tmp_path: Path, text: str, *arguments: str) -> Run:
    trace = written(tmp_path / "jobs.swf", text)
    options = ("--workload", str(trace), "--cluster", "hpc-8", *arguments)
    call_command("runsimulation", *options, stdout=StringIO(), verbosity=0)
    return Run.objects.latest("pk")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return played(tmp_path, swf(80, 1), "--policies", POLICIES)


def squeue(*arguments: object) -> str:
    out = StringIO()
    call_command("squeue", *map(str, arguments), stdout=out)
    return out.getvalue()


def in_small_stretches(run: Run) -> None:
    """Cut the run's clock finely, as that of a long run is."""
    for scheduler in run.policies:
        rows = SchedulerResult.objects.filter(run=run, scheduler=scheduler).order_by("task__task_id")
        key, arrival, finish = zip(*rows.values_list("task_id", "task__arrival_time", "finish_time"), strict=True)
        stretches_store(
            run=run,
            scheduler=scheduler,
            task_keys=np.array(key, np.int64),
            arrival=np.array(arrival),
            finish=np.array(finish),
        )


@pytest.fixture
def finely(monkeypatch: pytest.MonkeyPatch) -> None:
    from scheduler_sim.engine.instant import stretches as cut

    monkeypatch.setattr("apps.results.services.stretches", lambda arrival, finish: cut(arrival, finish, least=3))


def times_of(run: Run) -> FloatArray:
    rows = SchedulerResult.objects.filter(run=run).values_list("start_time", "finish_time", "task__arrival_time")
    return np.unique(np.array(list(rows)))


def test_the_state_and_the_decisions_of_every_instant_are_those_of_the_placements(run: Run, finely: None) -> None:
    in_small_stretches(run)
    assert Stretch.objects.filter(run=run).count() > 20
    explained = 0
    for scheduler in run.policies:
        rows = SchedulerResult.objects.filter(run=run, scheduler=scheduler)
        placed = list(rows.values_list("task__task_id", "task__arrival_time", "start_time", "finish_time"))
        times = times_of(run)
        for time in [times[0] - 1, times[-1] + 1, *np.random.default_rng(2).choice(times, 25)]:
            found = run_instant(run, float(time), scheduler)
            numbers = found.schedule.workload.task_id
            there = sorted(numbers[np.concatenate((found.queue, found.standing.running))].tolist())
            assert there == sorted(n for n, arrival, _, finish in placed if arrival <= time < finish), (scheduler, time)
            if scheduler != "srtf":
                running = sorted(numbers[found.standing.running].tolist())
                assert running == sorted(n for n, _, start, finish in placed if start <= time < finish)
                assert found.unexplained == ""
                assert found.decisions is not None
                started = sorted(numbers[found.decisions.started].tolist())
                assert started == sorted(n for n, _, start, _ in placed if start == found.decisions.time)
                explained += 1
            else:
                assert found.unexplained == ""
                assert found.decisions is not None
                assert found.notes[-1].startswith("Where tasks may stop and go on, the order in which they were tried")
                begun = np.flatnonzero(found.standing.since == found.decisions.time)
                here = found.standing.running[begun].tolist()
                assert set(here) <= set(found.decisions.started.tolist())
                explained += 1
    assert explained == 3 * 27


def test_many_tasks_are_read_a_page_of_keys_at_a_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    times = times_of(run)
    for scheduler in run.policies:
        whole = instant_document(run_instant(run, float(times[len(times) // 2]), scheduler))
        with monkeypatch.context() as patch:
            patch.setattr("apps.tasks.managers._KEYS_AT_ONCE", 7)
            assert instant_document(run_instant(run, float(times[len(times) // 2]), scheduler)) == whole


@pytest.mark.parametrize("filed", [False, True])
def test_an_instant_asked_alone_is_that_of_its_stretch(
    run: Run, finely: None, filed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_stretches(run)
    if filed:
        monkeypatch.setattr("apps.tasks.stored_tasks.FEWEST_FILED", 1)
        load_tasks(workload_id=run.workload_id)
        run.refresh_from_db()
        assert run.workload.tasks_file
    read = {"alone": 0, "together": 0}
    for scheduler in run.policies:
        times = times_of(run)
        between = (times[1:] + times[:-1]) / 2
        # Other instants from files than from rows.
        at, amid = depth.apart(12), depth.apart(20)
        chosen = (*times[at // 2 * filed :: at].tolist(), *between[amid // 2 * filed :: amid].tolist())
        for time in (times[0] - 1, times[-1] + 1, *chosen):
            alone = run_instant(run, float(time), scheduler)
            together = instants.InstantReader(run, scheduler).at(float(time))
            assert instant_document(alone) == instant_document(together), (scheduler, time)
            read["alone"] += len(alone.schedule.workload)
            read["together"] += len(together.schedule.workload)
    assert read["alone"] < read["together"]


def test_the_api_says_what_is_too_little_on_nodes(tmp_path: Path) -> None:
    cluster = written(tmp_path / "two.json", json.dumps(TWO_NODES))
    trace = written(tmp_path / "jobs.swf", SMALL.replace("3 2 -1 5 2", "3 999 -1 5 2"))
    call_command(
        "runsimulation", "--workload", str(trace), "--cluster", str(cluster), "--policies", "fcfs+easy,fcfs",
        stdout=StringIO(), verbosity=0,
    )  # fmt: skip
    run = Run.objects.latest("pk")
    found = APIClient().get(f"/api/v1/runs/{run.pk}/at/2/?policy=fcfs%2Beasy").json()
    assert found["unexplained"] == ""
    told = {task["task_id"]: (task["verdict"], task["lacks"], task["free"]) for task in found["queue"]}
    assert told == {2: ("resources", ["cores"], 3), 4: ("delays", [], 3)}
    assert [task["delay"] for task in found["queue"]] == [None, 81.0]
    assert (found["head"], found["shadow_time"]) == (2, 20.0)
    lines = squeue("--run", run.pk, "--at", 2).splitlines()
    assert "# task 2 needs more processors than any one node has free" in lines
    assert "# task 4 would delay the head by 81 s" in lines


def test_events_follow_one_another_and_are_those_of_the_placements(
    run: Run, finely: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_stretches(run)
    for scheduler in ("fcfs+easy", "sjf+conservative"):
        rows = SchedulerResult.objects.filter(run=run, scheduler=scheduler)
        every = sorted(
            {time for row in rows.values_list("task__arrival_time", "start_time", "finish_time") for time in row}
        )
        reader = instants.InstantReader(run, scheduler)
        neighbours = zip([None, *every[:-1]], every, [*every[1:], None], strict=True)
        for before, time, after in neighbours:
            found = reader.at(time)
            assert (found.previous_time, found.next_time) == (before, after), (scheduler, time)
        # In any order, and between events.
        for place in np.random.default_rng(3).permutation(len(every) - 1)[: depth.cases(40)].tolist():
            between = reader.at((every[place] + every[place + 1]) / 2)
            assert (between.previous_time, between.next_time) == (every[place], every[place + 1])
        low, high = every[5], every[25]
        times, complete = reader.events(low, high)
        assert (times.tolist(), complete) == (every[5:26], True)
        with monkeypatch.context() as patched:
            patched.setattr(instants, "STRETCHES_AHEAD", 2)
            some, complete = reader.events(every[0], every[-1])
        assert not complete
        assert some.tolist() == every[: len(some)]


def test_a_plan_that_goes_back_too_far_is_not_made_up(run: Run, finely: None, monkeypatch: pytest.MonkeyPatch) -> None:
    in_small_stretches(run)
    monkeypatch.setattr(instants_read, "STRETCHES_BACK", 1)
    told = {run_instant(run, float(time), "sjf+conservative").unexplained for time in times_of(run)[:: depth.apart(3)]}
    assert "" in told
    assert any(text.startswith("The plan of sjf+conservative goes back to before") for text in told)


def test_instants_of_one_stretch_are_looked_back_from_once(
    run: Run, finely: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_stretches(run)
    policy, times = "sjf+conservative", times_of(run)[:90:2].tolist()
    alone = [instant_document(run_instant(run, time, policy)) for time in times]
    count = Stretch.objects.filter(run=run, scheduler=policy).count()
    for most_back in (16, 4):
        monkeypatch.setattr(instants_read, "STRETCHES_BACK", most_back)
        read: list[tuple[float, int]] = []
        named = instants_read.StoredInstants._named

        def counted(
            self: Any, time: float, back: int, named: Any = named, read: list[tuple[float, int]] = read
        ) -> tuple[Any, float]:
            read.append((time, back))
            found: tuple[Any, float] = named(self, time, back)
            return found

        with monkeypatch.context() as patch:
            patch.setattr(instants_read.StoredInstants, "_named", counted)
            reader = instants.InstantReader(run, policy)
            told = [instant_document(reader.at(time)) for time in times]
        if most_back == 16:
            assert told == alone
        else:
            assert any("goes back to before" in one["unexplained"] for one in told)
        for back in (0, 4, 16):
            assert sum(one == back for _, one in read) <= count + 1, "once a stretch, and before the first"
        assert any(back == 4 for _, back in read)


def test_nothing_is_explained_from_too_many_tasks_nor_looked_back_at(
    run: Run, finely: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_stretches(run)
    policy = "sjf+conservative"
    widest = max(len(one.task_keys) for one in Stretch.objects.filter(run=run, scheduler=policy))
    monkeypatch.setattr(instants_read, "MOST_EXPLAINED", widest)
    found = [run_instant(run, time, policy) for time in times_of(run)[:90:2].tolist()]
    assert max(len(one.schedule.workload) for one in found) <= widest
    assert any(one.unexplained.startswith("The plan of sjf+conservative goes back to before") for one in found)
    monkeypatch.setattr(instants_read, "MOST_EXPLAINED", 3)
    (many,) = {one.unexplained for one in (run_instant(run, found[20].standing.time, policy),)}
    assert many.startswith("Decisions are explained from up to 3 tasks; around this instant there are ")


def test_events_end_early_once_many_tasks_are_read(run: Run, finely: None, monkeypatch: pytest.MonkeyPatch) -> None:
    in_small_stretches(run)
    monkeypatch.setattr(instants, "MOST_READ", 0)
    every = times_of(run)
    reader = instants.InstantReader(run, "fcfs+easy")
    times, complete = reader.events(every[0], every[-1])
    first_two = Stretch.objects.filter(run=run, scheduler="fcfs+easy").order_by("from_time")[:2]
    assert not complete
    assert len(times) > 0
    assert times.max() < first_two[1].from_time
    assert reader.tasks_read == len(first_two[0].task_keys)


TWO_NODES = {"name": "two", "groups": [{"name": name, "count": 1, "cores": n} for name, n in (("a", 8), ("b", 1))]}

SMALL = """; MaxProcs: 8
1 0 -1 10 6 -1 -1 6 20 -1 1 1 1 -1 1 -1 -1 -1
2 1 -1 10 8 -1 -1 8 20 -1 1 2 1 -1 1 -1 -1 -1
3 2 -1 5 2 -1 -1 2 8 -1 1 1 1 -1 1 -1 -1 -1
4 2 -1 90 2 -1 -1 2 99 -1 1 3 1 -1 1 -1 -1 -1
"""


def test_squeue_prints_the_queue_in_the_order_of_the_policy_and_why(tmp_path: Path) -> None:
    run = played(tmp_path, SMALL, "--policies", "fcfs+easy,fcfs")
    lines = squeue("--run", run.pk, "--at", 2).splitlines()
    assert lines[0].split() == ["JOBID", "PARTITION", "NAME", "USER", "ST", "TIME", "NODES", "NODELIST(REASON)"]
    rows = [(line.split()[0], *line.split()[-4:]) for line in lines[1:5]]
    assert rows == [
        ("2", "PD", "0:00", "1", "(Resources)"),
        ("4", "PD", "0:00", "1", "(Priority)"),
        ("1", "R", "0:02", "1", "node0"),
        ("3", "R", "0:00", "1", "node0"),
    ]
    assert lines[5:] == [
        "# The head, task 2, is to start at 20.",
        "# task 2 needs more than the 2 processors that are free",
        "# task 4 needs more than the 0 processors that are free",
    ]
    blocked = squeue("--run", run.pk, "--at", 2, "--policy", "fcfs", "--limit", 1).splitlines()
    assert "# 2 more in queue; --limit shows more." in blocked
    assert blocked[1].endswith("(Resources)")
    assert squeue("--run", run.pk, "--at", -5).splitlines()[1:] == []


def test_the_api_shows_an_instant_in_pages(tmp_path: Path) -> None:
    run = played(tmp_path, SMALL, "--policies", "fcfs+easy,fcfs")
    client = APIClient()

    def asked(address: str) -> Any:
        return client.get(f"/api/v1/runs/{run.pk}/at/{address}")

    found = asked("2/?policy=fcfs").json()
    assert [task["task_id"] for task in found["queue"]] == [2, 3, 4]
    assert [task["verdict"] for task in found["queue"]] == ["resources", "blocked", "blocked"]
    assert [(task["task_id"], task["until"], task["expected_until"]) for task in found["running"]] == [(1, 10.0, 20.0)]
    assert (found["free_cores"], found["head"], found["shadow_time"]) == (2.0, 2, None)
    assert found["free_by_node"] == [{"node": 0, "name": "node0", "cores": 2.0, "gpus": 0.0}]
    second = asked("2.0/?policy=fcfs&offset=1&limit=1").json()
    assert [task["task_id"] for task in second["queue"]] == [3]
    assert (second["waiting_count"], second["running_count"], second["running"]) == (3, 1, [])
    easy = asked("2/").json()
    assert (easy["policy"], easy["shadow_time"], easy["extra"], easy["started"]) == ("fcfs+easy", 20.0, 0, [3])
    for address, status in (
        ("2/?policy=sjf", 400),
        ("1e999/", 400),
        ("--/", 400),
        ("2/?limit=0", 400),
        ("2/?x=1", 400),
        ("two/", 404),
    ):
        assert asked(address).status_code == status, address


def test_a_run_without_placements_or_without_an_end_says_so_in_one_sentence(tmp_path: Path) -> None:
    summary = played(tmp_path, SMALL, "--policies", "fcfs", "--keep", "summary")
    with pytest.raises(CommandError, match="keeps its figures only"):
        squeue("--run", summary.pk, "--at", 2)
    whole = played(tmp_path, SMALL, "--policies", "fcfs")
    Run.objects.filter(pk=whole.pk).update(status=Run.Status.STOPPED)
    with pytest.raises(CommandError, match="is stopped: of tasks that have not finished nothing is stored"):
        squeue("--run", whole.pk, "--at", 2)
    assert APIClient().get(f"/api/v1/runs/{whole.pk}/at/2/").status_code == 409


def test_a_run_from_before_is_made_up_for_once(run: Run) -> None:
    before = {(one.scheduler, one.from_time): one.task_keys.tolist() for one in Stretch.objects.filter(run=run)}
    Stretch.objects.all().delete()
    with pytest.raises(CommandError, match=r"squeue --run .* --index` makes up for it once"):
        squeue("--run", run.pk, "--at", 2)
    squeue("--run", run.pk, "--index")
    again = {(one.scheduler, one.from_time): one.task_keys.tolist() for one in Stretch.objects.filter(run=run)}
    assert again == before


def test_keys_come_back_as_they_were() -> None:
    keys = np.array([7, 2**40, 3, 4], np.int64)
    assert unpack_keys(pack_keys(keys)).tolist() == [3, 4, 7, 2**40]
    assert unpack_keys(pack_keys(keys[:0])).tolist() == []
